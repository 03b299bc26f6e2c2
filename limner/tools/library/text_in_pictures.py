"""The text in a library's pictures, stored in its records; `reading` reads it.

Its words are searched as words, and nothing else: they are no caption, no name, and in no prompt. Where text is most of
what a picture shows, its vector tells little else. CLIP models read: a picture of the word "sunset" is nearer to a text
about a sunset than a photograph of one is ("parroting captions", Lin et al., arXiv 2312.14232). So its score for a text
is drawn towards what is chance, see `found`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from limner.tools.images.images import TextIn

SCHEMA = """
CREATE TABLE IF NOT EXISTS text_in_picture (image TEXT PRIMARY KEY, words TEXT NOT NULL, area REAL NOT NULL,
  detail REAL NOT NULL, problem TEXT NOT NULL);
"""
AS_JSON = "(SELECT json_array(words, area, detail) FROM text_in_picture WHERE image = i.id) AS text_in_picture"
"""A column of an image's text, for `from_json`."""
NONE = TextIn("", 0.0, 0.0)
WANTED = "read_text"
"""The key of `meta` that says whether a library's pictures are read: "1" if so."""
LITTLE, MUCH = 0.5, 0.9
"""Shares of a picture's detail: up to LITTLE its text changes nothing, from MUCH on its vector counts nothing. Of 160
figures of a textbook and 21 photographs a diagram with labels has the most, 0.64; words on a card and pages have 1."""


class Reading(NamedTuple):
    """The text in a picture, or why it could not be read."""

    text: TextIn = NONE
    problem: str = ""


def keep(records: sqlite3.Connection, read: Mapping[str, Reading]) -> None:
    """Store what was read, by image id; also that nothing was found."""
    rows = [(image, *one.text, one.problem) for image, one in read.items()]
    records.executemany("INSERT OR REPLACE INTO text_in_picture VALUES (?, ?, ?, ?, ?)", rows)


def from_json(column: str | None) -> TextIn:
    """From the column AS_JSON; NONE of a picture that was not read."""
    return TextIn(*json.loads(column)) if column else NONE


def unread(records: sqlite3.Connection) -> list[tuple[str, str]]:
    """(id, path) of the files of images that were not read; sorted."""
    return records.execute(
        "SELECT image, path FROM file WHERE image IS NOT NULL "
        "AND image NOT IN (SELECT image FROM text_in_picture) ORDER BY image, path"
    ).fetchall()


def forget(records: sqlite3.Connection) -> None:
    """Delete the text of images that are gone."""
    records.execute("DELETE FROM text_in_picture WHERE image NOT IN (SELECT id FROM image)")


def drop(records: sqlite3.Connection, failed: bool = False) -> list[str]:
    """Delete it all, or only that some pictures could not be read; returns the ids of those with text."""
    which = "problem != ''" if failed else "1"
    ids = [row[0] for row in records.execute(f"SELECT image FROM text_in_picture WHERE {which} AND words != ''")]
    records.execute(f"DELETE FROM text_in_picture WHERE {which}")
    return ids


def count(records: sqlite3.Connection) -> tuple[int, int]:
    """(pictures that were read, those with text)."""
    query = "SELECT count(*), coalesce(sum(words != ''), 0) FROM text_in_picture WHERE problem = ''"
    return records.execute(query).fetchone()


# --- scores of pictures that are text ------------------------------------------------------------------------------


def parrots(records: sqlite3.Connection) -> int:
    """How many pictures show more text than LITTLE."""
    return records.execute("SELECT count(*) FROM text_in_picture WHERE detail > ?", (LITTLE,)).fetchone()[0]


def trust(text: TextIn) -> float:
    """How much of its score by content a picture keeps, 0 to 1."""
    return min(max((MUCH - text.detail) / (MUCH - LITTLE), 0.0), 1.0)
