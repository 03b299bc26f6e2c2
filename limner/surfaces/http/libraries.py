"""Routes: libraries, their search and captions, and a person's own images."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from pydantic import ConfigDict, Field

from limner.errors import LimnerError
from limner.jobs.owners import Owner
from limner.jobs.uploads import drop, keep, own
from limner.notes import note
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.guard import MAX_BODY
from limner.surfaces.http.problems import Forbidden, Missing, documented
from limner.surfaces.http.revision_views import OwnImage, recorded
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import NO_CONTROL, ImageView, View
from limner.text import printable
from limner.tools.images.facts import in_time, now
from limner.tools.library import Library, Record, suggesting
from limner.tools.library.filters import LONGEST, MOST, Filters, orientation
from limner.tools.library.folder import CAPTION_LENGTH, CREDIT_LENGTH
from limner.tools.library.sample import DRAFT
from limner.workflows.allowed import SAMPLE

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
        "description": "The image. It may be cached, because an id always names the same bytes.",
        "content": {f"image/{kind}": BINARY for kind in ("webp", "jpeg", "png", "gif", "avif")},
    }
}
_MEDIA = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif", ".avif": "image/avif"}


WordsName = Literal["caption", "alt", "credit", "licence"]


class LibraryView(View):
    """An image library."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "garden", "images": 412, "problem": "", "code": "", "params": {}}]}
    )

    name: str
    images: int | None
    """Number of images; null if the library cannot be opened."""
    problem: str
    """Why it cannot be opened, and what to do; "" if it can."""
    code: str
    """Code of `problem`, for programs."""
    params: dict[str, Any]
    """Parameters of `problem`, by name."""


class LibraryWhole(LibraryView):
    """A library with its folders and encoders."""

    described: int
    """Images with a caption of their own; the others use their file's name."""
    licensed: int
    """Images with a known licence."""
    encoders: list[str]
    editable: bool
    """Whether you may write its captions."""
    machine_made: int
    """Images with words that a model wrote."""
    suggests: bool
    """Whether a model is connected that may see, and write captions."""


Only = Annotated[
    list[Annotated[str, Field(max_length=LONGEST)]] | None,
    Query(
        max_length=MOST,
        description="Only images that pass this filter; may be repeated.",
        examples=[["licence=CC BY", "date>=2020"]],
    ),
]


class LibraryImage(ImageView):
    """An image of a library, with its caption, credit, licence and facts."""

    described: bool
    """False if the caption is only the file's name made readable."""
    written: list[WordsName]
    """Fields that a person wrote in limner. They override the values beside the file and in it."""
    file: str
    """Name of its file."""
    facts: dict[str, list[str]]
    """Known facts about it, by the name of the filter: tag, person, place, city, state, country, event, date, rating,
    embargo, expires."""
    added: str
    """The day on which it came into the library; "" if unknown."""
    orientation: Literal["landscape", "portrait", "square"]
    in_time: bool
    """False before the end of its embargo and after its expiry: no article gets it."""
    text_in_picture: str
    """The text that limner read in it, which is searched; "" if there is none, or if the library's pictures are not
    read."""
    text_area: float
    """Share of its area that this text covers, 0 to 1."""


class LibraryPage(View):
    """A page of a library's images."""

    images: list[LibraryImage]
    """Ordered by the path of their files."""
    total: int
    """Number of images in total."""
    next: str | None
    """`after` for the next page; null at the end."""


class WordsRequest(View):
    """Caption, alternative text, credit and licence of an image. Omitted fields stay; null restores the folder's
    value."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"caption": "A heron at dawn in the reeds", "licence": "CC BY 4.0"}]},
    )

    caption: Annotated[str | None, Field(max_length=CAPTION_LENGTH)] = None
    alt: Annotated[str | None, Field(max_length=CAPTION_LENGTH)] = None
    credit: Annotated[str | None, Field(max_length=CREDIT_LENGTH)] = None
    licence: Annotated[str | None, Field(max_length=CREDIT_LENGTH)] = None


class LibraryList(View):
    """The libraries that you may use."""

    libraries: list[LibraryView]


class Sample(View):
    """A draft that shows what limner does. Send it as a job: `{"draft": draft, "library": [library]}`."""

    draft: str
    """Markdown."""
    library: str
    """Name of the library of its photographs; the first job makes it."""


@routes.get("/sample", summary="Get the sample", responses=documented())
def get_sample(asker: Asker) -> Sample:
    """Get the draft that comes with limner."""
    return Sample(draft=DRAFT.read_text("utf-8"), library=SAMPLE)


@routes.get("/libraries", summary="List libraries", responses=documented())
def list_libraries(has: Has, asker: Asker) -> LibraryList:
    """List the libraries that you may use. The starter library appears once the first job has made it."""
    views = []
    for name in has.shelf.names(asker):
        try:
            views.append(
                LibraryView(name=name, images=len(has.shelf.open(name, asker)), problem="", code="", params={})
            )
        except LimnerError as e:  # a library that cannot be opened must not hide the others
            views.append(LibraryView(name=name, images=None, problem=str(e.afar), **e.afar.coded))
    return LibraryList(libraries=views)


@routes.get("/libraries/{name}", summary="Show a library", responses=documented(404))
def show_library(has: Has, asker: Asker, name: Name) -> LibraryWhole:
    """Get a library's contents and encoders."""
    library = has.shelf.open(name, asker)
    images, described, licensed = library.counts()
    return LibraryWhole(
        name=name,
        images=images,
        problem="",
        code="",
        params={},
        described=described,
        licensed=licensed,
        encoders=_encoders(library),
        editable=asker.may_describe(name),
        machine_made=suggesting.count(library),
        suggests=not has.shelf.context.demonstrates("selector"),
    )


@routes.get("/libraries/{name}/images", summary="List a library's images", responses=documented(404))
def list_images(
    has: Has,
    asker: Asker,
    name: Name,
    without: Annotated[WordsName | None, Query(description="Only images that lack it.")] = None,
    after: Annotated[str, Query(pattern=r"^([0-9a-f]{32})?$", description="The `next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=200, description="How many images.")] = 60,
    only: Only = None,
) -> LibraryPage:
    """List images by the path of their files. `without=caption` lists those that use their file's name."""
    library = has.shelf.open(name, asker)
    if after and not library.has(after):
        raise Missing(note("page-gone", library=name, image=after))
    passing, used = limits_of(has, asker, only)
    found, total = library.page(without=without or "", after=after, limit=limit, only=passing, used=used)
    following = found[-1].id if len(found) == limit else None
    return LibraryPage(images=[image_view(name, r) for r in found], total=total, next=following)


@routes.get("/libraries/{name}/images/{image_id}/words", summary="Show an image's words", responses=documented(404))
def show_words(has: Has, asker: Asker, name: Name, image_id: ImageId) -> LibraryImage:
    """Get an image's caption, alternative text, credit and licence."""
    return image_view(name, _record(has.shelf.open(name, asker), image_id))


@routes.patch("/libraries/{name}/images/{image_id}/words", summary="Write an image's words", responses=documented(404))
@slow("pictures")
def write_words(has: Has, asker: Asker, name: Name, image_id: ImageId, request: WordsRequest) -> LibraryImage:
    """Write caption, alternative text, credit or licence. They override the folder's, also when limner reads the folder
    again. Search uses them at once; articles that show the image keep their text."""
    library = has.shelf.open(name, asker)
    may_describe(asker, name)
    _record(library, image_id)
    return image_view(name, library.write({image_id: request.model_dump(include=request.model_fields_set)})[0])


def limits_of(has: Parts, asker: Owner, only: list[str] | None) -> tuple[Filters, set[str]]:
    """(filters, ids of the images that `unused=N` leaves out). Raises BadInput."""
    passing = Filters.read(only or ())
    n = passing.unused
    return passing, has.jobs.ledger.shown_lately(n, asker.name) if n else set()


@routes.get(
    "/libraries/{name}/images/{image_id}",
    summary="Get a thumbnail",
    response_class=Response,
    responses={**documented(404), **IMAGE},
)
@slow("pictures")
def get_thumbnail(
    has: Has,
    asker: Asker,
    name: Name,
    image_id: ImageId,
    side: Annotated[int, Query(ge=1, le=4096, description="px; one of 64, 128, 256, 512, 1024 is made.")] = 256,
) -> Response:
    """Get a WebP of an image, without metadata."""
    return image_response(has.shelf.thumbnail(has.shelf.open(name, asker), image_id, side), ".webp")


def image_response(data: bytes, suffix: str) -> Response:
    """An image that the requester may cache."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Disposition": "inline"}
    return Response(data, media_type=_MEDIA[suffix], headers=headers)


def may_describe(asker: Owner, library: str) -> None:
    """Raises Forbidden for an owner who may not write the library's captions."""
    if not asker.may_describe(library):
        raise Forbidden(note("captions-shared", name=library))


def _record(library: Library, image_id: str) -> Record:
    if not library.has(image_id):
        raise Missing(note("library-image", name=library.name, id=image_id))
    return library.record(image_id)


def image_view(library: str, record: Record) -> LibraryImage:
    """The view of a library's image."""
    file = printable(PurePath(record.path).name)
    own: dict[str, Any] = {"described": record.described, "written": record.written, "facts": record.facts}
    own |= {"added": record.added, "orientation": orientation(record.width, record.height)}
    own |= {"text_in_picture": record.text_in_picture.words, "text_area": record.text_in_picture.area}
    return LibraryImage(**recorded(library, record), **own, file=file, in_time=in_time(record.facts, now()))


def _encoders(library: Library) -> list[str]:
    return sorted(json.loads(library.meta("encoders")).values())


@routes.post("/images", summary="Hand in an image", status_code=201, responses=documented(429))
@slow("pictures")
def hand_in_image(
    has: Has,
    asker: Asker,
    file: Annotated[UploadFile, File(description="JPEG, PNG, WebP, GIF, AVIF, SVG, TIFF or BMP.")],
    caption: Annotated[str, Form(max_length=500, description="What it shows; none takes the file's own words.")] = "",
) -> OwnImage:
    """Upload an image that nobody else may use; a job's `references` take its id."""
    library, record = keep(has.shelf.context, asker, file.file.read(MAX_BODY), file.filename or "", caption)
    return OwnImage(**recorded(library.name, record))


@routes.get("/images", summary="List your images", responses=documented(404))
def list_own_images(
    has: Has,
    asker: Asker,
    after: Annotated[str, Query(pattern=r"^([0-9a-f]{32})?$", description="The `next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=200, description="How many images.")] = 60,
) -> LibraryPage:
    """List the images that you uploaded; nobody else sees them."""
    library = own(has.shelf.context, asker)
    if library is None:
        return LibraryPage(images=[], total=0, next=None)
    return list_images(has, asker, library.name, None, after, limit)


@routes.delete("/images/{image_id}", summary="Delete your image", status_code=204, responses=documented(404, 409))
def delete_own_image(has: Has, asker: Asker, image_id: ImageId) -> Response:
    """Delete an uploaded image; 409 while an article or one of its versions shows it."""
    if not drop(has.shelf.context, has.jobs.ledger, asker, image_id):
        raise Missing(note("no-image-of-yours", image=image_id))
    return Response(status_code=204)
