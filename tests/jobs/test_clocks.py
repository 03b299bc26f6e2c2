"""The clock of the machine jumps by an hour, either way: leases go by what the sweeper saw renewed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from orders import submitted
from sqlalchemy import event

from limner.jobs.ledger import Lease, Ledger, Renewals
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.settings import Settings

HOUR = 3600.0
JULIAN_1970 = 2440587.5


class Clock:
    """SQLite's own, shifted."""

    def __init__(self) -> None:
        self.shift = 0.0

    def julianday(self, when: str) -> float:
        assert when == "now"
        return (time.time() + self.shift) / 86400 + JULIAN_1970


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(home: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger with leases of a minute, on a machine whose clock can be set."""
    with closing(Database(database_url(Settings(home=home)))) as database:

        @event.listens_for(database.engine, "connect")
        def shifted(connection: Any, _record: Any) -> None:
            connection.create_function("julianday", 1, clock.julianday)

        migrate(database)
        made = Ledger(database, lease=60)
        with database.read() as c:
            told = c.exec_driver_sql("SELECT (julianday('now') - 2440587.5) * 86400").scalar_one()
        assert abs(told - datetime.now(UTC).timestamp()) < 60, "the clock is what the ledger goes by"
        yield made


def taken(ledger: Ledger, title: str) -> Lease:
    lease = ledger.take(submitted(ledger, title)[0].id, "elsewhere/1/1")
    assert lease is not None
    return lease


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_who_reports_keeps_the_lease(shift: float, ledger: Ledger, clock: Clock) -> None:
    lease = taken(ledger, "Honey")
    other = taken(ledger, "Glass")  # nobody reports for it
    seconds, put_back = 0.0, list[str]()
    renewals = Renewals(ledger.lease_seconds, lambda: seconds)

    def sweep() -> None:
        put_back.extend(ledger.sweep(renewals=renewals).put_back)

    sweep()
    clock.shift = shift
    for _ in range(12):  # as a keeper does, three times a lease; sweeps come more often
        ledger.beat(lease)
        for _ in range(3):
            seconds += ledger.lease_seconds / 9
            clock.shift += ledger.lease_seconds / 9
            sweep()
    assert put_back == [other.job]
    assert ledger.job(lease.job).attempt == 1
    ledger.put_back(lease)


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_what_was_rung_for_is_rung_for_again(shift: float, ledger: Ledger, clock: Clock) -> None:
    [job] = submitted(ledger, "Honey")
    assert ledger.unheard("interactive", 60, 10) == []
    clock.shift = shift
    assert ledger.unheard("interactive", 60, 10) == [job.id]


def test_a_sweeper_that_comes_new_waits_for_half_a_lease(ledger: Ledger, clock: Clock) -> None:
    """It cannot tell whether a clock jumped, or a holder died; holders report three times a lease."""
    lease = taken(ledger, "Honey")
    clock.shift = HOUR
    seconds = 0.0
    renewals = Renewals(ledger.lease_seconds, lambda: seconds)
    assert ledger.sweep(renewals=renewals).put_back == []
    seconds = 0.49 * ledger.lease_seconds
    assert ledger.sweep(renewals=renewals).put_back == []
    seconds = 0.51 * ledger.lease_seconds
    assert ledger.sweep(renewals=renewals).put_back == [lease.job]
