"""Whether database and broker answer, asked in threads of its own: no other request holds up a probe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from limner.errors import LedgerError
from limner.jobs.ledger import Ledger
from limner.jobs.queue import Bell

T = TypeVar("T")

ALIVE = 3  # sweeps that a worker may miss before it no longer counts
PATIENCE = 3.0  # seconds for an answer; probes have time limits of their own
FRESH = 5.0  # seconds that an answer of the broker is good for: whoever asks for /health must not keep it busy


class Look(Generic[T]):
    """A question that is asked once at a time: those who come while it is asked get the same answer."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._asked: asyncio.Task[T] | None = None

    async def answer(self) -> T | None:
        """The answer, None where there is none within PATIENCE. Raises what the question raises."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._in_a_thread())
            self._asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait([self._asked], timeout=PATIENCE)
        return self._asked.result() if done else None

    async def _in_a_thread(self) -> T:
        own = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(self._ask, limiter=own, abandon_on_cancel=True)


class Vitals:
    """Database and broker, as probes see them. Lives in the event loop."""

    def __init__(self, ledger: Ledger, bell: Bell, within: float) -> None:
        """within: seconds since a worker was heard of for it to count."""
        self._workers = Look(lambda: len(ledger.workers(within)))
        self._broker = Look(lambda: bell.depth("interactive") is not None)
        self._broker_asked, self._broker_there = float("-inf"), False

    async def workers(self) -> int:
        """How many workers were heard of. Raises LedgerError, also where the database is silent."""
        found = await self._workers.answer()
        if found is None:
            raise LedgerError(f"The job database is silent (no answer in {PATIENCE:.0f} s). Check that it is reached.")
        return found

    async def broker(self) -> bool:
        """Whether the broker answered lately."""
        if time.monotonic() - self._broker_asked > FRESH:
            self._broker_there = bool(await self._broker.answer())
            self._broker_asked = time.monotonic()
        return self._broker_there
