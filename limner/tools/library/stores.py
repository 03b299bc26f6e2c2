"""The store of a library's vectors: one process at a time writes it; any number search what it holds by then."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from limner.errors import EncoderSwitched, LibraryError
from limner.tools import rows
from limner.tools.library.folders import Connect, edge
from limner.tools.library.records import FORMAT, meta, set_meta
from limner.tools.store import Store, rows_folder
from limner.tools.stored import Dense, Hit, Vectors, Within


class Vectorstore:
    """Opens the store of one library."""

    def __init__(self, connect: Connect | None, patience: float, is_current: Callable[[], bool], name: str) -> None:
        """connect: None keeps the vectors in the library's folder. is_current: whether the library still has the
        encoders that its name was opened with."""
        self.connect = connect or partial(edge, patience)
        self._mapped, self._is_current, self._name = connect is None, is_current, name
        self._here = threading.local()

    @contextmanager
    def opened(self, folder: Path, collection: str, sizes: dict[str, int]) -> Iterator[Store]:
        """The open store; within `held` that one. Raises EncoderSwitched if the library has other encoders by now."""
        held: Store | None = getattr(self._here, "store", None)
        store = held or self.connect(folder, collection, sizes)
        try:
            if not self._is_current():  # asked while the store is held, which a switch needs, too
                line = f"The library {self._name} was given other encoders meanwhile"
                raise EncoderSwitched(f"{line}: try again, or start this program again.")
            yield store
        finally:
            if store is not held:
                store.close()

    @contextmanager
    def held(self, folder: Path, collection: str, sizes: dict[str, int]) -> Iterator[None]:
        """Keep the store open for this thread: to open one of 100,000 images for each batch takes half the time."""
        with self.opened(folder, collection, sizes) as store:
            self._here.store = store
            try:
                yield
            finally:
                self._here.store = None

    def holds(self, folder: Path, collection: str, sizes: dict[str, int], images: set[str]) -> bool:
        """Whether these images, and no others, have vectors. A local store is not opened for it."""
        if self._mapped:
            rows_now = _snapshot(folder)
            if rows_now is None or rows_now.sizes != sizes or not (folder / "edge_config.json").exists():
                return False
            return rows_now.row_of.keys() == images
        with self.opened(folder, collection, sizes) as store:
            return store.fits() and store.ids() == images

    def dense(self, folder: Path, collection: str, sizes: dict[str, int], ids: Iterable[str]) -> dict[str, Dense]:
        """The dense vectors of images by id and name, read without opening the store where that can be."""
        rows_now = rows.snapshot(rows_folder(folder)) if self._mapped else None
        if rows_now is not None and rows_now.columns.sizes == sizes and self._is_current():
            return rows_now.vectors(ids)
        with self.opened(folder, collection, sizes) as store:
            return store.vectors(ids)

    def found(
        self, folder: Path, sizes: dict[str, int], queries: Sequence[Vectors], k: int, within: Within | None
    ) -> list[list[Hit]] | None:
        """The answers to a search without opening the store; None where only the store can give them."""
        rows_now = _snapshot(folder) if self._mapped else None
        # Asked behind the snapshot: a switch takes the rows away before it says so.
        if rows_now is None or rows_now.columns.sizes != sizes or not self._is_current():
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
