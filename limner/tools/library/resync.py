"""Bring a library up to date with all the sources that it was made of, or say what that would change."""

from __future__ import annotations

import json
from collections.abc import Sequence

from limner.errors import BadInput
from limner.text import printable_path
from limner.tools.images.images import MAX_PIXELS
from limner.tools.library.gathered import Gathered, Part, away, split
from limner.tools.library.indexing import Progress, Sync, sync
from limner.tools.library.library import Library
from limner.tools.library.records import meta, set_meta
from limner.tools.library.report import Read, Report
from limner.tools.library.sources import Source, located
from limner.tools.library.unpacking import unpacked


def resync(
    library: Library,
    on_progress: Progress | None = None,
    *,
    dry_run: bool = False,
    drop_missing: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Report, list[str]]:
    """Read all recorded sources again; returns what was done, and lines about sources.

    dry_run: change nothing; the report is what would be done. drop_missing: drop the pictures of sources that are
    away, and forget these sources. Raises BadInput for a library without sources, LibraryError if a folder or table is
    away or empty. An archive that is away needs nothing: its pictures are in the library.
    """
    recorded = json.loads(library.meta("folders") or "[]")
    if not recorded:
        raise BadInput(f"The library {library.name} has no source yet: `limner library add {library.name} FOLDER`.")
    there, gone = split(recorded)
    lines = []
    if not drop_missing:
        lines = _away(library, gone)
    if dry_run:
        there, later = _read_already(library, there)
        lines += later
    source = Gathered(
        library.path,
        there,
        recorded,
        max_pixels=max_pixels,
        away=gone if drop_missing else (),
        on_progress=None if dry_run else on_progress,
    )

    def check(run: Sync) -> None:
        if not drop_missing:
            source.check(library.name, run.before, run.scan)

    if dry_run:
        with library.alone():
            made = Preview(library, source, on_progress or (lambda done, total: None))
            check(made)
            report = made.run()
    else:
        report = sync(library, source, on_progress, check)
    if drop_missing and not dry_run:
        _forget(library, source, gone)
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


def _away(library: Library, gone: Sequence[str]) -> list[str]:
    """A line per archive that is away. Raises LibraryError for a folder or table."""
    lines = []
    for name in gone:
        part = Part(library.path, name, None)
        with library.transaction() as records:
            held = sum(part.covers(path) for (path,) in records.execute("SELECT path FROM file"))
        if held and not part.copied:
            raise away(library.name, name, held)
        if held:
            lines.append(f"{printable_path(name)} is not there; its {held} pictures stay, as copied into the library")
    return lines


def _read_already(library: Library, there: Sequence[str]) -> tuple[list[str], list[str]]:
    """(sources that can be looked through without writing, lines about archives that have changed)."""
    kept, lines = [], []
    for name in there:
        source = located(name)
        if source.kind not in ("folder", "table") and not unpacked.is_current(library.path, source):
            lines.append(f"{printable_path(name)} has changed and would be read again")
        else:
            kept.append(name)
    return kept, lines


def _forget(library: Library, source: Gathered, gone: Sequence[str]) -> None:
    """Forget sources that are away, and empty ones."""
    for part in source.parts:
        if part.name in gone:
            part.forget()
    with library.transaction() as records:
        recorded = [name for name in json.loads(meta(records, "folders")) if name not in gone]
        set_meta(records, "folders", json.dumps(recorded))
