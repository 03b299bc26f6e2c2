"""Routes: revise finished articles; edits, history, other images, instructions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, File, Form, Header, Path, Query, UploadFile
from pydantic import Field

from limner.jobs.history.proposing import propose_for_job
from limner.jobs.libraries import names_for, record_of
from limner.jobs.owners import Owner
from limner.jobs.progress import means
from limner.jobs.request import JobRequest, start_of
from limner.jobs.uploads import keep
from limner.notes import coded
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.guard import MAX_BODY
from limner.surfaces.http.problems import documented
from limner.surfaces.http.revision_views import (
    THUMBNAIL,
    At_,
    CandidateList,
    CandidateView,
    EditsRequest,
    GoRequest,
    OwnImage,
    Plan,
    ProposalRequest,
    ProposalView,
    Revision,
    StepPlan,
    VersionList,
    in_library,
    preview,
    recorded,
    revision,
)
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import BIGGEST, NO_CONTROL, JobId
from limner.tools.candidates import MOST, Found, Wanted, candidates, usable
from limner.tools.editing.apply import ImageOf, edited
from limner.tools.editing.compare import Comparison
from limner.tools.library.filters import LONGEST
from limner.tools.library.filters import MOST as MOST_FILTERS
from limner.workflows.estimate import steps

routes = APIRouter(prefix="/v1", tags=["revisions"])

Key = Annotated[
    str | None,
    Header(
        description="A name that the caller gives to this change, unlike those of others, e.g. a UUID.",
        pattern=r"^[\x21-\x7e]+$",
        max_length=64,
        examples=["4f8b2c1e"],
    ),
]

Number = Annotated[int, Path(ge=1, le=BIGGEST, description="Number of a version.")]


@routes.get("/jobs/{job}/revision", summary="Show the article", responses=documented(404, 409))
def show_revision(has: Has, asker: Asker, job: JobId) -> Revision:
    """Get the finished article as blocks with the ids that edits name; 409 with the reason before there is one."""
    return revision(job, has.revisions.show(job, asker.name))


@routes.post("/jobs/{job}/edits", summary="Change the article", responses=documented(404, 409))
@slow("texts")
def edit_article(has: Has, asker: Asker, job: JobId, request: EditsRequest, idempotency_key: Key = None) -> Revision:
    """Apply edits, and get the article after them. If the article is at another version than theirs: 409, with `head`,
    `changed`, and `conflicts` if a requested merge failed. With the same Idempotency-Key they are applied once."""
    head = has.revisions.edit(
        job,
        request.edits,
        request.version,
        who(asker),
        image_of(has, asker),
        owner=asker.name,
        merge=request.merge,
        what=request.what or "",
        by=request.by,
        typing=request.typing,
        key=idempotency_key,
    )
    return revision(job, head)


@routes.post("/jobs/{job}/undo", summary="Undo", responses=documented(404, 409))
def undo(has: Has, asker: Asker, job: JobId, request: At_) -> Revision:
    """Go back to the version that this one was made from; 409 at the first."""
    return revision(job, has.revisions.undo(job, request.version, who(asker), owner=asker.name))


@routes.post("/jobs/{job}/redo", summary="Redo", responses=documented(404, 409))
def redo(has: Has, asker: Asker, job: JobId, request: At_) -> Revision:
    """Go forward to the version undone last; 409 if there is none."""
    return revision(job, has.revisions.redo(job, request.version, who(asker), owner=asker.name))


@routes.post("/jobs/{job}/go", summary="Go to a version", responses=documented(404, 409))
def go(has: Has, asker: Asker, job: JobId, request: GoRequest) -> Revision:
    """Make any version the current one. Changes from there on form a branch."""
    return revision(job, has.revisions.go(job, request.version, request.to, who(asker), owner=asker.name))


@routes.get("/jobs/{job}/versions", summary="List versions", responses=documented(404, 409))
def list_versions(has: Has, asker: Asker, job: JobId) -> VersionList:
    """Get the history: who changed what, when, from which version."""
    at, versions = has.revisions.history(job, asker.name)
    return VersionList(head=at, versions=versions)


@routes.get("/jobs/{job}/versions/{number}", summary="Show a version", responses=documented(404, 409))
def show_version(has: Has, asker: Asker, job: JobId, number: Number) -> Revision:
    """Get the article at a version."""
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
    """Compare each block and image of two versions, word by word."""
    return has.revisions.compare(job, a, b, asker.name)


# --- other images --------------------------------------------------------------------------------------------------

Words = Annotated[str, Query(max_length=2000, pattern=NO_CONTROL)]
Id = Annotated[str, Query(max_length=80, pattern=NO_CONTROL)]


@routes.get("/jobs/{job}/candidates", summary="Find other images", responses=documented(404, 409))
@slow("pictures")
def find_candidates(
    has: Has,
    asker: Asker,
    job: JobId,
    image: Annotated[Id, Query(description="An image of the article: what else was found for its place.")] = "",
    spot: Annotated[Id, Query(description="A spot of the record: what was found for it.")] = "",
    caption: Annotated[Words, Query(description="A new search: what the image should show.")] = "",
    like: Annotated[Id, Query(description="An image id: images that resemble it.")] = "",
    but: Annotated[Words, Query(description="With `like`: the difference you want.")] = "",
    library: Annotated[
        list[Annotated[str, Query(max_length=64, pattern=NO_CONTROL)]] | None,
        Query(max_length=20, description="Where to search; none takes the job's libraries and your own uploads."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many images.")] = 24,
    only: Annotated[
        list[Annotated[str, Field(max_length=LONGEST)]] | None,
        Query(
            max_length=MOST_FILTERS, description="Filters that the images must pass; left out, those of the article."
        ),
    ] = None,
) -> CandidateList:
    """Find candidates for a place, best first. Give one of image, spot, caption and like."""
    article = has.revisions.show(job, asker.name).article
    libraries = usable(library or names_for(has.jobs, job, article, asker), lambda name: has.shelf.open(name, asker))
    wanted = Wanted(image=image, spot=spot, caption=caption, like=like, but=but, limit=limit)
    if only is not None:
        wanted = replace(wanted, only=tuple(only))

    def used(n: int) -> set[str]:
        return has.jobs.ledger.shown_lately(n, asker.name, but=job)

    return CandidateList(candidates=[_candidate(found) for found in candidates(article, wanted, libraries, used)])


@routes.post("/jobs/{job}/images", summary="Upload an image", status_code=201, responses=documented(404, 409, 429))
@slow("pictures")
def upload_image(
    has: Has,
    asker: Asker,
    job: JobId,
    file: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, AVIF, SVG, TIFF or BMP.")],
    caption: Annotated[str, Form(max_length=500, description="What it shows; none takes the file's own words.")] = "",
) -> OwnImage:
    """Upload an image that nobody else may use. Place it with an edit, `place_image` or `swap_image`."""
    has.revisions.show(job, asker.name)
    data = file.file.read(MAX_BODY)
    library, record = keep(has.shelf.context, asker, data, file.filename or "", caption)
    return OwnImage(**recorded(library.name, record))


# --- asking a model ------------------------------------------------------------------------------------------------


@routes.post("/jobs/{job}/proposals", summary="Ask for a change", responses=documented(404, 409, 429))
@slow("models")
def propose_edits(has: Has, asker: Asker, job: JobId, request: ProposalRequest) -> ProposalView:
    """Ask the model for edits that fulfil an instruction, and get the article after them. This changes nothing."""
    return proposed(has, asker, job, request)


def proposed(has: Parts, asker: Owner, job: str, request: ProposalRequest) -> ProposalView:
    """The edits that a model proposes for an instruction, and the article after them. Raises LimnerError."""
    head = has.revisions.fitting(job, request.version, owner=asker.name)
    opening = lambda name: has.shelf.open(name, asker)  # noqa: E731
    context = has.shelf.context
    proposal = propose_for_job(has.jobs, job, head.article, request.instruction, context, opening, owner=asker)
    after = edited(head.article, proposal.edits, image_of(has, asker))
    return ProposalView(
        version=head.version.number,
        edits=list(proposal.edits),
        summary=proposal.summary,
        spent=proposal.spent,
        preview=preview(job, after, head.article),
    )


@routes.post("/plan", summary="Estimate a job", responses=documented(404))
@slow("texts")
def plan_job(has: Has, asker: Asker, request: JobRequest) -> Plan:
    """Estimate a job before you submit it: calls, tokens, and time from earlier jobs. Asks no model."""
    for name in request.library:
        has.jobs.check_library(name, asker)
    known, left = means(has.jobs.ledger), has.jobs.ledger.left_today(asker.name)
    found = [
        StepPlan(
            name=step.name,
            calls=step.calls,
            tokens=step.tokens,
            cost=step.cost,
            seconds=round(known[step.name] * step.parts, 1) if step.name in known else None,
            line=str(step.line),
            **coded(step.line),
        )
        for step in steps(start_of(request), has.settings, request.library)
    ]
    times, costs = [step.seconds for step in found], [step.cost for step in found]
    return Plan(
        steps=found,
        tokens=sum(step.tokens for step in found),
        cost=None if None in costs else sum(cost or 0.0 for cost in costs),
        seconds=None if None in times else round(sum(t for t in times if t is not None), 1),
        left_today=left.tokens,
        dollars_left_today=left.dollars,
    )


# --- the caller, and its libraries -------------------------------------------------------------------------------


def who(asker: Owner) -> str:
    """The name recorded for the caller's changes: the label of the token, or the owner's name."""
    return asker.person or asker.name


def image_of(has: Parts, asker: Owner) -> ImageOf:
    """A function that looks up images in the caller's libraries and opens each once."""
    return record_of(lambda name: has.shelf.open(name, asker))


def _candidate(found: Found) -> CandidateView:
    fields = found.candidate.model_dump(include=set(CandidateView.model_fields))
    thumbnail = in_library(found.candidate.library, found.candidate.image_id, side=THUMBNAIL)
    return CandidateView(
        **fields, thumbnail=thumbnail, chosen=found.chosen, file=found.file, why=str(found.why), **coded(found.why)
    )
