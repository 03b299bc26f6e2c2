"""Put lost jobs back, and set those aside that crash their workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, update

from limner.jobs.ledger.base import NO_LEASE, Base, ending, failure, reason
from limner.jobs.ledger.schema import jobs, now, owners
from limner.jobs.ledger.values import Death, Lease, News, Queue, Swept, route
from limner.notes import note


class Renewals:
    """When a sweeper saw leases renewed, by its own clock: that of the database's machine may jump.

    A clock that jumps ahead ends no lease whose holder reports, and one that jumps back lets none last for ever.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        """lease: seconds; holders report three times in that time. clock: seconds, never set back."""
        self._lease, self._clock = lease, clock
        self._seen: dict[tuple[str, int], tuple[float | None, float]] = {}

    def over(self, running: Sequence[Any], late: Set[tuple[str, int]]) -> set[tuple[str, int]]:
        """The (id, attempt) of running jobs whose lease is over. late: those by the database's clock."""
        at, seen, over = self._clock(), {}, set()
        for row in running:
            held = (row.id, row.attempt)
            until, since = self._seen.get(held, (row.lease_until, at))
            seen[held] = (until, since) if until == row.lease_until else (row.lease_until, at)
            silent = at - seen[held][1]
            if silent >= self._lease * (0.5 if held in late else 1.2):
                over.add(held)
        self._seen = seen
        return over


class Sweeping(Base):
    """Requeue orphaned jobs or set them aside, and find queued jobs whose worker was not notified."""

    def sweep(
        self,
        gone: Callable[[str], bool] = lambda _worker: False,
        deaths: Mapping[str, Death] | None = None,
        renewals: Renewals | None = None,
    ) -> Swept:
        """Requeue jobs whose lease lapsed, whose worker is `gone`, or whose parking time is over.

        deaths: how workers ended, by name, as far as known. renewals: what the same sweeper saw of leases before; None
        relies on the clock of the database alone.
        """
        swept, deaths = Swept([], [], []), deaths or {}
        with self.database.read() as c:
            held = (jobs.c.id, jobs.c.worker, jobs.c.attempt, jobs.c.lease_until)
            running = c.execute(select(*held).where(jobs.c.state == "running")).all()
            lapsed = select(jobs.c.id, jobs.c.attempt).where(jobs.c.state == "running", jobs.c.lease_until < now())
            late = {(row.id, row.attempt) for row in c.execute(lapsed)}
            due = c.execute(select(jobs.c.id).where(jobs.c.state == "parked", jobs.c.not_before <= now()))
            due_ids = [row.id for row in due]
        if renewals is not None:
            late = renewals.over(running, late)
        company = Counter(row.worker for row in running)
        for row in sorted(running, key=lambda row: row.id):
            if row.worker in deaths:
                death = deaths[row.worker]
                guilty = death.own and company[row.worker] == 1
                self._take_away(
                    row.id, row.attempt, note("worker-ended", how=death.how), swept, dead=True, guilty=guilty
                )
            elif row.worker and gone(row.worker):
                self._take_away(row.id, row.attempt, note("worker-died"), swept, dead=True)
            elif (row.id, row.attempt) in late:
                self._take_away(row.id, row.attempt, note("worker-silent"), swept, until=row.lease_until)
        swept.due.extend(job for job in due_ids if self._unpark(job))
        return swept

    def _unpark(self, job: str) -> bool:
        """Requeue a parked job whose time is over; whether it still waited for that."""
        with self.database.write() as c:
            here = and_(jobs.c.id == job, jobs.c.state == "parked", jobs.c.not_before <= now())
            found = self._locked(c, here)
            if found is not None:
                c.execute(update(jobs).where(jobs.c.id == job).values(state="queued", rung=None, **failure("")))
                self._log(c, job, found.attempt, [News("due")])
            return found is not None

    def _take_away(
        self,
        job: str,
        attempt: int,
        why: str,
        swept: Swept,
        *,
        until: float | None = None,
        dead: bool = False,
        guilty: bool = False,
    ) -> None:
        with self.database.write() as c:
            here = and_(jobs.c.id == job, jobs.c.attempt == attempt, jobs.c.state == "running")
            if not dead:  # it may have renewed its lease since
                here = and_(here, jobs.c.lease_until == until)
            found = self._locked(c, here)
            if found is None:
                return
            why = note("at-step", line=why, step=found.step) if found.step else why
            aside = self._put_back_or_aside(c, job, why, found, guilty=guilty)
            (swept.set_aside if aside else swept.put_back).append(job)

    def _put_back_or_aside(
        self, c: Connection, job: str, why: str, found: Row[Any] | None = None, *, guilty: bool
    ) -> bool:
        """Requeue a job, or set it aside after `max_crashes` crashes of its own or `max_losses` losses in a row.
        Returns whether it was set aside."""
        found = found if found is not None else c.execute(select(jobs).where(jobs.c.id == job)).one()
        crashes, losses = found.crashes + guilty, found.losses + (not guilty)
        self._count(c, ("sweeps", {}, 1))
        if crashes < self.max_crashes and losses < self.max_losses:
            back = {"state": "queued", "crashes": crashes, "losses": losses, "rung": None, **NO_LEASE}
            c.execute(update(jobs).where(jobs.c.id == job).values(**back))
            self._log(c, job, found.attempt, [News("lapsed", data=reason(why))])
            return False
        times = crashes if crashes >= self.max_crashes else losses
        error = note("set-aside", n=times, line=why, job=job)
        counts = {"crashes": crashes, "losses": losses}
        c.execute(update(jobs).where(jobs.c.id == job).values(**failure(error), **counts, **ending("set_aside")))
        self._log(c, job, found.attempt, [News("set_aside", data=reason(error))])
        self._count_end(c, job, "set_aside")
        return True

    def crashed(self, lease: Lease, why: str) -> None:
        """Treat an unexpected error like a crash of the worker. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease)
            self._put_back_or_aside(c, lease.job, why, guilty=True)

    def suspects(self, limit: int) -> list[str]:
        """Queued jobs whose last attempt broke off, oldest first; each must run alone (see `take`)."""
        query = select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.crashes + jobs.c.losses > 0)
        with self.database.read() as c:
            return list(c.execute(query.order_by(jobs.c.created, jobs.c.id).limit(limit)).scalars())

    def unheard(
        self, queue: Queue, patience: float, limit: int, *, suspects: bool = True, begun: bool | None = None
    ) -> list[str]:
        """Queued jobs, oldest first, without a message in the last `patience` seconds, except those of owners at their
        limit. suspects: whether to include suspects. begun: only jobs that were, or were not, worked on before."""
        running = (
            select(jobs.c.owner, func.count().label("n")).where(jobs.c.state == "running").group_by(jobs.c.owner)
        ).subquery()
        full = (
            select(owners.c.name)
            .join(running, running.c.owner == owners.c.name)
            .where(running.c.n >= owners.c.jobs_at_a_time)
        )
        query = select(jobs.c.id).where(
            *_queued(queue, suspects, begun),
            # One in the future is of before a clock was put back.
            or_(jobs.c.rung.is_(None), jobs.c.rung < now() - patience, jobs.c.rung > now() + 1),
            jobs.c.owner.not_in(full),
        )
        with self.database.read() as c:
            return list(c.execute(query.order_by(jobs.c.created, jobs.c.id).limit(limit)).scalars())

    def queued(self, queue: Queue, *, suspects: bool = True, begun: bool | None = None) -> int:
        """Number of jobs that wait in a queue. suspects, begun: as in `unheard`."""
        query = select(func.count()).where(*_queued(queue, suspects, begun))
        with self.database.read() as c:
            return c.execute(query).scalar_one()

    def next_of(self, owner: str) -> tuple[str, str] | None:
        """The owner's oldest queued job and its route, interactive first, to start when another job of a limited owner
        ends."""
        query = (
            select(jobs.c.id, jobs.c.queue, jobs.c.attempt)
            .join(owners, owners.c.name == jobs.c.owner)
            .where(jobs.c.owner == owner, jobs.c.state == "queued", owners.c.jobs_at_a_time.is_not(None))
            .order_by(jobs.c.queue.desc(), jobs.c.created)
            .limit(1)
        )
        with self.database.read() as c:
            row = c.execute(query).first()
        return (row.id, route(row.queue, row.attempt > 0)) if row else None

    def rang(self, ids: Sequence[str]) -> None:
        """Record that a message was sent for these jobs."""
        with self.database.write() as c:
            c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(rung=now()))


def _queued(queue: Queue, suspects: bool, begun: bool | None) -> list[ColumnElement[bool]]:
    """Conditions: queued in `queue`; no suspects unless `suspects`; begun or not as `begun` says, None for both."""
    found: list[ColumnElement[bool]] = [jobs.c.state == "queued", jobs.c.queue == queue]
    if not suspects:
        found.append(jobs.c.crashes + jobs.c.losses == 0)
    if begun is not None:
        found.append(jobs.c.attempt > 0 if begun else jobs.c.attempt == 0)
    return found
