"""The document: Markdown cut into blocks and nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limner.document import Article, Heading, Illustration, Paragraph, Verbatim, markdown, plain_text, read_markdown

NASTY = [
    "",
    "\n\n",
    "# T\n\nHello *w*\nx\n\n- a\n- b\n---\n```\ncode\n```\n\n[x]: http://a\n\nend",
    "a\r\nb\r\n\r\nc\rd",
    "---\ntitle: x\n---\n# X\npara\n\n",
    "\ufeff# byte order mark\n\ntext",
    "\x0cform\x0bfeed\n\x00null\n\n1\u2028 2\u0085 3",
    "Setext\n===\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<div>\nraw\n</div>\n\n> quote\nlazy",
    "\udcff undecodable \udc80\n\nbytes",
    "text\n\n[def]: <http://x> 'title'\n",
]


@pytest.mark.parametrize("source", NASTY)
def test_source_is_what_came_in(source: str) -> None:
    assert read_markdown(source).source == source


@given(st.text(alphabet=st.sampled_from("ab#-*_`>|~=+1.() \t\n\r\\![]<&:\x0c\u2028é語"), max_size=120))
def test_source_is_what_came_in_for_any_text(source: str) -> None:
    assert read_markdown(source).source == source


def test_blocks_are_what_a_reader_sees() -> None:
    article = read_markdown("# Bees\n\nThey fly.\n\n- one\n- two\n\n```\ncode\n```\n\n> said\n\n***\n")
    assert [type(b) for b in article.body] == [Heading, Paragraph, Paragraph, Verbatim, Paragraph, Verbatim]
    assert article.title == "Bees"
    assert [p.plain for p in article.paragraphs] == ["They fly.", "one\ntwo", "said"]
    assert article.heading_of(article.paragraphs[-1].id) == "Bees"
    assert [article.number(p.id) for p in article.paragraphs] == [0, 1, 2]
    with pytest.raises(KeyError):
        article.number(article.body[0].id)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("## Only a section\n\ntext", "Only a section"),
        ("## First\n\n# The title\n\ntext", "The title"),
        ("just a few words of text to begin with, and more", "just a few words of text to begin"),
        ("", ""),
    ],
)
def test_title_is_found(source: str, title: str) -> None:
    assert read_markdown(source).title == title


def test_illustrations_stand_in_reading_order() -> None:
    article = read_markdown("one\n\ntwo\n\nthree")
    first, _, third = article.paragraphs
    late, early = (
        Illustration(id=f"f{p.id}", after=p.id, image_id="i", caption="c", alt="a", width=1, height=1)
        for p in (third, first)
    )
    shown = [type(b).__name__ for b in article.illustrated([late, early]).blocks()]
    assert shown == ["Paragraph", "Illustration", "Paragraph", "Paragraph", "Illustration"]
    assert not article.illustrations, "the old article is still true"


def test_notes_come_once() -> None:
    assert Article(title="t").noted("a", "", "a").noted("a", "b").notes == ("a", "b")


def test_values_are_frozen_and_refuse_what_they_do_not_know() -> None:
    article = Article(title="t")
    with pytest.raises(ValidationError):
        article.title = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Article(title="t", illustrashuns=())  # type: ignore[call-arg]


def test_plain_text_has_no_marks() -> None:
    assert plain_text("a <b>q</b> *x* `c` ![al](u) &amp; [l](u)") == "a q x c  & l"


@pytest.mark.parametrize(
    "text",
    [
        "a <b onclick=x>q</b>",
        "<script>alert(1)</script>",
        "<div>\n<iframe src=//evil></iframe>\n</div>",
        "![alt<img src=x onerror=y>](http://evil/x.png)",
        "[l](javascript:alert(1))",
        "[l](data:text/html,x)",
        '<a href="javascript:x">y</a>',
    ],
)
def test_what_is_rendered_cannot_run(text: str) -> None:
    html = markdown().render(text)
    for forbidden in ("<b", "<script", "<iframe", "<img", "<a ", "<div"):
        assert forbidden not in html
