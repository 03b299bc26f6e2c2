"""Read jobs, their events and the workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, tuple_

from limner.document import Article
from limner.jobs.ledger.base import SHOWN, Base, owned
from limner.jobs.ledger.schema import events, jobs, now, tallies, workers
from limner.jobs.ledger.values import DAY, ENDED, Event, Job, Queue, State


class Looking(Base):
    """Reads; none needs a lease."""

    def job(self, job: str, owner: str | None = None) -> Job:
        """One job. owner: None sees all. Raises JobUnknown, also for another owner's job."""
        with self.database.read() as c:
            return self._job(c, job, owner)

    def seqs(self, ids: Sequence[str]) -> dict[str, tuple[int, State]]:
        """The last event's number and the state of each existing job: a cheap check for news."""
        with self.database.read() as c:
            found = c.execute(select(jobs.c.id, jobs.c.last_seq, jobs.c.state).where(jobs.c.id.in_(ids)))
            return {row.id: (row.last_seq, row.state) for row in found}

    def events(self, job: str, after: int = 0, limit: int = 1000) -> list[Event]:
        """Events of a job with a number above `after`, in order."""
        with self.database.read() as c:
            query = select(events).where(events.c.job == job, events.c.seq > after).order_by(events.c.seq).limit(limit)
            return [Event.model_validate(row, from_attributes=True) for row in c.execute(query)]

    def text(self, job: str) -> str:
        """The article's text as events have shown it, since the last `again`."""
        query = select(events.c.kind, events.c.data).where(events.c.job == job, events.c.kind.in_(("text", "again")))
        shown = ""
        with self.database.read() as c:
            for row in c.execute(query.order_by(events.c.seq)):
                shown = row.data["text"] if row.kind == "again" else shown + row.data["text"]
        return shown

    def article(self, job: str) -> Article | None:
        """The finished article; None before the job is done."""
        with self.database.read() as c:
            found = c.execute(select(jobs.c.article).where(jobs.c.id == job)).scalar()
        return Article.model_validate(found) if found else None

    def owner_of(self, job: str) -> str | None:
        """The job's owner; None if the job was deleted."""
        with self.database.read() as c:
            return c.execute(select(jobs.c.owner).where(jobs.c.id == job)).scalar()

    def request(self, job: str) -> dict[str, Any]:
        """The job's request."""
        with self.database.read() as c:
            return c.execute(select(jobs.c.request).where(jobs.c.id == job)).scalar() or {}

    def counts(self) -> list[tuple[str, str, int]]:
        """(queue, state, number of jobs) for every pair that occurs."""
        query = select(jobs.c.queue, jobs.c.state, func.count()).group_by(jobs.c.queue, jobs.c.state)
        with self.database.read() as c:
            return [(row[0], row[1], row[2]) for row in c.execute(query)]

    def batch_counts(self, batch: str, owner: str | None = None) -> dict[State, int]:
        """Number of a batch's jobs by state; empty for an unknown batch or another owner's."""
        query: Any = select(jobs.c.state, func.count().label("n")).where(jobs.c.batch == batch).group_by(jobs.c.state)
        with self.database.read() as c:
            return {row.state: row.n for row in c.execute(owned(query, owner))}

    def saw(self, worker: str) -> None:
        """Record that a worker is alive."""
        with self.database.write() as c:
            c.execute(delete(workers).where(or_(workers.c.name == worker, workers.c.seen < now() - DAY)))
            c.execute(insert(workers).values(name=worker, seen=now(), info={}))

    def workers(self, within: float) -> dict[str, float]:
        """Workers that were seen within so many seconds: name -> seconds since then."""
        query = select(workers.c.name, (now() - workers.c.seen).label("ago")).where(workers.c.seen > now() - within)
        with self.database.read() as c:
            return {row.name: max(0.0, row.ago) for row in c.execute(query.order_by(workers.c.name))}

    def tallies(self) -> list[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of all counters."""
        with self.database.read() as c:
            return [(row.name, json.loads(row.labels), row.value) for row in c.execute(select(tallies))]

    def ended_before(self, seconds: float, owner: str | None = None, limit: int = 500) -> list[str]:
        """Jobs that ended more than so many seconds ago, oldest first."""
        query = owned(select(jobs.c.id).where(jobs.c.state.in_(ENDED), jobs.c.finished < now() - seconds), owner)
        with self.database.read() as c:
            return list(c.execute(query.order_by(jobs.c.finished).limit(limit)).scalars())

    def shown_lately(self, n: int, owner: str | None = None, but: str = "") -> set[str]:
        """Ids of the images in the last n articles, by when they were done. owner: None for all. but: a job to leave
        out."""
        query = owned(select(jobs.c.article["illustrations"]), owner).where(jobs.c.state == "done", jobs.c.id != but)
        with self.database.read() as c:
            found = c.execute(query.order_by(jobs.c.finished.desc(), jobs.c.id.desc()).limit(n)).scalars()
            return {image["image_id"] for images in found for image in images or ()}

    def list(
        self,
        owner: str | None = None,
        *,
        states: Sequence[State] = (),
        queue: Queue | None = None,
        batch: str | None = None,
        search: str = "",
        limit: int = 50,
        after: tuple[float, str] | None = None,
    ) -> list[Job]:
        """Jobs, newest first. after: (created, id) of the last job of the previous page."""
        query = owned(select(*SHOWN), owner).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
        if states:
            query = query.where(jobs.c.state.in_(states))
        if queue:
            query = query.where(jobs.c.queue == queue)
        if batch:
            query = query.where(jobs.c.batch == batch)
        if search:
            query = query.where(func.lower(jobs.c.title).contains(search.lower(), autoescape=True))
        if after:
            query = query.where(tuple_(jobs.c.created, jobs.c.id) < tuple_(*after))
        with self.database.read() as c:
            return self._shown(c, query)
