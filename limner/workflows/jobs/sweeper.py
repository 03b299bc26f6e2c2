"""What keeps jobs from being forgotten: orphans are put back, the bell is rung again where nobody heard it.

One runs in every worker, as a process of its own. They need not know of each other: each change is one transaction
that checks that it is still due.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from limner.errors import LedgerError
from limner.settings import Settings
from limner.workflows.jobs import process
from limner.workflows.jobs.ledger import Ledger
from limner.workflows.jobs.queue import QUEUES, Bell
from limner.workflows.jobs.webhook import send_due

log = logging.getLogger("limner.sweeper")

AT_ONCE = 500  # jobs rung for in one sweep


def sweep(ledger: Ledger, bell: Bell, patience: float) -> None:
    """Look once. patience: seconds after which a bell that was rung counts as unheard. Raises LedgerError."""
    ledger.saw(process.name())
    swept = ledger.sweep(process.gone)
    for job in swept.put_back:
        log.warning("job %s was orphaned and is put back", job)
    for job in swept.set_aside:
        log.error("job %s is set aside", job)
    for queue in QUEUES:
        waiting = ledger.queued(queue)
        depth = bell.depth(queue) if waiting else 0
        if depth is None:
            return  # no broker: next time
        # As many rings as jobs are enough, however many of them were for jobs that are gone by now.
        unheard = ledger.unheard(queue, patience, min(AT_ONCE, max(0, waiting - depth)))
        rung = bell.ring_all((job, queue) for job in unheard)
        if rung:
            log.info("rang for %d jobs in %s", rung, queue)
            ledger.rang(unheard[:rung])


def run(settings: Settings, ledger: Ledger, bell: Bell, ended: Callable[[], bool]) -> None:
    """Sweep, and send webhooks, every `settings.sweep` seconds until `ended`."""
    done = threading.Event()
    hooks = threading.Thread(target=_send_webhooks, args=(settings, ledger, done), name="limner-webhooks", daemon=True)
    hooks.start()
    next_time = time.monotonic()
    while not ended():
        if time.monotonic() >= next_time:
            next_time = time.monotonic() + settings.sweep
            try:
                sweep(ledger, bell, patience=max(3 * settings.sweep, 3))
            except LedgerError as e:
                log.warning("%s", e)
        time.sleep(min(0.2, settings.sweep))
    done.set()
    hooks.join(2)


def _send_webhooks(settings: Settings, ledger: Ledger, done: threading.Event) -> None:
    """In a thread of its own: a receiver that hangs must not hold up the sweeps."""
    while not done.wait(1):
        try:
            while send_due(ledger, settings) and not done.is_set():
                pass
        except LedgerError as e:
            log.warning("%s", e)


def orphaned(parent: int) -> bool:
    """Whether the process that started this one is gone."""
    return os.getppid() != parent
