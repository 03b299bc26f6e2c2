"""Resolve `--library DIR|NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.errors import LibraryMissing
from limner.text import printable_path
from limner.tools.encoders import Encoders
from limner.tools.images.images import MAX_PIXELS
from limner.tools.library.folders import Connect, folder_library, libraries
from limner.tools.library.indexing import Progress, index
from limner.tools.library.library import Library
from limner.tools.library.report import Report
from limner.tools.library.sources import directory
from limner.tools.store import PATIENCE


def open_or_index(
    home: Path,
    ref: str,
    encoders: Encoders,
    on_progress: Progress | None = None,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Library, Report | None]:
    """Resolve `--library DIR|NAME`: the library of that name, else the folder, indexed and kept for next time.

    A name takes precedence over a folder of the same name; ./NAME is always the folder. A folder that was indexed
    before is scanned for changes; unchanged files are not read. Raises LibraryMissing, which lists the libraries.
    """
    if ref in libraries(home):
        return Library.open(home, ref, encoders, connect=connect, patience=patience), None
    root = directory(ref)
    if root is None:
        there = ", ".join(libraries(home)) or "none yet"
        raise LibraryMissing(
            f"{printable_path(ref)[:200]} is neither a folder nor a library (libraries: {there}): check the path, "
            "or make one with `limner library add NAME FOLDER`."
        )
    name = folder_library(root)
    options: dict[str, Any] = {"connect": connect, "patience": patience, "max_pixels": max_pixels}
    return index(home, name, [root], encoders, on_progress, **options)
