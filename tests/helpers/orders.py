"""Jobs in a ledger, for tests."""

from __future__ import annotations

from limner.jobs.ledger import Job, Ledger, Order


def submitted(ledger: Ledger, *titles: str, owner: str = "local", **more: object) -> list[Job]:
    """Jobs in the ledger."""
    orders = [Order(title, {"brief": title}, **more) for title in titles]  # type: ignore[arg-type]
    return [job for job, _new in ledger.submit(owner, orders)]
