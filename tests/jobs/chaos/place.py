"""One installation as the chaos tests use it: a home, a database, a model server; submit, judge, look."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import evidence
from checker import Undisturbed, check
from exported import check_export
from scripted import ScriptedServer
from served import Book, brief
from servers import until

from limner.document import Article
from limner.jobs.checkpoints import checkpoints
from limner.jobs.ledger import Job, Ledger, Queue
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.jobs.request import JobRequest
from limner.jobs.worker import process
from limner.settings import Settings
from limner.surfaces.python import export


@dataclass
class Place:
    """Everything of one installation but its workers."""

    given: dict[str, Any]
    """Settings, as JSON."""
    book: Book
    marks: Iterator[str]
    ledger: Ledger
    database: str
    """As `evidence.read` takes it."""
    undisturbed: Undisturbed | None = None
    """What its jobs are compared with."""

    @property
    def settings(self) -> Settings:
        """The same as Settings."""
        return Settings(**self.given)

    def with_lease(self, seconds: float) -> dict[str, Any]:
        """Settings with another lease."""
        return {**self.given, "lease": seconds}

    def submit(self, *, images: int = 3, queue: Queue = "interactive") -> tuple[Job, str]:
        """A job that nobody was told of, and its mark."""
        mark = next(self.marks)
        order = JobRequest(brief=brief(mark), library=["bees"], images=images, queue=queue).order()
        [(job, _new)] = self.ledger.submit("local", [order])
        return job, mark

    def sweep(self) -> None:
        """Put back what belonged to processes that are no more."""
        self.ledger.sweep(process.gone)

    def state(self, job: str) -> str:
        """The job's state."""
        return self.ledger.job(job).state

    def evidence(self, job: str | None = None) -> evidence.Evidence:
        """The rows of a job, or of all."""
        return evidence.read(self.database, job)

    def objections(self, job: str | None = None, **options: Any) -> list[str]:
        """What the checker has against a job, or against all."""
        return check(self.evidence(job), list(self.book.entries), self.undisturbed, **options)

    def export(self, job: str, folder: Path) -> list[str]:
        """Export a job that is done; what the checker has against the files."""
        [row] = self.evidence(job).jobs
        export(Article.model_validate(row["article"]), folder, settings=self.settings)
        return check_export(folder, row["article"])

    def execute(self, statement: str, *values: Any) -> None:
        """SQL past the ledger, on SQLite."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute(statement, values)


NewPlace = Callable[..., AbstractContextManager[Place]]
"""`opened` with everything but the home given, and the database if it is not a file in the home."""


@contextmanager
def opened(
    home: Path, library: Path, book: Book, model: ScriptedServer, marks: Iterator[str], database: str = ""
) -> Iterator[Place]:
    """A place with the library "bees", its database made. database: its URL, "" for a file in the home."""
    shutil.copytree(library, home)
    given = {"home": str(home), "model_url": model.url, "model": "scripted-7b", "threads": 1}
    if database:
        given["database_url"] = database
    settings = Settings(**given)
    with closing(Database(database_url(settings))) as reached:
        migrate(reached)
        checkpoints.prepare(reached)
        ledger = Ledger(reached, lease=settings.lease, crashes=settings.crashes)
        yield Place(given, book, marks, ledger, database.removeprefix("sqlite:///") or str(home / "jobs.sqlite"))


# --- a real worker --------------------------------------------------------------------------------------------------


class WorkerProcess:
    """`limner worker` in a process group of its own; with `odd`, variables for `odd_worker.py`, that one."""

    def __init__(self, settings: dict[str, Any], log: Path, *, crash: str = "", odd: dict[str, str] | None = None):
        names = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
        env = {"LIMNER_WORKERS": "4", "LIMNER_PROCESSES": "2", "OMP_NUM_THREADS": "1"}
        env |= {"LIMNER_SWEEP": "0.5", "LIMNER_LEASE": "60"}  # the dead are seen at once; the late are waited for
        env |= {names.get(k, f"LIMNER_{k.upper()}"): str(v) for k, v in settings.items()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_")}
        script = ["-m", "limner.surfaces.cli.app", "worker", "--quiet"]
        if odd is not None:
            script = [str(Path(__file__).with_name("odd_worker.py"))]
            here = Path(__file__)
            env["PYTHONPATH"] = os.pathsep.join([str(here.parent), str(here.parents[2] / "helpers")])
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *script],
                env={**kept, **env, "LIMNER_CRASH_AT": crash, **(odd or {})},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def children(self) -> list[int]:
        """Processes of its pool, and its sweeper."""
        return [int(p) for p in _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split()]

    def signal(self, number: int) -> None:
        """To the whole worker."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """kill -9 of all its processes at once."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        """As a service manager stops it; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def pid_of(worker: str | None) -> int:
    """The process of a worker's name in the ledger."""
    assert worker
    return int(worker.split("/")[1])


def until_state(place: Place, job: str, *states: str) -> Job:
    """Wait until a job is in one of these states."""
    until(lambda: place.state(job) in states, f"job {job} to be {' or '.join(states)}; it is {place.state(job)}")
    return place.ledger.job(job)
