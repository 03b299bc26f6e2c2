"""Of a pair of images for light and dark pages, one is shown: the light one."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_drafts import ALL, draft, one_picture, picture
from test_export import Page

from limner.document import read_markdown
from limner.exports import own_images, write_article
from limner.exports.text import names_in, text_of

PAIRS = [
    "![a](l.png#gh-light-mode-only)\n![b](d.png#gh-dark-mode-only)",
    "![b](d.png#only-dark) ![a](l.png#only-light)",
    "[![a](l.png#gh-light-mode-only)](http://a.b)\n[![b](d.png#gh-dark-mode-only)](http://a.b)",
    "![a](l.png#gh-light-mode-only)\n\n![b](d.png#gh-dark-mode-only)",
    "![a](l.png#light)![b](d.png#dark)",
    '<picture><source media="(prefers-color-scheme: dark)" srcset="d.png">'
    '<source media="(prefers-color-scheme: light)" srcset="l.png"><img src="d.png" alt="a"></picture>',
    '<picture>\n<source media="(prefers-color-scheme: dark)" srcset="d.png">\n<img src="l.png" alt="a">\n</picture>',
    '<picture>\n  <source media="(prefers-color-scheme: light)" srcset="l.png 2x">\n  <img src="d.png">\n</picture>',
    '<img class="only-light" src="l.png" alt="a"><img class="only-dark" src="d.png">',
    '<img className="block dark:hidden" src="l.png" alt="a"/>\n<img className="hidden dark:block" src="d.png"/>',
    "![a](l.png){.light-content}\n![b](d.png){.dark-content}",
    "![a](l.png){: .light }\n![b](d.png){: .dark }",
    "| ![a](l.png#only-light)![b](d.png#only-dark) |\n|---|\n| x |",
]


def shown(source: str) -> list[str]:
    article = read_markdown(source).model_copy(update={"made_with": {"draft": True}})
    return [names[0].partition("#")[0] for names in names_in(text_of(article).root)]


@pytest.mark.parametrize("source", PAIRS)
def test_the_light_one_is_shown(source: str) -> None:
    """warehouse#11219, MultiQC#2567, remoteclaw#325: a page that is no GitHub's shows both, or the dark one."""
    assert shown(f"Text.\n\n{source}\n\nMore.\n") == ["l.png"]


@pytest.mark.parametrize(
    ("source", "images"),
    [
        ("![](d.png#gh-dark-mode-only)", ["d.png"]),
        ("![](l.png#only-light)", ["l.png"]),
        ("![](dark.png) ![](light.png)", ["dark.png", "light.png"]),
        ("![](a.png#only-light) ![](b.png) ![](c.png#only-dark)", ["a.png", "b.png", "c.png"]),
        ("![](a.png#only-light) ![](b.png#only-dark) ![](c.png#only-light) ![](d.png#only-dark)", ["a.png", "c.png"]),
        ("![](b.png#only-dark) ![](c.png#only-dark) ![](a.png#only-light)", ["b.png", "a.png"]),
        ('<picture><source media="(min-width: 9px)" srcset="w.png"><img src="n.png"></picture>', ["n.png"]),
    ],
)
def test_an_image_without_its_other_is_shown(source: str, images: list[str]) -> None:
    assert shown(source) == images


@pytest.mark.parametrize("source", PAIRS[:6])
def test_every_export_shows_one_and_the_draft_keeps_both(tmp_path: Path, source: str) -> None:
    for name in ("l.png", "d.png"):
        (tmp_path / name).write_bytes(picture())
    text = f"First.\n\n{source}\n"
    article = draft(text)
    made = write_article(article, tmp_path / "a", one_picture, (*ALL, "md"), beside=own_images(article, tmp_path))
    page = Page(made.files["html"].read_text("utf-8"))
    assert len([i for i in page.all("img") if i.get("class") == "own"]) == 1
    assert made.article.notes == ()
    assert source in made.files["md"].read_text("utf-8")
    assert {p.name for p in made.folder.glob("*.png")} == {"l.png", "d.png"}


def test_the_dark_one_is_shown_where_the_light_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / "d, 1.png").write_bytes(picture())
    article = draft("First.\n\n![a](l.png#only-light) ![b](<d, 1.png#only-dark>)\n")
    made = write_article(article, tmp_path / "a", one_picture, ("html",), beside=own_images(article, tmp_path))
    assert len([i for i in Page(made.files["html"].read_text("utf-8")).all("img") if i.get("class") == "own"]) == 1
    assert made.article.notes == ()
