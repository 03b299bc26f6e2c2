"""Encode texts as the sparse vectors of BM25: which words they have, and how often."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Sparse(NamedTuple):
    """A sparse vector: `values[i]` at dimension `indices[i]`. Indices are distinct, in 0 .. 2**32 - 1."""

    indices: list[int]
    values: list[float]


# NLTK's English list, without words that also name things or places ("own", "down", "above", "below", "off").
_STOP_WORDS = """
a about after again all also am an and any are as at be because been before being between both but by can could
did do does doing during each few for from further had has have having he her here hers herself him himself his how
i if in into is it its itself just me more most my myself no nor not now of on once only or other our ours
ourselves out over same she should so some such than that the their theirs them themselves then there these they
this those through to too under until up very was we were what when where which while who whom why will with would
you your yours yourself yourselves s t
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"[^\W_]+")
# Scripts without spaces between words: Thai to Khmer, kana, CJK ideographs. Hangul has spaces and is left out.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


def words(text: str) -> list[str]:
    """The words for BM25: lower case, without English stop words and plural s; CJK runs as bigrams."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        at = 0
        for run in _UNSPACED.finditer(word):
            found += [_singular(word[at : run.start()]), *_bigrams(run[0])]
            at = run.end()
        found.append(_singular(word[at:]))
    return [word for word in found if word and word not in STOP_WORDS]


def _singular(word: str) -> str:
    """ "galaxies" -> "galaxy", "stars" -> "star"; "glass", "venus" and "analysis" stay."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _bigrams(run: str) -> Iterable[str]:
    return (run[n : n + 2] for n in range(len(run) - 1)) if len(run) > 1 else (run,)


class Words:
    """BM25 as sparse vectors: stores the weights of a document's words; Qdrant counts their rarity (IDF).

    The score is the dot product of `query` and `document`, each dimension times ln(1 + (N - n + 0.5) / (n + 0.5)) over
    the N images of a library, n of them with the word. A word's dimension is its CRC-32, so there is no vocabulary to
    store; with 20,000 words 5% of libraries have one pair that shares a dimension. Source: Robertson and Zaragoza 2009,
    "The Probabilistic Relevance Framework: BM25 and Beyond".
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75, average: float = 15) -> None:
        """average: words per document, fixed so that adding images changes no stored vector.

        15 is a photograph's caption; the drawings' names have 5, a textbook's captions with alternative texts 80. On
        the latter 15, 30 and 80 gave a mean reciprocal rank of 0.695, 0.697 and 0.681 (see store.py for the task).
        """
        self.k1, self.b, self.average = k1, b, average

    @property
    def name(self) -> str:
        """Includes the parameters and the version of `words`, because both affect the vectors."""
        return f"bm25 k1={self.k1:g} b={self.b:g} average={self.average:g} words=1"

    def document(self, *texts: str) -> Sparse:
        """Saturated term frequencies of a caption, and of other texts beside it. Each counts by its own length, a word
        in several of them once: a page of text in a picture takes no weight from the words of its caption."""
        weights: dict[int, float] = {}
        for text in texts:
            counts = Counter(map(_dimension, words(text)))
            base = self.k1 * (1 - self.b + self.b * counts.total() / self.average)
            for word, n in counts.items():
                weights[word] = max(weights.get(word, 0.0), n * (self.k1 + 1) / (n + base))
        return Sparse(list(weights), list(weights.values()))

    def query(self, text: str) -> Sparse:
        """The number of occurrences of each word in the query."""
        counts = Counter(map(_dimension, words(text)))
        return Sparse(list(counts), [float(n) for n in counts.values()])


def _dimension(word: str) -> int:
    return zlib.crc32(word.encode())
