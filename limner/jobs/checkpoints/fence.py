"""Refuse writes to the checkpoints of a job whose lease is lost."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.jobs import crash
from limner.jobs.ledger import Lease, LeaseLost

SERDE = JsonPlusSerializer(allowed_msgpack_modules=[Brief, Article, Spot, Candidate, Selection])
"""Restores only the types of the graph's state, because a checkpoint's bytes are not trusted."""


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"Job {lease.job} is no longer attempt {lease.attempt}'s.")


class Crashing(BaseCheckpointSaver[Any]):
    """Where tests end the process around a write; mix it in before the checkpointer's own class."""

    def put(self, *args: Any, **kwargs: Any) -> Any:
        with crash.around("put"):
            return super().put(*args, **kwargs)

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        with crash.around("put_writes"):
            super().put_writes(*args, **kwargs)


TABLES = ("checkpoint_writes", "checkpoint_blobs", "writes", "checkpoints")
"""LangGraph's tables on Postgres and on SQLite; `thread_id` is the job."""
