"""How alike found images are, and an order in which no look-alikes follow each other.

Two pictures of one library have a cosine of 0.5 or more by chance, with many encoders; so likeness begins there: 0 is
what two of its pictures have, 1 is the same picture. What pictures show counts; where that is unknown, their captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limner.document import Candidate
from limner.lazy import lazy
from limner.tools.library import Library

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")

POOL, LEAST = 4, 48
"""Images that a varied search chooses from: so many times those wanted, and at least so many."""
LOOK_ALIKE = 0.9
"""Likeness of pictures of which a varied search shows one, as long as there are others."""
_SAME = 1 - 1e-3  # a median cosine of a library whose pictures are all the same


def likeness(libraries: Sequence[Library], found: Sequence[Candidate]) -> np.ndarray:
    """(n, n) float32, 0 to 1: how alike images are. Those that no encoder has in common are 0."""
    alike = np.full((len(found), len(found)), np.nan, np.float32)
    for kind in ("clip", "caption"):
        for encoder in dict.fromkeys(library.encoders.names.get(kind, "") for library in libraries):
            these = [one for one in libraries if encoder and one.encoders.names.get(kind) == encoder]
            among = _cosines(these, found, kind)
            alike = np.where(np.isnan(alike), among, alike)
    return np.nan_to_num(alike)


def _cosines(libraries: Sequence[Library], found: Sequence[Candidate], kind: str) -> np.ndarray:
    """(n, n): likeness by one encoder; NaN for images without its vector."""
    alike = np.full((len(found), len(found)), np.nan, np.float32)
    vectors: dict[int, np.ndarray] = {}
    bases = []
    for library in libraries:
        rows = {c.image_id: n for n, c in enumerate(found) if c.library == library.name}
        vectors |= {rows[i]: of[kind] for i, of in library.dense(rows).items() if kind in of}
        chance = library.chances().get(kind)
        if rows and chance and len(chance.sample) > 1:
            cosines = chance.sample @ chance.sample.T
            bases.append(float(np.median(cosines[~np.eye(len(cosines), dtype=bool)])))
    if vectors:
        stacked = np.stack(list(vectors.values()))
        base = min(max([*bases, 0.0]), _SAME)
        alike[np.ix_([*vectors], [*vectors])] = np.clip((stacked @ stacked.T - base) / (1 - base), 0, 1)
    return alike


def varied(libraries: Sequence[Library], found: Sequence[Candidate], k: int) -> list[Candidate]:
    """k of the images, each the best that is left where fitting and being unlike those before it count the same; those
    that look like one before them come last.

    Maximal marginal relevance with a weight of one half (Carbonell and Goldstein 1998). found: best first, POOL times
    as many as are wanted, so that their scores, scaled to 0 to 1, say what is far from the best.
    """
    if not found:
        return []
    alike = likeness(libraries, found)
    scores = np.array([c.score for c in found], np.float32)
    fits = (scores - scores.min()) / (float(np.ptp(scores)) or 1.0)
    nearest = np.zeros(len(found), np.float32)
    left, chosen = list(range(len(found))), []
    while left and len(chosen) < k:
        best = max(left, key=lambda n: (bool(nearest[n] < LOOK_ALIKE), float(fits[n] - nearest[n])))
        chosen.append(best)
        left.remove(best)
        nearest = np.maximum(nearest, alike[best])
    return [found[n] for n in chosen]
