"""Libraries that come with limner, made on first use and again after a change of their pictures or encoders."""

from __future__ import annotations

from pathlib import Path

from limner.errors import EncoderMismatch
from limner.tools.encoders import Encoders
from limner.tools.library import Connect, Library, Progress, Source, remove, sync, written_in
from limner.tools.library.folders import locked
from limner.tools.store import PATIENCE


def bundled_library(
    home: Path,
    name: str,
    encoders: Encoders,
    source: Source,
    made_from: str,
    on_progress: Progress | None = None,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
) -> Library:
    """Open a bundled library; read `source`, its only one, if it was not read as `made_from` yet.

    made_from: differs after each change of the pictures, their words or their place.
    """
    try:
        library = Library.open_or_create(home, name, encoders, connect=connect, patience=patience)
    except EncoderMismatch:  # at most captions are the user's, so rebuild it without asking
        library = _rebuilt(home, name, encoders, connect, patience)
    made_from += ", with facts"  # an older limner kept none
    if library.meta("made_from") != made_from:
        sync(library, source, on_progress)
        library.set_meta("made_from", made_from)
    return library


def _rebuilt(home: Path, name: str, encoders: Encoders, connect: Connect | None, patience: float) -> Library:
    """The library for these encoders, with the captions that were written in it.

    Under a lock of its own, because another process that finds the same mismatch would read the captions of a library
    that is still empty, and remove the finished one. Raises LibraryBusy.
    """
    with locked(home, name, patience, "~rebuild"):
        try:
            return Library.open(home, name, encoders, connect=connect, patience=patience)  # rebuilt meanwhile
        except EncoderMismatch:
            words = written_in(home, name)
            remove(home, name, connect=connect, patience=patience)
            library = Library.open_or_create(home, name, encoders, connect=connect, patience=patience)
            library.restore(words)
            return library
