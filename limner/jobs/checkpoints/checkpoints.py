"""LangGraph's checkpointers, which refuse a write once another worker holds the job's lease.

The check is part of the write's own transaction. After an earlier check a worker could be paused, wake up, and
overwrite its successor's work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from sqlalchemy import Connection, column, delete, inspect, table
from sqlalchemy.engine import make_url

from limner.errors import LedgerError, NotInstalled
from limner.jobs.checkpoints.fence import SERDE, TABLES, Crashing, _lost
from limner.jobs.ledger import Lease
from limner.jobs.ledger.database import BUSY, Database

_HELD = "SELECT 1 FROM jobs WHERE id = {0} AND attempt = {0} AND state = 'running'"


class FencedSqlite(Crashing, SqliteSaver):
    """Checkpoints in the ledger's SQLite file; read-only if `lease` is None."""

    lease: Lease | None = None

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        with super().cursor(transaction) as cursor:
            if transaction and self.lease:  # the base class opens a transaction here to write
                cursor.execute("BEGIN IMMEDIATE")
                if cursor.execute(_HELD.format("?"), (self.lease.job, self.lease.attempt)).fetchone() is None:
                    raise _lost(self.lease)
            yield cursor


@contextmanager
def checkpointer(database: Database, lease: Lease | None = None) -> Iterator[BaseCheckpointSaver]:
    """The checkpointer of a job's steps. It writes only with a lease, and only while that lease holds."""
    reach = _sqlite if database.sqlite else _postgres
    with reach(database, lease) as saver:
        yield saver


@contextmanager
def _sqlite(database: Database, lease: Lease | None) -> Iterator[FencedSqlite]:
    path = make_url(database.url).database or ":memory:"
    connection = sqlite3.connect(path, timeout=BUSY, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        saver = FencedSqlite(connection, serde=SERDE)
        saver.lease = lease
        yield saver
    except sqlite3.OperationalError as e:
        raise LedgerError(f"The job database cannot be used now ({e}). Free some disk, or check its folder.") from e
    finally:
        connection.close()


def _postgres(database: Database, lease: Lease | None) -> AbstractContextManager[BaseCheckpointSaver]:
    try:
        from limner.jobs.checkpoints.postgres import fenced
    except ModuleNotFoundError as e:
        raise NotInstalled(f"Postgres needs {e.name}: pip install 'limner[postgres]'.") from e
    return fenced(database, lease)


def prepare(database: Database) -> None:
    """Create the checkpoints' tables; call it once per start, not in every job."""
    with checkpointer(database) as saver:
        saver.setup()  # type: ignore[attr-defined]


def forget_within(c: Connection, jobs: Sequence[str]) -> None:
    """Delete the checkpoints of jobs within a transaction."""
    there = set(inspect(c).get_table_names())
    for name in TABLES:
        if name in there:
            c.execute(delete(table(name, column("thread_id"))).where(column("thread_id").in_(jobs)))


def forget(database: Database, jobs: Sequence[str]) -> None:
    """Delete the checkpoints of jobs."""
    with database.write() as c:
        forget_within(c, jobs)
