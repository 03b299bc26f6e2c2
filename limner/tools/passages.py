"""Find the passages of a long text that a question is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from limner.tools.terms import bag, dot, language, rarity, terms

AMONG = 200  # passages whose meaning is compared, the first by their words; an encoder takes seconds for them

Similarity = Callable[[Sequence[str], Sequence[str]], Any]
"""Texts (n), texts (m) -> cosines (n, m) in [-1, 1]."""


def nearest(
    question: str, passages: Sequence[str], sizes: Sequence[float], room: float, similarity: Similarity
) -> list[int]:
    """Places of the passages nearest to a question, by words and meaning, as many as fit; ascending.

    sizes: of each passage, in the unit of `room`, which they may fill together.
    """
    kept: list[int] = []
    for n in _ranked(question, passages, similarity):
        if sizes[n] <= room:
            kept.append(n)
            room -= sizes[n]
    return sorted(kept)


def _ranked(question: str, passages: Sequence[str], similarity: Similarity) -> list[int]:
    """Places of all passages, the nearest first; those equally near in reading order."""
    spoken = language(passages)
    documents = [terms(text, spoken) for text in passages]
    rare = rarity(documents)
    asked = bag(terms(question, spoken), rare)
    shared = [dot(asked, bag(found, rare)) for found in documents]
    first = sorted(range(len(passages)), key=lambda n: -shared[n])
    some = first[:AMONG]
    near = similarity([question], [passages[n] for n in some])[0] if some else []
    score = {n: shared[n] + float(cosine) for n, cosine in zip(some, near, strict=True)}
    return [*sorted(some, key=lambda n: -score[n]), *first[AMONG:]]
