"""Set directions in pandoc's DOCX, which marks the text but not titles, tables and pages, and marks Latin as Arabic.

Sources: ECMA-376 part 1, 17.3.1.6 (bidi of a paragraph), 17.3.2.30 (rtl of a run), 17.4.1 (bidiVisual of a table),
17.6.1 (bidi of a section); within a paragraph from right to left, `left` means its beginning (part 4, 2.10.4).
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from limner.exports.bidi import direction_of, reads

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NAMES = {
    "w": _W[1:-1],
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "o": "urn:schemas-microsoft-com:office:office",
    "v": "urn:schemas-microsoft-com:vml",
    "w10": "urn:schemas-microsoft-com:office:word",
    "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
    "pic": "http://schemas.openxmlformats.org/drawingml/2006/picture",
    "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
}
_BEFORE_BIDI = {
    "pStyle", "keepNext", "keepLines", "pageBreakBefore", "framePr", "widowControl", "numPr", "suppressLineNumbers",
    "pBdr", "shd", "tabs", "suppressAutoHyphens", "kinsoku", "wordWrap", "overflowPunct", "topLinePunct",
    "autoSpaceDE", "autoSpaceDN",
}  # fmt: skip
_BEFORE_VISUAL = {"tblStyle", "tblpPr", "tblOverlap"}
_AFTER_SECTION = {"rtlGutter", "docGrid", "printerSettings", "sectPrChange"}
_AFTER_RTL = {"cs", "em", "lang", "eastAsianLayout", "specVanish", "oMath"}
"""Word refuses children in another order than that of its schema."""


def directed(text: str, base: str) -> str:
    """A part of a document with directions. base: "rtl" or "ltr", the article's."""
    if base == "ltr" and not _turns(text):
        return text
    for prefix, uri in _NAMES.items():
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(text)
    for paragraph in root.iter(f"{_W}p"):
        _paragraph(paragraph, base)
    for table in root.iter(f"{_W}tbl"):
        if (reads(_text(table)) or base) == "rtl":
            _add(_properties(table, "tblPr"), "bidiVisual", before=_BEFORE_VISUAL)
    for section in root.iter(f"{_W}sectPr") if base == "rtl" else ():
        names = {child.tag.removeprefix(_W) for child in section}
        _add(section, "bidi", before=names - _AFTER_SECTION)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode")


def with_languages(styles: str, language: str) -> str:
    """The styles with a language from right to left where Word looks for one; pandoc knows Arabic and Hebrew."""
    if direction_of(language) != "rtl" or not re.fullmatch(r"[A-Za-z0-9-]+", language):
        return styles
    return re.sub(
        r"<w:lang [^>]*/>", lambda m: re.sub(r'w:bidi="[^"]*"', f'w:bidi="{language}"', m[0]), styles, count=1
    )


def _turns(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text) or "<w:rtl" in text


def _text(element: Element) -> str:
    return "".join(t.text or "" for t in element.iter(f"{_W}t"))


def _paragraph(paragraph: Element, base: str) -> None:
    properties = paragraph.find(f"{_W}pPr")
    marked = properties is not None and properties.find(f"{_W}bidi") is not None
    words = _text(paragraph)
    own = reads(words) or ("rtl" if marked else base)
    if own == "rtl":
        properties = _properties(paragraph, "pPr")
        _add(properties, "bidi", before=_BEFORE_BIDI)
        for place in properties.iter(f"{_W}jc"):
            value = place.get(f"{_W}val", "")
            place.set(f"{_W}val", {"left": "right", "right": "left"}.get(value, value))
    elif marked and properties is not None:
        properties.remove(next(properties.iter(f"{_W}bidi")))
    turned = _turned(words, own)
    ways: dict[Element, list[bool]] = {}
    at = 0
    for text in paragraph.iter(f"{_W}t"):
        ways[text] = turned[at : at + len(text.text or "")]
        at += len(ways[text])
    for parent in list(paragraph.iter()):
        if any(child.tag == f"{_W}r" for child in parent):
            parent[:] = [one for child in parent for one in (_split(child, ways) if child.tag == f"{_W}r" else [child])]


def _turned(words: str, own: str) -> list[bool]:
    """Whether each character reads from right to left.

    A number after Latin belongs to it; other characters without a direction read like both their neighbours
    (Unicode Standard Annex 9, rules W7, N1 and N2).
    """
    around = own == "rtl"
    strong: list[bool | None] = []
    latin = False
    for kind in map(unicodedata.bidirectional, words):
        one = {"R": True, "AL": True, "L": False}.get(kind)
        latin = latin if one is None else not one
        strong.append(False if kind == "EN" and latin else one)
    before, last = [], around
    for one in strong:
        last = last if one is None else one
        before.append(last)
    after, last = [], around
    for one in reversed(strong):
        last = last if one is None else one
        after.append(last)
    return [a if a == b else around for a, b in zip(before, reversed(after), strict=True)]


def _split(run: Element, ways: Mapping[Element, Sequence[bool]]) -> list[Element]:
    """A run as one run for each direction, each marked."""
    texts = [child for child in run if child.tag == f"{_W}t"]
    if len(texts) != 1 or not texts[0].text:
        return [run]
    words, tail, made = texts[0].text, run.tail, []
    run.tail = None
    for way, some in groupby(zip(words, ways[texts[0]], strict=True), lambda pair: pair[1]):
        one = copy.deepcopy(run)
        _mark(one, way)
        text = next(child for child in one if child.tag == f"{_W}t")
        text.text = "".join(c for c, _ in some)
        text.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
        made.append(one)
    made[-1].tail = tail
    return made


def _mark(run: Element, turned: bool) -> None:
    properties = _properties(run, "rPr")
    for mark in properties.findall(f"{_W}rtl"):
        properties.remove(mark)
    if turned:
        names = {child.tag.removeprefix(_W) for child in properties}
        _add(properties, "rtl", before=names - _AFTER_RTL)
    if not len(properties):
        run.remove(properties)


def _properties(element: Element, name: str) -> Element:
    found = element.find(f"{_W}{name}")
    if found is None:
        found = Element(f"{_W}{name}")
        element.insert(0, found)
    return found


def _add(properties: Element, name: str, before: set[str]) -> None:
    """Add an empty element after those that its schema puts before it."""
    if properties.find(f"{_W}{name}") is not None:
        return
    places = [n for n, child in enumerate(properties) if child.tag.removeprefix(_W) in before]
    properties.insert(places[-1] + 1 if places else 0, Element(f"{_W}{name}"))
