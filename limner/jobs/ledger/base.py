"""Shared parts of the ledger's transactions: lock a row, add events, count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from limner.errors import JobUnknown
from limner.jobs.ledger.database import Database
from limner.jobs.ledger.schema import calls, events, jobs, now, owners, tallies
from limner.jobs.ledger.values import DAY, Job, Lease, LeaseLost, Left, News, State
from limner.notes import Note, coded, note

LOSSES = 10
"""Losses in a row, with no visible fault of the job, after which it is set aside. With a fault every 1.5 s, one of 400
healthy jobs met three within one call. Ten are beyond such storms; a job that takes whole machines down ends there."""


class Base:
    """The ledger's database, and the helpers that its parts share."""

    def __init__(self, database: Database, *, lease: float = 30, crashes: int = 3) -> None:
        self.database, self.lease_seconds, self.max_crashes = database, lease, crashes
        self.max_losses = max(LOSSES, crashes)

    def lock(self, c: Connection, job: str, owner: str | None = None) -> Row[Any]:
        """A job's row, locked until the transaction ends. Raises JobUnknown."""
        return self._lock_owned(c, job, owner)

    def tell(self, c: Connection, job: str, news: News) -> None:
        """Add an event to a job whose row is locked."""
        attempt = c.execute(select(jobs.c.attempt).where(jobs.c.id == job)).scalar_one()
        self._log(c, job, attempt, [news])

    def _job(self, c: Connection, job: str, owner: str | None) -> Job:
        found = self._shown(c, owned(select(*SHOWN).where(jobs.c.id == job), owner))
        if not found:
            raise JobUnknown(note("no-job", job=job[:80]))
        return found[0]

    def _shown(self, c: Connection, query: Select[Any]) -> list[Job]:
        return [Job.model_validate(row, from_attributes=True) for row in c.execute(query)]

    def _locked(self, c: Connection, where: Any) -> Row[Any] | None:
        """The one job that the condition selects, locked until the transaction ends."""
        return c.execute(select(jobs).where(where).with_for_update()).first()  # SQLite: BEGIN IMMEDIATE has locked all

    def _lock_owned(self, c: Connection, job: str, owner: str | None) -> Row[Any]:
        found = self._locked(c, jobs.c.id == job if owner is None else and_(jobs.c.id == job, jobs.c.owner == owner))
        if found is None:
            raise JobUnknown(note("no-job", job=job[:80]))
        return found

    def _limits(self, c: Connection, owner: str) -> Row[Any] | None:
        """The owner's row, locked so that one transaction at a time counts the limits."""
        return c.execute(select(owners).where(owners.c.name == owner).with_for_update()).first()

    def _left(self, c: Connection, owner: str, limits: Row[Any] | None) -> Left:
        tokens, dollars = (limits.tokens_a_day, limits.dollars_a_day) if limits else (None, None)
        if tokens is None and dollars is None:
            return Left()
        spent, cost = self._today(c, owner)
        return Left(None if tokens is None else tokens - spent, None if dollars is None else dollars - cost)

    def _today(self, c: Connection, owner: str) -> tuple[int, float]:
        """Tokens and US dollars that an owner has spent since midnight UTC, those of deleted jobs included."""
        sums = [func.sum(calls.c.prompt + calls.c.completion), func.sum(calls.c.cost)]
        query = select(*(func.coalesce(one, 0) for one in sums))
        row: Any = c.execute(query.where(calls.c.owner == owner, calls.c.at >= MIDNIGHT - DAY)).one()
        return int(row[0]), float(row[1])

    def _mine(self, lease: Lease, **values: Any) -> None:
        with self.database.write() as c:
            self._update_mine(c, lease, **values)

    def _update_mine(self, c: Connection, lease: Lease, **values: Any) -> None:
        """Change the job if the lease still holds. An empty change only checks, and locks the row."""
        values = values or {"attempt": jobs.c.attempt}
        if c.execute(update(jobs).where(held(lease)).values(**values)).rowcount != 1:
            raise LeaseLost(f"Job {lease.job} is no longer attempt {lease.attempt}'s.")

    def _log(self, c: Connection, job: str, attempt: int, news: Sequence[News]) -> None:
        """Add events. The numbers are taken from the job's row, which this locks, so they are in order of commit."""
        marks = [n.once for n in news if n.once]
        there: set[str | None] = set()
        if marks:
            query = select(events.c.once).where(events.c.job == job, events.c.once.in_(marks))
            there = set(c.execute(query).scalars())
        fresh = [n for n in news if n.once is None or n.once not in there]
        if not fresh:
            return
        counted = update(jobs).where(jobs.c.id == job).values(last_seq=jobs.c.last_seq + len(fresh), last_event=now())
        last = c.execute(counted.returning(jobs.c.last_seq, jobs.c.last_event)).one()
        first = last.last_seq - len(fresh) + 1
        rows = [
            {
                "job": job,
                "seq": first + i,
                "at": last.last_event,
                "attempt": attempt,
                "kind": n.kind,
                "step": n.step,
                "data": dict(n.data),
                "once": n.once,
            }
            for i, n in enumerate(fresh)
        ]
        c.execute(insert(events), rows)

    def _count(self, c: Connection, *counters: tuple[str, Mapping[str, str], float]) -> None:
        """Add to the tallies, always in the same order, so that transactions cannot deadlock."""
        added = (sqlite.insert if self.database.sqlite else postgresql.insert)(tallies)
        more = {"value": tallies.c.value + added.excluded.value}
        rows = sorted((n, json.dumps(ls, sort_keys=True), v) for n, ls, v in counters if v)
        if rows:
            added = added.on_conflict_do_update(index_elements=["name", "labels"], set_=more)
            c.execute(added, [{"name": n, "labels": ls, "value": v} for n, ls, v in rows])

    def _count_end(self, c: Connection, job: str, state: State) -> None:
        row = c.execute(select(jobs.c.queue, jobs.c.started, now().label("now")).where(jobs.c.id == job)).one()
        ended = ("jobs_ended", {"queue": row.queue, "state": state}, 1)
        took = timed("job", row.now - row.started) if row.started is not None else []
        self._count(c, ended, *took)


# --- the words of the queries --------------------------------------------------------------------------------------

SHOWN = [jobs.c[name] for name in Job.model_fields if name != "now"] + [now().label("now")]
MIDNIGHT = (func.floor(now() / DAY) + 1) * DAY
NO_LEASE: dict[str, Any] = {"worker": None, "lease_until": None}

BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds, in seconds, of the histogram of the duration of steps and jobs."""


def held(lease: Lease) -> Any:
    """The SQL condition under which the holder of a lease may write."""
    return and_(jobs.c.id == lease.job, jobs.c.attempt == lease.attempt, jobs.c.state == "running")


def failure(why: str) -> dict[str, Any]:
    """The job's columns that record an error; "" clears it."""
    return {"error": str(why), "error_note": coded(why) if isinstance(why, Note) and why.code else None}


def reason(why: str) -> dict[str, Any]:
    """The same as the data of an event."""
    return {"why": str(why), **(coded(why) if isinstance(why, Note) and why.code else {})}


def ending(state: State) -> dict[str, Any]:
    """The job's columns that change at any end."""
    webhook = case((jobs.c.webhook.is_not(None), "due"), else_=None)
    return {
        "state": state,
        "finished": now(),
        "question": None,
        "not_before": None,
        "webhook_state": webhook,
    } | NO_LEASE


def owned(query: Select[Any], owner: str | None) -> Select[Any]:
    """Restrict a query to an owner's jobs; every read of one owner's data goes through here."""
    return query if owner is None else query.where(jobs.c.owner == owner)


def say(state: str) -> str:
    return state.replace("_", " ")


def timed(step: str, seconds: float) -> list[tuple[str, Mapping[str, str], float]]:
    bucket = next((str(b) for b in BUCKETS if seconds <= b), "+Inf")
    return [
        ("step_seconds_sum", {"step": step}, seconds),
        ("step_seconds_bucket", {"step": step, "le": bucket}, 1),
    ]
