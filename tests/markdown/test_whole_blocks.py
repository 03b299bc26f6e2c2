"""Drafts as people have them: what a dialect means as one thing is one block, and front matter is not text."""

from __future__ import annotations

import pytest

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


WHOLE = {  # one block each, in the dialect named
    "commonmark list": "- one\n\n  still one\n\n- two",
    "commonmark comment": "<!-- one\n\ntwo -->",
    "gfm alert": "> [!NOTE]\n> one\n>\n> two",
    "gfm details": "<details>\n<summary>More</summary>\n\ntext\n\n</details>",
    "gfm math": "$$\na = b\n\nc = d\n$$",
    "gfm table without a blank line": "Sizes:\n| a | b |\n|---|---|\n| 1 | 2 |",
    "pandoc footnote": "[^1]: One.\n\n    Two.\n\n        code",
    "pandoc definition list": "Term\n\n:   One.\n\n    Two.\n\nOther\n\n:   Three.",
    "pandoc div": "::: {.warning}\n\n:::: inner\n\ntext\n\n::::\n\nmore\n\n:::",
    "pandoc example list": "(@) First.\n\n(@) Second.",
    "pandoc fancy list": "a. First.\n\n   More of it.\n\nb. Second.",
    "pandoc multiline table": (
        "----------- ------- ---------------\n   First    row                12.0\n\n"
        "  Second    row                 5.0\n----------- ------- ---------------"
    ),
    "pandoc metadata": "---\nauthor: Ana\nkeywords:\n- crane\n...",
    "pandoc table caption": "Table: Sizes\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    "pandoc raw tex": "\\begin{table}\none\n\ntwo\n\\end{table}",
    "pandoc display math": "\\[\na\n\nb\n\\]",
    "mkdocs admonition": '!!! note "Title"\n\n    One.\n\n    Two.',
    "mkdocs details": "??? tip\n    One.\n\n    - two",
    "mkdocs tabs": '=== "A"\n\n    One.\n\n=== "B"\n\n    Two.',
    "mkdocs blocks": "/// note | Title\n\nOne.\n\nTwo.\n///",
    "mkdocs tab blocks": "/// tab | A\none\n///\n\n/// tab | B\ntwo\n///",
    "mkdocs lists in a row": "- one\n- two\n\n1. three",
    "mkdocs quotes in a row": "> one\n\n> two",
    "mkdocs list with a footnote": "- one[^1]\n\n[^1]: A note.\n\n- two",
    "mkdocs markdown in html": '<div markdown="1">\n\none\n\ntwo\n\n</div>',
    "mkdocs snippet": "--8<--\na.md\n\nb.md\n--8<--",
    "mkdocs jinja": "{% if x %}\n\none\n\n{% else %}\n\ntwo\n\n{% endif %}",
    "jekyll raw": "{% raw %}\n{{ one }}\n\n{% if %}\n{% endraw %}",
    "jekyll for": "{% for p in posts %}\n\none\n\n{% for q in p %}\n\ntwo\n\n{% endfor %}\n\n{% endfor %}",
    "gitbook hint": '{% hint style="info" %}\none\n\ntwo\n{% endhint %}',
    "hugo shortcode": "{{< notice tip >}}\none\n\ntwo\n{{< /notice >}}",
    "hugo markdown shortcode": "{{% notice tip %}}\none\n\n{{% notice note %}}two{{% /notice %}}\n\n{{% /notice %}}",
    "hugo list with tabs": "1. one\n\n   {{< tabs >}}\n\ntwo\n\n{{< /tabs >}}\n\n2. three",
    "docusaurus admonition": ":::tip[Title]\n\none\n\n:::note\n\ntwo\n\n:::\n\n:::",
    "mdx element": '<Tabs items={["a > b"]}>\n\n<Tab>\n\none\n\n</Tab>\n\n</Tabs>',
    "mdx element over lines": "<Chart\n  data={[\n    1,\n\n    2,\n  ]}\n>\n\none\n\n</Chart>",
    "mdx export": "export const rows = [\n  1,\n\n  2,\n]",
    "mdx comment": "{/* one\n\ntwo */}",
    "myst directive": ":::{note}\none\n\n```{tip}\ntwo\n```\n\nthree\n:::",
    "myst math with a label": "$$\na\n\nb\n$$ (eq)",
    "myst amsmath": "\\begin{align}\na\n\nb\n\\end{align}",
    "obsidian callout": "> [!tip]- Title\n> one\n\n> more",
    "obsidian comment": "%%\none\n\ntwo\n%%",
    "obsidian block id": "- one\n- two\n\n^list-1",
    "kramdown extension": "{::comment}\none\n\ntwo\n{:/comment}",
    "kramdown definition list": "term\n: one\n\n  more\n: two\n\nother\n: three",
    "kramdown lists apart": "- one\n\n^\n\n    code",
    "criticmarkup": "{++one\n\ntwo++}",
    "wordpress caption": '[caption id="a"]\n\none\n\n[/caption]',
}


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
