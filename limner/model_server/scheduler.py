"""Make an engine from a model that answers one prompt at a time: a thread with a queue in front of it."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from limner.model_server.engine import Finished, Job, Token
from limner.model_server.errors import Refused, reason
from limner.model_server.prompts import Prompt
from limner.model_server.sampling import Sampling

log = logging.getLogger(__name__)


class Answerer(Protocol):
    """The owner of the model, e.g. transformers_engine.Transformers."""

    name: str
    end_ids: list[int]

    @property
    def device(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    @property
    def decoding(self) -> dict[str, str]: ...

    def run(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Token | Finished]:
        """Yield tokens, then Finished, or stop once `cancelled` returns true. Blocks."""
        ...

    def check(self) -> None:
        """Compute one step. Raises the error that prevents it."""
        ...


@dataclass
class _Turn:
    """A job in the queue. `tell` is called from the engine's thread."""

    job: Job
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Token | Finished | Exception | None] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def tell(self, event: Token | Finished | Exception | None) -> None:
        """Pass an item to the event loop; None is the end. Ignored if the loop is closed."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class OneAtATime:
    """An Engine that serves jobs in order and drops those whose client has left.

    After a failed answer it checks the model. If the check fails, too, e.g. because of a device error, it answers
    nothing any more, and `healthy` is false until the server restarts.
    """

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self._turns: queue.SimpleQueue[_Turn | None] = queue.SimpleQueue()
        self._at_work: _Turn | None = None
        self._broken = ""
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def name(self) -> str:
        return self.answerer.name

    @property
    def device(self) -> str:
        return self.answerer.device

    @property
    def dtype(self) -> str:
        return self.answerer.dtype

    @property
    def end_ids(self) -> list[int]:
        return self.answerer.end_ids

    @property
    def decoding(self) -> dict[str, str]:
        return self.answerer.decoding

    @property
    def max_total_tokens(self) -> None:
        """None: the cache grows with the answer."""
        return None

    @property
    def healthy(self) -> bool:
        return self._thread.is_alive() and not self._closed and not self._broken

    @property
    def running(self) -> int:
        return 0 if self._at_work is None else 1

    async def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        self._closed = True
        at_work = self._at_work
        if at_work:
            at_work.cancelled.set()
        self._turns.put(None)
        await asyncio.to_thread(self._thread.join)

    async def answer(self, job: Job) -> AsyncGenerator[Token | Finished, None]:
        if not self.healthy:
            raise self._unhealthy()
        turn = _Turn(job, asyncio.get_running_loop())
        self._turns.put(turn)
        try:
            while (event := await turn.events.get()) is not None:
                if isinstance(event, Exception):
                    try:
                        raise event
                    finally:
                        del event  # breaks the reference cycle of error, frame and turn
                yield event
        finally:
            turn.cancelled.set()

    # -- the engine's thread

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            if self._broken:
                turn.tell(self._unhealthy())
            elif self._closed:
                turn.tell(Refused("Incomplete generation: the server is stopping.", "incomplete_generation"))
            elif not turn.cancelled.is_set():
                self._at_work = turn
                self._answer(turn)
                self._at_work = None

    def _answer(self, turn: _Turn) -> None:
        job = turn.job
        job.started = time.perf_counter()
        try:
            for event in self.answerer.run(job.prompt, job.sampling, turn.cancelled.is_set):
                turn.tell(event)
            turn.tell(None)
        except Exception as error:
            log.exception("an answer failed")
            self._broken = self._reason_of_no_health()
            turn.tell(self._unhealthy() if self._broken else error)

    def _reason_of_no_health(self) -> str:
        try:
            self.answerer.check()
        except Exception as error:
            log.exception("the model cannot compute any more")
            return reason(error)
        return ""

    def _unhealthy(self) -> Refused:
        message = f"unhealthy: the engine has ended ({self._broken or 'it is closed'}). Start the server again."
        return Refused(message, "healthcheck")
