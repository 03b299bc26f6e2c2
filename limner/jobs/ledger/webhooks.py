"""Webhooks that are due."""

from __future__ import annotations

from sqlalchemy import and_, or_, select, update

from limner.jobs.ledger.base import SHOWN, Base
from limner.jobs.ledger.schema import jobs, now
from limner.jobs.ledger.values import Job


class Webhooks(Base):
    """Due webhooks; each belongs to one worker for a while, until it is delivered or given up."""

    def due_webhooks(self, limit: int = 20, hold: float = 60) -> list[tuple[Job, dict[str, str]]]:
        """Finished jobs with a due webhook, each with {"url", "secret"}; reserved for this caller for `hold`
        seconds."""
        ready = and_(jobs.c.webhook_state == "due", or_(jobs.c.webhook_next.is_(None), jobs.c.webhook_next <= now()))
        with self.database.read() as c:
            if c.execute(select(jobs.c.id).where(ready).limit(1)).first() is None:
                return []
        with self.database.write() as c:
            query = select(*SHOWN, jobs.c.webhook).where(ready).order_by(jobs.c.webhook_next).limit(limit)
            found = c.execute(query if self.database.sqlite else query.with_for_update(skip_locked=True)).all()
            ids = [row.id for row in found]
            c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(webhook_next=now() + hold))
            return [(Job.model_validate(row, from_attributes=True), dict(row.webhook)) for row in found]

    def webhook_sent(self, job: str) -> None:
        """Record that the receiver accepted the webhook."""
        with self.database.write() as c:
            due = and_(jobs.c.id == job, jobs.c.webhook_state == "due")  # not if the job was retried meanwhile
            c.execute(update(jobs).where(due).values(webhook_state="sent", webhook_error=""))
            self._count(c, ("webhooks", {"result": "sent"}, 1))

    def webhook_failed(self, job: str, why: str, again_in: float | None) -> None:
        """Record that the delivery failed. again_in: seconds until the next try; None gives up."""
        state = "failed" if again_in is None else "due"
        wait = {} if again_in is None else {"webhook_next": now() + again_in}
        fields = {"webhook_state": state, "webhook_error": why[:300], "webhook_tries": jobs.c.webhook_tries + 1}
        with self.database.write() as c:
            due = and_(jobs.c.id == job, jobs.c.webhook_state == "due")
            c.execute(update(jobs).where(due).values(**fields, **wait))
            self._count(c, ("webhooks", {"result": "failed" if again_in is None else "retried"}, 1))

    def webhook_tries(self, job: str) -> int:
        """Number of failed tries of a job's webhook."""
        with self.database.read() as c:
            return c.execute(select(jobs.c.webhook_tries).where(jobs.c.id == job)).scalar() or 0
