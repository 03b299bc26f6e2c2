"""The spotter: choose the paragraphs that need an image, and the caption it should match."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Literal

from limner.agents.dialects import instruct
from limner.agents.prompts import text_tokens
from limner.agents.speaker import Speaker
from limner.document import Article, Paragraph, Spot

WINDOW_TOKENS = 3000  # tokens of article text in one prompt; fits a context of 8 192 with candidates and four images
TOKENS_PER_SPOT = 120  # two captions of 200 characters and their JSON


def how_many(article: Article, images: int | Literal["auto"]) -> int:
    """Number of spots to propose: 1.5 times as many as will be kept, so that `arrange` has a choice.

    For "auto" one for every two paragraphs, more than any article will keep.
    """
    paragraphs = len(article.paragraphs)
    wanted = ceil(paragraphs / 2) if images == "auto" else images
    return min(paragraphs, ceil(1.5 * wanted) + 1) if images == "auto" or images else 0


def windows(article: Article, tokens: int = WINDOW_TOKENS) -> list[Sequence[Paragraph]]:
    """The article's paragraphs in windows of at most about `tokens` tokens; a short article is one window."""
    paragraphs = article.paragraphs
    cuts, size = [0], 0.0
    for n, paragraph in enumerate(paragraphs):
        cost = text_tokens(paragraph.plain)
        if size and size + cost > tokens:
            cuts.append(n)
            size = 0
        size += cost
    return [paragraphs[a:b] for a, b in pairwise([*cuts, len(paragraphs)])]


def window_of(article: Article, paragraph_id: str) -> Sequence[Paragraph]:
    """The window of a paragraph: the same for every question about it, so that its prompt is cached."""
    return next(w for w in windows(article) if any(p.id == paragraph_id for p in w))


def spot(
    article: Article, speaker: Speaker, images: int | Literal["auto"], seed: int = 0, instruction: str = ""
) -> list[Spot]:
    """Propose spots in reading order, more than will be kept. instruction: a person's remarks on earlier spots.

    Raises UnreadableReply if an answer cannot be read twice.
    """
    spots: list[Spot] = []
    total = how_many(article, images)
    for window in windows(article):
        limit = ceil(total * len(window) / len(article.paragraphs))
        if not limit:
            continue
        numbers = [article.number(p.id) + 1 for p in window]
        spots += speaker.ask(
            instruct.ask_spots(article, limit, window, instruction),
            lambda reply, limit=limit, window=window: instruct.read_spots(reply, article, limit, window),
            schema=instruct.spots_schema(limit, numbers[0], numbers[-1]),
            max_tokens=TOKENS_PER_SPOT * limit + 50,
            seed=seed,
        )
    return spots
