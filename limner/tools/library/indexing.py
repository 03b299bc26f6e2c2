"""One run that makes a library hold what its source has: read what is new, forget what is gone, describe all again."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from limner.errors import ImageUnreadable
from limner.text import printable_path
from limner.tools.images.images import Described
from limner.tools.library import captions
from limner.tools.library.records import (
    AS_IN_FOLDER,
    FILE,
    INSERT_IMAGE,
    UPDATE_IMAGE,
    File,
    Record,
    by_id,
    image_row,
    words_row,
)
from limner.tools.library.sources import Source, for_clip, image_identity, read_file

if TYPE_CHECKING:
    from limner.tools.library.library import Library

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files, after each batch."""


@dataclass
class Report:
    """What an indexing run did; counts are of files."""

    added: int = 0
    known: int = 0
    """As before, or another copy of an image that was there."""
    renamed: int = 0
    changed: int = 0
    """Other bytes, or another caption."""
    vanished: int = 0
    written: int = 0
    """Images whose words, written by people in the library, win over other ones that the folder has."""
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason; the reason ends with what to do."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Captions that could not be read, path and reason; their images are in the library all the same."""


class Sync:
    """One run of `Library.sync`: read what is new, forget what is gone, describe everything again."""

    def __init__(self, library: Library, source: Source, progress: Progress) -> None:
        self.library, self.source, self.progress = library, source, progress
        self.scan = source.scan()
        self.report = Report(unreadable=list(self.scan.refused))
        with library.transaction() as records:
            rows = [File(*row) for row in records.execute(f"SELECT {FILE} FROM file")]
            self.images = {row[0] for row in records.execute("SELECT id FROM image")}
            self.written = captions.of(records)
        self.before = {file.path: file for file in rows if source.covers(file.path)}
        gone = (file.image for path, file in self.before.items() if path not in self.scan.files)
        self.gone = Counter(image or "" for image in gone)
        """Per image how many of its files are no longer where they were."""

    def run(self) -> Report:
        """All steps, in the order that a kill between any two of them can bear. Raises LibraryError."""
        self.heal()
        self.read()
        dropped = self.forget()
        self.redescribe()
        if dropped:
            with self.library.vectors() as store:
                store.delete(dropped)
        self.library.encode_marked()  # what people wrote meanwhile
        self.report.vanished = self.gone.total()
        self.report.problems = list(dict.fromkeys(self.scan.problems))
        return self.report

    def heal(self) -> None:
        """Bring vectors in line with records: a kill leaves vectors too many, a lost store too few."""
        known = {record.id: record for record in self.library.records()}
        with self.library.vectors() as store:
            have = store.ids()
            store.delete(have - set(known))
        missing = [record for image_id, record in known.items() if image_id not in have]
        for batch in batches(missing, self.source.batch):
            self.library.put(batch, {})

    # -- files that are new or were touched

    def read(self) -> None:
        """Read them in batches: each is decoded, encoded, stored and committed before the next begins."""
        todo = []
        for path, stamp in self.scan.files.items():
            file = self.before.get(path)
            if file and (file.size, file.changed) == stamp:
                self.count_known(file)
            else:
                todo.append(path)
        done, total = len(self.scan.files) - len(todo), len(self.scan.files)
        self.progress(done, total)
        for batch in batches(todo, self.source.batch):
            self.read_batch(batch)
            done += len(batch)
            self.progress(done, total)

    def count_known(self, file: File) -> None:
        """A file that is as it was, readable or not."""
        if file.problem:
            self.report.unreadable.append((printable_path(file.path), file.problem))
        else:
            self.report.known += 1

    def read_batch(self, paths: Sequence[str]) -> None:
        """Decode, encode and store; vectors before the records that name them."""
        files: list[File] = []
        new: dict[str, tuple[Record, Described]] = {}
        pictures: dict[str, Any] = {}
        for path in paths:
            stamp = self.scan.files[path]
            try:
                data = read_file(path)
                image_id = image_identity(data)
                if image_id not in self.images and image_id not in new:
                    new[image_id] = self.inspect(image_id, path, data)
                    if self.library.encoders.clip:
                        pictures[image_id] = for_clip(data)
            except (ImageUnreadable, OSError) as error:
                problem = error.strerror if isinstance(error, OSError) else str(error)
                files.append(File(path, *stamp, problem=problem or "cannot be read"))
                self.report.unreadable.append((printable_path(path), files[-1].problem or ""))
                continue
            self.count_read(path, image_id)
            files.append(File(path, *stamp, image=image_id))
            self.images.add(image_id)
        self.library.put([self.as_shown(record) for record, _ in new.values()], pictures)
        with self.library.transaction() as records:
            records.executemany(INSERT_IMAGE, [image_row(record, embedded) for record, embedded in new.values()])
            records.executemany(f"INSERT OR REPLACE INTO file ({FILE}) VALUES (?, ?, ?, ?, ?)", map(astuple, files))

    def as_shown(self, record: Record) -> Record:
        """With what people wrote, which a file that was gone meets again when it comes back."""
        return replace(record, **self.written.get(record.id, {}))

    def inspect(self, image_id: str, path: str, data: bytes) -> tuple[Record, Described]:
        """A new image, and what its file says of itself. Raises ImageUnreadable."""
        width, height, embedded = self.source.inspect(data)
        words, described = self.source.describe(path, embedded, self.scan)
        suffix = os.path.splitext(path)[1].lower()
        return Record(image_id, path, suffix, width, height, **asdict(words), described=described), embedded

    def count_read(self, path: str, image_id: str) -> None:
        """A file that was read: as before, changed, renamed, a copy or new."""
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

    # -- files that are gone, and captions that are others

    def forget(self) -> list[str]:
        """Take away the records of files that are gone, and of images that no file is left of: their ids."""
        gone = [(path,) for path in self.before if path not in self.scan.files]
        with self.library.transaction() as records:
            records.executemany("DELETE FROM file WHERE path = ?", gone)
            orphans = "FROM image WHERE id NOT IN (SELECT image FROM file WHERE image IS NOT NULL)"
            ids = [row[0] for row in records.execute(f"SELECT id {orphans}")]
            records.execute(f"DELETE {orphans}")
        return ids

    def redescribe(self) -> None:
        """Words are read again each time, since what stands beside a file changes without it."""
        with self.library.transaction() as records:
            rows = records.execute(
                "SELECT f.path, i.id, i.embedded FROM file f JOIN image i ON i.id = f.image"
            ).fetchall()
        best: dict[str, tuple[Described, bool]] = {}
        elsewhere = set()
        for path, image_id, embedded in sorted(rows):
            if path not in self.scan.files:
                elsewhere.add(image_id)  # a copy in a folder that this run does not look at
                continue
            words = self.source.describe(path, Described(**json.loads(embedded)), self.scan)
            if image_id not in best or (words[1] and not best[image_id][1]):
                best[image_id] = words
        with self.library.transaction() as records:
            old = by_id(records, best, AS_IN_FOLDER)
        self.report.written = sum(
            any(getattr(words, name) != text for name, text in self.written.get(i, {}).items())
            for i, (words, _) in best.items()
        )
        new = [replace(old[i], **asdict(words), described=described) for i, (words, described) in best.items()]
        # Where there are copies elsewhere, a file name here must not displace a caption from there.
        new = [r for r in new if r != old[r.id] and (r.described or r.id not in elsewhere)]
        fresh = self.images_before
        self.report.changed += sum(r.id in fresh for r in new)
        self.report.known -= sum(r.id in fresh for r in new)
        for batch in batches(new, self.source.batch):
            self.library.put([r for r in map(self.as_shown, batch) if r.text != self.as_shown(old[r.id]).text], {})
            with self.library.transaction() as records:
                records.executemany(UPDATE_IMAGE, [words_row(r) for r in batch])

    @property
    def images_before(self) -> set[str]:
        """Ids whose files were here before this run and still are."""
        return {f.image for path, f in self.before.items() if f.image and path in self.scan.files}


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
