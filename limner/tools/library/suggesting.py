"""Words that a model suggests for a library's images: which images lack some, what is known of them, storing them.

Only words are compared here; `limner.workflows.captioning` asks the model.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from limner.errors import BadInput
from limner.tools.filenames import says_something
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library import captions, machine
from limner.tools.library.folder import readable
from limner.tools.library.library import Library
from limner.tools.library.machine import Suggestion
from limner.tools.library.records import SELECT, Record, by_id

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


def lacking(
    library: Library,
    without: Without = "",
    model: str = "",
    language: str = "",
    records: Sequence[Record] | None = None,
) -> Lacking:
    """The images to ask a model about.

    without: "" for those of which nothing is said, neither by people nor by the file's name; "caption" and "alt" for
    all that have none. Raises BadInput for another word.
    model, language: images that this model was asked about in vain in this language are not among them; "" for a model
    whose name is not known yet, or that is to be asked once more.
    records: those to choose from, by path; None for all.
    """
    tests = {
        "": lambda record: record.bare,
        "caption": lambda record: not record.described,
        "alt": lambda record: not record.alt and "alt" not in record.written,
    }
    if without not in tests:
        raise BadInput(f"--without {str(without)[:40]!r}: choose caption or alt.")
    records = library.records() if records is None else records
    found, vain = [record for record in records if tests[without](record)], in_vain(library, model, language)
    left = [record for record in found if record.id not in vain]
    return Lacking(left, len(found) - len(left))


def in_vain(library: Library, model: str, language: str) -> frozenset[str]:
    """Ids of the images that this model was asked about in vain in this language; none for the model ""."""
    with library.transaction() as records:
        return machine.in_vain(records, model, language) if model else frozenset()


# --- what is known -------------------------------------------------------------------------------------------------


class Surroundings:
    """Facts about a library's pictures from their files, folders and neighbours."""

    def __init__(self, library: Library, roots: Sequence[str], records: Sequence[Record] | None = None) -> None:
        """roots: the folders that were added to the library; records: all of it by path, None to read them."""
        self.home, self.roots = str(library.home), [Path(root) for root in roots]
        self._near: dict[str, tuple[list[str], list[str]]] = {}
        for record in library.records() if records is None else records:
            if record.described and "caption" not in record.machine_made:
                paths, told = self._near.setdefault(os.path.dirname(record.path), ([], []))
                paths.append(record.path)
                told.append(record.caption)

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
        """The nearest captions of the same folder, by file name, each once."""
        paths, told = self._near.get(os.path.dirname(path), ([], []))
        at = bisect.bisect_left(paths, path)
        nearest = sorted(range(max(0, at - NEAR), min(len(paths), at + NEAR + 1)), key=lambda n: abs(n + 0.5 - at))
        return list(dict.fromkeys(told[n] for n in nearest if paths[n] != path))[:NEAR]


def language(library: Library, records: Sequence[Record] | None = None) -> str:
    """The language of the captions that people and folders gave, BCP 47; "" if there are too few or they differ.

    records: all of the library; None to read them."""
    records = library.records() if records is None else records
    known = [r.caption for r in records if r.described and "caption" not in r.machine_made]
    step = max(1, len(known) // _SAMPLE)
    some = known[::step][:_SAMPLE]
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
