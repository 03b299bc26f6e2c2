"""The spotter: how many, in which windows, and in which order."""

from __future__ import annotations

import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ARTICLE, ScriptedChatModel, ScriptedServer, article_answers, text_of

from limner.agents.dialects import instruct
from limner.agents.meter import Meter
from limner.agents.prompts import estimate_tokens, text_tokens
from limner.agents.spotter import WINDOW_TOKENS, how_many, spot, window_of, windows
from limner.document import Article, Candidate, read_markdown
from limner.errors import UnreadableReply
from limner.settings import Settings
from limner.workflows.models import connect, speaker_for


def article_of(paragraphs: int, words: int = 60) -> Article:
    """Paragraphs that are told apart by their first word, under a heading every ten."""
    blocks = ["# Long"]
    for n in range(1, paragraphs + 1):
        blocks += [f"## Part {n}"] if n % 10 == 1 else []
        blocks.append(f"Paragraph{n} " + "honey " * words + "end.")
    return read_markdown("\n\n".join(blocks) + "\n")


def test_spots_come_in_reading_order_with_both_captions() -> None:
    with ScriptedServer(article_answers(spots=[5, 2])) as server:
        speaker = connect(server.url, "m", "spotter", Meter(), Settings())
        article = read_markdown(ARTICLE)
        spots = spot(article, speaker, "auto", seed=3)
    assert [article.number(s.after) + 1 for s in spots] == [2, 5]
    assert all(s.caption and s.search == "bee on a flower" and s.strength == 0.8 for s in spots)
    (body,) = server.requests
    assert body["seed"] == 3
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["spots"]["maxItems"] == how_many(article, "auto") == 6


def test_not_unreadable_twice() -> None:
    model = ScriptedChatModel(lines=["I think 2 and 5.", "Really, 2 and 5."])
    with pytest.raises(UnreadableReply):
        spot(read_markdown(ARTICLE), speaker_for(model, "spotter", Meter()), "auto")


@pytest.mark.parametrize(
    ("paragraphs", "images", "spots"),
    [(6, 0, 0), (6, 1, 3), (6, 2, 4), (6, 50, 6), (1, "auto", 1), (10, "auto", 9), (1, 1, 1)],
)
def test_more_than_will_be_kept_and_never_more_than_there_is_room(paragraphs: int, images: int, spots: int) -> None:
    assert how_many(article_of(paragraphs, words=3), images) == spots  # type: ignore[arg-type]


@pytest.mark.parametrize(("paragraphs", "words"), [(1, 5), (6, 60), (120, 120), (300, 20), (3, 20_000)])
def test_every_paragraph_is_in_exactly_one_window_and_each_prompt_is_bounded(paragraphs: int, words: int) -> None:
    article = article_of(paragraphs, words)
    cut = windows(article)
    assert [p.id for window in cut for p in window] == [p.id for p in article.paragraphs]
    for window in cut:
        prompt = instruct.ask_spots(article, 8, window)
        assert estimate_tokens(prompt) < 1.5 * WINDOW_TOKENS
        shown = [p for p in article.paragraphs if f"{p.plain.split()[0]} " in prompt[1].text]
        assert shown == list(window)
    for paragraph in article.paragraphs:
        assert [paragraph in window for window in cut].count(True) == 1
        assert paragraph in window_of(article, paragraph.id)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(1, 500))
def test_windows_part_any_article(lengths: list[int], tokens: int) -> None:
    article = read_markdown("\n\n".join("a" * length for length in lengths))
    cut = windows(article, tokens)
    assert [p.id for window in cut for p in window] == [p.id for p in article.paragraphs]
    for window in cut:
        assert len(window) == 1 or sum(text_tokens(p.plain) for p in window) <= tokens


def test_long_articles_are_asked_about_window_by_window() -> None:
    article = article_of(120, 120)
    with ScriptedServer(article_answers()) as server:
        spots = spot(article, connect(server.url, "m", "spotter", Meter(), Settings()), 20)
    assert len(server.requests) == len(windows(article)) > 2
    assert len(spots) >= how_many(article, 20)
    numbers = [article.number(s.after) for s in spots]
    assert numbers == sorted(set(numbers))
    assert len({s.id for s in spots}) == len(spots)


def test_a_spot_outside_its_window_is_not_taken() -> None:
    article = article_of(120, 120)
    first, second, *_ = windows(article)
    outside = article.number(second[0].id) + 1
    reply = f'{{"spots": [{{"paragraph": 1, "caption": "abc"}}, {{"paragraph": {outside}, "caption": "abc"}}]}}'
    assert [s.after for s in instruct.read_spots(reply, article, 5, first)] == [first[0].id]


# --- prefix cache --------------------------------------------------------------------------------------------------


def candidate(n: int) -> Candidate:
    return Candidate(image_id=f"i{n}", library="l", score=1, caption=f"Picture {n}", width=10, height=10)


def common_beginning(texts: list[str]) -> str:
    return os.path.commonprefix(texts)  # noqa: RUF071 - character by character is what a prefix cache sees


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_questions_about_an_article_begin_with_the_article(language: str) -> None:
    article = read_markdown(ARTICLE, language=language)
    spots = instruct.read_spots(
        '[{"paragraph": 2, "caption": "a flower"}, {"paragraph": 5, "caption": "wax"}]', article, 4
    )
    url = "data:image/png;base64,AA=="
    seen = [instruct.Placed(2, "a flower", url)]
    prompts = [
        instruct.ask_spots(article, 6),
        instruct.ask_choice(article, spots[0], [candidate(1), candidate(2)]),
        instruct.ask_choice(article, spots[1], [candidate(3)], [instruct.Placed(2, "a flower")]),
        instruct.ask_choice(article, spots[1], [candidate(3), candidate(4)], seen, [url, url]),
    ]
    texts = ["\n".join(text_of({"messages": [{"content": m.content}]}) for m in prompt) for prompt in prompts]
    shared = common_beginning(texts)
    assert instruct.context(article) in shared
    assert all(paragraph.plain.replace("\n", " ") in shared for paragraph in article.paragraphs)
    questions = [text[len(shared) :] for text in texts]
    assert len(set(questions)) == len(questions)


def test_each_choice_repeats_the_beginning_of_the_one_before() -> None:
    article = read_markdown(ARTICLE)
    spots = instruct.read_spots(
        '[{"paragraph": 1, "caption": "aaa"}, {"paragraph": 3, "caption": "bbb"}, {"paragraph": 6, "caption": "ccc"}]',
        article,
        4,
    )
    placed = [instruct.Placed(1, "A bee"), instruct.Placed(3, "A comb")]
    texts = [instruct.ask_choice(article, s, [candidate(n)], placed[:n])[1].text for n, s in enumerate(spots)]
    assert "A bee" in common_beginning(texts[1:])
