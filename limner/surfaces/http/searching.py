"""Routes: search a library by words, by its own images and by an uploaded one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, UploadFile
from pydantic import Field

from limner.document import Candidate
from limner.errors import BadInput
from limner.jobs.owners import Owner
from limner.notes import Note, note
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.guard import MAX_BODY
from limner.surfaces.http.libraries import Name, Only, limits_of
from limner.surfaces.http.problems import documented
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import View
from limner.text import printable
from limner.tools.library.filters import LONGEST
from limner.tools.look import MOST, Look, look
from limner.tools.retrieve import remarks

routes = APIRouter(prefix="/v1/libraries/{name}/search", tags=["libraries"])

_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_LIKE = "Id of an image of the library that the result should resemble; may be repeated."
_UNLIKE = "Id of an image that the result should not resemble; may be repeated."
_DIVERSE = "Whether look-alikes give way to images that fit less."
_WORDS = "What the image should show."


class Found(View):
    """Images for a query, best first."""

    images: list[Candidate]
    notes: list[Note]
    """Notes on the images that filters, embargo and expiry left out, and on how pictures were compared."""


@routes.get("", summary="Search a library", responses=documented(404))
@slow("pictures")
def search_library(
    has: Has,
    asker: Asker,
    name: Name,
    q: Annotated[str, Query(max_length=2000, description=_WORDS, examples=["harvest at dusk"])] = "",
    k: Annotated[int, Query(ge=1, le=100, description="How many images.")] = 12,
    only: Only = None,
    like: Annotated[list[_Id] | None, Query(max_length=MOST, description=_LIKE)] = None,
    unlike: Annotated[list[_Id] | None, Query(max_length=MOST, description=_UNLIKE)] = None,
    diverse: Annotated[bool, Query(description=_DIVERSE)] = False,
) -> Found:
    """Get the k images that fit best among those that pass the filters and are within their time. Give words, images to
    be like, or both."""
    wanted = Look(words=printable(q).strip(), like=tuple(like or ()), unlike=tuple(unlike or ()), diverse=diverse)
    return _found(has, asker, name, wanted, k, only)


@routes.post("", summary="Search a library by a picture", responses=documented(404))
@slow("pictures")
def search_library_by_picture(
    has: Has,
    asker: Asker,
    name: Name,
    file: Annotated[UploadFile, File(description="The picture that the result should resemble; it is not kept.")],
    q: Annotated[str, Form(max_length=2000, description=_WORDS)] = "",
    k: Annotated[int, Form(ge=1, le=100, description="How many images.")] = 12,
    only: Annotated[
        list[Annotated[str, Field(max_length=LONGEST)]] | None, Form(max_length=MOST, description="As for GET.")
    ] = None,
    like: Annotated[list[_Id] | None, Form(max_length=MOST - 1, description=_LIKE)] = None,
    unlike: Annotated[list[_Id] | None, Form(max_length=MOST, description=_UNLIKE)] = None,
    diverse: Annotated[bool, Form(description=_DIVERSE)] = False,
) -> Found:
    """As GET, by a picture of yours. The library needs an encoder of pictures."""
    wanted = Look(
        words=printable(q).strip(),
        like=tuple(like or ()),
        unlike=tuple(unlike or ()),
        shown=(file.file.read(MAX_BODY),),
        diverse=diverse,
    )
    return _found(has, asker, name, wanted, k, only)


def _found(has: Parts, asker: Owner, name: str, wanted: Look, k: int, only: list[str] | None) -> Found:
    if not wanted.words and not wanted.by_examples:
        raise BadInput(note("query-empty"))
    library = has.shelf.open(name, asker)
    passing, used = limits_of(has, asker, only)
    pixels = has.shelf.context.settings.max_pixels
    images, notes = look([library], wanted, k, passing, used, max_pixels=pixels)
    return Found(images=images, notes=[*notes, *remarks([library], passing, used)])
