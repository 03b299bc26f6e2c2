"""Rows of a library's records: which images there are, in which files, and what is said of them. SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from limner.tools.images.images import Described
from limner.tools.library import captions

FORMAT = 1  # raised when an older limner could not read them
RECORDS = "records.sqlite"
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE image (id TEXT PRIMARY KEY, suffix TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  caption TEXT NOT NULL, alt TEXT NOT NULL, credit TEXT NOT NULL, licence TEXT NOT NULL, described INTEGER NOT NULL,
  embedded TEXT NOT NULL);
CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL, image TEXT, problem TEXT);
CREATE INDEX file_image ON file (image);
"""
FILE = "path, size, changed, image, problem"
WORDS = "caption, alt, credit, licence, described"
_HEAD = (
    "SELECT i.id AS id, coalesce((SELECT min(path) FROM file WHERE image = i.id), '') AS path, suffix, width, height"
)
AS_IN_FOLDER = f"{_HEAD}, {WORDS}, '' AS own FROM image i"
"""Without what people wrote."""
SELECT = f"""{_HEAD}, {", ".join(f"coalesce(w.{n}, i.{n}) AS {n}" for n in captions.FIELDS)},
  (i.described OR w.caption IS NOT NULL) AS described,
  {" || ".join(f"iif(w.{n} IS NULL, '', '{n} ')" for n in captions.FIELDS)} AS own
  FROM image i LEFT JOIN written w ON w.image = i.id"""
INSERT_IMAGE = f"""INSERT OR REPLACE INTO image (id, suffix, width, height, {WORDS}, embedded)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
UPDATE_IMAGE = "UPDATE image SET caption = ?, alt = ?, credit = ?, licence = ?, described = ? WHERE id = ?"


@dataclass(frozen=True)
class Record:
    """An image of a library."""

    id: str
    """First 32 hexadecimal digits of the SHA-256 of its bytes."""
    path: str
    """Where it was when it was last indexed."""
    suffix: str
    """Of the file, lower case, with the dot."""
    width: int
    """px, upright; of an SVG, as drawn."""
    height: int
    caption: str
    alt: str = ""
    credit: str = ""
    licence: str = ""
    described: bool = True
    """False when the caption is only the file's name made readable."""
    written: tuple[str, ...] = ()
    """Which of its words a person wrote here; those win over the folder's."""

    @property
    def text(self) -> str:
        """What the encoders see."""
        return self.caption if not self.alt or self.alt == self.caption else f"{self.caption} {self.alt}"


@dataclass(frozen=True)
class File:
    """A file of a library's source as it was when it was read last."""

    path: str
    size: int
    """Bytes."""
    changed: int
    """Nanoseconds since 1970, as the file system says."""
    image: str | None = None
    """Id of the image in it."""
    problem: str | None = None
    """Why there is none."""


def as_record(row: tuple[Any, ...]) -> Record:
    """Of a row of SELECT or AS_IN_FOLDER."""
    return Record(*row[:9], described=bool(row[9]), written=tuple(row[10].split()))


def by_id(records: sqlite3.Connection, ids: Iterable[str], select: str = SELECT) -> dict[str, Record]:
    """The images of these ids that there are."""
    wanted = json.dumps(list(dict.fromkeys(ids)))  # one parameter: SQLite bounds how many a statement may have
    rows = records.execute(f"{select} WHERE i.id IN (SELECT value FROM json_each(?))", (wanted,))
    return {r.id: r for r in map(as_record, rows)}


def image_row(record: Record, embedded: Described) -> tuple[Any, ...]:
    """For INSERT_IMAGE. embedded: what the file says of itself."""
    r = record
    words = (r.caption, r.alt, r.credit, r.licence, r.described)
    return (r.id, r.suffix, r.width, r.height, *words, json.dumps(asdict(embedded)))


def words_row(r: Record) -> tuple[Any, ...]:
    """For UPDATE_IMAGE."""
    return (r.caption, r.alt, r.credit, r.licence, r.described, r.id)


def meta(records: sqlite3.Connection, key: str) -> str:
    """A fact about the library, "" if it is not recorded."""
    row = records.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else ""


def set_meta(records: sqlite3.Connection, key: str, value: str) -> None:
    """Record a fact about the library."""
    records.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
