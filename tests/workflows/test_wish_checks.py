"""What comes of a wish is checked against it: the real graph and client; only the model's words are scripted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from revising import command, revising_answers
from scripted import Script, ScriptedServer, last_text

from limner.agents.dialects.commands import Command
from limner.document import Article, read_markdown
from limner.errors import UnreadableReply
from limner.settings import Settings
from limner.tools.editing import commands as e
from limner.tools.editing.apply import edited
from limner.workflows.context import Context, build_context
from limner.workflows.revise import checks
from limner.workflows.revise.graph import propose

HONEY = """# Honey

Bees carry nectar home in the warm months of the year. In the hive it is passed from mouth to mouth. The water leaves it
until it is thick.

A beekeeper lifts the frames in late summer. The wax is cut away with a long knife.
"""
LONGER = "Bees carry nectar home in the warm months of the year, and there is a lot more to say about all of it. " * 3


@contextmanager
def small(
    answers: Sequence[str] | Script, model: str = "tiny-1.5b", **more: Any
) -> Iterator[tuple[Context, ScriptedServer]]:
    """A context whose model gives these answers, one after the other."""
    left = iter(answers) if not callable(answers) else None
    script: Script = answers if callable(answers) else lambda _: next(left)  # type: ignore[arg-type]
    with ScriptedServer(script, models=[model]) as server:
        made = Settings(model_url=server.url, model=model, retries=0, timeout=20, **more)
        yield build_context(made, library="bees"), server


def asked(context: Context, wish: str, article: Article | None = None) -> tuple[Article, str]:
    old = article or read_markdown(HONEY, language="en")
    proposal = propose(context, old, e.Instruct(text=wish))
    return (edited(old, proposal.edits, context.record) if proposal.edits else old), proposal.summary


def test_a_text_that_fails_its_check_is_asked_for_again_with_the_reason(bees: Path) -> None:
    with small([LONGER, "Bees carry nectar home, and it thickens in the hive."]) as (context, server):
        new, said = asked(context, "Make the first paragraph shorter")
        assert "Answer with a shorter one." in last_text(server.requests[1])
    assert new.body[1].text == "Bees carry nectar home, and it thickens in the hive."
    assert said == ""


def test_where_a_shorter_text_fails_twice_sentences_are_left_out(bees: Path) -> None:
    with small([LONGER, LONGER]) as (context, _):
        new, said = asked(context, "Make the first paragraph shorter")
    assert "no model wrote anything" in said
    assert new.body[1].text.startswith("Bees carry nectar home")
    assert len(new.body[1].text) < len(read_markdown(HONEY).body[1].text)


def test_what_fails_twice_is_left_out_named_and_the_rest_done(bees: Path) -> None:
    english = "A beekeeper lifts out the frames when summer ends, and cuts the wax away."
    with small([english, english]) as (context, _):
        new, said = asked(context, "Translate the second paragraph into Chinese and call the article “Gold”")
    assert new.title == "Gold"
    assert new.body[2].text == read_markdown(HONEY).body[2].text
    assert "Not done: translate the paragraph “A beekeeper" in said
    assert "not in Chinese" in said


def test_a_text_that_cannot_be_read_loses_nothing_else(bees: Path) -> None:
    with small(["<think>hm</think>", "", "", ""]) as (context, _):
        new, said = asked(context, "Rewrite the second paragraph and call the article “Gold”")
    assert new.title == "Gold"
    assert "Not done: rewrite the paragraph" in said


def test_a_translation_changes_its_block_alone(bees: Path) -> None:
    with small(["养蜂人在夏末取出巢框，用长刀割去蜂蜡。"]) as (context, _):
        new, said = asked(context, "Translate the second paragraph into Chinese")
    old = read_markdown(HONEY)
    assert [b.text for b in new.body] == [old.body[0].text, old.body[1].text, "养蜂人在夏末取出巢框，用长刀割去蜂蜡。"]
    assert said == ""


def test_two_edits_of_one_block_follow_each_other(bees: Path) -> None:
    def answer(body: dict[str, Any]) -> str:
        said = last_text(body)
        if "Translate" in said:
            assert "Nectar thickens in the hive." in said
            return "花蜜在蜂巢里变稠。"
        return "Nectar thickens in the hive."

    with small(answer) as (context, _):
        new, _ = asked(context, "Shorten the first paragraph and translate it into Chinese")
    assert new.body[1].text == "花蜜在蜂巢里变稠。"


def test_nothing_done_is_said_and_costs_one_small_question(bees: Path) -> None:
    with small([json.dumps({"edit": "none"})]) as (context, server):
        new, said = asked(context, "Could you have another look at the wording of prices?")
        assert server.requests[0]["response_format"]["json_schema"]["schema"]["properties"]["edit"]["enum"]
    assert new == read_markdown(HONEY, language="en")
    assert "Not done" in said
    assert "Nothing would be changed." in said


@pytest.mark.parametrize(
    ("model", "setting", "questions"),
    [
        ("tiny-1.5b", "", True),
        ("big-7b", "", False),
        ("nameless", "", False),
        ("big-7b", "steps", True),
        ("tiny-1.5b", "whole", False),
    ],
)
def test_the_known_size_or_the_setting_decides_how_the_model_is_asked(
    bees: Path, model: str, setting: Any, questions: bool
) -> None:
    with small(revising_answers([command("delete", block=2)]), model, wishes=setting) as (context, server):
        new, _ = asked(context, "Delete the first paragraph")
        assert len(server.requests) == (0 if questions else 1)
    assert len(new.body) == 2


def test_one_answer_that_cannot_be_read_gives_way_to_questions(bees: Path) -> None:
    with small(["I would rather not.", "Not today."], "big-7b") as (context, _):
        new, said = asked(context, "Delete the first paragraph")
    assert len(new.body) == 2
    assert "asked step by step" in said
    with small(["I would rather not.", "Not today."], "big-7b") as (context, _), pytest.raises(UnreadableReply):
        asked(context, "shorter")


def test_one_answer_that_changes_text_for_a_picture_gives_way_to_questions(bees: Path) -> None:
    with small(revising_answers([command("delete", block=2)]), "big-7b") as (context, _):
        new, said = asked(context, "Remove picture 4")
    assert [b.text for b in new.body] == [b.text for b in read_markdown(HONEY).body]
    assert "changed what was not named" in said
    assert "the article has no picture" in said


@pytest.mark.parametrize(
    ("do", "text", "new", "why"),
    [
        ("shorten", "", LONGER, "shorter"),
        ("shorten", "", "Bees.", "hardly anything"),
        ("shorten", "", "Bees fly.\n\nThey carry nectar home to the hive.", "one paragraph"),
        ("shorten", "", "Bees carry nectar home and", "breaks off"),
        ("shorten", "", "Las abejas llevan el néctar a la colmena durante los meses cálidos.", "not in English"),
        ("expand", "", "Bees carry nectar home.", "longer"),
        ("rewrite", "", "word " * 200 + ".", "about as many"),
        ("translate", "de", "Bees carry nectar home in the warm months of the year to the hive.", "not in German"),
        ("translate", "zh", "蜂".join(["Bees carry nectar home"] * 2) + ".", "not in Chinese"),
        ("expand", "", "Bees carry nectar home, as they have done for a million years. " * 9, "again and again"),
        ("rewrite", "", read_markdown(HONEY).body[2].text, "another"),
        ("rewrite", "", read_markdown(HONEY).body[1].text, "old text"),
        ("shorten", "", "Bees carry nectar home, and it is dried in the hive.", ""),
        ("translate", "zh", "蜜蜂在温暖的月份把花蜜带回家。", ""),
        ("rewrite", "", "In the warm months bees bring nectar to the hive and dry it until it is thick.", ""),
    ],
)
def test_each_check_says_what_is_wrong(do: Any, text: str, new: str, why: str) -> None:
    article = read_markdown(HONEY, language="en")
    said = checks.fault(Command(do, "b2", "", "after", text), article.body[1], new, article)
    assert (why in said) if why else said == ""


def test_a_new_paragraph_is_none_that_the_article_has(bees: Path) -> None:
    """Seen of a 0.5B model: it gave the article's last paragraph again, and then its own."""
    article = read_markdown(HONEY, language="en")
    last, new = article.body[2].text, "In poems the hive stands for a city in which everybody works without a word."
    for copied in (last, f"{last}\n\n{new}", f"{new}\n\n{last}"):
        said = checks.fault(Command("write", "b3", "", "after", ""), None, copied, article)
        assert said == "That is another paragraph of the article. Answer with a new paragraph alone."
    assert checks.fault(Command("write", "b3", "", "after", ""), None, new, article) == ""
    with small([f"{last}\n\n{new}", new]) as (context, _):
        made, _said = asked(context, "Add a paragraph on bees in poems at the end")
    assert [b.text for b in made.body[3:]] == [new]


def test_a_text_of_a_larger_model_that_fails_a_check_is_kept_with_a_remark(bees: Path) -> None:
    with small(revising_answers([command("shorten", block=2)]), "big-7b") as (context, _):
        new, said = asked(context, "Make the first paragraph shorter")
    assert new.body[1].text == read_markdown(HONEY).body[1].text.upper()
    assert "Look at it: shorten of b2" in said
