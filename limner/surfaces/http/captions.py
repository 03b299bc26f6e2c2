"""Routes: captions that a model writes for a library's pictures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from limner.agents.meter import Meter
from limner.errors import LimitReached
from limner.jobs.history.proposing import RETRY_AFTER
from limner.jobs.owners import Owner
from limner.notes import Note, coded, note
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.libraries import LibraryImage, Name, image_view, may_describe
from limner.surfaces.http.problems import Missing, documented
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import View
from limner.tools.library import Library, suggesting
from limner.workflows import captioning
from limner.workflows.context import Context

routes = APIRouter(prefix="/v1/libraries/{name}/captions", tags=["libraries"])

Without = Literal["caption", "alt"]
LANGUAGE = 35  # characters of a language code
WITHOUT = "All that lack it; none takes pictures of which nothing is said."


class CaptionsPlan(View):
    """The cost of having a model describe pictures. Nothing was asked."""

    images: int
    """Pictures that it would be asked about."""
    vain: int
    """Further ones, which it was asked about in vain before."""
    language: str
    """BCP 47."""
    tokens: int
    """Tokens of questions and answers, estimated."""
    left_today: int | None
    """Tokens that you may still spend today; null means no limit."""
    line: str
    """The same as a line for people; "" for no pictures."""
    code: str
    """Code of `line`, for programs."""
    params: dict[str, Any]
    """Parameters of `line`, by name."""


class CaptionsRequest(View):
    """Pictures to have described."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"limit": 12}, {"without": "alt"}]})

    without: Without | None = None
    """All that lack it; null takes pictures of which nothing is said."""
    language: Annotated[str | None, Field(max_length=LANGUAGE)] = None
    """BCP 47; null takes the library's."""
    limit: Annotated[int, Field(ge=1, le=60)] = 12
    """How many pictures; the answer comes when all are done."""
    after: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    """`next` of the answer before."""


class LeftOut(View):
    """A picture without a caption, and the reason."""

    image_id: str
    why: str
    code: str
    """Code of `why`, for programs."""
    params: dict[str, Any]
    """Parameters of `why`, by name."""


class Captions(View):
    """Pictures that were described. Their words are marked as machine-made."""

    images: list[LibraryImage]
    left_out: list[LeftOut]
    next: str | None
    """`after` for the next pictures; null at the end."""
    left: int
    """Pictures behind these."""
    spent: int
    """Tokens."""


class Withdrawn(View):
    """Machine-made words that were deleted."""

    images: int
    """Pictures that showed some."""


@routes.get("", summary="Estimate captions", responses=documented(404))
@slow("pictures")
def plan_captions(
    has: Has,
    asker: Asker,
    name: Name,
    without: Annotated[Without | None, Query(description=WITHOUT)] = None,
    language: Annotated[str | None, Query(max_length=LANGUAGE, description="BCP 47; none: the library's.")] = None,
) -> CaptionsPlan:
    """Get the number of pictures that a model would be asked about, and the tokens. Asks no model."""
    library, context = has.shelf.open(name, asker), has.shelf.context
    plan = captioning.plan(context, library, without or "", language)
    nothing = not plan.lacking.images
    line = Note("") if nothing else plan.line(captioning.model_of(context), captioning.several(context))
    return CaptionsPlan(
        images=len(plan.lacking.images),
        vain=plan.lacking.vain,
        language=plan.language,
        tokens=plan.tokens,
        left_today=has.jobs.ledger.left_today(asker.name).tokens,
        line=str(line),
        **coded(line),
    )


@routes.post("", summary="Have pictures described", responses=documented(404, 429))
@slow("models")
def write_captions(has: Has, asker: Asker, name: Name, request: CaptionsRequest) -> Captions:
    """Have the model that sees describe pictures, in a caption and an alternative text. Words of people and of the
    folder stay and come first. Each picture is stored when it is done; a picture is not asked about twice."""
    library = has.shelf.open(name, asker)
    may_describe(asker, name)
    if request.after and not library.has(request.after):
        raise Missing(note("page-gone", library=name, image=request.after))
    context = _context(has, asker, library)
    every = captioning.plan(context, library, request.without or "", request.language, after=request.after)
    images = every.lacking.images[: request.limit]
    try:
        if images:
            captioning.check(context, every.language)
        done = captioning.run(context, library, every._replace(lacking=every.lacking._replace(images=images)))
    finally:
        if context.meter.roles:
            has.jobs.ledger.paid_beside(asker.name, "caption", context.meter.roles)
    left = len(every.lacking.images) - len(images)
    return Captions(
        images=[image_view(name, library.record(image)) for image in done.written],
        left_out=[LeftOut(image_id=left.record.id, why=str(left.afar), **coded(left.afar)) for left in done.left_out],
        next=images[-1].id if left else None,
        left=left,
        spent=context.meter.total,
    )


@routes.delete("", summary="Delete machine-made words", responses=documented(404))
@slow("pictures")
def delete_captions(has: Has, asker: Asker, name: Name) -> Withdrawn:
    """Delete all words that a model wrote for the library. Words of people and of the folder stay."""
    library = has.shelf.open(name, asker)
    may_describe(asker, name)
    return Withdrawn(images=suggesting.withdraw(library))


def _context(has: Parts, asker: Owner, library: Library) -> Context:
    """A context with a meter of its own. Raises LimitReached if the owner has reached the day's limit."""
    left = has.jobs.ledger.left_today(asker.name)
    if left.spent:
        raise LimitReached(note("spent-today", who=asker.name), RETRY_AFTER)
    return has.shelf.context.derived(libraries=[library], meter=Meter(left.tokens, left.dollars))
