"""The writes of a worker that holds a job's lease; the ledger refuses them once another worker holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, select, update

from limner.document import Article
from limner.jobs.ledger.base import MIDNIGHT, NO_LEASE, Base, ending, failure, reason, timed
from limner.jobs.ledger.schema import jobs, now
from limner.jobs.ledger.values import Lease, News
from limner.notes import note


class Leases(Base):
    """Take a job, tell how it goes, end."""

    def take(self, job: str, worker: str, *, alone: bool = True) -> Lease | None:
        """The lease on a queued job, or None if it is not there to be taken: somebody has it, it ended, or its owner
        runs as many as allowed.

        alone: whether no other job is worked on in that process. A suspect, whose attempt before broke off, is taken
        only so: what it may do hits no other, and what happens is of its own doing.
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
            budget = self._budget(c, mine.owner, limits)
            if budget is not None and budget <= 0:
                why = note("spent-waits", who=mine.owner, tokens=limits.tokens_a_day)  # type: ignore[union-attr]
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
            return Lease(job, attempt, worker, mine.owner, mine.queue, mine.request, trace, answer, budget)

    def beat(self, lease: Lease) -> None:
        """Keep the lease. Raises LeaseLost."""
        self._mine(lease, lease_until=now() + self.lease_seconds)

    def append(
        self, lease: Lease, news: Sequence[News], *, finished: tuple[str, float] | None = None, **shown: Any
    ) -> None:
        """Add events, and set what is shown of the job (step, done, of). Raises LeaseLost.

        finished: a step whose outcome is kept by now, and the seconds it took; crashes and waits before it no longer
        count against the job. Every event needs its mark `once`: a write whose answer was lost is sent again.
        """
        with self.database.write() as c:
            fresh = {"crashes": 0, "losses": 0, "tries": 0} if finished else {}
            self._update_mine(c, lease, **shown, **fresh)
            self._log(c, lease.job, lease.attempt, news)
            if finished:
                self._count(c, *timed(*finished))

    def finish(self, lease: Lease, article: Article, finished: tuple[str, float] | None = None) -> None:
        """The job is done. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, article=article.model_dump(mode="json"), **ending("done"))
            images = len(article.illustrations)
            self._log(c, lease.job, lease.attempt, [News("done", data={"title": article.title, "images": images})])
            self._count_end(c, lease.job, "done")
            if finished:
                self._count(c, *timed(*finished))

    def fail(self, lease: Lease, why: str) -> None:
        """The job cannot succeed as it is. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, **failure(why), **ending("failed"))
            self._log(c, lease.job, lease.attempt, [News("failed", data=reason(why))])
            self._count_end(c, lease.job, "failed")

    def park(self, lease: Lease, why: str, max_tries: int | None) -> bool:
        """Something the job needs is not there: it goes on by itself later, or fails after `max_tries`.

        Waits 5 s, 10 s, 20 s … 5 minutes; with max_tries None until midnight UTC, when the day's tokens are counted
        anew. Returns whether it was parked. Raises LeaseLost.
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
        """Work stops in order, e.g. because the worker is shut down: another goes on. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, state="queued", rung=now(), **NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("put_back")])

    def wait(self, lease: Lease, question: Any) -> None:
        """The job needs a person: it holds no lease and no message until `answer`. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, state="waiting", question=question, answer=None, **NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("waiting", data={"question": question})])

    def answered(self, lease: Lease) -> None:
        """The answer has become part of the job's checkpoints and is not needed again. Raises LeaseLost."""
        self._mine(lease, answer=None)
