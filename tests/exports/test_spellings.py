"""Spellings of dialects that a page once showed as they are written; each test names its report."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from nested import OPENED
from test_drafts import ALL, draft, one_picture, picture

from limner.document import Verbatim, read_markdown
from limner.exports import own_images, write_article
from limner.exports.safe import serialised
from limner.exports.text import names_in, notes_on, text_of


def page(source: str) -> str:
    return serialised(text_of(draft(f"Before.\n\n{source}\n\nAfter.\n")).root)


def plain(source: str) -> str:
    root = text_of(draft(f"Before.\n\n{source}\n\nAfter.\n")).root
    return " ".join("".join(root.itertext()).split()).removeprefix("Before. ").removesuffix(" After.")


@pytest.mark.parametrize(
    ("reference", "label"),
    [("[^Note]", "[^note]"), ("[^note]", "[^Note]"), ("[^ΑΓΩ]", "[^αγω]"), ("[^Foot]", "[^Foot]")],
)
def test_a_footnote_has_its_text_whatever_its_case(reference: str, label: str) -> None:
    """python-markdown2#6, vscode-github-markdown#1220, cmark-gfm#239: `[^Foot]` stays, and its text is lost."""
    html = page(f"Men sang.{reference} And again.{reference}\n\n{label}: In a wheel.")
    assert html.count('class="footnote-ref"') == 2
    assert "In a wheel." in html


@pytest.mark.parametrize(
    ("source", "tex"),
    [
        (r"so \(a_1 + b_1\) is", "a_1 + b_1"),
        (r"so \[a_1 + b_1\] is", "a_1 + b_1"),
        ("\\[\nd = \\sqrt{(x_1-x_2)^2}\n\\]", r"d = \sqrt{(x_1-x_2)^2}"),
        (r"so \(x\) is", "x"),
        ("so $`A = \\{4, 2\\}`$ is", r"A = \{4, 2\}"),
        ("so {math}`a_1 * b_1` is", "a_1 * b_1"),
    ],
)
def test_a_formula_is_one_in_every_spelling(source: str, tex: str) -> None:
    r"""Markpad#37, open-science#51, claudian#939: `\(…\)`; gitea#27602, vscode#208430: ticks within dollars."""
    (code,) = [e for e in text_of(draft(source)).root.iter("code") if e.get("class", "").startswith("math-")]
    assert (code.text or "").strip() == tex


@pytest.mark.parametrize("source", [r"\(see below\)", r"\[1\] and \[2\]", r"\(a", r"`\(a_1\)`", "{js}`a_1`"])
def test_brackets_with_a_backslash_stay_brackets(source: str) -> None:
    assert "math-" not in page(source)


@pytest.mark.parametrize(
    "source",
    [
        '{{< figure src="crane.png" alt="A crane" title="It lifts nets." >}}',
        '{{% figure src="/crane.png" caption="It lifts nets." alt="A crane" /%}}',
        "```{figure} crane.png\n:alt: A crane\n:width: 50%\n\nIt lifts nets.\n```",
        "```{figure} ./crane.png\n---\nalt: A crane\nheight: 200px\n---\nIt lifts nets.\n```",
        "```{image} crane.png\n:alt: A crane\n```\n\nIt lifts nets.",
        '<img src={require("./crane.png").default} alt="A crane" />\nIt lifts nets.',
        "<img src={useBaseUrl('/crane.png')} alt=\"A crane\" />\nIt lifts nets.",
        "![A crane]({{ site.baseurl }}/crane.png) It lifts nets.",
        "![A crane]({% link crane.png %}) It lifts nets.",
        '![A crane]({{ "/crane.png" | relative_url }}) It lifts nets.',
    ],
)
def test_an_image_is_shown_in_every_spelling(tmp_path: Path, source: str) -> None:
    """longhorn#8165, vscode-markdown-preview-enhanced#711, jupyter-book#629: no image, or its source."""
    (tmp_path / "crane.png").write_bytes(picture())
    article = draft(f"First.\n\n{source}\n")
    (names,) = names_in(text_of(article).root)
    assert names[0].removeprefix("./") == "crane.png"
    made = write_article(article, tmp_path / "a", one_picture, (*ALL, "md"), beside=own_images(article, tmp_path))
    html = made.files["html"].read_text("utf-8")
    assert html.count('class="own"') == 1
    assert "It lifts nets." in html
    assert not {"figure src", "{{", "{%", "require", ":alt:"} & {word for word in ("{{", "{%", ":alt:") if word in html}
    assert source in made.files["md"].read_text("utf-8")
    assert made.article.notes == ()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("[small words]{.smallcaps} here", "small words here"),
        ("_X%_{:.todo} of *the*{: .a #b} cases", "X% of the cases"),
        ("[word]{lang=de}", "word"),
        ("See {ref}`the crane <crane>` and {doc}`intro`.", "See the crane and intro."),
        ('[a]({{< ref "a.md" >}}) and [b]({% link _posts/b.md %})', "a and b"),
        ("| a |\n|---|\n| b |\n\n: Sizes of *cranes* {#tbl:sizes}", "a b Sizes of cranes"),
        ("Table: Sizes\n\n| a |\n|---|\n| b |", "Sizes a b"),
        ("A colon\n\n: no table", "A colon no table"),
    ],
)
def test_words_are_shown_without_their_marks(source: str, words: str) -> None:
    """markdown-it-attrs#102, ScholarMarkdown#5, quire#249: `[words]{.red}` is shown with its braces."""
    assert plain(source) == words


@pytest.mark.parametrize(
    "source",
    [
        "[TOC]",
        "[[toc]]",
        "[[_TOC_]]",
        "* TOC\n{:toc}",
        "\\newpage",
        "\\pagebreak",
        "\\clearpage{}",
        "{::options a=1 /}",
    ],
)
def test_marks_for_contents_and_pages_are_no_text(source: str) -> None:
    """stackedit#1248, classeur#129: `[TOC]` is printed; pandoc#1934, MyST-Parser#883: so is `\\newpage`."""
    assert plain(source) == "After."
    article = draft(f"Before.\n\n{source}\n\nAfter.\n")
    assert notes_on(article) == []


@pytest.mark.parametrize("source", ["\\newpage", "\\pagebreak", "\\clearpage{}"])
def test_a_page_break_is_no_place_for_an_image(source: str) -> None:
    assert isinstance(read_markdown(f"Before.\n\n{source}\n\nAfter.\n").body[1], Verbatim)


def test_tabs_are_boxes_with_titles() -> None:
    """IHP#226, mkdocs-exporter#77: tabs of MkDocs Material are printed as they are written, their text as code."""
    source = '=== "Linux"\n\n    Lift **nets**.\n\n    !!! note\n\n        Inside\n\n=== "Windows"\n\n    Lower them.'
    html = page(source)
    assert html.count('class="admonition"') == 3
    assert "<strong>nets</strong>" in html
    assert "<code>" not in html
    assert "Linux" in plain(source)
    assert "===" not in html
    assert "===" in page('```\n=== "Linux"\n```')


@pytest.mark.parametrize(
    "heading", ["Hello {/* #my-id */}", "Hello {/*my-id*/}", "Hello <!-- #my-id -->", "Hello {#my-id}"]
)
def test_a_heading_has_its_own_id(heading: str) -> None:
    """docusaurus#11755, tailwindcss.com#1610: the id of a heading in a comment."""
    html = page(f"## {heading}\n\n[there](#my-id)")
    assert '<h2 id="my-id">Hello</h2>' in html
    assert 'href="#my-id"' in html


def test_what_a_generator_fills_in_is_named() -> None:
    """longhorn#8165: shortcodes are printed as they are written."""
    article = draft("Text {{< current-version >}} here.\n\n{% youtube abc %}\n\n{{% tabs %}}\nshown\n{{% /tabs %}}\n")
    assert "shown" in serialised(text_of(article).root)
    assert not {"{{", "{%"} & set(serialised(text_of(article).root).split())
    (note,) = notes_on(article)
    assert "{% youtube %}, {{< current-version >}}" in note


@pytest.mark.parametrize("source", ["`{{< x >}}`", "{{ value }}", "100{%", "{{</* x */>}}", "[^a]{.b}", "a {b} c"])
def test_other_braces_stay(source: str) -> None:
    assert plain(source) == source.strip("`")


def test_a_composed_article_may_write_about_templates() -> None:
    article = read_markdown("Write {% if x %} or {{< ref >}} for a condition.\n")
    assert "{% if x %} or {{< ref >}}" in "".join(text_of(article).root.itertext())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('Use a === "b" in JavaScript.', 'Use a === "b" in JavaScript.'),
        ('    if (a === "b") {}', 'if (a === "b") {}'),
        ('- ```js\n  if (a === "b") {}\n  === "c"\n  ```', 'if (a === "b") {} === "c"'),
        ('=== "b" && c', '=== "b" && c'),
        ("The critical value t_{.05} is 1.96.", "The critical value t_{.05} is 1.96."),
        ("A set_{#1}. P_{:,}", "A set_{#1}. P_{:,}"),
        ("*a* and t_{.05}, _b_ and t_{.05}", "a and t_{.05}, b and t_{.05}"),
        ("*a*{.red} and **b**{.red} and _c_{#d}", "a and b and c"),
    ],
)
def test_code_and_indices_are_no_spelling(source: str, words: str) -> None:
    assert plain(source) == words


@pytest.mark.parametrize(
    ("caption", "words"),
    [(": Birds {#tbl:birds}", "Birds"), ("Table: Birds {a} b", "Birds {a} b"), (": Birds {a}}", "Birds {a}}")],
)
def test_a_caption_of_a_table_has_no_attributes(caption: str, words: str) -> None:
    assert plain(f"| a |\n|---|\n| b |\n\n{caption}").endswith(words)


def test_the_label_of_a_figure_in_markdown_is_no_image() -> None:
    """MyST's {figure-md}: its content is an image and the caption."""
    source = "```{figure-md} fig-crane\n:class: wide\n\n![A crane](crane.png)\n\nA crane, seen from below.\n```"
    html = page(source)
    assert "fig-crane" not in html
    assert "crane.png" in html or "A crane" in html
    assert "A crane, seen from below." in plain(source)


@pytest.mark.parametrize("opened", OPENED)
def test_a_run_of_spaces_is_read_once(opened: str) -> None:
    """Thirty thousand spaces took half a minute and more where each began a search to the end."""

    def seconds(count: int) -> float:
        source = f"Before.\n\n{opened}{' ' * count}b\n\nAfter.\n"
        begun = time.process_time()
        text_of(draft(source))
        return time.process_time() - begun

    few = max(0.02, min(seconds(4_000) for _ in range(3)))
    assert min(seconds(32_000) for _ in range(2)) < 20 * few, "8 times as many; 64 times as long where it is quadratic"
