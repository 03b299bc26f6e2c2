"""The truth about jobs: who submitted what, how far it got, who may write, what was paid for.

Every change is one transaction. What a worker writes carries its lease, and is refused with `LeaseLost` once the job
belongs to another attempt, was cancelled or is gone: a worker that was paused for an hour can do no harm when it wakes.

States of a job:

    queued ──► running ──► done
      ▲  ▲        │  ├───► failed      it cannot succeed as it is; `retry` puts it back
      │  │        │  ├───► set_aside   it took its worker down three times; `retry` puts it back
      │  └────────┤  └───► cancelled   (also from queued, parked and waiting)
      │  lapsed,  ├──────► parked      something is not there; goes on by itself at `not_before`
      │  stopped  └──────► waiting     for a person's answer
      └── due, answered
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, Select, and_, case, delete, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from limner.agents.ask import Usage
from limner.document import Article
from limner.errors import BadInput, JobConflict, JobUnknown, LimitReached, LimnerError
from limner.workflows.jobs.database import Database
from limner.workflows.jobs.schema import calls, events, jobs, now, owners, tallies, workers

State = Literal["queued", "running", "parked", "waiting", "done", "failed", "cancelled", "set_aside"]
Queue = Literal["interactive", "batch"]
OPEN: tuple[State, ...] = ("queued", "running", "parked", "waiting")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled", "set_aside")
DAY = 86_400


class LeaseLost(LimnerError):
    """The job belongs to another attempt by now, or ended. Whoever gets this stops working on it."""


class Job(BaseModel):
    """What can be seen of a job. Times are seconds since 1970 by the database's clock."""

    model_config = ConfigDict(frozen=True)

    id: str
    owner: str
    title: str
    state: State
    queue: Queue
    batch: str | None
    step: str
    """The step it is at: write, spot, retrieve, select, arrange."""
    done: int
    """Parts of that step that are done, e.g. spots; of `of`."""
    of: int
    spent: int
    """Tokens, prompts and completions."""
    error: str
    """Why it failed, is parked or was set aside: one line that ends with what to do."""
    attempt: int
    """How many times work on it was begun."""
    crashes: int
    tries: int
    created: float
    started: float | None
    finished: float | None
    last_event: float
    not_before: float | None
    """When a parked job goes on."""
    question: Any
    """What a waiting job asks."""
    webhook_state: str | None
    webhook_error: str
    now: float
    """When this was read."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ENDED

    @property
    def elapsed(self) -> float:
        """Seconds since work on it began."""
        return 0.0 if self.started is None else (self.finished or self.now) - self.started

    def stuck(self, after: float) -> bool:
        """Whether it is running and nothing was heard of it for so many seconds."""
        return self.state == "running" and self.now - self.last_event > after


_SHOWN = [jobs.c[name] for name in Job.model_fields if name != "now"] + [now().label("now")]


class Event(BaseModel):
    """Something that happened to a job. `seq` counts 1, 2, 3 … without a gap."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: float
    attempt: int
    kind: str
    """queued, started, step, text, again (the text so far is void; what follows replaces it), note, parked, waiting,
    put_back, lapsed, retried, the ends: done, failed, cancelled, set_aside; and after them edited."""
    step: str
    data: dict[str, Any]


@dataclass(frozen=True)
class News:
    """An event on its way into the ledger."""

    kind: str
    step: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    once: str | None = None
    """If an event with this mark is there already, this one is not added."""


@dataclass(frozen=True)
class Order:
    """What is asked for: a job before it has an id."""

    title: str
    request: Mapping[str, Any]
    """JSON that `runner.start_of` understands."""
    queue: Queue = "interactive"
    webhook: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    trace: str | None = None

    @property
    def digest(self) -> str:
        """Of all that makes two submissions the same."""
        return _digest([self.title, self.request, self.queue, self.webhook])


@dataclass(frozen=True)
class Lease:
    """The right to work on a job until it lapses. `attempt` is the fencing number."""

    job: str
    attempt: int
    worker: str
    owner: str
    queue: Queue
    request: Mapping[str, Any]
    trace: str | None
    answer: Any
    """What a person answered to the question the job waited with, {"value": …}, or None."""
    budget: int | None
    """Tokens the owner may still spend today; None is no limit."""


@dataclass(frozen=True)
class Swept:
    """What a sweep did: ids."""

    put_back: list[str]
    set_aside: list[str]
    due: list[str]


class Ledger:
    """All reads and writes of jobs. Safe to use from threads and after a fork."""

    def __init__(self, database: Database, *, lease: float = 30, crashes: int = 3) -> None:
        self.database, self.lease_seconds, self.max_crashes = database, lease, crashes

    # -- submitting

    def submit(self, owner: str, orders: Sequence[Order], batch: str | None = None) -> list[tuple[Job, bool]]:
        """Accept jobs, all or none: (job, whether it is new) for each order. Who submits rings the bell afterwards.

        An idempotency key seen before gives the job made then. Raises JobConflict if it came with another request,
        LimitReached.
        """
        try:
            return self._submit(owner, orders, batch)
        except IntegrityError:  # the same key at the same time: the other one is there by now
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
                    raise JobConflict(
                        f"The Idempotency-Key {order.idempotency_key!r} was used for another request, job {there.id}. "
                        "Use a new key for a new job."
                    )
            new = [o for o in orders if o.idempotency_key not in known]
            self._check_rate(c, owner, limits, len(new))
            made = {id(o): self._insert(c, owner, o, batch) for o in new}
            ids = [made.get(id(o)) or known[o.idempotency_key].id for o in orders]
            shown = {job.id: job for job in self._shown(c, select(*_SHOWN).where(jobs.c.id.in_(ids)))}
            return [(shown[i], id(o) in made) for i, o in zip(ids, orders, strict=True)]

    def _check_rate(self, c: Connection, owner: str, limits: Row[Any] | None, new: int) -> None:
        limit = limits.jobs_a_minute if limits else None
        if limit is None or not new:
            return
        recent = select(func.count()).where(jobs.c.owner == owner, jobs.c.created > now() - 60)
        if (count := c.execute(recent).scalar_one()) + new > limit:
            raise LimitReached(
                f"{owner} may submit {limit} jobs a minute; {count} came in the last one and {new} more are asked for. "
                "Wait a minute, or have the limit raised with `limner token limit`."
            )

    def _insert(self, c: Connection, owner: str, order: Order, batch: str | None) -> str:
        from limner.workflows.run import new_job

        job = f"{new_job(order.title)}{secrets.token_hex(2)}"
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

    # -- looking

    def job(self, job: str, owner: str | None = None) -> Job:
        """One job. owner: None sees all. Raises JobUnknown, also for another owner's."""
        with self.database.read() as c:
            return self._job(c, job, owner)

    def _job(self, c: Connection, job: str, owner: str | None) -> Job:
        found = self._shown(c, _owned(select(*_SHOWN).where(jobs.c.id == job), owner))
        if not found:
            raise JobUnknown(f"There is no job {job[:80]!r}. `limner jobs list` shows those there are.")
        return found[0]

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
        """Jobs, newest first. after: (created, id) of the last one of the page before."""
        query = _owned(select(*_SHOWN), owner).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
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

    def ended_before(self, seconds: float, owner: str | None = None, limit: int = 500) -> list[str]:
        """Jobs that ended more than so many seconds ago, oldest first."""
        query = _owned(select(jobs.c.id).where(jobs.c.state.in_(ENDED), jobs.c.finished < now() - seconds), owner)
        with self.database.read() as c:
            return list(c.execute(query.order_by(jobs.c.finished).limit(limit)).scalars())

    def seqs(self, ids: Sequence[str]) -> dict[str, tuple[int, State]]:
        """Of each job that is there, the number of its last event and its state: a cheap look for what is new."""
        with self.database.read() as c:
            found = c.execute(select(jobs.c.id, jobs.c.last_seq, jobs.c.state).where(jobs.c.id.in_(ids)))
            return {row.id: (row.last_seq, row.state) for row in found}

    def events(self, job: str, after: int = 0, limit: int = 1000) -> list[Event]:
        """Events of a job with a number above `after`, in order."""
        with self.database.read() as c:
            query = select(events).where(events.c.job == job, events.c.seq > after).order_by(events.c.seq).limit(limit)
            return [Event.model_validate(row, from_attributes=True) for row in c.execute(query)]

    def article(self, job: str) -> Article | None:
        """The finished article; None while there is none."""
        with self.database.read() as c:
            found = c.execute(select(jobs.c.article).where(jobs.c.id == job)).scalar()
        return Article.model_validate(found) if found else None

    def owner_of(self, job: str) -> str | None:
        """Whose it is; None if it is gone."""
        with self.database.read() as c:
            return c.execute(select(jobs.c.owner).where(jobs.c.id == job)).scalar()

    def request(self, job: str) -> dict[str, Any]:
        """What was asked for."""
        with self.database.read() as c:
            return c.execute(select(jobs.c.request).where(jobs.c.id == job)).scalar() or {}

    def counts(self) -> list[tuple[str, str, int]]:
        """(queue, state, jobs) for every pair there is."""
        query = select(jobs.c.queue, jobs.c.state, func.count()).group_by(jobs.c.queue, jobs.c.state)
        with self.database.read() as c:
            return [(row[0], row[1], row[2]) for row in c.execute(query)]

    def batch_counts(self, batch: str, owner: str | None = None) -> dict[State, int]:
        """How many jobs of a batch are in each state; empty for a batch that is not there or another owner's."""
        query: Any = select(jobs.c.state, func.count().label("n")).where(jobs.c.batch == batch).group_by(jobs.c.state)
        with self.database.read() as c:
            return {row.state: row.n for row in c.execute(_owned(query, owner))}

    def spent_today(self, owner: str) -> int:
        """Tokens that an owner's jobs have spent since midnight UTC, those of deleted jobs included."""
        query = select(func.coalesce(func.sum(calls.c.prompt + calls.c.completion), 0))
        with self.database.read() as c:
            return int(c.execute(query.where(calls.c.owner == owner, calls.c.at >= _MIDNIGHT - DAY)).scalar_one())

    def saw(self, worker: str) -> None:
        """A worker is alive."""
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

    def _shown(self, c: Connection, query: Select[Any]) -> list[Job]:
        return [Job.model_validate(row, from_attributes=True) for row in c.execute(query)]

    # -- working

    def take(self, job: str, worker: str) -> Lease | None:
        """The lease on a queued job, or None if it is not there to be taken: somebody has it, it ended, or its owner
        runs as many as allowed."""
        with self.database.write() as c:
            mine = self._locked(c, and_(jobs.c.id == job, jobs.c.state == "queued"))
            if mine is None:
                return None
            limits = self._limits(c, mine.owner)
            if limits is not None and limits.jobs_at_a_time is not None:
                running = select(func.count()).where(jobs.c.owner == mine.owner, jobs.c.state == "running")
                if c.execute(running).scalar_one() >= limits.jobs_at_a_time:
                    return None
            budget = self._budget(c, mine.owner, limits)
            if budget is not None and budget <= 0:
                reason = f"{mine.owner} has spent today's {limits.tokens_a_day} tokens. It goes on at midnight UTC."  # type: ignore[union-attr]
                c.execute(
                    update(jobs).where(jobs.c.id == job).values(state="parked", not_before=_MIDNIGHT, error=reason)
                )
                self._log(c, job, mine.attempt, [News("parked", data={"why": reason})])
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
                    error="",
                    not_before=None,
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
            fresh = {"crashes": 0, "tries": 0} if finished else {}
            self._update_mine(c, lease, **shown, **fresh)
            self._log(c, lease.job, lease.attempt, news)
            if finished:
                self._count(c, *_timed(*finished))

    def finish(self, lease: Lease, article: Article, finished: tuple[str, float] | None = None) -> None:
        """The job is done. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, article=article.model_dump(mode="json"), **_ending("done"))
            images = len(article.illustrations)
            self._log(c, lease.job, lease.attempt, [News("done", data={"title": article.title, "images": images})])
            self._count_end(c, lease.job, "done")
            if finished:
                self._count(c, *_timed(*finished))

    def fail(self, lease: Lease, why: str) -> None:
        """The job cannot succeed as it is. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, error=why, **_ending("failed"))
            self._log(c, lease.job, lease.attempt, [News("failed", data={"why": why})])
            self._count_end(c, lease.job, "failed")

    def park(self, lease: Lease, why: str, max_tries: int | None) -> bool:
        """Something the job needs is not there: it goes on by itself later, or fails after `max_tries`.

        Waits 5 s, 10 s, 20 s … 5 minutes; with max_tries None until midnight UTC, when the day's tokens are counted
        anew. Returns whether it was parked. Raises LeaseLost.
        """
        with self.database.write() as c:
            if max_tries is None:
                self._update_mine(c, lease, state="parked", error=why, not_before=_MIDNIGHT, **_NO_LEASE)
                self._log(c, lease.job, lease.attempt, [News("parked", data={"why": why})])
                return True
            self._update_mine(c, lease, tries=jobs.c.tries + 1)
            tries = c.execute(select(jobs.c.tries).where(jobs.c.id == lease.job)).scalar_one()
            if tries >= max_tries:
                why = f"{why} (tried {tries} times; then: limner jobs retry {lease.job})"
                self._update_mine(c, lease, error=why, **_ending("failed"))
                self._log(c, lease.job, lease.attempt, [News("failed", data={"why": why})])
                self._count_end(c, lease.job, "failed")
                return False
            wait = min(300, 5 * 2 ** (tries - 1))
            self._update_mine(c, lease, state="parked", error=why, not_before=now() + wait, **_NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("parked", data={"why": why, "seconds": wait})])
            self._count(c, ("retries", {}, 1))
            return True

    def put_back(self, lease: Lease) -> None:
        """Work stops in order, e.g. because the worker is shut down: another goes on. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, state="queued", rung=now(), **_NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("put_back")])

    def crashed(self, lease: Lease, why: str) -> None:
        """Something nobody foresaw went wrong: as if the worker had died of it. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease)
            self._put_back_or_aside(c, lease.job, why)

    def wait(self, lease: Lease, question: Any) -> None:
        """The job needs a person: it holds no lease and no message until `answer`. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease, state="waiting", question=question, answer=None, **_NO_LEASE)
            self._log(c, lease.job, lease.attempt, [News("waiting", data={"question": question})])

    def answered(self, lease: Lease) -> None:
        """The answer has become part of the job's checkpoints and is not needed again. Raises LeaseLost."""
        self._mine(lease, answer=None)

    def _mine(self, lease: Lease, **values: Any) -> None:
        with self.database.write() as c:
            self._update_mine(c, lease, **values)

    def _update_mine(self, c: Connection, lease: Lease, **values: Any) -> None:
        """Change the job if the lease still holds. An empty change only checks, and locks the row."""
        values = values or {"attempt": jobs.c.attempt}
        if c.execute(update(jobs).where(held(lease)).values(**values)).rowcount != 1:
            raise LeaseLost(f"Job {lease.job} is no longer attempt {lease.attempt}'s.")

    # -- what was paid for

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
        """Remember a call. answer: None if it broke off and was paid for. usage: of this call. number: of the
        attempt's calls; the same call kept again counts once.

        What a lapsed attempt paid is counted, what it was answered is not used; then raises LeaseLost.
        """
        once = f"{lease.attempt}:{number}"
        row = {"job": lease.job, "owner": lease.owner, "attempt": lease.attempt, "step": step, "role": role}
        paid = {"prompt": usage.prompt, "completion": usage.completion, "cached": usage.cached}
        with self.database.write() as c:
            there = select(calls.c.id).where(calls.c.job == lease.job, calls.c.once == once)
            if c.execute(there).first() is not None:
                return
            # A new answer is progress: what kills its worker again after this gets no further, and makes none.
            further = {"crashes": 0} if answer is not None else {}
            fresh = update(jobs).where(held(lease)).values(spent=jobs.c.spent + usage.total, **further)
            mine = c.execute(fresh).rowcount == 1
            if not mine:
                late = update(jobs).where(jobs.c.id == lease.job).values(spent=jobs.c.spent + usage.total)
                if c.execute(late).rowcount != 1:
                    raise LeaseLost(f"Job {lease.job} is gone.")
            kept = {"digest": digest, "answer": answer if mine else None, "estimated": usage.estimated}
            c.execute(insert(calls).values(**row, **paid, **kept, at=now(), once=once))
            tokens = [("model_tokens", {"role": role, "kind": kind}, n) for kind, n in paid.items()]
            self._count(c, ("model_calls", {"role": role}, 1), *tokens)
        if not mine:
            raise LeaseLost(f"Job {lease.job} is no longer attempt {lease.attempt}'s.")

    def paid(self, job: str, step: str, usage: Mapping[str, Usage]) -> None:
        """Count what was spent on a job while nobody holds a lease on it, by role."""
        with self.database.write() as c:
            row = self._lock_owned(c, job, None)
            for role, used in usage.items():
                paid = {"prompt": used.prompt, "completion": used.completion, "cached": used.cached}
                about = {"job": job, "owner": row.owner, "attempt": row.attempt, "step": step, "role": role}
                once = {"digest": _digest(secrets.token_hex(8)), "once": secrets.token_hex(16)}
                c.execute(insert(calls).values(**about, **paid, **once, estimated=used.estimated, at=now()))
                tokens = [("model_tokens", {"role": role, "kind": kind}, n) for kind, n in paid.items()]
                self._count(c, ("model_calls", {"role": role}, used.calls), *tokens)
            total = sum(used.total for used in usage.values())
            c.execute(update(jobs).where(jobs.c.id == job).values(spent=jobs.c.spent + total))

    def forget_answers(self, lease: Lease, step: str) -> None:
        """What was answered at this step was of no use: ask anew next time. Raises LeaseLost."""
        with self.database.write() as c:
            self._update_mine(c, lease)
            c.execute(update(calls).where(calls.c.job == lease.job, calls.c.step == step).values(answer=None))

    def text(self, job: str) -> str:
        """What was shown of the article while it was written: the text since it was last begun anew."""
        query = select(events.c.kind, events.c.data).where(events.c.job == job, events.c.kind.in_(("text", "again")))
        shown = ""
        with self.database.read() as c:
            for row in c.execute(query.order_by(events.c.seq)):
                shown = row.data["text"] if row.kind == "again" else shown + row.data["text"]
        return shown

    def usage(self, job: str) -> dict[str, Usage]:
        """Tokens a job has spent so far, by role."""
        columns: list[Any] = [calls.c.role, func.count()]
        columns += [func.sum(calls.c[name]) for name in ("prompt", "completion", "cached")]
        columns += [func.max(case((calls.c.estimated, 1), else_=0))]
        query = select(*columns).where(calls.c.job == job)
        with self.database.read() as c:
            rows = [tuple(row) for row in c.execute(query.group_by(calls.c.role))]
        return {str(row[0]): Usage(*map(int, row[1:5]), estimated=bool(row[5])) for row in rows}

    def left_today(self, owner: str) -> int | None:
        """Tokens an owner may still spend today, all their jobs together; None is no limit."""
        with self.database.read() as c:
            return self._budget(c, owner, c.execute(select(owners).where(owners.c.name == owner)).first())

    def _budget(self, c: Connection, owner: str, limits: Row[Any] | None) -> int | None:
        if limits is None or limits.tokens_a_day is None:
            return None
        today = and_(calls.c.owner == owner, calls.c.at >= func.floor(now() / DAY) * DAY)
        spent = c.execute(select(func.coalesce(func.sum(calls.c.prompt + calls.c.completion), 0)).where(today))
        return limits.tokens_a_day - int(spent.scalar_one())

    # -- what people do

    def cancel(self, job: str, owner: str | None = None) -> Job:
        """End a job now; whoever works on it finds its lease gone. Cancelled twice is cancelled. Raises JobUnknown,
        JobConflict for one that ended otherwise."""
        with self.database.write() as c:
            found = self._lock_owned(c, job, owner)
            if found.state in ENDED and found.state != "cancelled":
                raise JobConflict(f"Job {job} is {_say(found.state)} already and cannot be cancelled.")
            if found.state != "cancelled":
                c.execute(update(jobs).where(jobs.c.id == job).values(**_ending("cancelled")))
                self._log(c, job, found.attempt, [News("cancelled")])
                self._count_end(c, job, "cancelled")
            return self._job(c, job, None)

    def retry(self, job: str, owner: str | None = None) -> Job:
        """Put a job that failed, was set aside, cancelled or parked back into its queue; it goes on where it stopped.

        Raises JobUnknown, JobConflict.
        """
        with self.database.write() as c:
            found = self._lock_owned(c, job, owner)
            if found.state not in ("failed", "set_aside", "cancelled", "parked"):
                hint = {"done": "Submit it anew for another article.", "waiting": "Answer its question."}
                raise JobConflict(
                    f"Job {job} is {_say(found.state)}: there is nothing to retry. "
                    + hint.get(found.state, "Wait for it, or cancel it first.")
                )
            fresh: dict[str, Any] = {"crashes": 0, "tries": 0, "error": "", "finished": None, "not_before": None}
            if found.webhook:
                fresh |= {"webhook_state": None, "webhook_tries": 0, "webhook_next": None, "webhook_error": ""}
            c.execute(update(jobs).where(jobs.c.id == job).values(state="queued", rung=now(), **fresh))
            self._log(c, job, found.attempt, [News("retried")])
            return self._job(c, job, None)

    def answer(self, job: str, value: Any, owner: str | None = None) -> Job:
        """A person's answer to a waiting job, taken once, and only if it fits what is asked (workflows/review.py).

        Raises JobUnknown; BadInput for what is no answer; JobConflict where it asks nothing, or something else by now.
        """
        from limner.workflows.review import check_all

        with self.database.write() as c:
            found = self._lock_owned(c, job, owner)
            if found.state != "waiting":
                raise JobConflict(
                    f"Job {job} is {_say(found.state)} and asks nothing: it was answered already, or never asked. "
                    "Show it to see how it goes on."
                )
            value = check_all(found.question, value)
            given = {"answer": {"value": value}, "question": None, "rung": now()}
            c.execute(update(jobs).where(jobs.c.id == job).values(state="queued", **given))
            self._log(c, job, found.attempt, [News("answered")])
            return self._job(c, job, None)

    def delete(self, job: str, owner: str | None = None) -> None:
        """Forget a job and all that belongs to it, also while it runs. Raises JobUnknown.

        Its checkpoints are the caller's to delete (`checkpoints.forget`).
        """
        with self.database.write() as c:
            self._lock_owned(c, job, owner)
            c.execute(delete(events).where(events.c.job == job))
            c.execute(update(calls).where(calls.c.job == job).values(answer=None))  # its cost stays counted
            c.execute(delete(jobs).where(jobs.c.id == job))

    def _lock_owned(self, c: Connection, job: str, owner: str | None) -> Row[Any]:
        found = self._locked(c, jobs.c.id == job if owner is None else and_(jobs.c.id == job, jobs.c.owner == owner))
        if found is None:
            raise JobUnknown(f"There is no job {job[:80]!r}. `limner jobs list` shows those there are.")
        return found

    # -- sweeping

    def sweep(self, gone: Callable[[str], bool] = lambda _worker: False) -> Swept:
        """Put jobs back whose lease lapsed or whose worker is `gone`, and those whose time to be parked is over."""
        swept = Swept([], [], [])
        with self.database.read() as c:
            running = c.execute(select(jobs.c.id, jobs.c.worker, jobs.c.attempt).where(jobs.c.state == "running"))
            dead = [(row.id, row.attempt) for row in running if row.worker and gone(row.worker)]
            lapsed = select(jobs.c.id, jobs.c.attempt).where(jobs.c.state == "running", jobs.c.lease_until < now())
            late = {(row.id, row.attempt) for row in c.execute(lapsed)}
            due = c.execute(select(jobs.c.id).where(jobs.c.state == "parked", jobs.c.not_before <= now()))
            due_ids = [row.id for row in due]
        for job, attempt in sorted({*dead, *late}):
            self._take_away(job, attempt, (job, attempt) in dead, swept)
        for job in due_ids:
            with self.database.write() as c:
                here = and_(jobs.c.id == job, jobs.c.state == "parked", jobs.c.not_before <= now())
                found = self._locked(c, here)
                if found is not None:
                    c.execute(update(jobs).where(jobs.c.id == job).values(state="queued", rung=None, error=""))
                    self._log(c, job, found.attempt, [News("due")])
                    swept.due.append(job)
        return swept

    def _take_away(self, job: str, attempt: int, dead: bool, swept: Swept) -> None:
        with self.database.write() as c:
            here = and_(jobs.c.id == job, jobs.c.attempt == attempt, jobs.c.state == "running")
            if not dead:  # it may have reported since we looked
                here = and_(here, jobs.c.lease_until < now())
            found = self._locked(c, here)
            if found is None:
                return
            step = f" at {found.step}" if found.step else ""
            why = f"its worker {'died' if dead else 'was not heard of'}{step}"
            aside = self._put_back_or_aside(c, job, why, found)
            (swept.set_aside if aside else swept.put_back).append(job)

    def _put_back_or_aside(self, c: Connection, job: str, why: str, found: Row[Any] | None = None) -> bool:
        """Whether it was set aside, after too many crashes in a row."""
        found = found if found is not None else c.execute(select(jobs).where(jobs.c.id == job)).one()
        crashes = found.crashes + 1
        self._count(c, ("sweeps", {}, 1))
        if crashes < self.max_crashes:
            back = {"state": "queued", "crashes": crashes, "rung": None, **_NO_LEASE}
            c.execute(update(jobs).where(jobs.c.id == job).values(**back))
            self._log(c, job, found.attempt, [News("lapsed", data={"why": why})])
            return False
        error = f"Set aside: {crashes} times in a row, {why}. See its log; then: limner jobs retry {job}"
        c.execute(update(jobs).where(jobs.c.id == job).values(error=error, crashes=crashes, **_ending("set_aside")))
        self._log(c, job, found.attempt, [News("set_aside", data={"why": error})])
        self._count_end(c, job, "set_aside")
        return True

    def unheard(self, queue: Queue, patience: float, limit: int) -> list[str]:
        """Queued jobs, oldest first, for which nobody rang within `patience` seconds; those of owners who already run
        as many as they may are left out."""
        running = (
            select(jobs.c.owner, func.count().label("n")).where(jobs.c.state == "running").group_by(jobs.c.owner)
        ).subquery()
        full = (
            select(owners.c.name)
            .join(running, running.c.owner == owners.c.name)
            .where(running.c.n >= owners.c.jobs_at_a_time)
        )
        query = select(jobs.c.id).where(
            jobs.c.state == "queued",
            jobs.c.queue == queue,
            or_(jobs.c.rung.is_(None), jobs.c.rung < now() - patience),
            jobs.c.owner.not_in(full),
        )
        with self.database.read() as c:
            return list(c.execute(query.order_by(jobs.c.created, jobs.c.id).limit(limit)).scalars())

    def queued(self, queue: Queue) -> int:
        """How many jobs wait in a queue."""
        with self.database.read() as c:
            query = select(func.count()).where(jobs.c.state == "queued", jobs.c.queue == queue)
            return c.execute(query).scalar_one()

    def next_of(self, owner: str) -> tuple[str, Queue] | None:
        """The owner's oldest queued job, interactive first: rung for when one of theirs ended and they have a limit."""
        query = (
            select(jobs.c.id, jobs.c.queue)
            .join(owners, owners.c.name == jobs.c.owner)
            .where(jobs.c.owner == owner, jobs.c.state == "queued", owners.c.jobs_at_a_time.is_not(None))
            .order_by(jobs.c.queue.desc(), jobs.c.created)
            .limit(1)
        )
        with self.database.read() as c:
            row = c.execute(query).first()
        return (row.id, row.queue) if row else None

    def rang(self, ids: Sequence[str]) -> None:
        """The bell was rung for these."""
        with self.database.write() as c:
            c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(rung=now()))

    # -- webhooks

    def due_webhooks(self, limit: int = 20, hold: float = 60) -> list[tuple[Job, dict[str, str]]]:
        """Finished jobs whose webhook is due, with {"url", "secret"}; they are this caller's for `hold` seconds."""
        ready = and_(jobs.c.webhook_state == "due", or_(jobs.c.webhook_next.is_(None), jobs.c.webhook_next <= now()))
        with self.database.read() as c:
            if c.execute(select(jobs.c.id).where(ready).limit(1)).first() is None:
                return []
        with self.database.write() as c:
            query = select(*_SHOWN, jobs.c.webhook).where(ready).order_by(jobs.c.webhook_next).limit(limit)
            found = c.execute(query if self.database.sqlite else query.with_for_update(skip_locked=True)).all()
            ids = [row.id for row in found]
            c.execute(update(jobs).where(jobs.c.id.in_(ids)).values(webhook_next=now() + hold))
            return [(Job.model_validate(row, from_attributes=True), dict(row.webhook)) for row in found]

    def webhook_sent(self, job: str) -> None:
        """The webhook was taken."""
        with self.database.write() as c:
            due = and_(jobs.c.id == job, jobs.c.webhook_state == "due")  # not if the job was retried meanwhile
            c.execute(update(jobs).where(due).values(webhook_state="sent", webhook_error=""))
            self._count(c, ("webhooks", {"result": "sent"}, 1))

    def webhook_failed(self, job: str, why: str, again_in: float | None) -> None:
        """The webhook was not taken. again_in: seconds; None gives it up."""
        state = "failed" if again_in is None else "due"
        wait = {} if again_in is None else {"webhook_next": now() + again_in}
        fields = {"webhook_state": state, "webhook_error": why[:300], "webhook_tries": jobs.c.webhook_tries + 1}
        with self.database.write() as c:
            due = and_(jobs.c.id == job, jobs.c.webhook_state == "due")
            c.execute(update(jobs).where(due).values(**fields, **wait))
            self._count(c, ("webhooks", {"result": "failed" if again_in is None else "retried"}, 1))

    def webhook_tries(self, job: str) -> int:
        """How often a job's webhook was tried in vain."""
        with self.database.read() as c:
            return c.execute(select(jobs.c.webhook_tries).where(jobs.c.id == job)).scalar() or 0

    # -- inside a transaction

    def lock(self, c: Connection, job: str, owner: str | None = None) -> Row[Any]:
        """A job's row, nobody else's to change until the transaction ends. Raises JobUnknown."""
        return self._lock_owned(c, job, owner)

    def tell(self, c: Connection, job: str, news: News) -> None:
        """Add an event to a job whose row is locked."""
        attempt = c.execute(select(jobs.c.attempt).where(jobs.c.id == job)).scalar_one()
        self._log(c, job, attempt, [news])

    def _locked(self, c: Connection, where: Any) -> Row[Any] | None:
        """The one job that fits, locked until the transaction ends."""
        return c.execute(select(jobs).where(where).with_for_update()).first()  # SQLite: BEGIN IMMEDIATE has locked all

    def _limits(self, c: Connection, owner: str) -> Row[Any] | None:
        """The owner's row, locked: limits are counted by one transaction at a time."""
        return c.execute(select(owners).where(owners.c.name == owner).with_for_update()).first()

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
        """Add to the tallies; in one order everywhere, so that two transactions never wait for each other."""
        make = sqlite.insert if self.database.sqlite else postgresql.insert
        for name, labels, value in sorted((n, json.dumps(ls, sort_keys=True), v) for n, ls, v in counters):
            added = make(tallies).values(name=name, labels=labels, value=value)
            more = {"value": tallies.c.value + added.excluded.value}
            c.execute(added.on_conflict_do_update(index_elements=["name", "labels"], set_=more))

    def _count_end(self, c: Connection, job: str, state: State) -> None:
        row = c.execute(select(jobs.c.queue, jobs.c.started, now().label("now")).where(jobs.c.id == job)).one()
        ended = ("jobs_ended", {"queue": row.queue, "state": state}, 1)
        took = _timed("job", row.now - row.started) if row.started is not None else []
        self._count(c, ended, *took)


# --- the words of the queries --------------------------------------------------------------------------------------

_MIDNIGHT = (func.floor(now() / DAY) + 1) * DAY
_NO_LEASE: dict[str, Any] = {"worker": None, "lease_until": None}

BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds, in seconds, of the histogram of how long steps and jobs take."""


def held(lease: Lease) -> Any:
    """The condition under which the holder of a lease may write."""
    return and_(jobs.c.id == lease.job, jobs.c.attempt == lease.attempt, jobs.c.state == "running")


def _ending(state: State) -> dict[str, Any]:
    """What changes when a job ends, whatever the end."""
    webhook = case((jobs.c.webhook.is_not(None), "due"), else_=None)
    return {
        "state": state,
        "finished": now(),
        "question": None,
        "not_before": None,
        "webhook_state": webhook,
    } | _NO_LEASE


def _owned(query: Select[Any], owner: str | None) -> Select[Any]:
    """The one place where owners are kept apart in reading."""
    return query if owner is None else query.where(jobs.c.owner == owner)


def _say(state: str) -> str:
    return state.replace("_", " ")


def _timed(step: str, seconds: float) -> list[tuple[str, Mapping[str, str], float]]:
    bucket = next((str(b) for b in BUCKETS if seconds <= b), "+Inf")
    return [
        ("step_seconds_sum", {"step": step}, seconds),
        ("step_seconds_bucket", {"step": step, "le": bucket}, 1),
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=dict).encode()).hexdigest()


def check_queue(name: str) -> Queue:
    """A queue's name. Raises BadInput."""
    if name not in ("interactive", "batch"):
        raise BadInput(f"There is no queue {name[:40]!r}. Choose interactive or batch.")
    return name
