"""Where a library's vectors are, and where others are made beside them (see `reencoding`).

The records name the place, so that one transaction switches all searches from one place to another. A place has vectors
of the same encoders for as long as it is there. What is to be deleted is written down in the transaction that makes it
needless, and crossed out when it is gone: a kill leaves nothing behind for good.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from limner.models.encoders.known import Kind
from limner.tools.library.records import MOVED, meta, set_meta

SCHEMA = "CREATE TABLE IF NOT EXISTS beside (image TEXT PRIMARY KEY, said TEXT NOT NULL);"
"""The images whose vectors are made beside, with a digest of the words that they were made of."""
_NOW, _BESIDE, _LEFT = "vectors", "beside", "left"  # in the table meta: a tag, a Beside, tags


class Place(NamedTuple):
    """The vectors of one set of encoders; the arguments of a `folders.Connect`."""

    folder: Path
    collection: str
    """Its name on a Qdrant server."""
    sizes: dict[str, int]
    """Sizes by dense vector; {} where they do not matter."""


@dataclass(frozen=True)
class Beside:
    """Vectors that are made beside those of a library."""

    tag: str
    """The tag of their place."""
    kind: Kind
    named: str
    """The name of the new encoder of that kind, as a library records it."""
    made: dict[str, str]
    """The names of the encoders that the library has."""
    encoders: dict[str, str]
    """The names of those that it will have."""

    def leads(self, made: Mapping[str, str], encoders: Mapping[str, str]) -> bool:
        """Whether it leads from these encoders to those."""
        return self.made == made and self.encoders == encoders


def place(library: Path, name: str, uid: str, tag: str, sizes: Mapping[str, int]) -> Place:
    """The place of a tag; "" is that of a library that was never reencoded. library: its folder."""
    end = f"-{tag}" if tag else ""
    # With the uid, since several homes may share a server.
    return Place(library / f"vectors{end}", f"limner-{name}-{uid}{end}", dict(sizes))


def now(records: sqlite3.Connection) -> str:
    """The tag of the vectors that are searched."""
    return meta(records, _NOW)


def beside(records: sqlite3.Connection) -> Beside | None:
    """What is made beside, if anything is."""
    found = meta(records, _BESIDE)
    return Beside(**json.loads(found)) if found else None


def left(records: sqlite3.Connection) -> list[str]:
    """Tags of vectors that nobody needs any more."""
    return json.loads(meta(records, _LEFT) or "[]")


def tags(records: sqlite3.Connection) -> list[str]:
    """All tags of a library: of what is searched, made and left."""
    half = beside(records)
    return [now(records), *([half.tag] if half else []), *left(records)]


def begin(records: sqlite3.Connection, half: Beside) -> None:
    """Note that vectors are made beside, from the first image on."""
    abandon(records)
    set_meta(records, _BESIDE, json.dumps(asdict(half)))


def abandon(records: sqlite3.Connection) -> Beside | None:
    """Leave what is made beside; returns what that was."""
    _begin_to_write(records)
    half = beside(records)
    if half:
        _leave(records, half.tag)
    records.execute("DELETE FROM meta WHERE key = ?", (_BESIDE,))
    records.execute("DELETE FROM beside")
    return half


def take(records: sqlite3.Connection, half: Beside) -> None:
    """Let the library have the encoders and the vectors that were made beside, and leave the former ones."""
    _begin_to_write(records)
    former = now(records)
    records.execute("DELETE FROM meta WHERE key = ?", (_BESIDE,))
    records.execute("DELETE FROM beside")
    new = {"encoders": json.dumps(half.encoders), half.kind: half.named, _NOW: half.tag, "format": str(MOVED)}
    for key, value in new.items():
        set_meta(records, key, value)
    _leave(records, former)


def cross_out(records: sqlite3.Connection, tag: str) -> None:
    """Note that these vectors are deleted."""
    _begin_to_write(records)
    set_meta(records, _LEFT, json.dumps([other for other in left(records) if other != tag]))


def _begin_to_write(records: sqlite3.Connection) -> None:
    """What is read from here on stays so until the commit."""
    if not records.in_transaction:
        records.execute("BEGIN IMMEDIATE")


def _leave(records: sqlite3.Connection, tag: str) -> None:
    set_meta(records, _LEFT, json.dumps([*left(records), tag]))


# --- progress --------------------------------------------------------------------------------------------------------


def made_of(records: sqlite3.Connection) -> dict[str, str]:
    """What the vectors beside were made of, by image id."""
    return dict(records.execute("SELECT image, said FROM beside"))


def keep(records: sqlite3.Connection, said: Mapping[str, str]) -> None:
    """Note what vectors beside were made of, by image id."""
    records.executemany("INSERT OR REPLACE INTO beside VALUES (?, ?)", said.items())


def count(records: sqlite3.Connection) -> int:
    """How many of the library's images have vectors beside."""
    return records.execute("SELECT count(*) FROM beside WHERE image IN (SELECT id FROM image)").fetchone()[0]
