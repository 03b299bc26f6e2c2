"""Find the block or picture that a wish names: by its number, by quoted words, by the words of its subject."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from limner.agents.wishes.lexicon import fold
from limner.agents.wishes.parts import Mention, Part, content, han_pairs, masked
from limner.document import Article, Heading, Illustration, Paragraph

NAMED = 0.3  # share of a description's words that the block must hold
AHEAD = 2.0  # times that it must hold more than the next best
Place = tuple[str, Literal["before", "after"]]

ROOT, ENDING = 4, 3  # letters that two forms of a word share at least, and that they differ by at most


class NoSuchPart(Exception):
    """A wish names a part that the article does not have; the message says so to the person."""


@dataclass(frozen=True)
class Thing:
    """A block or picture that could be meant."""

    id: str
    words: str
    """Its text, for comparison and for the model's list."""


def things(article: Article, noun: str) -> list[Thing]:
    """The candidates of a kind, in reading order."""
    if noun in ("picture", "caption"):
        shown = [b for b in article.blocks() if isinstance(b, Illustration)]
        return [Thing(i.id, " ".join(dict.fromkeys(w for w in (i.caption, i.alt) if w))) for i in shown]
    if noun in ("heading", "section"):
        return [Thing(b.id, b.plain) for b in headings(article)]
    return [Thing(p.id, p.plain) for p in article.paragraphs]


def headings(article: Article) -> list[Heading]:
    """The headings of the article's sections: all but one at the top that is the title."""
    found = [b for b in article.body if isinstance(b, Heading)]
    titled = found and article.body[0].id == found[0].id and (found[0].level == 1 or found[0].plain == article.title)
    return found[1:] if titled else found


def section(article: Article, heading: str) -> list[str]:
    """Ids of a heading and of all blocks under it, up to the next of its level or above."""
    at = [b.id for b in article.body].index(heading)
    first = article.body[at]
    made = [first.id]
    for block in article.body[at + 1 :]:
        if isinstance(block, Heading) and isinstance(first, Heading) and block.level <= first.level:
            break
        made.append(block.id)
    return made


def named(article: Article, part: Part, mention: Mention | None, noun: str) -> list[str]:
    """Ids of what a mention surely names, none if rules cannot tell. Raises NoSuchPart."""
    among = things(article, noun)
    if not among:
        raise NoSuchPart(f"the article has no {noun}.")
    if mention is not None and mention.ordinals:
        return _counted(_scoped(article, part, among) if noun == "paragraph" else among, mention.ordinals, noun)
    if quoted := _quoted(part, among):
        return [quoted]
    about = mention.about if mention is not None else masked(part.text)
    if found := by_words(about, among):
        return [found]
    if len(among) == 1 and not content(about):
        return [among[0].id]
    return []


def _counted(among: Sequence[Thing], ordinals: Sequence[int], noun: str) -> list[str]:
    if any(abs(n) > len(among) for n in ordinals):
        raise NoSuchPart(f"there are only {len(among)} of its kind ({noun}).")
    return [among[n - 1 if n > 0 else n].id for n in ordinals]


def _scoped(article: Article, part: Part, among: Sequence[Thing]) -> Sequence[Thing]:
    """The paragraphs of the section that a part names beside them, all if it names none."""
    inside = part.mention("section") or part.mention("heading")
    if inside is None:
        return among
    heads = things(article, "heading")
    found = _quoted(part, heads) or by_words(inside.about, heads)
    if not found:
        return among
    ids = set(section(article, found))
    return [t for t in among if t.id in ids] or among


def _quoted(part: Part, among: Sequence[Thing]) -> str:
    for quote in part.quotes:
        wanted = " ".join(fold(quote).split()).strip(" .。…")
        holding = [t.id for t in among if wanted and wanted in " ".join(fold(t.words).split())]
        if len(holding) == 1:
            return holding[0]
    return ""


def by_words(about: str, among: Sequence[Thing]) -> str:
    """The one candidate that holds most of the words of a description, "" if none is far ahead of the others.

    A word weighs more the fewer candidates hold it.
    """
    wanted = list(dict.fromkeys(content(about)))
    if not wanted or not among:
        return ""
    held = {w: [_holds(t.words, w) for t in among] for w in wanted}
    weights = {w: math.log((len(among) + 1) / (sum(rows) + 0.5)) for w, rows in held.items()}
    scores = [sum(weights[w] for w in wanted if held[w][n]) for n in range(len(among))]
    order = sorted(range(len(among)), key=lambda n: -scores[n])
    best = order[0]
    share = sum(held[w][best] for w in wanted) / len(wanted)
    ahead = len(order) == 1 or scores[best] >= AHEAD * scores[order[1]]
    return among[best].id if scores[best] > 0 and share >= NAMED and ahead else ""


def _holds(text: str, word: str) -> bool:
    folded = fold(text)
    if re.match(r"[\u4e00-\u9fff]", word):
        return word in folded if len(word) == 1 else word in han_pairs(folded)
    return any(_same(word, other) for other in re.findall(r"[a-zäöüßñ0-9]+", folded))


def _same(a: str, b: str) -> bool:
    """Whether two words are one, but for their endings."""
    if a == b or a in (f"{b}s", f"{b}es") or b in (f"{a}s", f"{a}es"):
        return True
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    return shared >= max(ROOT, min(len(a), len(b)) - ENDING) and max(len(a), len(b)) - shared <= ENDING


def place(article: Article, part: Part, noun: str) -> Place | None:
    """(block id, "before" or "after") where a part wants something to go, None if rules cannot tell.

    Raises NoSuchPart.
    """
    mention = next((m for m in part.mentions if m.where), None)
    if mention is None and len(part.mentions) > 1 and noun in ("picture", "paragraph"):
        main = part.main
        mention = next(
            (m for m in part.mentions if m is not main and m.noun in ("paragraph", "section", "heading")), None
        )
    if mention is not None and mention.noun in ("title", "whole"):
        return (article.paragraphs[0].id, "before") if article.paragraphs else None
    if mention is not None:
        kind = mention.noun if mention.noun in ("picture", "heading", "section") else "paragraph"
        found = named(article, part, mention, kind)
        return _beside(article, found[0], kind, mention.where or "after") if found else None
    blocks: Sequence[Heading | Paragraph] = article.paragraphs
    if part.at and blocks:
        return (
            (blocks[-1].id, "after")
            if part.at == "after"
            else (blocks[0].id, "after" if noun == "picture" else "before")
        )
    return None


def _beside(article: Article, found: str, kind: str, where: Literal["before", "after"]) -> Place:
    if kind == "picture":
        image = next(i for i in article.illustrations if i.id == found)
        return image.after, "after"
    if kind == "section" and where == "after":
        return section(article, found)[-1], "after"
    return found, where
