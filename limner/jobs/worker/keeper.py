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

FLUSH = 0.25  # seconds during which written text is collected into one event


OVERRUN = 60  # seconds for a job whose time is over to reach a boundary


class Stopping(Exception):
    """The worker stops; stopping here loses nothing."""


class TookTooLong(Exception):
    """The attempt exceeded its time."""


class Keeper:
    """Holds a job's lease, serves as the `Memory` of the models' speakers, and records the graph's events."""

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        stopping: Callable[[], bool] = lambda: False,
        *,
        seconds: float = math.inf,
        overrun: Callable[[], None] = lambda: None,
        until_progress: bool = False,
        taken: float | None = None,
    ) -> None:
        """taken: when the lease was requested, by time.monotonic(); None for now. stopping: whether to stop at the next
        boundary. seconds: time limit of the attempt; then the job fails at its next boundary, or OVERRUN seconds later
        if it reaches none, and `overrun` is called, because a thread cannot be ended. until_progress: stop once the job
        got further than any earlier attempt.
        """
        self.ledger, self.lease, self._told_to_stop = ledger, lease, stopping
        self._seconds, self._overrun, self._until_progress = seconds, overrun, until_progress
        self._started, self._progressed = time.monotonic(), False
        self.control = RunControl()
        self._lost: LeaseLost | None = None
        self._confirmed = time.monotonic() if taken is None else taken
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

    # -- the Memory of the speakers

    def recall(self, digest: str) -> str | None:
        """The stored answer to a call. Raises LeaseLost, Stopping."""
        self.check()
        self._check_time()
        if self.stopping():
            raise Stopping
        known = self._patiently(lambda: self.ledger.recall(self.lease, self._step, digest))
        if known is None and self.lease.left.limited:
            left = self._patiently(lambda: self.ledger.left_today(self.lease.owner))
            if left.spent:  # another job of the same owner reached the limit meanwhile
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
        """Raises LeaseLost once the work is in vain.

        The clock is this process's own: while the ledger is silent, nobody else can tell that the lease is over.
        """
        if self._lost is None and self._overdue():
            self._lost = LeaseLost(f"The lease on {self.lease.job} was not confirmed in time.")
        if self._lost:
            raise self._lost

    def _check_time(self) -> None:
        if time.monotonic() - self._started > self._seconds:
            raise TookTooLong

    # -- events of the graph

    def enter(self, step: str) -> None:
        """Record that a step begins, and so that the step before is in a checkpoint. Raises LeaseLost, TookTooLong."""
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
        """The current step, and its seconds so far."""
        if not self._step:
            return None
        return self._step.partition("/")[0], time.monotonic() - self._begun

    @property
    def step(self) -> str:
        """The current step, e.g. "select/3"."""
        return self._step

    def on_event(self, event: Event) -> None:
        """Take an event that the graph streams; it is recorded with the next step, or a moment later."""
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
            elif kind == "again":  # by a person's answer, of which `done` is the number; else by the writer
                self._text.settled(text)
                answered = event.get("done", 0)
                self._news.append(News("again", step, {"text": text}, f"again:{answered}" if answered else None))
            else:
                said = {name: event.get(name) for name in ("code", "params") if name in event}
                self._news.append(News(kind, step, {"text": text, **said}, once=f"{kind}:{step}:{text}"[:120]))

    def catch_up(self, said: Sequence[Event]) -> None:
        """Record the events `said` of the last step in a checkpoint, whose process died before it recorded them."""
        written_only = self.ledger.job(self.lease.job).step == "write"  # else the next step recorded the text
        for event in said:
            if written_only or not (event.get("kind") == "text" or _corrects(event)):
                self.on_event(event)

    def begin_again(self) -> None:
        """Prepare to run the graph again from its last checkpoint within this attempt. Raises LeaseLost."""
        with self._lock:
            self.flush()
            self._text = _Text(self._patiently(lambda: self.ledger.text(self.lease.job)))

    def flush(self) -> None:
        """Record pending events. Raises LeaseLost."""
        with self._lock:
            self._take_text()
            if self._news:
                news, shown = self._news, self._shown
                self._news, self._shown = [], {}
                self._append(news, **shown)

    def _take_text(self) -> None:
        """Turn the collected text into an event."""
        text, self._text_waits = self._text_waits, ""
        news = self._text.news(text) if text else None
        if news:
            self._news.append(news)

    def _append(self, news: list[News], **more: Any) -> None:
        """Give each event a mark, so that repeated writes add it once."""
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
        """Renew the lease three times per period and record pending text; runs in a thread."""
        interval = self.ledger.lease_seconds / 3
        due = time.monotonic() + interval
        while not self._ended.wait(min(FLUSH, interval)):
            try:
                if time.monotonic() >= due:
                    asked = time.monotonic()  # before it: the answer may have been long on its way
                    due = asked + interval
                    with crash.around("lease"):
                        self.ledger.beat(self.lease)
                    self._confirmed = asked
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
        """Fail a job whose thread hangs or waits in vain. Raises LeaseLost."""
        log.error("job %s reached no boundary within %d s after its time and fails", self.lease.job, OVERRUN)
        self.ledger.fail(self.lease, too_long(self._seconds))
        self._overrun()
        raise LeaseLost(f"Job {self.lease.job} took too long.")

    def _give_up_in_time(self, error: LedgerError) -> None:
        """Give up a lease that cannot be confirmed before it lapses, because another worker may then take the job."""
        if self._overdue():
            self._lost = LeaseLost(f"The lease on {self.lease.job} could not be confirmed. {error}")

    def _overdue(self) -> bool:
        return time.monotonic() - self._confirmed > self.ledger.lease_seconds * 0.9

    def _patiently(self, write: Callable[[], T]) -> T:
        """Retry a write while the ledger is gone for some seconds, e.g. restarts. Raises LeaseLost."""
        while True:
            try:
                return write()
            except LedgerError as e:
                self._give_up_in_time(e)
                self.check()
                if self._ended.wait(0.2):
                    raise

    def wait_for_ledger(self) -> None:
        """Wait until the lease is confirmed again. Raises LeaseLost."""

        def confirm() -> None:
            asked = time.monotonic()
            self.ledger.beat(self.lease)
            self._confirmed = asked

        self._patiently(confirm)


def _corrects(event: Event) -> bool:
    """Whether a step reports that its text differs from what was streamed."""
    return event.get("kind") == "again" and not event.get("done", 0)


class _Text:
    """Tracks the text that watchers have seen, and the text to show next.

    A step that runs again repeats its text. Identical text is not shown twice; at the first difference an event "again"
    with the whole text replaces it.
    """

    def __init__(self, shown: str) -> None:
        self._ahead = shown  # shown by an earlier attempt, not yet written by this one
        self._written = ""

    def news(self, text: str) -> News | None:
        """The event that shows this text, None if watchers have it already."""
        self._written += text
        if not self._ahead:
            return News("text", "write", {"text": text})
        if self._ahead.startswith(text):
            self._ahead = self._ahead[len(text) :]
            return None
        if text.startswith(self._ahead):
            fresh, self._ahead = text[len(self._ahead) :], ""
            return News("text", "write", {"text": fresh})
        self._ahead = ""
        return News("again", "write", {"text": self._written})

    def settled(self, text: str) -> None:
        """Replace all earlier text; watchers get an event."""
        self._ahead, self._written = "", text

    def end(self) -> News | None:
        """Finish: no more text comes."""
        if not self._ahead:
            return None
        self._ahead = ""
        return News("again", "write", {"text": self._written})


def too_long(seconds: float) -> Note:
    """The reason of a job that exceeded its time."""
    return note("too-long", n=round(seconds))
