"""The writes of a worker that holds a job's lease; the ledger refuses them once another worker holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, func, select, update

from limner.document import Article
from limner.jobs.ledger.base import MIDNIGHT, NO_LEASE, Base, ending, failure, reason, timed
from limner.jobs.ledger.schema import jobs, now
from limner.jobs.ledger.values import Lease, Left, News
from limner.notes import Note, note
from limner.text import dollars


class Leases(Base):
    """Take a job's lease, report its progress, and end it."""

    def take(self, job: str, worker: str, *, alone: bool = True) -> Lease | None:
        """Take the lease on a queued job. None if another worker has it, it ended, or its owner is at the limit.

        alone: whether the process runs no other job. A suspect, whose last attempt broke off, is only taken alone, so
        that it harms no other job and a crash is its own.
        """
        with self.database.write() as c:
            mine = self._locked(c, and_(jobs.c.id == job, jobs.c.state == "queued"))
            if mine is None or (mine.crashes + mine.losses and not alone):
                return None
            limits = self._limits(c, mine.owner)
            if limits is not None and limits.jobs_at_a_time is not None:
                running = select(func.count()).where(jobs.c.owner == mine.owner, jobs.c.state == "running")
                if c.execute(running).scalar_one() >= limits.jobs_at_a_time:
                    return None
            left = self._left(c, mine.owner, limits)
            if left.spent:
                why = _waits(mine.owner, left, limits)
                parked = {"state": "parked", "not_before": MIDNIGHT, **failure(why)}
                c.execute(update(jobs).where(jobs.c.id == job).values(**parked))
                self._log(c, job, mine.attempt, [News("parked", data=reason(why))])
                return None
            attempt = mine.attempt + 1
            c.execute(
                update(jobs)
                .where(jobs.c.id == job)
                .values(
                    state="running",
                    attempt=attempt,
                    worker=worker,
                    lease_until=now() + self.lease_seconds,
                    started=func.coalesce(jobs.c.started, now()),
                    not_before=None,
                    **failure(""),
                )
            )
            self._log(c, job, attempt, [News("started", data={"attempt": attempt})])
            self._count(c, ("attempts", {"queue": mine.queue}, 1))
            answer, trace = mine.answer, mine.trace
            return Lease(job, attempt, worker, mine.owner, mine.queue, mine.request, trace, answer, left)

    def beat(self, lease: Lease) -> None:
        """Renew the lease. Raises LeaseLost."""
        self._mine(lease, lease_until=now() + self.lease_seconds)

    def append(
        self, lease: Lease, news: Sequence[News], *, finished: tuple[str, float] | None = None, **shown: Any
    ) -> None:
        """Add events, and set the job's displayed progress (step, done, of). Raises LeaseLost.

        finished: a step whose result is in a checkpoint, and its seconds; this resets the counts of crashes and tries.
        Every event needs its mark `once`, because a write whose answer was lost is sent again.
        """
        with self.database.write() as c:
            fresh = {"crashes": 0, "losses": 0, "tries": 0} if finished else {}
            self._update_mine(c, lease, **shown, **fresh)
            self._log(c, lease.job, lease.attempt, news)
            if finished:
                self._count(c, *timed(*finished))

    def finish(self, lease: Lease, article: Article, finished: tuple[str, float] | None = None) -> None:
        """Record the finished article. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, article=article.model_dump(mode="json"), **ending("done"))
            images = len(article.illustrations)
            self._log(c, lease.job, lease.attempt, [News("done", data={"title": article.title, "images": images})])
            self._count_end(c, lease.job, "done")
            if finished:
                self._count(c, *timed(*finished))

    def fail(self, lease: Lease, why: str) -> None:
        """Record that the job cannot succeed as it is. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, **failure(why), **ending("failed"))
            self._log(c, lease.job, lease.attempt, [News("failed", data=reason(why))])
            self._count_end(c, lease.job, "failed")

    def park(self, lease: Lease, why: str, max_tries: int | None) -> bool:
        """Park a job that lacks something: it resumes by itself later, or fails after `max_tries`.

        The waits are 5 s, 10 s, 20 s … 5 minutes; with max_tries None the job waits until midnight UTC, when a new
        day's tokens begin. Returns whether it was parked. Raises LeaseLost.
        """
        with self.database.write() as c:
            if max_tries is None:
                self._update_mine(c, lease, state="parked", **failure(why), not_before=MIDNIGHT, **NO_LEASE)
                self._log(c, lease.job, lease.attempt, [News("parked", data=reason(why))])
                return True
            self._update_mine(c, lease, tries=jobs.c.tries + 1)
            tries = c.execute(select(jobs.c.tries).where(jobs.c.id == lease.job)).scalar_one()
            if tries >= max_tries:
                why = note("tried", line=why, n=tries, job=lease.job)
                self._update_mine(c, lease, **failure(why), **ending("failed"))
                self._log(c, lease.job, lease.attempt, [News("failed", data=reason(why))])
                self._count_end(c, lease.job, "failed")
                return False
            wait = min(300, 5 * 2 ** (tries - 1))
            self._update_mine(c, lease, state="parked", **failure(why), not_before=now() + wait, **NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("parked", data={**reason(why), "seconds": wait})])
            self._count(c, ("retries", {}, 1))
            return True

    def put_back(self, lease: Lease) -> None:
        """Requeue a job that stopped in order, e.g. at the worker's shutdown. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, state="queued", rung=now(), **NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("put_back")])

    def wait(self, lease: Lease, question: Any) -> None:
        """Let the job wait for a person, without lease or message until `answer`. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, state="waiting", question=question, answer=None, **NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("waiting", data={"question": question})])

    def answered(self, lease: Lease) -> None:
        """Delete the answer, which the job's checkpoints now contain. Raises LeaseLost."""
        self._mine(lease, answer=None)


def _waits(owner: str, left: Left, limits: Row[Any] | None) -> Note:
    """Why the next job of an owner waits for midnight. limits: the owner's row, which has the limit that is reached."""
    if left.dollars is not None and left.dollars <= 0:
        return note("money-waits", who=owner, limit=dollars(limits.dollars_a_day if limits else 0))
    return note("spent-waits", who=owner, tokens=limits.tokens_a_day if limits else 0)
