"""Faults at random, from a seed, upon workers, broker and database, for as long as it is let."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brokers import Broker
from evidence import Row
from place import WorkerProcess, pid_of
from proxies import Proxy
from servers import Postgres


@dataclass(frozen=True)
class Hit:
    """An attempt whose owner was taken away."""

    kind: str
    job: str
    attempt: int
    at: float
    """Seconds since 1970."""


@dataclass
class Fleet:
    """Workers that can be killed and are started again."""

    settings: dict[str, Any]
    log: Path
    count: int
    workers: list[WorkerProcess] = field(default_factory=list)

    def __enter__(self) -> Fleet:
        self.workers = [WorkerProcess(self.settings, self.log) for _ in range(self.count)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()

    def replace(self, worker: WorkerProcess) -> None:
        """kill -9 of a whole worker; another takes its place."""
        worker.kill()
        self.workers[self.workers.index(worker)] = WorkerProcess(self.settings, self.log)

    def of(self, pid: int) -> WorkerProcess | None:
        """The worker whose process it is."""
        return next((w for w in self.workers if pid in w.children()), None)


class Monkey:
    """Does one thing after the other."""

    def __init__(
        self,
        fleet: Fleet,
        broker: Broker,
        postgres: Postgres | None,
        running: Callable[[], list[Row]],
        ring_again: Callable[[], object],
        seed: int,
        lease: float,
        proxy: Proxy | None = None,
    ) -> None:
        """running: the rows of jobs that run now. ring_again: rings for every job that has not ended. proxy: between
        the workers and Postgres.
        """
        self.fleet, self.broker, self.postgres, self.lease = fleet, broker, postgres, lease
        self.running, self.ring_again, self.proxy = running, ring_again, proxy
        self.rng = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.hits: list[Hit] = []
        self._paused: list[threading.Timer] = []

    def run(self, seconds: float) -> Iterator[str]:
        """What was done, each time it was done."""
        deeds: list[tuple[str, Callable[[], bool], int]] = [
            ("kill -9 of a process", self.kill_process, 5),
            ("kill -9 of a worker", self.kill_worker, 2),
            ("process paused beyond its lease", self.pause_process, 3),
            ("worker paused beyond its leases", self.pause_worker, 1),
            ("broker killed and restarted", self.restart_broker, 1),
            ("broker flushed", self.flush_broker, 2),
            ("all messages doubled", self.double, 2),
        ]
        if self.postgres:
            deeds.append(("Postgres restarted", self.restart_postgres, 2))
        if self.proxy:
            deeds.append(("Postgres silent beyond the lease", self.silence_postgres, 1))
        names, does, weights = zip(*deeds, strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(0.3, 2.5))
            [n] = self.rng.choices(range(len(names)), weights)
            if does[n]():
                self.faults[names[n]] += 1
                yield names[n]
        for timer in self._paused:
            timer.join()

    # -- deeds; each says whether there was anything to do it to

    def kill_process(self) -> bool:
        with self._hit("kill") as pid:
            return bool(pid) and self._signal(pid, signal.SIGKILL)

    def kill_worker(self) -> bool:
        worker = self.rng.choice(self.fleet.workers)
        self._note_all("kill", worker)
        self.fleet.replace(worker)
        return True

    def pause_process(self) -> bool:
        with self._hit("pause") as pid:
            if not pid or not self._signal(pid, signal.SIGSTOP):
                return False
            self._later(lambda: self._signal(pid, signal.SIGCONT))
            return True

    def pause_worker(self) -> bool:
        worker = self.rng.choice(self.fleet.workers)
        self._note_all("pause", worker)
        with suppress(ProcessLookupError):
            worker.signal(signal.SIGSTOP)

        def go_on() -> None:
            with suppress(ProcessLookupError):
                worker.signal(signal.SIGCONT)

        self._later(go_on)
        return True

    def restart_broker(self) -> bool:
        self.broker.kill()
        time.sleep(self.rng.uniform(0, 2))
        self.broker.start()
        return True

    def flush_broker(self) -> bool:
        self.broker.client.flushall()
        return True

    def restart_postgres(self) -> bool:
        assert self.postgres
        self.postgres.stop()
        time.sleep(self.rng.uniform(0, 2))
        self.postgres.start()
        return True

    def silence_postgres(self) -> bool:
        assert self.proxy
        self.proxy.fall_silent()
        time.sleep(self.lease + self.rng.uniform(0.5, 3))
        self.proxy.speak_again()
        return True

    def double(self) -> bool:
        self.ring_again()
        return True

    # -- parts

    @contextmanager
    def _hit(self, kind: str) -> Iterator[int]:
        """The process of a job that runs, noted; 0 if none does."""
        rows = [row for row in self.running() if row["worker"] and self.fleet.of(pid_of(row["worker"]))]
        if not rows:
            yield 0
            return
        hit = self.rng.choice(rows)["worker"]
        yield pid_of(hit)
        self.hits += [Hit(kind, row["id"], row["attempt"], time.time()) for row in rows if row["worker"] == hit]

    def _note_all(self, kind: str, worker: WorkerProcess) -> None:
        mine = set(worker.children())
        for row in self.running():
            if row["worker"] and pid_of(row["worker"]) in mine:
                self.hits.append(Hit(kind, row["id"], row["attempt"], time.time()))

    def _later(self, do: Callable[[], object]) -> None:
        timer = threading.Timer(self.lease + self.rng.uniform(0.5, 3), do)
        timer.start()
        self._paused.append(timer)

    @staticmethod
    def _signal(pid: int, number: int) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True
