"""New Markdown as blocks of an article, with new ids that are the same each time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from limner.document import Article, Heading, Paragraph, Verbatim, read_markdown
from limner.errors import EditRefused
from limner.notes import note
from limner.text import one_line
from limner.tools.editing import commands as e
from limner.tools.editing.blocks import LINE_END, AnyBlock, newline_of

_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff]")
MARK = re.compile(r"[\\`*_\[\]<>&~|#!{]")
_ATX = re.compile(r"^ {0,3}#{1,6}(?:[ \t]+|$)|[ \t]+#+[ \t]*$")
_SETEXT = re.compile(r"(?:\r\n|\n|\r)[ \t]*(?:=+|-+)[ \t]*$")


def ids_of(article: Article) -> set[str]:
    """Ids of all blocks and images."""
    return {b.id for b in article.body} | {i.id for i in article.illustrations}


def fragment(
    article: Article, edit: e.Edit, text: str, replaces: AnyBlock | None, taken: Sequence[str] = ()
) -> list[AnyBlock]:
    """Markdown as blocks with new ids. replaces: the replaced block, whose id goes to the first and gap to the last."""
    newline = newline_of(article)
    text = LINE_END.sub(lambda _: newline, _NOT_TEXT.sub("", text)).strip(newline).rstrip()
    # The blank line before it: `---` at the very beginning would be taken for front matter.
    cut = read_markdown(newline + text)
    if not cut.body:
        raise EditRefused(note("no-text"))
    body = list(cut.body)
    if definitions := cut.lead.strip():
        body[0] = body[0].model_copy(update={"gap": f"{newline * 2}{definitions}{newline * 2}"})
    ids = new_ids(article, edit, len(body), taken=taken)
    if replaces is not None:
        ids[0] = replaces.id
        gap = replaces.gap if not body[-1].gap.strip() else body[-1].gap.rstrip() + replaces.gap
        body[-1] = body[-1].model_copy(update={"gap": gap})
    return [b.model_copy(update={"id": i}) for b, i in zip(body, ids, strict=True)]


def new_ids(article: Article, edit: e.Edit, count: int, *, prefix: str = "b", taken: Sequence[str] = ()) -> list[str]:
    """Ids that neither the article nor `taken` has, derived from the edit."""
    used = ids_of(article) | set(taken)
    seed = hashlib.sha256("\0".join([edit.model_dump_json(), *sorted(used)]).encode("utf-8", "replace"))
    ids: list[str] = []
    number = 0
    while len(ids) < count:
        salted = seed.copy()
        salted.update(str(number).encode())
        one = f"{prefix}{salted.hexdigest()[:10]}"
        number += 1
        if one not in used:
            ids.append(one)
            used.add(one)
    return ids


def joined(first: AnyBlock, second: AnyBlock, newline: str) -> str:
    """The Markdown of two blocks as one."""
    if isinstance(first, Verbatim) or isinstance(second, Verbatim):
        return first.text + newline + second.text
    second_text = _bare(second) if isinstance(second, Heading) else second.text
    if isinstance(first, Heading):
        if not isinstance(second, Heading):
            return f"{_bare(first)} {second_text}"
        return f"{'#' * first.level} {' '.join(f'{_bare(first)} {second_text}'.split())}"
    simple = all(re.match(r"[^\s>*+\-\d|#=]", text) for text in (first.text, second_text))
    return first.text + (" " if simple else newline) + second_text


def _bare(heading: Heading) -> str:
    return _ATX.sub("", _SETEXT.sub("", heading.text)).strip()


def last_paragraph(blocks: Sequence[AnyBlock]) -> str:
    """Id of the last paragraph among blocks, "" if there is none."""
    return next((b.id for b in reversed(blocks) if isinstance(b, Paragraph)), "")


def title_heading(article: Article) -> Heading | None:
    """The first heading, if it repeats the title."""
    first = next((b for b in article.body if isinstance(b, Heading)), None)
    return first if first is not None and one_line(first.plain) == one_line(article.title) else None
