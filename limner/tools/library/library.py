"""An image library on disk: open it, page through it, search it, write captions into it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from limner.document import Candidate
from limner.errors import BadInput, EncoderSwitched, ImageUnreadable, LibraryBusy, LibraryEmpty, LibraryError
from limner.notes import note
from limner.text import printable_path
from limner.tools.chance import Chance
from limner.tools.encoders import Encoders, with_own
from limner.tools.images.images import for_clip
from limner.tools.library import captions, chances, encoding, facts, found, near, places, text_in_pictures
from limner.tools.library.filters import ALL, Filters
from limner.tools.library.folders import (
    Connect,
    check_name,
    hidden_folder,
    libraries,
    library_path,
    locked,
    mismatch,
    missing,
    own_encoders,
    rebuilding,
    remove,
)
from limner.tools.library.records import (
    FORMAT,
    FOUND,
    MOVED,
    RECORDS,
    SCHEMA,
    SELECT,
    Record,
    as_record,
    by_id,
    complete,
    counts,
    meta,
    one_named,
    page,
    set_meta,
)
from limner.tools.library.sources import Folders, intact
from limner.tools.library.stores import Vectorstore, upgrade
from limner.tools.store import PATIENCE, Store, Vectors
from limner.tools.stored import Dense, Hit

_CAPTION_WAIT = 5.0  # seconds that writing a caption waits for another process to finish writing the library


class Library:
    """An image library on disk; `create` and `open` return one. Safe to use from several threads."""

    def __init__(self, home: Path, name: str, encoders: Encoders, connect: Connect | None, patience: float) -> None:
        self.home, self.name, self.encoders, self.patience = home, name, encoders, patience
        self.path, self._given = library_path(home, name), connect
        self.store = Vectorstore(connect, patience, self._place, name)
        self._anew: Library | None = None

    @classmethod
    def create(
        cls, home: Path, name: str, encoders: Encoders, *, connect: Connect | None = None, patience: float = PATIENCE
    ) -> Library:
        """Create an empty library.

        connect: opens the store of its vectors; None keeps them in the library's folder. patience: seconds to wait
        for another process. Raises BadInput for a name that is taken or not allowed, LibraryError where `home` cannot
        be written.
        """
        check_name(name)
        if name in libraries(home):
            raise BadInput(f"The library {name} exists already: choose another name or add to that one.")
        library = cls(home, name, encoders, connect, patience)
        known = {"format": str(FORMAT), "uid": uuid4().hex[:12], "encoders": json.dumps(encoders.names)}
        library.path = hidden_folder(home, name, known["uid"])
        with library.transaction() as records:
            records.executescript(SCHEMA + chances.SCHEMA + places.SCHEMA + near.SCHEMA)
            complete(records)
            records.executemany("INSERT INTO meta VALUES (?, ?)", known.items())
        try:
            library.path = library.path.rename(library_path(home, name))
        except OSError as error:
            shutil.rmtree(library.path)
            raise BadInput(f"Another program has just created the library {name}: add to that one.") from error
        return library

    @classmethod
    def open(
        cls, home: Path, name: str, encoders: Encoders, *, connect: Connect | None = None, patience: float = PATIENCE
    ) -> Library:
        """Open an existing library, with its own encoders if it has some. Raises LibraryMissing, which lists the
        existing ones, EncoderMismatch, and NotInstalled if the weights of its own encoders are gone."""
        check_name(name)
        if name not in libraries(home):
            raise missing(home, name)
        library = cls(home, name, encoders, connect, patience)
        library.encoders = encoders = with_own(encoders, own_encoders(home, name), home)
        library.check_format()
        made, have = json.loads(library.meta("encoders")), encoders.names
        if made != have:
            raise mismatch(home, name, made, have)
        library.complete()
        return library

    def check_format(self) -> None:
        """Raises LibraryError if this limner cannot read the records."""
        if int(self.meta("format") or 0) not in (1, FORMAT, MOVED):
            again = rebuilding(self.home, self.name)
            raise LibraryError(f"The library {self.name} was made by another version of limner: {again}.")

    def complete(self) -> None:
        """Add what the records of an older limner lack."""
        with self.transaction() as records:
            records.executescript(chances.SCHEMA + places.SCHEMA + near.SCHEMA)
            complete(records)
            upgrade(records, self.path / "vectors")

    @classmethod
    def open_or_create(
        cls, home: Path, name: str, encoders: Encoders, *, connect: Connect | None = None, patience: float = PATIENCE
    ) -> Library:
        """Open the library of that name, creating it if it is missing. Raises what `open` and `create` raise."""
        check_name(name)
        if name not in libraries(home):
            try:
                return cls.create(home, name, encoders, connect=connect, patience=patience)
            except BadInput:  # another process was quicker
                return cls.open(home, name, encoders, connect=connect, patience=patience)
        return cls.open(home, name, encoders, connect=connect, patience=patience)

    def is_current(self) -> bool:
        """Whether the library is there and has these encoders: another process may remove it, or give it others."""
        return self._place() is not None

    def current(self) -> Library:
        """This library, opened anew if it was given other encoders since. Raises what `open` raises."""
        if self.is_current():
            return self
        if self._anew is None or not self._anew.is_current():
            how: dict[str, Any] = {"connect": self._given, "patience": self.patience}
            self._anew = Library.open(self.home, self.name, self.encoders, **how)
        return self._anew

    # -- reading

    def __len__(self) -> int:
        with self.transaction() as records:
            return records.execute("SELECT count(*) FROM image").fetchone()[0]

    def records(self) -> list[Record]:
        """All images, sorted by path."""
        with self.transaction() as records:
            return sorted(map(as_record, records.execute(SELECT)), key=lambda r: r.path)

    def records_of(self, ids: Iterable[str]) -> list[Record]:
        """Those of the images that the library has, sorted by path."""
        return sorted(self._by_id(ids).values(), key=lambda r: r.path)

    def page(
        self, *, without: str = "", after: str = "", limit: int = 60, only: Filters = ALL, used: Collection[str] = ()
    ) -> tuple[list[Record], int]:
        """(the next `limit` images by path after the image id `after`, the number of all).

        without: only images that lack this field: caption (their caption is the file's name), alt, credit, licence;
        "" for all. only, used: as for `search`; but images outside their time are listed.
        Raises BadInput for another field, LibraryError for an `after` that the library does not have.
        """
        if without and without not in captions.FIELDS:
            raise BadInput(f"without: {without[:40]!r} is not one of {', '.join(captions.FIELDS)}.")
        start = after and self.record(after).path
        with self.transaction() as records:
            away = near.with_copies(records, used)
            return page(records, without, start, limit, facts.passing(records, only, away))

    def counts(self) -> tuple[int, int, int]:
        """(images, images with a caption of their own, images with a licence)."""
        with self.transaction() as records:
            return counts(records)

    def find(self, ref: str) -> Record:
        """The one image that `ref` names: an id, its first four or more digits, a path, or a file's name.

        Raises LibraryError for no match and for several.
        """
        with self.transaction() as records:
            return self.record(one_named(records, ref, self.name))

    def record(self, image_id: str) -> Record:
        """The image of this id. Raises LibraryError if the library does not have it."""
        found = self._by_id([image_id])
        if image_id not in found:
            raise self._no_image(image_id)
        return found[image_id]

    def has(self, image_id: str) -> bool:
        """Whether the library holds an image of this id."""
        return bool(self._by_id([image_id]))

    def image(self, image_id: str) -> bytes:
        """The file's bytes as indexed. Raises LibraryError if the file is gone or has changed."""
        self.record(image_id)
        with self.transaction() as records:
            paths = [p for (p,) in records.execute("SELECT path FROM file WHERE image = ? ORDER BY path", (image_id,))]
        return intact(paths, image_id, self.name)

    def search(
        self,
        queries: Sequence[str],
        k: int,
        only: Filters = ALL,
        used: Collection[str] = (),
        chosen: Collection[str] = (),
    ) -> list[list[Candidate]]:
        """Per query the k best images, best first, near-copies as one; all queries go in one request.

        only: filters that the images must pass, and unless they say `anytime=yes` no image whose embargo has not ended
        or that has expired. used: ids of images that must not be found, nor their near-copies, for `unused=N`. chosen:
        ids of images that a person chose, which stand for their near-copies. A library that was given other encoders is
        searched with these. Raises LibraryEmpty if the library holds no image.
        """
        unread = not encoding.reads(self.encoders.caption, queries)
        asked = encoding.queries(self.encoders, queries)
        try:
            return self.nearest(asked, k, unread=unread, only=only, used=used, chosen=chosen, by_words=True)
        except EncoderSwitched:
            return self.current().search(queries, k, only, used, chosen)

    def nearest(
        self,
        queries: Sequence[Vectors],
        k: int,
        *,
        unread: bool = False,
        own: bool = False,
        only: Filters = ALL,
        used: Collection[str] = (),
        chosen: Collection[str] = (),
        by_words: bool = False,
    ) -> list[list[Candidate]]:
        """As `search`, by vectors. unread: they are of texts in a language that the captions' encoder does not read.
        own: they are of pictures, see `Chance.expected`; by_words: of texts, for which pictures of words do not answer.
        Raises EncoderSwitched if they are of other encoders than the library has by now.
        """
        if not len(self):
            raise LibraryEmpty(note("library-without-images", name=self.name))
        self.freshen(0)  # encode what an interrupted run left unencoded
        limit = self.within(only, used)
        if limit and limit.inside and not limit.ids:
            return [[] for _ in queries]
        by_chance = chances.expected(self.chances(), queries, unread=unread, own=own)
        with self.transaction() as records:
            parrots = text_in_pictures.parrots(records) if by_words and self.encoders.clip else 0
            copies, _groups = near.count(records)
        most, whole = k + min(parrots + copies, 3 * k), len(self)  # as many more as may fall behind, or together
        while True:
            answers = self._hits(queries, most, limit)
            with self.transaction() as records:
                known = by_id(records, (hit.id for hits in answers for hit in hits), FOUND)
                made = found.candidates(self.name, answers, known, by_chance, most, whole if parrots else 0)
                made = near.fold(records, made, limit, chosen) if copies else made
            if not self.is_current():  # what is chance was switched, too
                raise self.store.switched()
            if not copies or all(len(r) >= k or len(h) < most for r, h in zip(made, answers, strict=True)):
                return [row[:k] for row in made]
            most *= 4  # more copies of a few images than that

    def _hits(self, queries: Sequence[Vectors], k: int, limit: facts.Within | None) -> list[list[Hit]]:
        answers = self.store.found(queries, k, limit)
        if answers is not None:
            return answers
        with self.vectors() as store:
            return store.search(queries, k, limit) if limit else store.search(queries, k)

    def within(self, only: Filters = ALL, used: Collection[str] = ()) -> facts.Within | None:
        """The images that a search may find, None for all. Arguments as for `search`."""
        with self.transaction() as records:
            return facts.within(records, only, near.with_copies(records, used))

    def with_copies(self, ids: Collection[str]) -> set[str]:
        """The ids, and those of the library's near-copies of these images."""
        with self.transaction() as records:
            return near.with_copies(records, ids)

    def outside(self) -> set[str]:
        """Ids of the images whose embargo has not ended, or that have expired."""
        with self.transaction() as records:
            return facts.outside(records)

    def left_out(self, only: Filters = ALL, used: Collection[str] = (), handed: Collection[str] = ()) -> facts.LeftOut:
        """The images that a search leaves out. Arguments as for `search`. handed: images taken all the same."""
        with self.transaction() as records:
            return facts.left_out(records, only, near.with_copies(records, used), handed)

    def _no_image(self, image_id: str) -> LibraryError:
        return LibraryError(f"The library {self.name} has no image {printable_path(image_id)[:64]}: search it again.")

    def _by_id(self, ids: Iterable[str]) -> dict[str, Record]:
        with self.transaction() as records:
            return by_id(records, ids)

    # -- writing

    def write(self, words: Mapping[str, captions.Words]) -> list[Record]:
        """Write captions and credits by image id, all or none. They take precedence over the folder's from now on.

        Writing the same words again changes nothing. The vectors are updated at once, or, while another process is
        writing the library, when it is done. Raises BadInput for words that cannot be kept and LibraryError for an
        unknown image; then nothing is written.
        """
        ready = {image: captions.checked(fields) for image, fields in words.items()}
        with self.transaction() as records:
            records.execute("BEGIN IMMEDIATE")
            before = by_id(records, ready)
            if missing := [image for image in ready if image not in before]:
                raise self._no_image(missing[0])
            for image, fields in ready.items():
                captions.write(records, image, fields)
            after = by_id(records, ready)
            captions.mark(records, (i for i, record in after.items() if record.text != before[i].text))
        self.freshen(min(self.patience, _CAPTION_WAIT))
        return [after[image] for image in ready]

    def own_words(self) -> dict[str, dict[str, str]]:
        """Captions written in the library, by image id, including those of images that are missing now."""
        with self.transaction() as records:
            return captions.of(records)

    def restore(self, words: Mapping[str, captions.Words]) -> None:
        """Keep words also of images that are not there yet, for example after a rebuild."""
        ready = {image: captions.checked(fields) for image, fields in words.items()}
        with self.transaction() as records:
            for image, fields in ready.items():
                captions.write(records, image, fields)
            captions.mark(records, by_id(records, ready))

    def freshen(self, patience: float | None = None) -> bool:
        """Encode captions written since the last run. Returns whether all vectors are up to date.

        patience: seconds to wait for another process that is writing the library; None is the library's own.
        """
        with self.transaction() as records:
            if not captions.marked(records, 1):
                return True
        try:
            with locked(self.home, self.name, self.patience if patience is None else patience):
                self.encode_marked()
        except (LibraryBusy, EncoderSwitched):
            return False  # the process that is writing does it when it ends, or the next search with its encoders does
        return True

    def encode_marked(self) -> None:
        """Encode changed captions, batch by batch. Call only within `alone`."""
        while True:
            with self.transaction() as records:
                seen = captions.marked(records, Folders.batch)
                there = by_id(records, (image for image, _ in seen))
            if not seen:
                return
            self.put(list(there.values()), {})
            with self.transaction() as records:
                captions.unmark(records, seen)

    def remove(self) -> None:
        """Delete the library: records, vectors and copies of archives' pictures, never another image file."""
        remove(self.home, self.name, connect=self.store.connect, patience=self.patience)

    # -- internals, shared with indexing.py

    def meta(self, key: str) -> str:
        """A value of the library's own table `meta`; "" if it is not set."""
        with self.transaction() as records:
            return meta(records, key)

    def set_meta(self, key: str, value: str) -> None:
        """Set a value of the table `meta`."""
        with self.transaction() as records:
            set_meta(records, key, value)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection to the library's records, committed at the end. Each call opens its own, so threads share none.

        Raises LibraryError if the records cannot be read or written.
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
            line = f"The records in {self.path} cannot be used ({error}): check disk and rights."
            afar = f"The library {self.name} cannot be used ({error}): ask whoever runs limner."
            raise LibraryError(line, afar=afar) from error

    def vectors(self) -> AbstractContextManager[Store]:
        """The open store of the library's vectors. Raises EncoderSwitched if the library has others by now."""
        return self.store.opened()

    def dense(self, ids: Iterable[str]) -> dict[str, Dense]:
        """The dense vectors of those of the images that have some, by id and name."""
        return self.store.dense(ids)

    def held(self) -> AbstractContextManager[None]:
        """Keep that store open for this thread. Call only within `alone`."""
        return self.store.held()

    def holds(self, images: set[str]) -> bool:
        """Whether these images, and no others, have vectors."""
        return self.store.holds(images)

    def _place(self) -> places.Place | None:
        """Where the vectors are; None if the library is gone, or has other encoders by now."""
        if not (self.path / RECORDS).is_file():
            return None
        with self.transaction() as records:
            if json.loads(meta(records, "encoders")) != self.encoders.names:
                return None
            return self.place(records, places.now(records), self.encoders.sizes)

    def place(self, records: sqlite3.Connection, tag: str, sizes: Mapping[str, int]) -> places.Place:
        """The place of vectors of this library. sizes: by dense vector, {} where they do not matter."""
        return places.place(self.path, self.name, meta(records, "uid"), tag, sizes)

    def put(self, records: Sequence[Record], pictures: Mapping[str, Any]) -> None:
        """Encode and store. pictures: decoded pictures for CLIP by image id; missing ones are read from their files."""
        if not records:
            return
        made = encoding.made(self.encoders, records, lambda i: pictures.get(i) or self.picture(i))
        with self.vectors() as store:
            store.upsert(made.items())
        with self.transaction() as rows:
            for part, vectors in encoding.sampled(records, made).items():
                chances.keep(rows, part, vectors)

    def chances(self) -> dict[str, Chance]:
        """Per dense encoder what pictures score by chance; measured now if it is not known."""
        encode = partial(encoding.encoded, self.encoders, picture=self.picture)
        return chances.of(self.transaction, self.encoders, encode)

    def picture(self, image_id: str) -> Any:
        """The picture for CLIP; None if its file is gone: the image is then found by its caption alone."""
        try:
            return for_clip(self.image(image_id))
        except (LibraryError, ImageUnreadable):
            return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the library against other writers. Raises LibraryBusy after `patience` seconds."""
        with locked(self.home, self.name, self.patience):
            yield
