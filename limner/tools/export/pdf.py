"""Article -> a PDF that meets PDF/UA-1, set by Typst from data: no text of the article's is ever Typst source.

PDF/UA-1 (ISO 14289-1) asks for what a reader with a screen reader needs, which is what the check after writing looks
for: a title, the language, a structure, an alternative text for each picture. It also forbids letters for which there
is no font, so a box in place of a Chinese letter is an error here and not a surprise in print.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from limner.document import Article, Illustration, markdown
from limner.errors import ExportFailed, NotInstalled
from limner.tools.export.counting import compare, figures
from limner.tools.export.page import wants_headline
from limner.tools.export.pictures import Embedded, Pictures, name_of
from limner.tools.export.words import SURROGATE, alt_of, attribution, credited, credits_title, direction, line

MISSING = "PDF needs the export extra: pip install 'limner[export]', or write html instead."
_WIDE, _HIGH, _SMALL = 16.0, 11.5, 7.0  # cm: of the column, of a picture at most, of a drawing at most
_FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")  # packages whose files are Noto's fonts
_CJK = {"ja": "JP", "ko": "KR"}


def to_pdf(article: Article, pictures: Pictures) -> bytes:
    """The article as a PDF, A4.

    Raises NotInstalled without Typst, ExportFailed for a letter that no font at hand has.
    """
    typst = _typst()
    with tempfile.TemporaryDirectory(prefix="limner-") as name:
        root = Path(name)  # Typst reads nothing outside of it
        source = root / "article.typ"
        source.write_bytes((Path(__file__).parents[1] / "templates" / "article.typ").read_bytes())
        (root / "article.json").write_text(json.dumps(_document(article, pictures, root)), encoding="utf-8")
        try:
            return typst.compile(
                str(source),
                root=name,
                font_paths=_font_folders(),
                package_path=name,  # no package of Typst's is used, and none could be fetched
                package_cache_path=name,
                pdf_standards=["ua-1"],
            )
        except RuntimeError as e:
            raise ExportFailed(_refusal(str(e))) from e


def _typst() -> Any:
    try:
        import typst
    except ImportError as e:
        raise NotInstalled(MISSING) from e
    return typst


def _font_folders() -> list[str]:
    specs = [importlib.util.find_spec(name) for name in _FONTS]
    return [folder for spec in specs if spec for folder in spec.submodule_search_locations or ()]


def _refusal(message: str) -> str:
    if letter := re.search(r'the text `"(.+?)"` could not be displayed', message):
        return (
            f"No font at hand has {line(letter[1])[:20]!r}, which the PDF needs. Install one that has it "
            "(Debian: apt install fonts-noto), or write html instead."
        )
    return f"The PDF could not be set: {line(message)[:200]}. Write html instead, and report this."


# --- the article as data ---------------------------------------------------------------------------------------------


def _document(article: Article, pictures: Pictures, root: Path) -> dict[str, Any]:
    """What templates/article.typ reads. root: folder that the pictures are written to."""
    writer = _Writer(article, pictures, root)
    language = [part for part in re.split("[-_]", article.language) if part]
    code = language[0].lower() if language and re.fullmatch("[A-Za-z]{2,3}", language[0]) else "und"
    region = next((part.lower() for part in language[1:] if re.fullmatch("[A-Za-z]{2}", part)), None)
    cjk = f"Noto Sans CJK {_CJK.get(code) or ('TC' if _is_traditional(article.language) else 'SC')}"
    latin: Any = "Libertinus Serif"
    if code in ("zh", "ja", "ko"):
        latin = {"name": latin, "covers": "latin-in-cjk"}  # quotation marks as wide as the letters around them
    return {
        "title": _text(article.title) or "Untitled",
        "language": {"lang": code, "region": region, "dir": direction(article.language)},
        "fonts": [latin, cjk, "Noto Sans", "Noto Emoji"],
        "code": ["DejaVu Sans Mono", cjk, "Noto Sans"],
        "parts": _ranked(writer.parts()),
    }


def _is_traditional(language: str) -> bool:
    return bool({"hant", "tw", "hk", "mo"} & set(re.split("[-_]", language.lower())))


def _text(text: str) -> str:
    """Text without control characters, which no font has."""
    kept = "".join(" " if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)
    return SURROGATE.sub("\ufffd", kept)


def _ranked(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Headings that begin at level 1 and go down one level at a time, as PDF/UA-1 wants them."""
    out, level = [], 0
    for part in parts:
        if part["kind"] == "heading":
            level = min(part["level"], level + 1)
            part = {**part, "level": level}
        out.append(part)
    return out


class _Writer:
    """Blocks of an article as JSON, its pictures as files."""

    def __init__(self, article: Article, pictures: Pictures, root: Path) -> None:
        self.article, self.pictures, self.root = article, pictures, root
        self._files: dict[bytes, str] = {}
        self._env: dict[str, Any] = {}
        markdown().parse(article.source, self._env)  # link definitions may stand anywhere

    def parts(self) -> list[dict[str, Any]]:
        """The article in reading order, a list of credits at its end."""
        parts: list[dict[str, Any]] = []
        if wants_headline(self.article):
            parts.append({"kind": "heading", "level": 1, "parts": [_text(line(self.article.title))]})
        for block in self.article.blocks():
            if isinstance(block, Illustration):
                parts.append(self._figure(block))
            else:
                tokens = markdown().parse(block.text, {"references": self._env.get("references", {})})
                parts += self._blocks(SyntaxTreeNode(tokens).children)
        if credits := credited(self.article):
            title = [credits_title(self.article.language)]
            parts.append({"kind": "heading", "level": 2, "parts": title})
            items = [f"{line(i.caption) or alt_of(i)} — {attribution(i)}" for i in credits]
            texts = [[{"kind": "paragraph", "parts": [text]}] for text in items]
            parts.append({"kind": "enum", "start": 1, "tight": True, "items": texts})
        return parts

    def _figure(self, i: Illustration) -> dict[str, Any]:
        picture = self._picture(self.pictures.embedded(i.image_id, portable=True), _alt(i, self.article))
        return {**picture, "kind": "figure", "caption": line(i.caption), "credit": attribution(i)}

    def _picture(self, image: Embedded, alt: str) -> dict[str, Any]:
        """Its file, and its width in cm: as large as the column where it has the pixels (150 to the inch)."""
        if image.data not in self._files:
            self._files[image.data] = f"{len(self._files) + 1}{'.png' if image.media == 'image/png' else '.jpg'}"
            (self.root / self._files[image.data]).write_bytes(image.data)
        widest = _SMALL if image.clear else _WIDE
        width = min(widest, image.width / 150 * 2.54, _HIGH * image.width / image.height)
        return {"kind": "picture", "file": self._files[image.data], "alt": alt, "width": round(width, 2)}

    def _blocks(self, nodes: Sequence[SyntaxTreeNode]) -> list[dict[str, Any]]:
        return [part for node in nodes for part in self._block(node)]

    def _block(self, node: SyntaxTreeNode) -> Iterator[dict[str, Any]]:
        kind = node.type
        if kind in ("paragraph", "inline"):
            if parts := self._inline(node):
                yield {"kind": "paragraph", "parts": parts}
        elif kind == "heading":
            if parts := self._inline(node):
                yield {"kind": "heading", "level": int(node.tag[1]), "parts": parts}
        elif kind in ("bullet_list", "ordered_list"):
            items = [self._blocks(item.children) for item in node.children]
            tight = any(p.hidden for item in node.children for p in item.children if p.type == "paragraph")
            shape = {"kind": "list"} if kind == "bullet_list" else {"kind": "enum", "start": _start(node)}
            yield {**shape, "tight": tight, "items": items}
        elif kind == "blockquote":
            yield {"kind": "quote", "parts": self._blocks(node.children)}
        elif kind in ("fence", "code_block"):
            yield {"kind": "code", "text": _text(node.content.rstrip("\n")).replace("\t", "    ")}
        elif kind == "hr":
            yield {"kind": "rule"}
        elif kind == "table":
            yield self._table(node)
        elif kind == "html_block" and not node.content.lstrip().startswith("<!--"):
            yield {"kind": "paragraph", "parts": [_text(node.content.strip())]}

    def _table(self, node: SyntaxTreeNode) -> dict[str, Any]:
        rows = [[self._cell(cell) for cell in row.children] for part in node.children for row in part.children]
        return {"kind": "table", "head": rows[0], "rows": rows[1:]}

    def _cell(self, cell: SyntaxTreeNode) -> dict[str, Any]:
        align = re.search("left|right|center", str(cell.attrs.get("style", "")))
        return {"align": align[0] if align else "start", "parts": self._inline(cell)}

    def _inline(self, node: SyntaxTreeNode) -> list[Any]:
        parts: list[Any] = []
        for child in node.children:
            if child.type == "inline":
                parts += self._inline(child)
            elif child.type in ("text", "text_special") or (
                child.type == "html_inline" and not child.content.lstrip().startswith("<!--")
            ):
                parts.append(_text(child.content))
            elif child.type == "softbreak":
                parts.append(" ")
            elif child.type == "hardbreak":
                parts.append({"kind": "break"})
            elif child.type == "code_inline":
                parts.append({"kind": "code", "text": _text(child.content)})
            elif child.type in ("strong", "em", "s"):
                parts.append({"kind": child.type, "parts": self._inline(child)})
            elif child.type == "link":
                parts.append(self._link(child))
            elif child.type == "image":
                parts.append(self._own(child))
        return [part for part in parts if part]

    def _link(self, node: SyntaxTreeNode) -> dict[str, Any]:
        url = str(node.attrs.get("href", ""))
        shape = {"kind": "link", "url": url} if 0 < len(url) <= 2000 else {"kind": "em"}
        return {**shape, "parts": self._inline(node)}

    def _own(self, node: SyntaxTreeNode) -> Any:
        token = node.token
        alt = _text("".join(word.content or " " for word in (token.children if token else None) or ()))
        image = self.pictures.own_embedded(name_of(token), portable=True) if token else None
        return self._picture(image, line(alt) or line(self.article.title) or "Image") if image else alt


def _start(node: SyntaxTreeNode) -> int:
    return int(node.attrs.get("start", 1))


def _alt(i: Illustration, article: Article) -> str:
    return alt_of(i) or attribution(i) or line(article.title) or "Image"  # a picture without one meets no PDF/UA


# --- read again ------------------------------------------------------------------------------------------------------


def check_pdf(article: Article, path: Path) -> None:
    """Reads the PDF again: alternative texts in the article's order, credits in its text, pictures that decode."""
    from pypdf import PdfReader

    with path.open("rb") as file:
        reader = PdfReader(file)
        found = list(_pictures(reader))
        text = "".join(page.extract_text() for page in reader.pages)
        for page in reader.pages:
            for image in page.images:
                if image.image is None:
                    raise ExportFailed(f"{path.name} holds a picture that does not decode. Export it again.")
    wanted = figures(article)
    compare(path, "images", [_alt(i, article) for i in wanted], [alt for alt, own in found if not own])
    # Under each image, and once more in the list at the end.
    credits = [attribution(i) for i in (*wanted, *credited(article)) if attribution(i)]
    compare(path, "credits", credits, list(_credits_in(text, credits)))


def own_in_pdf(path: Path) -> int:
    """How many of a draft's own images a PDF holds."""
    from pypdf import PdfReader

    with path.open("rb") as file:
        return sum(own for _, own in _pictures(PdfReader(file)))


def _pictures(reader: Any) -> Iterator[tuple[str, bool]]:
    """(alternative text, whether it stands within the text) of each picture in the PDF's structure."""
    root = reader.trailer["/Root"]["/StructTreeRoot"]
    waiting = [(root["/K"], "")]
    while waiting:
        node, above = waiting.pop()
        node = node.get_object()
        if isinstance(node, list):
            waiting += [(child, above) for child in reversed(node)]
        elif hasattr(node, "get"):
            kind = str(node.get("/S", ""))
            if kind == "/Figure":
                yield str(node.get("/Alt", "")), above not in ("/Div", "/Document")
            if "/K" in node:
                waiting.append((node["/K"], kind))


def _credits_in(text: str, credits: Sequence[str]) -> Iterator[str]:
    """Those of the credits that a PDF's text holds, in this order; spaces do not count, they mark lines there, too."""
    text, at = "".join(text.split()), 0
    for credit in credits:
        bare = "".join(credit.split())
        if any(unicodedata.bidirectional(c) in ("R", "AL") for c in bare):
            # Text from right to left is kept in the order that it is drawn in.
            if not Counter(filter(str.isalnum, bare)) - Counter(text):
                yield credit
        elif (found := text.find(bare, at)) >= 0:
            at = found + len(bare)
            yield credit
