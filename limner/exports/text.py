"""Render an article's text as a tree of safe HTML, with a mark for each figure, for all page formats.

The whole text is rendered at once, because footnotes, link definitions and HTML elements span blocks.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from markdown_it.token import Token

from limner.document import Article, Illustration
from limner.exports.bidi import direction, mark_directions
from limner.exports.links import give_ids, resolve
from limner.exports.pairs import by_theme, one_of_each_pair
from limner.exports.parser import page_parser, top_level
from limner.exports.safe import Replacement, complete, serialised, substitute, tree
from limner.exports.words import SURROGATE, line

_LINE = re.compile(r"\r\n|\n|\r")


class Text(NamedTuple):
    """The rendered text of an article."""

    root: Element
    """<article>; an <hr> with class `marks` and id `{marks}-{n}` marks the n-th figure, from 0."""
    marks: str
    figures: list[Illustration]
    notes: list[str]
    """Parts of the draft that are not shown, one line per kind."""


def text_of(article: Article) -> Text:
    """Render the article's text, with ids on headings and with resolved links."""
    marks = f"figure-{secrets.token_hex(8)}"
    draft, env = bool(article.made_with.get("draft")), {}
    parser = page_parser(draft)
    parser.parse(article.lead, env)  # the lead may contain link definitions
    tokens = parser.parse(article.source[len(article.lead) :], env)
    tokens, figures = _with_marks(article, tokens, marks)
    left_out: set[str] = set(env.get("left_out", ()))
    _prepare(tokens, left_out)
    root = tree(SURROGATE.sub("\ufffd", parser.renderer.render(tokens, parser.options, env)), marks)
    one_of_each_pair(root)
    lost = resolve(root, give_ids(root))
    mark_directions(root, direction(article))
    return Text(root, marks, figures, _notes(lost, left_out))


def notes_on(article: Article) -> list[str]:
    """Parts of the article's text that pages leave out, one line per kind."""
    return text_of(article).notes


def block_html(text: str, env: dict[str, Any]) -> str:
    """One block of Markdown as HTML without scripts, requests or styles; images become their alternative text.

    env: the parser's environment of the whole text, with its link definitions.
    """
    parser = page_parser(False)
    tokens = parser.parse(text, {"references": env.get("references", {})})
    _prepare(tokens, set())
    root = tree(SURROGATE.sub("\ufffd", parser.renderer.render(tokens, parser.options, env)), "")
    resolve(root, give_ids(root))
    return serialised(root)


def _with_marks(article: Article, tokens: list[Token], marks: str) -> tuple[list[Token], list[Illustration]]:
    """The tokens with one for each figure, after the block in which its paragraph ends."""
    wanted, figures = _lines(article), []
    out: list[Token] = []
    done = 0
    ends = [*top_level(tokens)]
    for n, (stop, _, _) in enumerate(ends):
        out += tokens[done:stop]
        done = stop
        following = ends[n + 1][1] if n + 1 < len(ends) else None
        while wanted and (following is None or wanted[0][0] <= following):
            mark = Token("figure", "hr", 0, attrs={"class": marks, "id": f"{marks}-{len(figures)}"}, block=True)
            figures.append(wanted.pop(0)[1])
            out.append(mark)
    return [*out, *tokens[done:]], figures


def _lines(article: Article) -> list[tuple[int, Illustration]]:
    """(line after its paragraph, counted from the text's first line, figure) in reading order."""
    ends, line_number = {}, 0
    for block in article.body:
        line_number += len(_LINE.findall(block.text))
        ends[block.id] = line_number + 1
        line_number += len(_LINE.findall(block.gap))
    return [(ends[i.after], i) for i in article.blocks() if isinstance(i, Illustration)]


def _prepare(tokens: list[Token], left_out: set[str]) -> None:
    """Remove styles and incomplete raw HTML from the tokens."""
    for token in tokens:
        if align := token.attrs.pop("style", ""):  # of table cells; the page's policy allows no style attributes
            token.attrSet("class", str(align).removeprefix("text-align:"))
        for part in (token, *(token.children or ())):
            if part.type in ("html_block", "html_inline"):
                part.content = complete(part.content, left_out)


def _notes(lost: list[str], left_out: set[str]) -> list[str]:
    notes = []
    if lost:
        which = "link" if len(lost) == 1 else "links"
        notes.append(
            f"{len(lost)} {which} of the draft to files beside it or to no heading became plain text in pages; "
            f"the first: {line(lost[0])[:200]}. Write whole addresses to keep them."
        )
    if left_out:
        tags = (name if name.startswith("{") else f"<{name}>" for name in sorted(left_out)[:10])
        names = ", ".join(line(tag)[:48] for tag in tags)
        notes.append(f"Pages leave out what they cannot show safely: {names}.")
    return notes


# --- images in the text ----------------------------------------------------------------------------------------------


def image_names(image: Element) -> list[str]:
    """The targets of an <img>, best first: its `src`, then those of its `srcset`."""
    targets = (image.get("src", ""), *_candidates(image.get("srcset", "")))
    return [name for target in targets if target for name in _files(target)]


def _files(target: str) -> Iterator[str]:
    """The names of files that a target may mean: as it is, and without `#gh-dark-mode-only` or `?raw=true`."""
    yield unquote(target)
    bare = re.split("[?#]", target, maxsplit=1)[0]
    if bare and bare != target and ":" not in target:
        yield unquote(bare)


def _candidates(srcset: str) -> list[str]:
    return [part.split()[0] for part in srcset.split(",") if part.split()]


def names_in(root: Element) -> Iterator[list[str]]:
    """For each image in the text, in reading order, its possible files."""
    for parent in root.iter():
        for child in parent:
            if child.tag == "img":
                yield _names(parent, child)


def _names(parent: Element, image: Element) -> list[str]:
    """An image's possible files, best first; those for dark pages come last."""
    sources = [e for e in parent if e.tag == "source"] if parent.tag == "picture" else []
    light, some, dark = (
        [f for s in part for n in _candidates(s.get("srcset", "")) for f in _files(n)] for part in by_theme(sources)
    )
    return [*light, *image_names(image), *some, *dark]


def replace_images(root: Element, shown: Callable[[list[str], str], Element | None]) -> None:
    """Replace each image by the element from `shown(names, alternative text)`; None leaves its text."""
    for parent in list(root.iter()):

        def replaced(child: Element, parent: Element = parent) -> Replacement | None:
            if child.tag != "img":
                return None
            alt = child.get("alt", "")
            element = shown(_names(parent, child), line(alt))
            return ([], alt) if element is None else ([element], "")

        substitute(parent, replaced)
        if parent.tag == "picture":
            parent.tag = "span"
            substitute(parent, lambda child: ([], "") if child.tag == "source" else None)
