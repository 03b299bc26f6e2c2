"""Balance the tags of rendered HTML before it is parsed as HTML, so that parsing takes linear time.

An HTML parser opens every `<b>` that was never closed again in each following paragraph, and searches all open elements
at each new one: 40 kB of `<b title=…><p>` became 38 MB. Here each element ends within the one around it, as a
browser would end it, and the depth is bounded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

DEPTH = 100  # open elements; tags of deeper ones are dropped, but not their text
FORMATTING = 12  # of them inline

TAG = re.compile(
    r"""<(/?)([A-Za-z][\w.:-]*)((?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?)*)\s*(/?)>"""
)
"""A complete tag. Groups: `/` of an end tag, name, attributes, `/` of an empty one."""
VOID = {"br", "col", "hr", "img", "source", "wbr"}
_INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd", "mark", "picture", "q", "rp",
    "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "u", "var",
}  # fmt: skip
_CELLS = {"td", "th", "caption"}
_TABLE = {"table", "thead", "tbody", "tfoot", "tr"}  # their end tags end open cells, too
_ENDED: dict[str, tuple[set[str], set[str]]] = {
    "li": ({"li"}, {"ul", "ol", *_CELLS}),
    "dt": ({"dt", "dd"}, {"dl", *_CELLS}),
    "dd": ({"dt", "dd"}, {"dl", *_CELLS}),
    "td": ({"td", "th"}, {"tr", "table"}),
    "th": ({"td", "th"}, {"tr", "table"}),
    "tr": ({"tr", "caption", "colgroup"}, {"table"}),
    "thead": ({"thead", "tbody", "tfoot", "caption", "colgroup"}, {"table"}),
    "tbody": ({"thead", "tbody", "tfoot", "caption", "colgroup"}, {"table"}),
    "tfoot": ({"thead", "tbody", "tfoot", "caption", "colgroup"}, {"table"}),
    "rt": ({"rt", "rp"}, {"ruby"}),
    "rp": ({"rt", "rp"}, {"ruby"}),
}
"""Start tag -> (open elements that it ends, those beyond which it ends none), as in the HTML standard."""
_PARAGRAPH = ({"p"}, _CELLS)


def balanced(text: str) -> str:
    """HTML whose every element has an end tag within the element around it.

    text: HTML in which every `<` that begins no complete tag is escaped.
    """
    return "".join(_balanced(text))


def _balanced(text: str) -> Iterator[str]:
    opened: list[str] = []
    dropped: Counter[str] = Counter()  # open elements beyond the limits
    at = 0
    for tag in TAG.finditer(text):
        yield text[at : tag.start()]
        at = tag.end()
        name, before = tag[2].lower(), len(opened)
        if tag[1]:
            if dropped[name]:
                dropped[name] -= 1
            else:
                yield from _until(opened, _end(opened, name))
        else:
            yield from _until(opened, _implied(opened, name))
            if name in VOID:
                yield tag[0]
            elif tag[4]:  # `<a name="x"/>`, `<Card />`: a browser would leave it open, its author would not
                yield f"<{tag[2]}{tag[3]}></{tag[2]}>"
            elif len(opened) >= DEPTH or (name in _INLINE and sum(n in _INLINE for n in opened) >= FORMATTING):
                dropped[name] += 1
            else:
                opened.append(name)
                yield f"<{tag[2]}{tag[3]}>"
        if len(opened) < before:
            dropped.clear()
    yield text[at:]
    yield from _until(opened, 0)


def _until(opened: list[str], count: int) -> Iterator[str]:
    """End tags until so many elements are open."""
    while len(opened) > count:
        yield f"</{opened.pop()}>"


def _end(opened: list[str], name: str) -> int:
    """The number of open elements after an end tag; one of a phrase ends no block."""
    for n in range(len(opened) - 1, -1, -1):
        if opened[n] == name:
            return n
        if (opened[n] in _CELLS and name not in _TABLE) or (name in _INLINE and opened[n] not in _INLINE):
            break
    return len(opened)


def _implied(opened: list[str], name: str) -> int:
    """The number of open elements that a start tag leaves open."""
    rules = [_ENDED[name]] if name in _ENDED else []
    rules += [_PARAGRAPH] if name not in _INLINE and name not in VOID - {"hr"} else []
    left = len(opened)
    if name == "a":  # no link is within another; blocks that were opened in one stay
        for n in range(len(opened) - 1, -1, -1):
            if opened[n] not in _INLINE:
                break
            if opened[n] == "a":
                left = n
    for ended, limits in rules:
        for n in range(len(opened) - 1, -1, -1):
            if opened[n] in limits:
                break
            if opened[n] in ended:
                left = min(left, n)
                break
    return left
