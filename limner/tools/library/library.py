"""A library that exists: looked through, searched, written, brought up to date."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
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
from limner.text import printable_path
from limner.tools.encoders import Encoders
from limner.tools.images import images
from limner.tools.library import captions
from limner.tools.library.folders import (
    Connect,
    check_name,
    collection,
    edge,
    folder_library,
    libraries,
    locked,
    missing,
    place,
    remove,
)
from limner.tools.library.indexing import Progress, Report, Sync
from limner.tools.library.records import FORMAT, RECORDS, SCHEMA, SELECT, Record, as_record, by_id, meta, set_meta
from limner.tools.library.sources import Folders, Source, directory, for_clip, image_identity, read_file
from limner.tools.store import PATIENCE, Store, Vectors

_SOON = 5.0  # seconds that writing a caption waits for somebody else who writes the library


class Library:
    """A library that exists. Make one with `create`, `open`, `index` or `open_or_index`. Safe to use from threads."""

    def __init__(self, home: Path, name: str, encoders: Encoders, connect: Connect | None, patience: float) -> None:
        self.home, self.name, self.encoders, self.patience = home, name, encoders, patience
        self.path = place(home, name)
        self._connect = connect or partial(edge, patience)

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
        library.path = place(home, f".{name}.{known['uid']}")
        try:
            library.path.mkdir(parents=True)
        except OSError as error:
            reason = error.strerror or error
            raise LibraryError(f"Cannot write {home} ({reason}): set LIMNER_HOME to a folder you may write.") from error
        with library.transaction() as records:
            records.executescript(SCHEMA + captions.SCHEMA)
            records.executemany("INSERT INTO meta VALUES (?, ?)", known.items())
        try:
            library.path = library.path.rename(place(home, name))
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
            raise missing(home, name)
        library = cls(home, name, encoders, connect, patience)
        if int(library.meta("format") or 0) != FORMAT:
            raise LibraryError(f"The library {name} is of another version of limner: {library._rebuild}.")
        made, have = json.loads(library.meta("encoders")), encoders.names
        if made != have:
            raise EncoderMismatch(
                f"The library {name} was made with {_named(made)}, and at hand are {_named(have)}: {library._rebuild}."
            )
        with library.transaction() as records:
            records.executescript(captions.SCHEMA)  # one of before it kept what people write
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
        again = f"then `limner library add {self.name} {printable_path(folders)}`"
        if captions.of_library(self.path / RECORDS):
            again = f"{again} (what people wrote: `limner library captions {self.name} FILE.jsonl` saves it first)"
        return f"rebuild it with `limner library remove {self.name}`, {again}"

    # -- reading

    def __len__(self) -> int:
        with self.transaction() as records:
            return records.execute("SELECT count(*) FROM image").fetchone()[0]

    def records(self) -> list[Record]:
        """All images, by path."""
        with self.transaction() as records:
            return sorted(map(as_record, records.execute(SELECT)), key=lambda r: r.path)

    def page(self, *, without: str = "", after: str = "", limit: int = 60) -> tuple[list[Record], int]:
        """(images by path, from the one after `after` on; how many there are in all).

        without: only those that lack it: caption (they go by their file's name), alt, credit, licence; "" is all.
        Raises BadInput for another name, LibraryError for an `after` that the library does not have.
        """
        if without and without not in captions.FIELDS:
            raise BadInput(f"without: {without[:40]!r} is not one of {', '.join(captions.FIELDS)}.")
        lacks = "described = 0" if without == "caption" else f"{without} = ''" if without else "1"
        rows = f"(SELECT * FROM ({SELECT}) WHERE {lacks})"
        start = (after and self.record(after).path, after)
        with self.transaction() as records:
            found = records.execute(
                f"SELECT * FROM {rows} WHERE (path, id) > (?, ?) ORDER BY path, id LIMIT ?", (*start, limit)
            ).fetchall()
            count = records.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]
        return list(map(as_record, found)), count

    def counts(self) -> tuple[int, int, int]:
        """(images, those with a caption of their own, those whose licence is known)."""
        with self.transaction() as records:
            return records.execute(
                f"SELECT count(*), coalesce(sum(described), 0), coalesce(sum(licence != ''), 0) FROM ({SELECT})"
            ).fetchone()

    def find(self, ref: str) -> Record:
        """The one image that an id, the beginning of one (from 4 digits), a path or a file's name means.

        Raises LibraryError where there is none or several.
        """
        name = os.path.basename(ref)
        found = {}
        with self.transaction() as records:
            for path, image in records.execute("SELECT path, image FROM file WHERE image IS NOT NULL"):
                begins = len(ref) >= 4 and image.startswith(ref.lower())
                if begins or path == os.path.abspath(ref) or (name == ref and os.path.basename(path) == ref):
                    found[image] = path
        if len(found) == 1:
            return self.record(next(iter(found)))
        if not found:
            hint = f"`limner library show {self.name}` lists them."
            raise LibraryError(f"The library {self.name} has no image {printable_path(ref)[:200]}: {hint}")
        ids = ", ".join(image[:12] for image in sorted(found)[:5])
        raise LibraryError(f"{printable_path(ref)[:200]} is {len(found)} images of {self.name}: name one of {ids}.")

    def record(self, image_id: str) -> Record:
        """One image. Raises LibraryError for an id that the library does not have."""
        found = self._by_id([image_id])
        if image_id not in found:
            raise LibraryError(
                f"The library {self.name} has no image {printable_path(image_id)[:64]}: search it again."
            )
        return found[image_id]

    def has(self, image_id: str) -> bool:
        """Whether the library holds an image of this id."""
        return bool(self._by_id([image_id]))

    def image(self, image_id: str) -> bytes:
        """The file's bytes, the very ones that were indexed. Raises LibraryError when they are gone or others."""
        self.record(image_id)
        with self.transaction() as records:
            paths = [p for (p,) in records.execute("SELECT path FROM file WHERE image = ? ORDER BY path", (image_id,))]
        for path in paths:
            try:
                data = read_file(path)
            except (OSError, ImageUnreadable):
                continue  # another copy may be there; if none is, that is the error below
            if image_identity(data) == image_id:
                return data
        raise LibraryError(
            f"{printable_path(paths[0])} is gone or has changed since it was indexed: put it back, or run "
            f"`limner library add {self.name} {printable_path(os.path.dirname(paths[0]))}`."
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
        with self.vectors() as store:
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
                seen = self.encoders.clip.encode_images([for_clip(self.image(image_id))])
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
        with self.transaction() as records:
            return by_id(records, ids)

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
        with self.transaction() as records:
            roots = json.loads(meta(records, "folders") or "[]")
            roots = list(dict.fromkeys([*roots, *map(str, source.roots)]))
            set_meta(records, "folders", json.dumps(roots))
        if not len(self):
            bad = report.unreadable
            bad = f" ({len(bad)} unreadable, such as {Path(bad[0][0]).name}: {bad[0][1]})" if bad else ""
            where = ", ".join(printable_path(str(root)) for root in source.roots)
            raise LibraryEmpty(f"No images that can be used in {where}{bad}: put JPEG, PNG, WebP or SVG files there.")
        return report

    def write(self, words: Mapping[str, captions.Words]) -> list[Record]:
        """Write words for images, by their ids: all of them or none. They win over the folder's from now on.

        The same words again change nothing. What is searched by them follows at once, or, while another process is
        writing the library, when that is done. Raises BadInput for words that cannot be kept, LibraryError for an
        image that is not there; then nothing is written.
        """
        ready = {image: captions.checked(fields) for image, fields in words.items()}
        with self.transaction() as records:
            records.execute("BEGIN IMMEDIATE")
            before = by_id(records, ready)
            if missing := [image for image in ready if image not in before]:
                raise LibraryError(
                    f"The library {self.name} has no image {printable_path(missing[0])[:64]}: search it again."
                )
            for image, fields in ready.items():
                captions.write(records, image, fields)
            after = by_id(records, ready)
            captions.mark(records, (i for i, record in after.items() if record.text != before[i].text))
        self.freshen(min(self.patience, _SOON))
        return [after[image] for image in ready]

    def own_words(self) -> dict[str, dict[str, str]]:
        """What people wrote, by image id; also of images that are not there just now."""
        with self.transaction() as records:
            return captions.of(records)

    def restore(self, words: Mapping[str, captions.Words]) -> None:
        """Keep words also of images that are not there yet, e.g. of a library that was made anew."""
        ready = {image: captions.checked(fields) for image, fields in words.items()}
        with self.transaction() as records:
            for image, fields in ready.items():
                captions.write(records, image, fields)
            captions.mark(records, by_id(records, ready))

    def freshen(self, patience: float | None = None) -> bool:
        """Encode again what was written since its vectors were made; whether all vectors are of the words shown.

        patience: seconds to wait for another process that writes the library, None as long as the library does.
        """
        with self.transaction() as records:
            if not captions.marked(records, 1):
                return True
        try:
            with locked(self.home, self.name, self.patience if patience is None else patience):
                self.encode_marked()
        except LibraryBusy:
            return False  # whoever is writing it does this in the end, or the next search does
        return True

    def encode_marked(self) -> None:
        """Encode what people wrote, in batches, as long as there is some. Only while it is `alone`."""
        while True:
            with self.transaction() as records:
                seen = captions.marked(records, Folders.batch)
                there = by_id(records, (image for image, _ in seen))
            if not seen:
                return
            self.put(list(there.values()), {})
            with self.transaction() as records:
                captions.unmark(records, seen)

    def sync(self, source: Source, on_progress: Progress | None = None) -> Report:
        """Make the library hold what the source has now, and touch nothing that the source does not cover."""
        with self.alone():
            return Sync(self, source, on_progress or (lambda done, total: None)).run()

    def remove(self) -> None:
        """Delete the library: records and vectors, never an image file."""
        remove(self.home, self.name, connect=self._connect, patience=self.patience)

    # -- parts

    def meta(self, key: str) -> str:
        """A fact about the library, "" if it is not recorded."""
        with self.transaction() as records:
            return meta(records, key)

    def set_meta(self, key: str, value: str) -> None:
        """Record a fact about the library."""
        with self.transaction() as records:
            set_meta(records, key, value)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection to its records, committed at the end: cheap, and no thread shares another's.

        Raises LibraryError where they cannot be read or written.
        """
        try:
            connection = sqlite3.connect(self.path / RECORDS, timeout=max(5.0, self.patience))
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
    def vectors(self) -> Iterator[Store]:
        """The open store of its vectors."""
        store = self._connect(self.path / "vectors", collection(self.name, self.meta("uid")), self.encoders.sizes)
        try:
            yield store
        finally:
            store.close()

    def put(self, records: Sequence[Record], pictures: Mapping[str, Any]) -> None:
        """Encode and store. pictures: for CLIP, by id; those that are not given are read again."""
        if not records:
            return
        captions = self.encoders.caption.encode_texts([r.text for r in records])
        clips: dict[str, Any] = {}
        if self.encoders.clip:
            seen = {r.id: pictures.get(r.id) or self._picture(r.id) for r in records}
            shown = {image_id: picture for image_id, picture in seen.items() if picture is not None}
            clips = dict(zip(shown, self.encoders.clip.encode_images(list(shown.values())), strict=True))
        with self.vectors() as store:
            store.upsert(
                (r.id, Vectors(c, self.encoders.words.document(r.text), clips.get(r.id)))
                for r, c in zip(records, captions, strict=True)
            )

    def _picture(self, image_id: str) -> Any:
        """For CLIP; None when the file is gone, which leaves the image to be found by its caption."""
        try:
            return for_clip(self.image(image_id))
        except (LibraryError, ImageUnreadable):
            return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While it is held no other process writes the library. Raises LibraryBusy after `patience`."""
        with locked(self.home, self.name, self.patience):
            yield


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
    root = directory(ref)
    if root is None:
        there = ", ".join(libraries(home)) or "none yet"
        raise LibraryMissing(
            f"{printable_path(ref)[:200]} is neither a folder nor a library (there are: {there}): check the path, "
            "or make one with `limner library add NAME FOLDER`."
        )
    name = folder_library(root)
    options: dict[str, Any] = {"connect": connect, "patience": patience, "max_pixels": max_pixels}
    return index(home, name, [root], encoders, on_progress, **options)


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
