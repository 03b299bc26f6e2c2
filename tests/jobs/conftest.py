"""A ledger on SQLite and on Postgres, and jobs in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.jobs.ledger import Ledger
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.settings import Settings

_names = (f"d{n}" for n in itertools.count(1))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, home: Path) -> Iterator[Database]:
    """An empty, migrated database."""
    url = request.getfixturevalue("postgres").database(next(_names)) if request.param == "postgres" else ""
    made = Database(database_url(Settings(home=home, database_url=url)))
    migrate(made)
    yield made
    made.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """A ledger whose leases lapse when a test says so: see `orders.lapse`."""
    return Ledger(database, lease=600)
