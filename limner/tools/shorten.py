"""Shorten a paragraph without a language model: leave out its least informative sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

import numpy as np

Similarity = Callable[[Sequence[str], Sequence[str]], np.ndarray]

OPENING = 0.15  # bonus in cosine for the first sentence, which usually names the subject
ALIKE = 0.85  # cosine above which a sentence repeats a kept one
_END = re.compile(
    r"(?<!\b[DM]r\.)(?<!\bMrs\.)(?<!\bSt\.)(?<!\b[A-Z]\.)(?<=[.!?])[\"'”’)\]]*\s+(?=[^\sa-z])|(?<=[。！？])[”’」』]*"
)


def sentences(text: str) -> list[str]:
    """A paragraph's sentences with their trailing blanks; joined, they are the paragraph."""
    cuts = [0, *(m.end() for m in _END.finditer(text) if 0 < m.end() < len(text)), len(text)]
    return [text[a:b] for a, b in pairwise(cuts) if text[a:b].strip()]


def shortened(text: str, similarity: Similarity) -> str:
    """About half of a paragraph: the sentences most similar to the whole, in order. "" if nothing can be left out.

    similarity: texts (n), texts (m) -> cosines (n, m). Lists and quotations are not shortened.
    """
    parts = sentences(text)
    if len(parts) < 2 or re.match(r"\s*(?:[-*+>]|\d+[.)])\s", text):
        return ""
    cosine = similarity(parts, parts)  # (n, n)
    worth = cosine.mean(axis=1)
    worth[0] += OPENING
    kept: list[int] = []
    for n in map(int, np.argsort(-worth)):
        if len(kept) == ceil(len(parts) / 2):
            break
        if not kept or float(cosine[n, kept].max()) < ALIKE:
            kept.append(n)
    new = "".join(parts[n] for n in sorted(kept)).strip()
    torn = any(new.count(mark) % 2 != text.count(mark) % 2 for mark in "*_`") or new.count("[") != new.count("]")
    return "" if torn else new
