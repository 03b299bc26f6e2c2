"""Turn an article into data for templates/article.typ, from the same tree of safe HTML as pages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from limner.document import Article, Illustration
from limner.exports.page import wants_headline
from limner.exports.pictures import Embedded, Pictures
from limner.exports.text import replace_images, text_of
from limner.exports.words import SURROGATE, alt_of, attribution, credited, credits_title, line

_WIDE, _HIGH, _SMALL = 16.0, 11.5, 7.0  # cm: width of the column, limits for images and for drawings
_INLINE = {
    "b": "strong", "strong": "strong", "i": "em", "em": "em", "cite": "em", "dfn": "em", "var": "em", "s": "s",
    "del": "s", "strike": "s", "u": "u", "ins": "u", "sub": "sub", "sup": "sup", "mark": "mark", "small": "small",
}  # fmt: skip
_CODE = {"code", "kbd", "samp", "tt"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "center", "details", "div", "dl", "figcaption", "figure", "footer",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "nav", "ol", "p", "pre", "section", "summary", "table",
    "ul",
}  # fmt: skip
_SPAN = 50  # limit of columns or rows that a cell spans

Part = dict[str, Any]


def plain(text: str) -> str:
    """Text without control characters, which no font has."""
    kept = "".join(" " if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)
    return SURROGATE.sub("\ufffd", kept)


def alt_in_pdf(i: Illustration, article: Article) -> str:
    """An image's alternative text, without which a PDF does not meet PDF/UA."""
    return alt_of(i) or attribution(i, article.language) or line(article.title) or "Image"


class Writer:
    """Converts an article to parts, and writes its images as files."""

    def __init__(self, article: Article, pictures: Pictures, root: Path) -> None:
        """root: folder for the images."""
        self.article, self.pictures, self.root = article, pictures, root
        self.text = text_of(article)
        self._files: dict[bytes, str] = {}
        self._own: dict[str, Part] = {}
        self._notes: dict[str, Element] = {}
        self._noted: set[str] = set()
        self._labels: set[str] = set()
        self.formulas: dict[tuple[str, bool], Part] = {}

    def parts(self) -> list[Part]:
        """The article in reading order, with a list of credits at the end."""
        parts: list[Part] = []
        if wants_headline(self.article):
            parts.append({"kind": "heading", "level": 1, "parts": [plain(line(self.article.title))]})
        replace_images(self.text.root, self._image)
        for section in self.text.root.iter("section"):
            if section.get("class") == "footnotes":
                self._notes |= {item.get("id", ""): item for item in section.iter("li")}
        parts += self._blocks(self.text.root)
        parts += self._credits()
        self._drop_links_to_nowhere(parts)
        return _ranked(parts)

    def _credits(self) -> Iterator[Part]:
        if credits := credited(self.article):
            yield {"kind": "heading", "level": 2, "parts": [credits_title(self.article.language)]}
            items = [f"{line(i.caption) or alt_of(i)} — {attribution(i, self.article.language)}" for i in credits]
            texts = [[{"kind": "paragraph", "literal": True, "parts": [text]}] for text in items]
            yield {"kind": "enum", "start": 1, "tight": True, "items": texts}

    # -- pictures

    def _figure(self, i: Illustration) -> Part:
        picture = self._picture(self.pictures.embedded(i.image_id, portable=True), alt_in_pdf(i, self.article))
        return {
            **picture,
            "kind": "figure",
            "caption": line(i.caption),
            "credit": attribution(i, self.article.language),
        }

    def _picture(self, image: Embedded, alt: str) -> Part:
        """An image's file, and its width in cm: as wide as the column if it has 150 dpi for it."""
        if image.data not in self._files:
            self._files[image.data] = f"{len(self._files) + 1}{'.png' if image.media == 'image/png' else '.jpg'}"
            (self.root / self._files[image.data]).write_bytes(image.data)
        widest = _SMALL if image.clear else _WIDE
        width = min(widest, image.width / 150 * 2.54, _HIGH * image.width / image.height)
        return {"kind": "picture", "file": self._files[image.data], "alt": alt, "width": round(width, 2)}

    def _image(self, names: list[str], alt: str) -> Element | None:
        image = self.pictures.own_embedded(names, portable=True)
        if image is None:
            return None
        key = str(len(self._own))
        self._own[key] = self._picture(image, plain(alt) or line(self.article.title) or "Image")
        return Element("img", {"src": key})

    # -- blocks

    def _blocks(self, element: Element) -> list[Part]:
        """The content of an element; text between its blocks becomes paragraphs."""
        parts: list[Part] = []
        loose: list[Any] = [plain(element.text)] if element.text else []
        for child in element:
            if child.tag in _BLOCKS:
                parts += _paragraph(loose)
                loose = []
                parts += self._block(child)
            else:
                loose += self._inline_of(child)
            if child.tail:
                loose.append(plain(child.tail))
        return [*parts, *_paragraph(loose)]

    def _block(self, element: Element) -> Iterator[Part]:
        tag, made = element.tag, list[Part]()
        if tag == "p":
            made = self._paragraphs(element)
        elif tag in ("ul", "ol"):
            made = [self._list(element)]
        elif re.fullmatch("h[1-6]", tag):
            words = self._inline(element)
            made = [{"kind": "heading", "level": int(tag[1]), "parts": words}] if _says(words) else []
        elif tag == "blockquote":
            made = [{"kind": "quote", "parts": self._blocks(element)}]
        elif tag == "pre":
            text = plain("".join(element.itertext()).rstrip("\n")).replace("\t", "    ")
            made = [{"kind": "code", "text": text}]
        elif tag == "hr":
            made = [self._mark(element)]
        elif tag == "table":
            made = self._table(element)
        elif tag == "dl":
            made = self._definitions(element)
        elif tag == "section" and element.get("class") == "footnotes":
            return
        elif tag == "summary" or element.get("class") == "admonition-title":
            made = [{"kind": "paragraph", "parts": [{"kind": "strong", "parts": self._inline(element)}]}]
        elif element.get("class") == "admonition" or tag == "details":
            made = [{"kind": "box", "parts": self._blocks(element)}]
        else:
            made = self._blocks(element)
        yield from self._labelled(element, made)

    def _labelled(self, element: Element, made: list[Part]) -> list[Part]:
        """The parts of an element with its id, a target for links, and its direction."""
        if (name := element.get("id", "")) and not name.startswith(self.text.marks):
            self._labels.add(name)
            if made and made[0]["kind"] == "heading":
                made[0]["id"] = name
            else:
                made = [{"kind": "anchor", "id": name}, *made]
        if "dir" in element.attrib:
            return [{"kind": "turned", "dir": element.attrib["dir"], "parts": made}]
        return made

    def _mark(self, element: Element) -> Part:
        if element.get("class") == self.text.marks:
            return self._figure(self.text.figures[int(element.get("id", "").rpartition("-")[2])])
        return {"kind": "rule"}

    def _paragraphs(self, element: Element) -> list[Part]:
        words = self._inline(element)
        if element.get("class") == "admonition-title":
            words = [{"kind": "strong", "parts": words}]
        return _paragraph(words)

    def _list(self, element: Element) -> Part:
        items = [self._labelled(item, self._blocks(item)) for item in element if item.tag == "li"]
        tight = not any(child.tag == "p" for item in element for child in item)
        start = element.get("start", "1")
        number = int(start) if re.fullmatch(r"\d{1,9}", start) else 1
        shape = {"kind": "list"} if element.tag == "ul" else {"kind": "enum", "start": number}
        return {**shape, "tight": tight, "items": items}

    def _definitions(self, element: Element) -> list[Part]:
        parts: list[Part] = []
        for child in element:
            if child.tag == "dt":
                parts += _paragraph([{"kind": "strong", "parts": self._inline(child)}])
            elif child.tag == "dd":
                parts.append({"kind": "indented", "parts": self._labelled(child, self._blocks(child))})
        return parts

    def _table(self, element: Element) -> list[Part]:
        own = set(_own_rows(element))
        rows = [row for row in element.iter("tr") if row in own]
        head = next((n for n, row in enumerate(rows) if not all(c.tag == "th" for c in row)), len(rows))
        cells = [[self._cell(c) for c in row if c.tag in ("td", "th")] for row in rows]
        columns = max((sum(c["columns"] for c in row) for row in cells), default=0)
        caption = [p for c in element if c.tag == "caption" for p in _paragraph(self._inline(c))]
        if not columns:
            return caption
        spans_rows = any(c["rows"] > 1 for row in cells for c in row)
        for row in cells if not spans_rows else ():  # short rows are filled, as in browsers
            missing = columns - sum(c["columns"] for c in row)
            row += [{"align": "start", "columns": 1, "rows": 1, "strong": False, "parts": []}] * missing
        return [*caption, {"kind": "table", "columns": columns, "head": cells[:head], "rows": cells[head:]}]

    def _cell(self, cell: Element) -> Part:
        align = cell.get("class") if cell.get("class") in ("left", "right", "center") else "start"
        blocks = self._blocks(cell)
        return {
            "align": align,
            "columns": _number(cell.get("colspan", "1")),
            "rows": _number(cell.get("rowspan", "1")),
            "strong": cell.tag == "th",
            "parts": blocks[0]["parts"] if len(blocks) == 1 and blocks[0]["kind"] == "paragraph" else [],
            "blocks": blocks if len(blocks) != 1 or blocks[0]["kind"] != "paragraph" else [],
        }

    # -- inline

    def _inline(self, element: Element) -> list[Any]:
        parts: list[Any] = [plain(element.text)] if element.text else []
        for child in element:
            parts += self._inline_of(child)
            if child.tail:
                parts.append(plain(child.tail))
        return parts

    def _inline_of(self, element: Element) -> list[Any]:
        tag, kind = element.tag, element.get("class", "")
        parts: list[Any] = []
        if (name := element.get("id", "")) and not name.startswith("fn"):
            self._labels.add(name)
            parts.append({"kind": "anchor", "id": name})
        if tag == "sup" and kind == "footnote-ref" and len(element):
            return [*parts, *self._footnote(element[0].get("href", "#")[1:])]
        if kind.startswith("math-"):
            return [*parts, self._formula(plain("".join(element.itertext())), kind == "math-block")]
        if tag == "img":
            return [*parts, self._own[element.get("src", "")]] if element.get("src") in self._own else parts
        if tag == "br":
            return [*parts, {"kind": "break"}]
        if tag in _CODE:
            return [*parts, {"kind": "code", "text": plain("".join(element.itertext()))}]
        words = self._inline(element)
        if tag == "a":
            words = self._link(element.get("href", ""), kind, words)
        elif tag in _INLINE:
            words = [{"kind": _INLINE[tag], "parts": words}]
        elif tag == "q":
            words = ['"', *words, '"']
        if "dir" in element.attrib:
            words = [{"kind": "turned", "dir": element.attrib["dir"], "parts": words}]
        return [*parts, *words]

    def _link(self, href: str, kind: str, words: list[Any]) -> list[Any]:
        if kind == "footnote-backref":
            return []
        if not href or len(href) > 2000:
            return [{"kind": "em", "parts": words}] if href else words
        target = {"label": href[1:]} if href.startswith("#") else {"url": href}
        return [{"kind": "link", **target, "parts": words}]

    def _footnote(self, name: str) -> list[Part]:
        if name in self._noted:
            return [{"kind": "again", "id": name}]
        item = self._notes.get(name)
        if item is None:
            return []
        self._noted.add(name)
        blocks = self._blocks(item)
        first = blocks.pop(0)["parts"] if blocks and blocks[0]["kind"] == "paragraph" else []
        return [{"kind": "footnote", "id": name, "parts": first, "blocks": blocks}]

    def _formula(self, tex: str, display: bool) -> Part:
        return self.formulas.setdefault((tex, display), {"kind": "code", "text": tex, "displayed": display})

    def _drop_links_to_nowhere(self, parts: Any) -> None:
        """A link, or its text if the document lacks its label, which would stop Typst."""
        if isinstance(parts, list):
            for part in parts:
                self._drop_links_to_nowhere(part)
        elif isinstance(parts, dict):
            if parts.get("kind") == "link" and "label" in parts and parts["label"] not in self._labels:
                del parts["label"]
                parts["kind"] = "em"
            for value in parts.values():
                self._drop_links_to_nowhere(value)


def _own_rows(table: Element) -> list[Element]:
    groups = [g for g in table if g.tag in ("thead", "tbody", "tfoot")]
    return [row for part in (table, *groups) for row in part if row.tag == "tr"]


def _number(text: str) -> int:
    return min(max(int(text), 1), _SPAN) if re.fullmatch(r"\d{1,6}", text) else 1


def _says(parts: Sequence[Any]) -> bool:
    return any(part.strip() if isinstance(part, str) else part["kind"] != "anchor" for part in parts)


def _paragraph(parts: Sequence[Any]) -> list[Part]:
    """A paragraph, split at displayed formulas, because Typst drops a block within a paragraph."""
    made: list[Part] = []
    line_parts: list[Any] = []
    for part in [*parts, None]:
        if part is not None and not (isinstance(part, dict) and part.get("displayed")):
            line_parts.append(re.sub(r"\s+", " ", part) if isinstance(part, str) else part)
            continue
        if _says(line_parts):
            if isinstance(line_parts[0], str):
                line_parts[0] = line_parts[0].lstrip()
            made.append({"kind": "paragraph", "parts": [p for p in line_parts if p != ""]})
        else:
            made += [p for p in line_parts if isinstance(p, dict)]
        made += [part] if part is not None else []
        line_parts = []
    return made


def _ranked(parts: Sequence[Part]) -> list[Part]:
    """Headings that begin at level 1 and descend one level at a time, as PDF/UA-1 requires."""
    level = 0

    def rank(parts: Sequence[Part]) -> None:
        nonlocal level
        for part in parts:
            if part["kind"] == "heading":
                level = part["level"] = min(part["level"], level + 1)
            elif part["kind"] in ("turned", "box", "quote", "indented"):
                rank([p for p in part["parts"] if isinstance(p, dict)])

    rank(parts)
    return list(parts)
