"""Drafts as people have them: what a dialect means as one thing is one block, and front matter is not text."""

from __future__ import annotations

import pytest
from drafts import WHOLE

from limner.document import Article, Verbatim, read_markdown


def shown(article: Article) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in article.body]


FOOTNOTE = "[^a]: A harbour crane is moved by men in a wheel.\n\n    It stood until 1890."
HIGHLIGHT = (
    "{% highlight text %}\nThe crane is moved by men in a wheel.\n\nIt lifts nets from boats.\n{% endhighlight %}"
)


@pytest.mark.parametrize(
    ("source", "blocks"),
    [
        (
            f"Men sang.[^a]\n\n{FOOTNOTE}\n\nThe end.",  # forem#17983, commonmark-java#388
            [("paragraph", "Men sang.[^a]"), ("verbatim", FOOTNOTE), ("paragraph", "The end.")],
        ),
        (HIGHLIGHT, [("verbatim", HIGHLIGHT)]),  # jekyll#6762, #1401
        ("T.[^1]\n\n[^1]: Ebd.", [("paragraph", "T.[^1]"), ("verbatim", "[^1]: Ebd.")]),  # keystone-classic#1202
        ("\ufeff# Bees\n\nText.\n", [("heading", "# Bees"), ("paragraph", "Text.")]),  # cmark#334, mdBook#1155
    ],
)
def test_reported_drafts(source: str, blocks: list[tuple[str, str]]) -> None:
    article = read_markdown(source)
    assert shown(article) == blocks
    assert article.source == source


@pytest.mark.parametrize("name", WHOLE)
def test_what_belongs_together_is_one_block(name: str) -> None:
    source = f"Before it.\n\n{WHOLE[name]}\n\nAfter it.\n"
    article = read_markdown(source)
    assert [b.text for b in article.body] == ["Before it.", WHOLE[name], "After it."]
    assert article.source == source


@pytest.mark.parametrize(
    "line",
    [
        "{% include crane.html %}", "{{< figure src=a.png >}}", "{: .no_toc }", "(target)=", "[TOC]",
        "*[HTML]: Hyper Text", "![[crane.png|300]]", "![A crane](my pic.png)", "import Tabs from '@theme/Tabs';",
        "![A crane](a.png)\\\n*The crane* (Ana)", '<img src="my pic.png">', "% a comment", "[![a](b.png)](c)",
    ],
)  # fmt: skip
def test_what_is_no_text_is_carried_along(line: str) -> None:
    article = read_markdown(f"Before it.\n\n{line}\n\nAfter it.\n")
    assert isinstance(article.body[1], Verbatim)
    assert [p.text for p in article.paragraphs] == ["Before it.", "After it."]


FRONT = {
    "yaml": "---\ntitle: The crane\nlang: de_DE\nauthor:\n  - name: Ana\n  - Bo\ndate: 2026-03-01\n---\n",
    "yaml that does not parse": "---\ntitle: The crane\nx: a: b\nlang: de-DE\nauthor: Ana, Bo\ndate: 2026-03-01\n---\n",
    "pandoc's end": "---\ntitle: The crane\nlang: de-DE\nauthor: [Ana, Bo]\ndate: 2026-03-01\n...\n",
    "toml": '+++\ntitle = "The crane"\ndate = 2026-03-01\n\n[params]\nauthor = "Ana, Bo"\nlanguage = "de-DE"\n+++\n',
    "json": '{\n "title": "The crane", "lang": "de-DE",\n\n "authors": ["Ana", "Bo"], "date": "2026-03-01"\n}\n',
    "title lines": "Title: The crane\nAuthor: Ana, Bo\nDate: 2026-03-01\nLang: de-DE\n",
    "crlf": "---\r\ntitle: The crane\r\nlang: de-DE\r\nauthor: Ana, Bo\r\ndate: 2026-03-01\r\n---\r\n",
    "byte order mark": "\ufeff---\ntitle: The crane\nlang: de-DE\nauthor: Ana, Bo\ndate: 2026-03-01\n---\n",
}


@pytest.mark.parametrize("kind", FRONT)
def test_front_matter_says_what_the_draft_is(kind: str) -> None:
    source = f"{FRONT[kind]}\nThe wind comes from the west.\n\n## A heading\n"
    article = read_markdown(source)
    assert (article.title, article.language, article.author, article.date) == (
        "The crane", "de-DE", "Ana, Bo", "2026-03-01",
    )  # fmt: skip
    assert [b.text for b in article.body] == ["The wind comes from the west.", "## A heading"]
    assert article.source == source


def test_pandocs_title_block() -> None:
    article = read_markdown("% The crane:\n  a history\n% Ana\n% March 2026\n\nText.\n")
    assert (article.title, article.author, article.date) == ("The crane: a history", "Ana", "March 2026")
    assert [b.text for b in article.body] == ["Text."]


@pytest.mark.parametrize(
    "source",
    [
        "---\n\nText between rules.\n\n---\n\nMore.",
        "{ not json }\n\nText.",
        "Note: this is text.\n\nMore.",
        "+++\n\nText.",
    ],
)
def test_what_only_looks_like_front_matter_is_text(source: str) -> None:
    article = read_markdown(source)
    assert not article.lead
    assert article.paragraphs
    assert article.source == source


@pytest.mark.parametrize(
    "bomb", ["[" * 5_000, "{a: " * 5_000, "&a [*a, *a]\nb: " + "[" * 900, "!!python/object:os.system x"]
)
def test_front_matter_is_never_run_and_never_too_deep(bomb: str) -> None:
    article = read_markdown(f"---\ntitle: The crane\nx: {bomb}\n---\n\nText.\n")
    assert article.title == "The crane"
    assert [b.text for b in article.body] == ["Text."]


def test_plain_text_is_what_a_reader_reads() -> None:
    article = read_markdown("::: note\nMen sang.[^a]\n\n- {{ x }} loud\n:::\n")
    assert article.paragraphs[0].plain == "Men sang.\nloud"
    assert article.title == "Men sang. loud"
