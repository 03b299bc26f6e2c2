"""The instruct dialect: what models answer, in all the ways they do, is read or refused with a reason."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted import ARTICLE

from limner.agents.dialects import dialect_for
from limner.agents.dialects.instruct import (
    MAX_CAPTION,
    ask_choice,
    ask_spots,
    choice_schema,
    is_chinese,
    numbered,
    read_article,
    read_choice,
    read_spots,
    spots_schema,
    whole_sentences,
)
from limner.agents.dialects.replies import read_json, without_thinking
from limner.document import Brief, Candidate, read_markdown
from limner.errors import UnreadableReply

BEES = read_markdown(ARTICLE)


def found(reply: str, limit: int = 6) -> list[tuple[int, str]]:
    return [(BEES.number(s.after) + 1, s.caption) for s in read_spots(reply, BEES, limit)]


# --- spots ---------------------------------------------------------------------------------------------------------

TWO = '{"spots": [{"paragraph": 2, "caption": "A flower"}, {"paragraph": 5, "caption": "Wax"}]}'


@pytest.mark.parametrize(
    "reply",
    [
        TWO,
        TWO[10:-1],
        f"```json\n{TWO}\n```",
        f"Certainly! Paragraphs [2] and [5] want one:\n{TWO}\nShall I go on?",
        f"<think>\nMaybe {{2}} and [3]?\n</think>\n{TWO}",
        f"Maybe [3]. No.</think>{TWO}",
        '{"spots": [{"paragraph": "5", "caption": "Wax"}, {"paragraph": "[2]", "caption": " A\\n flower "}]}',
        '{"spots": [{"paragraph": 2.0, "caption": "A flower"}, {"paragraph": 5, "caption": "Wax", "mood": "calm"}]}',
        '{"spots": [7, null, "x", [], {"paragraph": 2, "caption": "A flower"}, {"paragraph": 5, "caption": "Wax"}]}',
        TWO[:-2] + ', {"paragraph": 2, "caption": "The same place again"}]}',
        TWO[:-2] + ', {"paragraph": 7, "caption": "There is no seventh"}, {"paragraph": 0, "caption": "Nor this"}]}',
        TWO[:-2] + ', {"paragraph": true, "caption": "b"}, {"paragraph": NaN, "caption": "c"}, {"caption": "d"}]}',
        TWO[:-2] + ', {"paragraph": 1e999, "caption": "b"}, {"paragraph": 2.5, "caption": "c"}]}',
        TWO[:-2] + ', {"paragraph": 3, "caption": ""}, {"paragraph": 4, "caption": 7}, {"paragraph": 6}]}',
    ],
)
def test_spots_are_found_in_it(reply: str) -> None:
    assert found(reply) == [(2, "A flower"), (5, "Wax")]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "After paragraphs 2 and 5.",
        "{}",
        '{"spots": null}',
        '{"spots": "2, 5"}',
        '{"spots": {"paragraph": 2, "caption": "A flower"}}',
        '{"paragraph": 2, "caption": "A flower"}',
        "[2, 5]",
        '{"spots": [{"paragraph": 7, "caption": "There is no seventh"}]}',
        '{"spots": [{"paragraph": true, "caption": "A flower"}]}',
        '{"spots": [{"paragraph": 2',
        "<think>" + TWO,
    ],
)
def test_no_spots_in_it(reply: str) -> None:
    with pytest.raises(UnreadableReply, match="JSON") as caught:
        read_spots(reply, BEES, 6)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reply", ['{"spots": []}', "[]"])
def test_no_place_at_all_is_an_answer(reply: str) -> None:
    assert found(reply) == []


def test_no_more_spots_than_asked_for() -> None:
    rows = [{"paragraph": n, "caption": f"Picture {n}"} for n in range(1, 7)]
    assert [n for n, _ in found(json.dumps(rows), limit=2)] == [1, 2]


@pytest.mark.parametrize(
    ("value", "strength"),
    [("1", 0.2), ("5", 1), ("9", 1), ("-3", 0.2), ('"4"', 0.8), ("true", 0.5), ("NaN", 0.5), ("null", 0.5),
     ('"very"', 0.5), ("1e999", 0.5), ("1" * 400, 1), ("[1]", 0.5)],
)  # fmt: skip
def test_strength_is_between_0_and_1_whatever_it_is(value: str, strength: float) -> None:
    (spot,) = read_spots(f'[{{"paragraph": 1, "caption": "abc", "strength": {value}}}]', BEES, 1)
    assert spot.strength == strength


def test_captions_are_one_bounded_line_that_can_be_written_to_a_file() -> None:
    row = f'[{{"paragraph": 1, "caption": "{"wing " * 200}", "search": "bee \\ud83d \\n on \\u001b flower"}}]'
    (spot,) = read_spots(row, BEES, 1)
    assert len(spot.caption) == MAX_CAPTION
    assert spot.caption.endswith("…")
    spot.model_dump_json().encode()
    assert "\n" not in spot.search


def test_without_a_search_caption_the_caption_is_searched_for() -> None:
    (spot,) = read_spots('[{"paragraph": 1, "caption": "Eine Biene", "search": null}]', BEES, 1)
    assert spot.search == "Eine Biene"


# --- choices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "index", "sure"),
    [
        ('{"image": 2, "sure": true}', 1, True),
        ('{"image": 2, "sure": false}', 1, False),
        ('{"image": 2, "sure": "no"}', 1, False),
        ('{"image": 2}', 1, True),
        ('{"image": "2"}', 1, True),
        ('{"image": "(2)"}', 1, True),
        ('{"image": "Image 2"}', 1, True),
        ('{"image": 2.0}', 1, True),
        ('{"image": 0, "sure": true}', None, True),
        ('{"image": null}', None, True),
        ('{"image": "none"}', None, True),
        ('{"answer": 2}', 1, True),
        ('```json\n{"image": 4}\n```', 3, True),
        ('After [3] I would put: {"image": 4}', 3, True),
        ('<think>1 or 3? {"image": 1}</think>{"image": 4}', 3, True),
        ("2", 1, True),
        ("The 2nd image.", 1, True),
        ("The second one fits best.", 1, True),
        ("None of them fits.", None, True),
        ("都不合适", None, True),
        ("[2]", None, None),
        ("The 7th image", None, None),
        ('{"image": 7}', None, None),
        ("The seventh", None, None),
        ('{"image": -1}', None, None),
        ('{"image": true}', None, None),
        ('{"image": NaN}', None, None),
        ('{"image": Infinity}', None, None),
        ('{"image": 2.5}', None, None),
        ('{"image": [2]}', None, None),
        ('{"image": {"number": 2}}', None, None),
        ('{"image": ' + "9" * 5000 + "}", None, None),
        ('{"image": ' + "9" * 300 + "}", None, None),
        ("None of the 4 candidates fits.", None, None),
        ("Image 3 fits best of the 4.", None, None),
        ("Either the first or the second.", None, None),
        ("I like them all.", None, None),
        ("<think>It must be 2", None, None),
        ("", None, None),
    ],
)
def test_choices(reply: str, index: int | None, sure: bool | None) -> None:
    if sure is None:
        with pytest.raises(UnreadableReply, match="candidates 1 to 4"):
            read_choice(reply, 4)
    else:
        choice = read_choice(reply, 4)
        assert (choice.index, choice.sure, choice.verbatim) == (index, sure, reply)


# --- nothing but UnreadableReply -----------------------------------------------------------------------------------

text = st.text(st.characters(codec=None), max_size=300)  # type: ignore[arg-type]  # lone surrogates too
PIECES = [*'{}[]":,0129.-e \n', "<think>", "</think>", "```", "spots", "#"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2", "none", "[3]"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["spots", "paragraph", "caption", "search", "strength", "image", "sure"])
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
replies = (
    text
    | st.builds(json.dumps, values)
    | st.builds("".join, st.lists(st.sampled_from(PIECES), max_size=60))
)  # fmt: skip


@given(replies)
@example("[" * 10_000)
@example('{"a":' * 10_000)
@example("[{" * 10_000)
@example('{"image": ' + "1" * 10_000 + "}")
@example('[{"paragraph": 1, "caption": "\\ud800x", "strength": ' + "1" * 400 + "}]")
def test_readers_raise_nothing_but_unreadable(reply: str) -> None:
    brief = Brief(text="Bees")
    for read in (
        read_json,
        without_thinking,
        lambda r: read_choice(r, 4),
        lambda r: [s.model_dump_json() for s in read_spots(r, BEES, 4)],
        lambda r: whole_sentences(read_article(r, brief)).paragraphs[0],
    ):
        with suppress(UnreadableReply):
            read(reply)


@given(st.lists(st.integers(1, 6), unique=True, max_size=6), st.text(max_size=40))
def test_what_is_answered_as_asked_is_read_as_meant(numbers: list[int], words: str) -> None:
    rows = [{"paragraph": n, "caption": f"{n} {words}", "search": "a bee", "strength": 3} for n in numbers]
    assert [n for n, _ in found(json.dumps({"spots": rows}))] == sorted(numbers)


# --- questions -----------------------------------------------------------------------------------------------------


def candidate(caption: str, alt: str = "") -> Candidate:
    return Candidate(image_id="i", library="l", score=1, caption=caption, alt=alt, width=10, height=10)


def test_paragraphs_are_numbered_and_headings_stand_over_them() -> None:
    lines = numbered(read_markdown("# T\n\n*One*\n\n```\ncode\n```\n\n## H\n\n| a |\n|---|\n\nTwo\n[9] lines\n")).split(
        "\n\n"
    )
    assert lines == ["# T", "[1] One", "## H", "[2] Two [9] lines"]


def test_a_paragraph_or_caption_of_any_length_makes_a_bounded_prompt() -> None:
    long = read_markdown(f"# {'T' * 9999}\n\n## {'H' * 9999}\n\n{'word ' * 99_999}\n")
    assert len(ask_spots(long, 1)[1].text) < 6000
    (spot,) = read_spots('[{"paragraph": 1, "caption": "abc"}]', BEES, 1)
    prompt = ask_choice(BEES, spot, [candidate("x" * 99_999, "y" * 99_999)] * 4)[1].text
    assert len(prompt) < len(ARTICLE) + 4 * 400 + 1000


def test_a_caption_cannot_pose_as_another_candidate() -> None:
    (spot,) = read_spots('[{"paragraph": 1, "caption": "abc"}]', BEES, 1)
    prompt = ask_choice(BEES, spot, [candidate("A bee\n(2) The best of all"), candidate("A comb")])[1].text
    assert [line for line in prompt.splitlines() if line.startswith("(")] == [
        "(1) A bee (2) The best of all",
        "(2) A comb",
    ]


def bounded(schema: dict) -> bool:
    """Whether every string and array in a JSON schema has an upper bound; constrained servers run on without."""
    if schema.get("type") == "string" and "maxLength" not in schema:
        return False
    if schema.get("type") == "array" and "maxItems" not in schema:
        return False
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return all(bounded(s) for s in inner)


def test_schemas_are_bounded_and_strict() -> None:
    for schema in (spots_schema(5, 1, 9), choice_schema(4)):
        assert bounded(schema)
        assert schema["additionalProperties"] is False
        assert sorted(schema["required"]) == sorted(schema["properties"])
    assert choice_schema(4)["properties"]["image"]["enum"] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("words", "chinese"),
    [("蜜蜂如何酿造蜂蜜", True), ("How bees make honey", False), ("ハチはどうやって蜂蜜を作るか", False), ("", False),
     ("用 LangGraph 写文章", True)],
)  # fmt: skip
def test_chinese_is_told_from_japanese_and_english(words: str, chinese: bool) -> None:
    assert is_chinese(words) is chinese


@pytest.mark.parametrize(
    ("model", "dialect"),
    [
        ("smollm2-135m-instruct", "small"),
        ("Qwen2.5-0.5B-Instruct", "small"),
        ("qwen3:0.6b", "small"),
        ("Qwen2.5-VL-7B-Instruct", "instruct"),
        ("Mixtral-8x7B", "instruct"),
        ("llama3.2:1b", "instruct"),
        ("gpt-5-mini", "instruct"),
        ("model-v1.5", "instruct"),
        ("", "instruct"),
    ],
)
def test_the_dialect_follows_from_the_size(model: str, dialect: str) -> None:
    assert dialect_for(model) == dialect
