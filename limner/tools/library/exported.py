"""A picture's row in the export of a library: written by `exporting`, and read back without loss.

Beside columns that other programs know, a row has `limner`: such a row says all that the library knows, so nothing is
added to it from the picture's own metadata or its file name, and words that a model wrote stay marked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from limner.tools.images.metadata import Described
from limner.tools.library.machine import FIELDS, Suggestion

MARK = "limner"
VERSION = 1
COLUMNS = {"tag": "keywords", "person": "persons", "place": "location"}
"""Names of the columns of facts, where they differ from the facts'."""


@dataclass(frozen=True)
class Exported(Described):
    """The description in a row with the mark."""

    machine: Suggestion | None = None
    """The words that a model wrote; they are not in the other fields."""
    name: str = ""
    """The picture's file name in the library of before, which stands in for a caption."""


def restored(row: Mapping[str, Any], words: Described) -> Described:
    """The description in a row. words: by its columns; an `Exported` if the row has a sound mark."""
    mark = row.get(MARK)
    if isinstance(mark, str):  # in a CSV file
        try:
            mark = json.loads(mark)
        except (ValueError, RecursionError):
            return words
    if not isinstance(mark, Mapping) or mark.get("version") != VERSION:
        return words
    made = mark.get("machine_made")
    fields = [name for name in FIELDS if isinstance(made, list) and name in made]
    by = {name: str(mark.get(name, ""))[:200] for name in ("model", "language")}
    when = mark.get("made")
    texts = {name: getattr(words, name) for name in fields}
    suggestion = Suggestion(**texts, **by, made=float(when) if isinstance(when, int | float) else 0.0)
    rest = replace(words, **dict.fromkeys(fields, ""))
    given = {name: getattr(rest, name) for name in Described.__dataclass_fields__}
    given["details"] = mark["details"] if isinstance(mark.get("details"), str) else words.details
    name = os.path.basename(str(mark.get("name", "")))
    return Exported(**given, machine=suggestion if any(texts.values()) else None, name=name)
