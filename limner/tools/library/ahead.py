"""Read files while others are encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from limner.tools.images.sandbox import PHOTOGRAPHS
from limner.tools.library.sources import batches

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Sequence[T], read: Callable[[T], R], size: int) -> Iterator[list[R]]:
    """Batches of what `read` makes of the items; the next is being read while the caller encodes one."""
    with ThreadPoolExecutor(PHOTOGRAPHS.size) as threads:
        running = (threads.map(read, batch) for batch in batches(items, size))
        following = next(running, None)
        while following is not None:
            batch = list(following)
            following = next(running, None)
            yield batch
