"""What a document says of itself: an identifier of its own and when it was made.

Pandoc, held to its standard input, knows neither the time nor what it wrote before: every book would be the same one,
last changed in 1970. Readers keep notes and positions by these (https://www.w3.org/TR/epub-33/#sec-package-metadata).
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from limner.document import Article

_SPACE = uuid.UUID("5a0e6a0c-7f3b-5f0e-9b5c-2f4f0d3a9c61")
"""Under which identifiers are made; any fixed UUID would do (RFC 9562, section 5.5)."""


def identifier(article: Article) -> str:
    """A URN that is the article's own: the same for the same title, text and images, and another for any other."""
    digest = hashlib.sha256()
    images = (part for i in article.illustrations for part in (i.after, i.image_id, i.caption, i.alt, i.credit))
    for part in (article.title, article.language, article.source, *images):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return f"urn:uuid:{uuid.uuid5(_SPACE, digest.hexdigest())}"


def now() -> str:
    """The time as EPUB and OOXML write it, e.g. 2026-11-30T00:12:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dated_epub(data: bytes, article: Article) -> bytes:
    """A book of pandoc's with its identifier and the time that it was made."""
    own, moment = identifier(article), now()

    def change(name: str, text: str) -> str:
        if name.endswith(".opf"):
            text = re.sub(r"(<dc:identifier [^>]*>)[^<]*", rf"\g<1>{own}", text)
            return re.sub(r"(<meta property=\"dcterms:modified\">)[^<]*", rf"\g<1>{moment}", text)
        return re.sub(r"(<meta name=\"dtb:uid\" content=\")[^\"]*", rf"\g<1>{own}", text)

    return _changed(data, ("content.opf", "toc.ncx"), change)


def dated_docx(data: bytes, article: Article) -> bytes:
    """A document of pandoc's with its identifier and the time that it was made."""
    own, moment = identifier(article), now()

    def change(_: str, text: str) -> str:
        text = re.sub(r"(<dcterms:(created|modified) [^>]*>)[^<]*", rf"\g<1>{moment}", text)
        return text.replace("</cp:coreProperties>", f"<dc:identifier>{escape(own)}</dc:identifier></cp:coreProperties>")

    return _changed(data, ("core.xml",), change)


def pictures_of_notes(data: bytes) -> bytes:
    """A document of pandoc's in which pictures within footnotes are found.

    Pandoc writes where they lie for the text alone (word/document.xml.rels), so a reader shows a broken picture.
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


def _changed(data: bytes, names: tuple[str, ...], change: Callable[[str, str], str]) -> bytes:
    """A zip with some of its files changed, everything else and their order as it was."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(out, "w") as after:
        for item in before.infolist():
            content = before.read(item)
            if item.filename.rpartition("/")[2] in names:
                content = change(item.filename, content.decode("utf-8")).encode("utf-8")
            after.writestr(item, content, compress_type=item.compress_type)
    return out.getvalue()
