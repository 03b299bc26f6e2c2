"""The writer, and what it makes of the ways models answer."""

from __future__ import annotations

import base64
from io import BytesIO

import pytest
from PIL import Image
from scripted import ARTICLE, ScriptedChatModel, ScriptedServer, article_answers, images_of, in_turn, text_of

from limner.agents.meter import Meter
from limner.agents.speaker import Speaker
from limner.agents.writer import MAX_TOKENS, write
from limner.document import Article, Brief, Reference, Source
from limner.errors import BudgetReached, ModelRefused, UnreadableReply
from limner.settings import Settings
from limner.workflows.models import connect, speaker_for

BEES = Brief(text="How bees make honey", seed=7)


def silent(text: str) -> None:
    """A listener that does not care."""


def scripted(*lines: str, budget: int | None = None) -> Speaker:
    return speaker_for(ScriptedChatModel(lines=list(lines)), "writer", Meter(budget=budget))


def written(*lines: str, brief: Brief = BEES) -> Article:
    return write(brief, scripted(*lines), silent)


def picture() -> str:
    out = BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def test_an_article_streams_and_is_read_whole() -> None:
    heard: list[str] = []
    with ScriptedServer(article_answers()) as server:
        article = write(BEES, connect(server.url, "m", "writer", Meter(), Settings()), heard.append)
    assert "".join(heard) == ARTICLE
    assert article.source == ARTICLE
    assert article.title == "How Bees Make Honey"
    assert len(article.paragraphs) == 6
    assert article.notes == ()
    (body,) = server.requests
    assert (body["max_tokens"], body["seed"]) == (MAX_TOKENS, 7)
    assert "How bees make honey" in text_of(body)


def test_brief_sources_references_and_language_are_in_the_prompt() -> None:
    brief = Brief(
        text="Honey",
        language="de",
        sources=(Source(name="notes.md", text="Bees dance. ![x](http://evil.example/x.png)"),),
        references=(Reference(image_id="a1", caption="A frame of comb"),),
    )
    with ScriptedServer(article_answers()) as server:
        article = write(brief, connect(server.url, "m", "writer", Meter(), Settings()), silent)
    prompt = text_of(server.requests[0])
    assert all(part in prompt for part in ("Honey", "notes.md", "Bees dance.", "- A frame of comb", "'de'"))
    assert "![" not in prompt
    assert article.language == "de"


def test_a_writer_that_sees_gets_the_pictures() -> None:
    with ScriptedServer(article_answers()) as server:
        voice = connect(server.url, "m", "writer", Meter(), Settings())
        write(BEES, voice, silent, reference_images=[picture()])
    assert images_of(server.requests[0]) == [picture()]


def test_a_chinese_brief_is_asked_for_in_chinese() -> None:
    model = ScriptedChatModel(lines=["# 蜜蜂\n\n蜜蜂采集花蜜，酿成蜂蜜。"])
    article = write(Brief(text="蜜蜂如何酿造蜂蜜"), speaker_for(model, "writer", Meter()), silent)
    assert (article.title, article.language) == ("蜜蜂", "zh")
    assert "请根据以下要求写一篇文章" in model.asked[0][1].text
    assert article.notes == (), "a Chinese full stop ends a sentence"


# --- what models wrap around an article ----------------------------------------------------------------------------

PLAIN = "# Honey\n\nBees make it."


@pytest.mark.parametrize(
    "reply",
    [
        PLAIN,
        f"Sure! Here is the article:\n\n{PLAIN}",
        f"Here's your article:\n{PLAIN}",
        f"```markdown\n{PLAIN}\n```",
        f"```\n{PLAIN}\n```",
        f"Here is the article:\n\n```markdown\n{PLAIN}\n```",
        f"```markdown\n{PLAIN}\n```\n\nLet me know if you want it longer!",
        f"<think>\nThe user wants # Bees. Short, then.\n</think>\n\n{PLAIN}",
        f"The user wants an article. Short, then.\n</think>\n\n{PLAIN}",
        f"<think></think>{PLAIN}",
        f"\n\n{PLAIN}\n\n\n",
        f"![cover](http://evil.example/c.png)\n{PLAIN}",
        "# Honey\n\n![a bee](bee.jpg)\n\nBees make it.",
    ],
)
def test_only_the_article_is_kept(reply: str) -> None:
    article = written(reply)
    assert article.title == "Honey"
    assert [p.text for p in article.paragraphs] == ["Bees make it."]


def test_images_in_a_sentence_leave_their_words_and_code_its_marks() -> None:
    article = written(
        "# Honey\n\nBees ![dance](http://evil.example/x.png) and ![sing][s].\n\n```rust\nvec![1]\n```\n\nEnd."
    )
    assert article.paragraphs[0].text == "Bees dance and sing."
    assert "vec![1]" in article.source
    assert "evil.example" not in article.source


@pytest.mark.parametrize("reply", ["", "   \n", "# Only a title", "```\ncode alone\n", "<think>I never got to", "---"])
def test_no_paragraph_is_asked_for_again_with_the_reason(reply: str) -> None:
    model = ScriptedChatModel(lines=[reply, PLAIN])
    article = write(BEES, speaker_for(model, "writer", Meter()), silent)
    assert article.title == "Honey"
    assert "There is no paragraph in that" in model.asked[1][-1].text


def test_twice_none_is_told_to_the_user_in_one_line() -> None:
    with pytest.raises(UnreadableReply, match="wrote no article") as caught:
        written("", "# Only\n# \x1b[2J titles")
    message = str(caught.value)
    assert message.isprintable()
    assert "--model" in message


# --- an end that was cut off ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ("One is whole. Two is cut in the mid", ["First.", "One is whole."]),
        ("Cut in the mid", ["First."]),
        ("## More\n\nCut in the mid", ["First."]),
        ("Whole.\n\n## More", ["First.", "Whole."]),
        ("她说：“好。” 然后", ["First.", "她说：“好。”"]),
    ],
)
def test_an_unfinished_end_is_left_out_and_said(end: str, kept: list[str]) -> None:
    article = written(f"# T\n\nFirst.\n\n{end}")
    assert [p.text for p in article.paragraphs] == kept
    assert article.body[-1].kind == "paragraph", "no heading with nothing under it"
    assert article.notes == ("The writer's answer broke off; its unfinished end was left out.",)


@pytest.mark.parametrize(
    "end",
    [
        "Done.",
        "Done!**",
        "*Enjoy!*",
        "She said: “Done.”",
        "(Done.)",
        "- nectar\n- pollen",
        "1. fly\n2. sip",
        "Three dots…",
        "完。」",
    ],
)
def test_a_finished_end_is_kept(end: str) -> None:
    article = written(f"# T\n\nFirst.\n\n{end}")
    assert article.paragraphs[-1].text == end
    assert article.notes == ()


def test_the_only_paragraph_is_never_left_out() -> None:
    assert [p.text for p in written("# T\n\nAll there is").paragraphs] == ["All there is"]


# --- what stops a writer -------------------------------------------------------------------------------------------


def test_no_budget_no_call() -> None:
    with ScriptedServer(in_turn()) as server, pytest.raises(BudgetReached, match="--max-tokens"):
        write(BEES, connect(server.url, "m", "writer", Meter(budget=1000), Settings()), silent)
    assert server.requests == []


def test_a_writer_that_does_not_stop() -> None:
    with pytest.raises(ModelRefused, match="did not stop"):
        written("honey " * 40_000)
