"""Work on one job: take the lease, run the graph from where it stopped, record the result in the ledger.

A `Keeper` connects the graph to the ledger: it holds the lease, records progress and model answers, renews the lease
every few seconds, and ends the work once the lease is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langgraph.errors import GraphDrained
from langgraph.types import Command, Interrupt

from limner import observe
from limner.agents.meter import Meter
from limner.document import Article
from limner.errors import (
    BudgetReached,
    EncoderSwitched,
    LedgerError,
    LibraryBusy,
    LibraryUnreachable,
    LimnerError,
    ModelError,
    ModelRefused,
    ModelUnreachable,
    UnreadableReply,
    no_room,
)
from limner.jobs import crash
from limner.jobs.checkpoints.checkpoints import checkpointer
from limner.jobs.ledger import Lease, LeaseLost, Ledger
from limner.jobs.libraries import with_uploads
from limner.jobs.owners import Owner
from limner.jobs.request import JobRequest, read_request, start_of
from limner.jobs.worker.keeper import Keeper, Stopping, TookTooLong, too_long
from limner.notes import Note, note
from limner.settings import Settings
from limner.text import dollars
from limner.workflows.allowed import STARTER
from limner.workflows.compose import build_graph, last_events
from limner.workflows.context import Context, build_context
from limner.workflows.inputs import Start
from limner.workflows.review.questions import is_question
from limner.workflows.run import Asks, run

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from limner.tools.encoders import Encoders

log = logging.getLogger("limner.job")
T = TypeVar("T")

DATABASES = {"sqlalchemy", "psycopg", "sqlite3"}  # whose errors speak SQL


@dataclass
class Runner:
    """Works on jobs, each in its own thread; keeps the parts that do not change between jobs."""

    settings: Settings
    ledger: Ledger
    worker: str
    """This worker's name in the ledger."""
    stopping: Callable[[], bool] = lambda: False
    graph: Callable[[Context, BaseCheckpointSaver], Any] | None = None
    """The caller's own graph instead of compose."""
    encoders: Encoders | None = None
    """Encoders loaded before the fork, so that processes share them; None loads them here."""
    alone: bool = True
    """Whether this process runs one job at a time; only then may it take suspects (`Ledger.take`)."""
    until_progress: bool = False
    """Requeue a job once it got further than earlier attempts, when it is no longer a suspect."""
    overrun: Callable[[], None] = lambda: None
    """Called when a job did not end in its time; its thread continues in vain."""
    _bases: dict[tuple[str, ...], Context] = field(default_factory=dict)

    def work(self, job: str) -> bool:
        """Take a job and work on it until it ends, is parked, or loses its lease. Returns whether it could be taken."""
        if self.stopping():
            return False
        began = time.monotonic()
        with crash.around("take"):
            lease = self.ledger.take(job, self.worker, alone=self.alone)
        if lease is None:
            return False
        about = observe.about(job=job, attempt=lease.attempt, owner=lease.owner)
        with (
            about,
            observe.job_span(lease.trace, job, lease.attempt),
            Keeper(
                self.ledger,
                lease,
                self.stopping,
                seconds=self.settings.job_seconds,
                overrun=self.overrun,
                until_progress=self.until_progress,
                taken=began,
            ) as keeper,
        ):
            log.info("begun")
            try:
                self._attempt(lease, keeper)
            except LeaseLost as e:
                log.warning("%s Its work here is dropped.", e)
            except LedgerError as e:
                log.error("left to the sweeper: %s", e)
        return True

    def _attempt(self, lease: Lease, keeper: Keeper) -> None:
        """Run one attempt and record its outcome. Raises LeaseLost, LedgerError."""
        try:
            article = self._run(lease, keeper)
            keeper.flush()
            keeper.check()
            with crash.around("finish"):
                keeper._patiently(lambda: self.ledger.finish(lease, article, keeper.finished()))
            log.info("done")
        except (LeaseLost, LedgerError):
            raise
        except Asks as e:
            questions = e.questions
            keeper.flush()
            with crash.around("wait"):
                keeper._patiently(lambda: self.ledger.wait(lease, questions))
        except (Stopping, GraphDrained, KeyboardInterrupt, SystemExit):
            keeper.flush()
            self.ledger.put_back(lease)
        except UnreadableReply as e:
            self.ledger.forget_answers(lease, keeper.step)  # the stored answer would be unreadable next time, too
            self._park(lease, note("reply-unreadable", line=_line(e)))
        except LimnerError as e:
            if isinstance(e, ModelError | EncoderSwitched):
                self._bases.clear()  # the server may be a different one next time, and the encoder is
            if passing(e):
                self._park(lease, _line(e))
            elif isinstance(e, BudgetReached) and _is_the_days(_line(e), lease):
                self.ledger.park(lease, note("spent-stops", who=lease.owner), None)
            else:
                self.ledger.fail(lease, _line(e))
        except OSError as e:
            if not no_room(e):
                self._unforeseen(lease, e)
            else:
                self._park(lease, note("disk-full", path=str(e.filename or e.strerror)))
        except TookTooLong:
            self.ledger.fail(lease, too_long(self.settings.job_seconds))
        except Exception as e:  # noqa: BLE001  # anything may be raised; the ledger and the log record it
            self._unforeseen(lease, e)

    def _park(self, lease: Lease, why: str) -> None:
        if self.ledger.park(lease, why, self.settings.tries):
            log.warning("parked: %s", why)

    def _unforeseen(self, lease: Lease, error: Exception) -> None:
        """Treat a fault of limner or a library like a crash of the worker, and log its traceback."""
        log.exception("unexpected error")
        self.ledger.crashed(lease, note("unforeseen", kind=type(error).__name__, line=_line(error)))

    def _run(self, lease: Lease, keeper: Keeper) -> Article:
        """Run the graph to its end, through outages of the ledger that are shorter than the lease."""
        while True:
            try:
                with checkpointer(self.ledger.database, lease) as saver:
                    return self._run_graph(lease, keeper, saver)
            except LedgerError as e:
                log.warning("%s", e)
                keeper.wait_for_ledger()
                keeper.begin_again()

    def _run_graph(self, lease: Lease, keeper: Keeper, saver: BaseCheckpointSaver) -> Article:
        context = self._context(lease, keeper)
        graph = (self.graph or build_graph)(context, saver)
        return self._through(graph, context, lease, keeper, saver)

    def _through(
        self, graph: Any, context: Context, lease: Lease, keeper: Keeper, saver: BaseCheckpointSaver
    ) -> Article:
        state = graph.get_state({"configurable": {"thread_id": lease.job}})
        start: Any = self._start(lease, context) if state.created_at is None else None
        if start is None:
            keeper.catch_up(last_events(state.values))
            if lease.answer is not None and _fits(lease.answer["value"], state.interrupts):
                start = Command(resume=lease.answer["value"])
        return run(
            context,
            start,
            checkpointer=saver,
            job=lease.job,
            on_event=keeper.on_event,
            control=keeper.control,
            graph=graph,
        )

    def _start(self, lease: Lease, context: Context) -> Start:
        """The graph's initial state. Raises BadInput, and LibraryError for a deleted reference image."""
        request = read_request(lease.request)
        start = start_of(request)
        if request.references:  # the first library is then the owner's own
            start["brief"] = with_uploads(start["brief"], request.references, context.libraries[0])
        return start

    def _context(self, lease: Lease, keeper: Keeper) -> Context:
        """The context for one job: shared libraries and connections, with the job's own meter and memory."""
        request = read_request(lease.request)
        names = tuple(request.library)
        if request.references:
            own = Owner(lease.owner).own_library
            self._bases.pop(names := (own, *(names or (STARTER,))), None)  # the owner's library grows with each upload
        base = self._bases.get(names)
        if base is None or not _is_current(base):  # two threads may each build one; one is kept
            if len(self._bases) > 8:
                self._bases.clear()
            base = build_context(self.settings, library=list(names) or None, encoders=self.encoders)
            self._bases[names] = base
        meter = Meter(*_limits(self.ledger, lease, request), roles=self.ledger.usage(lease.job))
        owner = lease.owner
        used = lambda n: self.ledger.shown_lately(n, owner, but=lease.job)  # noqa: E731  # shorter than a def
        return base.derived(meter=meter, memory=keeper, enter=keeper.enter, used=used)


def _is_current(base: Context) -> bool:
    """Whether its libraries still have the encoders that they were opened with."""
    return all(library.is_current() for library in base.libraries)


def _fits(answer: Any, interrupts: Sequence[Interrupt]) -> bool:
    """Whether the graph still asks the question that was answered.

    A process may die after the graph asked its next question and before it told the ledger. The ledger's answer is then
    in the checkpoints already and must not be taken as an answer to the new question.
    """
    if not interrupts or not is_question(interrupts[0].value):
        return bool(interrupts)
    return isinstance(answer, dict) and answer.get("version") == interrupts[0].value["version"]


def _limits(ledger: Ledger, lease: Lease, request: JobRequest) -> tuple[int | None, float | None]:
    """Limits of this job in tokens and US dollars: its own, or what it spent so far plus what its owner has left today,
    whichever is lower."""
    if not lease.left.limited:
        return request.max_tokens, request.max_cost
    job = ledger.job(lease.job)
    tokens = [request.max_tokens, None if lease.left.tokens is None else job.spent + lease.left.tokens]
    money = [request.max_cost, None if lease.left.dollars is None else job.cost + lease.left.dollars]
    return min((n for n in tokens if n), default=None), min((m for m in money if m), default=None)


def _is_the_days(said: Note, lease: Lease) -> bool:
    """Whether a limit that was reached is the owner's of the day, not the job's own."""
    request = read_request(lease.request)
    own = {"token-budget": request.max_tokens, "cost-budget": request.max_cost and dollars(request.max_cost)}
    return lease.left.limited and (said.code not in own or said.params.get("budget") != own[said.code])


def passing(error: LimnerError) -> bool:
    """Whether an error may go away by itself."""
    if isinstance(error, ModelRefused):
        return error.status is None or error.status in (408, 409, 425, 429) or error.status >= 500
    return isinstance(error, ModelUnreachable | LibraryBusy | LibraryUnreachable | EncoderSwitched | LedgerError)


def _line(error: BaseException) -> Note:
    """The error on one line of at most 500 characters, with its code if it has one.

    The errors of a database repeat the statement and its values, which the owner of the job must not see.
    """
    if any(kind.__module__.partition(".")[0] in DATABASES for kind in type(error).__mro__):
        return Note("the job database refused what was to be stored; limner's log has the details")
    said = error.afar if isinstance(error, LimnerError) else str(error)  # its owner may be on another machine
    line = " ".join(said.split())[:500]
    return Note(line, said.code, said.params) if isinstance(said, Note) else Note(line)
