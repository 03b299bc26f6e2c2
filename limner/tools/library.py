"""An image library: records of a person's images in SQLite, their vectors in Qdrant, the images where they lie.

An image is known by the SHA-256 of its bytes, so a renamed file keeps its vectors and a copy costs nothing. Vectors
are written before the record that names them, in batches: whenever a run is killed, every record has its vectors, and
the same command goes on from there. Vectors without a record are never shown, and are taken away by the next run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from limner.document import Candidate
from limner.errors import (
    BadInput,
    EncoderMismatch,
    ImageUnreadable,
    LibraryBusy,
    LibraryEmpty,
    LibraryError,
    LibraryMissing,
)
from limner.tools import folder, images, written
from limner.tools.encoders import Encoders
from limner.tools.folder import Scan, printable
from limner.tools.images import Described
from limner.tools.store import PATIENCE, EdgeStore, Store, Vectors

_SOON = 5.0  # seconds that writing a caption waits for somebody else who writes the library
FORMAT = 1  # of the records; raised when an older limner could not read them

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all files, after each batch."""
Connect = Callable[[Path, str, dict[str, int]], Store]
"""(folder, collection name, size per dense vector) -> an open Store."""


@dataclass(frozen=True)
class Record:
    """An image of a library."""

    id: str
    """First 32 hexadecimal digits of the SHA-256 of its bytes."""
    path: str
    """Where it was when it was last indexed."""
    suffix: str
    """Of the file, lower case, with the dot."""
    width: int
    """px, upright; of an SVG, as drawn."""
    height: int
    caption: str
    alt: str = ""
    credit: str = ""
    licence: str = ""
    described: bool = True
    """False when the caption is only the file's name made readable."""
    written: tuple[str, ...] = ()
    """Which of its words a person wrote here; those win over the folder's."""

    @property
    def text(self) -> str:
        """What the encoders see."""
        return self.caption if not self.alt or self.alt == self.caption else f"{self.caption} {self.alt}"


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


class Source(Protocol):
    """Where a library's images come from."""

    @property
    def batch(self) -> int:
        """Images between two commits: what a kill costs."""
        ...

    def scan(self) -> Scan:
        """The files there are."""
        ...

    def covers(self, path: str) -> bool:
        """Whether a path would be in the scan if it were there."""
        ...

    def inspect(self, data: bytes) -> tuple[int, int, Described]:
        """Width and height in px, and what the file says of itself. Raises ImageUnreadable."""
        ...

    def describe(self, path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
        """What is known of an image, and whether its caption is more than the file's name."""
        ...


class Folders:
    """Folders of a person's images."""

    batch = 32  # a few seconds of decoding and encoding

    def __init__(self, folders: Iterable[str | Path], *, max_pixels: int = images.MAX_PIXELS) -> None:
        """Raises LibraryMissing when one is not there."""
        self.max_pixels = max_pixels
        self.roots = []
        for name in folders:
            root = _directory(name)
            if root is None:
                raise LibraryMissing(f"No folder {printable(str(name))[:200]}: check the path.")
            self.roots.append(root)

    def scan(self) -> Scan:
        """All folders as one scan."""
        whole = Scan()
        for root in self.roots:
            part = folder.scan(root)
            whole.files |= part.files
            whole.rows |= part.rows
            whole.sidecars |= part.sidecars
            whole.refused += part.refused
            whole.problems += part.problems
        return whole

    def covers(self, path: str) -> bool:
        """Whether it lies in one of the folders."""
        return any(Path(path).is_relative_to(root) for root in self.roots)

    def inspect(self, data: bytes) -> tuple[int, int, Described]:
        """Decodes all of it, so that a picture cut short is noticed now. Raises ImageUnreadable."""
        width, height = images.size_of(data, max_pixels=self.max_pixels)
        return width, height, images.metadata(data, max_pixels=self.max_pixels)

    def describe(self, path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
        """By what stands beside the file, then by what is in it."""
        return folder.describe(path, embedded, found)


class Library:
    """A library that exists. Make one with `create`, `open`, `index` or `open_or_index`. Safe to use from threads."""

    def __init__(self, home: Path, name: str, encoders: Encoders, connect: Connect | None, patience: float) -> None:
        self.home, self.name, self.encoders, self.patience = home, name, encoders, patience
        self.path = _path(home, name)
        self._connect = connect or partial(_edge, patience)

    @classmethod
    def create(
        cls, home: Path, name: str, encoders: Encoders, *, connect: Connect | None = None, patience: float = PATIENCE
    ) -> Library:
        """A new, empty library. connect: how to reach its vectors, None keeps them in its folder.

        patience: seconds to wait for another process. Raises BadInput for a name that is taken or cannot be one.
        """
        check_name(name)
        if name in libraries(home):
            raise BadInput(f"There is a library {name} already: choose another name or add to that one.")
        library = cls(home, name, encoders, connect, patience)
        known = {"format": str(FORMAT), "uid": uuid4().hex[:12], "encoders": json.dumps(encoders.names)}
        # Made beside its place and moved there whole, so that a kill leaves no library that is half one.
        library.path = _path(home, f".{name}.{known['uid']}")
        try:
            library.path.mkdir(parents=True)
        except OSError as error:
            reason = error.strerror or error
            raise LibraryError(f"Cannot write {home} ({reason}): set LIMNER_HOME to a folder you may write.") from error
        with library._records() as records:
            records.executescript(_SCHEMA + written.SCHEMA)
            records.executemany("INSERT INTO meta VALUES (?, ?)", known.items())
        try:
            library.path = library.path.rename(_path(home, name))
        except OSError as error:
            shutil.rmtree(library.path)
            raise BadInput(f"The library {name} was made by another program just now: add to that one.") from error
        return library

    @classmethod
    def open(
        cls, home: Path, name: str, encoders: Encoders, *, connect: Connect | None = None, patience: float = PATIENCE
    ) -> Library:
        """A library that is there. Raises LibraryMissing, naming those there are, and EncoderMismatch."""
        check_name(name)
        if name not in libraries(home):
            there = ", ".join(libraries(home)) or "none yet"
            raise LibraryMissing(
                f"No library {name} (there are: {there}). Make it: `limner library add {name} FOLDER`."
            )
        library = cls(home, name, encoders, connect, patience)
        if int(library.meta("format") or 0) != FORMAT:
            raise LibraryError(f"The library {name} is of another version of limner: {library._rebuild}.")
        made, have = json.loads(library.meta("encoders")), encoders.names
        if made != have:
            raise EncoderMismatch(
                f"The library {name} was made with {_named(made)}, and at hand are {_named(have)}: {library._rebuild}."
            )
        with library._records() as records:
            records.executescript(written.SCHEMA)  # one of before it kept what people write
        return library

    @classmethod
    def open_or_create(
        cls, home: Path, name: str, encoders: Encoders, *, connect: Connect | None = None, patience: float = PATIENCE
    ) -> Library:
        """The library of that name, made if it is not there. Raises what `open` and `create` do."""
        check_name(name)
        if name not in libraries(home):
            try:
                return cls.create(home, name, encoders, connect=connect, patience=patience)
            except BadInput:  # another process was quicker
                return cls.open(home, name, encoders, connect=connect, patience=patience)
        return cls.open(home, name, encoders, connect=connect, patience=patience)

    @property
    def _rebuild(self) -> str:
        folders = " ".join(json.loads(self.meta("folders") or "[]")) or "FOLDER"
        again = f"then `limner library add {self.name} {printable(folders)}`"
        if written.of_library(self.path / _RECORDS):
            again = f"{again} (what people wrote: `limner library captions {self.name} FILE.jsonl` saves it first)"
        return f"rebuild it with `limner library remove {self.name}`, {again}"

    # -- reading

    def __len__(self) -> int:
        with self._records() as records:
            return records.execute("SELECT count(*) FROM image").fetchone()[0]

    def records(self) -> list[Record]:
        """All images, by path."""
        with self._records() as records:
            return sorted(map(_record, records.execute(_SELECT)), key=lambda r: r.path)

    def page(self, *, without: str = "", after: str = "", limit: int = 60) -> tuple[list[Record], int]:
        """(images by path, from the one after `after` on; how many there are in all).

        without: only those that lack it: caption (they go by their file's name), alt, credit, licence; "" is all.
        Raises BadInput for another name, LibraryError for an `after` that the library does not have.
        """
        if without and without not in written.FIELDS:
            raise BadInput(f"without: {without[:40]!r} is not one of {', '.join(written.FIELDS)}.")
        lacks = "described = 0" if without == "caption" else f"{without} = ''" if without else "1"
        rows = f"(SELECT * FROM ({_SELECT}) WHERE {lacks})"
        start = (after and self.record(after).path, after)
        with self._records() as records:
            found = records.execute(
                f"SELECT * FROM {rows} WHERE (path, id) > (?, ?) ORDER BY path, id LIMIT ?", (*start, limit)
            ).fetchall()
            count = records.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]
        return list(map(_record, found)), count

    def counts(self) -> tuple[int, int, int]:
        """(images, those with a caption of their own, those whose licence is known)."""
        with self._records() as records:
            return records.execute(
                f"SELECT count(*), coalesce(sum(described), 0), coalesce(sum(licence != ''), 0) FROM ({_SELECT})"
            ).fetchone()

    def find(self, ref: str) -> Record:
        """The one image that an id, the beginning of one (from 4 digits), a path or a file's name means.

        Raises LibraryError where there is none or several.
        """
        name = os.path.basename(ref)
        found = {}
        with self._records() as records:
            for path, image in records.execute("SELECT path, image FROM file WHERE image IS NOT NULL"):
                begins = len(ref) >= 4 and image.startswith(ref.lower())
                if begins or path == os.path.abspath(ref) or (name == ref and os.path.basename(path) == ref):
                    found[image] = path
        if len(found) == 1:
            return self.record(next(iter(found)))
        if not found:
            hint = f"`limner library show {self.name}` lists them."
            raise LibraryError(f"The library {self.name} has no image {printable(ref)[:200]}: {hint}")
        ids = ", ".join(image[:12] for image in sorted(found)[:5])
        raise LibraryError(f"{printable(ref)[:200]} is {len(found)} images of {self.name}: name one of {ids}.")

    def record(self, image_id: str) -> Record:
        """One image. Raises LibraryError for an id that the library does not have."""
        found = self._by_id([image_id])
        if image_id not in found:
            raise LibraryError(f"The library {self.name} has no image {printable(image_id)[:64]}: search it again.")
        return found[image_id]

    def has(self, image_id: str) -> bool:
        """Whether the library holds an image of this id."""
        return bool(self._by_id([image_id]))

    def image(self, image_id: str) -> bytes:
        """The file's bytes, the very ones that were indexed. Raises LibraryError when they are gone or others."""
        self.record(image_id)
        with self._records() as records:
            paths = [p for (p,) in records.execute("SELECT path FROM file WHERE image = ? ORDER BY path", (image_id,))]
        for path in paths:
            try:
                data = _read_file(path)
            except (OSError, ImageUnreadable):
                continue  # another copy may be there; if none is, that is the error below
            if image_identity(data) == image_id:
                return data
        raise LibraryError(
            f"{printable(paths[0])} is gone or has changed since it was indexed: put it back, or run "
            f"`limner library add {self.name} {printable(os.path.dirname(paths[0]))}`."
        )

    def search(self, queries: Sequence[str], k: int) -> list[list[Candidate]]:
        """Per query the k images that fit best, best first; all queries in one request.

        Raises LibraryEmpty when there is no image at all.
        """
        return self.nearest(self._encode_queries(queries), k)

    def nearest(self, queries: Sequence[Vectors], k: int) -> list[list[Candidate]]:
        """As `search`, by vectors, e.g. of `example`."""
        if not len(self):
            raise LibraryEmpty(f"The library {self.name} has no images: `limner library add {self.name} FOLDER`.")
        self.freshen(0)  # what a kill left behind
        with self._store() as store:
            answers = store.search(queries, k)
        known = self._by_id(hit.id for hits in answers for hit in hits)
        return [
            [_candidate(known[hit.id], self.name, hit.score, hit.scores) for hit in hits if hit.id in known]
            for hits in answers
        ]

    def example(self, image_id: str, but: str = "") -> Vectors:
        """What a search for images like one of the library's own goes by. but: in words, what shall be otherwise.

        Raises LibraryError for an image that the library does not have; where its file is gone its words must do.
        """
        words = self.record(image_id).text
        texts = [words, but] if but.strip() else [words]
        caption = _mean(self.encoders.caption.encode_texts(texts))
        clip = None
        if self.encoders.clip:
            try:
                seen = self.encoders.clip.encode_images([_for_clip(self.image(image_id))])
            except (LibraryError, ImageUnreadable):
                seen = self.encoders.clip.encode_texts([words])
            clip = _mean([*seen, *self.encoders.clip.encode_texts(texts[1:])] if texts[1:] else seen)
        return Vectors(caption, self.encoders.words.query(" ".join(texts)), clip)

    def _encode_queries(self, queries: Sequence[str]) -> list[Vectors]:
        captions = self.encoders.caption.encode_texts(queries)
        clips = self.encoders.clip.encode_texts(queries) if self.encoders.clip else [None] * len(queries)
        sparse = map(self.encoders.words.query, queries)
        return [Vectors(c, s, v) for c, s, v in zip(captions, sparse, clips, strict=True)]

    def _by_id(self, ids: Iterable[str]) -> dict[str, Record]:
        with self._records() as records:
            return _by_id(records, ids)

    # -- writing

    def add(
        self,
        folders: Iterable[str | Path],
        on_progress: Progress | None = None,
        *,
        max_pixels: int = images.MAX_PIXELS,
    ) -> Report:
        """Index folders, or bring what was indexed up to date. What is unreadable is reported and stops nothing.

        Raises LibraryMissing for a folder that is not there, LibraryEmpty when the library is left without an image,
        LibraryBusy when another process is adding to it for longer than `patience`.
        """
        source = Folders(folders, max_pixels=max_pixels)
        report = self.sync(source, on_progress)
        with self._records() as records:
            roots = json.loads(_meta(records, "folders") or "[]")
            roots = list(dict.fromkeys([*roots, *map(str, source.roots)]))
            _set_meta(records, "folders", json.dumps(roots))
        if not len(self):
            bad = report.unreadable
            bad = f" ({len(bad)} unreadable, such as {Path(bad[0][0]).name}: {bad[0][1]})" if bad else ""
            where = ", ".join(printable(str(root)) for root in source.roots)
            raise LibraryEmpty(f"No images that can be used in {where}{bad}: put JPEG, PNG, WebP or SVG files there.")
        return report

    def write(self, words: Mapping[str, written.Words]) -> list[Record]:
        """Write words for images, by their ids: all of them or none. They win over the folder's from now on.

        The same words again change nothing. What is searched by them follows at once, or, while another process is
        writing the library, when that is done. Raises BadInput for words that cannot be kept, LibraryError for an
        image that is not there; then nothing is written.
        """
        ready = {image: written.checked(fields) for image, fields in words.items()}
        with self._records() as records:
            records.execute("BEGIN IMMEDIATE")
            before = _by_id(records, ready)
            if missing := [image for image in ready if image not in before]:
                raise LibraryError(
                    f"The library {self.name} has no image {printable(missing[0])[:64]}: search it again."
                )
            for image, fields in ready.items():
                written.write(records, image, fields)
            after = _by_id(records, ready)
            written.mark(records, (i for i, record in after.items() if record.text != before[i].text))
        self.freshen(min(self.patience, _SOON))
        return [after[image] for image in ready]

    def own_words(self) -> dict[str, dict[str, str]]:
        """What people wrote, by image id; also of images that are not there just now."""
        with self._records() as records:
            return written.of(records)

    def restore(self, words: Mapping[str, written.Words]) -> None:
        """Keep words also of images that are not there yet, e.g. of a library that was made anew."""
        ready = {image: written.checked(fields) for image, fields in words.items()}
        with self._records() as records:
            for image, fields in ready.items():
                written.write(records, image, fields)
            written.mark(records, _by_id(records, ready))

    def freshen(self, patience: float | None = None) -> bool:
        """Encode again what was written since its vectors were made; whether all vectors are of the words shown.

        patience: seconds to wait for another process that writes the library, None as long as the library does.
        """
        with self._records() as records:
            if not written.marked(records, 1):
                return True
        try:
            with _locked(self.home, self.name, self.patience if patience is None else patience):
                self._freshen()
        except LibraryBusy:
            return False  # whoever is writing it does this in the end, or the next search does
        return True

    def _freshen(self) -> None:
        while True:
            with self._records() as records:
                seen = written.marked(records, Folders.batch)
                there = _by_id(records, (image for image, _ in seen))
            if not seen:
                return
            self._put(list(there.values()), {})
            with self._records() as records:
                written.unmark(records, seen)

    def sync(self, source: Source, on_progress: Progress | None = None) -> Report:
        """Make the library hold what the source has now, and touch nothing that the source does not cover."""
        with self._writing():
            return _Sync(self, source, on_progress or (lambda done, total: None)).run()

    def remove(self) -> None:
        """Delete the library: records and vectors, never an image file."""
        remove(self.home, self.name, connect=self._connect, patience=self.patience)

    # -- parts

    def meta(self, key: str) -> str:
        """A fact about the library, "" if it is not recorded."""
        with self._records() as records:
            return _meta(records, key)

    def set_meta(self, key: str, value: str) -> None:
        """Record a fact about the library."""
        with self._records() as records:
            _set_meta(records, key, value)

    @contextmanager
    def _records(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, committed at the end: cheap, and no thread shares another's."""
        try:
            connection = sqlite3.connect(self.path / _RECORDS, timeout=max(5.0, self.patience))
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise LibraryError(
                f"The records in {self.path} cannot be used ({error}): check disk and rights."
            ) from error

    @contextmanager
    def _store(self) -> Iterator[Store]:
        store = self._connect(self.path / "vectors", _collection(self.name, self.meta("uid")), self.encoders.sizes)
        try:
            yield store
        finally:
            store.close()

    def _put(self, records: Sequence[Record], pictures: Mapping[str, Any]) -> None:
        """Encode and store. pictures: for CLIP, by id; those that are not given are read again."""
        if not records:
            return
        captions = self.encoders.caption.encode_texts([r.text for r in records])
        clips: dict[str, Any] = {}
        if self.encoders.clip:
            seen = {r.id: pictures.get(r.id) or self._picture(r.id) for r in records}
            shown = {image_id: picture for image_id, picture in seen.items() if picture is not None}
            clips = dict(zip(shown, self.encoders.clip.encode_images(list(shown.values())), strict=True))
        with self._store() as store:
            store.upsert(
                (r.id, Vectors(c, self.encoders.words.document(r.text), clips.get(r.id)))
                for r, c in zip(records, captions, strict=True)
            )

    def _picture(self, image_id: str) -> Any:
        """For CLIP; None when the file is gone, which leaves the image to be found by its caption."""
        try:
            return _for_clip(self.image(image_id))
        except (LibraryError, ImageUnreadable):
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _locked(self.home, self.name, self.patience):
            yield


@contextmanager
def _locked(home: Path, name: str, patience: float) -> Iterator[None]:
    """One process at a time changes a library. The lock lies beside it, so that the library may be removed."""
    from filelock import FileLock, Timeout

    lock = FileLock(_path(home, f".{name}.lock"), timeout=patience, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise LibraryBusy(f"Another limner is writing the library {name}: try again when it is done.") from error
    try:
        yield
    finally:
        lock.release()


class _Sync:
    """One run of `Library.sync`: read what is new, forget what is gone, describe everything again."""

    def __init__(self, library: Library, source: Source, progress: Progress) -> None:
        self.library, self.source, self.progress = library, source, progress
        self.scan = source.scan()
        self.report = Report(unreadable=list(self.scan.refused))
        with library._records() as records:
            rows = [_File(*row) for row in records.execute(f"SELECT {_FILE} FROM file")]
            self.images = {row[0] for row in records.execute("SELECT id FROM image")}
            self.written = written.of(records)
        self.before = {file.path: file for file in rows if source.covers(file.path)}
        gone = (file.image for path, file in self.before.items() if path not in self.scan.files)
        self.gone = Counter(image or "" for image in gone)
        """Per image how many of its files are no longer where they were."""

    def run(self) -> Report:
        self.heal()
        self.read()
        dropped = self.forget()
        self.redescribe()
        if dropped:
            with self.library._store() as store:
                store.delete(dropped)
        self.library._freshen()  # what people wrote meanwhile
        self.report.vanished = self.gone.total()
        self.report.problems = list(dict.fromkeys(self.scan.problems))
        return self.report

    def heal(self) -> None:
        """Bring vectors in line with records: a kill leaves vectors too many, a lost store too few."""
        known = {record.id: record for record in self.library.records()}
        with self.library._store() as store:
            have = store.ids()
            store.delete(have - set(known))
        missing = [record for image_id, record in known.items() if image_id not in have]
        for batch in _batches(missing, self.source.batch):
            self.library._put(batch, {})

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
        for batch in _batches(todo, self.source.batch):
            self.read_batch(batch)
            done += len(batch)
            self.progress(done, total)

    def count_known(self, file: _File) -> None:
        if file.problem:
            self.report.unreadable.append((printable(file.path), file.problem))
        else:
            self.report.known += 1

    def read_batch(self, paths: Sequence[str]) -> None:
        files: list[_File] = []
        new: dict[str, tuple[Record, Described]] = {}
        pictures: dict[str, Any] = {}
        for path in paths:
            stamp = self.scan.files[path]
            try:
                data = _read_file(path)
                image_id = image_identity(data)
                if image_id not in self.images and image_id not in new:
                    new[image_id] = self.inspect(image_id, path, data)
                    if self.library.encoders.clip:
                        pictures[image_id] = _for_clip(data)
            except (ImageUnreadable, OSError) as error:
                problem = error.strerror if isinstance(error, OSError) else str(error)
                files.append(_File(path, *stamp, problem=problem or "cannot be read"))
                self.report.unreadable.append((printable(path), files[-1].problem or ""))
                continue
            self.count_read(path, image_id)
            files.append(_File(path, *stamp, image=image_id))
            self.images.add(image_id)
        self.library._put([self.as_shown(record) for record, _ in new.values()], pictures)
        with self.library._records() as records:
            records.executemany(_INSERT_IMAGE, [_image_row(record, embedded) for record, embedded in new.values()])
            records.executemany(f"INSERT OR REPLACE INTO file ({_FILE}) VALUES (?, ?, ?, ?, ?)", map(astuple, files))

    def as_shown(self, record: Record) -> Record:
        """With what people wrote, which a file that was gone meets again when it comes back."""
        return replace(record, **self.written.get(record.id, {}))

    def inspect(self, image_id: str, path: str, data: bytes) -> tuple[Record, Described]:
        width, height, embedded = self.source.inspect(data)
        words, described = self.source.describe(path, embedded, self.scan)
        suffix = os.path.splitext(path)[1].lower()
        return Record(image_id, path, suffix, width, height, **asdict(words), described=described), embedded

    def count_read(self, path: str, image_id: str) -> None:
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
        with self.library._records() as records:
            records.executemany("DELETE FROM file WHERE path = ?", gone)
            orphans = "FROM image WHERE id NOT IN (SELECT image FROM file WHERE image IS NOT NULL)"
            ids = [row[0] for row in records.execute(f"SELECT id {orphans}")]
            records.execute(f"DELETE {orphans}")
        return ids

    def redescribe(self) -> None:
        """Words are read again each time, since what stands beside a file changes without it."""
        with self.library._records() as records:
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
        with self.library._records() as records:
            old = _by_id(records, best, _AS_IN_FOLDER)
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
        for batch in _batches(new, self.source.batch):
            self.library._put([r for r in map(self.as_shown, batch) if r.text != self.as_shown(old[r.id]).text], {})
            with self.library._records() as records:
                records.executemany(_UPDATE_IMAGE, [_words_row(r) for r in batch])

    @property
    def images_before(self) -> set[str]:
        """Ids whose files were here before this run and still are."""
        return {f.image for path, f in self.before.items() if f.image and path in self.scan.files}


# --- rows ----------------------------------------------------------------------------------------------------------

_RECORDS = "records.sqlite"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE image (id TEXT PRIMARY KEY, suffix TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
  caption TEXT NOT NULL, alt TEXT NOT NULL, credit TEXT NOT NULL, licence TEXT NOT NULL, described INTEGER NOT NULL,
  embedded TEXT NOT NULL);
CREATE TABLE file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL, image TEXT, problem TEXT);
CREATE INDEX file_image ON file (image);
"""
_FILE = "path, size, changed, image, problem"
_WORDS = "caption, alt, credit, licence, described"
_HEAD = (
    "SELECT i.id AS id, coalesce((SELECT min(path) FROM file WHERE image = i.id), '') AS path, suffix, width, height"
)
_AS_IN_FOLDER = f"{_HEAD}, {_WORDS}, '' AS own FROM image i"
"""Without what people wrote."""
_SELECT = f"""{_HEAD}, {", ".join(f"coalesce(w.{n}, i.{n}) AS {n}" for n in written.FIELDS)},
  (i.described OR w.caption IS NOT NULL) AS described,
  {" || ".join(f"iif(w.{n} IS NULL, '', '{n} ')" for n in written.FIELDS)} AS own
  FROM image i LEFT JOIN written w ON w.image = i.id"""
_INSERT_IMAGE = f"""INSERT OR REPLACE INTO image (id, suffix, width, height, {_WORDS}, embedded)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_UPDATE_IMAGE = "UPDATE image SET caption = ?, alt = ?, credit = ?, licence = ?, described = ? WHERE id = ?"


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    changed: int
    image: str | None = None
    problem: str | None = None


def _record(row: tuple[Any, ...]) -> Record:
    return Record(*row[:9], described=bool(row[9]), written=tuple(row[10].split()))


def _by_id(records: sqlite3.Connection, ids: Iterable[str], select: str = _SELECT) -> dict[str, Record]:
    wanted = json.dumps(list(dict.fromkeys(ids)))  # one parameter: SQLite bounds how many a statement may have
    rows = records.execute(f"{select} WHERE i.id IN (SELECT value FROM json_each(?))", (wanted,))
    return {r.id: r for r in map(_record, rows)}


def _image_row(record: Record, embedded: Described) -> tuple[Any, ...]:
    r = record
    words = (r.caption, r.alt, r.credit, r.licence, r.described)
    return (r.id, r.suffix, r.width, r.height, *words, json.dumps(asdict(embedded)))


def _words_row(r: Record) -> tuple[Any, ...]:
    return (r.caption, r.alt, r.credit, r.licence, r.described, r.id)


def _meta(records: sqlite3.Connection, key: str) -> str:
    row = records.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else ""


def _set_meta(records: sqlite3.Connection, key: str, value: str) -> None:
    records.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _candidate(record: Record, library: str, score: float, scores: dict[str, float]) -> Candidate:
    r = record
    return Candidate(
        image_id=r.id, library=library, score=score, scores=scores, caption=r.caption, alt=r.alt, credit=r.credit,
        licence=r.licence, described=r.described, width=r.width, height=r.height,
    )  # fmt: skip


def _mean(vectors: Any) -> Any:
    """Of vectors of unit length the one in the middle, of unit length."""
    import numpy as np

    total = np.sum(np.stack(list(vectors)), axis=0)
    length = float(np.linalg.norm(total))
    return (total / length if length else vectors[0]).astype(np.float32)


def _named(names: Mapping[str, str]) -> str:
    return " + ".join(names.values())


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


# --- files ---------------------------------------------------------------------------------------------------------


def image_identity(data: bytes) -> str:
    """An image's id: the first 32 hexadecimal digits of the SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def _read_file(path: str) -> bytes:
    """Raises OSError, and ImageUnreadable for what is too large to be a picture or no file."""
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageUnreadable("not a regular file: put an image in its place")
        if status.st_size > images.MAX_BYTES:
            raise ImageUnreadable(f"more than {images.MAX_BYTES // 1_000_000} MB: save it smaller")
        return file.read(images.MAX_BYTES)


def _directory(name: str | Path) -> Path | None:
    """The folder of that name without links in it, None where there is none or the name cannot be one."""
    try:
        root = Path(name).expanduser()
        return root.resolve() if name != "" and root.is_dir() else None  # "" would be the folder one stands in
    except (OSError, RuntimeError):  # a name too long, a ~user who does not exist
        return None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe put in a file's place would hang us


def _for_clip(data: bytes) -> Any:
    """A picture small enough to keep a batch of; CLIP models look at 224 to 448 px."""
    picture = images.on_white(images.read_picture(data, side=512))
    picture.thumbnail((1024, 1024))
    return picture


# --- finding libraries -----------------------------------------------------------------------------------------------

_NAME = re.compile(r"\w[\w.-]{0,63}")


def remove(home: Path, name: str, *, connect: Connect | None = None, patience: float = PATIENCE) -> None:
    """Delete a library, whichever encoders made it: records and vectors, never an image file. Raises LibraryMissing."""
    check_name(name)
    if name not in libraries(home):
        raise _missing(home, name)
    with _locked(home, name, patience):
        with closing(sqlite3.connect(_path(home, name) / _RECORDS)) as records:
            uid = _uid(records)
        store = (connect or partial(_edge, patience))(_path(home, name) / "vectors", _collection(name, uid), {})
        try:
            store.drop()
        finally:
            store.close()
        # Out of the way in one step: a kill must not leave a library that is half one.
        shutil.rmtree(_path(home, name).rename(_path(home, f".{name}.{uuid4().hex[:12]}")))


def written_in(home: Path, name: str) -> dict[str, dict[str, str]]:
    """What people wrote in a library, by image id, whichever encoders made it. Raises LibraryMissing."""
    check_name(name)
    if name not in libraries(home):
        raise _missing(home, name)
    return written.of_library(_path(home, name) / _RECORDS)


def _uid(records: sqlite3.Connection) -> str:
    try:
        return _meta(records, "uid")
    except sqlite3.DatabaseError:
        return ""  # not readable as a library any more, which is a reason to remove it, not to refuse


def _missing(home: Path, name: str) -> LibraryMissing:
    there = ", ".join(libraries(home)) or "none yet"
    return LibraryMissing(f"No library {name} (there are: {there}). Make it: `limner library add {name} FOLDER`.")


def _edge(patience: float, path: Path, _collection: str, sizes: dict[str, int]) -> Store:
    return EdgeStore(path, sizes, patience=patience)


def _collection(name: str, uid: str) -> str:
    return f"limner-{name}-{uid}"  # with the uid, since homes of several people may share a server


def check_name(name: str) -> None:
    """Raises BadInput for what cannot name a library: letters, digits, - _ . only, the first one no - or dot."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise BadInput(f"{printable(name)[:80]!r} cannot name a library: use letters, digits, - and _ (at most 64).")


def libraries(home: Path) -> list[str]:
    """Names of the libraries there are, sorted."""
    folder = home / "libraries"
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and (p / _RECORDS).is_file())


def _path(home: Path, name: str) -> Path:
    return home / "libraries" / name


def index(
    home: Path,
    name: str,
    folders: Iterable[str | Path],
    encoders: Encoders,
    on_progress: Progress | None = None,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
    max_pixels: int = images.MAX_PIXELS,
) -> tuple[Library, Report]:
    """Add folders to a library, which is made if it is not there; if it would stay empty, none is left behind.

    Raises what `Library.open`, `create` and `add` do.
    """
    roots = Folders(folders).roots  # before anything is made
    check_name(name)
    new = name not in libraries(home)
    library = Library.open_or_create(home, name, encoders, connect=connect, patience=patience)
    try:
        return library, library.add(roots, on_progress, max_pixels=max_pixels)
    except LibraryEmpty:
        if new and name in libraries(home):
            library.remove()
        raise


def open_or_index(
    home: Path,
    ref: str,
    encoders: Encoders,
    on_progress: Progress | None = None,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
    max_pixels: int = images.MAX_PIXELS,
) -> tuple[Library, Report | None]:
    """What `--library DIR|NAME` means: the library of that name, else the folder, indexed and kept for next time.

    A name wins over a folder of the same name; ./NAME is always the folder. A folder that was indexed before is
    looked through for changes, which reads no file that stayed. Raises LibraryMissing, naming the libraries there are.
    """
    if ref in libraries(home):
        return Library.open(home, ref, encoders, connect=connect, patience=patience), None
    root = _directory(ref)
    if root is None:
        there = ", ".join(libraries(home)) or "none yet"
        raise LibraryMissing(
            f"{printable(ref)[:200]} is neither a folder nor a library (there are: {there}): check the path, "
            "or make one with `limner library add NAME FOLDER`."
        )
    name = folder_library(root)
    options: dict[str, Any] = {"connect": connect, "patience": patience, "max_pixels": max_pixels}
    return index(home, name, [root], encoders, on_progress, **options)


def folder_library(root: Path) -> str:
    """The name under which a folder's library is kept: the folder's name and a digest of its whole path."""
    whole = root.resolve()
    words = re.sub(r"[^\w-]+", "-", whole.name.encode("utf-8", "replace").decode()).strip("-_")[:40] or "folder"
    return f"{words}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"
