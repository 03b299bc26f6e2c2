"""Images that people upload while they revise: checked, and kept in a library that is their owner's alone."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from limner.errors import BadInput, ImageUnreadable, LimitReached
from limner.tools.folder import clean, readable
from limner.tools.images import displayable, metadata, read_picture
from limner.tools.library import Library, Record, image_identity
from limner.workflows.context import Context
from limner.workflows.jobs.owners import Owner

MOST = 2_000  # images of one owner


def keep(context: Context, owner: Owner, data: bytes, name: str, caption: str) -> tuple[Library, Record]:
    """An image in the owner's own library. The same image sent again is one image, with the newer caption.

    name: of the file, for want of a caption. Raises ImageUnreadable, LimitReached, LibraryError.
    """
    settings = context.settings
    if not data:
        raise BadInput("The file is empty. Send an image.")
    try:
        read_picture(data, max_pixels=settings.max_pixels)
        suffix = displayable(data, max_pixels=settings.max_pixels)[1]
    except ImageUnreadable as error:
        raise ImageUnreadable(f"The file cannot be used: {error}.") from error
    folder = settings.home / "uploads" / owner.own_library
    folder.mkdir(parents=True, exist_ok=True)
    image_id = image_identity(data)
    path = folder / f"{image_id}{suffix}"
    if not path.exists() and sum(1 for p in folder.iterdir() if p.suffix != ".json") >= MOST:
        raise LimitReached(f"{owner.name} has {MOST:,} images of their own here. Put them into a library instead.")
    embedded = metadata(data, max_pixels=settings.max_pixels)
    words = clean(caption) or embedded.caption or embedded.alt or readable(os.path.splitext(name)[0])
    _write(path, data)
    _write(folder / f"{image_id}.json", json.dumps({"caption": words[:500] or "Image"}).encode())
    library = Library.open_or_create(settings.home, owner.own_library, context.encoders, connect=context.connect)
    library.add([folder], max_pixels=settings.max_pixels)
    return library, library.record(image_id)


def check_there(home: Path, owner: Owner, image_ids: Sequence[str]) -> None:
    """Raises BadInput for an image that this owner has not uploaded; another's looks like one that is not there."""
    folder = home / "uploads" / owner.own_library
    for image_id in image_ids:
        if not any(path.suffix != ".json" for path in folder.glob(f"{image_id}.*")):
            raise BadInput(f"There is no image {image_id[:64]!r} of yours. Upload it first: POST /v1/images.")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; readers see the old or the new."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    part.write_bytes(data)
    part.replace(path)
