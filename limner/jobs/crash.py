"""Named points at which a process kills itself on demand, so that tests can stop it exactly there.

`LIMNER_CRASH_AT=finish:before` kills it, as `kill -9` would, when it passes that point; `select:before:3` the third
time. Points are passed in pairs around what must not be torn: `with around("put"): ...`.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_passed: Counter[str] = Counter()
_at = ""


def arm(point: str) -> None:
    """Set the point, "" for none (`Settings.crash_at`)."""
    global _at
    _at = point


def passing(point: str) -> None:
    """Die here if this is the point and the time."""
    if not _at:
        return
    _passed[point] += 1
    name, _, count = _at.rpartition(":")
    wanted, times = (name, int(count)) if count.isdigit() else (_at, 1)
    if point == wanted and _passed[point] == times:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def around(name: str) -> Iterator[None]:
    """The points NAME:before and NAME:after."""
    passing(f"{name}:before")
    yield
    passing(f"{name}:after")
