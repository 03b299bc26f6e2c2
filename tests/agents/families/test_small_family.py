"""The writer for small models: with scripted words where the words matter, with the real model where it matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from langchain_openai import ChatOpenAI
from scripted import ScriptedChatModel

from limner.agents.dialects import sentences, small
from limner.agents.families import small as family
from limner.agents.families.small import SENTENCES, write_in_steps
from limner.agents.meter import Meter
from limner.agents.speaker import Speaker
from limner.document import Article, Brief, Heading
from limner.errors import BadInput, BudgetReached, UnreadableReply
from limner.workflows.embedded.server import EmbeddedServer

OUTLINE = Brief(text="How bees make honey\n- Nectar\n- Comb")

# Sentences about bees that share no beginning and no phrase, in the order in which a script hands them out.
GOOD = (
    "Bees turn the sweet juice of flowers into food for winter.",
    "Their work begins as soon as the fields are warm.",
    "Every flight brings a little more back to the hive.",
    "When evening comes the whole colony is at home again.",
    "Nectar is thin and runs like water when it is fresh.",
    "A worker drinks it through a long and narrow tongue.",
    "Inside her body it is mixed with juices of her own.",
    "The younger workers take the load from her at the door.",
    "They pass each drop along until most water is gone.",
    "Comb is built from wax that the workers sweat out.",
    "Each cell leans back so that nothing can drip away.",
    "Warm air from many wings dries what has been stored.",
    "Later a thin lid of wax closes every filled cell.",
    "Sealed like this the food keeps until spring returns.",
)


def scripted(lines: Sequence[str], *, llama_cpp: bool = True, budget: int | None = None) -> Speaker:
    return Speaker(ScriptedChatModel(lines=list(lines)), meter=Meter(budget), llama_cpp=llama_cpp)


def model_of(speaker: Speaker) -> ScriptedChatModel:
    assert isinstance(speaker.model, ScriptedChatModel)
    return speaker.model


def written(brief: Brief, speaker: Speaker, similarity: family.Similarity | None = None) -> tuple[Article, str]:
    shown: list[str] = []
    article = write_in_steps(brief, speaker, shown.append, similarity)
    return article, "".join(shown)


# --- with a script ----------------------------------------------------------------------------------------------------


def test_an_outline_becomes_an_article() -> None:
    article, shown = written(OUTLINE, scripted(GOOD))
    assert article.title == "How bees make honey"
    assert [b.plain for b in article.body if isinstance(b, Heading)] == ["How bees make honey", "Nectar", "Comb"]
    assert article.paragraphs[0].plain == " ".join(GOOD[: SENTENCES - 1])
    assert article.paragraphs[2].plain == " ".join(GOOD[-SENTENCES:])
    assert shown == article.source
    (note,) = article.notes
    assert note.startswith("Written by a small model, which writes fluently and errs often")


def test_what_is_shown_was_checked_before() -> None:
    bad = ("Sure, here is a paragraph about bees and honey.", "In 1850 the bees of Warsaw went on strike for pay.")
    lines = [GOOD[0], bad[0], GOOD[1], bad[1], *GOOD[2:]]
    article, shown = written(OUTLINE, scripted(lines))
    assert "Sure" not in shown
    assert "Warsaw" not in shown
    assert [p.plain for p in article.paragraphs] == [p.plain for p in written(OUTLINE, scripted(GOOD))[0].paragraphs]


def test_a_sentence_turned_down_leaves_no_trace_in_the_next_question() -> None:
    speaker = scripted([GOOD[0], "Here is what Warsaw says about its many bees.", *GOOD[1:]])
    written(OUTLINE, speaker)
    after = model_of(speaker).asked[2]
    assert after[-1].text == GOOD[0]
    assert "Warsaw" not in str(after)


def test_a_section_ends_where_no_try_is_usable() -> None:
    stubborn = ["Nonsense."] * family.PATIENCE
    article, _ = written(OUTLINE, scripted([*GOOD[:4], *stubborn, *GOOD[9:]]))
    assert [b.plain for b in article.body if isinstance(b, Heading)] == ["How bees make honey", "Comb"]
    assert article.notes[1:] == ("Nothing usable was written for: Nectar.",)


def test_after_failures_it_is_given_words_to_begin_with() -> None:
    speaker = scripted([GOOD[0], "No.", "No.", " the sweet stores in the hive grow fuller.", *GOOD[1:]])
    article, _ = written(OUTLINE, speaker)
    opener = next(o for o in small.OPENERS_OFFERED if f"{GOOD[0]} {o}" in article.source)
    assert model_of(speaker).asked[3][-1].text == f"{GOOD[0]} {opener}"
    assert f"{opener} the sweet stores" in article.paragraphs[0].plain


def test_a_budget_keeps_what_is_written() -> None:
    article, shown = written(OUTLINE, scripted(GOOD, budget=600))
    assert article.paragraphs
    assert shown == article.source
    _, note = article.notes
    assert note.startswith("The article ends early:")
    assert "--max-tokens" in note


def test_a_budget_for_nothing_is_an_error() -> None:
    with pytest.raises(BudgetReached):
        written(OUTLINE, scripted([], budget=10))


def test_nothing_usable_is_an_error_with_a_way_on() -> None:
    with pytest.raises(UnreadableReply, match="LIMNER_MODEL_URL"):
        written(OUTLINE, scripted(["No."] * 3 * family.PATIENCE))


def test_no_model_is_asked_for_another_language() -> None:
    with pytest.raises(BadInput, match="only English"):
        written(Brief(text="How bees make honey", language="de"), scripted([]))


def test_other_servers_are_asked_for_whole_paragraphs() -> None:
    replies = [" ".join(GOOD[:4]), "Certainly! " + " ".join(GOOD[4:9]) + " It is", " ".join(GOOD[9:])]
    speaker = scripted(replies, llama_cpp=False)
    article, shown = written(OUTLINE, speaker)
    assert len(article.paragraphs) == 3
    assert shown == article.source
    assert all(len(messages) == 1 for messages in model_of(speaker).asked)  # no begun answer to continue
    assert not any("extra_body" in options for options in model_of(speaker).options)


def test_markdown_and_html_in_a_brief_come_out_as_text() -> None:
    brief = Brief(text="<script>alert(1)</script> *bees* ![x](http://e.org/a.png)\n- Nectar [a](b)\n- Comb `x`")
    article, shown = written(brief, scripted(GOOD))
    assert "<script" not in shown.replace("\\<", "")
    assert "![" not in shown
    assert "http" not in shown
    assert len(article.paragraphs) == 3


def test_the_closest_of_the_usable_sentences_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "BEST_OF", 2)

    def similarity(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
        return np.array([[0.8 if "tongue" in a + b else 0.5 for b in others] for a in texts])

    speaker = scripted([GOOD[0], GOOD[5], *(["No."] * family.PATIENCE * 3)])
    article, _ = written(OUTLINE, speaker, similarity)
    assert article.paragraphs[0].plain == GOOD[5]


def test_drift_and_paraphrase_are_turned_down() -> None:
    def similarity(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
        def close(a: str, b: str) -> float:
            if "thin lid" in a or "thin lid" in b:
                return 0.05  # of another subject
            return 0.9 if {a, b} == {GOOD[0], GOOD[1]} else 0.5

        return np.array([[close(a, b) for b in others] for a in texts])

    no = ["No."] * family.PATIENCE
    speaker = scripted([GOOD[0], GOOD[12], *no[2:], GOOD[1], *no[1:], *no, *no])
    article, _ = written(OUTLINE, speaker, similarity)
    assert article.paragraphs[0].plain == GOOD[0]
    assert GOOD[12] not in article.source
    assert GOOD[1] not in article.source


def test_a_title_for_free_text() -> None:
    text = "The bees in our garden make honey from clover. The comb is full of nectar before the summer is over."
    article, _ = written(Brief(text=text), scripted(["The Bees in Our Garden", *GOOD, *(["No."] * 99)]))
    assert article.title == "The Bees in Our Garden"
    article, _ = written(Brief(text=text), scripted(["Elvis", "Elvis again", *GOOD, *(["No."] * 99)]))
    assert article.title == "The bees in our garden make honey from"


# --- with the model ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2() -> Iterator[Speaker]:
    with EmbeddedServer(threads=1) as server:
        model = ChatOpenAI(model=server.model, base_url=server.url, api_key=lambda: server.api_key, stream_usage=True)
        yield Speaker(model, llama_cpp=True, json_schema=True, name=server.model, where=server.url)


def test_smollm2_writes_an_article(smollm2: Speaker) -> None:
    article, shown = written(OUTLINE, smollm2)
    assert shown == article.source
    assert len(article.paragraphs) == 3
    found = [s for p in article.paragraphs for s in sentences.sentences(p.plain)]
    assert len(found) >= 9
    assert len(set(found)) == len(found)
    assert all(p.plain.endswith(".") for p in article.paragraphs)
    assert all(small.looks_english(p.plain) for p in article.paragraphs)
    said = sentences.words(" ".join(found))
    assert {"bees", "bee", "honey"} & set(said)
    assert not any(c.isdigit() for s in found for c in s)


def test_smollm2_writes_the_same_again(smollm2: Speaker) -> None:
    brief = Brief(text="The sea\n- Waves\n- Tides", seed=7)
    plan = small.plan(brief)
    reply = [
        smollm2.say(
            small.ask_sentence(plan, plan.sections[1], (), ""), max_tokens=40, temperature=0.5, seed=7, extra=extra
        )
        for extra in ({**family.SAMPLERS, "grammar": small.SENTENCE_GRAMMAR},) * 2
    ]
    assert reply[0] == reply[1]
