"""A draft means the same after it was illustrated: its own renderer gives the old tree and the new figures.

Renderers are those that install from PyPI: pandoc, Python-Markdown with PyMdown's extensions, markdown-it with its
plugins. Dialects with a renderer in another language (Hugo, Jekyll, MDX, Obsidian) are rendered as CommonMark,
which reads their marks as text: a list or a quotation that a figure tears apart shows there, too.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import pypandoc
import pytest
from drafts import WHOLE
from markdown import Markdown
from markdown_it import MarkdownIt
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin

from limner.document import Illustration, read_markdown
from limner.exports.markdown import to_markdown

_EXTENSIONS = [
    "extra", "admonition", "sane_lists", "pymdownx.details", "pymdownx.tabbed", "pymdownx.superfences",
    "pymdownx.blocks.admonition", "pymdownx.blocks.details", "pymdownx.blocks.tab", "pymdownx.critic",
]  # fmt: skip


def everywhere(source: str) -> str:
    """The draft with a figure at every place that limner has for one."""
    article = read_markdown(source).model_copy(update={"made_with": {"draft": True}})
    figures = [
        Illustration(
            id=f"f{n}", after=place.id, image_id=f"{n:032x}", caption="A crane", alt="A crane", width=9, height=9
        )
        for n, place in enumerate(article.paragraphs)
    ]
    assert figures
    return to_markdown(article.illustrated(figures), {f.image_id: f"limner-{f.image_id}.png" for f in figures})


# --- renderers -----------------------------------------------------------------------------------------------------


def by_pandoc(source: str, dialect: str) -> list[Any]:
    """Pandoc's blocks, those of limner's figures left out."""
    blocks = json.loads(pypandoc.convert_text(source, "json", dialect))["blocks"]
    return [block for block in blocks if not ("limner-0" in json.dumps(block) and block["t"] in ("Para", "Figure"))]


def pruned(page: str) -> str:
    """HTML as a tree without limner's figures, and without the white space between elements."""
    root = ElementTree.fromstring(f"<page>{page}</page>")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "p" and any("limner-0" in image.get("src", "") for image in child.iter("img")):
                parent.remove(child)
    for element in root.iter():
        element.text, element.tail = (" ".join((t or "").split()) for t in (element.text, element.tail))
    return ElementTree.tostring(root, encoding="unicode")


def by_python_markdown(source: str) -> str:
    page = Markdown(extensions=_EXTENSIONS, output_format="xhtml").convert(source)
    page = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL).replace("&nbsp;", " ").replace("&#160;", " ")
    return pruned(page)


def by_markdown_it(source: str) -> str:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True}).enable(["table", "strikethrough"])
    parser.use(footnote_plugin).use(deflist_plugin).use(dollarmath_plugin)
    return pruned(parser.render(source))


def drafts(*dialects: str) -> list[str]:
    return [name for name in WHOLE if name.partition(" ")[0] in dialects]


def draft(name: str) -> str:
    return f"Before it.\n\n{WHOLE[name]}\n\nAfter it.\n"


@pytest.mark.parametrize("name", drafts("pandoc", "commonmark", "criticmarkup"))
def test_pandoc_reads_the_same(name: str) -> None:
    source = draft(name)
    assert by_pandoc(everywhere(source), "markdown") == by_pandoc(source, "markdown")


@pytest.mark.parametrize("name", drafts("gfm", "commonmark"))
def test_pandoc_reads_the_same_as_github_does(name: str) -> None:
    source = draft(name)
    assert by_pandoc(everywhere(source), "gfm") == by_pandoc(source, "gfm")


@pytest.mark.parametrize("name", drafts("mkdocs", "commonmark"))
def test_python_markdown_reads_the_same(name: str) -> None:
    source = draft(name)
    assert by_python_markdown(everywhere(source)) == by_python_markdown(source)


@pytest.mark.parametrize("name", WHOLE)
def test_markdown_it_reads_the_same(name: str) -> None:
    source = draft(name)
    assert by_markdown_it(everywhere(source)) == by_markdown_it(source)


def test_a_figure_within_a_block_would_be_seen() -> None:
    """The property fails for the draft that an earlier limner made of row D1 of the list of inputs."""
    source = "Men sang.[^a]\n\n[^a]: A harbour crane is moved by men in a wheel.\n\n    It stood until 1890.\n"
    torn = source.replace("wheel.\n\n", "wheel.\n\n![A crane](limner-0.png)\n\n")
    assert by_pandoc(torn, "markdown") != by_pandoc(source, "markdown")
    assert by_python_markdown(torn) != by_python_markdown(source)
    assert by_markdown_it(torn) != by_markdown_it(source)
