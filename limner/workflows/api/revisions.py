"""Routes: revising finished articles; edits, history, other images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from limner.tools.edit import Proposal
from limner.tools.editing import ImageOf
from limner.tools.library import Library, Record
from limner.workflows.api.parts import Asker, Has, Parts
from limner.workflows.api.problems import documented
from limner.workflows.api.revision_views import (
    At_,
    EditsRequest,
    GoRequest,
    Revision,
    VersionList,
    revision,
)
from limner.workflows.api.views import BIGGEST, JobId
from limner.workflows.jobs.changes import Comparison
from limner.workflows.jobs.owners import Owner

routes = APIRouter(prefix="/v1", tags=["revisions"])

Number = Annotated[int, Path(ge=1, le=BIGGEST, description="Number of a version.")]
Propose = Callable[..., Proposal]


@routes.get("/jobs/{job}/revision", summary="Show the article", responses=documented(404, 409))
def show_revision(has: Has, asker: Asker, job: JobId) -> Revision:
    """The finished article as blocks with their ids, which edits name; 409 with the reason while there is none."""
    return revision(job, has.revisions.show(job, asker.name))


@routes.post("/jobs/{job}/edits", summary="Change the article", responses=documented(404, 409))
def edit_article(has: Has, asker: Asker, job: JobId, request: EditsRequest) -> Revision:
    """Applies edits and answers with the article after them. Where it is at another version than theirs: 409, with
    `head`, `changed` and, if they were to be merged and could not, `conflicts`."""
    head = has.revisions.edit(
        job,
        request.edits,
        request.version,
        who(asker),
        image_of(has, asker),
        owner=asker.name,
        merge=request.merge,
        what=request.what or "",
    )
    return revision(job, head)


@routes.post("/jobs/{job}/undo", summary="Undo", responses=documented(404, 409))
def undo(has: Has, asker: Asker, job: JobId, request: At_) -> Revision:
    """Goes back to the version that this one was made from; 409 at the first."""
    return revision(job, has.revisions.undo(job, request.version, who(asker), owner=asker.name))


@routes.post("/jobs/{job}/redo", summary="Redo", responses=documented(404, 409))
def redo(has: Has, asker: Asker, job: JobId, request: At_) -> Revision:
    """Goes forward again, the way that was undone last; 409 where there is none."""
    return revision(job, has.revisions.redo(job, request.version, who(asker), owner=asker.name))


@routes.post("/jobs/{job}/go", summary="Go to a version", responses=documented(404, 409))
def go(has: Has, asker: Asker, job: JobId, request: GoRequest) -> Revision:
    """Makes any version the one that the article is at. What is changed from there on is a branch of its own."""
    return revision(job, has.revisions.go(job, request.version, request.to, who(asker), owner=asker.name))


@routes.get("/jobs/{job}/versions", summary="List versions", responses=documented(404, 409))
def list_versions(has: Has, asker: Asker, job: JobId) -> VersionList:
    """The history: who did what, when, out of which version."""
    at, versions = has.revisions.history(job, asker.name)
    return VersionList(head=at, versions=versions)


@routes.get("/jobs/{job}/versions/{number}", summary="Show a version", responses=documented(404, 409))
def show_version(has: Has, asker: Asker, job: JobId, number: Number) -> Revision:
    """The article as it was then."""
    head = has.revisions.show(job, asker.name)
    return revision(job, head, at=has.revisions.at(job, number, asker.name))


@routes.get("/jobs/{job}/compare", summary="Compare two versions", responses=documented(404, 409))
def compare_versions(
    has: Has,
    asker: Asker,
    job: JobId,
    a: Annotated[int, Query(ge=1, le=BIGGEST, description="Number of the first version.")],
    b: Annotated[int, Query(ge=1, le=BIGGEST, description="Number of the second.")],
) -> Comparison:
    """What became of each block and image of the first in the second, word by word."""
    return has.revisions.compare(job, a, b, asker.name)


def who(asker: Owner) -> str:
    """The name under which somebody's changes are kept: the label of the token, or the owner's name."""
    return asker.person or asker.name


def image_of(has: Parts, asker: Owner) -> ImageOf:
    """What the libraries know that somebody may use; each is opened once."""
    libraries: dict[str, Library] = {}

    def record(name: str, image_id: str) -> Record:
        if name not in libraries:
            libraries[name] = has.shelf.open(name, asker)
        return libraries[name].record(image_id)

    return record
