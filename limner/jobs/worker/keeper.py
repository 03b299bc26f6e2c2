"""Keep a job's lease while it runs, and write its events."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from langgraph.runtime import RunControl

from limner import observe
from limner.agents.meter import Usage
from limner.errors import (
    BudgetReached,
    LedgerError,
)
from limner.jobs import crash
from limner.jobs.ledger import Lease, LeaseLost, Ledger, News
from limner.notes import Note, note
from limner.workflows.state import Event

log = logging.getLogger("limner.job")
T = TypeVar("T")

FLUSH = 0.25  # seconds that written text is gathered before it becomes an event


OVERRUN = 60  # seconds that a job whose time is over has to come to a boundary


class Stopping(Exception):
    """The worker is told to stop; nothing is lost by stopping here."""


class TookTooLong(Exception):
    """The attempt took longer than it may."""


class Keeper:
    """Holds a lease while its job is worked on. The `Memory` of the models' speakers and the ear of the graph."""

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        stopping: Callable[[], bool] = lambda: False,
        *,
        seconds: float = math.inf,
        overrun: Callable[[], None] = lambda: None,
        until_progress: bool = False,
    ) -> None:
        """stopping: whether to stop at the next boundary. seconds: that the attempt may take; then the job fails at
        its next boundary, and where it comes to none, OVERRUN seconds later; then `overrun` is called, for the thread
        cannot be ended. until_progress: stop once the job got further than any attempt before.
        """
        self.ledger, self.lease, self._told_to_stop = ledger, lease, stopping
        self._seconds, self._overrun, self._until_progress = seconds, overrun, until_progress
        self._started, self._progressed = time.monotonic(), False
        self.control = RunControl()
        self._lost: LeaseLost | None = None
        self._confirmed = time.monotonic()
        self._step, self._begun, self._asked = "", time.monotonic(), time.monotonic()
        self._calls = self._events = 0
        self._text = _Text(ledger.text(lease.job))
        self._text_waits = ""
        self._news: list[News] = []
        self._shown: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"limner-keeper-{lease.job}", daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    # -- what speakers ask of a Memory

    def recall(self, digest: str) -> str | None:
        """The answer to a call that was made before. Raises LeaseLost, Stopping."""
        self.check()
        self._check_time()
        if self.stopping():
            raise Stopping
        known = self._patiently(lambda: self.ledger.recall(self.lease, self._step, digest))
        if known is None and self.lease.budget is not None:
            left = self._patiently(lambda: self.ledger.left_today(self.lease.owner))
            if left is not None and left <= 0:  # spent by another job of the same owner meanwhile
                raise BudgetReached(note("at-midnight"))
        self._asked = time.monotonic()
        return known

    def keep(self, role: str, digest: str, answer: str | None, usage: Usage) -> None:
        """Remember a call and what it cost. Raises LeaseLost."""
        with self._lock:
            self._calls += 1
            number = self._calls
        seconds = time.monotonic() - self._asked
        observe.call_done(role, "", usage.prompt, usage.completion, usage.cached, seconds)
        with crash.around("keep"):
            self._patiently(lambda: self.ledger.keep(self.lease, self._step, role, digest, answer, usage, number))
        self._progressed |= answer is not None

    def stopping(self) -> bool:
        """Whether to stop at the next boundary."""
        return self._told_to_stop() or (self._until_progress and self._progressed)

    def check(self) -> None:
        """Raises LeaseLost if the work is for nothing by now."""
        if self._lost:
            raise self._lost

    def _check_time(self) -> None:
        if time.monotonic() - self._started > self._seconds:
            raise TookTooLong

    # -- what the graph tells

    def enter(self, step: str) -> None:
        """A step begins, so the one before it is kept. Raises LeaseLost, TookTooLong."""
        self.check()
        self._check_time()
        self._progressed |= bool(self._step)
        if self.stopping():
            self.control.request_drain()
        name, _, part = step.partition("/")
        crash.passing(f"{name}:before")
        with self._lock:
            self._take_text()
            if self._step == "write" and (again := self._text.end()):
                self._news.append(again)
            shown = {**self._shown, "step": name}
            if part in ("", "0"):
                self._news.append(News("step", name, {"done": 0, "of": 0}, once=f"{name}:begun"))
                shown |= {"done": 0, "of": 0}
            finished, news = self.finished(), self._news
            if finished:
                observe.step_done(self._step, finished[1])
            self._step, self._begun = step, time.monotonic()
            self._news, self._shown = [], {}
            self._append(news, finished=finished, **shown)

    def finished(self) -> tuple[str, float] | None:
        """The step that is at work, and its seconds so far."""
        if not self._step:
            return None
        return self._step.partition("/")[0], time.monotonic() - self._begun

    @property
    def step(self) -> str:
        """The step that is at work, e.g. "select/3"."""
        return self._step

    def on_event(self, event: Event) -> None:
        """What the graph streams; it is told with the next step, or a moment later."""
        kind, step, text = event.get("kind", ""), event.get("step", ""), event.get("text", "")
        with self._lock:
            if kind == "text":
                self._text_waits += text
                return
            self._take_text()
            if kind == "step":
                self._shown = {"step": step, "done": event.get("done", 0), "of": event.get("of", 0)}
                data = {"done": self._shown["done"], "of": self._shown["of"]}
                self._news.append(News("step", step, data, once=f"{step}:{data['done']}/{data['of']}"))
            elif kind == "again":  # by a person's answer, of which `done` is the number
                self._news.append(News("again", step, {"text": text}, once=f"again:{event.get('done', 0)}"))
            else:
                said = {name: event.get(name) for name in ("code", "params") if name in event}
                self._news.append(News(kind, step, {"text": text, **said}, once=f"{kind}:{step}:{text}"[:120]))

    def catch_up(self, said: Sequence[Event]) -> None:
        """Tell what a step said whose process died before it was told: `said`, of the last step that is kept."""
        written_only = self.ledger.job(self.lease.job).step == "write"  # else the text was told with the next step
        for event in said:
            if event.get("kind") != "text" or written_only:
                self.on_event(event)

    def begin_again(self) -> None:
        """The graph is run once more from its last checkpoint, in this very attempt. Raises LeaseLost."""
        with self._lock:
            self.flush()
            self._text = _Text(self._patiently(lambda: self.ledger.text(self.lease.job)))

    def flush(self) -> None:
        """Tell what waits. Raises LeaseLost."""
        with self._lock:
            self._take_text()
            if self._news:
                news, shown = self._news, self._shown
                self._news, self._shown = [], {}
                self._append(news, **shown)

    def _take_text(self) -> None:
        """The text that was gathered becomes an event."""
        text, self._text_waits = self._text_waits, ""
        news = self._text.news(text) if text else None
        if news:
            self._news.append(news)

    def _append(self, news: list[News], **more: Any) -> None:
        """Each event gets a mark, so that it is there once, however often its write has to be tried."""
        with self._lock:
            marked = []
            for item in news:
                self._events += 1
                once = item.once or f"{self.lease.attempt}:{self._events}"
                marked.append(News(item.kind, item.step, item.data, once))
            with crash.around("event"):
                self._patiently(lambda: self.ledger.append(self.lease, marked, **more))

    # -- staying alive

    def _watch(self) -> None:
        """Runs in a thread: report three times per lease, and pass on text that waits."""
        interval = self.ledger.lease_seconds / 3
        due = time.monotonic() + interval
        while not self._ended.wait(min(FLUSH, interval)):
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + interval
                    with crash.around("lease"):
                        self.ledger.beat(self.lease)
                    self._confirmed = time.monotonic()
                self.flush()
                if time.monotonic() - self._started > self._seconds + OVERRUN:
                    self._end_overrun()
            except LeaseLost as e:
                self._lost = e
                return
            except LedgerError as e:
                log.warning("%s", e)
                self._give_up_in_time(e)

    def _end_overrun(self) -> None:
        """The thread that works on it hangs, or waits for something that does not come. Raises LeaseLost."""
        log.error("job %s came to no boundary %d s after its time; it fails", self.lease.job, OVERRUN)
        self.ledger.fail(self.lease, too_long(self._seconds))
        self._overrun()
        raise LeaseLost(f"Job {self.lease.job} took too long.")

    def _give_up_in_time(self, error: LedgerError) -> None:
        """A lease that cannot be confirmed must be given up before it lapses: from then on another may work."""
        if time.monotonic() - self._confirmed > self.ledger.lease_seconds * 0.9:
            self._lost = LeaseLost(f"The lease on {self.lease.job} could not be confirmed. {error}")

    def _patiently(self, write: Callable[[], T]) -> T:
        """A ledger that is gone for some seconds, e.g. restarted, does not end the work. Raises LeaseLost."""
        while True:
            try:
                return write()
            except LedgerError as e:
                self._give_up_in_time(e)
                self.check()
                if self._ended.wait(0.2):
                    raise

    def wait_for_ledger(self) -> None:
        """Until the lease is confirmed again. Raises LeaseLost."""
        self._patiently(lambda: self.ledger.beat(self.lease))
        self._confirmed = time.monotonic()


class _Text:
    """What was shown of the text while it was written, and what to show next.

    A step that runs again says again what it said before. What is the same is not shown twice; at the first difference
    the text is begun anew, by an event "again" with all of it.
    """

    def __init__(self, shown: str) -> None:
        self._ahead = shown  # shown by an attempt before, and not yet said by this one
        self._said = ""

    def news(self, text: str) -> News | None:
        """The event that tells of this text, None if watchers have it."""
        self._said += text
        if not self._ahead:
            return News("text", "write", {"text": text})
        if self._ahead.startswith(text):
            self._ahead = self._ahead[len(text) :]
            return None
        if text.startswith(self._ahead):
            fresh, self._ahead = text[len(self._ahead) :], ""
            return News("text", "write", {"text": fresh})
        self._ahead = ""
        return News("again", "write", {"text": self._said})

    def end(self) -> News | None:
        """No more text comes."""
        if not self._ahead:
            return None
        self._ahead = ""
        return News("again", "write", {"text": self._said})


def too_long(seconds: float) -> Note:
    """Why a job failed that took longer than it may."""
    return note("too-long", n=round(seconds))
