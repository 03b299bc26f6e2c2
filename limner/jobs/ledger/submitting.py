"""Write people's requests about jobs: submit, cancel, retry, answer, delete."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from limner.document import Article
from limner.errors import BadInput, JobConflict, LimitReached
from limner.jobs.ledger.base import SHOWN, Base, ending, failure, say
from limner.jobs.ledger.schema import calls, events, jobs, now
from limner.jobs.ledger.values import ENDED, Job, News, Order
from limner.notes import note
from limner.text import dollars


class Submitting(Base):
    """Submit jobs, and cancel, retry, answer or delete them."""

    def submit(self, owner: str, orders: Sequence[Order], batch: str | None = None) -> list[tuple[Job, bool]]:
        """Accept jobs, all or none: (job, whether it is new) for each order. The caller then notifies the workers.

        A known idempotency key returns its job. Raises LimitReached, and JobConflict if the key came with another
        request.
        """
        try:
            return self._submit(owner, orders, batch)
        except IntegrityError:  # a concurrent submission with this key has committed by now
            return self._submit(owner, orders, batch)

    def _submit(self, owner: str, orders: Sequence[Order], batch: str | None) -> list[tuple[Job, bool]]:
        with self.database.write() as c:
            limits = self._limits(c, owner)
            known = {}
            if keys := [o.idempotency_key for o in orders if o.idempotency_key]:
                found = c.execute(select(jobs).where(jobs.c.owner == owner, jobs.c.idempotency_key.in_(keys)))
                known = {row.idempotency_key: row for row in found}
            for order in orders:
                there = known.get(order.idempotency_key)
                if there is not None and there.request_digest != order.digest:
                    raise JobConflict(note("key-used", key=order.idempotency_key, job=there.id))
            new = [o for o in orders if o.idempotency_key not in known]
            self._check_rate(c, owner, limits, len(new))
            made = {id(o): self._insert(c, owner, o, batch) for o in new}
            ids = [made.get(id(o)) or known[o.idempotency_key].id for o in orders]
            shown = {job.id: job for job in self._shown(c, select(*SHOWN).where(jobs.c.id.in_(ids)))}
            return [(shown[i], id(o) in made) for i, o in zip(ids, orders, strict=True)]

    def _check_rate(self, c: Connection, owner: str, limits: Row[Any] | None, new: int) -> None:
        limit = limits.jobs_a_minute if limits else None
        if limit is None or not new:
            return
        recent = select(func.count()).where(jobs.c.owner == owner, jobs.c.created > now() - 60)
        if (count := c.execute(recent).scalar_one()) + new > limit:
            raise LimitReached(note("jobs-a-minute", who=owner, most=limit, n=count, more=new))

    def adopt(self, owner: str, order: Order, article: Article, name: str = "") -> Job:
        """Keep a finished article that no worker made, as a job that is done: from here on it has a history.

        name: the job's id, "" for a new one. No limit refuses it: what was made is not lost.
        """
        with self.database.write() as c:
            job = self._insert(c, owner, order, None, name)
            done = {"article": article.model_dump(mode="json"), "started": now(), **ending("done")}
            c.execute(update(jobs).where(jobs.c.id == job).values(**done))
            event = {"title": article.title, "images": len(article.illustrations)}
            self._log(c, job, 0, [News("done", data=event)])
            self._count_end(c, job, "done")
            return self._job(c, job, None)

    def _insert(self, c: Connection, owner: str, order: Order, batch: str | None, name: str = "") -> str:
        from limner.workflows.run import new_job

        job = name or f"{new_job(order.title)}{secrets.token_hex(2)}"
        row = {
            "id": job,
            "owner": owner,
            "title": order.title[:200],
            "state": "queued",
            "queue": order.queue,
            "batch": batch,
            "request": dict(order.request),
            "trace": order.trace,
            "idempotency_key": order.idempotency_key,
            "request_digest": order.digest,
            "webhook": dict(order.webhook) if order.webhook else None,
        }
        c.execute(insert(jobs).values(**row, created=now(), last_event=now(), rung=now()))
        self._log(c, job, 0, [News("queued", data={"queue": order.queue})])
        self._count(c, ("jobs_submitted", {"queue": order.queue}, 1))
        return job

    def cancel(self, job: str, owner: str | None = None) -> Job:
        """End a job now; its worker loses the lease. Cancelling again changes nothing. Raises JobUnknown, and
        JobConflict if the job ended otherwise."""
        with self.database.write() as c:
            found = self._lock_owned(c, job, owner)
            if found.state in ENDED and found.state != "cancelled":
                raise JobConflict(note("cannot-cancel", job=job, state=say(found.state)))
            if found.state != "cancelled":
                c.execute(update(jobs).where(jobs.c.id == job).values(**ending("cancelled")))
                self._log(c, job, found.attempt, [News("cancelled")])
                self._count_end(c, job, "cancelled")
            return self._job(c, job, None)

    def retry(
        self, job: str, owner: str | None = None, *, max_tokens: int | None = None, max_cost: float | None = None
    ) -> Job:
        """Requeue a failed, set aside, cancelled or parked job; it continues where it stopped.

        max_tokens, max_cost: new limits in tokens and US dollars, what is already spent included; None keeps the job's.
        Raises JobUnknown, JobConflict, and BadInput for a limit that is spent already.
        """
        with self.database.write() as c:
            found = self._lock_owned(c, job, owner)
            if found.state not in ("failed", "set_aside", "cancelled", "parked"):
                why = {"done": "retry-done", "waiting": "retry-waiting"}.get(found.state, "retry-unended")
                raise JobConflict(note(why, job=job, state=say(found.state)))
            fresh: dict[str, Any] = {"crashes": 0, "losses": 0, "tries": 0}
            fresh |= {**failure(""), "finished": None, "not_before": None}
            if found.webhook:
                fresh |= {"webhook_state": None, "webhook_tries": 0, "webhook_next": None, "webhook_error": ""}
            if limits := {k: v for k, v in (("max_tokens", max_tokens), ("max_cost", max_cost)) if v is not None}:
                _check_unspent(found, max_tokens, max_cost)
                fresh |= {"request": found.request | limits}
            c.execute(update(jobs).where(jobs.c.id == job).values(state="queued", rung=now(), **fresh))
            self._log(c, job, found.attempt, [News("retried", data=limits)])
            return self._job(c, job, None)

    def answer(self, job: str, value: Any, owner: str | None = None) -> Job:
        """Record a person's answer to a waiting job, once, and only if it fits the question (review/answers.py).

        Raises JobUnknown, BadInput for an invalid answer, and JobConflict if the job no longer asks this question.
        """
        from limner.workflows.review.answers import check_all

        with self.database.write() as c:
            found = self._lock_owned(c, job, owner)
            if found.state != "waiting":
                raise JobConflict(note("asks-nothing", job=job, state=say(found.state)))
            value = check_all(found.question, value)
            given = {"answer": {"value": value}, "question": None, "rung": now()}
            c.execute(update(jobs).where(jobs.c.id == job).values(state="queued", **given))
            self._log(c, job, found.attempt, [News("answered")])
            return self._job(c, job, None)

    def delete(self, job: str, owner: str | None = None) -> None:
        """Delete a job and everything that belongs to it, also while it runs. Raises JobUnknown.

        The caller deletes its checkpoints (`checkpoints.forget`).
        """
        with self.database.write() as c:
            self._lock_owned(c, job, owner)
            c.execute(delete(events).where(events.c.job == job))
            c.execute(update(calls).where(calls.c.job == job).values(answer=None))  # its cost stays counted
            c.execute(delete(jobs).where(jobs.c.id == job))


def _check_unspent(found: Row[Any], max_tokens: int | None, max_cost: float | None) -> None:
    """Raises BadInput for a limit that would stop the job before its next call."""
    if max_tokens is not None and max_tokens <= found.spent:
        raise BadInput(note("limit-spent", job=found.id, limit=f"{max_tokens:,} tokens", spent=f"{found.spent:,}"))
    if max_cost is not None and max_cost <= found.cost:
        raise BadInput(note("limit-spent", job=found.id, limit=dollars(max_cost), spent=dollars(found.cost)))
