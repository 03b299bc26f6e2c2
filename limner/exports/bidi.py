"""Determine the reading direction of a language, an article, and each block."""

from __future__ import annotations

import re
import unicodedata
from xml.etree.ElementTree import Element

from limner.document import Article

_RIGHT_TO_LEFT = {"ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "syr", "ug", "ur", "yi"}
_SCRIPTS = ("arab", "hebr", "thaa", "syrc", "nkoo", "adlm")
_BLOCKS = {
    "blockquote", "dd", "div", "dl", "dt", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "section",
    "summary", "table", "td", "th", "ul",
}  # fmt: skip


def direction_of(language: str) -> str:
    """ "rtl" or "ltr"; a script named in the code ("pa-Arab") decides before the language does, "" for no language."""
    parts = re.split("[-_]", language.lower())
    scripts = [part for part in parts[1:] if len(part) == 4 and part.isalpha()]
    if scripts:
        return "rtl" if scripts[0] in _SCRIPTS else "ltr"
    if parts[0] in ("", "und", "zxx", "mul"):
        return ""
    return "rtl" if parts[0] in _RIGHT_TO_LEFT else "ltr"


def direction(article: Article) -> str:
    """ "rtl" or "ltr" for the whole article: by its language, else by most of its letters."""
    return direction_of(article.language) or reads("".join(b.plain for b in article.body)[:20_000]) or "ltr"


def reads(text: str) -> str:
    """ "rtl" or "ltr" by most of a text's letters, "" if none has a direction."""
    right = sum(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    left = sum(unicodedata.bidirectional(c) == "L" for c in text)
    return "" if not right + left else "rtl" if right > left else "ltr"


def mark_directions(root: Element, base: str) -> None:
    """Set `dir` on each block whose direction differs from its surroundings."""
    if not any(unicodedata.bidirectional(c) in ("R", "AL") for text in root.itertext() for c in text) and base == "ltr":
        return
    _mark(root, base)


def _mark(element: Element, around: str) -> None:
    own = element.get("dir", "")
    if not own and element.tag in _BLOCKS:
        own = reads("".join(element.itertext()))
        if own and own != around:
            element.set("dir", own)
    for child in element:
        _mark(child, own or around)
