"""Jobs for callers: submit, watch, cancel, retry, delete, the same for HTTP, the shell and Python."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from limner.agents.meter import Usage
from limner.document import Article
from limner.errors import BadInput, JobConflict, LibraryMissing
from limner.jobs.checkpoints import checkpoints
from limner.jobs.ledger import Event, Job, Ledger
from limner.jobs.ledger.database import Database, database_url, migrate
from limner.jobs.owners import LOCAL, Owner, Owners
from limner.jobs.queue import Bell, Ringer, make_app
from limner.jobs.request import JobRequest
from limner.jobs.retention import shrink, tidy
from limner.jobs.webhook import check_url, read_hosts, signing_key
from limner.notes import note
from limner.observe import new_trace
from limner.settings import Settings
from limner.tools.library import libraries
from limner.workflows.allowed import BUNDLED

MAX_BATCH = 1000  # jobs per submission; a longer transaction would block the workers


class Jobs:
    """The jobs of one installation. Safe to use from threads and after a fork; close it after use."""

    def __init__(self, settings: Settings | None = None, *, bell: Bell | None = None) -> None:
        """Open the ledger and migrate its schema. settings: None reads the environment.

        Raises LedgerError, BadInput, NotInstalled.
        """
        self.settings = settings or Settings()
        self.database = Database(database_url(self.settings))
        migrate(self.database)
        self.ledger = Ledger(self.database, lease=self.settings.lease, crashes=self.settings.crashes)
        self.owners = Owners(self.database, self.settings)
        if bell is not None:
            self.bell = bell

    @cached_property
    def bell(self) -> Bell:
        """Notifies workers of jobs."""
        return Bell(make_app(self.settings))

    @cached_property
    def ringer(self) -> Ringer:
        """Notifies workers without blocking the caller."""
        return Ringer(self.bell)

    def submit(
        self,
        requests: Sequence[JobRequest],
        owner: Owner | None = None,
        *,
        keys: Sequence[str | None] = (),
        batch: bool = False,
        trace: str | None = None,
    ) -> list[tuple[Job, bool]]:
        """Submit jobs, all or none, and notify the workers: (job, whether it is new) in the order of `requests`.

        keys: an idempotency key for each; the same key returns the same job. batch: whether they share a batch name.
        trace: the caller's W3C traceparent, to which the jobs' traces belong. Raises BadInput, LibraryMissing,
        LimitReached, JobConflict, LedgerError.
        """
        owner = owner or self.owners.get(LOCAL)
        if len(requests) > MAX_BATCH:
            raise BadInput(note("batch-too-large", n=len(requests), most=MAX_BATCH))
        if not requests:
            raise BadInput(note("batch-empty"))
        for name in dict.fromkeys(name for r in requests for name in r.library):
            self.check_library(name, owner)
        if references := list(dict.fromkeys(i for r in requests for i in r.references)):
            from limner.jobs.uploads import check_there

            check_there(self.settings.home, owner, references)
        for name in dict.fromkeys(r.generate for r in requests if r.generate):
            if not self.settings.allows(name):
                raise BadInput(note("no-generator", name=name[:64]))
        inside = read_hosts(self.settings.webhook_hosts)
        for request in requests:
            if request.webhook:
                check_url(request.webhook.url, inside)
                signing_key(request.webhook.secret)
        keys = [*keys, *[None] * (len(requests) - len(keys))]
        traces = [new_trace(trace) for _ in requests]
        orders = [r.order(idempotency_key=k, trace=t) for r, k, t in zip(requests, keys, traces, strict=True)]
        made = self.ledger.submit(owner.name, orders, f"batch-{secrets.token_hex(6)}" if batch else None)
        self.ringer.ring_all((job.id, job.route) for job, new in made if new)
        return made

    def adopt(
        self,
        request: JobRequest,
        article: Article,
        owner: Owner | None = None,
        *,
        name: str = "",
        spent: Mapping[str, Usage] | None = None,
    ) -> Job:
        """Keep an article that was composed in this process as a job that is done: listed, revised and undone as any.

        request: what it was composed for. name: the job's id, if it was promised. spent: tokens, by role.
        Raises LedgerError.
        """
        job = self.ledger.adopt((owner or self.owners.get(LOCAL)).name, request.order(), article, name)
        if spent:
            self.ledger.paid(job.id, "compose", spent)
        return job

    def check_library(self, name: str, owner: Owner) -> None:
        """Raises LibraryMissing alike for a library that does not exist and for another owner's."""
        if name not in BUNDLED and not (owner.may_use(name) and name in libraries(self.settings.home)):
            raise LibraryMissing(note("no-library", name=name[:64]))

    def retry(
        self, job: str, owner: str | None = None, *, max_tokens: int | None = None, max_cost: float | None = None
    ) -> Job:
        """Requeue a failed, set aside, cancelled or parked job, with new limits if given (tokens, US dollars).

        Raises JobUnknown, JobConflict, and BadInput for a limit that is spent already.
        """
        found = self.ledger.retry(job, owner, max_tokens=max_tokens, max_cost=max_cost)
        self.ringer.ring_all([(found.id, found.route)])
        return found

    def answer(self, job: str, value: Any, owner: str | None = None) -> Job:
        """Answer a waiting job's question, once. Raises JobUnknown, JobConflict."""
        found = self.ledger.answer(job, value, owner)
        self.ringer.ring_all([(found.id, found.route)])
        return found

    def cancel(self, job: str, owner: str | None = None) -> Job:
        """End a job now. Raises JobUnknown, JobConflict."""
        return self.ledger.cancel(job, owner)

    def delete(self, job: str, owner: str | None = None) -> None:
        """Delete a job and everything kept for it. Raises JobUnknown."""
        self.ledger.delete(job, owner)
        checkpoints.forget(self.database, [job])

    def prune(self, days: float, owner: str | None = None) -> int:
        """Delete the jobs that ended more than `days` days ago. Returns how many."""
        pruned = 0
        while old := self.ledger.ended_before(days * 86_400, owner):
            for job in old:
                self.ledger.delete(job)
            checkpoints.forget(self.database, old)
            pruned += len(old)
        shrink(self.database)
        return pruned

    def tidy(self, days: float | None = None) -> int:
        """Delete the working data of jobs that ended more than `days` days ago (None: LIMNER_KEEP) and shrink the
        database. Returns how many jobs had any. Workers delete by themselves, but do not shrink."""
        tidied = tidy(self.database, self.settings.keep if days is None else days)
        shrink(self.database)
        return tidied

    def article(self, job: str, owner: str | None = None) -> Article:
        """The finished article. Raises JobUnknown, and JobConflict before there is one."""
        found = self.ledger.job(job, owner)
        article = self.ledger.article(job)
        if article is None:
            about = {"job": job, "state": found.state.replace("_", " ")}
            if not found.ended:
                raise JobConflict(note("no-article-yet", **about))
            raise JobConflict(note("no-article", **about, line=found.why or note("retry-it")))
        return article

    def follow(self, job: str, owner: str | None = None, after: int = 0) -> Iterator[Event]:
        """Follow the job's events from number `after` on until it has ended. Raises JobUnknown."""
        self.ledger.job(job, owner)
        while True:
            found = self.ledger.job(job, owner)  # before the events, so that an ended job's events are all read
            for event in self.ledger.events(job, after):
                yield event
                after = event.seq
            if found.ended:
                return
            time.sleep(0.1)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
        if "ringer" in self.__dict__:
            self.ringer.close()
        if "bell" in self.__dict__:
            self.bell.app.close()
