"""Dump the tables of a Postgres as lines of JSON, and load them: one file per table, one line per row."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Connection, MetaData, Table, insert, inspect, select, text

from limner.jobs.checkpoints import checkpoints
from limner.jobs.checkpoints.fence import TABLES
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import calls, jobs, metadata, owners

AT_ONCE = 500  # rows


def dump(database: Database, folder: Path) -> dict[str, int]:
    """Write NAME.jsonl for each table, all of the same moment; returns the number of rows of each."""
    counts: dict[str, int] = {}
    with database.read() as c:
        c = c.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        for table in _there(c):
            with (folder / f"{table.name}.jsonl").open("w", encoding="utf-8") as out:
                counts[table.name] = 0
                for row in c.execution_options(yield_per=AT_ONCE).execute(select(table)).mappings():
                    out.write(json.dumps({name: _written(value) for name, value in row.items()}) + "\n")
                    counts[table.name] += 1
    return counts


def load(database: Database, files: Mapping[str, Callable[[], Iterator[bytes]]]) -> dict[str, int]:
    """Fill empty tables, all or none; returns the number of rows of each."""
    checkpoints.prepare(database)
    counts: dict[str, int] = {}
    with database.write() as c:
        for table in _there(c):
            name = f"{table.name}.jsonl"
            counts[table.name] = _fill(c, table, _lines(files[name]())) if name in files else 0
        c.execute(text("SELECT setval(pg_get_serial_sequence('calls', 'id'), (SELECT max(id) FROM calls))"))
    return counts


def empty(database: Database) -> bool:
    """Whether the tables contain nothing of value."""
    with database.read() as c:
        return not any(c.execute(select(table).limit(1)).first() for table in (jobs, owners, calls))


def _there(c: Connection) -> list[Table]:
    """limner's tables, in an order that foreign keys allow, and LangGraph's; as found in the database, of any
    schema."""
    names = [*(table.name for table in metadata.sorted_tables), *TABLES]
    found = set(inspect(c).get_table_names())
    tables = [Table(name, MetaData(), autoload_with=c, resolve_fks=False) for name in names if name in found]
    for table in tables:
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type.none_as_null = True
    return tables


def _fill(c: Connection, table: Table, lines: Iterable[bytes]) -> int:
    rows: list[dict[str, Any]] = []
    count = 0
    for line in lines:
        rows.append({name: _read(value) for name, value in json.loads(line).items()})
        count += 1
        if len(rows) == AT_ONCE:
            c.execute(insert(table), rows)
            rows = []
    if rows:
        c.execute(insert(table), rows)
    return count


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _written(value: Any) -> Any:
    """A value as a list that distinguishes bytes, in base64, from everything else."""
    if isinstance(value, bytes | memoryview):
        return ["b", base64.b64encode(value).decode()]
    return ["v", value]


def _read(value: Any) -> Any:
    kind, given = value
    return base64.b64decode(given) if kind == "b" else given
