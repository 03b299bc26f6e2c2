"""The records of a library in SQLite: its images, their files and their captions."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from limner.document import Candidate
from limner.errors import LibraryError
from limner.text import printable_path
from limner.tools.filenames import says_something
from limner.tools.images.facts import Facts
from limner.tools.images.images import Described, TextIn
from limner.tools.library import captions, facts, machine, text_in_pictures

FORMAT = 2
"""Raised when an older limner could not read them, or would leave them wrong: that of 1 changes vectors behind their
rows (see `stores.upgrade`)."""
MOVED = 3
"""The format of a library whose vectors were made beside its former ones (see `reencoding`): an older limner would look
for them in their first place."""
RECORDS = "records.sqlite"
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE image (id TEXT PRIMARY KEY, suffix TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  caption TEXT NOT NULL, alt TEXT NOT NULL, credit TEXT NOT NULL, licence TEXT NOT NULL, described INTEGER NOT NULL,
  embedded TEXT NOT NULL, details TEXT NOT NULL DEFAULT '');
CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL, image TEXT, problem TEXT);
CREATE INDEX file_image ON file (image);
"""
FILE = "path, size, changed, touched, image, problem"
WORDS = "caption, alt, credit, licence, described, details"
_HEAD = (
    "SELECT i.id AS id, coalesce((SELECT min(path) FROM file WHERE image = i.id), '') AS path, suffix, width, height"
)
_LAST = f"{facts.AS_JSON}, {text_in_pictures.AS_JSON}"
AS_IN_FOLDER = f"{_HEAD}, {WORDS}, '' AS own, '' AS machine, {_LAST} FROM image i"
"""Without the words of people and models in the library."""
_SHOWN = {n: f"coalesce(w.{n}, i.{n})" for n in captions.FIELDS} | machine.COLUMNS
_OWN = "LEFT JOIN written w ON w.image = i.id LEFT JOIN machine m ON m.image = i.id"
SELECT = f"""{_HEAD}, {", ".join(f"{shown} AS {n}" for n, shown in _SHOWN.items())},
  {machine.DESCRIBED} AS described, i.details,
  {" || ".join(f"iif(w.{n} IS NULL, '', '{n} ')" for n in captions.FIELDS)} AS own, {machine.MADE} AS machine,
  {_LAST}
  FROM image i {_OWN}"""
FOUND = SELECT.replace(facts.AS_JSON, "'[]' AS facts")
"""Without the facts, which a search result does not show; they take a third of the time to read it."""
INSERT_IMAGE = f"""INSERT OR REPLACE INTO image (id, suffix, width, height, {WORDS}, embedded)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
UPDATE_IMAGE = "UPDATE image SET caption = ?, alt = ?, credit = ?, licence = ?, described = ?, details = ? WHERE id = ?"


@dataclass(frozen=True)
class Record:
    """An image of a library."""

    id: str
    """First 32 hexadecimal digits of the SHA-256 of its bytes."""
    path: str
    """Its absolute path when it was last indexed."""
    suffix: str
    """The file name's ending, lower case, with the dot."""
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
    """The fields that a person wrote in the library; they take precedence over the folder's."""

    details: str = ""
    """Headline, keywords, persons, places, event and date, as the files have them."""
    machine_made: tuple[machine.Field, ...] = ()
    """The fields whose text a model wrote (`limner library caption`)."""
    facts: Facts = field(default_factory=dict)
    """Facts by which searches can be limited, see `images.facts`."""
    added: str = ""
    """The day on which it came into the library, YYYY-MM-DD; "" in libraries of an older limner."""
    text_in_picture: TextIn = text_in_pictures.NONE
    """The text that was read in it, which is searched and never shown as a caption; see `text_in_pictures`."""

    @property
    def bare(self) -> bool:
        """Whether nothing is said about it: no caption, and a file name like DSC_0001."""
        return not (self.described or self.alt or says_something(self.caption))

    @property
    def words(self) -> str:
        """The text whose words are searched: `text` and the details."""
        return f"{self.text} {self.details}" if self.details else self.text

    @property
    def text(self) -> str:
        """The text that is encoded."""
        return self.caption if not self.alt or self.alt == self.caption else f"{self.caption} {self.alt}"

    def as_candidate(self, library: str, score: float, scores: dict[str, float], fits: dict[str, float]) -> Candidate:
        """This image as a search result of the library named."""
        return Candidate(
            image_id=self.id, library=library, score=score, scores=scores, fits=fits, caption=self.caption,
            alt=self.alt, credit=self.credit, licence=self.licence, described=self.described,
            machine_made=self.machine_made, width=self.width, height=self.height,
        )  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file of a library's source as it was when last read."""

    path: str
    size: int
    """Bytes."""
    changed: int
    """Time of change of its content, in nanoseconds since 1970."""
    touched: int
    """Time of its last change of any kind, likewise; 0 if an older limner read it."""
    image: str | None = None
    """Id of its image, if it could be read."""
    problem: str | None = None
    """Why it could not be read."""


def complete(records: sqlite3.Connection) -> None:
    """Add the tables and columns that a library made by an older limner lacks."""
    records.executescript(captions.SCHEMA + machine.SCHEMA + facts.SCHEMA + text_in_pictures.SCHEMA)
    if _changes(records):
        records.execute("BEGIN IMMEDIATE")  # another process may open the same library now
        for change in _changes(records):
            records.execute(change)


def _changes(records: sqlite3.Connection) -> list[str]:
    """The changes that the tables of an older limner need."""

    def columns(table: str) -> set[str]:
        return {row[1] for row in records.execute(f"PRAGMA table_info({table})")}

    changes = []
    if "details" not in columns("image"):
        changes.append("ALTER TABLE image ADD COLUMN details TEXT NOT NULL DEFAULT ''")
    if "limits" not in columns("file"):
        changes.append("ALTER TABLE file ADD COLUMN limits TEXT")  # of this copy, as JSON; NULL until it is described
    if "touched" not in columns("file"):
        changes.append("ALTER TABLE file ADD COLUMN touched INTEGER NOT NULL DEFAULT 0")
    if "problem" in columns("machine"):  # now in the table vain
        changes += ["DELETE FROM machine WHERE problem != ''", "ALTER TABLE machine DROP COLUMN problem"]
    return changes


def as_record(row: tuple[Any, ...]) -> Record:
    """From a row of SELECT or AS_IN_FOLDER."""
    known, added = facts.from_json(row[13])
    own: dict[str, Any] = {"written": tuple(row[11].split()), "machine_made": tuple(row[12].split())}
    own["text_in_picture"] = text_in_pictures.from_json(row[14])
    return Record(*row[:9], described=bool(row[9]), details=row[10], facts=known, added=added, **own)


def by_id(records: sqlite3.Connection, ids: Iterable[str], select: str = SELECT) -> dict[str, Record]:
    """Those of the images that exist, by id."""
    wanted = json.dumps(list(dict.fromkeys(ids)))  # one parameter: SQLite limits their number
    rows = records.execute(f"{select} WHERE i.id IN (SELECT value FROM json_each(?))", (wanted,))
    return {r.id: r for r in map(as_record, rows)}


def page(
    records: sqlite3.Connection,
    without: str,
    after: str,
    limit: int,
    passing: Collection[str] | None = None,
) -> tuple[list[Record], int]:
    """(at most `limit` images by path, those behind the path `after`; the number of all).

    without: only images that lack this field, one of captions.FIELDS; "" for all. passing: only these ids; None for
    all.
    """
    lacks = f"NOT {machine.DESCRIBED}" if without == "caption" else f"{_SHOWN[without]} = ''" if without else ""
    among, ids = "", ()
    if passing is not None:
        among, ids = "i.id IN (SELECT value FROM json_each(?))", (json.dumps([*passing]),)
    all_ = " AND ".join(condition for condition in (lacks, among) if condition)
    # By the index of paths, from there on: to sort all images by path took 0.4 s of 100,000.
    query = f"""SELECT f.image FROM file f CROSS JOIN image i ON i.id = f.image {_OWN}
      WHERE f.path > ? {f"AND {all_}" if all_ else ""}
      AND NOT EXISTS (SELECT 1 FROM file g WHERE g.image = f.image AND g.path < f.path) ORDER BY f.path LIMIT ?"""
    found = [image for (image,) in records.execute(query, (after, *ids, limit))]
    whole = by_id(records, found)
    count = f"SELECT count(*) FROM image i {_OWN} WHERE {all_}" if lacks else "SELECT count(*) FROM image"
    total = len(passing) if passing is not None and not lacks else records.execute(count, ids).fetchone()[0]
    return [whole[image] for image in found], total


def counts(records: sqlite3.Connection) -> tuple[int, int, int]:
    """(images, images with a caption of their own, images with a licence)."""
    return records.execute(
        f"SELECT count(*), coalesce(sum(described), 0), coalesce(sum(licence != ''), 0) FROM ({SELECT})"
    ).fetchone()


def one_named(records: sqlite3.Connection, ref: str, library: str) -> str:
    """The id of the one image that `ref` names, see `Library.find`. Raises LibraryError for no match and for several.

    library: its name.
    """
    found = _named(records, ref)
    if len(found) == 1:
        return next(iter(found))
    if not found:
        hint = f"`limner library show {library}` lists them."
        raise LibraryError(f"The library {library} has no image {printable_path(ref)[:200]}: {hint}")
    ids = ", ".join(image[:12] for image in sorted(found)[:5])
    raise LibraryError(f"{printable_path(ref)[:200]} is {len(found)} images of {library}: name one of {ids}.")


def _named(records: sqlite3.Connection, ref: str) -> set[str]:
    """Ids of the images that `ref` may name."""
    found: set[str] = set()
    name, path = os.path.basename(ref), os.path.abspath(ref)
    for file, image in records.execute("SELECT path, image FROM file WHERE image IS NOT NULL"):
        begins = len(ref) >= 4 and image.startswith(ref.lower())
        if begins or file == path or (name == ref and os.path.basename(file) == ref):
            found.add(image)
    return found


def image_row(record: Record, embedded: Described) -> tuple[Any, ...]:
    """Values for INSERT_IMAGE. embedded: the file's own metadata."""
    r = record
    words = (r.caption, r.alt, r.credit, r.licence, r.described, r.details)
    return (r.id, r.suffix, r.width, r.height, *words, json.dumps(asdict(embedded)))


def words_row(r: Record) -> tuple[Any, ...]:
    """Values for UPDATE_IMAGE."""
    return (r.caption, r.alt, r.credit, r.licence, r.described, r.details, r.id)


def meta(records: sqlite3.Connection, key: str) -> str:
    """A value of the table `meta`; "" if it is not set."""
    row = records.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else ""


def set_meta(records: sqlite3.Connection, key: str, value: str) -> None:
    """Set a value of the table `meta`."""
    records.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
