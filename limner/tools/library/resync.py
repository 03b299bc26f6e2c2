"""Bring a library up to date with all the sources that it was made of, or say what that would change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from limner.errors import BadInput, LibraryError, LibraryMissing
from limner.text import printable_path
from limner.tools.images.images import MAX_PIXELS
from limner.tools.library.gathered import Gathered, Part, away, present, split
from limner.tools.library.indexing import Progress, Sync, sync
from limner.tools.library.library import Library
from limner.tools.library.records import meta, set_meta
from limner.tools.library.report import Read, Report
from limner.tools.library.sources import Located, Source, located
from limner.tools.library.unpacking import unpacked


def resync(
    library: Library,
    on_progress: Progress | None = None,
    *,
    dry_run: bool = False,
    drop: Sequence[str] = (),
    max_pixels: int = MAX_PIXELS,
) -> tuple[Report, list[str]]:
    """Read all recorded sources again; returns what was done, and lines about sources.

    dry_run: change nothing; the report is what would be done. drop: sources that are away or empty, to be forgotten
    with their pictures, also with the copies of an archive's; or emptied folders in a source, whose pictures are
    dropped. Raises BadInput for a library without sources, and for one to drop that it lacks or that has pictures;
    LibraryError if another folder or table is away or empty. An archive that is away needs nothing: its pictures are in
    the library. One that cannot be read stays as it is, and is in the report's `broken`.
    """
    recorded = json.loads(library.meta("folders") or "[]")
    if not recorded:
        raise BadInput(f"The library {library.name} has no source yet: `limner library add {library.name} FOLDER`.")
    named = _named(library, recorded, drop)
    dropped = {name: _in_place(library, name) for name in named if name in recorded}
    emptied = [Path(name) for name in named if name not in recorded]
    there, gone, broken = split(library.path, (name for name in recorded if name not in dropped))
    _check_away(library, gone)
    lines = staying(library, there)
    if dry_run:
        there, later = _read_already(library, there)
        lines += later
    how: dict[str, Any] = {"max_pixels": max_pixels, "dropped": dropped, "emptied": emptied, "keep": not dry_run}
    how["tolerant"] = True
    source = Gathered(library.path, there, recorded, **how, on_progress=None if dry_run else on_progress)

    def check(run: Sync) -> None:
        source.check(library.name, run.before, run.scan)

    if dry_run:
        with library.alone():
            made = Preview(library, source, on_progress or (lambda done, total: None))
            check(made)
            report = made.run()
            report.broken = broken + source.broken
            return report, lines
    report = sync(library, source, on_progress, check)
    report.broken = broken + source.broken
    source.settle(library)
    _forget(library, source)
    return report, lines


class Preview(Sync):
    """A run that only counts: it reads new and changed files, and encodes and writes nothing."""

    def __init__(self, library: Library, source: Source, progress: Progress) -> None:
        super().__init__(library, source, progress)
        self.reread: set[str] = set()

    def run(self) -> Report:
        """What a run would do."""
        self.read()
        gone = {path for path in self.before if path not in self.scan.files}
        self.compared(self.described_anew(gone | self.reread))
        self.report.vanished = self.gone.total()
        self.report.problems = list(dict.fromkeys(self.scan.problems))
        return self.report

    def keep_batch(self, batch: Sequence[Read]) -> None:
        """Count a batch."""
        for path, image_id, _, problem in batch:
            self.reread.add(path)
            if problem:
                self.report.unreadable.append((printable_path(path), problem))
            else:
                self.count_read(path, image_id)
                self.images.add(image_id)


def _named(library: Library, recorded: Sequence[str], names: Sequence[str]) -> list[str]:
    """Sources as the library has them recorded, and emptied folders in them, of names as a person writes them. Raises
    BadInput for others."""
    found = []
    for name in names:
        whole = name if name in recorded else os.path.realpath(os.path.expanduser(name))
        if whole not in recorded:
            _check_emptied(library, recorded, whole, name)
        found.append(whole)
    return found


def _check_emptied(library: Library, recorded: Sequence[str], folder: str, name: str) -> None:
    """Raises BadInput unless a folder lies in a source, and nothing is in it. name: as a person writes it."""
    if not any(Path(folder).is_relative_to(root) for root in recorded if os.path.isdir(root)):
        there = ", ".join(map(printable_path, recorded))
        raise BadInput(f"{printable_path(name)[:200]} is no source of {library.name}, nor in one. It has: {there}.")
    try:
        filled = any(files for _, _, files in os.walk(folder, onerror=_refused)) or os.path.isfile(folder)
    except PermissionError as error:
        line = f"{printable_path(name)[:200]} cannot be read, so nothing of it is dropped: check disk and rights."
        raise BadInput(line) from error
    if filled:
        raise BadInput(f"{printable_path(name)[:200]} is not empty: --drop-missing drops only what is away or empty.")


def _refused(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise error


def _in_place(library: Library, name: str) -> Located | None:
    """What is there in the place of a source that is to be dropped. Raises LibraryError if that is not certain."""
    try:
        os.lstat(name)
        return located(name)
    except (FileNotFoundError, NotADirectoryError, BadInput):  # nothing, or another file than a source of pictures
        return None
    except (OSError, LibraryMissing) as error:
        line = f"{printable_path(name)} cannot be read, so nothing of {library.name} is dropped: check disk and rights."
        raise LibraryError(line) from error


def _held(library: Library, part: Part) -> int:
    """How many of the library's files are of this source."""
    with library.transaction() as records:
        return sum(part.covers(path) for (path,) in records.execute("SELECT path FROM file"))


def _check_away(library: Library, gone: Sequence[str]) -> None:
    """Raises LibraryError if the library has pictures of a source that is away, and no copies of them."""
    for name in gone:
        held = _held(library, Part(library.path, name, None))
        if held:
            raise away(library.name, name, held, "cannot be read" if os.path.lexists(name) else "is not there")


def staying(library: Library, sources: Iterable[str]) -> list[str]:
    """A line per archive that is away, and whose pictures stay as copied."""
    lines = []
    for name in sources:
        part = Part(library.path, name, present(library.path, name))
        if part.there and part.there.kind == "copy" and (held := _held(library, part)):
            what = "cannot be read" if os.path.lexists(name) else "is not there"
            stay = "1 picture stays" if held == 1 else f"{held} pictures stay"
            lines.append(f"{printable_path(name)} {what}; its {stay}, as copied into the library")
    return lines


def _read_already(library: Library, there: Sequence[str]) -> tuple[list[str], list[str]]:
    """(sources that can be looked through without writing, lines about archives that have changed)."""
    kept, lines = [], []
    for name in there:
        source = present(library.path, name)
        if source.kind not in ("folder", "table", "copy") and not unpacked.is_current(library.path, source):
            lines.append(f"{printable_path(name)} has changed and would be read again")
        else:
            kept.append(name)
    return kept, lines


def _forget(library: Library, source: Gathered) -> None:
    """Forget the dropped sources: first their names, so that a kill leaves none whose copies are gone."""
    if not source.dropped:
        return
    with library.transaction() as records:
        recorded = [name for name in json.loads(meta(records, "folders")) if name not in source.dropped]
        set_meta(records, "folders", json.dumps(recorded))
    for part in source.parts:
        if part.name in source.dropped:
            part.forget()
