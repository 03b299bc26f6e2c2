"""Encode a library's images anew beside the vectors that are searched, then switch: the work of `reencoding`."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limner.errors import ImageUnreadable, LibraryBusy, LibraryError, LibraryUnreachable, no_room
from limner.models.encoders.known import Kind
from limner.text import printable_path
from limner.tools.images.images import for_clip
from limner.tools.library import captions, chances, encoding, places
from limner.tools.library.ahead import ahead
from limner.tools.library.library import Library
from limner.tools.library.places import Beside
from limner.tools.library.records import SELECT, Record, as_record, by_id
from limner.tools.library.sources import Folders
from limner.tools.store import Store
from limner.tools.stored import Dense

if TYPE_CHECKING:
    from PIL import Image

Progress = Callable[[int, int], None]
"""Called with the number of images that have new vectors, and the number of all images."""
PART: dict[Kind, str] = {"captions": "caption", "pictures": "clip"}
"""The vectors of an encoder, by their name in the records."""
_FULL = 1 << 20  # bytes free on a disk that is full: Qdrant Edge does not say why it could not write


@dataclass
class Done:
    """What a run did."""

    encoded: int = 0
    """Images that were encoded in this run."""
    images: int = 0
    """Images of the library."""
    without: list[str] = field(default_factory=list)
    """Paths of pictures that cannot be read: they get no picture vector."""
    dropped: str = ""
    """The name of another encoder whose unfinished vectors were dropped."""


class Run:
    """One run. Its caller holds the lock `folders.REENCODING`."""

    def __init__(
        self, library: Library, half: Beside, done: Done, progress: Progress, wait: Callable[[], None], skip: bool
    ) -> None:
        """library: with its new encoders. The other arguments as for `Reencoding.run`."""
        self.library, self.encoders, self.part = library, library.encoders, PART[half.kind]
        self.half, self.done, self.progress, self.wait, self.skip = half, done, progress, wait, skip
        self.copied = {"caption", "clip"} & self.encoders.sizes.keys() - {self.part}
        self.away: set[str] = set()
        """Images whose files are not where they were."""
        with self.library.transaction() as records:
            self.place = self.library.place(records, half.tag, self.encoders.sizes)
            self.former = self.library.place(records, places.now(records), {})

    def run(self) -> None:
        """Encode, and switch. Raises LibraryError."""
        if self.part == "clip" and not self.skip:
            self._refuse(self._not_there())
        try:
            self._run()
        except LibraryError as error:
            if no_room(error) or shutil.disk_usage(self.library.path).free < _FULL:
                line = f"The disk is full. {self.done.encoded} images more are encoded: make room, then run this again"
                raise LibraryError(f"{line}, which goes on.") from error
            raise

    def _run(self) -> None:
        with self._opened() as self.store, ExitStack() as stack:
            while True:
                self._encode_most()
                try:
                    stack.enter_context(self.library.alone())
                    break
                except LibraryBusy:
                    self.wait()
            self._encode_rest()
            self._switch()

    # -- encoding

    def _encode_most(self) -> None:
        """Encode while others may write, until one batch is left for the time when they must wait."""
        todo = self._todo()
        while len(todo) > Folders.batch:
            self._encode(todo)
            todo = self._todo()

    def _encode_rest(self) -> None:
        """Encode the last batch, and delete the vectors of images that are gone. Call only within `alone`."""
        self.away.clear()  # it may be back
        self._encode(self._todo())
        if not self.skip:
            self._refuse(self.away)
        self._keep([(image, None) for image in self.away])
        with self.library.transaction() as records:
            there = {image for (image,) in records.execute("SELECT id FROM image")}
        self.store.delete(self.store.ids() - there)

    def _todo(self) -> list[str]:
        """Ids of images that have no new vectors or whose words have changed since, sorted by path."""
        have = self.store.ids()
        with self.library.transaction() as records:
            made_of = places.made_of(records)
            every = [(r.path, r.id, said(r)) for r in map(as_record, records.execute(SELECT))]
        todo = [(path, i) for path, i, words in every if i not in have or made_of.get(i) != words]
        self.done.images = len(every)
        self.progress(len(every) - len(todo), len(every))
        return [i for _, i in sorted(todo) if i not in self.away]

    def _encode(self, todo: Sequence[str]) -> None:
        read = self._picture if self.part == "clip" else lambda _image: None
        left = len(todo)
        for batch in ahead(todo, lambda image: (image, read(image)), Folders.batch):
            self._keep([(image, shown) for image, shown in batch if image not in self.away])
            left -= len(batch)
            self.progress(self.done.images - left, self.done.images)

    def _picture(self, image: str) -> Image.Image | None:
        """The decoded picture, None if it cannot be had. Called by several threads."""
        try:
            return for_clip(self.library.image(image))
        except ImageUnreadable:
            return None
        except LibraryError:
            self.away.add(image)
            return None

    def _keep(self, batch: Sequence[tuple[str, Any]]) -> None:
        """Encode a batch; store its vectors first and then the digests, so that a kill in between only repeats work."""
        shown = dict(batch)
        with self.library.transaction() as records:
            there = list(by_id(records, shown).values())
            stale = {image for image, _ in captions.marked(records)}
        known = self._known([r.id for r in there], stale)
        decoded = shown.get if self.part == "clip" else self.library.picture
        self.store.upsert(encoding.made(self.encoders, there, decoded, known).items())
        with self.library.transaction() as records:
            places.keep(records, {r.id: said(r) for r in there})
        self.done.encoded += len(there)
        if self.part == "clip":
            self.done.without += [r.path for r in there if shown[r.id] is None]

    def _known(self, ids: Sequence[str], stale: Collection[str]) -> dict[str, Dense]:
        """The former vectors to copy: those whose words have not changed."""
        sizes, known = self.encoders.sizes, {}
        for image, vectors in self.library.store.dense_at(self.former, ids).items():
            names = self.copied - ({"caption"} if image in stale else set())
            known[image] = {n: v for n, v in vectors.items() if n in names and v.shape == (sizes[n],)}
        return known

    # -- pictures that are away

    def _not_there(self) -> set[str]:
        """Images none of whose files is there."""
        with self.library.transaction() as records:
            files = records.execute("SELECT image, path FROM file WHERE image IS NOT NULL").fetchall()
        there = {image for image, path in files if os.path.exists(path)}
        return {image for image, _ in files} - there

    def _refuse(self, away: Collection[str]) -> None:
        """Raises LibraryError if any picture file is missing: without it there is no picture vector."""
        if not away:
            return
        name, first = self.library.name, self.library.records_of(away)[:1]
        such = f", such as {printable_path(first[0].path)}" if first else ""
        many = f"{len(away)} pictures are" if len(away) > 1 else "1 picture is"
        raise LibraryError(
            f"{many} not where {name} read {'them' if len(away) > 1 else 'it'}{such}: bring the files back, or drop "
            f"what is gone with `limner library sync {name}`, then run this again, which goes on; or let them be found "
            "by their words alone with --skip-missing."
        )

    # -- the store and the switch

    @contextmanager
    def _opened(self) -> Iterator[Store]:
        """The store of the new vectors; an unusable one is made again."""
        connect = self.library.store.connect
        with closing(connect(*self.place)) as store:
            if not _is_usable(store):
                store.drop()
        with closing(connect(*self.place)) as store:
            yield store

    def _switch(self) -> None:
        """Give the library the new vectors. Call only within `alone`."""
        with self.library.transaction() as records:
            wanted = by_id(records, chances.wanted(records)).values()
        ids = [r.id for r in wanted if self.part == "clip" or not r.bare]
        sample = {i: v[self.part] for i, v in self.store.vectors(ids).items() if self.part in v}
        chance = chances.of_sample(self.encoders, self.part, sample) if sample else None
        with self.library.transaction() as records:
            places.take(records, self.half)
            chances.switch(records, self.part, sample, chance)


def said(record: Record) -> str:
    """A digest of the words that an image's vectors are made of."""
    words = (record.text, record.words, record.text_in_picture.words, record.bare)
    return hashlib.sha256(repr(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _is_usable(store: Store) -> bool:
    try:
        if not store.fits():
            return False
        store.ids()
        return True
    except (LibraryBusy, LibraryUnreachable):
        raise
    except LibraryError:
        return False


def sweep(library: Library) -> None:
    """Delete vectors that nobody needs any more. Those that another program has open, or whose server does not answer,
    wait for the next call."""
    with library.transaction() as records:
        left = [(tag, library.place(records, tag, {})) for tag in places.left(records)]
    for tag, place in left:
        with suppress(LibraryBusy, LibraryUnreachable, OSError):
            with closing(library.store.connect(*place)) as store:
                store.drop()
            place.folder.with_name(f"{place.folder.name}.lock").unlink(missing_ok=True)
            with library.transaction() as records:
                places.cross_out(records, tag)
