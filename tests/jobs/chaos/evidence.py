"""What the checker goes by: the rows as they stand in the database, read with SQL of its own."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_TABLES = {
    "jobs": "SELECT * FROM jobs WHERE {where} ORDER BY id",
    "events": "SELECT * FROM events WHERE {where} ORDER BY job, seq",
    "calls": "SELECT * FROM calls WHERE {where} ORDER BY id",
    "checkpoints": "SELECT thread_id, checkpoint_id, parent_checkpoint_id, metadata FROM checkpoints "
    "WHERE checkpoint_ns = '' AND {where} ORDER BY thread_id, checkpoint_id",
}
_KEYS = {"jobs": "id", "events": "job", "calls": "job", "checkpoints": "thread_id"}
_JSON = {"jobs": ("request", "article", "question", "answer"), "events": ("data",), "checkpoints": ("metadata",)}
_NOW = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgres": "SELECT extract(epoch from clock_timestamp())::double precision",
}


@dataclass
class Evidence:
    """All that a database says about its jobs."""

    jobs: list[Row]
    events: list[Row]
    calls: list[Row]
    checkpoints: list[Row]
    now: float
    """By the database's clock."""

    def by_job(self) -> dict[str, Evidence]:
        """The same, job by job."""
        parts = {row["id"]: Evidence([row], [], [], [], self.now) for row in self.jobs}
        for name in ("events", "calls", "checkpoints"):
            for row in getattr(self, name):
                if row[_KEYS[name]] in parts:
                    getattr(parts[row[_KEYS[name]]], name).append(row)
        return parts


def read(database: str | Path, job: str | None = None) -> Evidence:
    """The evidence in a SQLite file, or in Postgres by its URL, of one job or of all; one snapshot of it."""
    if _postgres(database):
        return read_postgres(str(database), job)
    return read_sqlite(Path(database), job)


def read_sqlite(path: Path, job: str | None = None) -> Evidence:
    """The evidence in a SQLite file."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        found = {
            name: [_plain(name, dict(row)) for row in connection.execute(*_query(name, job, "?"))] for name in _TABLES
        }
        return Evidence(**found, now=connection.execute(_NOW["sqlite"]).fetchone()[0])


def read_postgres(url: str, job: str | None = None) -> Evidence:
    """The evidence in a Postgres database."""
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        found = {name: [_plain(name, row) for row in connection.execute(*_query(name, job, "%s"))] for name in _TABLES}
        now = connection.execute(_NOW["postgres"]).fetchone()
        assert now
        return Evidence(**found, now=next(iter(now.values())))


def jobs_in(database: str | Path, state: str) -> list[Row]:
    """The rows of the jobs in a state; a cheap look."""
    query = f"SELECT id, attempt, worker FROM jobs WHERE state = {'%s' if _postgres(database) else '?'} ORDER BY id"
    if _postgres(database):
        import psycopg

        with psycopg.connect(str(database), connect_timeout=2) as connection:
            rows: Any = connection.execute(query, (state,)).fetchall()  # type: ignore[arg-type]
    else:
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            rows = connection.execute(query, (state,)).fetchall()
    return [{"id": row[0], "attempt": row[1], "worker": row[2]} for row in rows]


def _postgres(database: str | Path) -> bool:
    return str(database).startswith("postgresql")


def _query(table: str, job: str | None, parameter: str) -> tuple[Any, tuple[str, ...]]:
    where = "TRUE" if job is None else f"{_KEYS[table]} = {parameter}"
    return _TABLES[table].format(where=where), () if job is None else (job,)


def _plain(table: str, row: Row) -> Row:
    """SQLite keeps JSON as text or bytes, Postgres as what it is."""
    for name in _JSON.get(table, ()):
        if isinstance(row[name], str | bytes):
            row[name] = json.loads(row[name])
    return row
