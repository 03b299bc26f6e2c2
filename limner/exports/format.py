"""The type of an export format, limner's own or a plug-in's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from limner.document import Article
from limner.exports.pictures import Pictures


class Format(NamedTuple):
    """An export format. To add one, put it in `formats.FORMATS`."""

    file: str
    """Name of its file in the folder."""
    linked: bool
    """Whether it links to the files in images/."""
    write: Callable[[Article, Pictures], str | bytes]
    """(article with `file` of its illustrations set, images) -> text or bytes of the file."""
    check: Callable[[Article, Path], None]
    """Reads the written file again; raises ExportFailed if it is not the whole article."""
    own: Callable[[Path], int] | None = None
    """Counts a draft's own images in the written file; None for a format that only links to them."""
    media: str = "application/octet-stream"
    """Its media type (RFC 6838), for HTTP."""
    shown: Callable[[Path], Iterable[bytes]] | None = None
    """The figures' images in the written file, to be compared with their sources; None for a format without any."""
    ordered: bool = True
    """Whether `shown` gives them in the article's order."""
