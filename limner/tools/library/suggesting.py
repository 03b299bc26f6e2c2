"""Words that a model suggests for a library's images: which images lack some, what is known of them, storing them.

Only words are compared here; `limner.workflows.captioning` asks the model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from limner.errors import BadInput
from limner.tools.filenames import says_something
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library import captions, machine
from limner.tools.library.folder import readable
from limner.tools.library.library import Library
from limner.tools.library.machine import Suggestion
from limner.tools.library.records import SELECT, Record, as_record, by_id

Without = Literal["", "caption", "alt"]
NEAR = 4  # captions of neighbours that a question names
FOLDERS = 3  # last folders of a path that a question names: earlier ones are the disk's, not the pictures'
_SAMPLE = 60  # captions that show a library's language
_LETTERS = 60  # letters of a text; fewer do not show its language for sure
_ALIKE = ({"nb", "nn", "no", "da"}, {"bs", "hr", "sr"}, {"id", "ms"}, {"gl", "pt"}, {"cs", "sk"}, {"zh", "yue"})
"""Languages that are taken for each other in two sentences."""


class Lacking(NamedTuple):
    """Images that lack words."""

    images: list[Record]
    """Ordered by path."""
    vain: int
    """Further images, about which this model was asked in vain in this language."""


_LACKING: dict[str, str] = {
    "": "described = 0 AND alt = ''",
    "caption": "described = 0",
    "alt": "alt = '' AND own NOT LIKE '%alt %'",
}
"""Per choice what the records must be; SQLite sorts the others out, so that of a large library only these are read."""


def lacking(
    library: Library,
    without: Without = "",
    model: str = "",
    language: str = "",
    among: Iterable[str] | None = None,
) -> Lacking:
    """The images to ask a model about.

    without: "" for those of which nothing is said, neither by people nor by the file's name; "caption" and "alt" for
    all that have none. Raises BadInput for another word.
    model, language: images that this model was asked about in vain in this language are not among them; "" for a model
    whose name is not known yet, or that is to be asked once more.
    among: ids of those to choose from; None for all.
    """
    if without not in _LACKING:
        raise BadInput(f"--without {str(without)[:40]!r}: choose caption or alt.")
    query = f"SELECT * FROM ({SELECT}) WHERE {_LACKING[without]}"
    given = [] if among is None else [json.dumps(list(among))]
    query += " AND id IN (SELECT value FROM json_each(?))" if given else ""
    with library.transaction() as records:
        found = [as_record(row) for row in records.execute(f"{query} ORDER BY path, id", given)]
    found, vain = [r for r in found if without or r.bare], in_vain(library, model, language)
    left = [record for record in found if record.id not in vain]
    return Lacking(left, len(found) - len(left))


def in_vain(library: Library, model: str, language: str) -> frozenset[str]:
    """Ids of the images that this model was asked about in vain in this language; none for the model ""."""
    with library.transaction() as records:
        return machine.in_vain(records, model, language) if model else frozenset()


# --- what is known -------------------------------------------------------------------------------------------------


class Surroundings:
    """Facts about a library's pictures from their files, folders and neighbours."""

    def __init__(self, library: Library, roots: Sequence[str]) -> None:
        """roots: the folders that were added to the library."""
        self.library, self.home, self.roots = library, str(library.home), [Path(root) for root in roots]

    def known(self, record: Record) -> dict[str, str | Sequence[str]]:
        """Facts as `limner.agents.dialects.caption.Known`, without words of a model, whose errors would spread."""
        stem = readable(Path(record.path).stem)
        caption = record.described and "caption" not in record.machine_made
        found: dict[str, str | Sequence[str]] = {
            "caption": record.caption if caption else "",
            "file": stem if says_something(stem) and stem != record.caption else "",
            "folder": self._folder(record.path),
            "details": record.details,
            "near": self._neighbours(record.path),
        }
        if not caption and says_something(stem):
            found["file"] = stem
        return {name: fact for name, fact in found.items() if fact}

    def _folder(self, path: str) -> str:
        """The names of the last folders, from the added one on; "" within limner's own."""
        root = next((root for root in self.roots if Path(path).is_relative_to(root)), None)
        if root is None or path.startswith(self.home + os.sep):
            return ""
        parts = Path(path).relative_to(root.parent).parts[:-1]
        return "/".join(part for part in parts[-FOLDERS:] if says_something(readable(part)))

    def _neighbours(self, path: str) -> list[str]:
        """The nearest captions of the same folder, by file name, each once; not a model's."""
        folder = os.path.dirname(path) + os.sep
        with self.library.transaction() as records:
            before = records.execute(_NEAR.format("<", "DESC"), (folder, len(folder) + 1, path, NEAR)).fetchall()
            behind = records.execute(_NEAR.format(">", "ASC"), (folder, len(folder) + 1, path, NEAR)).fetchall()
        told = [one for pair in zip_longest(before, behind) for one in pair if one]
        return list(dict.fromkeys(caption for (caption,) in told))[:NEAR]


def _described(where: str) -> str:
    """A query for captions of people and folders. where: a condition on the file f or the image i, and an order."""
    return f"""SELECT coalesce(w.caption, i.caption) FROM file f JOIN image i ON i.id = f.image
      LEFT JOIN written w ON w.image = i.id WHERE (i.described OR w.caption IS NOT NULL) AND {where}"""


# f.path alone is indexed: the files of one folder lie together, between those of its subfolders.
_NEAR = _described(
    "f.path > ?1 AND f.path < ?1 || char(1114111) AND instr(substr(f.path, ?2), '/') = 0 "
    "AND f.path {} ?3 ORDER BY f.path {} LIMIT ?4"
)


def language(library: Library) -> str:
    """The language of the captions that people and folders gave, BCP 47; "" if there are too few or they differ."""
    query = (
        f"SELECT caption FROM ({SELECT}) WHERE described AND machine NOT LIKE '%caption%' ORDER BY id LIMIT {_SAMPLE}"
    )
    with library.transaction() as records:  # ids are hashes: the first ones are a fair sample
        some = [caption for (caption,) in records.execute(query)]
    if sum(map(len, some)) < _LETTERS:
        return ""
    found = language_of(["\n".join(some)]).code
    return "" if found == UNKNOWN else found


def is_in(text: str, wanted: str) -> bool:
    """Whether a text is in this language; True if it is too short to tell, or in one that is taken for it."""
    wide = sum(c >= "\u2e80" for c in text)
    if len(text) + 4 * wide < _LETTERS:
        return True
    found, base = language_of([text]).code, wanted.lower().partition("-")[0]
    return found in (UNKNOWN, base) or any({found, base} <= alike for alike in _ALIKE)


# --- storing -------------------------------------------------------------------------------------------------------


def suggest(library: Library, words: Mapping[str, Suggestion]) -> None:
    """Store suggestions by image id, committed when this returns; `Library.freshen` encodes them."""
    with library.transaction() as records:
        records.execute("BEGIN IMMEDIATE")
        before = by_id(records, words)
        for image, suggestion in words.items():
            machine.keep(records, image, suggestion)
        after = by_id(records, words)
        captions.mark(records, (i for i, record in after.items() if record.text != before[i].text))


def suggested(library: Library) -> dict[str, Suggestion]:
    """The suggestions for images that the library has, by id."""
    with library.transaction() as records:
        made = machine.of(records)
        return {image: made[image] for image in by_id(records, made)}


def count(library: Library) -> int:
    """How many images show machine-made words."""
    with library.transaction() as records:
        return records.execute(f"SELECT count(*) FROM ({SELECT}) WHERE machine != ''").fetchone()[0]


def withdraw(library: Library) -> int:
    """Delete all suggestions and what is known of questions in vain; people's and folders' words stay.

    Returns how many images showed machine-made words.
    """
    with library.transaction() as records:
        records.execute("BEGIN IMMEDIATE")
        ids = list(machine.of(records))
        before = by_id(records, ids)
        machine.drop(records)
        after = by_id(records, ids)
        captions.mark(records, (i for i, record in after.items() if record.text != before[i].text))
    library.freshen()
    return sum(bool(record.machine_made) for record in before.values())
