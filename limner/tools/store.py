"""Store vectors in Qdrant: `EdgeStore` in a local folder; `server_store` has the one on a server, with one interface
and ranking.

A local folder is searched by its rows (see `rows`), all queries of an article at once; Qdrant Edge keeps the vectors
that the rows are made of.

Fusion is distribution-based (DBSF): each encoder's scores are scaled by the mean and deviation over its results, then
added. Unlike reciprocal ranks (RRF) it keeps the distance between one image and the next. On 291 figures of a textbook,
with the paragraph before each as the query and its image to be found among 323, the mean reciprocal rank by captions
and alternative texts was 0.731 (RRF with k = 60: 0.718, k = 2: 0.730; MiniLM alone 0.687, BM25 alone 0.695), and by
alternative texts 0.591 (0.563, 0.584; 0.562, 0.531).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from limner.errors import LibraryBusy, LibraryError
from limner.lazy import lazy
from limner.tools.bm25 import Sparse
from limner.tools.rows import Rows
from limner.tools.stored import Dense, Hit, Vectors, Within, hexed

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge as edge
else:  # a graph is built without
    edge = lazy("qdrant_edge")
    np = lazy("numpy")

PATIENCE = 60.0  # seconds to wait for another process that holds a folder


class Store(Protocol):
    """Vectors of images by id (32 hexadecimal digits)."""

    def upsert(self, points: Iterable[tuple[str, Vectors]]) -> None:
        """Add or replace. On disk when it returns."""
        ...

    def delete(self, ids: Iterable[str]) -> None:
        """Take away; an unknown id is no error."""
        ...

    def fits(self) -> bool:
        """Whether vectors of the sizes that it was opened with can be stored; True for a new store."""
        ...

    def made(self) -> dict[str, int]:
        """Sizes of the vectors that it has, by dense vector; {} for a new store."""
        ...

    def ids(self) -> set[str]:
        """Ids of all images."""
        ...

    def count(self) -> int:
        """Number of images."""
        ...

    def vectors(self, ids: Iterable[str]) -> dict[str, Dense]:
        """The dense vectors of those of the images that it has, by id and name."""
        ...

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """Per query at most k hits, best first, ties by id, among the images of `within`; all queries together."""
        ...

    def drop(self) -> None:
        """Take away everything, for good."""
        ...

    def close(self) -> None:
        """Let go of files, locks and connections."""
        ...


class EdgeStore:
    """Qdrant Edge in a folder, and its vectors as rows beside it, which are what is searched.

    Nobody else can open it before `close`; for a search alone nobody needs to, see `rows.snapshot`. A row is written
    behind the vectors in Edge and deleted before them, so a kill leaves no row that Edge lacks.
    """

    def __init__(self, folder: Path, sizes: dict[str, int], *, patience: float = PATIENCE) -> None:
        """sizes: sizes by dense vector; patience: seconds to wait for the folder. Raises LibraryBusy."""
        from filelock import FileLock, Timeout

        with _working(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._sizes, self._rows = folder, sizes, Rows(rows_folder(folder), sizes)
        # A new lock object each time, so that two threads exclude each other like two processes.
        self._lock = FileLock(folder.with_name(folder.name + ".lock"), timeout=patience, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise LibraryBusy(
                f"Another program has held {folder} for {patience:g} s: try again when it is done."
            ) from error
        self._opened = False

    @cached_property
    def _shard(self) -> Any:
        """Open on first use, because dropping a damaged store must be possible."""
        config = edge.EdgeConfig(
            vectors={n: edge.EdgeVectorParams(size=s, distance=edge.Distance.Cosine) for n, s in self._sizes.items()},
            sparse_vectors={"words": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
            # Every update is flushed, and the library repeats what a kill cut off; a log would only add a preallocated
            # file of 64 MB.
            wal_enabled=False,
        )
        with _working(self.folder):
            made = edge.EdgeShard.load if any(self.folder.iterdir()) else edge.EdgeShard.create
            shard = made(str(self.folder), config)
        self._opened = True
        return shard

    def upsert(self, points: Iterable[tuple[str, Vectors]]) -> None:
        """Add or replace. On disk when it returns."""
        given = list(points)
        made = [
            edge.Point(UUID(hex=i), {**v.dense, "words": edge.SparseVector(v.words.indices, v.words.values)})
            for i, v in given
        ]
        if made:
            with _working(self.folder):
                self._lay_out()
                self._shard.update(edge.UpdateOperation.upsert_points(made))
                self._shard.flush()
                with _working(self._rows.folder, _ROWS):
                    self._rows.append(given)

    def delete(self, ids: Iterable[str]) -> None:
        """Take away; an unknown id is no error."""
        given = list(ids)
        if given:
            with _working(self.folder):
                self._lay_out()
                with _working(self._rows.folder, _ROWS):
                    self._rows.delete(given)
                self._erase(given)

    def _erase(self, ids: Iterable[str]) -> None:
        gone: list[edge.PointId] = [UUID(hex=i) for i in ids]
        self._shard.update(edge.UpdateOperation.delete_points(gone))
        self._shard.flush()

    def fits(self) -> bool:
        """Whether vectors of the sizes that it was opened with can be stored; True for a new store."""
        return self.made() in ({}, self._sizes)

    def made(self) -> dict[str, int]:
        """Sizes of the vectors that it has, by dense vector; {} for a new store."""
        with _working(self.folder):
            config = self.folder / "edge_config.json"
            return _sizes(json.loads(config.read_bytes())["vectors"]) if config.exists() else {}

    def ids(self) -> set[str]:
        """Ids of all images that are found: those that Edge has and that have a row. Others in Edge, which a killed
        process left, are deleted there."""
        with _working(self.folder):
            self._lay_out()
            found = set(self._rows.ids())
            if len(found) == self.count():
                return found
            held = self._all()
            if held - found:
                self._erase(held - found)
            return found & held

    def _all(self) -> set[str]:
        records, _ = self._shard.scroll(edge.ScrollRequest(limit=max(1, self.count()), with_payload=False))
        return {hexed(record.id) for record in records}

    def _lay_out(self) -> None:
        """Make the rows if they are missing: an older limner made none."""
        with _working(self._rows.folder, _ROWS):
            if self._rows.there() is None:
                self._rows.start(self._stored())

    def _stored(self) -> Iterator[tuple[str, Vectors]]:
        """All images with their vectors."""
        offset: Any = None
        while True:
            request = edge.ScrollRequest(offset=offset, limit=1000, with_payload=False, with_vector=True)
            with _working(self.folder):
                records, offset = self._shard.scroll(request)
            for record in records:
                vectors: Any = record.vector
                dense = [None if v is None else np.array(v, "f4") for v in map(vectors.get, ("caption", "clip"))]
                words = vectors.get("words")
                sparse = Sparse(list(words.indices), list(words.values)) if words else Sparse([], [])
                yield hexed(record.id), Vectors(dense[0], sparse, dense[1])
            if offset is None:
                return

    def count(self) -> int:
        """Number of images."""
        with _working(self.folder):
            return self._shard.count(edge.CountRequest(exact=True))

    def vectors(self, ids: Iterable[str]) -> dict[str, Dense]:
        """The dense vectors of those of the images that it has, by id and name."""
        with _working(self.folder):
            self._lay_out()
            found = self._rows.there()
            return found.vectors(ids) if found else {}

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """Per query at most k hits, best first, ties by id, among the images of `within`."""
        with _working(self.folder):
            self._lay_out()
            found = self._rows.there()
            return found.search(queries, k, within) if found else [[] for _ in queries]

    def drop(self) -> None:
        """Take away everything, for good."""
        self._close_shard()
        self._rows.drop()
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Release the folder."""
        try:
            self._close_shard()
        finally:
            self._lock.release()

    def _close_shard(self) -> None:
        if self._opened:
            self._opened = False
            self._shard.close()


def rows_folder(folder: Path) -> Path:
    """Where the rows of an `EdgeStore` are, by its folder."""
    return folder.with_name(folder.name + ".rows")


_ROWS = "delete that folder, which is made again"


@contextmanager
def _working(folder: Path, remedy: str = "delete that folder and add the images again") -> Iterator[None]:
    """Turns errors of the files into a LibraryError; the binding raises plain Exception for all of them."""
    try:
        yield
    except LibraryError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise LibraryError(f"The vectors in {folder} cannot be used ({words}): check the disk, or {remedy}.") from error


def _sizes(made: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Sizes by dense vector, as Qdrant Edge has written them down."""
    return {name: one["size"] for name, one in made.items()}
