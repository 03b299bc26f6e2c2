"""Routes: libraries, searching them, their thumbnails."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from pydantic import ConfigDict

from limner.document import Candidate
from limner.errors import BadInput, LimnerError
from limner.tools.library import Library
from limner.workflows.api.guard import MAX_BODY
from limner.workflows.api.parts import Asker, Has
from limner.workflows.api.problems import documented
from limner.workflows.api.revision_views import THUMBNAIL, OwnImage, in_library
from limner.workflows.api.views import NO_CONTROL, View
from limner.workflows.jobs.uploads import keep
from limner.workflows.run import printable

routes = APIRouter(prefix="/v1", tags=["libraries"])

Name = Annotated[
    str, Path(max_length=64, pattern=NO_CONTROL, description="Name of a library.", examples=["starter", "garden"])
]
ImageId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{32}$",
        description="First 32 hexadecimal digits of the SHA-256 of the image's bytes.",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    ),
]
BINARY = {"schema": {"type": "string", "format": "binary"}}
IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The image. An id names these bytes for ever, so it may be cached.",
        "content": {f"image/{kind}": BINARY for kind in ("webp", "jpeg", "png", "gif", "avif")},
    }
}
_MEDIA = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif", ".avif": "image/avif"}


class LibraryView(View):
    """An image library."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "garden", "images": 412, "problem": "", "encoders": ["MiniLM"]}]}
    )

    name: str
    images: int | None
    """How many it holds; null where it cannot be opened."""
    problem: str
    """Why it cannot be opened, and what to do; "" where it can."""


class LibraryWhole(LibraryView):
    """A library, and what was it made of."""

    described: int
    """Images with a caption of their own; the others go by their file's name."""
    licensed: int
    """Images whose licence is known."""
    encoders: list[str]


class LibraryList(View):
    """The libraries there are for you."""

    libraries: list[LibraryView]


class Found(View):
    """Images for a query, best first."""

    images: list[Candidate]


@routes.get("/libraries", summary="List libraries", responses=documented())
def list_libraries(has: Has, asker: Asker) -> LibraryList:
    """Those that you may use. The starter library is among them once the first job has made it."""
    views = []
    for name in has.shelf.names(asker):
        try:
            views.append(LibraryView(name=name, images=len(has.shelf.open(name, asker)), problem=""))
        except LimnerError as e:  # one that cannot be opened must not hide the others
            views.append(LibraryView(name=name, images=None, problem=str(e)))
    return LibraryList(libraries=views)


@routes.get("/libraries/{name}", summary="Show a library", responses=documented(404))
def show_library(has: Has, asker: Asker, name: Name) -> LibraryWhole:
    """What a library holds."""
    library = has.shelf.open(name, asker)
    records = library.records()
    return LibraryWhole(
        name=name,
        images=len(records),
        problem="",
        described=sum(r.described for r in records),
        licensed=sum(bool(r.licence) for r in records),
        encoders=_encoders(library),
    )


@routes.get("/libraries/{name}/search", summary="Search a library", responses=documented(404))
def search_library(
    has: Has,
    asker: Asker,
    name: Name,
    q: Annotated[str, Query(max_length=2000, description="What the image should show.", examples=["harvest at dusk"])],
    k: Annotated[int, Query(ge=1, le=100, description="How many images.")] = 12,
) -> Found:
    """The k images that fit best."""
    query = printable(q).strip()
    if not query:
        raise BadInput("The query is empty. Say what the image should show: ?q=harvest at dusk")
    return Found(images=has.shelf.open(name, asker).search([query], k)[0])


@routes.get(
    "/libraries/{name}/images/{image_id}",
    summary="Get a thumbnail",
    response_class=Response,
    responses={**documented(404), **IMAGE},
)
def get_thumbnail(
    has: Has,
    asker: Asker,
    name: Name,
    image_id: ImageId,
    side: Annotated[int, Query(ge=1, le=4096, description="px; one of 64, 128, 256, 512, 1024 is made.")] = 256,
) -> Response:
    """A WebP of an image of the library, without metadata."""
    return image_response(has.shelf.thumbnail(has.shelf.open(name, asker), image_id, side), ".webp")


def image_response(data: bytes, suffix: str) -> Response:
    """An image that may be cached by who asked for it."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Disposition": "inline"}
    return Response(data, media_type=_MEDIA[suffix], headers=headers)


def _encoders(library: Library) -> list[str]:
    return sorted(json.loads(library.meta("encoders")).values())


@routes.post("/images", summary="Hand in an image", status_code=201, responses=documented(429))
def hand_in_image(
    has: Has,
    asker: Asker,
    file: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, AVIF, SVG, TIFF or BMP.")],
    caption: Annotated[str, Form(max_length=500, description="What it shows; none takes the file's own words.")] = "",
) -> OwnImage:
    """Keeps an image of yours, where nobody else may use it; a job's `references` take its id."""
    library, record = keep(has.shelf.context, asker, file.file.read(MAX_BODY), file.filename or "", caption)
    facts = {name: getattr(record, name) for name in ("caption", "alt", "credit", "licence", "width", "height")}
    where = in_library(library.name, record.id, side=THUMBNAIL)
    return OwnImage(image_id=record.id, library=library.name, thumbnail=where, **facts)
