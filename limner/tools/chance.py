"""Measure which score is chance: how a library's pictures score with texts that they do not belong to.

An encoder's cosines lie in a band of its own: unrelated pairs have 0.0 with MiniLM, 0.75 with multilingual e5, 0.2 with
a CLIP, and 0.3 with MiniLM where both texts are Spanish. A score alone says nothing; here it counts by how many
standard deviations it lies above what pairs have that do not belong together, so that all encoders, languages and
libraries share one scale. Two backgrounds say what that is:

- a sample of the library's pictures with texts of many subjects, measured when the library is indexed: what is chance
  when neither language nor subject agree;
- the same sample with the texts of the article, nearly all of which belong to other pictures: what is chance in this
  language, among pictures of this subject. In a library of a few pictures one of them is the one that fits, so it
  counts the less the fewer there are.

numpy is imported where vectors are made: opening a library to build a graph over it needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from limner.lazy import lazy
from limner.tools.encoders import TextEncoder

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")

SAMPLE = 128
"""Pictures of a library that are measured; with the 42 texts that is 5,376 pairs."""
HALF = 16
"""Pictures in a sample whose scores with an article say as much of chance as the unrelated texts do."""
LEAN = 0.25
"""A paragraph that is near to all pictures more than its article is, is expected to score more with each: so much of
the difference. All of it (1) would forget that a paragraph on the library's subject is worth a picture more than
others; bench/fit.md has the figures."""
DOUBT, NEAR = 1.75, 2.0
"""An article that is no nearer to the library's pictures than unrelated texts are may have nothing there: its scores
need DOUBT times as much. One that is NEAR deviations nearer than they needs no more than usual."""
UNREAD = 2.2
"""An encoder that does not read the language of an article (MiniLM reads English) needs so many times the score: in
Spanish and Chinese its cosines are worth about half as much beside shared words (bench/fit.md)."""
_TIGHT = 1e-4  # an encoder whose unrelated pairs differ by less tells nothing apart


@dataclass(frozen=True)
class Chance:
    """The scores of pairs that do not belong together, of one library and encoder."""

    base: float
    """The usual score of an unrelated text."""
    spread: float
    """Standard deviation of an unrelated text's scores."""
    apart: float
    """Standard deviation of the unrelated texts' mean scores with all pictures."""
    sample: np.ndarray
    """(n, size) float32: vectors of pictures, rows of unit length."""

    def expected(self, queries: np.ndarray, *, own: bool = False) -> tuple[np.ndarray, float]:
        """(what each query scores by chance (n,), the standard deviation). queries: (n, size), those of one article.

        own: the queries are pictures, or partly so. Two pictures score far more by chance than a picture and a text,
        so that the unrelated texts say nothing of them: the sample alone decides.
        """
        scores = queries @ self.sample.T
        near = scores.mean(axis=1)
        trust = 1.0 if own else len(self.sample) / (len(self.sample) + HALF)
        base = self.base + trust * (near.mean() + LEAN * (near - near.mean()) - self.base)
        spread = np.sqrt(trust * _deviation(scores - near[:, None]) ** 2 + (1 - trust) * self.spread**2)
        near_by = min(max((float(near.mean()) - self.base) / (NEAR * self.apart), 0.0), 1.0)
        return base, max(float(spread), self.spread) * (DOUBT - (DOUBT - 1) * near_by)


def measured(sample: np.ndarray, texts: np.ndarray) -> Chance:
    """The chance of an encoder: pictures (n, size) and unrelated texts (m, size), rows of unit length."""
    scores = texts @ sample.T
    near = scores.mean(axis=1)
    low, middle, high = np.percentile(near, [15.9, 50, 84.1])
    apart = min(middle - low, high - middle)  # the other side may be the texts in the library's own language
    spread = _deviation(scores - near[:, None])
    return Chance(float(middle), max(spread, _TIGHT), max(float(apart), _TIGHT), sample)


def _deviation(scores: np.ndarray) -> float:
    """The standard deviation, of a normal distribution, that the middle of these scores has; robust against a few
    pairs that belong together after all."""
    middle, high = np.percentile(scores, [50, 84.1])
    return float(high - middle)


def unrelated(encoder: TextEncoder) -> np.ndarray:
    """The vectors of the unrelated texts, (42, size); encoded once in a process."""
    known = _encoded.get(encoder.name)
    if known is None:
        known = _encoded[encoder.name] = encoder.encode_texts(unrelated_texts())
    return known


_encoded: dict[str, np.ndarray] = {}


@lru_cache(maxsize=4)
def unrelated_texts(language: str = "") -> Sequence[str]:
    """Texts of many subjects, in English, Spanish and Chinese; language: only the 26 in "en", 8 in "es", 8 in "zh"."""
    lines = (Path(__file__).with_name("unrelated.txt")).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return tuple(text for code, text, *_ in rows if language in ("", code))
