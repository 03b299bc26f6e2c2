"""Store vectors in Qdrant: `EdgeStore` in a local folder, `ServerStore` on a server, with one interface and ranking.

A local folder is searched by its rows (see `rows`), all queries of an article at once; Qdrant Edge keeps the vectors
that the rows are made of. To a server they go in two requests: it fuses each query's rankings, then scores every found
image by every encoder, so that raw scores exist even if only one encoder found the image.

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

from limner.errors import LibraryBusy, LibraryError, LibraryUnreachable
from limner.lazy import lazy
from limner.tools.bm25 import Sparse
from limner.tools.rows import Rows
from limner.tools.stored import BODY, UUID_BYTES, Dense, Hit, Vectors, Within, dense_of, hexed, hits_of, many, parts

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge as edge
    from qdrant_client import QdrantClient, models
    from qdrant_client.http import exceptions
else:  # a graph is built without; the client is an extra
    edge = lazy("qdrant_edge")
    np = lazy("numpy")
    exceptions = lazy("qdrant_client.http.exceptions")
    models = lazy("qdrant_client.models")

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
        with _working(self.folder):
            made = self.folder / "edge_config.json"
            return not made.exists() or _sizes(json.loads(made.read_bytes())["vectors"]) == self._sizes

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


class ServerStore:
    """A collection on a Qdrant server; the client is shared and stays open. Raises LibraryError if none answers."""

    def __init__(self, client: QdrantClient, collection: str, sizes: dict[str, int]) -> None:
        """collection: created if missing; sizes: sizes by dense vector, {} to drop the collection."""
        self._client, self.collection, self._sizes = client, collection, sizes
        with _answering():
            if sizes and not client.collection_exists(collection):
                self._create(sizes)

    def _create(self, sizes: dict[str, int]) -> None:
        self._client.create_collection(
            self.collection,
            vectors_config={n: models.VectorParams(size=s, distance=models.Distance.COSINE) for n, s in sizes.items()},
            sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )

    def upsert(self, points: Iterable[tuple[str, Vectors]]) -> None:
        """Add or replace. On disk when it returns."""
        made = [
            models.PointStruct(
                id=str(UUID(hex=i)),
                vector={**v.dense, "words": models.SparseVector(indices=v.words.indices, values=v.words.values)},
            )
            for i, v in points
        ]
        with _answering():
            if made:
                self._client.upsert(self.collection, made, wait=True)

    def delete(self, ids: Iterable[str]) -> None:
        """Take away; an unknown id is no error."""
        gone: list[Any] = [str(UUID(hex=i)) for i in ids]
        with _answering():
            if gone:
                self._client.delete(self.collection, models.PointIdsList(points=gone), wait=True)

    def fits(self) -> bool:
        """Whether vectors of the sizes that it was opened with can be stored; True for a new store."""
        with _answering():
            made = self._client.get_collection(self.collection).config.params.vectors
        return isinstance(made, dict) and {name: one.size for name, one in made.items()} == self._sizes

    def ids(self) -> set[str]:
        """Ids of all images."""
        found: set[str] = set()
        offset: Any = None
        with _answering():
            while True:
                records, offset = self._client.scroll(
                    self.collection, limit=1000, offset=offset, with_payload=False, with_vectors=False
                )
                found |= {hexed(r.id) for r in records}
                if offset is None:
                    return found

    def count(self) -> int:
        """Number of images."""
        with _answering():
            return self._client.count(self.collection, exact=True).count

    def vectors(self, ids: Iterable[str]) -> dict[str, Dense]:
        """The dense vectors of those of the images that it has, by id and name."""
        wanted, names = [str(UUID(hex=i)) for i in ids], list(self._sizes)
        with _answering():
            return dense_of(
                self._client.retrieve(self.collection, wanted, with_payload=False, with_vectors=names) if wanted else []
            )

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """Per query at most k hits, best first, ties by id, among the images of `within`; as `EdgeStore` does it."""
        best = many(k)
        asked = [query.dense | _sparse(query.words) for query in queries]
        requests: list[models.QueryRequest] = []
        for nearest, among in zip(asked, self._among(asked, best, within), strict=True):
            found = [models.Prefetch(query=q, using=n, limit=best, filter=among[n]) for n, q in nearest.items()]
            fused = models.FusionQuery(fusion=models.Fusion.DBSF)
            requests.append(models.QueryRequest(prefetch=found, query=fused, limit=best * len(found)))
        rankings = self._answers(requests)
        scores: list[models.QueryRequest] = []
        for nearest, ranking in zip(asked, rankings, strict=True):
            these, most = _has([hexed(point.id) for point in ranking], True), max(1, len(ranking))
            scores += [models.QueryRequest(query=q, using=n, filter=these, limit=most) for n, q in nearest.items()]
        scored = iter(self._answers(scores))
        pairs = zip(asked, rankings, strict=True)
        return hits_of(queries, [one for n, of in pairs for one in (of, *(next(scored) for _ in n))], k)

    def _among(self, asked: list[dict[str, Any]], most: int, within: Within | None) -> list[dict[str, Any]]:
        """Per query and encoder the filter of its ranking.

        A filter of a whole request does not limit its prefetches, so each has its own. Ids that are too many for that
        go out once a request: each encoder finds its best among them, and these few are what is fused.
        """
        among = _has(within.ids, within.inside) if within else None
        if not within or max(map(len, asked), default=0) * UUID_BYTES * len(within.ids) < BODY // 2:
            return [dict.fromkeys(nearest, among) for nearest in asked]
        each = [
            models.QueryRequest(query=q, using=n, limit=most, filter=among)
            for nearest in asked
            for n, q in nearest.items()
        ]
        best = iter(self._answers(each))
        return [{n: _has([hexed(point.id) for point in next(best)], True) for n in nearest} for nearest in asked]

    def _answers(self, requests: list[models.QueryRequest]) -> list[Any]:
        """Answers in the order of the requests, asked for in bodies of at most BODY bytes, or of one request."""
        found: list[Any] = []
        with _answering():
            for part in parts(requests):
                found += [answer.points for answer in self._client.query_batch_points(self.collection, part)]
        return found

    def drop(self) -> None:
        """Take away everything, for good."""
        with _answering():
            self._client.delete_collection(self.collection)

    def close(self) -> None:
        """Do nothing, because the client's owner closes it."""


def _has(ids: Iterable[str], inside: bool) -> models.Filter:
    """A filter for these ids, or for all others."""
    these: Any = [models.HasIdCondition(has_id=[str(UUID(hex=i)) for i in ids])]
    return models.Filter(must=these) if inside else models.Filter(must_not=these)


def _sparse(words: Sparse) -> dict[str, Any]:
    return {"words": models.SparseVector(indices=words.indices, values=words.values)} if words.indices else {}


def _sizes(made: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Sizes by dense vector, as Qdrant Edge has written them down."""
    return {name: one["size"] for name, one in made.items()}


class _answering:  # lower case, because it reads as a statement: with _answering(): ...
    """Turns a server's silence or refusal into LibraryUnreachable with the next step."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, (exceptions.ApiException, OSError)):
            words = " ".join(str(error).split())[:200]
            raise LibraryUnreachable(
                f"The Qdrant server did not do its part ({words}): check QDRANT_URL and its log."
            ) from error


def server(url: str, api_key: str = "") -> QdrantClient:
    """A client for `url`, or in this process for ":memory:". Raises NotInstalled with the install command."""
    from limner.errors import NotInstalled

    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise NotInstalled("QDRANT_URL needs Qdrant's client: pip install 'limner[qdrant]'") from error
    return QdrantClient(location=url, api_key=api_key or None)
