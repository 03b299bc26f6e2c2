"""Do several things at once, each handed on as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from limner.workflows.captioning import several

if TYPE_CHECKING:
    from limner.workflows.context import Context

T = TypeVar("T")
R = TypeVar("R")


def at_once(context: Context) -> int:
    """How many questions are asked at once.

    A budget is checked before a call and charged after it, so parallel calls could exceed it together.
    """
    limited = context.meter.budget is not None or context.meter.max_cost is not None
    return 1 if limited else several(context)


def each(work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[tuple[T, R]]:
    """(item, result) as they are done, `count` at once. An error ends it once the items in work are done."""
    left = iter(items)
    with ThreadPoolExecutor(count, "limner-evaluate") as threads:
        running: dict[Future[R], T] = {}
        while True:
            running |= {threads.submit(work, item): item for item in islice(left, count - len(running))}
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
