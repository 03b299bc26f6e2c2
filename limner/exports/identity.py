"""Give documents their own identifier and date.

Pandoc, restricted to its standard input, knows neither the time nor earlier output: every book would have the same
identifier and a date in 1970. Readers store notes and positions by these
(https://www.w3.org/TR/epub-33/#sec-package-metadata).
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from xml.sax.saxutils import escape

from limner.document import Article
from limner.exports.bidi import direction
from limner.exports.word_bidi import directed, with_languages
from limner.exports.words import line

_SPACE = uuid.UUID("5a0e6a0c-7f3b-5f0e-9b5c-2f4f0d3a9c61")
"""Namespace of the identifiers; any fixed UUID would do (RFC 9562, section 5.5)."""


def identifier(article: Article) -> str:
    """The article's URN: the same for the same title, text and images, different for any other."""
    digest = hashlib.sha256()
    images = (part for i in article.illustrations for part in (i.after, i.image_id, i.caption, i.alt, i.credit))
    for part in (article.title, article.language, article.source, *images):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return f"urn:uuid:{uuid.uuid5(_SPACE, digest.hexdigest())}"


def now() -> str:
    """The time in the form of EPUB and OOXML, e.g. 2026-11-30T00:12:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def written_on(article: Article) -> str:
    """The day of the article's own date as YYYY-MM-DD, "" if it has none that says the day."""
    found = re.match(r"(\d{4}-\d{2}-\d{2})(?![\d-])", article.date)
    try:
        return date.fromisoformat(found[1]).isoformat() if found else ""
    except ValueError:
        return ""


def dated_epub(data: bytes, article: Article) -> bytes:
    """Set identifier and time in pandoc's EPUB."""
    own, moment = identifier(article), now()

    def change(name: str, text: str) -> str:
        if name.endswith(".opf"):
            text = re.sub(r"(<dc:identifier [^>]*>)[^<]*", rf"\g<1>{own}", text)
            return re.sub(r"(<meta property=\"dcterms:modified\">)[^<]*", rf"\g<1>{moment}", text)
        return re.sub(r"(<meta name=\"dtb:uid\" content=\")[^\"]*", rf"\g<1>{own}", text)

    return _changed(data, ("content.opf", "toc.ncx"), change)


def dated_docx(data: bytes, article: Article) -> bytes:
    """Set identifier, author and times in pandoc's DOCX."""
    own, moment = identifier(article), now()
    day, author = written_on(article), escape(line(article.author))
    created = f"{day}T00:00:00Z" if day else moment

    def change(_: str, text: str) -> str:
        text = re.sub(r"(<dcterms:created [^>]*>)[^<]*", rf"\g<1>{created}", text)
        text = re.sub(r"(<dcterms:modified [^>]*>)[^<]*", rf"\g<1>{moment}", text)
        if author:
            text = re.sub(r"<dc:creator\s*/>|<dc:creator>[^<]*</dc:creator>", "", text)
            text = text.replace("</cp:coreProperties>", f"<dc:creator>{author}</dc:creator></cp:coreProperties>")
        return text.replace("</cp:coreProperties>", f"<dc:identifier>{escape(own)}</dc:identifier></cp:coreProperties>")

    return _changed(data, ("core.xml",), change)


def pictures_of_notes(data: bytes) -> bytes:
    """Add the missing relations of images in footnotes to pandoc's DOCX.

    Pandoc writes relations only for the text (word/document.xml.rels), so readers would show a broken image.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        if "word/footnotes.xml" not in book.namelist():
            return data
        wanted = set(re.findall(r'r:embed="([^"]+)"', book.read("word/footnotes.xml").decode("utf-8")))
        known = re.findall(r"<Relationship\b[^>]*/>", book.read("word/_rels/document.xml.rels").decode("utf-8"))
    missing = "".join(r for r in known if (own := re.search(r'\bId="([^"]+)"', r)) and own[1] in wanted)

    def change(_: str, text: str) -> str:
        if text.rstrip().endswith("/>"):
            return text.rstrip()[:-2] + f">{missing}</Relationships>"
        return text.replace("</Relationships>", f"{missing}</Relationships>")

    return _changed(data, ("footnotes.xml.rels",), change) if missing else data


def directed_docx(data: bytes, article: Article) -> bytes:
    """Set directions and the language in pandoc's DOCX."""
    base = direction(article)

    def change(name: str, text: str) -> str:
        return with_languages(text, article.language) if name.endswith("styles.xml") else directed(text, base)

    return _changed(data, ("document.xml", "footnotes.xml", "styles.xml"), change)


def _changed(data: bytes, names: tuple[str, ...], change: Callable[[str, str], str]) -> bytes:
    """A zip with some of its files changed, and everything else, including the order, as before."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for item in before.infolist():
            content = before.read(item)
            if item.filename.rpartition("/")[2] in names:
                content = change(item.filename, content.decode("utf-8")).encode("utf-8")
            after.writestr(item, content, compress_type=item.compress_type)
    return out.getvalue()
