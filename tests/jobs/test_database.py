"""The schema from release to release, and databases that are not there."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from orders import submitted
from servers import Postgres, postgres_programs, until
from sqlalchemy import text

from limner.errors import BadInput, LedgerError
from limner.jobs.ledger import Ledger
from limner.jobs.ledger import database as module
from limner.jobs.ledger.database import HEAD, Database, database_url, migrate, wait_until_there
from limner.jobs.ledger.schema import metadata
from limner.settings import Settings


def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    with database.engine.connect() as connection:
        options = {"version_table": "limner_version", "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(module.__file__).parents[1] / "migrations"), version_locations=None)
    assert scripts.get_heads() == [HEAD]


def test_ten_at_once_migrate_once(home: Path) -> None:
    url = database_url(Settings(home=home))
    made = [Database(url) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(migrate, made))
    assert submitted(Ledger(made[0]), "Honey")
    for one in made:
        one.close()


def test_a_newer_limner_s_database_is_left_alone(database: Database) -> None:
    with database.write() as c:
        c.execute(text("UPDATE limner_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match=r"has schema '9999'.*made by a newer one. Update limner"):
        migrate(database)


def test_a_file_that_is_no_database(home: Path) -> None:
    home.mkdir()
    (home / "jobs.sqlite").write_text("not a database, " * 100)
    database = Database(database_url(Settings(home=home)))
    with pytest.raises(LedgerError, match="cannot be used now"):
        migrate(database)
    database.close()


def test_checkpoints_of_the_shell_s_jobs_do_not_get_in_the_way(home: Path) -> None:
    """`limner compose` has written to the same file before there were jobs."""
    home.mkdir()
    with closing(sqlite3.connect(home / "jobs.sqlite")) as connection:
        connection.execute("CREATE TABLE checkpoints (thread_id TEXT)")
    database = Database(database_url(Settings(home=home)))
    migrate(database)
    assert submitted(Ledger(database), "Honey")
    database.close()


@pytest.mark.parametrize("url", ["mysql://a@b/c", "nonsense", "http://example.org", "postgresql"])
def test_another_kind_of_address(url: str) -> None:
    with pytest.raises(BadInput, match="DATABASE_URL is not an address of Postgres"):
        database_url(Settings(database_url=url))  # type: ignore[arg-type]


def test_nobody_answers_there() -> None:
    database = Database(database_url(Settings(database_url="postgresql://u:pa55word@127.0.0.1:1/x")))  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match=r"cannot be used now.*Check DATABASE_URL") as raised:
        migrate(database)
    assert "pa55word" not in str(raised.value)
    database.close()


def test_a_service_waits_for_its_database(caplog: pytest.LogCaptureFixture) -> None:
    if postgres_programs() is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    with Postgres() as server, ThreadPoolExecutor(1) as pool:
        server.stop()
        there = Database(database_url(Settings(database_url=server.url)))  # type: ignore[arg-type]
        waiting = pool.submit(wait_until_there, there)
        until(lambda: "Waiting for it" in caplog.text, "a word that it waits")
        server.start()
        waiting.result(60)
        there.close()
        caplog.clear()
        other = Database(database_url(Settings(database_url=f"{server.url}-not")))  # type: ignore[arg-type]
        with pytest.raises(LedgerError, match="does not exist"):
            wait_until_there(other)
        assert "Waiting" not in caplog.text, "nothing would come of it"
        other.close()


def test_the_wait_for_a_database_ends() -> None:
    nowhere = Database(database_url(Settings(database_url="postgresql://u@127.0.0.1:1/x")))  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match=r"Check DATABASE_URL"):
        wait_until_there(nowhere, 0)
    nowhere.close()


def test_the_database_s_clock_counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker an hour off neither loses its lease nor takes another's."""
    import time

    ledger = Ledger(database, lease=600)
    [job] = submitted(ledger, "Honey")
    real = time.time
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + 3600 * hours)
        lease = ledger.take(job.id, "w")
        assert lease
        ledger.beat(lease)
        assert ledger.sweep().put_back == []
        assert abs(ledger.job(job.id).now - real()) < 60
        ledger.put_back(lease)
