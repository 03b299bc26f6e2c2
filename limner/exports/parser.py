"""The Markdown parser of pages: CommonMark plus the dialects' extensions, one rule per spelling.

`limner.document` splits a text into blocks; this parser renders it. It knows footnotes, definition lists, formulas,
task lists, admonitions in six spellings, Obsidian's embeds and links, attributes and comments.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.admon import admon_plugin
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin

from limner.exports.marks import highlight, script
from limner.exports.spellings import push_image, with_spellings

KINDS = {
    "abstract", "attention", "bug", "caution", "check", "danger", "error", "example", "failure", "faq", "hint",
    "important", "info", "note", "question", "quote", "seealso", "success", "summary", "tip", "todo", "warning",
}  # fmt: skip
"""Kinds of admonition, used as title if the text gives none."""


@lru_cache(maxsize=2)
def page_parser(html: bool) -> MarkdownIt:
    """html: whether to pass raw HTML on, to be sanitised; else it becomes text, and an image its alternative text."""
    parser = MarkdownIt("commonmark", {"html": True, "tasklists": True}).enable(["table", "strikethrough"])
    parser.use(footnote_plugin).use(deflist_plugin).use(admon_plugin).use(amsmath_plugin)
    parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True, allow_blank_lines=False)
    alternatives: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("fence", "fenced_div", _fenced_div, alternatives)
    parser.block.ruler.before("fence", "comment", _comment_block, alternatives)
    parser.inline.ruler.before("link", "highlight", highlight)
    parser.inline.ruler.before("link", "script", script)
    parser.inline.ruler.before("link", "wiki", _wiki)
    parser.inline.ruler.after("image", "image_with_spaces", _image_with_spaces)
    parser.inline.ruler.before("text", "comment_inline", _comment_inline)
    parser.inline.ruler.before("text", "attributes", _attributes)
    parser.core.ruler.before("block", "fences", _fences)
    parser.core.ruler.after("block", "callouts", _callouts)
    parser.core.ruler.before("inline", "directives", _directives)
    parser.core.ruler.before("inline", "heading_attributes", _heading_attributes)
    parser.core.ruler.push("task_lists", _task_lists)
    parser.core.ruler.push("image_sizes", _image_sizes)
    for kind in ("math_inline", "math_inline_double"):
        parser.add_render_rule(kind, _formula)
    for kind in ("math_block", "math_block_label", "amsmath"):
        parser.add_render_rule(kind, _displayed)
    parser.add_render_rule("footnote_caption", _footnote_number)
    parser.add_render_rule("footnote_block_open", _footnotes)
    if not html:
        for kind in ("html_block", "html_inline", "image"):
            parser.add_render_rule(kind, _as_text)
    return with_spellings(parser, templates=html)


# --- fenced divs, callouts, directives -------------------------------------------------------------------------------

_FENCE = re.compile(r"[ \t>]*(:{3,}|/{3,})[ \t]*(.*?)[ \t:]*\Z")


def _fences(state: StateCore) -> None:
    """Pair opening and closing fences, once for the whole text: `env["fences"]` is line -> (closing line, info)."""
    pairs: dict[int, tuple[int, str]] = {}
    opened: dict[str, list[tuple[int, str]]] = {":": [], "/": []}
    if ":::" in state.src or "///" in state.src:
        for n, line in enumerate(state.src.split("\n")):
            if found := _FENCE.match(line):
                stack = opened[found[1][0]]
                if found[2]:
                    stack.append((n, found[2]))
                elif stack:
                    first, info = stack.pop()
                    pairs[first] = n, info
    state.env["fences"] = pairs


def _fenced_div(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse `:::` of pandoc, Quarto, Docusaurus, VuePress and MyST, and `///` of PyMdown, also nested."""
    at = state.bMarks[start] + state.tShift[start]
    if state.src[at : at + 3] not in (":::", "///") or state.is_code_block(start):
        return False
    close, info = state.env.get("fences", {}).get(start, (end, ""))
    if close >= end:
        return False
    if silent:
        return True
    kind, title = _kind_and_title(info)
    _open_box(state, kind, title, [start, close + 1])
    parent, last = state.parentType, state.lineMax
    state.parentType, state.lineMax = "container", close
    state.md.block.tokenize(state, start + 1, close)
    state.parentType, state.lineMax = parent, last
    state.push("box_close", "div", -1)
    state.line = close + 1
    return True


def _kind_and_title(info: str) -> tuple[str, str]:
    """`note Title`, `note[Title]`, `{note} Title`, `{.note}`, `admonition | Title` -> (kind, title)."""
    info = info.strip()
    braced = re.match(r"\{([^}]*)\}[ \t]*(.*)", info)
    words, rest = (braced[1], braced[2]) if braced else ("", info)
    classes = re.findall(r"\.?([A-Za-z][\w-]*)", re.sub(r"#\S+|\w+=(?:\"[^\"]*\"|\S+)", "", words))
    if not braced:
        found = re.match(r"([A-Za-z][\w-]*)[ \t]*(.*)", info)
        classes, rest = ([found[1]], found[2]) if found else ([], "")
    kinds = [name.lower().removeprefix("callout-") for name in classes]
    kind = next((name for name in kinds if name in KINDS), kinds[0] if kinds else "")
    title = rest.strip(" \t|\"'[]") if not rest.startswith("{") else ""
    if not title and kind in KINDS:
        title = kind.capitalize()
    return kind, title


def _open_box(state: StateBlock | StateCore, kind: str, title: str, lines: list[int], level: int = 0) -> list[Token]:
    """Tokens of an admonition's beginning; pushes them if given a block state."""
    known = kind in KINDS or bool(title)
    if isinstance(state, StateBlock):
        level = state.level
    tokens = [Token("box_open", "div", 1, attrs={"class": "admonition"} if known else {}, map=lines, block=True)]
    if title:
        head = Token("paragraph_open", "p", 1, attrs={"class": "admonition-title"}, map=lines, block=True, level=1)
        words = Token("inline", "", 0, content=title, children=[], map=lines, block=True, level=2)
        tokens += [head, words, Token("paragraph_close", "p", -1, block=True, level=1)]
    for token in tokens:
        token.level += level
    if isinstance(state, StateBlock):
        state.tokens += tokens
        state.level += 1
    return tokens


_CALLOUT = re.compile(r"\[!([\w-]+)(?:\|[^\]]*)?\][+-]?[ \t]*(.*)")


def _callouts(state: StateCore) -> None:
    """Parse `> [!note] Title` of GitHub and Obsidian."""
    tokens: list[Token] = []
    closing: list[bool] = []
    for n, token in enumerate(state.tokens):
        if token.type == "blockquote_open":
            words = state.tokens[n + 2] if n + 2 < len(state.tokens) else None
            found = _CALLOUT.match(words.content) if words is not None and words.type == "inline" else None
            closing.append(found is not None)
            if found and words is not None:
                rest = words.content.partition("\n")[2]
                kind = found[1].lower()
                title = found[2].strip() or kind.capitalize()
                tokens += _open_box(state, kind, title, token.map or [0, 0], token.level)
                words.content = rest
                continue
        if token.type == "blockquote_close" and closing.pop():
            token.type, token.tag = "box_close", "div"
        tokens.append(token)
    state.tokens = tokens


def _directives(state: StateCore) -> None:
    """Parse MyST's ```{note}, whose content is Markdown, and ```math."""
    tokens: list[Token] = []
    for token in state.tokens:
        info = token.info.strip() if token.type == "fence" else ""
        if info.startswith("{") and (kind := info[1:].partition("}")[0].strip().lower()) in (*KINDS, "admonition"):
            title = info.partition("}")[2].strip() or kind.capitalize()
            tokens += _open_box(state, kind, title, token.map or [0, 0], token.level)
            content = re.sub(r"\A(?::[\w-]+:[^\n]*\n)+", "", token.content)
            inner: list[Token] = []
            state.md.block.parse(content, state.md, {**state.env, "fences": {}}, inner)
            for part in inner:
                part.level, part.map = part.level + token.level + 1, None
            tokens += [*inner, Token("box_close", "div", -1, block=True, level=token.level)]
            continue
        if info in ("math", "{math}"):
            content = re.sub(r"\A(?::[\w-]+:[^\n]*\n)+", "", token.content)
            token.type, token.content = "math_block", content
        tokens.append(token)
    state.tokens = tokens


# --- headings and lists ----------------------------------------------------------------------------------------------

_LONGEST_ATTRIBUTES = 500  # characters at the end of a heading
_ATTRIBUTES = re.compile(
    r"[ \t]+(?:\{/\*|<!--)[ \t]*#?([\w-]+)[ \t]*(?:\*/\}|-->)[ \t]*\Z|"
    r"[ \t]+\{:?[ \t]*(?:#([^\s}]+))?[^{}]*\}[ \t]*\Z|[ \t]+\^[\w-]+[ \t]*\Z"
)


def _heading_attributes(state: StateCore) -> None:
    """Parse `# Heading {#id}` of pandoc, kramdown and Hugo, and `# Heading {/* #id */}` of Docusaurus."""
    for heading, words in zip(state.tokens, state.tokens[1:], strict=False):
        marked = heading.type == "heading_open" and ("{" in words.content or "<!--" in words.content)
        tail = max(0, len(words.content) - _LONGEST_ATTRIBUTES)
        found = _ATTRIBUTES.search(words.content[tail:]) if marked else None
        if found:
            words.content = words.content[: tail + found.start()]
            if given := found[1] or found[2]:
                heading.attrSet("id", given)


def _task_lists(state: StateCore) -> None:
    """Show task boxes as characters, which every format and reader displays."""
    for n, token in enumerate(state.tokens):
        if token.type == "list_item_open" and "checked" in token.meta:
            words = next((t for t in state.tokens[n + 1 : n + 3] if t.type == "inline"), None)
            box = Token("text", "", 0, content="☑ " if token.meta["checked"] else "☐ ")
            if words is not None and words.children is not None:
                words.children.insert(0, box)
            token.meta = {}


# --- inline ---------------------------------------------------------------------------------------------------

_WIKI = re.compile(r"(!?)\[\[([^\[\]\n|]+?)(?:\\?\|([^\[\]\n]*))?\]\](?![(\[:])")
"""In tables, Obsidian writes `\\|` for `|`; it reads that everywhere."""


def _wiki(state: StateInline, silent: bool) -> bool:
    """Parse Obsidian's `![[picture.png|300]]`, `[[page|words]]` and `[[#heading]]`."""
    if state.src[state.pos] not in "![":
        return False
    found = _WIKI.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        name, words = found[2].strip(), (found[3] or "").strip()
        if found[1]:
            alt = "" if re.fullmatch(r"\d+(?:x\d+)?", words) else words
            push_image(state, quote(name, safe="/%"), alt or re.sub(r"\.\w+$", "", name.rpartition("/")[2]), "wiki")
        else:
            opening = state.push("link_open", "a", 1)
            opening.attrs = {"href": quote(name, safe="#/") if name.startswith("#") else f"{quote(name)}.md"}
            state.push("text", "", 0).content = words or name.lstrip("#")
            state.push("link_close", "a", -1)
    state.pos = found.end()
    return True


_SPACED = re.compile(r"!\[([^\[\]\n]{0,1000})\]\([ \t]*([^()<>\n]{1,300})\)")
_TITLE = re.compile(r"(?:[ \t]+(?:\"[^\"]*\"|'[^']*'|=\d*%?x\d*%?))+[ \t]*\Z")
"""A title, and a size as HackMD and BoostNote write it: `![](crane.png =300x200)`."""
_EXTENSION = re.compile(r"\.\w{2,4}\Z")


def _image_with_spaces(state: StateInline, silent: bool) -> bool:
    """Parse `![](my picture.png)`, which most editors, but not CommonMark, read as an image."""
    found = _SPACED.match(state.src, state.pos) if state.src[state.pos] == "!" else None
    name = _TITLE.sub("", found[2]).strip() if found else ""
    if found is None or not _EXTENSION.search(name):
        return False
    if not silent:
        push_image(state, quote(name.replace("\\", "/"), safe="/%"), found[1])
    state.pos = found.end()
    return True


_ALT_SIZE = re.compile(r"\|[ \t]*\d+(?:x\d+)?[ \t]*\Z")


def _image_sizes(state: StateCore) -> None:
    """Take the size out of alternative texts, where Obsidian writes it: `![A crane|300x200](crane.png)`."""
    for image in (t for block in state.tokens for t in block.children or () if t.type == "image"):
        for part in (image, *(image.children or ())[-1:]):
            part.content = _ALT_SIZE.sub("", part.content)


_CLASS = re.compile(r"(?<=[\s{:])\.([\w-]+)")
_ATTRIBUTE_LIST = re.compile(r"\{[:#.\w][^{}\n]{0,300}\}")


def _attributes(state: StateInline, silent: bool) -> bool:
    """Drop attributes such as `{width=50%}` after an image, a link or code (pandoc, kramdown, MyST)."""
    if state.src[state.pos] != "{" or not state.tokens or state.pending:
        return False
    found = _ATTRIBUTE_LIST.match(state.src, state.pos)
    last = state.tokens[-1]
    if found is None:
        return False
    emphasis = last.type == "text" and found[0][1] in ":.#" and _ends_emphasis(state)
    if last.type not in ("image", "code_inline", "link_close") and not emphasis:
        return False
    if not silent and state.tokens[-1].type == "image" and (kinds := _CLASS.findall(found[0])):
        state.tokens[-1].attrSet("class", " ".join(kinds))  # it may be for dark pages only
    state.pos = found.end()
    return True


def _ends_emphasis(state: StateInline) -> bool:
    """Whether the last token is a mark that ends the emphasis of an earlier one: the `_` of `t_{.05}` ends none."""
    if not state.delimiters or state.delimiters[-1].token != len(state.tokens) - 1:
        return False
    marker, opened, ends = state.delimiters[-1].marker, 0, False
    for mark in (d for d in state.delimiters[-_MARKS:] if d.marker == marker):
        ends = mark.close and opened > 0
        opened += -1 if ends else bool(mark.open)
    return ends


_MARKS = 100  # before a list of attributes; more cost each such list as much again


# --- comments --------------------------------------------------------------------------------------------------------

MAX_COMMENT = 100_000  # characters to search for the end of a comment
_COMMENTS = (  # opening mark, closing mark: Obsidian, MDX, Liquid, kramdown, Jinja
    ("%%", "%%"),
    ("{/*", "*/}"),
    ("{% comment %}", "{% endcomment %}"),
    ("{::comment}", "{:/comment}"),
    ("{#", "#}"),
)


def _comment_end(state: StateBlock | StateInline, at: int) -> int:
    """The end of the comment that begins at `at`, -1 if none begins there or it never ends.

    The state stores the next closing mark, so that the search reads the text once, whatever it begins.
    """
    text = state.src
    known: dict[str, tuple[int, int]] = state.__dict__.setdefault("limner_comments", {})
    for opening, closing in _COMMENTS:
        if text.startswith(opening, at) and not (opening == "{#" and not text[at + 2 : at + 3].isspace()):
            since = at + len(opening)
            first, end = known.get(closing, (0, -2))
            if not first <= since <= (len(text) if end == -1 else end):
                end = text.find(closing, since)
                known[closing] = since, end
            return end + len(closing) if 0 <= end < since + MAX_COMMENT else -1
    return -1


def _comment_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    at = state.bMarks[start] + state.tShift[start]
    if state.src[at : at + 1] not in ("%", "{"):
        return False
    if state.src.startswith("% ", at):  # a line of MyST's
        last = start
    else:
        stop = _comment_end(state, at)
        if stop < 0:
            return False
        last = bisect_left(state.eMarks, stop, start, end)
        if last >= end or state.src[stop : state.eMarks[last]].strip():
            return False
    if not silent:
        state.line = last + 1
    return True


def _comment_inline(state: StateInline, silent: bool) -> bool:
    stop = _comment_end(state, state.pos) if state.src[state.pos] in "%{" else -1
    if stop < 0:
        return False
    state.pos = stop
    return True


# --- HTML of the extensions --------------------------------------------------------------------------------


def _formula(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    display = "block" if tokens[index].type == "math_inline_double" else "inline"
    return f'<code class="math-{display}">{escapeHtml(tokens[index].content.strip())}</code>'


def _displayed(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return f'<p><code class="math-block">{escapeHtml(tokens[index].content.strip())}</code></p>\n'


def _footnote_number(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return str(tokens[index].meta["id"] + 1)


def _footnotes(*_: Any) -> str:
    return '<section class="footnotes">\n<ol>\n'


def _as_text(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    if token.content.lstrip().startswith("<!--"):
        return ""
    text = escapeHtml(token.content.strip())
    return f"<p>{text}</p>\n" if token.type == "html_block" else text


def top_level(tokens: Sequence[Token]) -> Iterator[tuple[int, int, int]]:
    """(index after the last token, first line, line after the last) of each top-level block that has lines."""
    start = 0
    for n, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            lines = tokens[start].map
            start = n + 1
            if lines:
                yield n + 1, lines[0], lines[1]
