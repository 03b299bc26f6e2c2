"""Refuse writes to the checkpoints of a job whose lease is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.jobs.ledger import Lease, LeaseLost

if TYPE_CHECKING:
    pass


SERDE = JsonPlusSerializer(allowed_msgpack_modules=[Brief, Article, Spot, Candidate, Selection])
"""Restores only the types of the graph's state, because a checkpoint's bytes are not trusted."""


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"Job {lease.job} is no longer attempt {lease.attempt}'s.")


TABLES = ("checkpoint_writes", "checkpoint_blobs", "writes", "checkpoints")
"""LangGraph's tables on Postgres and on SQLite; `thread_id` is the job."""
