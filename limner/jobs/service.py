"""Jobs for callers: submit, watch, cancel, retry, delete, the same for HTTP, the shell and Python."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

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

MAX_BATCH = 1000  # jobs of one submission; a transaction much longer than this holds up the workers


class Jobs:
    """The jobs of one installation. Safe to use from threads and after a fork; close it when done."""

    def __init__(self, settings: Settings | None = None, *, bell: Bell | None = None) -> None:
        """settings: None reads the environment. Brings the database's schema up to date.

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
        """How workers are told."""
        return Bell(make_app(self.settings))

    @cached_property
    def ringer(self) -> Ringer:
        """Rings the bell without making a caller wait."""
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
        """Accept jobs, all of them or none, and ring for them: (job, whether it is new) in the order of `requests`.

        keys: an idempotency key for each; the same key gives the same job. batch: they get a batch's name in common.
        trace: the caller's W3C traceparent, which the jobs' traces then belong to.
        Raises BadInput, LibraryMissing, LimitReached, JobConflict, LedgerError.
        """
        owner = owner or self.owners.get(LOCAL)
        if len(requests) > MAX_BATCH:
            raise BadInput(f"{len(requests)} jobs are more than the {MAX_BATCH} that one batch takes. Send several.")
        if not requests:
            raise BadInput("There is nothing to submit. Give at least one brief or draft.")
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

    def check_library(self, name: str, owner: Owner) -> None:
        """Raises LibraryMissing for a library that is not there or not the owner's; nobody can tell which."""
        from limner.tools.library import libraries

        if name != "starter" and not (owner.may_use(name) and name in libraries(self.settings.home)):
            raise LibraryMissing(note("no-library", name=name[:64]))

    def retry(self, job: str, owner: str | None = None) -> Job:
        """Put a job back that failed, was set aside, cancelled or parked. Raises JobUnknown, JobConflict."""
        found = self.ledger.retry(job, owner)
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
        """Forget a job and everything kept for it. Raises JobUnknown."""
        self.ledger.delete(job, owner)
        checkpoints.forget(self.database, [job])

    def prune(self, days: float, owner: str | None = None) -> int:
        """Delete the jobs that ended more than so many days ago; returns how many there were."""
        pruned = 0
        while old := self.ledger.ended_before(days * 86_400, owner):
            for job in old:
                self.ledger.delete(job)
            checkpoints.forget(self.database, old)
            pruned += len(old)
        shrink(self.database)
        return pruned

    def tidy(self, days: float | None = None) -> int:
        """Throw away the working papers of jobs that ended more than so many days ago (None: LIMNER_KEEP), and give
        their room back; of how many jobs. Workers do the first by themselves."""
        tidied = tidy(self.database, self.settings.keep if days is None else days)
        shrink(self.database)
        return tidied

    def article(self, job: str, owner: str | None = None) -> Article:
        """The finished article. Raises JobUnknown, JobConflict while there is none."""
        found = self.ledger.job(job, owner)
        article = self.ledger.article(job)
        if article is None:
            state = found.state.replace("_", " ")
            hint = "Wait for it: its events tell when it is done." if not found.ended else found.error or "Retry it."
            raise JobConflict(f"Job {job} is {state} and has no article yet. {hint}")
        return article

    def follow(self, job: str, owner: str | None = None, after: int = 0) -> Iterator[Event]:
        """The job's events from number `after` on, those to come as well, until it has ended. Raises JobUnknown."""
        import time

        self.ledger.job(job, owner)
        while True:
            found = self.ledger.job(job, owner)  # before the events: all of an ended job are there
            for event in self.ledger.events(job, after):
                yield event
                after = event.seq
            if found.ended:
                return
            time.sleep(0.1)

    def close(self) -> None:
        """Give connections back."""
        self.database.close()
        if "ringer" in self.__dict__:
            self.ringer.close()
        if "bell" in self.__dict__:
            self.bell.app.close()
