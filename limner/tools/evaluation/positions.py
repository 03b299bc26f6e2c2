"""Where an article's figures stand: how many, how far apart, and beside the text that they belong to or not.

A figure's own text is the paragraph that shares most with its caption and alternative text: stemmed words and pairs of
words, weighted by their rarity in the article (`tools.terms`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from limner.document import Article, Illustration
from limner.text import count_words
from limner.tools.evaluation.measured import NO_FIGURE, Finding, Measured
from limner.tools.terms import bag, dot, language, rarity, terms

OPENING = 25
"""Words of running text before which an article has not begun: a line of an author, or a date."""
COMPARED = 200
"""Figures whose text is looked for; limner places 100 at most."""


def figures_of(article: Article) -> list[Illustration]:
    """The figures in reading order."""
    return [block for block in article.blocks() if isinstance(block, Illustration)]


def positions(article: Article) -> Measured:
    """Counts, distances and neighbours of the figures."""
    found, figures = Measured(), figures_of(article)
    texts = [p.plain for p in article.paragraphs]
    counts = [count_words(text) for text in texts]
    at = [article.number(figure.after) for figure in figures]  # the paragraph before each, from 0
    found.values |= {"words": sum(counts), "paragraphs": len(texts), "figures": len(figures)}
    if sum(counts):
        found.values["per_1000_words"] = 1000 * len(figures) / sum(counts)
    else:
        found.absent("the article has no words", "per_1000_words")
    read = [sum(counts[: n + 1]) for n in at]
    early = [n for n, words in enumerate(read, 1) if words < OPENING]
    found.share("opening", early, len(figures), f"stands before the first {OPENING} words of the text")
    _distances(found, at, len(texts))
    _own_texts(found, figures, texts, at)
    return found


def _distances(found: Measured, at: Sequence[int], paragraphs: int) -> None:
    edges = [-1, *at, paragraphs - 1] if at else [-1, paragraphs - 1]
    found.values["longest_without"] = max(b - a for a, b in pairwise(edges))
    gaps = [b - a for a, b in pairwise(at)]
    if not gaps:
        found.absent("it takes two figures", "distance", "clumps")
        return
    found.values["distance"] = fmean(gaps)
    near = [n for n, gap in enumerate(gaps, 2) if gap <= 1]
    found.share("clumps", near, len(gaps), "stands at most one paragraph after the figure before it")


def _own_texts(found: Measured, figures: Sequence[Illustration], texts: Sequence[str], at: Sequence[int]) -> None:
    """Compare each figure's place with the paragraph that shares most words with it."""
    names = ("own_text", "before_text", "text_distance")
    if not figures or len(figures) > COMPARED:
        return found.absent(f"more than {COMPARED} figures" if figures else NO_FIGURE, *names)
    spoken = language(texts)
    counted = [terms(text, spoken) for text in texts]
    rare = rarity(counted)
    bags = [bag(one, rare) for one in counted]
    off: dict[int, int] = {}
    for n, (figure, place) in enumerate(zip(figures, at, strict=True), 1):
        said = bag(terms(f"{figure.caption} {figure.alt}", spoken), rare)
        shared = [dot(said, one) for one in bags]
        if best := max(shared):
            off[n] = (
                0 if shared[place] == best else min((i - place for i, s in enumerate(shared) if s == best), key=abs)
            )
    if not off:
        return found.absent("no caption shares a word with the text", *names)
    early = {n: by for n, by in off.items() if by > 0}
    found.values["own_text"] = sum(by == 0 for by in off.values()) / len(off)
    found.values["before_text"] = len(early) / len(off)
    found.values["text_distance"] = fmean(map(abs, off.values()))
    found.findings += [
        Finding("before_text", n, f"stands {by} paragraph{'s' * (by != 1)} before the text closest to its words")
        for n, by in early.items()
    ]
    return None
