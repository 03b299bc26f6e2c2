"""The text of files that people attach, read by real programs, hostile ones among them."""

from __future__ import annotations

import io
import zipfile

import pypandoc
import pytest

from limner.errors import BadInput
from limner.exports.documents import pandoc
from limner.tools.documents import MAX_TEXT, document_text


def pdf(words: str, pages: int = 1) -> bytes:
    """A PDF by hand, with its table of objects."""
    stream = f"BT /F1 12 Tf 72 720 Td ({words}) Tj ET".encode()
    kids = " ".join(f"{4 + n} 0 R" for n in range(pages))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {pages}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *[
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % (4 + pages)
            for _ in range(pages)
        ],
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
    ]
    out, at = io.BytesIO(b"%PDF-1.4\n"), []
    out.seek(0, io.SEEK_END)
    for n, body in enumerate(objects, 1):
        at.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (n, body))
    start = out.tell()
    table = "".join(f"{place:010} 00000 n \n" for place in at)
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode())
    out.write(f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


def test_a_pdf_is_read() -> None:
    assert document_text(pdf("Bees gather nectar.")) == "Bees gather nectar."
    assert document_text(pdf("Bees.", pages=3), "a.bin") == "Bees.\n\nBees.\n\nBees."


def made_by_pandoc(kind: str) -> bytes:
    if kind in ("rtf", "html"):
        return pypandoc.convert_text("# Bees\n\nThey *gather* nectar.", kind, "markdown", ["-s"]).encode()
    return pandoc("markdown", kind, b"# Bees\n\nThey *gather* nectar.")


@pytest.mark.parametrize(
    ("kind", "name"), [("docx", "a.docx"), ("odt", "a.odt"), ("epub", "a.epub"), ("html", "a.HTM")]
)
def test_what_pandoc_reads_is_read_as_markdown(kind: str, name: str) -> None:
    text = document_text(made_by_pandoc(kind), name)
    assert "# Bees" in text
    assert "They *gather* nectar." in text


def test_a_document_is_known_by_its_media_type() -> None:
    media = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert "nectar" in document_text(made_by_pandoc("docx"), "", media)
    assert "nectar" in document_text(made_by_pandoc("rtf"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_text_is_read_in_its_encoding(encoding: str) -> None:
    text = "Die Müllerin grüßt. Sie mag süßen Honig."
    assert document_text(f"{text}\r\n".encode(encoding), "a.txt") == text


def bomb() -> bytes:
    """A .docx of 300 kB whose text has 300 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(made_by_pandoc("docx"))) as old, zipfile.ZipFile(out, "w", 8) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "word/document.xml":
                data = data.replace(b"nectar", b"nectar" * 50_000_000)
            new.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        (b"", "a.txt", "is empty"),
        (b" \n", "a.txt", "holds no text"),
        (b"\x00\x01\x02", "a.bin", "of a type that limner does not read"),
        (b"%PDF-1.4\nnothing", "a.pdf", "is no PDF"),
        (b"PK\x03\x04 nothing", "a.docx", "cannot be opened"),
        (b"PK\x03\x04\x00 nothing", "a.zip", "of a type that limner does not read"),
        (b"x" * (MAX_TEXT + 1), "a.txt", "more than 800,000 characters"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, name: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        document_text(data, name)


def test_a_bomb_ends_the_program_that_reads_it_and_nothing_else() -> None:
    with pytest.raises(BadInput, match="cannot be opened"):
        document_text(bomb(), "a.docx")


def test_a_pdf_of_pages_within_themselves_is_refused() -> None:
    endless = pdf("x").replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]")
    with pytest.raises(BadInput):
        document_text(endless)
    assert document_text(pdf("Still there.")) == "Still there."
