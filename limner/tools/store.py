"""Store vectors in Qdrant: `EdgeStore` in a local folder, `ServerStore` on a server, with one interface and ranking.

All queries of an article go in one request. Qdrant fuses each query's rankings and, in the same request, scores every
found image by every encoder, so that raw scores exist even if only one encoder found the image.

Fusion is distribution-based (DBSF): each encoder's scores are scaled by the mean and deviation over its results, then
added. Unlike reciprocal ranks (RRF) it keeps the distance between one image and the next. On 291 figures of a textbook,
with the paragraph before each as the query and its image to be found among 323, the mean reciprocal rank by captions
and alternative texts was 0.731 (RRF with k = 60: 0.718, k = 2: 0.730; MiniLM alone 0.687, BM25 alone 0.695), and by
alternative texts 0.591 (0.563, 0.584; 0.562, 0.531).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from limner.errors import LibraryBusy, LibraryError, LibraryUnreachable
from limner.lazy import lazy
from limner.tools.bm25 import Sparse

if TYPE_CHECKING:
    import numpy as np
    import qdrant_edge as edge
    from qdrant_client import QdrantClient, models
    from qdrant_client.http import exceptions
else:  # a graph is built without; the client is an extra
    edge = lazy("qdrant_edge")
    exceptions = lazy("qdrant_client.http.exceptions")
    models = lazy("qdrant_client.models")

PREFETCH = 64  # images per encoder in the fusion; at least 4 times k
PATIENCE = 60.0  # seconds to wait for another process that holds a folder


@dataclass(frozen=True)
class Vectors:
    """The vectors of one image or query. Without words `words` is empty; without CLIP `clip` is None."""

    caption: np.ndarray | None
    """(size,) float32 of unit length; None for an image of which nothing is said."""
    words: Sparse
    clip: np.ndarray | None = None
    """(size,) float32 of unit length."""

    @property
    def dense(self) -> dict[str, list[float]]:
        """The dense vectors by name."""
        named = {"caption": self.caption, "clip": self.clip}
        return {name: vector.tolist() for name, vector in named.items() if vector is not None}


@dataclass(frozen=True)
class Hit:
    """An image found for a query."""

    id: str
    """32 hexadecimal digits."""
    score: float
    """Fused score, 0 to the number of encoders or slightly more; comparable within one query."""
    scores: dict[str, float] = field(default_factory=dict)
    """Raw scores: cosine per dense vector, BM25 for `words`; comparable between queries."""


class Within(NamedTuple):
    """A limit of a search to some of the images."""

    ids: Collection[str]
    inside: bool
    """Whether only these ids may be found, or all but these."""

    def allows(self, image_id: str) -> bool:
        """Whether an image may be found."""
        return (image_id in self.ids) == self.inside


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

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """Per query at most k hits, best first, ties by id, among the images of `within`. One request for all
        queries."""
        ...

    def drop(self) -> None:
        """Take away everything, for good."""
        ...

    def close(self) -> None:
        """Let go of files, locks and connections."""
        ...


class EdgeStore:
    """Qdrant Edge in a folder. Nobody else can open it before `close`, so keep it open only briefly."""

    def __init__(self, folder: Path, sizes: dict[str, int], *, patience: float = PATIENCE) -> None:
        """sizes: sizes by dense vector; patience: seconds to wait for the folder. Raises LibraryBusy."""
        from filelock import FileLock, Timeout

        with _working(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._sizes = folder, sizes
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
        made = [
            edge.Point(UUID(hex=i), {**v.dense, "words": edge.SparseVector(v.words.indices, v.words.values)})
            for i, v in points
        ]
        if made:
            with _working(self.folder):
                self._shard.update(edge.UpdateOperation.upsert_points(made))
                self._shard.flush()

    def delete(self, ids: Iterable[str]) -> None:
        """Take away; an unknown id is no error."""
        gone: list[edge.PointId] = [UUID(hex=i) for i in ids]
        if gone:
            with _working(self.folder):
                self._shard.update(edge.UpdateOperation.delete_points(gone))
                self._shard.flush()

    def fits(self) -> bool:
        """Whether vectors of the sizes that it was opened with can be stored; True for a new store."""
        with _working(self.folder):
            made = self.folder / "edge_config.json"
            return not made.exists() or _sizes(json.loads(made.read_bytes())["vectors"]) == self._sizes

    def ids(self) -> set[str]:
        """Ids of all images."""
        with _working(self.folder):
            records, _ = self._shard.scroll(edge.ScrollRequest(limit=max(1, self.count()), with_payload=False))
        return {_hex(r.id) for r in records}

    def count(self) -> int:
        """Number of images."""
        with _working(self.folder):
            return self._shard.count(edge.CountRequest(exact=True))

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """Per query at most k hits, best first, ties by id, among the images of `within`. One request for all
        queries."""
        many = max(PREFETCH, 4 * k)
        requests: list[Any] = []
        among = None
        if within:
            ids: Any = [edge.HasIdCondition({UUID(hex=i) for i in within.ids})]
            among = edge.Filter(must=ids) if within.inside else edge.Filter(must_not=ids)
        for query in queries:
            nearest = {n: edge.Query.Nearest(v, using=n) for n, v in query.dense.items()}
            if query.words.indices:
                nearest["words"] = edge.Query.Nearest(edge.SparseVector(*query.words), using="words")
            found = [edge.Prefetch(limit=many, query=q, filter=among) for q in nearest.values()]
            union = many * len(found)
            fused: Any = edge.Fusion.Dbsf()
            requests.append(edge.QueryRequest(limit=union, prefetches=found, query=fused))
            requests += [edge.QueryRequest(limit=union, prefetches=found, query=q) for q in nearest.values()]
        with _working(self.folder):
            answers = self._shard.query_batch(edge.QueryBatchRequest(requests)) if requests else []
        return _hits(queries, answers, k)

    def drop(self) -> None:
        """Take away everything, for good."""
        self._close_shard()
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


@contextmanager
def _working(folder: Path) -> Iterator[None]:
    """Turns errors of the files into a LibraryError; the binding raises plain Exception for all of them."""
    try:
        yield
    except LibraryError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise LibraryError(
            f"The vectors in {folder} cannot be used ({words}): check the disk, or delete that folder and add the "
            "images again."
        ) from error


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
                found |= {_hex(r.id) for r in records}
                if offset is None:
                    return found

    def count(self) -> int:
        """Number of images."""
        with _answering():
            return self._client.count(self.collection, exact=True).count

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """Per query at most k hits, best first, ties by id, among the images of `within`. One request for all
        queries."""
        many = max(PREFETCH, 4 * k)
        requests: list[models.QueryRequest] = []
        among = None
        if within:
            ids: Any = [models.HasIdCondition(has_id=[str(UUID(hex=i)) for i in within.ids])]
            among = models.Filter(must=ids) if within.inside else models.Filter(must_not=ids)
        for query in queries:
            nearest: dict[str, Any] = dict(query.dense)
            if query.words.indices:
                nearest["words"] = models.SparseVector(indices=query.words.indices, values=query.words.values)
            found = [models.Prefetch(query=q, using=n, limit=many, filter=among) for n, q in nearest.items()]
            union = many * len(found)
            fused = models.FusionQuery(fusion=models.Fusion.DBSF)
            requests.append(models.QueryRequest(prefetch=found, query=fused, limit=union))
            requests += [models.QueryRequest(prefetch=found, query=q, using=n, limit=union) for n, q in nearest.items()]
        with _answering():
            answers = self._client.query_batch_points(self.collection, requests) if requests else []
        return _hits(queries, [answer.points for answer in answers], k)

    def drop(self) -> None:
        """Take away everything, for good."""
        with _answering():
            self._client.delete_collection(self.collection)

    def close(self) -> None:
        """Do nothing, because the client's owner closes it."""


def _sizes(made: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Sizes by dense vector, as Qdrant Edge has written them down."""
    return {name: one["size"] for name, one in made.items()}


def _hits(queries: Sequence[Vectors], answers: Sequence[Sequence[Any]], k: int) -> list[list[Hit]]:
    """Read the answers in the order of the requests: per query the fused ranking, then one ranking per encoder."""
    rest, found = iter(answers), []
    for query in queries:
        names = [*query.dense, *(["words"] if query.words.indices else [])]
        fused = next(rest)
        raw = {name: {point.id: point.score for point in next(rest)} for name in names}
        # An image that shares no word with the query is in no sparse ranking; its BM25 is 0 by definition.
        zero = {"words": 0.0}
        hits = [
            Hit(_hex(p.id), p.score, zero | {name: scores[p.id] for name, scores in raw.items() if p.id in scores})
            for p in fused
        ]
        found.append(sorted(hits, key=lambda hit: (-hit.score, hit.id))[:k])
    return found


def _hex(point_id: Any) -> str:
    return UUID(str(point_id)).hex


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
