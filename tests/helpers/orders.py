"""Jobs in a ledger, for tests."""

from __future__ import annotations

from sqlalchemy import update

from limner.jobs.ledger import Job, Ledger, Order
from limner.jobs.ledger.schema import jobs


def submitted(ledger: Ledger, *titles: str, owner: str = "local", **more: object) -> list[Job]:
    """Jobs in the ledger."""
    orders = [Order(title, {"brief": title}, **more) for title in titles]  # type: ignore[arg-type]
    return [job for job, _new in ledger.submit(owner, orders)]


def lapse(ledger: Ledger) -> None:
    """All leases are over, as if their holders had not been heard of for an hour."""
    with ledger.database.write() as c:
        c.execute(update(jobs).where(jobs.c.lease_until.is_not(None)).values(lease_until=jobs.c.lease_until - 3600))
