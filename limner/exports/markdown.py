"""Article -> Markdown with each figure as a paragraph of its own, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from limner.document import Article, Illustration, Verbatim, markdown, read_markdown
from limner.errors import BadInput
from limner.exports.counting import compare, figures
from limner.exports.names import linked_files, target
from limner.exports.words import alt_of, as_bytes, attribution, caption_text, credited, credits_title, escaped
from limner.markdown.regions import code_spans

_NEWLINE = r"(?:\r\n|\n|\r(?!\n))"
_BLANK_LINE = re.compile(rf"{_NEWLINE}[ \t]*{_NEWLINE}\Z")


def to_markdown(article: Article, files: Mapping[str, str]) -> str:
    """The article's source with each figure as a paragraph of its own after the paragraph that it belongs to.

    files: image id -> path of the image file, relative to the Markdown file. A draft (`made_with["draft"]`) keeps its
    text character for character, with credits in the caption lines. In a composed article raw HTML and images in the
    text become plain text, and a list of credits ends it. Raises BadInput for a file name that leads out of the folder,
    KeyError for an image without a file.
    """
    return "".join(text for _, text in _pieces(article, files))


def without_figures(text: str, article: Article, files: Mapping[str, str]) -> str:
    """Invert `to_markdown`: remove everything that limner added.

    For a draft the result is `article.source`. Raises BadInput if the text is not the output of `to_markdown`.
    """
    kept, at = [], 0
    for ours, piece in _pieces(article, files):
        if not text.startswith(piece, at):
            raise BadInput(
                f"The Markdown differs from the article at character {at}. Export it again with `limner export`."
            )
        at += len(piece)
        if not ours:
            kept.append(piece)
    if at != len(text):
        raise BadInput(f"The Markdown continues after the article's end at character {at}. Export the article again.")
    return "".join(kept)


def _pieces(article: Article, files: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    """The Markdown from start to end, as (added by limner, text)."""
    composed = not article.made_with.get("draft")
    if composed:
        article = harmless(article)
    newline = _newline(article.source)
    figures: dict[str, list[str]] = {}
    for i in article.illustrations:
        figures.setdefault(i.after, []).append(_figure(i, files[i.image_id], newline, article.language))
    yield False, article.lead
    for block in article.body:
        if block.id not in figures:
            yield False, block.text + block.gap
            continue
        head, tail = _cut_gap(block.gap)
        at_end = block is article.body[-1] and not tail.strip()
        yield False, block.text + head
        yield True, _between(block.text + head, figures[block.id], newline, at_end)
        yield False, tail
    if composed and credited(article):
        yield True, _credits(article, newline)


def _newline(source: str) -> str:
    found = re.search(_NEWLINE, source)
    return found[0] if found else "\n"


def _cut_gap(gap: str) -> tuple[str, str]:
    """A block's gap, split where the next block, or a link definition within the gap, begins."""
    blank = gap[: len(gap) - len(gap.lstrip())]
    ends = [m.end() for m in re.finditer(_NEWLINE, blank)]
    at = ends[-1] if ends else len(blank)
    return gap[:at], gap[at:]


def _between(before: str, figures: Sequence[str], newline: str, at_end: bool) -> str:
    """The figures with the blank lines they need.

    Without one before it, a figure would continue the paragraph; without one after it, `---` would make it a heading.
    """
    gap_before = "" if _BLANK_LINE.search(before) else newline if before.endswith(("\n", "\r")) else newline * 2
    gap_after = newline * 2 if not at_end else newline if before.endswith(("\n", "\r")) else ""
    return gap_before + (newline * 2).join(figures) + gap_after


def _figure(i: Illustration, file: str, newline: str, language: str) -> str:
    """The image, a hard line break, its caption in italics and its credit in brackets; no blank line within."""
    image, caption = f"![{escaped(alt_of(i))}]({target(file)})", _caption_line(i, language)
    return f"{image}\\{newline}{caption}" if caption else image


def _caption_line(i: Illustration, language: str) -> str:
    caption, credit = escaped(i.caption), escaped(attribution(i, language))
    parts = [f"*{caption}*" if caption else "", f"({credit})" if credit else ""]
    return " ".join(part for part in parts if part)


def _credits(article: Article, newline: str) -> str:
    """The section that ends a composed article."""
    lines = [f"## {credits_title(article.language)}", ""]
    for n, i in enumerate(credited(article), 1):
        caption = escaped(i.caption) or escaped(alt_of(i))
        lines.append(
            f"{n}. " + " — ".join(part for part in (caption, escaped(attribution(i, article.language))) if part)
        )
    fence = _open_fence(article, newline)
    before = article.source + fence
    gap = "" if _BLANK_LINE.search(before) else newline if before.endswith(("\n", "\r")) else newline * 2
    return fence + gap + newline.join(lines) + newline


def _open_fence(article: Article, newline: str) -> str:
    """The line that closes a code block left open at the very end, else ""."""
    last = article.body[-1] if article.body else None
    if not isinstance(last, Verbatim):
        return ""
    tokens = markdown().parse(f"{last.text}\n\nx", {})
    if len(tokens) != 1 or tokens[0].type != "fence":
        return ""
    return ("" if last.gap.endswith(("\n", "\r")) else newline) + tokens[0].markup + newline


# --- text that a model wrote -------------------------------------------------------------------------------------

_RAW = {"html_block", "html_inline", "image"}
_TAG_OR_IMAGE = re.compile(r"<(?=[A-Za-z/!?])|!\[")
_MARKUP = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|<(?=[A-Za-z/!?])|!\[", re.DOTALL)
_MARKUP = re.compile(r"<|!\[")


def harmless(article: Article) -> Article:
    """The article with raw HTML and images in its text escaped; unchanged if there are none."""
    env: dict[str, Any] = {}
    if not has_raw(article.source, env):
        return article
    # First without touching code spans, because that reads best; if the parser still finds HTML, escape these, too.
    for tame in (_without_code, _everywhere):
        body = [b.model_copy(update={"text": tame(b.text)}) if has_raw(b.text, env) else b for b in article.body]
        tamed = article.model_copy(update={"body": tuple(body)})
        if not has_raw(tamed.source, {}):
            return tamed
    whole = {"body": tuple(b.model_copy(update={"text": _everywhere(b.text)}) for b in article.body)}
    return article.model_copy(update={**whole, "lead": _everywhere(article.lead)})


def _without_code(text: str) -> str:
    """Tags and images escaped, but for those in code spans."""
    out, at = [], 0
    for start, end in code_spans(text, 0, len(text)):
        out += [_TAG_OR_IMAGE.sub(_as_text, text[at:start]), text[start:end]]
        at = end
    return "".join([*out, _TAG_OR_IMAGE.sub(_as_text, text[at:])])


def _everywhere(text: str) -> str:
    return _MARKUP.sub(_as_text, text)


def _as_text(match: re.Match[str]) -> str:
    # Entities, not backslashes: a backslash before `<` could combine with an existing one and undo both.
    return {"<": "&lt;", "![": "&#33;\\["}.get(match[0], match[0])


def has_raw(source: str, env: dict[str, Any]) -> bool:
    """Whether Markdown contains raw HTML or an image. env: link definitions, read and extended."""
    tokens = markdown().parse(source, env)
    return any(t.type in _RAW or any(c.type in _RAW for c in t.children or ()) for t in tokens)


def check_markdown(article: Article, path: Path) -> None:
    text = path.read_bytes().decode("utf-8", errors="surrogateescape")
    if article.made_with.get("draft"):
        source = as_bytes(article.source).decode("utf-8", errors="surrogateescape")
        compare(path, "texts", [source], [without_figures(text, article, linked_files(article))])
    files = {i.file for i in article.illustrations}
    found = [figure for figure in markdown_figures(text) if figure[0] in files]
    for own in markdown_figures(article.source) if article.made_with.get("draft") else ():
        if own in found:  # an earlier export used as a draft may show a file of the same name
            found.remove(own)
    wanted = figures(article)
    compare(path, "images", [i.file for i in wanted], [file for file, _, _ in found])
    compare(path, "alternative texts", [alt_of(i) for i in wanted], [alt for _, alt, _ in found])
    compare(path, "captions", [caption_text(i, article.language) for i in wanted], [caption for _, _, caption in found])


def markdown_figures(text: str) -> Iterator[tuple[str, str, str]]:
    """(file, alternative text, caption line) of each paragraph that begins with an image."""
    for block in read_markdown(text).body:
        tokens = markdown().parse(block.text, {})
        inline = tokens[1] if tokens and tokens[0].type == "paragraph_open" else None
        first, *rest = (inline.children if inline else None) or [None]
        if first is not None and first.type == "image":
            alt = "".join(t.content for t in first.children or ())
            yield unquote(str(first.attrGet("src"))), alt, "".join(t.content for t in rest if t is not None)
