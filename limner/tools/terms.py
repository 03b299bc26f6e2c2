"""Turn texts into weighted bags of terms: stems and pairs of neighbouring stems."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from limner.lazy import lazy
from limner.tools.bm25 import words
from limner.tools.language import language_of

if TYPE_CHECKING:
    import snowballstemmer
else:  # a library is opened without it
    snowballstemmer = lazy("snowballstemmer")

Bag = Mapping[str, float]
"""Weights by term, together of unit length."""
_LETTER = re.compile(r"[^\W\d_]")
_LOOKED_AT = 40  # texts that are read to tell their language


def language(texts: Sequence[str]) -> str:
    """The language that texts are written in together, as a code that `terms` knows; "" for another or none."""
    if not any(map(_LETTER.search, texts)):
        return ""
    code = language_of(texts[:_LOOKED_AT]).code.partition("-")[0]
    name = _SNOWBALL.get(code, "")
    return code if name in snowballstemmer.algorithms() else ""


@lru_cache(maxsize=8192)
def terms(text: str, language: str = "") -> Mapping[str, int]:
    """Words and pairs of neighbours ("crab nebula"), counted; stemmed where the language has a stemmer."""
    found = [_stem(word, language) for word in words(text)] if language else words(text)
    return Counter([*found, *(" ".join(pair) for pair in pairwise(found))])


@lru_cache(maxsize=65536)
def _stem(word: str, language: str) -> str:
    return _stemmer(language)(word)


@lru_cache(maxsize=8)
def _stemmer(language: str) -> Callable[[str], str]:
    return snowballstemmer.stemmer(_SNOWBALL[language]).stemWord


def rarity(documents: Collection[Mapping[str, int]]) -> Mapping[str, float]:
    """Inverse document frequency as in BM25; a term that no document has is as rare as can be."""
    frequency = Counter(term for found in documents for term in found)
    n = len(documents)
    unseen = math.log(1 + (n + 0.5) / 0.5)
    known = {term: math.log(1 + (n - f + 0.5) / (f + 0.5)) for term, f in frequency.items()}
    return defaultdict(lambda: unseen, known)


def bag(found: Mapping[str, int], rare: Mapping[str, float]) -> Bag:
    """Weights of unit length: a count n as n / (n + 1.2), BM25's saturation with its usual k1, times rarity."""
    weights = {term: n / (n + 1.2) * rare[term] for term, n in found.items()}
    length = math.sqrt(sum(w * w for w in weights.values())) or 1
    return {term: w / length for term, w in weights.items()}


def dot(one: Bag, other: Bag) -> float:
    """The cosine of two bags, 0 to 1."""
    small, large = (one, other) if len(one) < len(other) else (other, one)
    return sum(w * large[term] for term, w in small.items() if term in large)


_SNOWBALL: Mapping[str, str] = {
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech", "da": "danish", "nl": "dutch",
    "en": "english", "eo": "esperanto", "et": "estonian", "fi": "finnish", "fr": "french", "de": "german",
    "el": "greek", "hi": "hindi", "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "no": "norwegian", "nb": "norwegian", "nn": "norwegian", "fa": "persian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "es": "spanish",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""Snowball's name of a language, by its ISO 639 code."""
