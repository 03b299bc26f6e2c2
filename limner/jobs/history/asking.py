"""Answer questions about a job's article, counted for the job and within its owner's limits of the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from limner.document import Article
from limner.jobs.history.proposing import paid_for
from limner.jobs.libraries import Open
from limner.jobs.owners import Owner
from limner.jobs.service import Jobs
from limner.workflows.ask import Answer, ask
from limner.workflows.context import Context


class Answered(NamedTuple):
    """An answer and its cost."""

    answer: Answer
    spent: int
    """Tokens."""


def ask_about_job(
    jobs: Jobs,
    job: str,
    article: Article,
    question: str,
    pictures: Sequence[int],
    context: Context,
    open_: Open,
    *,
    owner: Owner | None = None,
) -> Answered:
    """Answer a question about a job's article. pictures: numbers of those that it is about, from 1.

    context, open_, owner: as for `propose_for_job`. Raises LimitReached if the owner has reached the day's limit, and
    what `ask` raises.
    """
    with paid_for(jobs, job, article, context, open_, "ask", owner=owner) as asking:
        answer = ask(asking, question, article, pictures)
        return Answered(answer, asking.meter.total)
