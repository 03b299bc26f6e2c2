"""The facts of a library's images in its records, and which images pass filters.

The records decide, and the search is given the ids that pass or the ids that do not, whichever are fewer: so a
caption, a licence or a file that changes needs no update of the vectors' store, on a disk or on a server.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from limner.tools.images.facts import Facts, in_time, now
from limner.tools.library.filters import TEXTS, Filter, Filters, orientation
from limner.tools.store import Within

SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (image TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS fact_image ON fact (image);
CREATE INDEX IF NOT EXISTS fact_field ON fact (field, value);
"""
AS_JSON = "(SELECT json_group_array(json_array(field, value)) FROM fact WHERE image = i.id) AS facts"
"""A column of an image's facts, for `from_json`."""
ADDED = "added"
"""The day on which an image came into the library; no file says it."""
_PLACES = ("place", "city", "state", "country")


def keep(records: sqlite3.Connection, facts: Mapping[str, Facts], added: str = "") -> None:
    """Replace images' facts, by id. added: the day for new images; "" leaves that of known ones."""
    kept = "" if added else f" AND field != '{ADDED}'"
    records.executemany(f"DELETE FROM fact WHERE image = ?{kept}", [(image,) for image in facts])
    rows = [(image, name, value) for image, of in facts.items() for name, values in of.items() for value in values]
    rows += [(image, ADDED, added) for image in facts if added]
    records.executemany("INSERT INTO fact VALUES (?, ?, ?)", rows)


def forget(records: sqlite3.Connection) -> None:
    """Delete the facts of images that are gone."""
    records.execute("DELETE FROM fact WHERE image NOT IN (SELECT id FROM image)")


def from_json(text: str) -> tuple[Facts, str]:
    """(facts, day on which the image was added, "" if unknown) from the column AS_JSON."""
    found: Facts = {}
    for name, value in json.loads(text):
        found.setdefault(name, []).append(value)
    return found, next(iter(found.pop(ADDED, [])), "")


def unread(records: sqlite3.Connection) -> list[tuple[str, str]]:
    """(id, path) of the files of images that an older limner read, which kept no facts; sorted."""
    without = "json_type(embedded, '$.facts') IS NULL"
    return records.execute(
        f"SELECT i.id, f.path FROM image i JOIN file f ON f.image = i.id WHERE {without} ORDER BY i.id, f.path"
    ).fetchall()


# --- which images pass -------------------------------------------------------------------------------------------


def outside(records: sqlite3.Connection) -> set[str]:
    """Images whose embargo has not ended, or that have expired."""
    moment, found = now(), set()
    for field in ("embargo", "expires"):  # an image is in its time if each of its limits says so
        values = [value for (value,) in records.execute("SELECT DISTINCT value FROM fact WHERE field = ?", (field,))]
        bad = json.dumps([value for value in values if not in_time({field: [value]}, moment)])
        query = "SELECT image FROM fact WHERE field = ? AND value IN (SELECT value FROM json_each(?))"
        found |= {image for (image,) in records.execute(query, (field, bad))}
    return found


def passing(records: sqlite3.Connection, only: Filters, used: Collection[str] = ()) -> set[str] | None:
    """Ids of the images whose facts fit all filters, without those of `used`; None for all."""
    found: set[str] | None = None
    for one in only.facts:
        fit = _fitting(records, one)
        found = fit if found is None else found & fit
    return (_all(records) if found is None else found) - set(used) if used else found


def within(records: sqlite3.Connection, only: Filters, used: Collection[str]) -> Within | None:
    """The limit of a search: the images that pass, within their time. By their ids or those of all others, whichever
    are fewer; None for no limit."""
    away = set() if only.anytime else outside(records)
    passed = passing(records, only)
    away |= set(used)
    if passed is None:
        return Within(away, inside=False) if away else None
    left = passed - away
    if 2 * len(left) <= records.execute("SELECT count(*) FROM image").fetchone()[0]:
        return Within(left, inside=True)
    return Within(_all(records) - left, inside=False)


class LeftOut(NamedTuple):
    """The images that a search leaves out."""

    held_back: int
    """Images that only their embargo or expiry keeps from being found."""
    without_facts: int
    """Images that an older limner read, which kept no facts, embargo or expiry; 0 if the search asks for none."""
    everything: bool
    """Whether filters leave out all images."""


def left_out(
    records: sqlite3.Connection, only: Filters, used: Collection[str], handed: Collection[str] = ()
) -> LeftOut:
    """The images that a search with these filters leaves out. handed: ids of images that are taken all the same."""
    away = set() if only.anytime else outside(records)
    passed = passing(records, only, used)
    held = (away if passed is None else away & passed).difference(handed)
    asks = only.facts or not only.anytime
    count = "SELECT count(*) FROM image WHERE json_type(embedded, '$.facts') IS NULL"
    without = records.execute(count).fetchone()[0] if asks else 0
    return LeftOut(len(held), without, passed is not None and not passed - away)


def _fitting(records: sqlite3.Connection, one: Filter) -> set[str]:
    """Ids of the images that fit one filter."""
    if one.field in TEXTS and not one.value:
        having = _having(records, one.field, lambda value: value != "")
        return having if one.sign == "!=" else _all(records) - having
    found = _having(records, one.field, one.matcher())
    return _all(records) - found if one.sign == "!=" and one.field in TEXTS else found


def _having(records: sqlite3.Connection, field: str, fits: Callable[[Any], bool]) -> set[str]:
    """Ids of the images of which one of the values of a field fits; an image may have several values, or none."""
    if field == "folder":
        pairs = list(_folders(records))
        good = {value for value in {value for _, value in pairs} if fits(value)}
        return {image for image, value in pairs if value in good}
    if field == "orientation":
        sizes = records.execute("SELECT id, width, height FROM image")
        return {image for image, width, height in sizes if fits(orientation(width, height))}
    # Many images share a value: SQLite tells which, so that Python reads few of them.
    image, value, source = _column(field)
    good = [one for (one,) in records.execute(f"SELECT DISTINCT {value} {source} TRUE") if fits(one)]
    query = f"SELECT {image} {source} {value} IN (SELECT value FROM json_each(?))"
    return {image for (image,) in records.execute(query, (json.dumps(good),))}


def _column(field: str) -> tuple[str, str, str]:
    """(image, value, where from, to be followed by a condition) of a field in SQL."""
    if field in ("licence", "credit"):
        return "i.id", f"coalesce(w.{field}, i.{field})", "FROM image i LEFT JOIN written w ON w.image = i.id WHERE"
    if field in ("width", "height", "size"):
        return "id", "max(width, height)" if field == "size" else field, "FROM image WHERE"
    names = ", ".join(f"'{name}'" for name in (_PLACES if field == "place" else [field]))
    return "image", "value", f"FROM fact WHERE field IN ({names}) AND"


def _folders(records: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """(image, folder) for each folder above one of its files, up to the library's own: its name, and its path from
    there on."""
    rows = records.execute("SELECT value FROM meta WHERE key IN ('folders', 'unpacked')")
    roots: list[str] = [root for row in rows for root in json.loads(row[0])]
    above: dict[str, list[str]] = {}
    for image, path in records.execute("SELECT image, path FROM file WHERE image IS NOT NULL"):
        here = os.path.dirname(path)
        if here not in above:
            above[here] = list(_names(here, roots))
        for name in above[here]:
            yield image, name


def _names(folder: str, roots: Sequence[str]) -> Iterator[str]:
    """ "/photos/2023/harvest" in the library's folder /photos: photos, 2023, harvest, and all paths of them."""
    root = max((r for r in roots if folder == r or folder.startswith(r.rstrip("/") + "/")), key=len, default="")
    parts = [part for part in folder[len(os.path.dirname(root)) :].split(os.sep) if part]
    for start in range(len(parts)):
        for end in range(start + 1, len(parts) + 1):
            yield "/".join(parts[start:end])


def _all(records: sqlite3.Connection) -> set[str]:
    return {image for (image,) in records.execute("SELECT id FROM image")}
