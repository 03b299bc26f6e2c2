"""A database of each earlier schema, full of what people had in it, is brought up to date and loses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from orders import submitted
from pydantic import TypeAdapter
from sqlalchemy import JSON, Connection, MetaData, Table, insert, inspect, select

from limner.agents.meter import Usage
from limner.document import read_markdown
from limner.errors import LibraryMissing
from limner.jobs.history.revisions import Revisions
from limner.jobs.ledger import Ledger, News
from limner.jobs.ledger import database as module
from limner.jobs.ledger.database import HEAD, Database, database_url, migrate, schema_of
from limner.jobs.ledger.schema import metadata
from limner.jobs.owners import Owners
from limner.settings import Settings
from limner.tools.editing.commands import Edit

SCRIPTS = ScriptDirectory(str(Path(module.__file__).parents[1] / "migrations"), version_locations=None)
REVISIONS = sorted(script.revision for script in SCRIPTS.walk_revisions())
EDITS: TypeAdapter[list[Any]] = TypeAdapter(list[Edit])
_names = (f"u{n}" for n in itertools.count(1))


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two empty ones of a kind."""

    def made(where: Path) -> Database:
        url = request.getfixturevalue("postgres").database(next(_names)) if request.param == "postgres" else ""
        return Database(database_url(Settings(home=where, database_url=url)))  # type: ignore[arg-type]

    with closing(made(home)) as first, closing(made(tmp_path / "old")) as second:
        yield first, second


def no_images(library: str, _image: str) -> Any:
    """These articles are of text alone."""
    raise LibraryMissing(f"There is no library {library}.")


def lived_in(database: Database) -> tuple[Ledger, str]:
    """A ledger with a job in every state, events, calls, owners, tokens and an article with a history; its job."""
    migrate(database)
    ledger, owners = Ledger(database, lease=600), Owners(database, Settings())
    owners.add_token("anna", "anna's laptop", ["bees"])
    owners.limit("anna", jobs_at_a_time=2, tokens_a_day=1000)
    done, running, failed, waiting, parked, _queued = submitted(ledger, *"ABCDEF", owner="anna", queue="batch")
    owners.limit("anna", jobs_at_a_time=9)
    leases = {job.id: ledger.take(job.id, "host/1/1") for job in (done, running, failed, waiting, parked)}
    for job, lease in leases.items():
        assert lease is not None
        ledger.append(lease, [News("text", "write", {"text": f"of {job}"}, once="t1")], step="write", done=1, of=2)
        ledger.keep(lease, "write", "writer", "d" * 64, "an answer", Usage(1, 100, 20, 3), 1)
    ledger.finish(leases[done.id], read_markdown("# Honey\n\nBees gather nectar.\n"))  # type: ignore[arg-type]
    ledger.fail(leases[failed.id], "it could not be done")  # type: ignore[arg-type]
    ledger.wait(leases[waiting.id], [{"id": "q", "value": {"ask": "Is it good?"}}])  # type: ignore[arg-type]
    ledger.park(leases[parked.id], "the server is away", 10)  # type: ignore[arg-type]
    edits = EDITS.validate_python([{"do": "set_text", "block": "b2", "text": "Bees carry nectar home."}])
    Revisions(ledger).edit(done.id, edits, 1, "anna", no_images)
    return ledger, done.id


def tables_of(c: Connection) -> dict[str, Table]:
    """As they are in the database."""
    names = set(inspect(c).get_table_names()) & set(metadata.tables)
    found = {
        t.name: Table(t.name, MetaData(), autoload_with=c, resolve_fks=False)
        for t in metadata.sorted_tables
        if t.name in names
    }
    for table in found.values():
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type.none_as_null = True
    return found


def rows_of(database: Database, known: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """All rows, of these tables and columns, in an order of their own."""
    with database.read() as c:
        tables = tables_of(c)
        found = {
            n: [dict(r) for r in c.execute(select(*(tables[n].c[k] for k in ks))).mappings()] for n, ks in known.items()
        }
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


@pytest.mark.parametrize("revision", REVISIONS)
def test_everything_is_there_after_the_upgrade(revision: str, databases: tuple[Database, Database]) -> None:
    today, old = databases
    _, job = lived_in(today)
    migrate(old, to=revision)
    assert schema_of(old) == revision
    with old.read() as c:
        known = {name: [column.name for column in table.columns] for name, table in tables_of(c).items()}
    before = rows_of(today, known)
    with old.write() as c:
        for name, table in tables_of(c).items():
            if before[name]:
                c.execute(insert(table), before[name])

    migrate(old)

    assert schema_of(old) == HEAD
    assert rows_of(old, known) == before
    with old.engine.connect() as connection:
        options = {"version_table": "limner_version", "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    ledger = Ledger(old, lease=600)
    assert {j.state for j in ledger.list("anna")} == {"done", "running", "failed", "waiting", "parked", "queued"}
    assert [e.kind for e in ledger.events(job)][:3] == ["queued", "started", "text"]
    shown = Revisions(ledger).show(job).article
    assert "nectar" in shown.source
    [queued] = [j for j in ledger.list("anna") if j.state == "queued"]
    lease = ledger.take(queued.id, "host/1/2")
    assert lease is not None
    ledger.finish(lease, read_markdown("# Glass\n\nSand melts.\n"))
    assert ledger.spent_today("anna") == (5 * 120, 0)
