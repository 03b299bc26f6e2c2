"""Whether twice the text is twice the work."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from typing import Any

import limner

LENGTH = 6_000


def work(read: Callable[[str], Any], text: str) -> float:
    """Processor time in seconds, the least of three, without collections of garbage, which come when they like."""
    taken = []
    gc.disable()
    try:
        for _ in range(3):
            start = time.process_time()
            with contextlib.suppress(limner.LimnerError):  # a clear refusal is work too
                read(text)
            taken.append(time.process_time() - start)
    finally:
        gc.enable()
    return min(taken)


def assert_linear(read: Callable[[str], Any], make: Callable[[int], str], length: int = LENGTH) -> None:
    """The ratio of two times of the same run, with repeats: a busy machine makes it worse at times, never better."""
    ratios = []
    for _ in range(6):
        once, twice = work(read, make(length)), work(read, make(2 * length))
        ratios.append(twice / max(once, 1e-9))
        if twice <= 2.5 * once + 0.005:
            return
    raise AssertionError(f"twice the text took {min(ratios):.1f} times as long, at the best of six")
