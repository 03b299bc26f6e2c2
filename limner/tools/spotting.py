"""Spot without a language model: every paragraph is a spot, and its own words are the query.

For models too small to judge. `arrange` decides which spots get an image, because it knows the library's match for
each. Over 70 textbook sections a paragraph's position, length, neighbours and words such as "shows" did not help to
predict the authors' figures once the match with the library was known (bench/illustrate.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from limner.document import Article, Block, Paragraph, Spot, Verbatim
from limner.tools.bm25 import words
from limner.tools.language import UNKNOWN, language_of

SEARCH_WORDS = 200  # MiniLM reads 256 word pieces, about 1.3 per word
SEARCH_CHARS = 2000  # for scripts without spaces between words
CAPTION_CHARS = 140  # one line under an image on a phone, two at most

USUAL, ANNOUNCING = 0.5, 0.1
"""Strengths. A paragraph that ends in a colon announces the next one; an image must not separate them."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’»)\]]*\s+|(?<=[。！？])|\n+")
_COLONS = (":", "：")
_OPENERS = '"“‘«([ '


def spots_from_text(article: Article) -> list[Spot]:
    """A spot after every paragraph that has words, in reading order; ids "s1", "s2", ….

    caption: the paragraph's most informative sentence, at most 140 characters, in the article's language. search: the
    heading above the paragraph (the title before the first one) and the paragraph, at most 200 words; the heading names
    what the paragraph calls "it". strength: 0.5, or 0.1 between a colon and the announced text.
    """
    after = dict(zip((b.id for b in article.body), (*article.body[1:], None), strict=False))
    spots, topic = [], article.title
    for block in article.body:
        text = " ".join(block.plain.split())
        if not isinstance(block, Paragraph):
            topic = text or topic
        elif text:
            spots.append(
                Spot(
                    id=f"s{len(spots) + 1}",
                    after=block.id,
                    caption=_caption(block.plain),
                    search=_search(topic, text),
                    strength=_strength(text, after[block.id]),
                )
            )
    return spots


def bilingual(spots: Sequence[Spot]) -> bool:
    """Whether the captions are in another language than the search captions, as a model writes them for an article that
    is not in English."""
    if all(spot.caption in spot.search for spot in spots):
        return False
    captions, searched = (language_of(texts).code for texts in ([s.caption for s in spots], [s.search for s in spots]))
    return captions != searched and UNKNOWN not in (captions, searched)


def _strength(text: str, following: Block | None) -> float:
    return ANNOUNCING if text.endswith(_COLONS) and isinstance(following, Paragraph | Verbatim) else USUAL


def _search(topic: str, text: str) -> str:
    """Topic and text as one string, cut at a word."""
    topic = topic.rstrip(". ")
    return " ".join((f"{topic}. {text}" if topic else text).split()[:SEARCH_WORDS])[:SEARCH_CHARS].rstrip()


def _caption(text: str) -> str:
    """The sentence that shares most words with the rest of its paragraph relative to its length; cut at a word if too
    long."""
    sentences = [s.strip() for s in _SENTENCE_END.split(text) if s and s.strip()]
    bags = [set(_words(s)) for s in sentences]
    counts: dict[str, int] = {}
    for word in (w for bag in bags for w in bag):
        counts[word] = counts.get(word, 0) + 1
    # For each of its words, the number of sentences that use it; divided by the root of its length, or the longest
    # would always win.
    says = [sum(counts[w] - 1 for w in bag) / max(1, len(bag)) ** 0.5 for bag in bags]
    return _line(sentences[max(range(len(sentences)), key=lambda n: (says[n], -n))])


def _words(sentence: str) -> list[str]:
    return words(sentence)


def _line(text: str) -> str:
    """Text on one line, at most CAPTION_CHARS long, cut at a space if possible."""
    text = " ".join(text.split())
    text = text.lstrip(_OPENERS) or text
    if len(text) <= CAPTION_CHARS:
        return text
    cut = text[: CAPTION_CHARS - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > CAPTION_CHARS // 2 else cut).rstrip(" ,;:—-") + "…"
