"""Work on one job: take the lease, run the graph from where it stopped, record the result in the ledger.

Everything the graph does reaches the ledger through a `Keeper`, which holds the lease: it tells of the progress,
remembers each answer of a model, reports every few seconds that it is alive, and ends the work once the lease is lost.
"""

from __future__ import annotations

import errno
import logging
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
    LedgerError,
    LibraryBusy,
    LibraryUnreachable,
    LimnerError,
    ModelError,
    ModelRefused,
    ModelUnreachable,
    UnreadableReply,
)
from limner.jobs import crash
from limner.jobs.checkpoints.checkpoints import checkpointer
from limner.jobs.ledger import Lease, LeaseLost, Ledger
from limner.jobs.libraries import with_uploads
from limner.jobs.owners import Owner
from limner.jobs.request import read_request, start_of
from limner.jobs.worker.keeper import Keeper, Stopping, TookTooLong, too_long
from limner.notes import Note, note
from limner.settings import Settings
from limner.workflows.compose import build_graph, last_events
from limner.workflows.context import STARTER, Context, build_context
from limner.workflows.inputs import Start
from limner.workflows.review.questions import is_question
from limner.workflows.run import Asks, run

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from limner.tools.encoders import Encoders

log = logging.getLogger("limner.job")
T = TypeVar("T")

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@dataclass
class Runner:
    """Works on jobs, of which each has a thread of its own; what does not change between jobs is kept between them."""

    settings: Settings
    ledger: Ledger
    worker: str
    """Who this is, in the ledger."""
    stopping: Callable[[], bool] = lambda: False
    graph: Callable[[Context, BaseCheckpointSaver], Any] | None = None
    """Another graph than compose, for those who bring their own."""
    encoders: Encoders | None = None
    """Loaded before the fork, so that processes share them; None loads them here."""
    alone: bool = True
    """Whether this process works on one job at a time: only then on suspects (`Ledger.take`)."""
    until_progress: bool = False
    """Put a job back once it got further than the attempts before it: it is no suspect any more."""
    overrun: Callable[[], None] = lambda: None
    """Called when a job came to no end in its time: its thread goes on, for nothing."""
    _bases: dict[tuple[str, ...], Context] = field(default_factory=dict)

    def work(self, job: str) -> bool:
        """Take a job and work on it until it ends, parks or is taken away; whether it was there to be taken."""
        if self.stopping():
            return False
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
        """One attempt, and what came of it into the ledger. Raises LeaseLost, LedgerError."""
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
            self.ledger.forget_answers(lease, keeper.step)  # the same answer would be as unreadable next time
            self._park(lease, note("reply-unreadable", line=_line(e)))
        except LimnerError as e:
            if isinstance(e, ModelError):
                self._bases.clear()  # the server may be another by the next time
            if passing(e):
                self._park(lease, _line(e))
            elif isinstance(e, BudgetReached) and lease.budget is not None:
                self.ledger.park(lease, note("spent-stops", who=lease.owner, line=_line(e)), None)
            else:
                self.ledger.fail(lease, _line(e))
        except OSError as e:
            if e.errno not in NO_ROOM:
                self._unforeseen(lease, e)
            else:
                self._park(lease, note("disk-full", path=str(e.filename or e.strerror)))
        except TookTooLong:
            self.ledger.fail(lease, too_long(self.settings.job_seconds))
        except Exception as e:  # noqa: BLE001  # told in the ledger and the log, whatever it is
            self._unforeseen(lease, e)

    def _park(self, lease: Lease, why: str) -> None:
        if self.ledger.park(lease, why, self.settings.tries):
            log.warning("parked: %s", why)

    def _unforeseen(self, lease: Lease, error: Exception) -> None:
        """A fault of ours, or of a library: as if the worker had died of it. It is in the log with its traceback."""
        log.exception("failed in a way nobody foresaw")
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
        """What the graph begins with. Raises BadInput, LibraryError for a reference image that is gone."""
        request = read_request(lease.request)
        start = start_of(request)
        if request.references:  # then the first library is the owner's own
            start["brief"] = with_uploads(start["brief"], request.references, context.libraries[0])
        return start

    def _context(self, lease: Lease, keeper: Keeper) -> Context:
        """The parts for one job: libraries and speakers as before, counting and remembering anew."""
        request = read_request(lease.request)
        names = tuple(request.library)
        if request.references:
            own = Owner(lease.owner).own_library
            self._bases.pop(names := (own, *(names or (STARTER,))), None)  # it grows with each upload
        base = self._bases.get(names)
        if base is None:  # two threads may build one each; one of them is kept
            if len(self._bases) > 8:
                self._bases.clear()
            base = build_context(self.settings, library=list(names) or None, encoders=self.encoders)
            self._bases[names] = base
        budgets = [b for b in (request.max_tokens, _today(self.ledger, lease)) if b is not None]
        meter = Meter(budget=min(budgets, default=None), roles=self.ledger.usage(lease.job))
        return base.derived(meter=meter, memory=keeper, enter=keeper.enter)


def _fits(answer: Any, asked: Sequence[Interrupt]) -> bool:
    """Whether the graph still asks what was answered.

    A process may die after the graph asked its next question and before the ledger heard of it: the answer that the
    ledger holds is then part of the checkpoints already, and must not be taken for an answer to the new one.
    """
    if not asked or not is_question(asked[0].value):
        return bool(asked)
    return isinstance(answer, dict) and answer.get("version") == asked[0].value["version"]


def _today(ledger: Ledger, lease: Lease) -> int | None:
    """Tokens this job may come to by its owner's limit: what it has spent, and what is left of the day."""
    return None if lease.budget is None else ledger.job(lease.job).spent + lease.budget


def passing(error: LimnerError) -> bool:
    """Whether it may be gone the next time, with nobody changing anything here."""
    if isinstance(error, ModelRefused):
        return error.status is None or error.status in (408, 409, 425, 429) or error.status >= 500
    return isinstance(error, ModelUnreachable | LibraryBusy | LibraryUnreachable | LedgerError)


def _line(error: BaseException) -> Note:
    """What went wrong on one line of at most 500 characters, with its code where it has one."""
    line = " ".join(str(error).split())[:500]
    return Note(line, error.note.code, error.note.params) if isinstance(error, LimnerError) else Note(line)
