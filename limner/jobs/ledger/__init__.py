"""The truth about jobs: who submitted what, how far it got, who may write, what was paid for.

Every change is one transaction. A worker's writes carry its lease. They are refused with `LeaseLost` once the job
belongs to another attempt, was cancelled or was deleted, so a worker that was paused for an hour does no harm when it
wakes.

States of a job:

    queued ──► running ──► done
      ▲  ▲        │  ├───► failed      cannot succeed as it is; `retry` requeues it
      │  │        │  ├───► set_aside   crashed its worker repeatedly; `retry` requeues it
      │  └────────┤  └───► cancelled   (also from queued, parked and waiting)
      │  lapsed,  ├──────► parked      something is missing; resumes by itself at `not_before`
      │  stopped  └──────► waiting     for a person's answer
      └── due, answered
"""

from __future__ import annotations

from limner.jobs.ledger.base import BUCKETS, LOSSES, held
from limner.jobs.ledger.calls import Calls
from limner.jobs.ledger.leases import Leases
from limner.jobs.ledger.looking import Looking
from limner.jobs.ledger.submitting import Submitting
from limner.jobs.ledger.sweeping import Renewals, Sweeping
from limner.jobs.ledger.values import (
    DAY,
    ENDED,
    OPEN,
    QUEUES,
    Event,
    Job,
    Lease,
    LeaseLost,
    Left,
    News,
    Order,
    Queue,
    State,
    Swept,
    check_queue,
    route,
)
from limner.jobs.ledger.webhooks import Webhooks


class Ledger(Submitting, Looking, Leases, Calls, Sweeping, Webhooks):
    """All reads and writes of jobs. Safe to use from threads and after a fork."""


__all__ = [
    "BUCKETS",
    "DAY",
    "ENDED",
    "LOSSES",
    "OPEN",
    "QUEUES",
    "Event",
    "Job",
    "Lease",
    "LeaseLost",
    "Ledger",
    "Left",
    "News",
    "Order",
    "Queue",
    "Renewals",
    "State",
    "Swept",
    "check_queue",
    "held",
    "route",
]
