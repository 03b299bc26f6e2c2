"""Make a draft's HTML safe, as a tree: complete tags of known elements, no scripts, requests or styles.

A renderer passes raw HTML through, and an unfinished tag would swallow the following text and figures. So tags are
checked within their block (`complete`), ammonia sanitises the whole (`tree`), and dropped elements are named.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import nh3

from limner.exports.balance import TAG, VOID, balanced

DEPTH = 60  # levels of nesting; deeper elements are dropped, but not their text

_BLOCKS = (
    "address article aside blockquote center details div figcaption figure footer header main nav p pre section summary"
)
_LISTS = "dd dl dt li menu ol ul"
_TABLES = "caption col colgroup table tbody td tfoot th thead tr"
_INLINE = (
    "a abbr b bdi bdo big br cite code del dfn em font hr i img ins kbd mark picture q rp rt ruby s samp small source "
    "span strike strong sub sup time tt u var wbr h1 h2 h3 h4 h5 h6"
)
_OTHER = (
    "acronym applet area audio base body button canvas data datalist embed fieldset form frame frameset head html "
    "iframe input label legend link map math meta meter noembed noframes noscript object optgroup option output param "
    "plaintext progress script select slot style svg template textarea title track video xmp path g rect circle line "
    "polygon polyline ellipse defs use text tspan"
)
ALLOWED = frozenset(" ".join((_BLOCKS, _LISTS, _TABLES, _INLINE)).split()) - {"font", "big", "tt", "main", "menu"}
_KNOWN = frozenset(" ".join((_BLOCKS, _LISTS, _TABLES, _INLINE, _OTHER)).split())
_NAMED = frozenset(
    (
        *("applet", "audio", "button", "canvas", "embed", "form", "frame", "iframe", "input", "math", "object"),
        *("script", "select", "style", "svg", "textarea", "video"),
    )
)
"""Elements that a reader would miss."""

_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<[?!].*?(?:>|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)


def complete(text: str, left_out: set[str]) -> str:
    """Raw HTML reduced to complete tags of allowed elements; any other `<` becomes text.

    left_out: receives the names of dropped elements that a reader will miss.
    """
    left_out |= {found[1].lower() for found in _UNSEEN.finditer(text) if found[1]}
    text = _UNSEEN.sub("", text)
    out: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        out.append(text[at:start])
        found = TAG.match(text, start)
        name = found[2].lower() if found else ""
        if found is None or _is_word(found[2]):
            out.append("&lt;")
            at = start + 1
            continue
        at = found.end()
        if name in ALLOWED:
            out.append(found[0])
        elif name in _NAMED or name not in _KNOWN:
            left_out.add(found[2])
    return "".join([*out, text[at:]])


def _is_word(name: str) -> bool:
    """Whether `<name>` is not an HTML tag: `vector<int>` is text, `<Tabs>` and `<my-player>` are components."""
    return name.lower() not in _KNOWN and name[0].islower() and not re.search("[-:.]", name)


THEMES = {
    **{f"{a}{theme}{b}": theme for theme in ("light", "dark") for a, b in (("", ""), ("only-", ""), ("", "-only"))},
    **{f"{theme}-{what}": theme for theme in ("light", "dark") for what in ("content", "mode-only", "mode", "img")},
    "dark:hidden": "light",
    "dark:block": "dark",
    "dark:inline": "dark",
    "dark:sl-hidden": "light",
    "light:sl-hidden": "dark",
    "light:hidden": "dark",
}
"""Class -> the pages that show an element of it."""

_CLASSES = {
    "a": {"footnote-backref"},
    "code": {"math-inline", "math-block"},
    "div": {"admonition"},
    "p": {"admonition-title"},
    "section": {"footnotes"},
    "sup": {"footnote-ref"},
    "img": {"wiki", *THEMES},
    "td": {"left", "right", "center"},
    "th": {"left", "right", "center"},
}
_ATTRIBUTES = {
    "*": {"id", "dir", "lang", "title"},
    "a": {"href", "name"},
    "img": {"src", "srcset", "alt", "width", "height", "classname"},
    "source": {"srcset", "media"},
    "ol": {"start", "reversed"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "time": {"datetime"},
}


def tree(text: str, marks: str) -> Element:
    """Rendered HTML as a tree below one <article>. marks: class of the <hr> elements that mark figures."""
    ids: set[str] = set()

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name == "id":
            if value in ids or not value or re.search(r"\s", value):
                return None
            ids.add(value)
        if name == "href" and value.lower().lstrip().startswith("data:"):
            return None
        return value if name != "dir" or value.lower() in ("ltr", "rtl") else None

    safe = nh3.clean(
        balanced(text),
        tags=set(ALLOWED),
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        allowed_classes={**_CLASSES, "hr": {marks}},
        url_schemes={"http", "https", "mailto", "tel", "data"},
        link_rel=None,
    )
    builder = _Builder()
    builder.feed(safe)
    builder.close()
    return builder.root


class _Builder(HTMLParser):
    """Elements of complete HTML, such as the sanitiser's output."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("article")
        self._open = [self.root]
        self._skipped = 0
        self._said: list[str] = []

    def close(self) -> None:
        super().close()
        self._flush()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID and (self._skipped or len(self._open) > DEPTH):
            self._skipped += 1
            return
        self._flush()
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif tag not in VOID and len(self._open) > 1:
            self._flush()
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._said.append(data)

    def _flush(self) -> None:
        """Put the text since the last tag into the tree, at once: piece by piece it would be copied each time."""
        if self._said:
            _append(self._open[-1], "".join(self._said))
            self._said.clear()


def serialised(element: Element) -> str:
    """The content of an element as HTML."""
    children = (ElementTree.tostring(child, "unicode", "html") for child in element)
    return "".join([html.escape(element.text or "", quote=False), *children])


Replacement = tuple[Sequence[Element], str]
"""Elements in the place of another, and text before them."""


def substitute(parent: Element, new: Callable[[Element], Replacement | None]) -> None:
    """Replace children of an element, all in one pass; their tails stay. new: None keeps a child."""
    children = list(parent)
    made = [new(child) for child in children]
    if not any(made):
        return
    parent[:] = []
    said = [parent.text or ""]
    parent.text = None
    for child, replacement in zip(children, made, strict=True):
        tail, child.tail = child.tail or "", None
        elements, text = ([child], "") if replacement is None else replacement
        said.append(text)
        for element in elements:
            _append(parent, "".join(said))
            said = [element.tail or ""]
            element.tail = None
            parent.append(element)
        said.append(tail)
    _append(parent, "".join(said))


def _append(parent: Element, text: str) -> None:
    """Add text to the end of an element."""
    if not text:
        return
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
