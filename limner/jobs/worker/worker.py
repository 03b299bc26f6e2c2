"""The worker: processes that work on jobs, and a sweeper beside them.

Each job has its own process by default. A job waits for its model most of the time, so with `processes` many jobs share
a few processes as threads, which needs less memory but recovers more slowly from faults.

A process that dies takes all its jobs with it, and any of them may be the cause. So each becomes a suspect and runs
alone, in a process forked for it, until it gets further. If that process dies, its job is the cause. The worker is the
parent of all these processes, sees how they end (`deaths.py`), and reports it to its sweeper, which writes it into the
ledger.
"""

from __future__ import annotations

import logging
import mmap
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.concurrency.thread import TaskPool

from limner import observe
from limner.children import die_with_parent
from limner.errors import LedgerError
from limner.jobs import crash
from limner.jobs.checkpoints import checkpoints
from limner.jobs.ledger import Ledger
from limner.jobs.ledger.database import ANSWER, Database, database_url, migrate, wait_until_there
from limner.jobs.ledger.values import Death
from limner.jobs.queue import ROUTES, WORK, Bell, make_app
from limner.jobs.worker import process, sweeper
from limner.jobs.worker.deaths import GAVE_UP, RETIRED, death, killed_for_memory
from limner.jobs.worker.hand import Hand, Pulse
from limner.jobs.worker.poller import Gone, Poller
from limner.jobs.worker.preload import preload
from limner.jobs.worker.runner import Runner
from limner.settings import Settings

if TYPE_CHECKING:
    from limner.tools.encoders import Encoders

log = logging.getLogger("limner.worker")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK = 0.1  # seconds between two checks of the processes
HUNG = 60  # seconds without a sign of life after which a process is killed; its leases lapse before
RETIRE = 30  # seconds for a process's other jobs when it ends because one job does not
BACKOFF = 1  # seconds until a process that died young is restarted
REMEMBERED = 100  # deaths remembered for a sweeper that is restarted


class Worker:
    """Works on jobs on one machine."""

    def __init__(self, settings: Settings, *, concurrency: int | None = None) -> None:
        """Wait for the database and migrate it. concurrency: jobs at once; None takes the settings'.

        Raises LedgerError, BadInput.
        """
        self.settings = settings
        self.concurrency = concurrency or settings.workers or _fitting(settings)
        self.shares = _shares(self.concurrency, settings.processes or self.concurrency)
        """Jobs at once of each process."""
        self.database = Database(database_url(settings), answer=patience(settings.lease))
        wait_until_there(self.database)
        migrate(self.database)
        checkpoints.prepare(self.database)
        self.ledger = Ledger(self.database, lease=settings.lease, crashes=settings.crashes)
        self.app = make_app(settings)
        self.bell = Bell(self.app)
        self._stop = mmap.mmap(-1, 1)  # one byte, shared by all processes forked from here
        self._broker_gone = Gone()
        self._retiring = threading.Event()  # of this process alone
        self._hands: list[Hand] = []
        self._due: list[tuple[float, int]] = []  # processes to start: when, and for how many jobs
        self._deaths: list[Death] = []
        self._sweeper: Any = None
        self._ear: Connection | None = None
        self._runner: Runner | None = None
        self._at_work = 0
        self._room = threading.Semaphore(1)
        """For jobs of this process; one that is forked for a suspect has it alone."""
        self._lock = threading.Lock()
        self._no_memory = killed_for_memory()
        self.encoders: Encoders | None = None
        self._add_task(self.app)

    def stopping(self) -> bool:
        """Whether the worker or this process stops: jobs then stop at their next boundary."""
        return self._stop[0] != 0 or self._retiring.is_set()

    # -- the parent: it has one thread and no connection, so a fork breaks nothing

    def run(self) -> int:
        """Work until SIGTERM or Ctrl-C. Returns the exit code."""
        self._load_before_the_fork()
        self.database.close()
        for number in SIGNALS:
            signal.signal(number, self._on_stop)
        self._due = [(0.0, jobs) for jobs in self.shares]
        try:
            while not self.stopping():
                self._keep_sweeper()
                self._start_due()
                self._look()
                self._hear()
        finally:
            self._stop[0] = max(1, self._stop[0])
            self._end()
            self.app.close()
        return 0

    def _on_stop(self, _signal: int, _frame: Any) -> None:
        self._stop[0] = min(2, self._stop[0] + 1)  # after a second signal it does not wait for boundaries

    def _load_before_the_fork(self) -> None:
        """Import what every process needs, so that it costs memory and seconds once."""
        self.encoders = preload(self.settings)

    def _fork(self, target: Callable[..., int], *args: Any, job: str = "", jobs: int = 1) -> None:
        hand = Hand(None, "", job, jobs)
        hand.process = multiprocessing.get_context("fork").Process(
            target=_child, args=(os.getpid(), hand.pulse, target, *args), daemon=False
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the child has dropped its parent's handlers
        hand.process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        hand.name = process.name(hand.process.pid, os.getpid())
        self._hands.append(hand)

    def _start_due(self) -> None:
        ready = [due for due in self._due if due[0] <= time.monotonic()]
        for due in ready:
            self._due.remove(due)
            self._fork(self._listen, due[1], jobs=due[1])

    def _look(self) -> None:
        """Look after the processes: report and replace those that ended, kill those that hang."""
        for hand in list(self._hands):
            code = hand.process.exitcode
            if code is not None:
                self._hands.remove(hand)
                self._mourn(hand, code)
            elif hand.pulse.look(LOOK) > max(HUNG, 2 * self.settings.lease) and not hand.hung:
                log.error("%s gives no sign of life and is killed", hand.name)
                hand.hung = True
                hand.process.kill()

    def _mourn(self, hand: Hand, code: int) -> None:
        count = killed_for_memory()
        ended = death(hand.name, code, no_memory=count > self._no_memory, hung=hand.hung)
        self._no_memory = count
        if not hand.job:
            young = time.monotonic() - hand.begun < 5 * BACKOFF
            self._due.append((time.monotonic() + (BACKOFF if young else 0), hand.jobs))
        if code == 0 and hand.job:
            return
        log.warning("process %d %s", hand.process.pid, ended.how)
        self._deaths = [*self._deaths[1 - REMEMBERED :], ended]
        self._report(ended)

    def _report(self, ended: Death) -> None:
        if self._ear is not None:
            with suppress(OSError):  # the sweeper was killed; the next one gets the report
                self._ear.send(ended)

    def _hear(self) -> None:
        """Start processes for suspects, each alone; as many at once as there are cores, or a few."""
        if self._ear is None or not self._ear.poll(LOOK):
            return
        try:
            suspects = self._ear.recv()
        except (EOFError, OSError):  # the sweeper was killed and will be restarted
            time.sleep(LOOK)
            return
        for job in suspects:
            alone = [hand.job for hand in self._hands if hand.job]
            if job not in alone and len(alone) < min(self.concurrency, max(4, len(self.shares))):
                self._fork(self._work_alone, job, job=job)

    def _end(self) -> None:
        for hand in self._hands:
            if not hand.job and hand.process.is_alive():
                hand.process.terminate()
        while any(hand.process.is_alive() for hand in self._hands):
            if self._stop[0] > 1:
                for hand in self._hands:
                    hand.process.kill()
            time.sleep(LOOK)
        if self._sweeper is not None and self._sweeper.is_alive():
            self._sweeper.terminate()
            self._sweeper.join(5)

    # -- the sweeper

    def _keep_sweeper(self) -> None:
        """Start the sweeper, or restart it if somebody killed it."""
        if self._sweeper is not None:
            if self._sweeper.is_alive():
                return
            log.warning("the sweeper was gone and is restarted")
        self._ear, theirs = multiprocessing.Pipe()
        self._sweeper = multiprocessing.get_context("fork").Process(
            target=self._sweep, args=(os.getpid(), theirs), name="limner-sweeper", daemon=True
        )
        self._sweeper.start()
        theirs.close()  # so that the pipe ends when it dies
        for ended in self._deaths:
            self._report(ended)

    def _sweep(self, parent: int, worker: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C reaches all; the worker says when
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ended: Callable[[], bool] = lambda: self.stopping() or sweeper.orphaned(parent)  # noqa: E731
        sweeper.run(self.settings, self.ledger, self.bell, ended, worker, max(self.shares) > 1, self._broker_gone.tell)
        os._exit(0)  # skip the parent's clean-up

    # -- a process that listens

    def _listen(self, jobs: int) -> int:
        """Work on the jobs of the broker's messages, or of the ledger while the broker is gone, until a stop signal.

        Returns an exit code.
        """
        worker = self
        self._room = threading.Semaphore(jobs)

        class Threads(TaskPool):
            def on_stop(self) -> None:
                worker._retiring.set()  # also if Celery gives up: jobs are requeued at their next boundary
                super().on_stop()

        self._runner = self._make_runner(alone=jobs == 1, overrun=self._retire)
        signals.worker_shutting_down.connect(self._on_retire, weak=False)
        signals.worker_ready.connect(_on_ready, weak=False)
        listener = self.app.Worker(
            hostname=f"limner@{process.name().replace('/', '.')}",
            pool=Threads,
            concurrency=jobs,
            queues=list(ROUTES),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel="WARNING",
            quiet=True,
        )
        in_order = False
        try:
            with self._poller(jobs):
                listener.start()
            in_order = self._in_order
        finally:
            if not in_order and not self._stop[0]:
                log.error("Celery gave up, see above; the process restarts")
        return 0 if in_order or self._stop[0] else GAVE_UP

    def _poller(self, jobs: int) -> Poller:
        gone, every = self._broker_gone, self.settings.sweep
        more = {"every": every, "patience": sweeper.patience(every), "jobs": jobs}
        return Poller(self.ledger, self._work_if_room, gone=gone, stopping=self.stopping, **more)

    _in_order = False
    """Whether this process got a stop signal, so that Celery ended in order. kombu 5.7 may not survive losing its
    broker twice in a row."""

    def _on_retire(self, **_: Any) -> None:
        self._in_order = True
        self._retiring.set()

    def _retire(self) -> None:
        """End the process because one of its jobs does not end and its thread cannot be ended; the other jobs continue
        elsewhere."""
        self._retiring.set()
        threading.Thread(target=self._retire_soon, name="limner-retire").start()

    def _retire_soon(self) -> None:
        end = time.monotonic() + RETIRE
        while self._at_work > 1 and time.monotonic() < end:
            time.sleep(LOOK)
        log.error("this process ends, because one of its jobs does not")
        os._exit(RETIRED)

    def _add_task(self, app: Celery) -> None:
        @app.task(name=WORK)
        def work(job: str) -> None:
            self.work(job)

    def work(self, job: str) -> None:
        """Handle a message: work on the job if it can be taken, then notify the next one."""
        crash.passing("ring:before")
        with self._room:  # filled by jobs of the poller's if the broker was away until now
            self._work(job)
        crash.passing("ring:after")  # what follows is the acknowledgement

    def _work_if_room(self, job: str) -> bool:
        """The same for a job that the poller found, where this process has room for one more; whether it worked."""
        if not self._room.acquire(blocking=False):
            return False
        try:
            return self._work(job)
        finally:
            self._room.release()

    def _work(self, job: str) -> bool:
        with self._lock:
            self._at_work += 1
        try:
            taken = self._my_runner().work(job)
            if taken and not self.stopping():
                self._ring_for_next(job)
            return taken
        except LedgerError as e:
            log.error("job %s is left to the sweeper: %s", job, e)
            return False
        finally:
            with self._lock:
                self._at_work -= 1

    def _ring_for_next(self, job: str) -> None:
        """Send a message for the next job of a limited owner, who now has room for it."""
        owner = self.ledger.owner_of(job)
        waiting = self.ledger.next_of(owner) if owner else None
        if waiting and not self._broker_gone:
            self.bell.ring(*waiting)

    def _my_runner(self) -> Runner:
        assert self._runner is not None
        return self._runner

    def _make_runner(self, **more: Any) -> Runner:
        """This process's runner, made here because sockets and threads do not survive a fork."""
        name = process.name(parent=os.getppid())
        return Runner(self.settings, self.ledger, name, self.stopping, encoders=self.encoders, **more)

    # -- a process for a suspect

    def _work_alone(self, job: str) -> int:
        """Work on one suspect until it got further, ended, or crashed this process. Returns an exit code."""
        signal.signal(signal.SIGTERM, lambda *_: self._retiring.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._runner = self._make_runner(until_progress=True, overrun=lambda: os._exit(RETIRED))
        self.work(job)
        try:
            there = self.ledger.job(job)
            if there.state == "queued" and not self.stopping() and not self._broker_gone:
                self.bell.ring(job, there.route)
        except LedgerError as e:
            log.error("job %s is left to the sweeper: %s", job, e)
        return 0


def _child(parent: int, pulse: Pulse, target: Callable[..., int], *args: Any) -> None:
    """Run in a forked process, which ends with its parent and skips the parent's clean-up."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    die_with_parent()
    code = 1
    try:
        if os.getppid() == parent:
            pulse.beat()
            code = target(*args)
        observe.close_tracing()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 0
    except BaseException:
        log.exception("a worker process ended with this error")
    logging.shutdown()
    os._exit(code)


def _on_ready(**_: Any) -> None:
    """Ignore the terminal's Ctrl-C, which reaches all processes; the worker stops this one. Celery has just set its own
    handler."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def patience(lease: float) -> float:
    """Seconds that a worker waits for an answer of its database: a third of the lease, so that it can ask again."""
    return min(ANSWER, max(1.0, lease / 3))


def _shares(jobs: int, processes: int) -> list[int]:
    """Concurrent jobs of each process, distributed evenly."""
    count = min(jobs, processes)
    return [jobs // count + (n < jobs % count) for n in range(count)]


def _fitting(settings: Settings) -> int:
    """Default number of concurrent jobs. Jobs wait for the model most of the time; the embedded model computes here."""
    return 4 if settings.model_url or settings.writer_url else 1
