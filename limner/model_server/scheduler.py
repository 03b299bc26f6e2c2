"""One answer at a time, and a bounded number of requests that wait for it; whoever goes away is not worked for."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from limner.model_server.engine import Engine, Finished, Token
from limner.model_server.errors import Refused
from limner.model_server.prompts import Prompt
from limner.model_server.sampling import Sampling

log = logging.getLogger(__name__)


@dataclass
class Job:
    """One answer in the making. Iterate over it: tokens as they come, then Finished."""

    prompt: Prompt
    sampling: Sampling
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Token | Finished | Exception] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)
    queued: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    """On the same clock; 0 while it waits."""

    async def __aiter__(self) -> AsyncIterator[Token | Finished]:
        """Raises Refused where the engine failed."""
        while True:
            event = await self.events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Finished):
                return

    def tell(self, event: Token | Finished | Exception) -> None:
        """From the engine's thread. A loop that is closed has nobody left to listen."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class Scheduler:
    """The engine's thread and the queue in front of it, first come, first served."""

    def __init__(self, engine: Engine, max_concurrent: int) -> None:
        """max_concurrent: requests in the house at once, the one at work included; more are refused."""
        self.engine = engine
        self.max_concurrent = max_concurrent
        self.admitted = 0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._running: Job | None = None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """End: the answer at work is broken off, nothing else is begun."""
        self._closed = True
        if self._running:
            self._running.cancelled.set()
        self._jobs.put(None)
        self._thread.join()

    _closed = False

    @property
    def healthy(self) -> bool:
        """Whether the engine's thread is there to answer."""
        return self._thread.is_alive() and not self._closed

    @property
    def busy(self) -> bool:
        """Whether an answer is being made."""
        return self._running is not None

    @property
    def waiting(self) -> int:
        """Requests that wait for the engine."""
        return max(self.admitted - (1 if self.busy else 0), 0)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the house, on the event loop's thread. Raises Refused (429) at once where all are taken."""
        if self.admitted >= self.max_concurrent:
            raise Refused("Model is overloaded", "overloaded")
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    def submit(self, prompt: Prompt, sampling: Sampling) -> Job:
        """Queue an answer. Set `cancelled` when nobody wants it any more. Raises Refused (503) after `close`."""
        if not self.healthy:
            raise Refused("unhealthy: the engine has ended. Start the server again.", "healthcheck")
        job = Job(prompt, sampling, asyncio.get_running_loop())
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closed:
                job.tell(Refused("Incomplete generation: the server is stopping.", "incomplete_generation"))
            elif not job.cancelled.is_set():
                self._running = job
                self._answer(job)
                self._running = None

    def _answer(self, job: Job) -> None:
        job.started = time.perf_counter()
        try:
            ended = False
            for event in self.engine.run(job.prompt, job.sampling, job.cancelled.is_set):
                job.tell(event)
                ended = isinstance(event, Finished)
            if not ended:
                job.tell(Refused("Incomplete generation: it was broken off.", "incomplete_generation"))
        except Exception as error:
            log.exception("an answer failed")
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            job.tell(Refused(f"Request failed during generation: {reason}", "generation"))
