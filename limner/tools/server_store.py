"""Store vectors on a Qdrant server.

Searches go to it in two requests: it fuses each query's rankings, then scores every found image by every encoder, so
that raw scores exist even if only one encoder found the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from limner.errors import LibraryUnreachable, NotInstalled
from limner.lazy import lazy
from limner.tools.bm25 import Sparse
from limner.tools.stored import BODY, UUID_BYTES, Dense, Hit, Vectors, Within, dense_of, hexed, hits_of, many, parts

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models
    from qdrant_client.http import exceptions
else:  # the client is an extra
    exceptions = lazy("qdrant_client.http.exceptions")
    models = lazy("qdrant_client.models")


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
        return self.made() in ({}, self._sizes)

    def made(self) -> dict[str, int]:
        """Sizes of the vectors that it has, by dense vector; {} if there is no collection."""
        with _answering():
            if not self._client.collection_exists(self.collection):
                return {}
            made = self._client.get_collection(self.collection).config.params.vectors
        return {name: one.size for name, one in made.items()} if isinstance(made, dict) else {"": 0}

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
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise NotInstalled("QDRANT_URL needs Qdrant's client: pip install 'limner[qdrant]'") from error
    return QdrantClient(location=url, api_key=api_key or None)
