"""A draft's own images: find them beside it, read them within the limits of library images, and export them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from limner.document import Article
from limner.errors import ImageUnreadable
from limner.exports.text import names_in, text_of
from limner.exports.words import line
from limner.tools.images.images import MAX_BYTES, displayable, is_svg, republished_tiff
from limner.tools.images.publish import published

_KNOWN = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".svg", ".heic", ".heif"}
_LOOKED_AT = 10_000  # names below the draft's folder to search for an Obsidian image


class OwnImages(NamedTuple):
    """A draft's own images, after reading."""

    files: dict[str, bytes]
    """Name -> bytes beside the Markdown: the same kind, without private metadata."""
    shown: dict[str, bytes]
    """Name -> bytes for pages: an SVG is drawn, a TIFF becomes PNG."""
    notes: list[str]
    """One line with the reason for each image in the text that is not shown."""
    images: int
    """Number of the text's images that are shown."""


def own_images(article: Article, folder: Path) -> dict[str, Path]:
    """The image files in `folder` that a draft points at: relative name, as in the text -> file.

    Recognises Markdown with or without spaces, reference links, <img>, srcset and `![[embeds]]`. Leaves out addresses,
    absolute names, names and links that lead out of the folder, and files without an image's suffix.
    """
    root, found = folder.resolve(), {}
    names = dict.fromkeys(name for names in names_in(text_of(article).root) for name in names)
    for name in names:
        if not name or ":" in name or "\\" in name or "\0" in name or name.startswith("/"):
            continue
        if ".." in Path(name).parts or Path(name).suffix.lower() not in _KNOWN:
            continue
        path = (root / name).resolve()
        if not path.is_file() and "/" not in name and f"[[{name}" in article.source:
            path = _anywhere(root, name) or path
        if path.is_relative_to(root) and path.is_file():
            found[name] = path
    return found


def _anywhere(root: Path, name: str) -> Path | None:
    """A file by name anywhere below a folder, because Obsidian's `![[name]]` does not say where attachments lie."""
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        seen += len(files) + len(folders)
        if name in files:
            return (Path(folder) / name).resolve()
        if seen > _LOOKED_AT:
            return None
    return None


def read_own(article: Article, beside: Mapping[str, Path] | None, *, keep_metadata: bool = False) -> OwnImages:
    """Read the files found by `own_images`, and the text's data: URLs.

    beside: None if the draft's folder is unknown; a note then names each of its images.
    """
    own, reasons = OwnImages({}, {}, [], 0), dict[str, str]()
    images = [*names_in(text_of(article).root)]
    for name in dict.fromkeys(name for names in images for name in names):
        try:
            if name[:11].lower() == "data:image/":
                own.shown[name] = _displayed(_decoded(name))
            elif beside and name in beside:
                own.files[name], own.shown[name] = _read(beside[name], keep_metadata)
            else:
                reasons[name] = _WHY_NOT if beside is not None else _NO_FOLDER
        except ImageUnreadable as e:
            reasons[name] = str(e)
        except OSError as e:
            reasons[name] = f"{e.strerror or e}: check that it may be read"
    lost = dict.fromkeys(names[0] if names else "" for names in images if not any(n in own.shown for n in names))
    notes = [f"The draft's image {line(n)[:200]} is not shown: {reasons.get(n, _NO_NAME)}." for n in lost]
    count = sum(any(name in own.shown for name in names) for names in images)
    return own._replace(notes=notes, images=count)


_WHY_NOT = "it is not an image in the draft's folder: copy it there"
_NO_FOLDER = "the export was not told which folder the draft lies in"
_NO_NAME = "it names no file"


def _decoded(url: str) -> bytes:
    """The bytes of a data: URL. Raises ImageUnreadable."""
    head, _, data = url.partition(",")
    if len(data) > 2 * MAX_BYTES:
        raise ImageUnreadable(f"more than {MAX_BYTES // 1_000_000} MB: save it smaller")
    try:
        return base64.b64decode(data, validate=False) if head.endswith(";base64") else unquote_to_bytes(data)
    except (binascii.Error, ValueError) as e:
        raise ImageUnreadable(f"its data: URL cannot be decoded ({e}): save it as a file") from e


def _read(path: Path, keep_metadata: bool) -> tuple[bytes, bytes]:
    """(bytes to copy, bytes to show)."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    shown = _displayed(data)
    if keep_metadata or is_svg(data):
        return data, shown
    return (republished_tiff(data) if data[:4] in (b"II*\0", b"MM\0*") else published(data)), shown


def _displayed(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ImageUnreadable(f"more than {MAX_BYTES // 1_000_000} MB: save it smaller")
    return published(displayable(data)[0])


def images_in(article: Article) -> Iterator[str]:
    """The first target of each image in the article's text, in reading order."""
    yield from (names[0] if names else "" for names in names_in(text_of(article).root))
