"""Routes: the article of a job, in each format, and its images."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Query, Response

from limner.document import Article
from limner.errors import BadInput
from limner.exports import FORMATS, Format, format_named, public_images, slug, to_json, write_article
from limner.notes import note
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.event_streams import Stream
from limner.surfaces.http.images import fitting
from limner.surfaces.http.libraries import IMAGE, ImageId, image_response
from limner.surfaces.http.problems import Missing, documented
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import JobId
from limner.tools.images.images import thumbnail

routes = APIRouter(prefix="/v1", tags=["articles"])

ZIP = ("md", "html", "json")  # in the zip, with the image files
CHUNK = 256_000  # bytes per read
PAGE_POLICY = (
    # The page's own policy, with the hash of its one style, applies too; sandbox allows no script, whatever the page
    # contains.
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
CONTENT: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}, "example": {"format": 1, "article": {"title": "Honey"}}},
    "text/markdown": {"schema": {"type": "string"}},
    "text/html": {"schema": {"type": "string"}},
    **{
        media: {"schema": {"type": "string", "format": "binary"}}
        for media in ("application/zip", *(FORMATS[name].media for name in ("docx", "epub", "pdf")))
    },
}


@routes.get(
    "/jobs/{job}/article",
    summary="Get the article",
    response_class=Response,
    responses={**documented(404, 409), 200: {"description": "The article.", "content": CONTENT}},
)
@slow("texts")
def get_article(
    has: Has,
    asker: Asker,
    job: JobId,
    format: Annotated[
        str,
        Query(
            max_length=64,
            json_schema_extra={"enum": [*FORMATS, "zip"]},
            description="json: text, images and every choice as data. md: Markdown with relative links to images/. "
            "html: one page with its images. docx, epub, pdf: documents with theirs (limner[export]). zip: json, md, "
            "html and the image files, as `limner compose` writes them.",
        ),
    ] = "json",
) -> Response:
    """Get the finished article; 409 with the reason before there is one. If the library of an image was deleted, json
    still has all that was recorded of the image, and the other formats omit it."""
    formats = ZIP if format == "zip" else (format,)
    media = "application/zip" if format == "zip" else _known(format).media
    article = has.jobs.article(job, asker.name)
    if format == "json":
        return Response(to_json(article), media_type=media)
    article = has.shelf.kept_of(article)
    file = _written(has, article, formats, zipped=format == "zip")
    name = f"{slug(article.title)}.{format}"
    shown = "inline" if format == "html" else "attachment"
    headers = {
        "Content-Disposition": f"{shown}; filename*=utf-8''{quote(name, safe='')}",
        "Content-Length": str(file.seek(0, 2)),
    }
    if format == "html":
        headers["Content-Security-Policy"] = PAGE_POLICY
    file.seek(0)
    return Stream(_read(file), media_type=media, headers=headers)


def _known(name: str) -> Format:
    try:
        return format_named(name)
    except BadInput as e:
        raise BadInput(f"{e} The format zip is {', '.join(ZIP)} and the image files.") from e


@routes.get(
    "/jobs/{job}/images/{image_id}",
    summary="Get an image of the article",
    response_class=Response,
    responses={**documented(404, 409), **IMAGE},
)
@slow("pictures")
def get_article_image(
    has: Has,
    asker: Asker,
    job: JobId,
    image_id: ImageId,
    side: Annotated[int | None, Query(ge=1, le=4096, description="px; none is the file as the export has it.")] = None,
) -> Response:
    """Get an image of the finished article: the file, or a WebP of about `side` px on its longer side."""
    article = has.jobs.article(job, asker.name)
    if image_id not in {i.image_id for i in article.illustrations}:
        raise Missing(note("no-image-of-article", job=job, image=image_id))
    data, suffix = has.shelf.images_of(article).image(image_id)
    if side is None:
        data, suffix = public_images(article, lambda _: (data, suffix))(image_id)
    else:
        data, suffix = thumbnail(data, fitting(side), max_pixels=has.settings.max_pixels), ".webp"
    return image_response(data, suffix)


def _written(has: Parts, article: Article, formats: Sequence[str], *, zipped: bool) -> IO[bytes]:
    """The export as one open file without a name, which disappears when it is closed."""
    images = has.shelf.images_of(article).image
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the sender closes it
    try:
        with tempfile.TemporaryDirectory(prefix="limner-") as parent:
            written = write_article(article, Path(parent) / slug(article.title), images, formats)
            if zipped:
                _zip(written.folder, file)
            else:
                with written.files[formats[0]].open("rb") as made:
                    shutil.copyfileobj(made, file)
    except BaseException:
        file.close()
        raise
    return file


def _zip(folder: Path, file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, Path(folder.name) / path.relative_to(folder))


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while data := await anyio.to_thread.run_sync(file.read, CHUNK):
            yield data
