"""Images that people upload: checked, kept in a library of their owner, deleted once no article shows them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Text, cast, exists, or_, select

from limner.document import Article
from limner.errors import BadInput, ImageUnreadable, JobConflict, LimitReached
from limner.jobs.history.versions import Versions
from limner.jobs.ledger import Ledger
from limner.jobs.ledger.schema import jobs, versions
from limner.jobs.owners import Owner
from limner.notes import Note, note
from limner.settings import private_folder
from limner.text import one_line
from limner.tools.files import replace_file
from limner.tools.images.images import displayable, metadata, read_picture
from limner.tools.library import Folders, Library, Record, add, image_identity, libraries, sync
from limner.tools.library.folder import readable
from limner.workflows.context import Context

MOST = 2_000  # images per owner


def keep(context: Context, owner: Owner, data: bytes, name: str, caption: str) -> tuple[Library, Record]:
    """Store an image in the owner's own library. The same image again stays one image, with the newer caption.

    name: the file's name, used if there is no caption. Raises ImageUnreadable, LimitReached, LibraryError.
    """
    settings = context.settings
    if not data:
        raise BadInput(note("file-empty"))
    try:
        read_picture(data, max_pixels=settings.max_pixels)
        suffix = displayable(data, max_pixels=settings.max_pixels)[1]
    except ImageUnreadable as error:
        raise ImageUnreadable(note("file-unusable", line=error.note)) from error
    folder = _folder(private_folder(settings.home), owner)
    folder.mkdir(parents=True, exist_ok=True)
    image_id = image_identity(data)
    path = folder / f"{image_id}{suffix}"
    if not path.exists() and sum(1 for p in folder.iterdir() if p.suffix != ".json") >= MOST:
        raise LimitReached(note("uploads-full", who=owner.name, most=MOST))
    embedded = metadata(data, max_pixels=settings.max_pixels)
    words = one_line(caption) or embedded.caption or embedded.alt or readable(os.path.splitext(name)[0])
    replace_file(path, data)
    replace_file(folder / f"{image_id}.json", json.dumps({"caption": words[:500] or "Image"}).encode())
    library = Library.open_or_create(settings.home, owner.own_library, context.encoders, connect=context.connect)
    add(library, [folder], max_pixels=settings.max_pixels)
    if one_line(caption):
        library.write({image_id: {"caption": None}})  # an existing record is the older one
    return library, library.record(image_id)


def own(context: Context, owner: Owner) -> Library | None:
    """The library of an owner's uploads, None if there are none."""
    home = context.settings.home
    if owner.own_library not in libraries(home):
        return None
    return Library.open(home, owner.own_library, context.encoders, connect=context.connect)


def drop(context: Context, ledger: Ledger, owner: Owner, image_id: str) -> bool:
    """Delete an uploaded image. False if there is none. Raises JobConflict while an article shows it."""
    library = own(context, owner)
    files = _files(context.settings.home, owner, image_id)
    if library is None or not (files or library.has(image_id)):
        return False
    if reason := _use(ledger, owner, image_id):
        raise JobConflict(note("in-use", line=reason))
    for path in files:
        path.unlink(missing_ok=True)
    # A kill before this leaves a record without a file; the same call or the next upload removes it.
    sync(library, Folders([_folder(context.settings.home, owner)], max_pixels=context.settings.max_pixels))
    return True


def _use(ledger: Ledger, owner: Owner, image_id: str) -> Note | None:
    """Which article shows an owner's image, and what to do about it; None if none does."""
    mentions = f"%{image_id}%"
    edited = exists().where(versions.c.job == jobs.c.id, cast(versions.c.edits, Text).like(mentions))
    columns = (jobs.c.id, jobs.c.title, jobs.c.state, jobs.c.request, jobs.c.article, jobs.c.version)
    query = select(*columns).where(
        jobs.c.owner == owner.name,
        or_(
            jobs.c.state != "done",
            cast(jobs.c.article, Text).like(mentions),
            cast(jobs.c.request, Text).like(mentions),
            edited,
        ),
    )
    with ledger.database.read() as c:
        rows = c.execute(query).all()
    for row in rows:
        title = " ".join(row.title.split())[:80]
        if row.state != "done":
            wanted = row.request or {}
            if image_id in (wanted.get("references") or []) or owner.own_library in (wanted.get("library") or []):
                return note("use-making", job=row.id, title=title)
            continue
        if any(i.image_id == image_id for i in Article.model_validate(row.article).illustrations):
            return note("use-shown", job=row.id, title=title)
        if row.version and (number := Versions(ledger).holding(row.id, image_id)):
            return note("use-version", job=row.id, title=title, n=number)
    return None


def check_there(home: Path, owner: Owner, image_ids: Sequence[str]) -> None:
    """Raises BadInput alike for an unknown image and for another owner's."""
    for image_id in image_ids:
        if not any(path.suffix != ".json" for path in _files(home, owner, image_id)):
            raise BadInput(note("no-upload", image=image_id[:64]))


def _folder(home: Path, owner: Owner) -> Path:
    return home / "uploads" / owner.own_library


def _files(home: Path, owner: Owner, image_id: str) -> list[Path]:
    """The files of an uploaded image: the image itself and its sidecar."""
    return sorted(_folder(home, owner).glob(f"{image_id}.*"))
