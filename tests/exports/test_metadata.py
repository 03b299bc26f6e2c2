"""Author and date of the front matter in every format, and words of others that a template would run."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from pypdf import PdfReader

from limner.document import Article, Illustration, markdown, read_markdown
from limner.exports import write_article
from limner.exports.markdown import to_markdown

DRAFT = (
    "---\ntitle: Harbour\nauthor: [Ana <b>, Bo & Co]\ndate: 2026-03-01\nlang: de\n---\n\n"
    "Der Wind kommt heute von Westen.\n"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("harbour") / "out"
    return write_article(read_markdown(DRAFT), folder, lambda _: (b"", ""), ["html", "epub", "docx", "pdf"]).files


def test_the_page_names_author_and_date(files: dict[str, Path]) -> None:
    page = files["html"].read_text(encoding="utf-8")
    assert '<meta name="author" content="Ana &lt;b&gt;, Bo &amp; Co">' in page
    assert '<meta name="date" content="2026-03-01">' in page


def test_the_book_names_author_and_date(files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files["epub"]) as book:
        opf = book.read("EPUB/content.opf").decode()
    assert re.search(r"<dc:creator[^>]*>Ana &lt;b&gt;, Bo &amp; Co</dc:creator>", opf)
    assert re.search(r"<dc:date[^>]*>2026-03-01", opf)
    assert "<dc:language>de</dc:language>" in opf


def test_the_document_names_author_and_date(files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files["docx"]) as book:
        core = book.read("docProps/core.xml").decode()
    assert core.count("<dc:creator>") == 1
    assert "<dc:creator>Ana &lt;b&gt;, Bo &amp; Co</dc:creator>" in core
    assert re.search(r"<dcterms:created [^>]*>2026-03-01T00:00:00Z", core)
    assert not re.search(r"<dcterms:modified [^>]*>2026-03-01", core)


def test_the_pdf_names_author_and_date(files: dict[str, Path]) -> None:
    about = PdfReader(files["pdf"]).metadata
    assert about
    assert about.author == "Ana <b>, Bo & Co"
    assert str(about.get("/CreationDate", "")).startswith("D:20260301")


@pytest.mark.parametrize("date", ["", "March", "2026", "2026-13-45", "2026-02-30"])
def test_a_date_that_is_no_day_is_left_out(date: str, tmp_path: Path) -> None:
    article = read_markdown("# A\n\nText.\n").model_copy(update={"date": date})
    files = write_article(article, tmp_path / "out", lambda _: (b"", ""), ["epub", "docx", "pdf"]).files
    with zipfile.ZipFile(files["docx"]) as book:
        assert re.search(r"<dcterms:created [^>]*>20\d\d-\d\d-\d\dT", book.read("docProps/core.xml").decode())


def captioned(words: str) -> Article:
    figure = Illustration(
        id="f-s1", after="b2", image_id="a" * 32, caption=words, alt=words, credit=words, width=9, height=9
    )
    return read_markdown("# A\n\nText.\n\nMore.\n").illustrated([figure])


@pytest.mark.parametrize(
    "words", ["{{ site.secret }}", "{% include x %}", "{{< figure >}}", "{props.x}", "::: warning", "a :::: b", "{#id}"]
)
def test_words_of_a_caption_run_in_no_template_and_read_as_they_are(words: str) -> None:
    text = to_markdown(captioned(words), {"a" * 32: "a.png"})
    figure = text[text.index("![") :]
    assert "{" not in figure
    assert ":::" not in figure
    shown = re.sub(r"<[^>]+>", "", markdown().render(figure))
    assert words.replace("<", "&lt;").replace(">", "&gt;") in shown
