"""Run slow requests in separate threads by kind, with a share for every owner.

A request that asks a model waits for seconds; one that decodes an image or writes a document computes for one. In the
threads that all requests share, a few dozen from one owner would delay everybody, probes included. So they have threads
by kind. One owner gets a share of these; its other requests wait in its own queue, and beyond the queue's limit limner
answers 429.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from limner.errors import LimitReached
from limner.notes import note

P = ParamSpec("P")
T = TypeVar("T")
Kind = Literal["models", "pictures", "texts"]

NOBODY = ""  # all callers with signed addresses have one share


@dataclass(frozen=True)
class Size:
    """The limits of a pool."""

    threads: int
    """Concurrent requests of all owners."""
    share: int
    """Concurrent requests of one owner."""
    line: int
    """Waiting requests of one owner."""
    again: int
    """Seconds until a retry if the queue is full."""


SIZES: dict[Kind, Size] = {
    "models": Size(threads=64, share=16, line=16, again=10),  # they wait for the model's server and compute nothing
    "pictures": Size(threads=8, share=4, line=200, again=5),  # a page of thumbnails at once; two processes decode
    "texts": Size(threads=4, share=1, line=30, again=5),  # Markdown and documents: they hold the interpreter
}


class _Line:
    """One owner's requests of one kind."""

    def __init__(self, share: int) -> None:
        self.turn = asyncio.Semaphore(share)
        self.count = 0


class Pool:
    """Threads for one kind. It belongs to the event loop."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self._limiter: anyio.CapacityLimiter | None = None
        self._lines: dict[str, _Line] = {}

    async def run(self, owner: str, work: Callable[[], T]) -> T:
        """Call `work` in a thread when it is this owner's turn; returns its result. Raises LimitReached, and its
        errors."""
        self._limiter = self._limiter or anyio.CapacityLimiter(self.size.threads)
        line = self._lines.setdefault(owner, _Line(self.size.share))
        if line.count >= self.size.share + self.size.line:
            raise LimitReached(note("too-many-at-once", n=line.count), self.size.again)
        line.count += 1
        try:
            async with line.turn:
                return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            line.count -= 1
            if not line.count:
                self._lines.pop(owner, None)


def pools() -> dict[Kind, Pool]:
    """A pool for each kind of slow work."""
    return {kind: Pool(size) for kind, size in SIZES.items()}


def slow(kind: Kind) -> Callable[[Callable[P, T]], Callable[P, Coroutine[Any, Any, T]]]:
    """Decorator that runs an endpoint in such a pool: a `def` with the arguments `has` and, except for signed
    addresses, `asker`."""

    def decorate(endpoint: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(endpoint)
        async def in_its_pool(*args: P.args, **kwargs: P.kwargs) -> T:
            has: Any = kwargs["has"]
            asker: Any = kwargs.get("asker")
            owner = asker.name if asker is not None else NOBODY
            return await has.pools[kind].run(owner, functools.partial(endpoint, *args, **kwargs))

        return in_its_pool

    return decorate
