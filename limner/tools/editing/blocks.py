"""Join blocks of text: kept text stays unchanged, and new text gets the blank lines it needs.

Link definitions between blocks are never lost, and images move to a remaining paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from limner.document import Article, Heading, Paragraph, Verbatim, plain_text, read_markdown
from limner.errors import EditRefused
from limner.text import one_line

AnyBlock = Heading | Paragraph | Verbatim

MAX_SOURCE = 2_000_000  # characters of an article
MAX_BLOCKS = 5_000
MAX_IMAGES = 500
_CAN_OPEN = re.compile(r"```|~~~|<")
LINE_END = re.compile(r"\r\n|\n|\r")


def newline_of(article: Article) -> str:
    found = LINE_END.search(article.source)
    return found[0] if found else "\n"


def check_size(article: Article) -> None:
    if len(article.body) > MAX_BLOCKS or len(article.illustrations) > MAX_IMAGES:
        raise EditRefused(f"An article has at most {MAX_BLOCKS} blocks and {MAX_IMAGES} images. Make two of it.")
    if sum(len(b.text) + len(b.gap) for b in article.body) > MAX_SOURCE:
        raise EditRefused(f"An article has at most {MAX_SOURCE:,} characters. Make two of it.")


def changed(article: Article, **fields: Any) -> Article:
    """A copy with other fields and without cached properties, which pydantic would copy from the old article."""
    return Article.model_construct(**{**dict(article), **fields})


def replaced(
    article: Article,
    start: int,
    stop: int,
    new: Sequence[AnyBlock],
    homes: Mapping[str, str] | None = None,
    kept: str = "",
) -> Article:
    """The article with other blocks in place of those from start to stop.

    homes: block id -> the new place of its images, "" for the nearest paragraph. kept: the gap of the deleted blocks,
    whose link definitions stay.
    """
    before, after = list(article.body[:start]), list(article.body[stop:])
    lead = article.lead
    if kept.strip():
        newline = newline_of(article)
        saved = newline * 2 + kept.strip() + newline * 2
        if before:
            before[-1] = before[-1].model_copy(update={"gap": before[-1].gap.rstrip() + saved})
        else:
            lead = (lead.rstrip() + saved) if lead.strip() else saved.lstrip()
    return with_body(article, [*before, *new, *after], homes or {}, lead)


def with_body(
    article: Article, body: Sequence[AnyBlock], homes: Mapping[str, str] | None = None, lead: str | None = None
) -> Article:
    if not body:
        raise EditRefused("Nothing would be left of the article. Write something else in place of it first.")
    if sum(len(b.text) for b in body) > MAX_SOURCE:
        check_size(changed(article, body=tuple(body)))
    sewn = changed(article, **_sewn(article, list(body), article.lead if lead is None else lead))
    if not sewn.illustrations:
        return sewn
    paragraphs = {p.id for p in sewn.paragraphs}
    if not paragraphs:
        raise EditRefused("No paragraph would be left for the images to stand after. Take the images out first.")
    homed = []
    for image in article.illustrations:
        home = (homes or {}).get(image.after) or image.after
        if home not in paragraphs:
            home = _near(article, image.after, paragraphs) or sewn.paragraphs[0].id
        homed.append(image if home == image.after else image.model_copy(update={"after": home}))
    return sewn.illustrated(homed)


def _near(article: Article, block_id: str, paragraphs: set[str]) -> str | None:
    """The remaining paragraph before a block, else the one after it."""
    order = [b.id for b in article.body]
    at = order.index(block_id)
    return next((i for i in [*reversed(order[:at]), *order[at + 1 :]] if i in paragraphs), None)


def _sewn(article: Article, body: list[AnyBlock], lead: str) -> dict[str, Any]:
    """Lead and body, with blank lines between new neighbours."""
    newline = newline_of(article)
    old = {a.id: (a, b) for a, b in zip(article.body, [*article.body[1:], None], strict=True)}

    def as_before(block: AnyBlock, following: AnyBlock | None) -> bool:
        pair = old.get(block.id)
        if pair is None or pair[0] != block:
            return False
        return pair[1] is None if following is None else pair[1] is not None and _same(pair[1], following)

    for n, (block, following) in enumerate(pairwise(body)):
        if not as_before(block, following):
            _refuse_open(block)
            body[n] = block.model_copy(update={"gap": _separating(block.gap, newline)})
    last = body[-1]
    if not as_before(last, None):
        ending = article.body[-1].gap if article.body else newline
        ending = ending[len(ending.rstrip()) :]
        body[-1] = last.model_copy(update={"gap": last.gap.rstrip() + ending})
    first = article.body[0] if article.body else None
    if first is None or not _same(first, body[0]) or lead != article.lead:
        if lead.strip():
            lead = _separating(lead, newline, before=False)
        elif body[0].text.startswith("---"):
            lead = newline
    return {"lead": lead, "body": tuple(body)}


def _same(one: AnyBlock, other: AnyBlock) -> bool:
    return one.id == other.id and one.text == other.text


def _separating(gap: str, newline: str, *, before: bool = True) -> str:
    """A gap that separates two blocks: a blank line, on both sides of any content."""
    if not gap.strip():
        return gap if len(LINE_END.findall(gap)) > 1 else newline * 2
    text = gap.strip()
    head, tail = gap[: gap.index(text)], gap[gap.index(text) + len(text) :]
    head = head if not before or len(LINE_END.findall(head)) > 1 else newline * 2
    tail = tail if len(LINE_END.findall(tail)) > 1 else newline * 2
    return head + text + tail


def _refuse_open(block: AnyBlock) -> None:
    """Refuse a fence, comment or tag that never ends, which would swallow the following text."""
    if not _CAN_OPEN.search(block.text):
        return
    probe = "limner"
    newline = (LINE_END.search(block.text) or ["\n"])[0]
    cut = read_markdown(f"{newline}{block.text}{newline * 2}{probe}")
    last = cut.body[-1]
    if not isinstance(last, Paragraph) or last.text != probe:
        opening = plain_text(block.text)[:40] or block.text.split("\n", 1)[0][:40]
        raise EditRefused(f"A code block or HTML that is opened here never ends: {one_line(opening)!r}. Close it.")
