"""Take jobs from the ledger while the broker cannot be reached.

Messages only save workers from polling. The sweeper notices that the broker is gone, because it sends lost messages
again. From then on the threads below poll the ledger, at irregular intervals, so that workers do not all ask at once.
"""

from __future__ import annotations

import itertools
import logging
import mmap
import random
import struct
import threading
import time
from collections.abc import Callable

from limner.errors import LedgerError
from limner.jobs.ledger import QUEUES, Ledger

log = logging.getLogger("limner.worker")

AT_ONCE = 16  # jobs per poll; others may take some of them first
LINGER = 60  # seconds to continue after the broker is back: Celery tries to reach it every half minute at worst


class Gone:
    """Whether the broker is gone, in memory that all processes forked from here share."""

    def __init__(self) -> None:
        self._until = mmap.mmap(-1, 8)

    def tell(self) -> None:
        """Record that the broker cannot be reached; called in the sweeper."""
        if not self:
            log.warning("the broker cannot be reached; workers look for jobs by themselves")
        self._until[:] = struct.pack("d", time.monotonic() + LINGER)

    def __bool__(self) -> bool:
        [until] = struct.unpack("d", self._until[:])
        return time.monotonic() < until


class Poller:
    """Polls for jobs in threads of its own, one for each concurrent job of the process."""

    def __init__(
        self,
        ledger: Ledger,
        work: Callable[[str], bool],
        *,
        gone: Gone,
        stopping: Callable[[], bool],
        every: float,
        patience: float,
        jobs: int,
    ) -> None:
        """work: takes a job and works on it if it can be taken and there is room; returns whether it did. every:
        seconds between two polls. patience: seconds until a job's message counts as lost. jobs: number of concurrent
        jobs.
        """
        self._ledger, self._work, self._gone, self._stopping = ledger, work, gone, stopping
        self._every, self._patience = every, patience
        self._suspects = jobs == 1  # else suspects get processes of their own
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"limner-poller-{n}") for n in range(jobs)]

    def __enter__(self) -> Poller:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until the running jobs have reached a boundary."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every * random.uniform(0.5, 1.5)):
            try:
                while self._gone and not self._over() and self._take():
                    pass
            except LedgerError as e:
                log.warning("%s", e)
            except Exception:  # whatever is raised, the next jobs must not wait for ever
                log.exception("looking for a job failed in a way nobody foresaw")

    def _take(self) -> bool:
        """Work on one job, in Celery's order; returns whether there was one."""
        for queue, begun in itertools.product(QUEUES, (True, False)):
            found = self._ledger.unheard(queue, self._patience, AT_ONCE, suspects=self._suspects, begun=begun)
            for job in found:
                if self._over():
                    return False
                if self._work(job):
                    return True
        return False

    def _over(self) -> bool:
        return self._ended.is_set() or self._stopping()
