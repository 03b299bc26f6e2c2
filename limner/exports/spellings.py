"""Parse what dialects write and CommonMark reads as text: one rule for each spelling, named by its dialect.

Each rule reads at most `_MOST` characters, or up to the next mark of its kind, so that parsing takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_MOST = 1_000


def with_spellings(parser: MarkdownIt, templates: bool) -> MarkdownIt:
    """The page parser with the rules of this module. templates: whether a site's generator may fill the text in."""
    parser.core.ruler.before("block", "tabs", _tabs)
    parser.core.ruler.before("block", "folded_footnotes", _folded_footnotes)
    parser.core.ruler.after("block", "left_out_blocks", _left_out_blocks)
    parser.core.ruler.after("block", "figures", _figures)
    parser.core.ruler.after("inline", "ticked_formulas", _ticked_formulas)
    parser.core.ruler.after("inline", "folded_labels", _folded_labels)
    parser.inline.ruler.before("escape", "bracket_math", _bracket_math)
    parser.inline.ruler.before("backticks", "role", _role)
    parser.inline.ruler.before("link", "bracketed_span", _bracketed_span)
    if templates:
        parser.inline.ruler.before("link", "templated_link", _templated_link)
        parser.inline.ruler.before("text", "template", _template)
        parser.inline.ruler.before("html_inline", "jsx_image", _jsx_image)
    return parser


# --- blocks ----------------------------------------------------------------------------------------------------------

_TAB = re.compile(r"([ \t]*)===[!+]*[ \t]+(?=([\"']).*\2[ \t]*\Z)")
_FENCED = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})(.*)")


def _tabs(state: StateCore) -> None:
    """Read the tabs of PyMdown, `=== "Title"`, as admonitions with this title."""
    if "===" not in state.src:
        return
    lines, fence = state.src.split("\n"), ""
    for n, line in enumerate(lines):
        if found := _FENCED.match(line):
            if not fence:
                fence = found[1]
            elif found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif not fence:
            found = _TAB.match(line)
            lines[n] = f"{found[1]}!!! tab {line[found.end() :]}" if found else line
    state.src = "\n".join(lines)


_CONTENTS = r"\[TOC\]|\[\[_?TOC_?\]\]|\$\{?toc\}?"  # Python-Markdown, StackEdit, markdown-it, GitLab
_PAGE_BREAK = r"\\(?:newpage|pagebreak|clearpage|cleardoublepage)(?:\{\}|\[\d\])?"  # pandoc
_OPTIONS = r"\{::(?:options|nomarkdown)\b[^{}]*/\}"  # kramdown
_SILENT = re.compile(rf"(?:{_CONTENTS}|{_PAGE_BREAK}|{_OPTIONS})", re.IGNORECASE)
_TOC_LIST = re.compile(r"[^\n]*\n?\{:[ \t]*toc\b[^{}\n]*\}")
_TABLE_CAPTION = re.compile(r"(?:[Tt]able)?:[ \t]+")


def _left_out_blocks(state: StateCore) -> None:
    """Leave out marks for contents, pages and options, and read pandoc's captions of tables."""
    tokens, out, skip = state.tokens, list[Token](), 0
    for n, token in enumerate(tokens):
        if n < skip:
            continue
        words = tokens[n + 1].content if token.type == "paragraph_open" else ""
        if words and _SILENT.fullmatch(words):
            skip = n + 3
            continue
        if words and words[0] in "Tt:" and (found := _TABLE_CAPTION.match(words)):
            beside = (tokens[n - 1].type if n else "", tokens[n + 3].type if n + 3 < len(tokens) else "")
            if "table_close" in beside or "table_open" in beside:
                tokens[n + 1].content = _without_attributes(words[found.end() :])
        if token.type in ("bullet_list_open", "ordered_list_open") and _is_contents(tokens[n : n + 7]):
            skip = n + 7
            continue
        out.append(token)
    state.tokens = out


def _without_attributes(words: str) -> str:
    """Words without the `{…}` at their end."""
    words = words.rstrip(" \t")
    at = words.rfind("{") if words.endswith("}") else -1
    return words if at < 0 or "}" in words[at:-1] or "\n" in words[at:] else words[:at].rstrip(" \t")


def _is_contents(tokens: Sequence[Token]) -> bool:
    """Whether a list is kramdown's mark for a table of contents: one item with `{:toc}`."""
    kinds = [token.type.rpartition("_")[0] or token.type for token in tokens]
    shape = ["list_item", "paragraph", "inline", "paragraph", "list_item"]
    return kinds[1:6] == shape and kinds[6][-4:] == "list" and bool(_TOC_LIST.fullmatch(tokens[3].content))


_FIGURE = re.compile(r"\{(?:figure|image|(figure-md))\}[ \t]*(.*)")
_BLANK = re.compile(r"\n[ \t]*\n")
_OPTION = re.compile(r":([\w-]+):[ \t]*([^\n]*)(?:\n|\Z)")
_YAML_OPTIONS = re.compile(r"---\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)


def _figures(state: StateCore) -> None:
    """Read MyST's ```{figure} crane.png and ```{image}: an image, and its caption as a paragraph."""
    out: list[Token] = []
    for token in state.tokens:
        found = _FIGURE.fullmatch(token.info.strip()) if token.type == "fence" else None
        if found is None or not (found[1] or found[2]):
            out.append(token)
            continue
        options, rest = _options(token.content)
        alt = re.sub(r"([\[\]\\])", r"\\\1", options.get("alt", ""))
        kinds = " ".join(f".{kind}" for kind in options.get("class", "").split())
        image = f"![{alt}](<{found[2].strip().translate({60: '', 62: ''})}>)" + (f"{{{kinds}}}" if kinds else "")
        # The content of {figure-md} is an image and its caption; what follows its name is a label.
        for words in _BLANK.split(rest) if found[1] else filter(None, (image, rest)):
            out.append(Token("paragraph_open", "p", 1, map=token.map, block=True, level=token.level))
            inline = Token("inline", "", 0, map=token.map, block=True, level=token.level + 1)
            inline.content, inline.children = words, []
            out += [inline, Token("paragraph_close", "p", -1, block=True, level=token.level)]
    state.tokens = out


def _options(text: str) -> tuple[dict[str, str], str]:
    """The options of a directive, `:alt: x` or YAML, and its content."""
    options: dict[str, str] = {}
    if head := _YAML_OPTIONS.match(text):
        pairs = (line.partition(":") for line in head[1].split("\n"))
        return {key.strip(): value.strip() for key, _, value in pairs}, text[head.end() :].strip()
    while found := _OPTION.match(text):
        options[found[1]] = found[2].strip()
        text = text[found.end() :]
    return options, text.strip()


# --- footnotes -------------------------------------------------------------------------------------------------------


class _Folded(dict[str, int]):
    """The plugin's labels of footnotes without regard to case, as GitHub and pandoc read them."""

    def __setitem__(self, key: str, value: int) -> None:
        super().__setitem__(key.casefold(), value)

    def __getitem__(self, key: str) -> int:
        return super().__getitem__(key.casefold())

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).casefold())


def _folded_footnotes(state: StateCore) -> None:
    notes = state.env.setdefault("footnotes", {})
    if not isinstance(notes.get("refs"), _Folded):
        known = notes.get("refs", {})
        notes["refs"] = _Folded()
        for label, number in known.items():
            notes["refs"][label] = number


def _folded_labels(state: StateCore) -> None:
    """Give a footnote's text and its references one spelling of its label, by which the plugin joins them."""
    for token in state.tokens:
        if token.type == "footnote_reference_open":
            token.meta["label"] = token.meta["label"].casefold()
    for item in state.env.get("footnotes", {}).get("list", {}).values():
        if "label" in item:
            item["label"] = item["label"].casefold()


# --- formulas and roles ----------------------------------------------------------------------------------------------

_MATH = re.compile(
    r"\\\(((?:[^\\\n]|\\[^()\[\]]|\n(?!\n)){1,1000})\\\)|\\\[((?:[^\\\n]|\\[^()\[\]]|\n(?!\n)){1,1000})\\\]"
)
_TEX = re.compile(r"[\\^_={}+*/<>|]|\A\s*[A-Za-z]\s*\Z")


def _bracket_math(state: StateInline, silent: bool) -> bool:
    r"""Parse TeX's `\(a_1\)` and `\[a_1\]`, as models write formulas; `\(words\)` and `\[1\]` stay escaped brackets."""
    if state.src[state.pos] != "\\" or state.src[state.pos + 1 : state.pos + 2] not in ("(", "["):
        return False
    found = _MATH.match(state.src, state.pos, state.posMax)
    if found is None or not _TEX.search(found[1] or found[2]):
        return False
    if not silent:
        kind = "math_inline" if found[1] else "math_inline_double"
        state.push(kind, "math", 0).content = found[1] or found[2]
    state.pos = found.end()
    return True


def _ticked_formulas(state: StateCore) -> None:
    """Read GitLab's and GitHub's $`a`$ without the ticks."""
    for token in (t for block in state.tokens for t in block.children or () if t.type == "math_inline"):
        if len(token.content) > 2 and token.content[0] == token.content[-1] == "`":
            token.content = token.content[1:-1]


_ROLE = re.compile(r"\{([A-Za-z][\w:.-]{0,40})\}(`+)([^`\n]{1,1000})\2(?!`)")
_SHOWN_ROLES = {
    "abbr", "any", "cite", "cite:p", "cite:t", "class", "dfn", "doc", "download", "emphasis", "eq", "func", "index",
    "mod", "numref", "ref", "strong", "term",
}  # fmt: skip
_TAGS = {"sub": "sub", "subscript": "sub", "sup": "sup", "superscript": "sup", "kbd": "kbd"}


def _role(state: StateInline, silent: bool) -> bool:
    """Parse MyST's roles: {math}`a_1` is a formula, of {ref}`words <target>` the words are shown."""
    found = _ROLE.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "{" else None
    if found is None or found[1] not in ("math", *_SHOWN_ROLES, *_TAGS):
        return False
    if not silent:
        words = re.sub(r"[ \t]*<[^<>]*>\s*\Z", "", found[3]) or found[3]
        if found[1] == "math":
            state.push("math_inline", "math", 0).content = found[3]
        elif tag := _TAGS.get(found[1]):
            state.push(f"{tag}_open", tag, 1)
            state.push("text", "", 0).content = words
            state.push(f"{tag}_close", tag, -1)
        else:
            state.push("text", "", 0).content = words.removeprefix("~")
    state.pos = found.end()
    return True


# --- links, spans, templates -----------------------------------------------------------------------------------------

_FILLED = r"(?:\{\{[^{}\n]{1,200}\}\}|\{%[^{}\n]{1,200}%\})"
_TEMPLATED = re.compile(rf"(!?)\[([^\[\]\n]{{0,300}})\]\([ \t]*((?:[^\s(){{}}<>]|{_FILLED})+)(?:[ \t]+\"[^\"\n]*\")?\)")


def _templated_link(state: StateInline, silent: bool) -> bool:
    """Parse a link or an image to a template: Hugo's `[a]({{< ref "a.md" >}})`, Jekyll's `{% link a.md %}`."""
    found = _TEMPLATED.match(state.src, state.pos, state.posMax) if state.src[state.pos] in "[!" else None
    if found is None or "{" not in found[3]:
        return False
    if not silent:
        name = _target(found[3])
        if found[1]:
            push_image(state, name, found[2])
        else:
            state.push("link_open", "a", 1).attrs = {"href": quote(name, safe="/#%?=&:")}
            _inner(state, found.start(2), found.end(2))
            state.push("link_close", "a", -1)
    state.pos = found.end()
    return True


def _target(target: str) -> str:
    """The file that a template names: its quoted text, the name after `link`, or what stands beside it."""
    beside = re.sub(_FILLED, "", target)
    quoted = re.search(r"[\"']([^\"']+)[\"']", target) or re.search(r"%[-+]?\s*(?:post_)?(?:link|url)\s+(\S+)", target)
    return (beside if len(beside) > 1 or quoted is None else quoted[1]).lstrip("/")


def _inner(state: StateInline, start: int, end: int) -> None:
    most, state.pos, state.posMax = state.posMax, start, end
    state.md.inline.tokenize(state)
    state.posMax = most


_SPAN = re.compile(r"\[([^\[\]\n^][^\[\]\n]{0,300})\]\{(?=[.#:]|[\w-]+=)[^{}\n]{0,300}\}")


def _bracketed_span(state: StateInline, silent: bool) -> bool:
    """Parse pandoc's `[words]{.smallcaps}`: its words."""
    found = _SPAN.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "[" else None
    if found is None or " ".join(found[1].split()).upper() in state.env.get("references", {}):
        return False
    if not silent:
        _inner(state, found.start(1), found.end(1))
    state.pos = found.end()
    return True


_TEMPLATE = re.compile(
    r"\{\{<(?!/\*)[ \t\n]*(/?)([^\s{}<>]*)([^{}]{0,1000}?)/?>\}\}|"
    r"\{\{%(?!/\*)[ \t\n]*(/?)([^\s{}%]*)([^{}]{0,1000}?)%\}\}|"
    r"\{%[-+]?[ \t\n]*(end|/)?([\w-]+)([^{}]{0,1000}?)[-+]?%\}"
)
_SILENT_TAGS = {"raw", "comment", "if", "for", "assign", "capture", "highlight", "pagebreak", "else", "elsif", "endraw"}
_VALUE = re.compile(r"(\w+)[ \t]*=[ \t]*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>%]+))")


def _template(state: StateInline, silent: bool) -> bool:
    """Leave out shortcodes and tags that a site's generator fills in, and name them; Hugo's `figure` is an image."""
    found = _TEMPLATE.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "{" else None
    if found is None:
        return False
    closes, name, rest = next(found.groups()[n : n + 3] for n in (0, 3, 6) if found[n + 2] is not None)
    values = {key: a or b or c for key, a, b, c in _VALUE.findall(rest or "")}
    if not silent and not closes:
        if name in ("figure", "img", "image") and values.get("src"):
            words = values.get("caption") or values.get("title") or ""
            push_image(state, values["src"].lstrip("/"), values.get("alt") or words)
            if words:
                state.push("softbreak", "br", 0)
                state.push("text", "", 0).content = words
        elif name not in _SILENT_TAGS:
            brackets = "{{{{< {} >}}}}" if found[0][1] == "{" else "{{% {} %}}"
            state.env.setdefault("left_out", set()).add(brackets.format(name))
    state.pos = found.end()
    return True


_JSX_IMAGE = re.compile(r"<img\b((?:[^<>{}]|\{[^{}<>]{0,300}\}){1,1000}?)/?>")
_SOURCE = re.compile(r"\bsrc=\{[^{}]*?[\"'`]([^\"'`{}]+)[\"'`]")
_ALT = re.compile(r"\balt=(?:\{?[\"'`])([^\"'`{}]*)")


def _jsx_image(state: StateInline, silent: bool) -> bool:
    """Parse MDX's `<img src={require('./crane.png').default} />`."""
    found = _JSX_IMAGE.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "<" else None
    source = _SOURCE.search(found[1]) if found else None
    if found is None or source is None:
        return False
    if not silent:
        alt = _ALT.search(found[1])
        push_image(state, source[1].lstrip("/"), alt[1] if alt else "")
    state.pos = found.end()
    return True


def push_image(state: StateInline, name: str, alt: str, kind: str = "") -> None:
    """Push an image by the name of its file. kind: its class."""
    token = state.push("image", "img", 0)
    token.attrs = {"src": quote(name, safe="/%#?=&:"), "alt": ""}
    if kind:
        token.attrSet("class", kind)
    token.content = alt
    token.children = [Token("text", "", 0, content=alt)]
