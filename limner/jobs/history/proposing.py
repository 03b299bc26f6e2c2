"""Propose changes to a job's article, counted for the job and within its owner's limits of the day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from limner.document import Article, Brief
from limner.errors import LibraryError, LimitReached
from limner.jobs.libraries import Open, names_for, with_uploads
from limner.jobs.owners import Owner
from limner.jobs.request import read_request, start_of
from limner.jobs.service import Jobs
from limner.notes import note
from limner.tools.candidates import usable
from limner.tools.editing.commands import Instruction, Proposal
from limner.tools.library import Library
from limner.workflows.context import Context
from limner.workflows.revise.graph import propose
from limner.workflows.tenants import SharedMeter

RETRY_AFTER = 3600  # seconds; the day's tokens are counted anew at midnight UTC


def propose_for_job(
    jobs: Jobs,
    job: str,
    article: Article,
    instruction: Instruction,
    context: Context,
    open_: Open,
    *,
    owner: Owner | None = None,
    max_tokens: int | None = None,
) -> Proposal:
    """Propose edits that fulfil an instruction about a job's article, without applying them.

    context: gives the models; its libraries are not used. open_: opens the job's libraries. owner: who asks; None means
    the job's owner. max_tokens: limit of this proposal, besides what the owner has left today.

    Raises LimitReached if the owner has reached the day's limit, and what `revise.graph.propose` raises.
    """
    with paid_for(jobs, job, article, context, open_, "revise", owner=owner, max_tokens=max_tokens) as asking:
        return propose(asking, article, instruction, _brief(jobs, job, asking.libraries))


@contextmanager
def paid_for(
    jobs: Jobs,
    job: str,
    article: Article,
    context: Context,
    open_: Open,
    step: str,
    *,
    owner: Owner | None = None,
    max_tokens: int | None = None,
) -> Iterator[Context]:
    """A context with the job's libraries, whose tokens count for the job under the name `step`.

    Arguments as for `propose_for_job`. Raises LimitReached if the owner has reached the day's limit.
    """
    spender = jobs.ledger.job(job).owner
    left = jobs.ledger.left_today(spender)
    if left.spent:
        raise LimitReached(note("spent-today", who=spender), RETRY_AFTER)
    libraries = _opened(names_for(jobs, job, article, owner), open_)
    budget = min((b for b in (left.tokens, max_tokens) if b is not None), default=None)
    meter = SharedMeter(budget=budget, max_cost=left.dollars, whole=context.meter)
    asking = context.derived(
        libraries=libraries, meter=meter, used=lambda n: jobs.ledger.shown_lately(n, spender, but=job)
    )
    try:
        yield asking
    finally:
        if meter.roles:
            jobs.ledger.paid(job, step, meter.roles)


def _opened(names: list[str], open_: Open) -> list[Library]:
    """The libraries that can be searched; an instruction about the text needs none."""
    try:
        return usable(names, open_)
    except LibraryError:
        return []


def _brief(jobs: Jobs, job: str, libraries: Sequence[Library]) -> Brief:
    """The job's brief, with those of its uploaded reference images that still exist."""
    request = read_request(jobs.ledger.request(job))
    brief: Brief = start_of(request)["brief"]
    own = Owner(jobs.ledger.job(job).owner).own_library
    library = next((one for one in libraries if one.name == own), None)
    if library is None:
        return brief
    return with_uploads(brief, [i for i in request.references if library.has(i)], library)
