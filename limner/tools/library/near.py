"""Near-copies of one picture, which count as one: kept as groups in a library's records, folded in its searches.

`folding` finds the groups while the library is indexed; a search reads them. Which copy stands for a group is decided
then, because a person may write a caption at any time, and because filters may leave the best copy out.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from limner.document import Candidate
from limner.tools.images.sketch import Sketch, gate, sketch
from limner.tools.library.records import FOUND, Record, by_id
from limner.tools.stored import Within

SCHEMA = """
CREATE TABLE IF NOT EXISTS sketch (image TEXT PRIMARY KEY, small BLOB NOT NULL, gate BLOB NOT NULL,
  compared INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS sketch_new ON sketch (image) WHERE NOT compared;
CREATE TABLE IF NOT EXISTS near (image TEXT PRIMARY KEY, of TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS near_of ON near (of);
"""
COPIES = 50
"""Copies that a candidate names at most: a record has many candidates."""
_MOST = 1 << 16  # bytes of a sketch, unpacked
_AMONG = "(SELECT value FROM json_each(?))"


# --- sketches -------------------------------------------------------------------------------------------------------


def keep(records: sqlite3.Connection, sketches: Mapping[str, bytes]) -> None:
    """Store sketches by image id, to be compared; an empty one says that none can be made, so that none is tried."""
    rows = []
    for image, data in sketches.items():
        made = sketch(data)
        near = b"" if made is None else gate(made).astype("float16").tobytes()
        rows.append((image, zlib.compress(data) if near else b"", near, not near))
    records.executemany("INSERT OR REPLACE INTO sketch VALUES (?, ?, ?, ?)", rows)


def unread(records: sqlite3.Connection) -> list[tuple[str, str]]:
    """(id, path) of the files of images that an older limner read, which made no sketches; sorted."""
    return records.execute(
        "SELECT image, path FROM file WHERE image IS NOT NULL "
        "AND image NOT IN (SELECT image FROM sketch) ORDER BY image, path"
    ).fetchall()


def sketches(records: sqlite3.Connection, ids: Iterable[str]) -> dict[str, Sketch]:
    """The sketches of those of the images that have one."""
    found = records.execute(
        f"SELECT image, small FROM sketch WHERE gate != x'' AND image IN {_AMONG}", (json.dumps([*ids]),)
    )
    made = {image: sketch(zlib.decompressobj().decompress(small, _MOST)) for image, small in found}
    return {image: one for image, one in made.items() if one is not None}


def forget(records: sqlite3.Connection) -> None:
    """Delete what is known of images that are gone; a group of which one is left is none."""
    for table in ("sketch", "near"):
        records.execute(f"DELETE FROM {table} WHERE image NOT IN (SELECT id FROM image)")
    records.execute("DELETE FROM near WHERE of IN (SELECT of FROM near GROUP BY of HAVING count(*) = 1)")


# --- groups ----------------------------------------------------------------------------------------------------------


def count(records: sqlite3.Connection) -> tuple[int, int]:
    """(images that have near-copies, groups of them)."""
    return records.execute("SELECT count(*), count(DISTINCT of) FROM near").fetchone()


def with_copies(records: sqlite3.Connection, ids: Collection[str]) -> set[str]:
    """The ids, and those of all near-copies of these images."""
    if not ids:
        return set()
    of = f"SELECT of FROM near WHERE image IN {_AMONG}"
    return {*ids, *(i for (i,) in records.execute(f"SELECT image FROM near WHERE of IN ({of})", (json.dumps([*ids]),)))}


def fold(
    records: sqlite3.Connection,
    rankings: Sequence[Sequence[Candidate]],
    limit: Within | None,
    chosen: Collection[str] = (),
) -> list[list[Candidate]]:
    """The rankings of a library's searches with each group of near-copies as one candidate, where its best was.

    The best copy that passes the limit stands for the group, with its words; the others are its `copies`. Each signal
    is the highest that any of the found copies has, as what is said of one is true of all. chosen: images that a person
    chose, which stand for their group whatever the others are; several of one group stay apart.
    """
    ids = {c.image_id for ranking in rankings for c in ranking}
    groups = _groups(records, ids)
    members = by_id(records, groups, FOUND)
    order: dict[str, list[Record]] = {}
    for image, of in groups.items():
        if image in members and (limit is None or limit.allows(image)):
            order.setdefault(of, []).append(members[image])
    for of, copies in order.items():
        order[of] = sorted(copies, key=lambda r: (r.id not in chosen, *_worth(r)))
    return [_folded(ranking, groups, order, chosen) for ranking in rankings]


def _groups(records: sqlite3.Connection, ids: Collection[str]) -> dict[str, str]:
    """Group by image: of these images and their copies."""
    of = f"SELECT of FROM near WHERE image IN {_AMONG}"
    return dict(records.execute(f"SELECT image, of FROM near WHERE of IN ({of})", (json.dumps([*ids]),)))


def _worth(record: Record) -> tuple[bool, int, int, str]:
    """Sorts the best copy first: a person's caption, then more pixels, then who is to be credited and by which
    licence."""
    by_person = record.described and "caption" not in record.machine_made
    owed = bool(record.credit) + bool(record.licence)
    return not by_person, -record.width * record.height, -owed, record.id


def _folded(
    ranking: Sequence[Candidate],
    groups: Mapping[str, str],
    order: Mapping[str, Sequence[Record]],
    chosen: Collection[str],
) -> list[Candidate]:
    found: dict[str, list[Candidate]] = {}
    for candidate in ranking:
        of = groups.get(candidate.image_id, "")
        copies = order.get(of, ())
        alone = not copies or (candidate.image_id in chosen and candidate.image_id != copies[0].id)
        found.setdefault(candidate.image_id if alone else of, []).append(candidate)
    return [_as_one(hits, order.get(of, ())) if of in order else hits[0] for of, hits in found.items()]


def _as_one(hits: Sequence[Candidate], copies: Sequence[Record]) -> Candidate:
    """One candidate of the found copies of a group. copies: all that may be found, the one that stands first."""
    first, best = hits[0], copies[0]
    scores = {name: max(h.scores[name] for h in hits if name in h.scores) for h in hits for name in h.scores}
    fits = {name: max(h.fits[name] for h in hits if name in h.fits) for h in hits for name in h.fits}
    one = best.as_candidate(first.library, first.score, scores, fits)
    return one.model_copy(update={"copies": tuple(record.id for record in copies[1 : COPIES + 1])})
