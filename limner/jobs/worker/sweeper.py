"""The sweeper: requeue orphaned jobs, and send lost messages again.

One runs in every worker, as a separate process. Sweepers need not know of each other, because each change is one
transaction that checks that it is still due.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from limner.errors import LedgerError
from limner.jobs.ledger import QUEUES, Ledger, Renewals, route
from limner.jobs.ledger.values import Death
from limner.jobs.queue import Bell
from limner.jobs.retention import tidy
from limner.jobs.webhook import send_due
from limner.jobs.worker import process
from limner.settings import Settings

log = logging.getLogger("limner.sweeper")

TIDY = 3600  # seconds between two deletions of old working data
AT_ONCE = 500  # messages per sweep


@dataclass
class Sweeper:
    """Sweeps the ledger's jobs on behalf of one worker."""

    ledger: Ledger
    bell: Bell
    patience: float
    """Seconds after which a message counts as lost."""
    worker: Connection
    """The worker, which reports how its processes end."""
    hand_over: bool
    """Whether the worker itself starts suspects alone; if False, its processes run one job each and any can take
    them."""
    broker_gone: Callable[[], None] = lambda: None
    """Called when the broker cannot be reached."""
    deaths: dict[str, Death] = field(default_factory=dict)
    """Deaths that are not in the ledger yet, by the name of the process."""

    def __post_init__(self) -> None:
        self.renewals = Renewals(self.ledger.lease_seconds)

    def listen(self) -> bool:
        """Read the worker's reports. Returns whether one of its processes has died."""
        heard = False
        while self.worker.poll():
            death: Death = self.worker.recv()
            self.deaths[death.worker] = death
            heard = True
        return heard

    def sweep(self) -> None:
        """Sweep once. Raises LedgerError."""
        self.ledger.saw(process.name())
        known_deaths = dict(self.deaths)
        swept = self.ledger.sweep(process.unheard, known_deaths, self.renewals)
        for name in known_deaths:
            del self.deaths[name]
        for job in swept.put_back:
            log.warning("job %s was orphaned and is requeued", job)
        for job in swept.set_aside:
            log.error("job %s is set aside", job)
        if self.hand_over and (suspects := self.ledger.suspects(AT_ONCE)):
            self.worker.send(suspects)
        self.ring()

    def ring(self) -> None:
        """Send messages for queued jobs that have none, or whose message was lost. Raises LedgerError."""
        suspects = not self.hand_over
        for queue, begun in itertools.product(QUEUES, (True, False)):
            waiting = self.ledger.queued(queue, suspects=suspects, begun=begun)
            if not waiting:
                continue
            depth = self.bell.depth(route(queue, begun))
            if depth is None:
                self.broker_gone()
                return  # next time; until then workers look for jobs themselves
            # As many messages as jobs are enough, even if some are for jobs that no longer wait.
            many = min(AT_ONCE, max(0, waiting - depth))
            unheard = self.ledger.unheard(queue, self.patience, many, suspects=suspects, begun=begun)
            rung = self.bell.ring_all((job, route(queue, begun)) for job in unheard)
            if rung:
                log.info("sent messages for %d jobs in %s", rung, route(queue, begun))
                self.ledger.rang(unheard[:rung])


def patience(sweep: float) -> float:
    """Seconds after which a bell that was rung counts as unheard, by the seconds between two sweeps."""
    return max(3 * sweep, 3)


def run(
    settings: Settings,
    ledger: Ledger,
    bell: Bell,
    ended: Callable[[], bool],
    worker: Connection,
    hand_over: bool,
    broker_gone: Callable[[], None],
) -> None:
    """Sweep, and send webhooks, every `settings.sweep` seconds until `ended`; at once when a process has died.

    worker, hand_over, broker_gone: as in `Sweeper`.
    """
    done = threading.Event()
    hooks = threading.Thread(target=_send_webhooks, args=(settings, ledger, done), name="limner-webhooks", daemon=True)
    hooks.start()
    tidier = threading.Thread(target=_tidy, args=(settings, ledger, done), name="limner-tidier", daemon=True)
    tidier.start()
    sweeper = Sweeper(ledger, bell, patience(settings.sweep), worker, hand_over, broker_gone)
    next_time = time.monotonic()
    while not ended():
        if sweeper.listen() or time.monotonic() >= next_time:
            next_time = time.monotonic() + settings.sweep
            try:
                sweeper.sweep()
            except LedgerError as e:
                log.warning("%s", e)
        time.sleep(min(0.2, settings.sweep))
    done.set()
    hooks.join(2)


def _send_webhooks(settings: Settings, ledger: Ledger, done: threading.Event) -> None:
    """Send due webhooks; in its own thread, because a hanging receiver must not delay the sweeps."""
    while not done.wait(1):
        try:
            while send_due(ledger, settings) and not done.is_set():
                pass
        except LedgerError as e:
            log.warning("%s", e)


def _tidy(settings: Settings, ledger: Ledger, done: threading.Event) -> None:
    """Delete old working data; in its own thread, because a long deletion must not delay the sweeps."""
    while not done.wait(TIDY):
        try:
            if tidied := tidy(ledger.database, settings.keep):
                log.info("deleted the working data of %d jobs", tidied)
        except LedgerError as e:
            log.warning("%s", e)


def orphaned(parent: int) -> bool:
    """Whether the process that started this one is gone."""
    return os.getppid() != parent
