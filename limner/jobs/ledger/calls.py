"""Model calls: remember the answers, so that nobody asks again, and what they cost."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, update

from limner.agents.meter import Usage
from limner.jobs.ledger.base import Base, held
from limner.jobs.ledger.schema import calls, jobs, now, owners
from limner.jobs.ledger.values import Lease, LeaseLost, Left, digest


class Calls(Base):
    """Stores answers by job and costs by owner."""

    def recall(self, lease: Lease, step: str, digest: str) -> str | None:
        """The answer to a call that this job made before at this step."""
        query = select(calls.c.answer).where(
            calls.c.job == lease.job, calls.c.step == step, calls.c.digest == digest, calls.c.answer.is_not(None)
        )
        with self.database.read() as c:
            return c.execute(query.order_by(calls.c.id).limit(1)).scalar()

    def keep(
        self, lease: Lease, step: str, role: str, digest: str, answer: str | None, usage: Usage, number: int
    ) -> None:
        """Remember a call. answer: None if the call broke off after it was charged. usage: tokens of this call. number:
        which call of the attempt this is; the same number counts once.

        For a lapsed attempt the cost is counted and the answer dropped; then raises LeaseLost.
        """
        once = f"{lease.attempt}:{number}"
        row = {"job": lease.job, "owner": lease.owner, "attempt": lease.attempt, "step": step, "role": role}
        paid = {"prompt": usage.prompt, "completion": usage.completion, "cached": usage.cached}
        with self.database.write() as c:
            there = select(calls.c.id).where(calls.c.job == lease.job, calls.c.once == once)
            if c.execute(there).first() is not None:
                return
            # A new answer is progress, so the crash counts start over.
            further = {"crashes": 0, "losses": 0} if answer is not None else {}
            fresh = update(jobs).where(held(lease)).values(**_more(usage), **further)
            mine = c.execute(fresh).rowcount == 1
            if not mine:
                late = update(jobs).where(jobs.c.id == lease.job).values(**_more(usage))
                if c.execute(late).rowcount != 1:
                    raise LeaseLost(f"Job {lease.job} is gone.")
            kept = {
                "digest": digest,
                "answer": answer if mine else None,
                "estimated": usage.estimated,
                "cost": usage.cost,
            }
            c.execute(insert(calls).values(**row, **paid, **kept, at=now(), once=once))
            tokens = [("model_tokens", {"role": role, "kind": kind}, n) for kind, n in paid.items()]
            self._count(c, ("model_calls", {"role": role}, 1), *tokens)
        if not mine:
            raise LeaseLost(f"Job {lease.job} is no longer attempt {lease.attempt}'s.")

    def paid(self, job: str, step: str, usage: Mapping[str, Usage]) -> None:
        """Count tokens spent on a job without a lease, by role."""
        with self.database.write() as c:
            row = self._lock_owned(c, job, None)
            self._paid(c, {"job": job, "owner": row.owner, "attempt": row.attempt, "step": step}, usage)
            for used in usage.values():
                c.execute(update(jobs).where(jobs.c.id == job).values(**_more(used)))

    def paid_beside(self, owner: str, step: str, usage: Mapping[str, Usage]) -> None:
        """Count tokens that an owner spent on no job, by role; they belong to the day's tokens."""
        with self.database.write() as c:
            self._paid(c, {"job": "", "owner": owner, "attempt": 0, "step": step}, usage)

    def _paid(self, c: Connection, about: dict[str, Any], usage: Mapping[str, Usage]) -> None:
        for role, used in usage.items():
            paid = {"prompt": used.prompt, "completion": used.completion, "cached": used.cached}
            once = {"digest": digest(secrets.token_hex(8)), "once": secrets.token_hex(16)}
            row = {**about, **paid, **once, "role": role, "estimated": used.estimated, "cost": used.cost, "at": now()}
            c.execute(insert(calls).values(**row))
            tokens = [("model_tokens", {"role": role, "kind": kind}, n) for kind, n in paid.items()]
            self._count(c, ("model_calls", {"role": role}, used.calls), *tokens)

    def forget_answers(self, lease: Lease, step: str) -> None:
        """Forget the answers of this step, which were unusable, so that the next attempt asks anew. Raises
        LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease)
            c.execute(update(calls).where(calls.c.job == lease.job, calls.c.step == step).values(answer=None))

    def usage(self, job: str) -> dict[str, Usage]:
        """Tokens and US dollars that a job has spent so far, by role."""
        columns: list[Any] = [calls.c.role, func.count()]
        columns += [func.sum(calls.c[name]) for name in ("prompt", "completion", "cached")]
        columns += [func.max(case((calls.c.estimated, 1), else_=0)), func.sum(calls.c.cost)]
        query = select(*columns).where(calls.c.job == job)
        with self.database.read() as c:
            rows = [tuple(row) for row in c.execute(query.group_by(calls.c.role))]
        return {str(r[0]): Usage(*map(int, r[1:5]), estimated=bool(r[5]), cost=float(r[6])) for r in rows}

    def spent_today(self, owner: str) -> tuple[int, float]:
        """Tokens and US dollars that an owner has spent since midnight UTC, those of deleted jobs included."""
        with self.database.read() as c:
            return self._today(c, owner)

    def left_today(self, owner: str) -> Left:
        """Tokens and US dollars that an owner may still spend today over all jobs."""
        with self.database.read() as c:
            return self._left(c, owner, c.execute(select(owners).where(owners.c.name == owner)).first())


def _more(usage: Usage) -> dict[str, Any]:
    """The columns of a job that grow with a call."""
    return {"spent": jobs.c.spent + usage.total, "cost": jobs.c.cost + usage.cost}
