"""Directions in a Word document: titles, headings, captions, lists, tables, footnotes and pages."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from test_drafts import draft, one_picture

from limner.exports import write_article

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
WORDS = {  # a title, a sentence, a word
    "ar": ("الساحل", "ترفع الرافعة الشباك من القوارب", "رافعة"),
    "he": ("החוף", "העגורן מרים רשתות מן הסירות", "עגורן"),
    "fa": ("ساحل", "جرثقیل تورها را از قایق‌ها بلند می‌کند", "جرثقیل"),
    "ur": ("ساحل", "کرین کشتیوں سے جال اٹھاتی ہے", "کرین"),
}


def parts(tmp_path: Path, source: str, language: str, caption: str) -> dict[str, Element]:
    article = draft(source, caption=caption, alt=caption).model_copy(update={"language": language})
    path = write_article(article, tmp_path / "a", one_picture, ("docx",)).files["docx"]
    with zipfile.ZipFile(path) as book:
        names = ("document", "footnotes", "styles")
        return {name: ElementTree.fromstring(book.read(f"word/{name}.xml")) for name in names}


def words(element: Element) -> str:
    return "".join(t.text or "" for t in element.iter(f"{W}t"))


def turned(element: Element) -> bool:
    return element.find(f"{W}pPr/{W}bidi") is not None


def style(paragraph: Element) -> str:
    found = paragraph.find(f"{W}pPr/{W}pStyle")
    return "" if found is None else found.get(f"{W}val", "")


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("told", [True, False])
def test_every_paragraph_from_right_to_left_is_marked(tmp_path: Path, language: str, told: bool) -> None:
    """pandoc#3140, pandoc#6222, pandoc#7695: text, parentheses and tables of a DOCX stay from left to right.

    told: the article has the language; or else it is English.
    """
    title, sentence, word = WORDS[language]
    source = f"# {title}\n\n{sentence}.[^1]\n\n## {title} **{word}**\n\n- {word}\n\n> {word}\n\n| {word} | {title} |\n"
    source += f"|--|--|\n| {word} | {title} |\n\n[^1]: {word}\n\n{word}\n: {sentence}\n\nA crane is here.\n"
    made = parts(tmp_path, source, language if told else "en", sentence)
    paragraphs = [*made["document"].iter(f"{W}p"), *made["footnotes"].iter(f"{W}p")]
    right = [p for p in paragraphs if any("\u0590" <= c <= "\u06ff" for c in words(p))]
    assert {style(p) for p in right} >= {"Title", "Heading1", "ImageCaption", "BlockText", "FootnoteText", "Definition"}
    assert [words(p) for p in right if not turned(p)] == []
    assert [words(p) for p in paragraphs if words(p) == "A crane is here." and turned(p)] == []
    for run in (run for p in paragraphs for run in p.iter(f"{W}r") if words(run).strip(" .,—")):
        letters = [c for c in words(run) if c.isalpha()]
        marked = run.find(f"{W}rPr/{W}rtl") is not None
        assert [("\u0590" <= c <= "\u06ff") == marked for c in letters] == [True] * len(letters), words(run)
    (table,) = made["document"].iter(f"{W}tbl")
    assert table.find(f"{W}tblPr/{W}bidiVisual") is not None
    (section,) = made["document"].iter(f"{W}sectPr")
    assert (section.find(f"{W}bidi") is not None) == told
    if told:
        (found,) = [lang.get(f"{W}bidi") for lang in made["styles"].iter(f"{W}lang")]
        assert found == language


def test_latin_within_arabic_keeps_its_direction_and_its_numbers(tmp_path: Path) -> None:
    made = parts(tmp_path, "# الساحل\n\nترفع الرافعة Ada Field, CC BY 4.0 رافعة 1890.\n", "ar", "رافعة")
    (paragraph,) = [p for p in made["document"].iter(f"{W}p") if "Ada Field, CC BY 4.0 رافعة" in words(p)]
    runs = [(words(r), r.find(f"{W}rPr/{W}rtl") is not None) for r in paragraph.iter(f"{W}r")]
    assert "".join(text for text, right in runs if not right) == "Ada Field, CC BY 4.0"
    assert "".join(text for text, right in runs if right) == "ترفع الرافعة  رافعة 1890."


def test_the_side_of_a_column_is_kept(tmp_path: Path) -> None:
    """In a paragraph from right to left Word's `left` is its beginning, on the right."""
    made = parts(tmp_path, "نص\n\n| أ | ب |\n|--:|:--|\n| ج | د |\n", "ar", "رافعة")
    sides = [jc.get(f"{W}val") for cell in made["document"].iter(f"{W}tc") for jc in cell.iter(f"{W}jc")]
    assert sides == ["left", "right"] * 2


def test_a_document_from_left_to_right_is_pandoc_s_own(tmp_path: Path) -> None:
    made = parts(tmp_path, "# A\n\nText.[^1]\n\n[^1]: Note\n", "en", "A crane")
    assert not [e for part in made.values() for name in ("bidi", "rtl", "bidiVisual") for e in part.iter(f"{W}{name}")]


def test_a_link_and_a_footnote_keep_their_place(tmp_path: Path) -> None:
    source = "نص [رافعة A](https://example.org) ثم B[^1] نص\n\n[^1]: English note\n"
    made = parts(tmp_path, source, "ar", "رافعة")
    (paragraph,) = [p for p in made["document"].iter(f"{W}p") if "ثم" in words(p)]
    assert words(paragraph) == "نص رافعة A ثم B نص"
    (link,) = paragraph.iter(f"{W}hyperlink")
    assert words(link) == "رافعة A"
    (note,) = [p for p in made["footnotes"].iter(f"{W}p") if "English" in words(p)]
    assert not turned(note)
