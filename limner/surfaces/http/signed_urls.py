"""Signed addresses of images that a page may show without a token: one image of one job, for a time.

A chat client shows Markdown in a browser, which sends no token for an image. The signature says that limner gave this
address to somebody who might see the image. Deleting the job, or the installation's key, ends all of its addresses.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response

from limner.document import Illustration
from limner.errors import NotAllowed
from limner.settings import private_folder
from limner.surfaces.http.deps import Has
from limner.surfaces.http.libraries import IMAGE, ImageId, image_response
from limner.surfaces.http.problems import documented
from limner.surfaces.http.shares import slow
from limner.surfaces.http.views import BIGGEST, NO_CONTROL, JobId
from limner.tools.images.images import thumbnail

routes = APIRouter(prefix="/v1/shared", tags=["chat"])

DAYS = 30  # seconds of validity; people read conversations again
SIDE = 1024  # px of the longer side
LibraryName = Annotated[str, Path(max_length=64, pattern=NO_CONTROL, description="Name of the image's library.")]


def address(home: FilePath, job: str, image: Illustration, base: str = "") -> str:
    """The signed address of an image of a job's article. base: its scheme and host."""
    expires = int(time.time()) // 86_400 * 86_400 + DAYS * 86_400  # constant for a day, so that caches can reuse it
    signature = _signature(home, job, image.library, image.image_id, expires)
    path = f"{quote(job, safe='')}/{quote(image.library, safe='')}/{image.image_id}"
    return f"{base}/v1/shared/{path}?expires={expires}&signature={signature}"


@routes.get(
    "/{job}/{library}/{image_id}",
    summary="Get an image by its signed address",
    response_class=Response,
    responses={**documented(404), **IMAGE},
)
@slow("pictures")
def get_shared_image(
    has: Has,
    job: JobId,
    library: LibraryName,
    image_id: ImageId,
    expires: Annotated[int, Query(ge=0, le=BIGGEST, description="Seconds since 1970.")],
    signature: Annotated[str, Query(max_length=64, pattern=r"^[0-9a-f]*$")],
) -> Response:
    """Get an image without a token, by the signature in its address. 401 once it has expired."""
    right = _signature(has.settings.home, job, library, image_id, expires)
    if not hmac.compare_digest(right, signature) or expires < time.time():
        raise NotAllowed("This address is not valid, or not any more. Ask for the article again: it has new ones.")
    owner = has.jobs.owners.get(has.jobs.ledger.job(job).owner)  # a deleted job shows nothing
    # limner gave the address to somebody who might use the library at that time.
    data = has.shelf.open(library, replace(owner, libraries=None)).image(image_id)
    made = image_response(thumbnail(data, SIDE, max_pixels=has.settings.max_pixels), ".webp")
    made.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # chat pages have another origin
    return made


def _signature(home: FilePath, *parts: object) -> str:
    message = "\n".join(str(part) for part in parts).encode()
    return hmac.new(_key(home), message, hashlib.sha256).hexdigest()


def _key(home: FilePath) -> bytes:
    """The installation's key, made on first use."""
    path = home / "keys" / "shared-images"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        private_folder(home)
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(32))
            os.link(part, path)  # if several processes start at once, the first key counts
        except FileExistsError:
            pass
        finally:
            part.unlink(missing_ok=True)
        return path.read_bytes()
