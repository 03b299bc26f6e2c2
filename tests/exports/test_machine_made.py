"""A caption that a model wrote for the library is labelled in every export, and in the exported image."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from limner.document import Article, Illustration, read_markdown
from limner.exports import read_json, write_article
from limner.exports.words import attribution, machine_label

LABEL = "caption written by AI"


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    Image.new("RGB", (320, 200), (90, 20, 160)).save(tmp_path / "p.jpg")
    return (tmp_path / "p.jpg").read_bytes()


def article(language: str = "en", **words: object) -> Article:
    made = read_markdown("# Boats\n\nTwo boats lie in the harbour.\n\nThe sea is calm.\n", language=language)
    fields = {"caption": "Two boats with red sails.", "alt": "Two boats", "credit": "Photo: A. Huber", "licence": "CC0"}
    about = {**fields, "machine_made": ("caption", "alt"), **words}
    figure = Illustration(
        id="f1",
        after=made.paragraphs[0].id,
        image_id="a" * 32,
        width=320,
        height=200,
        **about,  # type: ignore[arg-type]
    )
    return made.illustrated([figure])


def written(made: Article, folder: Path, picture: bytes, *formats: str) -> Path:
    write_article(made, folder, lambda _id: (picture, ".jpg"), list(formats))
    return folder


def test_the_label_stands_behind_the_credit_in_markdown_and_page(tmp_path: Path, picture: bytes) -> None:
    folder = written(article(), tmp_path / "out", picture, "md", "html", "json")
    text = (folder / "article.md").read_text()
    assert f"*Two boats with red sails.* (Photo: A. Huber, CC0, {LABEL})" in text
    assert f"1. Two boats with red sails. — Photo: A. Huber, CC0, {LABEL}" in text
    page = (folder / "article.html").read_text()
    assert page.count(f"Photo: A. Huber, CC0, {LABEL}") == 2
    saved = json.loads((folder / "article.json").read_text())["article"]["illustrations"][0]
    assert saved["machine_made"] == ["caption", "alt"]
    assert read_json(folder / "article.json").illustrations[0].machine_made == ("caption", "alt")


@pytest.mark.parametrize("form", ["docx", "epub", "pdf"])
def test_documents_are_written_and_checked_with_the_label(tmp_path: Path, picture: bytes, form: str) -> None:
    """The check of each format compares every caption and credit with the document, reopened."""
    folder = written(article("de"), tmp_path / "out", picture, form)
    assert next(folder.glob(f"*.{form}")).stat().st_size > 1000


def test_a_persons_caption_has_no_label_and_an_image_without_credit_has_one(tmp_path: Path, picture: bytes) -> None:
    theirs = written(article(machine_made=("alt",)), tmp_path / "theirs", picture, "md", "html")
    assert LABEL not in (theirs / "article.md").read_text() + (theirs / "article.html").read_text()
    bare = written(article(credit="", licence=""), tmp_path / "bare", picture, "md")
    assert f"*Two boats with red sails.* ({LABEL})" in (bare / "article.md").read_text()
    assert attribution(article(caption="").illustrations[0]) == "Photo: A. Huber, CC0"


def test_the_label_is_in_the_articles_language(tmp_path: Path, picture: bytes) -> None:
    assert "图注由AI撰写" in (written(article("zh-CN"), tmp_path / "zh", picture, "md") / "article.md").read_text()
    assert machine_label("tlh") == LABEL


def test_the_exported_image_names_the_writer_of_its_description(tmp_path: Path, picture: bytes) -> None:
    folder = written(article(), tmp_path / "out", picture, "md")
    data = next((folder / "images").iterdir()).read_bytes()
    assert f"<photoshop:CaptionWriter>{LABEL}</photoshop:CaptionWriter>".encode() in data
    theirs = written(article(machine_made=()), tmp_path / "theirs", picture, "md")
    assert not re.search(rb"CaptionWriter>", next((theirs / "images").iterdir()).read_bytes())
