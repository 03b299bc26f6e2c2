"""Article -> DOCX and EPUB by pandoc, from one page and its images; pandoc reads no file and no address.

The input is HTML with every text escaped (`page.block_html`), in a zip with the images, like an EPUB; with images as
data: URLs thirty photographs took pandoc ten times as long. `--sandbox` restricts it to its standard input. Pandoc
silently drops parts that it cannot place, so the output is opened and checked.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
import subprocess
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from limner.document import Article, Heading, Illustration, Verbatim
from limner.errors import ExportFailed, NotInstalled
from limner.exports.bidi import direction
from limner.exports.counting import compare, figures
from limner.exports.identity import dated_docx, dated_epub, directed_docx, now, pictures_of_notes, written_on
from limner.exports.page import frame, own_image, parts, render, wants_headline
from limner.exports.pictures import Embedded, Pictures, decoded
from limner.exports.safe import Replacement, serialised, substitute
from limner.exports.text import replace_images, text_of
from limner.exports.words import alt_of, attribution, line

MISSING = "DOCX and EPUB need the export extra: pip install 'limner[export]', or write html instead."
SECONDS = 120  # seconds for pandoc, which takes one for an article of thirty photographs
_WIDE, _HIGH = 576, 672  # px at 96 dpi: 6 x 7 inches


def to_docx(article: Article, pictures: Pictures) -> bytes:
    """The article as a Word document. Raises NotInstalled without pandoc."""
    first = article.body[0] if article.body else None
    tops = [b for b in article.body if isinstance(b, Heading) and b.level == 1]
    title, options = line(article.title) if wants_headline(article) else "", []
    if tops and tops == [first]:  # the heading at the very start becomes the document's title
        title, options = line(tops[0].plain), ["--shift-heading-level-by=-1"]
        emptied = Verbatim(id=tops[0].id, text="", gap=tops[0].gap)  # a gap may contain link definitions
        article = article.model_copy(update={"body": (emptied, *article.body[1:])})
    book = _book(article, pictures, headline="", sizes=True)
    made = pictures_of_notes(_written("docx", book, article, title, options))
    return dated_docx(directed_docx(made, article), article)


def to_epub(article: Article, pictures: Pictures) -> bytes:
    """The article as an EPUB 3. Raises NotInstalled without pandoc."""
    title = line(article.title) or "Untitled"
    book = _book(article, pictures, headline=title if wants_headline(article) else "", sizes=False)
    options = ["--metadata", f"date={written_on(article) or now()[:10]}", "--epub-title-page=false", "--mathml"]
    options += ["--metadata", f"author={line(article.author)[:500]}"] if line(article.author) else []
    return dated_epub(_written("epub3", book, article, title, options), article)


_CONTAINER = """<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
_OPF = """<package version="3.0" xmlns="http://www.idpf.org/2007/opf"><metadata/><manifest>{}</manifest>
<spine><itemref idref="page"/></spine></package>"""


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _book(article: Article, pictures: Pictures, *, headline: str, sizes: bool) -> bytes:
    """The page and its images as an EPUB for pandoc. sizes: whether to set each image's width on paper."""
    images: dict[str, Embedded] = {}

    def place(image: Embedded) -> Embedded:
        name = f"{hashlib.sha256(image.data).hexdigest()[:16]}{'.png' if image.media == 'image/png' else '.jpg'}"
        images[name] = image._replace(file=name)
        return images[name]

    text = text_of(article)

    def own(names: list[str], alt: str) -> Element | None:
        image = pictures.own_embedded(names, portable=True)
        return own_image(place(image), alt) if image else None

    replace_images(text.root, own)
    for_pandoc(text.root)

    def figure(i: Illustration) -> Embedded:
        return place(pictures.embedded(i.image_id, portable=True))

    shown = list(parts(text, figure, article, page=serialised(text.root)))
    values = {**frame(article), "headline": headline, "parts": shown, "wide": _width if sizes else None}
    page = _NOT_XML.sub(" ", render("document.html", **values))
    items = ['<item id="page" href="page.xhtml" media-type="application/xhtml+xml"/>']
    items += [f'<item id="i{n}" href="{name}" media-type="{i.media}"/>' for n, (name, i) in enumerate(images.items())]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", _CONTAINER)
        book.writestr("book.opf", _OPF.format("".join(items)))
        book.writestr("page.xhtml", page)
        for name, image in images.items():
            book.writestr(name, image.data)
    return out.getvalue()


def for_pandoc(root: Element) -> None:
    """Write footnotes and directions in pandoc's form."""
    for parent in list(root.iter()):
        substitute(parent, _for_pandoc)


_INNER = {"li", "dd", "dt", "td", "th", "tr", "tbody", "thead", "figcaption", "summary"}
"""Elements whose content is boxed, because they can stand in no box themselves."""


def _for_pandoc(child: Element) -> Replacement | None:
    kind = child.get("class")
    if child.tag == "sup" and kind == "footnote-ref" and len(child):
        note = Element("a", {"epub:type": "noteref", "href": child[0].get("href", "")})
        note.text = "".join(child.itertext())
        return [note], ""
    if child.tag == "a" and kind == "footnote-backref":
        return [], ""
    if child.tag == "section" and kind == "footnotes":
        return [_aside(i, child.get("dir")) for i in child.iter("li") if i.get("id", "").startswith("fn")], ""
    if kind == "admonition-title" or child.tag == "summary":
        strong = Element("strong")
        strong.text, child.text, child.tag = child.text, None, "p"
        strong.extend(list(child))
        child[:] = [strong]
    elif child.tag == "details":
        child.tag = "div"
    elif child.tag in ("td", "th") and kind in ("left", "right", "center"):
        child.set("style", f"text-align:{kind}")
    if "dir" not in child.attrib or child.tag in ("div", "span", "bdi", "bdo"):
        return None
    box = Element("div", {"dir": child.attrib.pop("dir")})
    if child.tag not in _INNER:
        box.append(child)
        return [box], ""
    box.text, child.text = child.text, None
    box.extend(list(child))
    child[:] = [box]
    return None


def _aside(item: Element, around: str | None) -> Element:
    """A footnote for pandoc. around: direction of all footnotes, if it is not the article's."""
    note = Element("aside", {"epub:type": "footnote", "id": item.get("id", "")})
    own = item.attrib.pop("dir", "") or around
    box = SubElement(note, "div", {"dir": own}) if own else note
    box.text = item.text
    box.extend(list(item))
    return note


def _width(image: Embedded) -> int:
    """px on paper, at 96 dpi: as large as a page if the image has 150 dpi for it."""
    return max(1, round(min(_WIDE, image.width * 96 / 150, _HIGH * image.width / image.height)))


def _written(kind: str, book: bytes, article: Article, title: str, options: list[str]) -> bytes:
    language = re.sub("[^A-Za-z0-9-]", "", article.language.replace("_", "-")) or "und"
    about = [f"--metadata=lang:{language}", f"--metadata=dir:{direction(article)}"]
    about += [f"--metadata=title:{title[:500]}"] if title else []
    return pandoc("epub", kind, book, [*about, *options])


def pandoc(source: str, kind: str, data: bytes, options: Sequence[str] = ()) -> bytes:
    """Convert bytes with pandoc. Raises NotInstalled, ExportFailed."""
    try:
        import pypandoc

        program = pypandoc.get_pandoc_path()
    except (ImportError, OSError) as e:
        raise NotInstalled(MISSING) from e
    command = [program, "--sandbox", f"--from={source}", f"--to={kind}", "--output=-", "--wrap=none"]
    command += [f"--lua-filter={Path(__file__).parent / 'templates' / 'document.lua'}"]
    try:
        done = subprocess.run([*command, *options], input=data, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as e:
        raise ExportFailed(f"pandoc took more than {SECONDS} s for the {kind}. Write html instead.") from e
    if done.returncode:
        reason = line(done.stderr.decode("utf-8", "replace"))[-200:]
        raise ExportFailed(f"pandoc could not make the {kind}: {reason}. Write html instead, and report this.")
    return done.stdout


# --- check ------------------------------------------------------------------------------------------------------


class _Picture(NamedTuple):
    alt: str
    caption: str
    own: bool
    """Whether the image is inline, like a draft's own images."""
    data: bytes
    """Its file."""


class Reopened(NamedTuple):
    """A kind of document, read again."""

    pictures: Callable[[Path], Iterator[_Picture]]
    """Its pictures in order. Raises whatever the file's readers raise."""

    def check(self, article: Article, path: Path) -> None:
        """Check that images decode, and alternative texts and credits are in the article's order."""
        _compare(article, path, _read(self.pictures, path))

    def own(self, path: Path) -> int:
        """Number of a draft's own images in it."""
        return sum(picture.own for picture in _read(self.pictures, path))

    def shown(self, path: Path) -> list[bytes]:
        """The files of its figures, in order."""
        return [picture.data for picture in _read(self.pictures, path) if not picture.own]


def _read(reader: Callable[[Path], Iterator[_Picture]], path: Path) -> list[_Picture]:
    try:
        return list(reader(path))
    except (ElementTree.ParseError, zipfile.BadZipFile, KeyError, StopIteration) as e:
        raise ExportFailed(
            f"{path.name} cannot be read again ({line(str(e))[:120]}). Write html instead, and report this."
        ) from e


def _compare(article: Article, path: Path, found: list[_Picture]) -> None:
    wanted, placed = figures(article), [picture for picture in found if not picture.own]
    compare(path, "images", [alt_of(i) for i in wanted], [line(picture.alt) for picture in placed])
    captions = [_seen(line(i.caption) + attribution(i, article.language)) for i in wanted]
    compare(path, "captions", captions, [_seen(picture.caption) for picture in placed])


def _seen(text: str) -> str:
    """The visible characters of a text; pandoc drops or moves some others, and spaces."""
    return "".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c) != "Cf" and not c.isspace())


_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_MAIN = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def _in_docx(path: Path) -> Iterator[_Picture]:
    with zipfile.ZipFile(path) as book:
        for part in ("document", "footnotes"):
            if f"word/{part}.xml" in book.namelist():
                yield from _in_part(book, part)


def _in_part(book: zipfile.ZipFile, part: str) -> Iterator[_Picture]:
    names = {r.get("Id"): r.get("Target", "") for r in _xml(book, f"word/_rels/{part}.xml.rels")}
    paragraphs = list(_xml(book, f"word/{part}.xml").iter(f"{_W}p"))
    for n, paragraph in enumerate(paragraphs):
        following = paragraphs[n + 1] if n + 1 < len(paragraphs) else None
        captioned = following is not None and _style(following) == "ImageCaption"
        for drawing in paragraph.iter(f"{_W}drawing"):
            data = b""
            for blip in drawing.iter(f"{_MAIN}blip"):
                data = _decoded(book, posixpath.join("word", names[blip.get(f"{_R}embed")]))
            alt = next(drawing.iter(f"{_DRAWING}docPr")).get("descr", "")
            caption = "".join(following.itertext()) if captioned and following is not None else ""
            yield _Picture(alt, caption, _style(paragraph) not in ("CaptionedFigure", "Figure"), data)


def _style(paragraph: ElementTree.Element) -> str:
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    return "" if style is None else style.get(f"{_W}val", "")


_X = "{http://www.w3.org/1999/xhtml}"


def _in_epub(path: Path) -> Iterator[_Picture]:
    with zipfile.ZipFile(path) as book:
        opf = _xml(book, "EPUB/content.opf")
        items = {item.get("id"): item.get("href", "") for item in opf.iter("{http://www.idpf.org/2007/opf}item")}
        for reference in opf.iter("{http://www.idpf.org/2007/opf}itemref"):
            name = posixpath.join("EPUB", items[reference.get("idref")])
            chapter = _xml(book, name)
            captions = {img: figure for figure in chapter.iter(f"{_X}figure") for img in figure.iter(f"{_X}img")}
            for img in chapter.iter(f"{_X}img"):
                file = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(img.get("src", ""))))
                data = _decoded(book, file)
                caption = captions[img].find(f"{_X}figcaption") if img in captions else None
                words = "" if caption is None else "".join(caption.itertext())
                yield _Picture(img.get("alt", ""), words, img not in captions, data)


def _xml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    return ElementTree.fromstring(book.read(name))


def _decoded(book: zipfile.ZipFile, name: str) -> bytes:
    """An image's file, which decodes to its last row. Raises ImageUnreadable."""
    data = book.read(name)
    decoded(data, name)
    return data


DOCX, EPUB = Reopened(_in_docx), Reopened(_in_epub)
