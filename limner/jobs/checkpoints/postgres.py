"""The fenced checkpointer on Postgres, a separate module because psycopg comes with an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import dict_row

from limner.errors import LedgerError
from limner.jobs.checkpoints.fence import SERDE, Crashing, _lost
from limner.jobs.ledger import Lease
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.deadline import Bounded

_HELD = "SELECT 1 FROM jobs WHERE id = %s AND attempt = %s AND state = 'running' FOR SHARE"


class FencedPostgres(Crashing, PostgresSaver):
    """Checkpoints in the ledger's database, so that the transaction that writes them can check the lease."""

    lease: Lease | None = None

    @contextmanager
    def _cursor(self, *, pipeline: bool = False) -> Iterator[Any]:
        if not pipeline:
            with super()._cursor() as cursor:
                yield cursor
            return
        # The base class opens a pipeline here, to write; deadline.OneByOne says why none is opened.
        with super()._cursor() as cursor, cursor.connection.transaction():
            lease = self.lease
            if lease and cursor.execute(_HELD, (lease.job, lease.attempt)).fetchone() is None:
                raise _lost(lease)
            yield cursor


@contextmanager
def fenced(database: Database, lease: Lease | None) -> Iterator[FencedPostgres]:
    """A checkpointer with its own connection."""
    url = database.url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        connection = Bounded[dict[str, Any]].reach(
            url, answer=database.answer, autocommit=True, prepare_threshold=0, row_factory=dict_row
        )
    except psycopg.OperationalError as e:
        raise LedgerError(f"The job database cannot be reached ({_line(e)}). Check DATABASE_URL.") from e
    try:
        saver = FencedPostgres(connection, serde=SERDE)
        saver.lease = lease
        yield saver
    except psycopg.OperationalError as e:
        raise LedgerError(f"The job database cannot be used now ({_line(e)}). Check DATABASE_URL.") from e
    finally:
        connection.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
