"""A house to run jobs in: a ledger, a runner, a library, and a model server whose answers can be changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripted import Answer, ScriptedServer, article_answers, asking
from servers import until

from limner.jobs.checkpoints import checkpoints
from limner.jobs.ledger import Job, Ledger
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.jobs.request import JobRequest
from limner.jobs.worker.runner import Runner
from limner.settings import Settings


@dataclass
class House:
    """A ledger, a runner, and a model server whose answers can be changed."""

    home: Path
    server: ScriptedServer
    ledger: Ledger
    answers: Callable[[dict[str, Any]], Answer]
    stop: threading.Event = field(default_factory=threading.Event)

    def runner(self, **more: Any) -> Runner:
        settings = Settings(home=self.home, model_url=self.server.url, model="scripted-7b", retries=0, timeout=20)
        return Runner(settings.model_copy(update=more.pop("settings", {})), self.ledger, "w", self.stop.is_set, **more)

    def submit(self, owner: str = "local", **request: Any) -> Job:
        made = JobRequest(**{"brief": "How bees make honey", "library": ["bees"], "images": 2, **request})
        [(job, _)] = self.ledger.submit(owner, [made.order()])
        return job

    def asked(self) -> list[str]:
        return [role for body in self.server.requests if (role := asking(body)) != "probe"]

    def kinds(self, job: Job) -> list[str]:
        return [e.kind for e in self.ledger.events(job.id) if e.kind not in ("step", "text")]

    def due(self, job: Job) -> None:
        until(lambda: self.ledger.sweep().due == [job.id], "the parked job to be due")


@contextmanager
def built(home: Path) -> Iterator[House]:
    """A house on SQLite; its server answers well. The library "bees" has to be in `home`."""
    good = article_answers(sees=True)
    made: list[House] = []
    with ScriptedServer(lambda body: made[0].answers(body)) as server:
        database = Database(database_url(Settings(home=home)))
        migrate(database)
        checkpoints.prepare(database)
        made.append(House(home, server, Ledger(database, lease=30), good))
        yield made[0]
        database.close()
