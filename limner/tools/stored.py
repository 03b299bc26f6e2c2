"""The values that a store of vectors takes and gives: vectors of an image or a query, a limit of a search, hits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from limner.lazy import lazy
from limner.tools.bm25 import Sparse

if TYPE_CHECKING:
    import numpy as np
    from qdrant_client.models import QueryRequest
else:  # a graph over a library is built without it
    np = lazy("numpy")

PREFETCH = 64  # images per encoder in the fusion; at least 4 times k
BODY = 16_000_000  # bytes of a request; a Qdrant server takes 32 MB
UUID_BYTES = 40  # of an id in a request, with quotes, comma and a blank
NUMBER_BYTES = 26  # of a number at most


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


def many(k: int) -> int:
    """Images per encoder in the fusion, of which k are wanted."""
    return max(PREFETCH, 4 * k)


def hits_of(queries: Sequence[Vectors], answers: Sequence[Sequence[Any]], k: int) -> list[list[Hit]]:
    """Read the answers in the order of the requests: per query the fused ranking, then one ranking per encoder."""
    rest, found = iter(answers), []
    for query in queries:
        names = [*query.dense, *(["words"] if query.words.indices else [])]
        fused = next(rest)
        raw = {name: {point.id: point.score for point in next(rest)} for name in names}
        # An image that shares no word with the query is in no sparse ranking; its BM25 is 0 by definition.
        zero = {"words": 0.0}
        hits = [
            Hit(hexed(p.id), p.score, zero | {name: scores[p.id] for name, scores in raw.items() if p.id in scores})
            for p in fused
        ]
        found.append(sorted(hits, key=lambda hit: (-hit.score, hit.id))[:k])
    return found


Dense = dict[str, "np.ndarray"]
"""Vectors of an image by name, (size,) float32 of unit length."""


def dense_of(points: Iterable[Any]) -> dict[str, Dense]:
    """Dense vectors by image id and name, from points as they are read back."""
    return {
        hexed(p.id): {name: np.asarray(numbers, np.float32) for name, numbers in (p.vector or {}).items()}
        for p in points
    }


def hexed(point_id: Any) -> str:
    """A point's id as 32 hexadecimal digits."""
    return UUID(str(point_id)).hex


def parts(requests: Sequence[QueryRequest]) -> Iterator[list[QueryRequest]]:
    """The requests in order, in batches of at most BODY bytes, or of one request that is longer."""
    part: list[QueryRequest] = []
    size = 0
    for request in requests:
        long = _bytes(request)
        if part and size + long > BODY:
            yield part
            part, size = [], 0
        part.append(request)
        size += long
    if part:
        yield part


def _bytes(request: QueryRequest) -> int:
    """At most the bytes of a request: of its ids and numbers, without making the JSON."""
    wanted = [request, *(request.prefetch if isinstance(request.prefetch, list) else [])]
    ids = sum(UUID_BYTES * len(_ids(one.filter)) for one in wanted)
    return ids + sum(NUMBER_BYTES * _numbers(one.query) + 500 for one in wanted)


def _ids(among: Any) -> list[Any]:
    return (among.must or among.must_not)[0].has_id if among else []


def _numbers(query: Any) -> int:
    return len(query) if isinstance(query, list) else 2 * len(getattr(query, "indices", ()))
