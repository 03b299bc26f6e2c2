"""Where a library keeps its vectors, and where `reencoding` makes new ones beside them.

The records name the place that searches use, so one transaction switches all of them to another place. The encoders
of a place never change. The transaction that makes a place needless also lists it for deletion, and the entry goes
when the place is gone: a kill leaves nothing behind for good.
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
"""The images that have new vectors, each with a digest of the words that were encoded."""
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
    """New vectors in the making, beside those that are searched."""

    tag: str
    """The tag of their place."""
    kind: Kind
    named: str
    """The name of the new encoder, as a library records it."""
    made: dict[str, str]
    """The names of the library's present encoders."""
    encoders: dict[str, str]
    """The names of its encoders after the switch."""

    def leads(self, made: Mapping[str, str], encoders: Mapping[str, str]) -> bool:
        """Whether these vectors are for a switch from encoders `made` to `encoders`."""
        return self.made == made and self.encoders == encoders


def place(library: Path, name: str, uid: str, tag: str, sizes: Mapping[str, int]) -> Place:
    """The place of a tag. A library that was never reencoded has the tag "". library: its folder."""
    end = f"-{tag}" if tag else ""
    # With the uid, since several homes may share a server.
    return Place(library / f"vectors{end}", f"limner-{name}-{uid}{end}", dict(sizes))


def now(records: sqlite3.Connection) -> str:
    """The tag of the vectors that are searched."""
    return meta(records, _NOW)


def beside(records: sqlite3.Connection) -> Beside | None:
    """The new vectors in the making, None without any."""
    found = meta(records, _BESIDE)
    return Beside(**json.loads(found)) if found else None


def left(records: sqlite3.Connection) -> list[str]:
    """Tags of vectors that nobody needs any more."""
    return json.loads(meta(records, _LEFT) or "[]")


def tags(records: sqlite3.Connection) -> list[str]:
    """All tags of a library: of the vectors that are searched, in the making, and to be deleted."""
    half = beside(records)
    return [now(records), *([half.tag] if half else []), *left(records)]


def begin(records: sqlite3.Connection, half: Beside) -> None:
    """Record that new vectors are in the making; former ones in the making are given up."""
    abandon(records)
    set_meta(records, _BESIDE, json.dumps(asdict(half)))


def abandon(records: sqlite3.Connection) -> Beside | None:
    """Give up the vectors in the making and list them for deletion; returns what they were."""
    _begin_to_write(records)
    half = beside(records)
    if half:
        _leave(records, half.tag)
    records.execute("DELETE FROM meta WHERE key = ?", (_BESIDE,))
    records.execute("DELETE FROM beside")
    return half


def take(records: sqlite3.Connection, half: Beside) -> None:
    """Switch the library to the new encoders and vectors, and list the former ones for deletion."""
    _begin_to_write(records)
    former = now(records)
    records.execute("DELETE FROM meta WHERE key = ?", (_BESIDE,))
    records.execute("DELETE FROM beside")
    new = {"encoders": json.dumps(half.encoders), half.kind: half.named, _NOW: half.tag, "format": str(MOVED)}
    for key, value in new.items():
        set_meta(records, key, value)
    _leave(records, former)


def cross_out(records: sqlite3.Connection, tag: str) -> None:
    """Record that the vectors of a tag are deleted."""
    _begin_to_write(records)
    set_meta(records, _LEFT, json.dumps([other for other in left(records) if other != tag]))


def _begin_to_write(records: sqlite3.Connection) -> None:
    """Keep other writers out until the commit."""
    if not records.in_transaction:
        records.execute("BEGIN IMMEDIATE")


def _leave(records: sqlite3.Connection, tag: str) -> None:
    set_meta(records, _LEFT, json.dumps([*left(records), tag]))


# --- progress --------------------------------------------------------------------------------------------------------


def made_of(records: sqlite3.Connection) -> dict[str, str]:
    """Digests of the words that the new vectors were made of, by image id."""
    return dict(records.execute("SELECT image, said FROM beside"))


def keep(records: sqlite3.Connection, said: Mapping[str, str]) -> None:
    """Record the digests of the words that new vectors were made of, by image id."""
    records.executemany("INSERT OR REPLACE INTO beside VALUES (?, ?)", said.items())


def count(records: sqlite3.Connection) -> int:
    """How many of the library's images have new vectors."""
    return records.execute("SELECT count(*) FROM beside WHERE image IN (SELECT id FROM image)").fetchone()[0]
