"""The obvious alternative to a search in a store of vectors: numpy over all of them, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from many import Made

from limner.tools.encoders import Encoders

MANY = 200  # images per encoder in the fusion, as in limner.tools.store


class Brute:
    """Vectors as matrices, words as one list of images per term. Exact."""

    def __init__(self, encoders: Encoders, texts: Sequence[str]) -> None:
        """texts: the words of each image."""
        self.encoders = encoders
        assert isinstance(encoders.caption, Made)
        assert isinstance(encoders.clip, Made)
        self.tables = {"caption": encoders.caption.table, "clip": encoders.clip.table}
        lists: dict[int, list[tuple[int, float]]] = {}
        for n, text in enumerate(texts):
            for term, weight in zip(*encoders.words.document(text), strict=True):
                lists.setdefault(term, []).append((n, weight))
        self.count = len(texts)
        self.terms = {t: (np.array([n for n, _ in of]), np.array([w for _, w in of])) for t, of in lists.items()}

    def search(self, texts: Sequence[str], k: int, allowed: np.ndarray | None = None) -> list[list[int]]:
        """Per text the numbers of the k best images, best first. allowed: (n,) whether an image may be found."""
        assert self.encoders.clip
        asked = {"caption": self.encoders.caption.encode_texts(texts), "clip": self.encoders.clip.encode_texts(texts)}
        scores = {name: queries @ self.tables[name].T for name, queries in asked.items()}
        scores["words"] = np.stack([self._words(text) for text in texts])
        total = np.zeros((len(texts), self.count))
        for name, rows in scores.items():
            if allowed is not None:
                rows[:, ~allowed] = -np.inf
            most = min(MANY, self.count)
            best = np.argpartition(rows, -most, axis=1)[:, -most:]
            for row, found, fused in zip(rows, best, total, strict=True):
                ranked = found[(row[found] > 0) if name == "words" else np.isfinite(row[found])]
                if len(ranked) > 1:
                    fused[ranked] += 0.5 + (row[ranked] - row[ranked].mean()) / (6 * row[ranked].std(ddof=1))
        best = np.argpartition(total, -k, axis=1)[:, -k:]
        return [found[np.argsort(-fused[found])].tolist() for found, fused in zip(best, total, strict=True)]

    def _words(self, text: str) -> np.ndarray:
        """(n,) BM25."""
        score = np.zeros(self.count, np.float32)
        for term, times in zip(*self.encoders.words.query(text), strict=True):
            if term in self.terms:
                images, weights = self.terms[term]
                rarity = np.log(1 + (self.count - len(images) + 0.5) / (len(images) + 0.5))
                score[images] += times * rarity * weights
        return score
