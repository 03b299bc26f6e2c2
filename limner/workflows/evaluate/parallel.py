"""Do several things at once, each handed on as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Iterable[T], several: int) -> Iterator[tuple[T, R]]:
    """(item, result) as they are done, `several` at once. An error ends it once the items in work are done."""
    left = iter(items)
    with ThreadPoolExecutor(several, "limner-evaluate") as threads:
        running: dict[Future[R], T] = {}
        while True:
            running |= {threads.submit(work, item): item for item in islice(left, several - len(running))}
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
