"""Convert formulas from TeX to MathML and, with pandoc, to Typst's notation."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

LONGEST = 2_000  # characters; a longer formula is shown as its source
_MATHML = "http://www.w3.org/1998/Math/MathML"


@lru_cache(maxsize=1024)
def mathml(tex: str, display: bool) -> str:
    """MathML of a formula, "" if the converter cannot read it; the page then shows the TeX."""
    from latex2mathml import exceptions
    from latex2mathml.converter import convert

    unreadable = tuple(e for e in vars(exceptions).values() if isinstance(e, type) and issubclass(e, Exception))
    if len(tex) > LONGEST:
        return ""
    try:
        made = convert(tex, display="block" if display else "inline")
        root = ElementTree.fromstring(made)
    except (*unreadable, ElementTree.ParseError, LookupError, ValueError, TypeError, RecursionError, StopIteration):
        return ""
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_MATHML}}}")
        if not _is_plain(element):
            return ""
    root.set("xmlns", _MATHML)
    root.set("alttext", " ".join(tex.split()))
    return ElementTree.tostring(root, "unicode")


def _is_plain(element: Element) -> bool:
    """Whether an element is MathML without links, scripts and foreign content."""
    known = re.fullmatch(r"m[a-z]+|none", element.tag) and element.tag != "maction"
    return bool(known) and not any("href" in key or key.lower().startswith("on") for key in element.attrib)


def in_typst(formulas: Sequence[tuple[str, bool]], pandoc: Callable[[bytes], bytes]) -> dict[tuple[str, bool], str]:
    """(TeX, displayed) -> Typst's mathematical notation, for formulas that pandoc can read.

    pandoc: HTML -> Typst markup. The result is used only if it is a formula and nothing else: within a formula only `#`
    begins Typst code, and pandoc writes it only for larger brackets.
    """
    short = [f for f in formulas if len(f[0]) <= LONGEST]
    if not short:
        return {}
    kinds = {True: "math-block", False: "math-inline"}
    page = [
        f'<p><code class="{kinds[block]}">{html.escape(tex)}</code></p><p>limner{n}end</p>'
        for n, (tex, block) in enumerate(short)
    ]
    answer = pandoc("".join(page).encode()).decode("utf-8", "replace")
    found = re.split(r"^limner\d+end$", answer, flags=re.MULTILINE)
    made = {}
    for formula, text in zip(short, found, strict=False):
        inner = text.strip()
        if len(inner) > 2 and inner[0] == inner[-1] == "$" and _is_formula(inner[1:-1]):
            made[formula] = inner[1:-1].strip()
    return made


def _is_formula(text: str) -> bool:
    """Whether Typst source is mathematics alone: no code, no end of the formula, no comment."""
    text = re.sub(r"#scale\(x: \d+%, y: \d+%\)\[(?:\\[^\w\s]|[^\[\]#$\\])\]", "", text)  # a larger bracket
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\\.', "", text, flags=re.DOTALL)
    return not re.search(r"[#$\"]|//|/\*", bare)
