"""The clock of the machine jumps by an hour, either way: leases go by what the sweeper saw renewed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from orders import submitted
from servers import until
from sqlalchemy import event

from limner.jobs.ledger import Lease, Ledger, Renewals
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.jobs.worker.keeper import Keeper
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
    """A ledger with leases of a second, on a machine whose clock can be set."""
    with closing(Database(database_url(Settings(home=home)))) as database:

        @event.listens_for(database.engine, "connect")
        def shifted(connection: Any, _record: Any) -> None:
            connection.create_function("julianday", 1, clock.julianday)

        migrate(database)
        made = Ledger(database, lease=1)
        with database.read() as c:
            told = c.exec_driver_sql("SELECT (julianday('now') - 2440587.5) * 86400").scalar_one()
        assert abs(told - datetime.now(UTC).timestamp()) < 60, "the clock is what the ledger goes by"
        yield made


@pytest.fixture
def sweep(ledger: Ledger) -> Callable[[], list[str]]:
    """A sweep of one sweeper that goes on; which jobs it put back."""
    renewals = Renewals(ledger.lease_seconds)
    return lambda: ledger.sweep(renewals=renewals).put_back


def taken(ledger: Ledger, title: str) -> Lease:
    lease = ledger.take(submitted(ledger, title)[0].id, "elsewhere/1/1")
    assert lease is not None
    return lease


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_who_reports_keeps_the_lease(shift: float, ledger: Ledger, clock: Clock, sweep: Callable[[], Any]) -> None:
    lease = taken(ledger, "Honey")
    other = taken(ledger, "Glass")  # nobody reports for it
    put_back: list[str] = []
    with Keeper(ledger, lease) as keeper:
        sweep()
        clock.shift = shift
        until(lambda: put_back.extend(sweep()) or put_back, "the silent one's lease to end")
        end = time.monotonic() + 2 * ledger.lease_seconds
        while time.monotonic() < end:
            put_back += sweep()
            time.sleep(0.05)
        keeper.check()
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
    renewals = Renewals(ledger.lease_seconds)
    assert ledger.sweep(renewals=renewals).put_back == []
    until(lambda: ledger.sweep(renewals=renewals).put_back == [lease.job], "the lease to end")
