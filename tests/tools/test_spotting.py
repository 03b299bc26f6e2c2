"""Spots from the text alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limner.document import read_markdown
from limner.tools.spotting import ANNOUNCING, CAPTION_CHARS, SEARCH_WORDS, USUAL, spots_from_text


def test_a_spot_after_every_paragraph_with_words_and_nowhere_else() -> None:
    article = read_markdown(
        "# Bees\n\nOne.\n\n```\ncode\n```\n\n| a |\n|---|\n| b |\n\n## Hive\n\n- Two\n- Three\n\n![](x.png)\n"
    )
    spots = spots_from_text(article)
    assert [article.number(s.after) for s in spots] == [0, 1]
    assert [s.id for s in spots] == ["s1", "s2"]


def test_the_search_names_the_topic() -> None:
    spots = spots_from_text(read_markdown("Intro *here*.\n\n## The hive.\n\nIt has\nframes.", title="Bees"))
    assert [s.search for s in spots] == ["Bees. Intro here.", "The hive. It has frames."]


def test_the_caption_is_the_sentence_that_says_most() -> None:
    text = "So it goes. Bees store honey in wax combs. Wax combs keep honey for years. Nobody knows."
    spot = spots_from_text(read_markdown(text))[0]
    assert spot.caption in ("Bees store honey in wax combs.", "Wax combs keep honey for years.")


def test_no_image_between_a_colon_and_what_it_announces() -> None:
    text = "The tools are:\n\n- smoker\n- veil\n\nThey last:\n\n## Next\n\nPlain."
    assert [s.strength for s in spots_from_text(read_markdown(text))] == [ANNOUNCING, USUAL, USUAL, USUAL]


def test_chinese_sentences() -> None:
    spot = spots_from_text(read_markdown("蜜蜂采集花蜜。蜂巢储存蜂蜜，蜜蜂酿造蜂蜜。", title="蜜蜂"))[0]
    assert spot.caption in ("蜜蜂采集花蜜。", "蜂巢储存蜂蜜，蜜蜂酿造蜂蜜。")
    assert spot.search.startswith("蜜蜂. ")


def test_an_article_without_text_has_no_spots() -> None:
    assert spots_from_text(read_markdown("")) == []
    assert spots_from_text(read_markdown("# Only a heading")) == []


@given(st.text(max_size=2000))
def test_any_text_gives_short_readable_lines(text: str) -> None:
    article = read_markdown(text)
    for spot in spots_from_text(article):
        article.number(spot.after)
        assert 0 < len(spot.caption) <= CAPTION_CHARS
        assert "\n" not in spot.caption
        assert 0 < len(spot.search.split()) <= SEARCH_WORDS
        assert "\n" not in spot.search


def test_long_text_is_cut() -> None:
    spot = spots_from_text(read_markdown("word " * 5000))[0]
    assert len(spot.search.split()) == SEARCH_WORDS
    assert spot.caption.endswith("word…")


def test_nothing_but_marks() -> None:
    assert [s.caption for s in spots_from_text(read_markdown('"("'))] == ['"("']
