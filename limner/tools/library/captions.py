"""Words that people wrote for a library's images, in the library's own records.

They win over what stands beside the files and in them, field by field, whenever that is read again; they are kept by
the image's id, so they follow a file that is renamed, and are there again when one that was gone comes back. What the
folder says is kept as well: a field that is given up has it again.

A change of words that are searched by marks its image in the same transaction; whoever has brought the vectors up to
date takes the mark away, if it is still the one he saw. So a kill in between leaves a mark, and no wrong vector unseen.
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
"""Characters that a field may have."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS written (image TEXT PRIMARY KEY, caption TEXT, alt TEXT, credit TEXT, licence TEXT);
CREATE TABLE IF NOT EXISTS stale (image TEXT PRIMARY KEY, mark TEXT NOT NULL);
"""

Words = Mapping[str, str | None]
"""Fields of an image and their new words; None restores the folder's. Fields that are not named stay."""


def checked(words: Words) -> dict[str, str | None]:
    """Words as they are kept, one line each. Raises BadInput: an unknown field, an empty caption, too long a text."""
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
    """Change what is written for an image; words are checked ones."""
    records.execute("INSERT OR IGNORE INTO written (image) VALUES (?)", (image,))
    for name, text in words.items():
        records.execute(f"UPDATE written SET {name} = ? WHERE image = ?", (text, image))
    records.execute("DELETE FROM written WHERE image = ? AND coalesce(caption, alt, credit, licence) IS NULL", (image,))


def of(records: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """What is written, by image: the fields that are."""
    rows = records.execute(f"SELECT image, {', '.join(FIELDS)} FROM written ORDER BY image")
    return {row[0]: {n: v for n, v in zip(FIELDS, row[1:], strict=True) if v is not None} for row in rows}


def of_library(path: Path) -> dict[str, dict[str, str]]:
    """The same of a library's records file, whether or not it could be opened as a library; {} where there is none."""
    try:
        with closing(sqlite3.connect(path)) as records:
            return of(records)
    except sqlite3.DatabaseError:  # damaged, or of a limner that knew no such words
        return {}


# --- vectors that do not fit any more --------------------------------------------------------------------------------


def mark(records: sqlite3.Connection, images: Iterable[str]) -> None:
    """The vectors of these images are of other words."""
    rows = [(image, uuid4().hex) for image in images]
    records.executemany("INSERT OR REPLACE INTO stale (image, mark) VALUES (?, ?)", rows)


def marked(records: sqlite3.Connection, limit: int = -1) -> list[tuple[str, str]]:
    """Images with a mark, and it."""
    return records.execute("SELECT image, mark FROM stale ORDER BY image LIMIT ?", (limit,)).fetchall()


def unmark(records: sqlite3.Connection, seen: Sequence[tuple[str, str]]) -> None:
    """Take marks away that are still the ones that were seen."""
    records.executemany("DELETE FROM stale WHERE image = ? AND mark = ?", seen)
