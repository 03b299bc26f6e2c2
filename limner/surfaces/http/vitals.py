"""Check whether database and broker answer, in threads of its own, so that no other request delays a probe."""

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

ALIVE = 3  # sweeps that a counted worker may miss
PATIENCE = 3.0  # seconds for an answer; probes have time limits of their own
FRESH = 5.0  # seconds for which the broker's answer is cached, so that /health cannot keep it busy


class Look(Generic[T]):
    """A question asked once at a time; concurrent callers get the same answer."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._pending: asyncio.Task[T] | None = None

    async def answer(self) -> T | None:
        """The answer, None if none comes within PATIENCE. Raises the question's errors."""
        if self._pending is None or self._pending.done():
            self._pending = asyncio.create_task(self._in_a_thread())
            self._pending.add_done_callback(lambda task: task.cancelled() or task.exception())
        done, _ = await asyncio.wait([self._pending], timeout=PATIENCE)
        return self._pending.result() if done else None

    async def _in_a_thread(self) -> T:
        own = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(self._ask, limiter=own, abandon_on_cancel=True)


class Vitals:
    """The state of database and broker for probes. It belongs to the event loop."""

    def __init__(self, ledger: Ledger, bell: Bell, within: float) -> None:
        """within: seconds since the last sign of a worker for it to count."""
        self._workers = Look(lambda: len(ledger.workers(within)))
        self._broker = Look(lambda: bell.depth("interactive") is not None)
        self._broker_asked, self._broker_there = float("-inf"), False

    async def workers(self) -> int:
        """Number of workers with a recent sign. Raises LedgerError, also if the database is silent."""
        found = await self._workers.answer()
        if found is None:
            raise LedgerError(f"The job database is silent (no answer in {PATIENCE:.0f} s). Check that it is reached.")
        return found

    async def broker(self) -> bool:
        """Whether the broker answered at the last check."""
        if time.monotonic() - self._broker_asked > FRESH:
            self._broker_there = bool(await self._broker.answer())
            self._broker_asked = time.monotonic()
        return self._broker_there
