"""The parser reads brackets in linear time, and reads them as markdown-it does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from limner.document import read_markdown
from limner.markdown.parser import with_linear_labels

PIECES = ["[", "]", "![", "](u)", "[r]", "a", "*", "`", "\\", " ", "<", "\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=24))
def test_labels_end_where_markdown_it_ends_them(pieces: list[str]) -> None:
    source = "".join(pieces) + "\n\n[r]: /x\n[a]: /y\n"
    assert with_linear_labels(MarkdownIt()).render(source) == MarkdownIt().render(source)


@pytest.mark.parametrize("piece", ["![", "[", "[![", "![[](", "[a](", "![a"])
def test_twice_the_brackets_are_twice_the_work(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted as tokens that the search for a bracket's end skips."""
    parser = with_linear_labels(MarkdownIt("commonmark"))
    skipped, skip = 0, parser.inline.skipToken

    def counting(state: Any) -> None:
        nonlocal skipped
        skipped += 1
        skip(state)

    monkeypatch.setattr(parser.inline, "skipToken", counting)
    counts = []
    for length in (4_000, 8_000):
        skipped = 0
        parser.render((piece * length)[:length])
        counts.append(skipped)
    assert counts[1] <= 2.5 * counts[0] + 50


def test_brackets_without_end_are_read() -> None:
    source = "![" * 40_000
    assert read_markdown(source).source == source
