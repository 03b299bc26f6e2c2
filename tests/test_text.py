"""Cleaning, cutting and counting text."""

from __future__ import annotations

import pytest

from limner.text import count_words, one_line, shorten


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("How bees make honey", 4),
        ("It's a well-known fact — really.", 5),
        ("蜜蜂酿造蜂蜜。", 6),
        ("蜜蜂 make 蜂蜜", 5),
        ("ผึ้ง", 4),
        ("꿀벌은 꿀을 만든다", 3),
        ("النحل يصنع العسل", 3),
    ],
)
def test_words_are_counted_as_editors_count_them(text: str, words: int) -> None:
    assert count_words(text) == words


def test_one_line_keeps_what_spells_words_and_drops_what_turns_a_line() -> None:
    assert one_line("a\u202eb\nc\x1b[0m\u200dd") == "ab c [0m\u200dd"
    assert shorten("abcdef", 4) == "abc…"
