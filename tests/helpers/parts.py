"""An API on a free port, and a worker in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from servers import in_thread, listening

import limner
from limner.jobs.checkpoints import checkpoints
from limner.jobs.service import Jobs
from limner.jobs.worker.runner import Runner

NAMES = [
    "compose_article",
    "revise_article",
    "answer_review",
    "get_article",
    "ask_article",
    "export_article",
    "search_images",
    "write",
    "spot",
    "retrieve",
    "select",
]


def served(app: Any) -> contextlib.AbstractContextManager[str]:
    """An application under plain uvicorn, on a free port; the address."""
    return listening(uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2)))


@contextlib.contextmanager
def working(jobs: Jobs) -> Iterator[None]:
    """A worker in a thread, which looks into the ledger instead of waiting for a bell."""
    checkpoints.prepare(jobs.database)
    ended = threading.Event()

    def work() -> None:
        runner = Runner(limner.Settings(), jobs.ledger, "worker")
        while not ended.wait(0.05):
            for job in jobs.ledger.list(states=["queued"]):
                runner.work(job.id)

    with in_thread(work):
        try:
            yield
        finally:
            ended.set()
