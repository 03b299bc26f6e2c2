"""Measure and store, in a library's records, what its pictures score by chance.

The sample is the images with the smallest ids: ids are hashes, so it is a fair one, and the same however the library
came about. A change of the sample takes the measurement away; whoever needs it next makes it again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from limner.lazy import lazy
from limner.tools.chance import SAMPLE, UNREAD, Chance, measured, unrelated
from limner.tools.encoders import Encoders
from limner.tools.library.records import Record, by_id, meta
from limner.tools.store import Vectors

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""Opens a connection to the records and commits at the end."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (encoder TEXT, image TEXT, vector BLOB NOT NULL, PRIMARY KEY (encoder, image));
CREATE TABLE IF NOT EXISTS chance (encoder TEXT PRIMARY KEY, base REAL NOT NULL, spread REAL NOT NULL,
  apart REAL NOT NULL);
"""


def keep(records: sqlite3.Connection, encoder: str, vectors: Mapping[str, np.ndarray]) -> None:
    """Enter vectors by image id into the encoder's sample, as far as they belong there."""
    rows = [(encoder, image, vector.tobytes()) for image, vector in sorted(vectors.items())[:SAMPLE]]
    least = records.execute(
        "SELECT image FROM sample WHERE encoder = ? ORDER BY image LIMIT 1 OFFSET ?", (encoder, SAMPLE - 1)
    ).fetchone()
    rows = [row for row in rows if least is None or row[1] <= least[0]]
    if not rows:
        return
    records.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?)", rows)
    kept = "SELECT image FROM sample WHERE encoder = ? ORDER BY image LIMIT ?"
    records.execute(f"DELETE FROM sample WHERE encoder = ? AND image NOT IN ({kept})", (encoder, encoder, SAMPLE))
    records.execute("DELETE FROM chance WHERE encoder = ?", (encoder,))


def switch(records: sqlite3.Connection, name: str, vectors: Mapping[str, np.ndarray], chance: Chance | None) -> None:
    """Give a library the sample and the chance of another dense encoder. vectors: the sample by image id; chance: None
    for none."""
    records.execute("DELETE FROM sample WHERE encoder = ?", (name,))
    records.execute("DELETE FROM chance WHERE encoder = ?", (name,))
    keep(records, name, vectors)
    if chance:
        _enter(records, name, chance)


def _enter(records: sqlite3.Connection, encoder: str, chance: Chance) -> None:
    row = (encoder, chance.base, chance.spread, chance.apart)
    records.execute("INSERT OR REPLACE INTO chance VALUES (?, ?, ?, ?)", row)


def sampled(records: sqlite3.Connection, encoder: str) -> dict[str, np.ndarray]:
    """The encoder's sample by image id, of images that the library still has."""
    rows = records.execute(
        "SELECT image, vector FROM sample s WHERE encoder = ? AND EXISTS (SELECT 1 FROM image WHERE id = s.image) "
        "ORDER BY image",
        (encoder,),
    )
    return {image: np.frombuffer(vector, np.float32) for image, vector in rows}


def wanted(records: sqlite3.Connection) -> list[str]:
    """Ids of the images that a sample of this library has."""
    return [row[0] for row in records.execute("SELECT id FROM image ORDER BY id LIMIT ?", (SAMPLE,))]


# --- measuring -------------------------------------------------------------------------------------------------------


Encode = Callable[[Sequence[Record], str], dict[str, "np.ndarray"]]
"""(records, dense encoder) -> vectors by image id."""


def of(transaction: Transaction, encoders: Encoders, encode: Encode) -> dict[str, Chance]:
    """Per dense encoder the chance of a library, measured now where it is not known; none for one without vectors.

    A library made by an older limner has no sample: its pictures' captions and files are encoded once more for it.
    """
    found: dict[str, Chance] = {}
    with transaction() as records:
        for name, base, spread, apart in records.execute("SELECT * FROM chance").fetchall():
            if vectors := sampled(records, name):
                found[name] = Chance(base, spread, apart, np.stack(list(vectors.values())))
    for name, encoder in (("caption", encoders.caption), ("clip", encoders.clip)):
        if encoder and name not in found and (chance := _measure(transaction, encoders, name, encode)):
            found[name] = chance
    return found


def _measure(transaction: Transaction, encoders: Encoders, name: str, encode: Encode) -> Chance | None:
    with transaction() as records:
        vectors = sampled(records, name)
        there = by_id(records, wanted(records)).values()
    there = [record for record in there if name != "caption" or not record.bare]
    if len(vectors) < len(there) / 2:
        vectors |= encode([record for record in there if record.id not in vectors], name)
        with transaction() as records:
            if _are_of(records, encoders):
                keep(records, name, vectors)
    if not vectors:
        return None
    chance = of_sample(encoders, name, vectors)
    with transaction() as records:
        if _are_of(records, encoders):
            _enter(records, name, chance)
    return chance


def of_sample(encoders: Encoders, name: str, vectors: Mapping[str, np.ndarray]) -> Chance:
    """The chance of a dense encoder by a sample of its vectors, which is not empty."""
    encoder = encoders.caption if name == "caption" else encoders.clip
    assert encoder
    return measured(np.stack(list(vectors.values())), unrelated(encoder))


def _are_of(records: sqlite3.Connection, encoders: Encoders) -> bool:
    """Whether the library still has these encoders; begins to write, so that it does until the commit."""
    if not records.in_transaction:
        records.execute("BEGIN IMMEDIATE")
    return json.loads(meta(records, "encoders")) == encoders.names


Expected = dict[str, tuple[float, float]]
"""Per dense encoder what a query scores by chance, and the standard deviation."""


def expected(
    chances: Mapping[str, Chance], queries: Sequence[Vectors], *, unread: bool = False, own: bool = False
) -> list[Expected]:
    """For each of an article's queries what it scores by chance. unread: in a language that the captions' encoder does
    not read. own: as for `Chance.expected`."""
    found: list[Expected] = [{} for _ in queries]
    for name, chance in chances.items():
        vectors = [q.caption if name == "caption" else q.clip for q in queries]
        given = {n: vector for n, vector in enumerate(vectors) if vector is not None}
        if given:
            bases, spread = chance.expected(np.stack(list(given.values())), own=own)
            spread *= UNREAD if unread and name == "caption" else 1.0
            for n, base in zip(given, bases, strict=True):
                found[n][name] = float(base), spread
    return found


def fits(expected: Expected, scores: Mapping[str, float], record: Record) -> dict[str, float]:
    """Per dense encoder by how many deviations an image's score lies above chance. DSC_0001 is no caption."""
    known = (name for name in expected if name in scores and not (name == "caption" and record.bare))
    return {name: round((scores[name] - expected[name][0]) / expected[name][1], 3) for name in known}
