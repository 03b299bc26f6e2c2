"""Twice the text is at most two and a half times the work, whatever it is made of, in every reader of text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from linear import LENGTH, assert_linear
from nested import PIECES, REPEATED, deeper, nested, repeated

import limner
from limner.document import markdown, plain_text, read_markdown
from limner.exports.markdown import harmless
from limner.exports.text import text_of
from limner.markdown import front_matter
from limner.surfaces.http.openai.conversation import meant
from limner.surfaces.http.openai.parts import Message
from limner.tools.editing.typed import edits_for_text
from limner.workflows.inputs import draft_state


def plain(text: str) -> None:
    plain_text.cache_clear()
    for block in read_markdown(text).body:
        _ = block.plain


def retyped(text: str) -> None:
    edits_for_text(read_markdown("# A\n\nBees.\n"), text)


READERS: dict[str, Callable[[str], Any]] = {
    "blocks": read_markdown,
    "words": plain,
    "page": lambda text: text_of(read_markdown(text).model_copy(update={"made_with": {"draft": True}})),
    "rendered": lambda text: markdown().render(text),
    "front matter": front_matter.read,
    "reply": lambda text: harmless(read_markdown(text)),
    "retyped": retyped,
    "message": lambda text: meant([Message(role="user", content=f"{text} honey")]),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_text_is_twice_the_work(piece: str, reader: str) -> None:
    assert_linear(READERS[reader], lambda length: nested(piece, length))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["quotes", "ticks"])
def test_twice_the_text_that_gets_deeper_is_twice_the_work(kind: str, reader: str) -> None:
    assert_linear(READERS[reader], lambda length: deeper(kind, length))


@pytest.mark.parametrize("reader", ["words", "page", "retyped"])
@pytest.mark.parametrize("name", REPEATED)
def test_twice_as_many_blocks_are_twice_the_work(name: str, reader: str) -> None:
    assert_linear(READERS[reader], lambda length: repeated(name, length), 3 * LENGTH)


def test_a_draft_below_the_stated_size_is_read_whatever_its_alphabet(tmp_path: Path) -> None:
    """Chinese has three bytes for a character in UTF-8: 393,000 characters are 1.2 MB."""
    draft = tmp_path / "draft.md"
    draft.write_text(("蜜蜂采集花蜜。" * 100 + "\n\n") * 560, "utf-8")
    assert draft_state(draft, language="zh")["article"].source == draft.read_text("utf-8")


@pytest.mark.parametrize("size", [800_001, 1_000_000])
def test_a_draft_above_the_stated_size_is_refused(size: int) -> None:
    with pytest.raises(limner.LimnerError, match=f"The draft has {size:,} characters, more than 800,000"):
        draft_state("a " * (size // 2) + "a" * (size % 2))
