"""DOCX, EPUB and PDF by the real pandoc and Typst, opened again by other readers than those that wrote them."""

from __future__ import annotations

import io
import os
import re
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest
from PIL import Image
from pypdf import PdfReader
from test_export import EVIL, PIECES, TEXT, illustrated, illustration, names

from limner import exports
from limner.document import Article, read_markdown
from limner.errors import ExportFailed, NotInstalled
from limner.exports import write_article
from limner.exports.words import line

DOCUMENTS = ("docx", "epub", "pdf")
CHINESE = "# 蜜蜂如何酿蜜\n\n蜜蜂采集花蜜，然后把它带回“蜂巢”。\n\n工蜂 *扇动* 翅膀。\n"


def photograph(_image_id: str = "", kind: str = "JPEG", mode: str = "RGB", **options: object) -> tuple[bytes, str]:
    out = io.BytesIO()
    Image.effect_noise((300, 200), 60).convert(mode).save(out, kind, **options)
    return out.getvalue(), ".any"


def words_of(path: Path) -> str:
    """Everything a document says, spaces aside."""
    if path.suffix == ".pdf":
        text = "".join(page.extract_text() for page in PdfReader(path).pages)
    else:
        with zipfile.ZipFile(path) as book:
            parts = [n for n in book.namelist() if n == "word/document.xml" or re.fullmatch(r"EPUB/text/ch.*", n)]
            bodies = [e for n in sorted(parts) for e in ElementTree.fromstring(book.read(n)) if "body" in e.tag]
            text = "".join("".join(e.itertext()) for e in bodies)
    return "".join(text.split())


def bare(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_text_images_captions_and_credits_are_all_there(tmp_path: Path, kind: str) -> None:
    article = illustrated(
        TEXT + "\n## More\n\nA [link](https://example.org/a?b=c&d) and `code`.\n\n| a |\n|---|\n| cell |\n"
    )
    written = write_article(article, tmp_path / "a", photograph, (kind,))
    assert names(tmp_path / "a") == [f"article.{kind}"]
    words = words_of(written.files[kind])
    for piece in ("Bees", "They fly.", "nectar", "More", "code", "cell", "A bee, number 0.", "Image credits"):
        assert bare(piece) in words
    assert words.count(bare("Ada Field, CC BY 4.0")) == 2 * len(article.illustrations)
    data = written.files[kind].read_bytes()
    if kind == "pdf":
        reader = PdfReader(io.BytesIO(data))
        links = [a.get_object()["/A"]["/URI"] for page in reader.pages for a in page.get("/Annots", ())]
        assert "https://example.org/a?b=c&d" in links
        assert reader.metadata is not None
        assert reader.metadata.title == "Bees"
        assert b"pdfuaid" in data  # it says that it meets PDF/UA, and Typst wrote it only because it does
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            text = b"".join(book.read(n) for n in book.namelist() if n.endswith((".xml", ".xhtml", ".rels")))
        assert b"https://example.org/a?b=c&amp;d" in text


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("language", ["zh", "zh-Hant", "ja", "ar", "und", "x-klingon", ""])
def test_a_document_knows_its_language(tmp_path: Path, kind: str, language: str) -> None:
    article = illustrated(CHINESE).model_copy(update={"language": language})
    path = write_article(article, tmp_path / "a", photograph, (kind,)).files[kind]
    if language != "ar":  # a PDF keeps what is set from right to left in the order that it is drawn in
        assert bare("蜜蜂采集花蜜，然后把它带回“蜂巢”。") in words_of(path)
    if language.startswith("zh"):
        whole = path.read_bytes()
        if kind == "pdf":
            assert str(PdfReader(path).trailer["/Root"]["/Lang"]).startswith("zh")
        else:
            with zipfile.ZipFile(io.BytesIO(whole)) as book:
                name = "EPUB/content.opf" if kind == "epub" else "word/styles.xml"
                assert f'"{language}"'.encode() in book.read(name) or f">{language}<".encode() in book.read(name)


def test_chinese_is_drawn_and_not_boxes(tmp_path: Path) -> None:
    """Every letter of the text comes from a font that has it; in a PDF/UA a missing one would be an error."""
    path = write_article(illustrated(CHINESE), tmp_path / "a", photograph, ("pdf",)).files["pdf"]
    fonts = {
        str(font.get_object()["/BaseFont"])
        for page in PdfReader(path).pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert any("NotoSansCJK" in font for font in fonts), fonts


def test_a_letter_that_no_font_has_is_named(tmp_path: Path) -> None:
    article = illustrated("A letter for private use: \U0010fffd\n")
    with pytest.raises(ExportFailed, match=r"No font at hand has '.+', which the PDF needs"):
        write_article(article, tmp_path / "a", photograph, ("pdf",))
    assert os.listdir(tmp_path) == []


HOSTILE = [
    '#read("/etc/passwd")',
    '#import "@preview/cetz:0.3.0"',
    '#image("/etc/passwd") $x$ @ref <label> #let a = 1; #panic()',
    "] } #[ ``` \\ // /* */ = h",
    "\\input{/etc/passwd} $\\include{x}$",
    "{{#include x}} [^1] [@cite] ::: div",
    "---\ntitle: x\n---",
    "<script>alert(1)</script><iframe src=file:///etc/passwd>",
    "![x](/etc/passwd) ![y](http://127.0.0.1:9/z.png) ![z](file:///etc/passwd)",
    "[a](javascript:alert(1)) [b](file:///etc/passwd)",
]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_hostile_words_are_words(tmp_path: Path, kind: str) -> None:
    """Every field holds every payload; nothing is read, loaded or run, and all of it can be read."""
    asked: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    server = HTTPServer(("127.0.0.1", 0), Canary)
    Thread(target=server.serve_forever, daemon=True).start()
    secret = tmp_path / "secret.txt"
    secret.write_text("CANARY-4711")
    calls = [
        f"![p](http://127.0.0.1:{server.server_port}/x.png)",
        f"<img src='http://127.0.0.1:{server.server_port}/y.png'>",
        f'#read("{secret}") ![s]({secret}) <object data="{secret}">',
        f"[inc]: {secret}",
    ]
    words = [line(w) for w in (*HOSTILE, *calls, *EVIL)]
    source = "# Title\n\n" + "\n\n".join((*HOSTILE, *calls, *EVIL)).replace("\ud800", "")
    article = read_markdown(source).model_copy(update={"title": words[0]})
    after = article.paragraphs[0].id
    article = article.illustrated(
        illustration(n, after, caption=w, alt=w, credit=w, licence=w) for n, w in enumerate(words)
    )
    try:
        path = write_article(article, tmp_path / "a", photograph, (kind,)).files[kind]
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []
    found = words_of(path)
    assert "CANARY-4711" not in found
    assert "root:x:0" not in found
    assert bare('#read("/etc/passwd")') in found
    if kind == "pdf":
        raw = path.read_bytes()
        assert not re.search(rb"/(JavaScript|JS|Launch|EmbeddedFile|OpenAction)\b", raw)
    else:
        with zipfile.ZipFile(path) as book:
            assert all(not n.startswith("/") and ".." not in n for n in book.namelist())
            relations = [book.read(n).decode() for n in book.namelist() if n.endswith(".rels")]
            assert not re.search(r'Target="(javascript|file):', "".join(relations), re.IGNORECASE)
            pages = [book.read(n).decode() for n in book.namelist() if n.endswith(".xhtml")]
            assert not re.search(r"<(script|iframe|object|embed)\b", "".join(pages))
            assert not re.search(r'src="(?!\.\./media/)', "".join(pages))


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_shape_of_text_can_be_written(tmp_path: Path, kind: str) -> None:
    source = "\n\n".join(piece.replace("\udce9", "").replace("\udcff", "") for piece in PIECES)
    article = illustrated(source + "\n\n####### deep\n\n# \n\n1000000. far\n\n> > - 1. nested\n\n[]() [x]() [y](#z)\n")
    assert write_article(article, tmp_path / "a", photograph, (kind,)).files[kind].stat().st_size > 1000


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_text_without_headings_images_or_words(tmp_path: Path, kind: str) -> None:
    for n, source in enumerate(("", "Only words.\n", "### Third first\n\n# Then first\n\ntext\n")):
        article = illustrated(source, credit="", licence="", caption="", alt="")
        assert write_article(article, tmp_path / str(n), photograph, (kind,)).files[kind].is_file()


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize(
    ("format", "mode", "options"),
    [
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("AVIF", "RGB", {}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "LA", {}),
        ("PNG", "I;16", {}),
        ("JPEG", "L", {}),
    ],
)
def test_images_of_every_kind_become_ones_that_programs_show(
    tmp_path: Path, kind: str, format: str, mode: str, options: dict[str, object]
) -> None:
    data = photograph("", format, mode, **options)
    path = write_article(illustrated("para\n"), tmp_path / "a", lambda _: data, (kind,)).files[kind]
    if kind == "pdf":
        assert [i.image.size for page in PdfReader(path).pages for i in page.images] == [(300, 200)]
    else:
        with zipfile.ZipFile(path) as book:
            (name,) = [n for n in book.namelist() if "/media/" in n]
            with Image.open(io.BytesIO(book.read(name))) as image:
                assert image.format in ("JPEG", "PNG")
                assert image.size == (300, 200)


def test_a_photograph_lying_on_its_side_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = photograph("", exif=exif)
    written = write_article(illustrated("para\n"), tmp_path / "a", lambda _: data, DOCUMENTS)
    for kind in ("docx", "epub"):
        with zipfile.ZipFile(written.files[kind]) as book:
            (name,) = [n for n in book.namelist() if "/media/" in n]
            with Image.open(io.BytesIO(book.read(name))) as image:
                assert image.size == (200, 300)
                assert 0x0112 not in image.getexif()


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_that_lost_something_is_not_published(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is handed an article with an image less, with another alternative text, with another credit."""
    whole = exports.FORMATS[kind]

    def less(a: Article) -> Article:
        return a.model_copy(update={"illustrations": a.illustrations[1:]})

    def other(a: Article, **change: str) -> Article:
        first, *rest = a.illustrations
        return a.model_copy(update={"illustrations": (first.model_copy(update=change), *rest)})

    for spoil, message in (
        (less, "2 images where the article has 3"),
        (lambda a: other(a, alt="A wasp"), "first missing: 'Bee 0"),
        (lambda a: other(a, credit="Someone"), "has . c(redits|aptions)|first missing"),
    ):
        spoilt = whole._replace(write=lambda a, pictures, spoil=spoil: whole.write(spoil(a), pictures))
        monkeypatch.setitem(exports.FORMATS, kind, spoilt)
        with pytest.raises(ExportFailed, match=message):
            write_article(illustrated(TEXT), tmp_path / "a", photograph, (kind,))
        assert os.listdir(tmp_path) == []


def test_text_from_right_to_left_keeps_its_credits(tmp_path: Path) -> None:
    article = illustrated("# نحل\n\nفقرة\n", credit="مصور 12 (وكالة)", caption="نحلة").model_copy(
        update={"language": "ar"}
    )
    written = write_article(article, tmp_path / "a", photograph, DOCUMENTS)
    assert set(written.files) == set(DOCUMENTS)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_without_the_extra_its_command_is_named(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("typst", "pypandoc"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotInstalled, match=r"pip install 'limner\[export\]'"):
        write_article(illustrated(TEXT), tmp_path / "a", photograph, (kind,))
    assert os.listdir(tmp_path) == []


def test_a_pandoc_that_fails_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pypandoc

    program = tmp_path / "pandoc"
    program.write_text("#!/bin/sh\ncat >/dev/null\necho out of paper >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(pypandoc, "get_pandoc_path", lambda: str(program))
    with pytest.raises(ExportFailed, match="out of paper"):
        write_article(illustrated(TEXT), tmp_path / "a", photograph, ("docx",))
    assert os.listdir(tmp_path) == ["pandoc"]


def test_drawings_are_smaller_than_photographs(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (600, 600), (0, 0, 0, 0))
    out = io.BytesIO()
    clear.save(out, "PNG")
    written = write_article(illustrated("para\n"), tmp_path / "a", lambda _: (out.getvalue(), ".png"), ("pdf", "docx"))
    with zipfile.ZipFile(written.files["docx"]) as book:
        extent = re.search(r'cx="(\d+)"', book.read("word/document.xml").decode())
    assert extent is not None
    assert int(extent[1]) <= 6 * 914_400  # English Metric Units, 914 400 to the inch
