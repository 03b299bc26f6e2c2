"""Named points at which a process kills itself on demand, so that tests can stop it exactly there.

`LIMNER_CRASH_AT=finish:before` kills the process like `kill -9` when it reaches that point; `select:before:3` when it
reaches it for the third time. Points come in pairs around an operation that must be atomic: `with around("put"): ...`.
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
    """Set the crash point, "" for none (`Settings.crash_at`)."""
    global _at
    _at = point


def passing(point: str) -> None:
    """Kill the process if this is the crash point and its count is reached."""
    if not _at:
        return
    _passed[point] += 1
    name, _, count = _at.rpartition(":")
    wanted, times = (name, int(count)) if count.isdigit() else (_at, 1)
    if point == wanted and _passed[point] == times:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def around(name: str) -> Iterator[None]:
    """Pass the points NAME:before and NAME:after around the body."""
    passing(f"{name}:before")
    yield
    passing(f"{name}:after")
