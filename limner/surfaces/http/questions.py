"""Routes: questions about an article and its pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from limner.jobs.history.asking import ask_about_job
from limner.notes import Note
from limner.surfaces.http.deps import Asker, Has
from limner.surfaces.http.problems import documented
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import JobId, View
from limner.workflows.ask import LONGEST, PICTURES, Cited, Seen
from limner.workflows.inputs import MAX_IMAGES

routes = APIRouter(prefix="/v1", tags=["articles"])


class Question(View):
    """A question about an article."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"question": "What does this show?", "pictures": [2]}]}
    )

    question: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """In any language; the answer is in the same."""
    pictures: Annotated[tuple[Annotated[int, Field(ge=1, le=MAX_IMAGES)], ...], Field(max_length=PICTURES)] = ()
    """Numbers of the pictures that it is about, from 1 in reading order; none takes the first ones."""


class QuestionAnswer(View):
    """A model's answer."""

    version: int
    """Version of the article that it is about."""
    text: str
    blocks: list[Cited]
    """Blocks that it rests on. Each exists, and has the words that are quoted."""
    pictures: list[Seen]
    """Pictures that the model saw; none if it does not see."""
    notes: list[Note]
    """Whatever the model was not shown, and why."""
    spent: int
    """Tokens."""


@routes.post("/jobs/{job}/questions", summary="Ask about the article", responses=documented(404, 409, 429))
@slow("models")
def ask_about_article(has: Has, asker: Asker, job: JobId, request: Question) -> QuestionAnswer:
    """Ask a model about the finished article and its pictures. A model that does not see answers from captions, credits
    and text, and a note says so. This changes nothing."""
    head = has.revisions.show(job, asker.name)
    answer, spent = ask_about_job(
        has.jobs,
        job,
        head.article,
        request.question,
        request.pictures,
        has.shelf.context,
        lambda name: has.shelf.open(name, asker),
        owner=asker,
    )
    return QuestionAnswer(
        version=head.version.number,
        text=answer.text,
        blocks=list(answer.blocks),
        pictures=list(answer.pictures),
        notes=list(answer.notes),
        spent=spent,
    )
