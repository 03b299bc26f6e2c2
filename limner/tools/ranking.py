"""Rank the rows of a snapshot for queries, exactly, as Qdrant's fusion does it.

Each encoder's best rows, their scores scaled by mean and deviation (DBSF, see `store`), and added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf, log
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from limner.lazy import lazy
from limner.models.encoders.products import product
from limner.tools.stored import Hit, Vectors, many

if TYPE_CHECKING:
    import numpy as np
else:  # a graph is built without it
    np = lazy("numpy")

_AT_ONCE = 32  # queries whose scores with all rows are held in memory
_SAMPLE = 16  # numbers looked at for each one wanted, to guess from which on the best lie
_COMMON = 8  # an eighth of the rows or more have a common term; captions of 15 words have at most 120 such terms
_DIGITS = 6  # of a cosine that count
_EQUAL = 1e-6  # a deviation below it is one of the last bits
_ROUNDING = 2e-6  # more than what rounding two scores moves them


class Words(NamedTuple):
    """The words of all rows: for each term the rows that have it."""

    terms: np.ndarray
    """Ascending."""
    starts: np.ndarray
    """(terms + 1,): where each term's rows start, and their end."""
    rows: np.ndarray
    weights: np.ndarray
    images: int
    common: dict[int, np.ndarray]
    """Terms that many images have, filled as they are asked for: the weights of all rows, which are added faster."""

    def scores(self, query: Any, size: int) -> np.ndarray:
        """BM25 of each of `size` rows, (size,) float32: the query's weight, the row's, and the rarity of the term."""
        found = np.zeros(size, np.float32)
        places = np.searchsorted(self.terms, np.array(query.indices, np.uint64))
        for place, term, times in zip(places.tolist(), query.indices, query.values, strict=True):
            if place < len(self.terms) and self.terms[place] == term:
                start, end = int(self.starts[place]), int(self.starts[place + 1])
                rarity = log(1 + (self.images - (end - start) + 0.5) / (end - start + 0.5))
                rows, weights = self.rows[start:end], self.weights[start:end]
                if _COMMON * len(rows) < size:
                    found[rows] += weights * np.float32(times * rarity)
                else:
                    found += self._all(term, rows, weights, size) * np.float32(times * rarity)
        return found

    def _all(self, term: int, rows: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
        if term not in self.common:
            whole = np.zeros(size, np.float32)
            whole[rows] = weights
            self.common[term] = whole
        return self.common[term]


class Table(Protocol):
    """Rows of images to rank."""

    @property
    def ids(self) -> np.ndarray:
        """(rows, 16) uint8."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """Sizes by dense vector."""
        ...

    @property
    def words(self) -> Words:
        """The rows by term."""
        ...

    def dense(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """((rows, size) float32, whether each row has such a vector; None for all)."""
        ...


def ranked(rows: Table, queries: Sequence[Vectors], k: int, among: np.ndarray | None) -> list[list[Hit]]:
    """Per query at most k hits, best first, ties by id; cosines count to six decimals.

    among: numbers of the rows that may be found, ascending; None for all.
    Raises ValueError for a query of another size.
    """
    found: list[list[Hit]] = []
    for start in range(0, len(queries), _AT_ONCE):
        some = queries[start : start + _AT_ONCE]
        cosines = {name: _cosines(rows, name, some, among) for name in rows.sizes}
        for n, query in enumerate(some):
            scores = {name: of[n] for name, of in cosines.items() if n in of}
            if query.words.indices:
                shared = rows.words.scores(query.words, len(rows.ids))
                scores["words"] = shared if among is None else shared[among]
            found.append(_hits(rows.ids, scores, k, among))
    return found


def _cosines(rows: Table, name: str, queries: Sequence[Vectors], among: np.ndarray | None) -> Mapping[int, np.ndarray]:
    """For each query that has such a vector its scores with the rows among, (rows,) float32; -inf without a vector."""
    given = {n: v for n, query in enumerate(queries) if (v := getattr(query, name)) is not None}
    if not given:
        return {}
    asked = np.stack(list(given.values())).astype(np.float32, copy=False)
    table, has = rows.dense(name)
    if asked.shape[1] != table.shape[1]:
        raise ValueError(f"a query of {asked.shape[1]} numbers for rows of {table.shape[1]}")
    scores = product(asked, table, among)
    if has is not None:
        scores[:, ~(has if among is None else has[among])] = -inf
    return dict(zip(given, scores, strict=True))


def _hits(ids_of: np.ndarray, scores: Mapping[str, np.ndarray], k: int, among: np.ndarray | None) -> list[Hit]:
    """The best of one query. ids_of: of all rows; scores: by encoder, of the rows among."""

    def named(places: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(ids_of[places if among is None else among[places]])

    best = {name: _best(name, one, many(k), named) for name, one in scores.items()}
    if not sum(map(len, best.values())):
        return []
    fused = np.concatenate([_scaled(_counted(name, scores[name][found])) for name, found in best.items()])
    places, back = np.unique(np.concatenate(list(best.values())), return_inverse=True)
    total = np.bincount(back, fused)
    ids = named(places)
    high, low = ids.view(">u8").T
    order = np.lexsort((low, high, -total))[:k]
    raw = {name: _counted(name, one[places[order]]).tolist() for name, one in scores.items()}
    return [
        # An image that shares no word with the query has a BM25 of 0 by definition.
        Hit(
            ids[at].tobytes().hex(),
            float(total[at]),
            {"words": 0.0} | {m: of[n] for m, of in raw.items() if of[n] > -inf},
        )
        for n, at in enumerate(order.tolist())
    ]


def _best(name: str, scores: np.ndarray, most: int, named: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Places of an encoder's `most` best scores that say something, in any order; of equal ones those whose ids come
    first."""
    found = np.arange(len(scores)) if len(scores) <= 2 * _SAMPLE * most else _likely(scores, most)
    found = found[scores[found] > (0.0 if name == "words" else -inf)]
    if len(found) <= most:
        return found
    mine = _counted(name, scores[found])
    last = np.partition(mine, -most)[-most]
    better, equal = found[mine > last], found[mine == last]
    high, low = named(equal).view(">u8").T
    return np.append(better, equal[np.lexsort((low, high))[: most - len(better)]])


def _counted(name: str, scores: np.ndarray) -> np.ndarray:
    """An encoder's scores as far as they count: a matrix product gives equal rows other last bits, by their places."""
    return scores if name == "words" else np.round(scores, _DIGITS)


def _likely(scores: np.ndarray, most: int) -> np.ndarray:
    """Places of at least the `most` best scores, rounded or not, and of some more: a sample says from which score on
    they lie, so that few numbers need be sorted."""
    step = len(scores) // (_SAMPLE * most)
    sample = scores[::step]
    rank = min(len(sample), 2 * most // step + 8)
    least = np.partition(sample, -rank)[-rank]
    # Rounded, a score just below may equal the last of the best. If too few lie above, the sample misled.
    found = np.flatnonzero(scores >= least - _ROUNDING)
    return found if np.count_nonzero(scores[found] >= least) >= most else np.arange(len(scores))


def _scaled(scores: np.ndarray) -> np.ndarray:
    """From mean - 3 deviations, 0, to mean + 3 deviations, 1; all equal are 0.5."""
    deviation = scores.std(ddof=1, dtype=np.float64) if len(scores) > 1 else 0.0
    if deviation < _EQUAL:
        return np.full(len(scores), 0.5)
    return 0.5 + (scores - scores.mean(dtype=np.float64)) / (6 * deviation)
