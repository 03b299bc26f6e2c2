"""Captions, credits and licences that people wrote for a library's images, stored in its records.

They override the values beside the files and in them, field by field, at every indexing run. They are stored by the
image's id, so they follow a renamed file and return with a restored one. The folder's values are stored, too, so that a
field can return to them.

A change of searched words marks its image in the same transaction; an update of the vectors removes the mark if it is
still the same one. So a kill in between leaves a mark, and no wrong vector goes unnoticed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from limner.errors import BadInput
from limner.notes import note
from limner.text import one_line
from limner.tools.library.folder import CAPTION_LENGTH, CREDIT_LENGTH

FIELDS = ("caption", "alt", "credit", "licence")
LENGTHS = {"caption": CAPTION_LENGTH, "alt": CAPTION_LENGTH, "credit": CREDIT_LENGTH, "licence": CREDIT_LENGTH}
"""Limits of the fields in characters."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS written (image TEXT PRIMARY KEY, caption TEXT, alt TEXT, credit TEXT, licence TEXT);
CREATE TABLE IF NOT EXISTS stale (image TEXT PRIMARY KEY, mark TEXT NOT NULL);
"""

Words = Mapping[str, str | None]
"""Fields of an image and their new text; None restores the folder's. Other fields stay."""


def checked(words: Words) -> dict[str, str | None]:
    """The texts in the stored form, one line each. Raises BadInput for an unknown field, an empty caption or too long a
    text."""
    if unknown := [name for name in words if name not in FIELDS]:
        raise BadInput(f"{str(unknown[0])[:40]!r} is not among an image's words: {', '.join(FIELDS)}.")
    made: dict[str, str | None] = {}
    for name, text in words.items():
        made[name] = text = None if text is None else one_line(text)
        if name == "caption" and text == "":
            raise BadInput(note("caption-empty"))
        if text is not None and len(text) > LENGTHS[name]:
            most = LENGTHS[name]
            raise BadInput(note("words-long", field=name, n=len(text), most=most))
    return made


def write(records: sqlite3.Connection, image: str, words: Words) -> None:
    """Change an image's written fields. words: checked ones."""
    records.execute("INSERT OR IGNORE INTO written (image) VALUES (?)", (image,))
    for name, text in words.items():
        records.execute(f"UPDATE written SET {name} = ? WHERE image = ?", (text, image))
    records.execute("DELETE FROM written WHERE image = ? AND coalesce(caption, alt, credit, licence) IS NULL", (image,))


def of(records: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The written fields by image."""
    rows = records.execute(f"SELECT image, {', '.join(FIELDS)} FROM written ORDER BY image")
    return {row[0]: {n: v for n, v in zip(FIELDS, row[1:], strict=True) if v is not None} for row in rows}


def of_library(path: Path) -> dict[str, dict[str, str]]:
    """The written fields in a library's records file, even if the library cannot be opened; {} without a file."""
    try:
        with closing(sqlite3.connect(path)) as records:
            return of(records)
    except sqlite3.DatabaseError:  # damaged, or from an older limner without such fields
        return {}


# --- outdated vectors --------------------------------------------------------------------------------


def mark(records: sqlite3.Connection, images: Iterable[str]) -> None:
    """Mark the vectors of these images as outdated."""
    rows = [(image, uuid4().hex) for image in images]
    records.executemany("INSERT OR REPLACE INTO stale (image, mark) VALUES (?, ?)", rows)


def marked(records: sqlite3.Connection, limit: int = -1) -> list[tuple[str, str]]:
    """Marked images, each with its mark."""
    return records.execute("SELECT image, mark FROM stale ORDER BY image LIMIT ?", (limit,)).fetchall()


def unmark(records: sqlite3.Connection, seen: Sequence[tuple[str, str]]) -> None:
    """Remove marks that have not changed since they were read."""
    records.executemany("DELETE FROM stale WHERE image = ? AND mark = ?", seen)
