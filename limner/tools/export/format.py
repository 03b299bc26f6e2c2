"""One way to write an article, limner's own or a plug-in's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from limner.document import Article
from limner.tools.export.pictures import Pictures


class Format(NamedTuple):
    """One way to write an article. To add one, put it in `formats.FORMATS`."""

    file: str
    """Its name in the folder."""
    linked: bool
    """Whether it points at the files in images/."""
    write: Callable[[Article, Pictures], str | bytes]
    """The article, `file` of its illustrations set, as text or as a file's bytes."""
    check: Callable[[Article, Path], None]
    """Reads the written file again; raises ExportFailed where it is not the whole article."""
    own: Callable[[Path], int] | None = None
    """How many of a draft's own images the written file holds; None for a format that only points at them."""
    media: str = "application/octet-stream"
    """Its media type (RFC 6838), for HTTP."""
