"""Captions and alternative texts that a model wrote for a library's images, stored in its records.

They count field by field, where neither a person, in the library, nor the folder says anything: a person's words come
first, then the folder's, then these. They are stored by the image's id, so they follow a renamed file, return with a
restored one, and come to light again where a person's words are taken back.

Images that a model was asked about in vain stand in a table of their own, so that it is not asked about them twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

Field = Literal["caption", "alt"]
FIELDS: tuple[Field, ...] = get_args(Field)
SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (image TEXT PRIMARY KEY, caption TEXT NOT NULL, alt TEXT NOT NULL,
  language TEXT NOT NULL, model TEXT NOT NULL, made REAL NOT NULL);
CREATE TABLE IF NOT EXISTS vain (image TEXT, model TEXT, language TEXT, made REAL NOT NULL, problem TEXT NOT NULL,
  PRIMARY KEY (image, model, language));
"""
_KEEP = """INSERT INTO machine (image, caption, alt, language, model, made) VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (image) DO UPDATE SET caption = iif(caption = '', excluded.caption, caption),
  alt = iif(alt = '', excluded.alt, alt), language = excluded.language, made = excluded.made,
  model = iif(model IN ('', excluded.model), excluded.model, model || ', ' || excluded.model)
  WHERE (caption = '' AND excluded.caption != '') OR (alt = '' AND excluded.alt != '')"""
COLUMNS = {
    "caption": "coalesce(w.caption, iif(i.described, i.caption, nullif(m.caption, '')), i.caption)",
    "alt": "coalesce(w.alt, nullif(i.alt, ''), m.alt, '')",
}
"""Per field its text, by the order above; i: the folder's, w: a person's, m: these."""
DESCRIBED = "(i.described OR w.caption IS NOT NULL OR coalesce(m.caption, '') != '')"
MADE = """iif(w.caption IS NULL AND NOT i.described AND coalesce(m.caption, '') != '', 'caption ', '')
  || iif(w.alt IS NULL AND i.alt = '' AND coalesce(m.alt, '') != '', 'alt ', '')"""
"""The fields whose text is a machine's, each followed by a space."""


class Suggestion(NamedTuple):
    """A model's words for an image, or why there are none."""

    caption: str = ""
    """One line; "" where the image had one."""
    alt: str = ""
    language: str = ""
    """Language that was asked for, BCP 47."""
    model: str = ""
    made: float = 0
    """Seconds since 1970."""
    problem: str = ""
    """Why the image was left out, a code; "" with words."""


def keep(records: sqlite3.Connection, image: str, suggestion: Suggestion) -> None:
    """Store a suggestion's words where the image has no earlier ones; of one with a problem only this is stored."""
    caption, alt, language, model, made, problem = suggestion
    if problem:
        records.execute("INSERT OR REPLACE INTO vain VALUES (?, ?, ?, ?, ?)", (image, model, language, made, problem))
    else:
        records.execute(_KEEP, (image, caption, alt, language, model, made))


def of(records: sqlite3.Connection) -> dict[str, Suggestion]:
    """All suggestions with words by image id; also of images that are missing now."""
    rows = records.execute("SELECT image, caption, alt, language, model, made FROM machine ORDER BY image")
    return {row[0]: Suggestion(*row[1:]) for row in rows}


def of_library(path: Path) -> dict[str, Suggestion]:
    """All suggestions with words in a library's records file, even if the library cannot be opened; {} without any."""
    try:
        with closing(sqlite3.connect(path)) as records:
            return of(records)
    except sqlite3.DatabaseError:  # damaged, or from an older limner without such words
        return {}


def in_vain(records: sqlite3.Connection, model: str, language: str) -> frozenset[str]:
    """Ids of the images that this model was asked about in vain in this language."""
    asked = records.execute("SELECT image FROM vain WHERE (model, language) = (?, ?)", (model, language))
    return frozenset(image for (image,) in asked)


def drop(records: sqlite3.Connection) -> None:
    """Delete them all, the questions in vain, and what the library knows of the chance of their captions."""
    records.execute("DELETE FROM sample WHERE encoder = 'caption' AND image IN (SELECT image FROM machine)")
    records.execute("DELETE FROM chance WHERE encoder = 'caption'")
    records.execute("DELETE FROM machine")
    records.execute("DELETE FROM vain")


def filled(alt: str, described: bool, made: Suggestion | None) -> dict[str, Any]:
    """Fields of a record as in its folder that a suggestion changes."""
    words: dict[str, Any] = {}
    if made and made.caption and not described:
        words |= {"caption": made.caption, "described": True}
    if made and made.alt and not alt:
        words["alt"] = made.alt
    return words


def models(suggestions: Iterable[Suggestion]) -> list[str]:
    """Names of the models that wrote them."""
    return sorted({s.model for s in suggestions if s.model})
