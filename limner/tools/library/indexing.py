"""Bring a library up to date with its folders: read new files, drop vanished ones, read all captions again."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

from limner.errors import BadInput, EncoderMismatch, ImageUnreadable, LibraryEmpty, NotInstalled, PluginFailed
from limner.text import printable_path
from limner.tools.encoders import Encoders, kind_of, with_own
from limner.tools.images.facts import today
from limner.tools.images.images import MAX_PIXELS, Described, Inspected
from limner.tools.library import captions, copies, facts, folding, machine, near, reading, text_in_pictures, unchanged
from limner.tools.library.ahead import ahead
from limner.tools.library.beside import sweep
from limner.tools.library.folder import exported
from limner.tools.library.folders import Connect, check_name, libraries, library_path, own_encoders
from limner.tools.library.gathered import Gathered, present
from limner.tools.library.library import Library
from limner.tools.library.records import (
    AS_IN_FOLDER,
    FILE,
    INSERT_IMAGE,
    UPDATE_IMAGE,
    File,
    Record,
    by_id,
    image_row,
    meta,
    set_meta,
    words_row,
)
from limner.tools.library.reencoding import Reencoding
from limner.tools.library.report import Read, Report
from limner.tools.library.sources import Folders, Source, batches, image_identity, read_file
from limner.tools.store import PATIENCE
from limner.tools.trial import runs

Progress = Callable[[int, int], None]
"""Called after each batch with the number of files done and of all files."""


def add(
    library: Library,
    folders: Iterable[str | Path],
    on_progress: Progress | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> Report:
    """Index folders, or bring them up to date. Unreadable files are reported and stop nothing.

    Raises LibraryMissing for a folder that does not exist, LibraryEmpty if the library holds no image afterwards,
    LibraryBusy if another process writes the library for longer than `library.patience`.
    """
    recorded = json.loads(library.meta("folders") or "[]")
    source = Gathered(library.path, folders, recorded, max_pixels=max_pixels, on_progress=on_progress)
    report = sync(library, source, on_progress, lambda run: source.check(library.name, run.before, run.scan))
    with library.transaction() as records:
        for key, paths in (("folders", source.names), ("unpacked", source.unpacked)):
            known = [*json.loads(meta(records, key) or "[]"), *paths]
            set_meta(records, key, json.dumps(list(dict.fromkeys(known))))
    source.settle(library)
    if not len(library):
        bad = report.unreadable
        bad = f" ({len(bad)} unreadable, such as {Path(bad[0][0]).name}: {bad[0][1]})" if bad else ""
        where = ", ".join(map(printable_path, source.names))
        raise LibraryEmpty(f"No usable images in {where}{bad}: put JPEG, PNG, WebP or SVG files there.")
    return report


def sync(
    library: Library, source: Source, on_progress: Progress | None = None, check: Callable[[Sync], None] | None = None
) -> Report:
    """Make the library hold what the source has now; files that the source does not cover stay as they are.

    check: called before anything is changed; what it raises ends the run. Not called if nothing has changed.
    """
    progress = on_progress or (lambda done, total: None)
    with library.alone():
        sweep(library)
        seen = unchanged.look(library, source, source.watched() if isinstance(source, Folders) else ())
        if seen.last is not None:
            library.encode_marked()
            library.chances()
            report = Report.read(seen.last)
            progress(report.files, report.files)
            return report
        run = Sync(library, source, progress)
        if check:
            check(run)
        report = run.run()
        if not run.reader.problem:  # else the next run reads, where it can
            unchanged.end(library, seen, report)
        return report


def index(
    home: Path,
    name: str,
    folders: Iterable[str | Path],
    encoders: Encoders,
    on_progress: Progress | None = None,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
    max_pixels: int = MAX_PIXELS,
    encoder: str = "",
    read_text: bool | None = None,
) -> tuple[Library, Report]:
    """Add folders to a library, creating it if it is missing. A new library without an image is removed again.

    encoder: name of an encoder of captions or pictures (`encoders.kind_of`) for this library from now on; what another
    one encoded is encoded again, see `reencoding`. read_text: whether text in pictures is read from now on; None leaves
    that as it is. Raises what `Library.open`, `Library.create`, `with_own`, `trial.runs`, `reading.want`, `add` and
    `Reencoding` raise.
    """
    roots = [present(library_path(home, name), one).path for one in folders]  # raises before anything is made
    check_name(name)
    how: dict[str, Any] = {"connect": connect, "patience": patience}

    def fill(library: Library) -> Report:
        if read_text is not None:
            reading.want(library, read_text)
        return add(library, roots, on_progress, max_pixels=max_pixels)

    if name not in libraries(home):
        return _new(home, name, encoders, encoder, fill, how)
    if encoder:
        return _reencoded(home, name, encoders, encoder, fill, on_progress, how)
    library = Library.open(home, name, encoders, **how)
    return library, fill(library)


Fill = Callable[[Library], Report]
"""Adds images to a library."""


def _reencoded(
    home: Path,
    name: str,
    encoders: Encoders,
    encoder: str,
    fill: Fill,
    on_progress: Progress | None,
    how: dict[str, Any],
) -> tuple[Library, Report]:
    """An existing library with this encoder. Arguments as for `index`."""
    kind, former = kind_of(encoder), None
    chosen = with_own(encoders, {**own_encoders(home, name), kind: encoder}, home)
    reencoding = Reencoding(home, name, chosen, (kind, encoder), **how)
    if not reencoding.is_done:  # what is gone is dropped first, if the former encoder is still there
        with suppress(NotInstalled, BadInput, PluginFailed, EncoderMismatch):
            former = Library.open(home, name, encoders, **how)
    report = fill(former) if former else None
    reencoding.run(on_progress or (lambda done, of: None))
    library = Library.open(home, name, chosen, **how)
    return library, report or fill(library)


def _new(
    home: Path, name: str, encoders: Encoders, encoder: str, fill: Fill, how: dict[str, Any]
) -> tuple[Library, Report]:
    """A new library; without an image it is removed again. Arguments as for `index`."""
    if encoder:
        kind = kind_of(encoder)
        encoders = with_own(encoders, {kind: encoder}, home)
        runs(encoders, kind)  # before a library is made that has only it
    library = Library.open_or_create(home, name, encoders, **how)
    if encoder:
        library.set_meta(kind_of(encoder), encoder)
    try:
        return library, fill(library)
    except (LibraryEmpty, BadInput, NotInstalled):
        if name in libraries(home) and not len(library):
            library.remove()
        raise


class Sync:
    """One run of `sync`."""

    def __init__(self, library: Library, source: Source, progress: Progress) -> None:
        self.library, self.source, self.progress = library, source, progress
        self.scan = source.scan()
        self.report = Report(unreadable=list(self.scan.refused), skipped=list(self.scan.skipped))
        most = getattr(source, "max_pixels", MAX_PIXELS)
        self.reader, self.folding = reading.Reader(library, most), folding.Folding(library, most)
        with library.transaction() as records:
            rows = [File(*row) for row in records.execute(f"SELECT {FILE} FROM file")]
            self.images = {row[0] for row in records.execute("SELECT id FROM image")}
            self.written, self.machine = captions.of(records), machine.of(records)
        self.before = {f.path: f for f in rows if source.covers(f.path) and not self.scan.hides(f.path)}
        gone = (file.image for path, file in self.before.items() if path not in self.scan.files)
        self.gone = Counter(image or "" for image in gone)
        """Per image the number of its files that are no longer where they were."""

    def run(self) -> Report:
        """Run all steps; a kill between any two of them leaves a usable library. Raises LibraryError."""
        unchanged.begin(self.library)
        self.heal()
        with self.library.held():
            self.read()
            dropped = self.forget()
            self.learn()
            self.reader.catch_up(self.scan.files, self.ahead, self.progress)
            self.folding.catch_up(self.scan.files, self.ahead, self.progress)
            self.folding.group()
            self.redescribe()
            if dropped:
                with self.library.vectors() as store:
                    store.delete(dropped)
            self.library.encode_marked()  # captions written during this run
        self.library.chances()
        self.report.vanished = self.gone.total()
        self.report.problems = list(dict.fromkeys(self.scan.problems))
        self.reader.tell(self.report)
        return self.report

    def heal(self) -> None:
        """Bring vectors in line with records: a kill leaves surplus vectors, a lost store lacks them, and a process
        with the library's former encoders may have made the store anew."""
        with self.library.vectors() as store:
            if not store.fits():
                store.drop()
        with self.library.vectors() as store:
            have = store.ids()
            store.delete(have - self.images)
        missing = self.library.records_of(self.images - have)
        decode = self.library.picture if self.library.encoders.clip else lambda _id: None
        done = 0
        for batch in self.ahead(missing, lambda record: (record, decode(record.id))):
            self.library.put([record for record, _ in batch], {r.id: shown for r, shown in batch if shown})
            done += len(batch)
            self.progress(done, len(missing))

    # -- new and changed files

    def read(self) -> None:
        """Read new and changed files batch by batch; each is decoded, encoded, stored and committed before the next."""
        todo = []
        for path, stamp in self.scan.files.items():
            file = self.before.get(path)
            # One that could not be read is tried again: its reader may be installed by now, the disk mended.
            if file and not file.problem and (file.size, file.changed, file.touched) == stamp:
                self.report.known += 1
            else:
                todo.append(path)
        done, total = len(self.scan.files) - len(todo), len(self.scan.files)
        self.progress(done, total)
        for batch in self.ahead(todo, self.read_one):
            self.keep_batch(batch)
            done += len(batch)
            self.progress(done, total)

    def ahead(self, items: Sequence[Any], read: Callable[[Any], Any]) -> Iterator[list[Any]]:
        """As `ahead.ahead`, in batches of the source."""
        return ahead(items, read, self.source.batch)

    def read_one(self, path: str) -> Read:
        """Read a file, and decode its image unless the library has it. Called by several threads."""
        try:
            data = read_file(path)
            image_id = image_identity(data)
            if image_id in self.images:
                return Read(path, image_id)
            seen = self.source.inspect(data, bool(self.library.encoders.clip))
            self.reader.look(image_id, data)
            return Read(path, image_id, seen)
        except (ImageUnreadable, OSError) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            return Read(path, problem=problem or "cannot be read")

    def keep_batch(self, batch: Sequence[Read]) -> None:
        """Encode and store a batch; vectors before the records that refer to them."""
        files: list[File] = []
        new: dict[str, tuple[Record, Described]] = {}
        pictures: dict[str, Any] = {}
        made: dict[str, machine.Suggestion] = {}
        sketches: dict[str, bytes] = {}
        for path, image_id, seen, problem in batch:
            files.append(File(path, *self.scan.files[path], image=image_id or None, problem=problem or None))
            if problem:
                self.report.unreadable.append((printable_path(path), problem))
                continue
            if seen and image_id not in self.images:
                new[image_id] = self.described(image_id, path, seen), seen.said
                pictures |= {image_id: seen.seen} if seen.seen else {}
                sketches[image_id] = seen.sketch
                if (row := exported(path, self.scan)) and row.machine:
                    made[image_id] = row.machine
            self.count_read(path, image_id)
            self.images.add(image_id)
        self.machine = made | self.machine
        self.library.put([self.as_shown(record) for record, _ in new.values()], pictures)
        with self.library.transaction() as records:
            for image_id, suggestion in made.items():
                machine.keep(records, image_id, suggestion)
            records.executemany(INSERT_IMAGE, [image_row(record, embedded) for record, embedded in new.values()])
            facts.keep(records, {i: record.facts for i, (record, _) in new.items()}, today().isoformat())
            text_in_pictures.keep(records, self.reader.of(new))
            near.keep(records, sketches)
            records.executemany(f"INSERT OR REPLACE INTO file ({FILE}) VALUES (?, ?, ?, ?, ?, ?)", map(astuple, files))

    def as_shown(self, record: Record) -> Record:
        """The record with words of people and models in the library, which outlive a file that vanishes and returns."""
        made = machine.filled(record.alt, record.described, self.machine.get(record.id))
        return replace(record, **made | self.written.get(record.id, {}))

    def described(self, image_id: str, path: str, seen: Inspected) -> Record:
        """A new image with its caption."""
        words, described = self.source.describe(path, seen.said, self.scan)
        suffix = os.path.splitext(path)[1].lower()
        own: dict[str, Any] = {"described": described, "text_in_picture": self.reader.text(image_id)}
        return Record(image_id, path, suffix, seen.width, seen.height, **asdict(words), **own)

    def count_read(self, path: str, image_id: str) -> None:
        """Count a file that was read: as before, changed, renamed, a copy or new."""
        before = self.before.get(path)
        if before and before.image == image_id:
            self.report.known += 1
        elif before and before.image:
            self.report.changed += 1
        elif self.gone[image_id] > 0:
            self.gone[image_id] -= 1
            self.report.renamed += 1
        elif image_id in self.images:
            self.report.known += 1
        else:
            self.report.added += 1

    # -- vanished files and changed captions

    def forget(self) -> list[str]:
        """Delete the records of vanished files and of images without a file left; returns the ids of the latter."""
        gone = [(path,) for path in self.before if path not in self.scan.files]
        with self.library.transaction() as records:
            records.execute("BEGIN IMMEDIATE")  # it reads before it writes, which a writer in between would make fail
            records.executemany("DELETE FROM file WHERE path = ?", gone)
            orphans = "FROM image WHERE id NOT IN (SELECT image FROM file WHERE image IS NOT NULL)"
            ids = [row[0] for row in records.execute(f"SELECT id {orphans}")]
            records.execute(f"DELETE {orphans}")
            facts.forget(records)
            text_in_pictures.forget(records)
            near.forget(records)
        return ids

    def learn(self) -> None:
        """Read the facts in files that an older limner read, which kept none."""
        with self.library.transaction() as records:
            todo = [*{image: path for image, path in facts.unread(records) if path in self.scan.files}.items()]
        for batch in self.ahead(todo, lambda one: (one[0], self.said(one[1]))):
            rows = [(json.dumps(asdict(said)), image) for image, said in batch if said]
            with self.library.transaction() as records:
                records.executemany("UPDATE image SET embedded = ? WHERE id = ?", rows)

    def said(self, path: str) -> Described | None:
        """A file's own metadata; None if it cannot be read. Called by several threads."""
        try:
            return self.source.said(read_file(path))
        except (ImageUnreadable, OSError):
            return None  # read long ago; if it is gone or damaged by now, the next change of it tells

    def redescribe(self) -> None:
        """Read all captions again: a sidecar changes without its image."""
        found = self.described_anew()
        with self.library.transaction() as records:
            copies.keep(records, found.changed)  # first: a kill from here on loses no limit
        old, new = self.compared(found)
        for batch in batches(new, self.source.batch):
            shown = map(self.as_shown, batch)
            self.library.put([r for r in shown if r.words != self.as_shown(old[r.id]).words], {})
            with self.library.transaction() as records:
                records.executemany(UPDATE_IMAGE, [words_row(r) for r in batch])
                facts.keep(records, {r.id: r.facts for r in batch})

    def described_anew(self, but: Collection[str] = ()) -> copies.Copies:
        """All copies of all images, with the words that the scan has for them. but: paths to leave out."""
        with self.library.transaction() as records:
            rows = records.execute(
                "SELECT f.path, i.id, i.embedded, f.limits FROM file f JOIN image i ON i.id = f.image ORDER BY f.path"
            ).fetchall()
        found = copies.Copies()
        for path, image_id, embedded, limits in rows:
            if path in but:
                continue
            if path not in self.scan.files:
                found.outside(image_id, limits)
                continue
            words = self.source.describe(path, Described(**json.loads(embedded)), self.scan)
            found.scanned(path, image_id, words, limits)
        return found

    def compared(self, found: copies.Copies) -> tuple[dict[str, Record], list[Record]]:
        """(the images of these copies as in the records, those with other words or facts by now), which are counted."""
        with self.library.transaction() as records:
            old = by_id(records, found.best, AS_IN_FOLDER)
        self.report.written = sum(
            any(getattr(words, name) != text for name, text in self.written.get(i, {}).items())
            for i, (words, _) in found.best.items()
        )
        new = [r for r in map(found.record, old.values()) if r != old[r.id]]
        fresh = self.images_before
        self.report.changed += sum(r.id in fresh for r in new)
        self.report.known -= sum(r.id in fresh for r in new)
        return old, new

    @property
    def images_before(self) -> set[str]:
        """Ids of images whose files were here before this run and still are."""
        return {f.image for path, f in self.before.items() if f.image and path in self.scan.files}
