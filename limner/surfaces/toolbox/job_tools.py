"""The tools for articles that are jobs of the installation: composed by its workers, with their history."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limner.document import Brief
from limner.jobs.history.asking import ask_about_job
from limner.jobs.history.proposing import propose_for_job
from limner.jobs.history.revisions import Revisions
from limner.jobs.ledger.values import Job
from limner.jobs.libraries import record_of
from limner.jobs.owners import Owner
from limner.jobs.progress import progress
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.surfaces.toolbox.texts import LONGEST_WAIT, ToolResult, accepted, answered, asked, shown
from limner.tools.editing.commands import Instruct
from limner.tools.library import Library
from limner.workflows.inputs import read_words
from limner.workflows.listing import quoted
from limner.workflows.review import questions
from limner.workflows.tenants import Scope, Tenants


@dataclass
class JobTools:
    """`Tools` of one tenant that work on jobs."""

    jobs: Jobs
    scope: Scope
    tenants: Tenants

    @property
    def owner(self) -> Owner:
        """The tenant's owner in the ledger."""
        tenant = self.scope.tenant
        owner = self.jobs.owners.get(tenant.owner)
        if tenant.libraries is not None:  # chosen by the product, never more than the ledger allows
            owner = replace(owner, libraries=tuple(name for name in tenant.libraries if owner.may_use(name)))
        return owner

    def submit(self, brief: str, made: Brief, wait_seconds: float) -> ToolResult:
        """Leave an article to the workers."""
        tenant = self.scope.tenant
        names = list(tenant.libraries or [library.name for library in self.scope.context.libraries])
        request = JobRequest(
            brief=brief,
            images=made.images,
            language=made.language,
            review=list(made.review),
            only=list(made.only),
            check=made.check,
            library=names,
            max_tokens=tenant.max_tokens,
            max_cost=tenant.max_cost,
        )
        ((job, _new),) = self.jobs.submit([request], self.owner)
        if wait_seconds:
            return self.get(job.id, wait_seconds=wait_seconds)
        return ToolResult(accepted(job.id), None, job.id)

    def answer(self, job: str, given: Mapping[str, Any], wait_seconds: float) -> ToolResult:
        """Answer a job's question, once."""
        self.jobs.answer(job, given, self.scope.tenant.owner)
        if wait_seconds:
            return self.get(job, wait_seconds=wait_seconds)
        return ToolResult(f"The answer is taken and article {job} goes on. get_article shows how far it is.", None, job)

    def revise(self, job: str, instruction: str) -> ToolResult:
        """Change a finished job's article by an instruction; locked parts stay."""
        asks, name = self.owner, self.scope.tenant.owner
        revisions = Revisions(self.jobs.ledger)
        head = revisions.show(job, name)
        opening = self._opening
        asked_for = Instruct(text=read_words(instruction))
        proposal = propose_for_job(self.jobs, job, head.article, asked_for, self.scope.context, opening, owner=asks)
        if not proposal.edits:
            return ToolResult(f"Nothing was changed. {quoted(proposal.summary, 500)}", head.article, job)
        records, what = record_of(opening), instruction[:200]
        number = head.version.number
        after = revisions.edit(job, proposal.edits, number, name, records, owner=name, what=what, by="model")
        says = f"Changed: {quoted(proposal.summary, 500)}\n{shown(job, after.article)}"
        return ToolResult(says, after.article, job)

    def ask(self, job: str, question: str, pictures: Sequence[int]) -> ToolResult:
        """Answer a question about a finished job's article."""
        article = self.jobs.article(job, self.scope.tenant.owner)
        context, asks = self.scope.context, self.owner
        found = ask_about_job(self.jobs, job, article, question, pictures, context, self._opening, owner=asks)
        return answered(job, found.answer)

    def _opening(self, library: str) -> Library:
        self.jobs.check_library(library, self.owner)
        return self.tenants.open([library])[0]

    def get(self, name: str, start: int = 1, wait_seconds: float = 0) -> ToolResult:
        """Show a job's article; if it is not done, its progress or its question."""
        job = self._waited(name, min(wait_seconds, LONGEST_WAIT))
        if job.state == "waiting" and (question := questions.ours(job.question)) is not None:
            return asked(job.id, question)
        if job.state != "done":
            line = progress(job, self.scope.context.settings.stuck)
            return ToolResult(f"Article {job.id} is {job.state.replace('_', ' ')}: {quoted(line, 500)}", None, job.id)
        article = self.jobs.article(name, self.scope.tenant.owner)
        return ToolResult(shown(name, article, start), article, name)

    def _waited(self, name: str, seconds: float) -> Job:
        """Wait until the job has ended or the seconds are over."""
        end = time.monotonic() + seconds
        while True:
            job = self.jobs.ledger.job(name, self.scope.tenant.owner)
            if job.ended or job.state == "waiting" or time.monotonic() >= end:
                return job
            time.sleep(0.2)
