"""The store of a library's vectors: one process at a time writes it; any number search what it holds by then."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from limner.errors import EncoderSwitched, LibraryError, LibraryUnreachable
from limner.tools import rows
from limner.tools.library.folders import Connect, edge
from limner.tools.library.places import Place
from limner.tools.library.records import FORMAT, meta, set_meta
from limner.tools.store import Store, rows_folder
from limner.tools.stored import Dense, Hit, Vectors, Within


class Vectorstore:
    """Opens the store of one library."""

    def __init__(self, connect: Connect | None, patience: float, where: Callable[[], Place | None], name: str) -> None:
        """connect: None keeps the vectors in the library's folder. where: the place of the vectors; None if the library
        has other encoders by now than its name was opened with."""
        self.connect = connect or partial(edge, patience)
        self.is_local, self._where, self._name = connect is None, where, name
        self._here = threading.local()

    def switched(self) -> EncoderSwitched:
        """The error for a library that has other encoders by now."""
        line = f"The library {self._name} was given other encoders meanwhile"
        return EncoderSwitched(f"{line}: try again, or start this program again.")

    def _at(self) -> Place:
        place = self._where()
        if place is None:
            raise self.switched()
        return place

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """The open store; within `held` that one. Raises EncoderSwitched if the library has other encoders by now."""
        held: Store | None = getattr(self._here, "store", None)
        place = self._at()
        store = held or self.connect(*place)
        try:
            if self._where() != place:  # asked again while the store is held, which is needed to delete it, too
                raise self.switched()
            yield store
        except LibraryUnreachable as error:
            if self._where() != place:  # a server refuses what is asked of a collection that was deleted
                raise self.switched() from error
            raise
        finally:
            if store is not held:
                store.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the store open for this thread: to open one of 100,000 images for each batch takes half the time."""
        with self.opened() as store:
            self._here.store = store
            try:
                yield
            finally:
                self._here.store = None

    def holds(self, images: set[str]) -> bool:
        """Whether these images, and no others, have vectors. A local store is not opened for it."""
        if self.is_local:
            place = self._at()
            rows_now = _snapshot(place.folder)
            if rows_now is None or rows_now.sizes != place.sizes or not (place.folder / "edge_config.json").exists():
                return False
            return rows_now.row_of.keys() == images
        with self.opened() as store:
            return store.fits() and store.ids() == images

    def dense(self, ids: Iterable[str]) -> dict[str, Dense]:
        """The dense vectors of images by id and name, read without opening the store where that can be."""
        place = self._at()
        rows_now = rows.snapshot(rows_folder(place.folder)) if self.is_local else None
        if rows_now is not None and rows_now.columns.sizes == place.sizes:
            return rows_now.vectors(ids)
        with self.opened() as store:
            return store.vectors(ids)

    def dense_at(self, place: Place, ids: Iterable[str]) -> dict[str, Dense]:
        """As `dense`, of vectors made by any encoders. place: sizes do not matter."""
        rows_now = _snapshot(place.folder) if self.is_local else None
        if rows_now is not None:
            return rows_now.vectors(ids)
        with closing(self.connect(*place._replace(sizes={}))) as store:
            sizes = store.made()
        if not sizes:
            return {}
        with closing(self.connect(*place._replace(sizes=sizes))) as store:
            return store.vectors(ids)

    def found(self, queries: Sequence[Vectors], k: int, within: Within | None) -> list[list[Hit]] | None:
        """The answers to a search without opening the store; None where only the store can give them."""
        place = self._at()
        rows_now = _snapshot(place.folder) if self.is_local else None
        if rows_now is None or rows_now.columns.sizes != place.sizes:
            return None
        try:
            return rows_now.search(queries, k, within)
        except ValueError as error:
            line = f"The vectors of the library {self._name} cannot be searched ({error})"
            raise LibraryError(f"{line}: start this program again.") from error


def _snapshot(folder: Path) -> rows.Snapshot | None:
    """The rows of a local store, None where only the store can give them, or say what is wrong with them."""
    try:
        return rows.snapshot(rows_folder(folder))
    except OSError:
        return None


def upgrade(records: sqlite3.Connection, folder: Path) -> None:
    """Make records of format 1 those of this one. folder: of the library's vectors.

    A limner of format 1 may have changed these without the rows that are searched, so rows are made anew of them, on
    the next use. It refuses the library from now on. Raises LibraryError if the old rows stay.
    """
    if meta(records, "format") != "1":
        return
    if not records.in_transaction:
        records.execute("BEGIN IMMEDIATE")
    if meta(records, "format") == "1":  # unless another process has been quicker
        manifest = rows_folder(folder) / rows.MANIFEST
        try:
            manifest.unlink(missing_ok=True)
        except OSError as error:
            raise LibraryError(f"Cannot delete {manifest} ({error.strerror}): check disk and rights.") from error
        set_meta(records, "format", str(FORMAT))
