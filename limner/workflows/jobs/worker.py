"""The worker: Celery's prefork pool, with a sweeper beside it.

A process per job at a time, so that a job that takes its process down takes no other with it. What jobs have in common
is imported before the fork and shared.
"""

from __future__ import annotations

import gc
import logging
import mmap
import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

from celery import Celery, bootsteps, signals

from limner.errors import LedgerError
from limner.settings import Settings
from limner.workflows.jobs import checkpoints, crash, process, sweeper
from limner.workflows.jobs.database import Database, database_url, migrate, wait_until_there
from limner.workflows.jobs.ledger import Ledger
from limner.workflows.jobs.queue import QUEUES, WORK, Bell, make_app
from limner.workflows.jobs.runner import Runner

if TYPE_CHECKING:
    from limner.tools.encoders import Encoders

log = logging.getLogger("limner.worker")

WATCH = 5  # seconds between two looks at whether the sweeper lives


class Worker:
    """One machine's share of the work."""

    def __init__(self, settings: Settings, *, concurrency: int | None = None) -> None:
        """Waits for the database and brings it up to date. concurrency: jobs at once, None as set.

        Raises LedgerError, BadInput.
        """
        self.settings = settings
        self.concurrency = concurrency or settings.workers or _fitting(settings)
        self.database = Database(database_url(settings))
        wait_until_there(self.database)
        migrate(self.database)
        checkpoints.prepare(self.database)
        self.ledger = Ledger(self.database, lease=settings.lease, crashes=settings.crashes)
        self.app = make_app(settings)
        self.bell = Bell(self.app)
        self._stop = mmap.mmap(-1, 1)  # one byte that all processes forked from here share
        self._sweeper: Any = None
        self._runner: tuple[int, Runner] | None = None
        self.encoders: Encoders | None = None
        self.gave_up = False
        """Whether Celery ended without being told to: kombu 5.7 may not survive losing its broker twice in a row."""
        self._add_task(self.app)

    def stopping(self) -> bool:
        """Whether the worker was told to stop: jobs then stop at their next boundary and are put back."""
        return self._stop[0] != 0

    def run(self) -> int:
        """Work until SIGTERM or Ctrl-C. Returns the exit code."""
        self._load_before_the_fork()
        self._start_sweeper()
        self.database.close()
        signals.worker_shutting_down.connect(self._on_stop, weak=False)
        signals.worker_process_init.connect(_on_fork, weak=False)
        self.app.steps["worker"].add(_watching(self))  # pyright: ignore[reportOptionalSubscript]  # never None
        worker = self.app.Worker(
            hostname=f"limner@{process.name().replace('/', '.')}",
            pool="prefork",
            concurrency=self.concurrency,
            queues=list(QUEUES),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            optimization="fair",
            loglevel="WARNING",
            quiet=True,
        )
        try:
            worker.start()
            if not self.stopping():
                self.gave_up = True
                log.error("Celery gave up, see above; the worker starts anew")
        finally:
            self._on_stop()
            self._end_sweeper()
            self.app.close()
            self.database.close()
        return worker.exitcode or 0

    def _load_before_the_fork(self) -> None:
        """What every process of the pool needs costs its memory once, and its seconds."""
        import langchain_openai.chat_models.base
        import langgraph.graph
        import openai.resources.chat.completions

        from limner.tools import arrange, library, retrieve
        from limner.tools.encoders import default_encoders
        from limner.workflows import compose, context, run

        assert all((langchain_openai, langgraph, openai, arrange, library, retrieve, compose, context, run))
        self.encoders = default_encoders(caption=self.settings.encoder, clip_model=self.settings.clip_model, threads=1)
        if callable(load := getattr(self.encoders.caption, "load", None)):
            load()
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, every page

    # -- the task

    def _add_task(self, app: Celery) -> None:
        @app.task(name=WORK)
        def work(job: str) -> None:
            self.work(job)

    def work(self, job: str) -> None:
        """What a ring of the bell does: work on the job if it is there to be taken, then let the next one know."""
        crash.passing("ring:before")
        try:
            lease_owner = self._my_runner().work(job)
            if lease_owner and not self.stopping():
                self._ring_for_next(job)
        except LedgerError as e:
            log.error("job %s is left to the sweeper: %s", job, e)
        crash.passing("ring:after")  # what follows is the acknowledgement

    def _ring_for_next(self, job: str) -> None:
        """An owner with a limit has room for one more now."""
        owner = self.ledger.owner_of(job)
        waiting = self.ledger.next_of(owner) if owner else None
        if waiting:
            self.bell.ring(*waiting)

    def _my_runner(self) -> Runner:
        """This process's runner: nothing that holds a socket or a thread is inherited over a fork."""
        if self._runner is None or self._runner[0] != os.getpid():
            runner = Runner(self.settings, self.ledger, process.name(), self.stopping, encoders=self.encoders)
            self._runner = os.getpid(), runner
        return self._runner[1]

    # -- the sweeper

    def _start_sweeper(self) -> None:
        # Forked while this process has one thread and no connection: neither can be torn by it.
        self._sweeper = multiprocessing.get_context("fork").Process(
            target=self._sweep, args=(os.getpid(),), name="limner-sweeper", daemon=True
        )
        self._sweeper.start()

    def _sweep(self, parent: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C reaches all; the worker says when
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sweeper.run(self.settings, self.ledger, self.bell, lambda: self.stopping() or sweeper.orphaned(parent))
        os._exit(0)  # nothing of the parent's is to be tidied up here

    def watch_sweeper(self) -> None:
        """Start it again if somebody killed it."""
        if not self.stopping() and not self._sweeper.is_alive():
            log.warning("the sweeper was gone; it is started again")
            self._start_sweeper()

    def _end_sweeper(self) -> None:
        if self._sweeper is not None and self._sweeper.is_alive():
            self._sweeper.terminate()
            self._sweeper.join(5)

    def _on_stop(self, **_: Any) -> None:
        self._stop[0] = 1


def _watching(worker: Worker) -> type[bootsteps.StartStopStep]:
    class Watching(bootsteps.StartStopStep):
        """Looks after the sweeper."""

        requires = {"celery.worker.components:Timer"}  # noqa: RUF012  # as Celery has it

        def start(self, parent: Any) -> None:
            parent.timer.call_repeatedly(WATCH, worker.watch_sweeper)

    return Watching


def _on_fork(**_: Any) -> None:
    """In a new process of the pool. Its jobs are to be stopped by `stopping`, not by a signal in the middle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _fitting(settings: Settings) -> int:
    """Jobs at once where none are set. They wait for the model most of the time; the embedded one computes here."""
    return 4 if settings.model_url or settings.writer_url else 1
