"""The check of answers, and the outline of each kind of writer."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from revising import OUTLINE, revising_answers
from scripted import ARTICLE, ScriptedServer, article_answers

import limner
from limner.agents.dialects import commands, outline, revise
from limner.document import POINTS, Article, Brief, Candidate, Illustration, Selection, Spot, read_markdown
from limner.errors import BadInput, JobConflict, UnreadableReply
from limner.notes import Note
from limner.settings import Settings
from limner.tools.editing.apply import edited
from limner.tools.editing.typed import edits_for_blocks, edits_for_text
from limner.workflows.review import answers, protocol, questions


def an_article() -> Article:
    """Text, one image and the record of its choice."""
    article = read_markdown(ARTICLE)
    candidates = [
        Candidate(image_id=f"{n}" * 64, library="bees", score=1 / n, caption=f"Picture {n}", width=9, height=9)
        for n in (1, 2, 3)
    ]
    spots = [Spot(id=f"s{n}", after=article.paragraphs[n].id, caption=f"Spot {n}", search="x") for n in (1, 2)]
    chosen = [Selection(spot=s, candidates=tuple(candidates), by="pixels", choice="1" * 64) for s in spots]
    image = Illustration(
        id="f-s1", after=spots[0].after, image_id="1" * 64, caption="Picture 1", alt="", width=9, height=9
    )
    return article.model_copy(update={"selections": tuple(chosen), "illustrations": (image,)})


ARTICLE_ = an_article()
SHOWN: dict[str, questions.Json] = {
    "outline": questions.outline_args(OUTLINE),
    "draft": questions.text_args(ARTICLE_),
    "spots": questions.spots_args(ARTICLE_, [s.spot for s in ARTICLE_.selections]),
    "images": questions.images_args(ARTICLE_),
    "final": questions.final_args(ARTICLE_),
}
ASKED = {point: questions.question(point, args, Note("About it.")) for point, args in SHOWN.items()}


def edit(point: str, args: Any) -> dict[str, Any]:
    asked = ASKED[point]
    action = asked["action_request"]["action"]
    return {"type": "edit", "args": {"action": action, "args": args}, "version": asked["version"]}


# --- what comes in ---------------------------------------------------------------------------------------------------

json_values: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a JSON value."""
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, inner in rows for p in places(inner, (*path, key)))]


@given(point=st.sampled_from(POINTS), data=st.data(), value=json_values)
def test_an_answer_with_anything_anywhere_is_taken_or_refused_in_one_line(point: str, data: Any, value: Any) -> None:
    answer: Any = edit(point, copy.deepcopy(SHOWN[point]))
    path = data.draw(st.sampled_from(places(answer)))
    if path:
        inner = answer
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    else:
        answer = value
    refused = ""
    try:
        assert answers.check(ASKED[point], answer)["type"] in protocol.ANSWER_TYPES
    except (BadInput, JobConflict) as why:
        refused = str(why)
    assert "\n" not in refused


@pytest.mark.parametrize("point", POINTS)
def test_what_was_shown_and_sent_back_unchanged_is_an_edit_of_nothing(point: str) -> None:
    args = answers.check(ASKED[point], edit(point, SHOWN[point]))["args"]
    same: dict[str, Any] = {"outline": {"outline": OUTLINE}, "spots": {"spots": SHOWN["spots"]["spots"]}}
    assert args == same.get(point, {"images": []} if point == "images" else {})


def test_the_same_question_of_another_day_has_another_version() -> None:
    versions = {questions.question("draft", SHOWN["draft"], Note(""), answered=(n, 0))["version"] for n in range(5)}
    assert len(versions) == 5


def test_agent_inbox_sends_a_list_of_one_without_a_version_and_the_graph_takes_it() -> None:
    taken = answers.check(ASKED["draft"], [{"type": "accept", "args": ASKED["draft"]["action_request"]}], strict=False)
    assert taken == {"type": "accept", "args": None, "version": ASKED["draft"]["version"]}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"spot": "s1", "chosen": "9" * 64}], "is no candidate"),
        ([{"spot": "s2", "chosen": "1" * 64}], "have the same image"),
        ([{"spot": "s9", "chosen": None}], "unknown spot 's9'"),
    ],
)
def test_images_that_cannot_be_chosen(rows: Any, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        answers.check(ASKED["images"], edit("images", {"images": rows}))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"after": "b1", "caption": "x"}], "not a paragraph's id"),
        ([{"after": "b2", "caption": ""}], "caption: it is empty"),
        ([{"id": "s9", "after": "b2", "caption": "x"}], "'s9' is unknown"),
        ([{"after": "b2", "caption": "x"}, {"after": "b2", "caption": "y"}], "two stand after the same"),
    ],
)
def test_spots_that_cannot_be(rows: Any, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        answers.check(ASKED["spots"], edit("spots", {"spots": rows}))


# --- text typed over -------------------------------------------------------------------------------------------------

PIECES = ["Bees fly.", "## Home", "They rest.", "- one\n- two", "> Said.", "`code` it is.", "Wax."]


def no_image(_library: str, _image: str) -> Any:
    raise AssertionError("nothing is placed")


@given(old=st.lists(st.sampled_from(PIECES), min_size=1, max_size=7), new=st.lists(st.sampled_from(PIECES), max_size=7))
def test_the_edits_of_a_text_typed_over_give_that_text(old: list[str], new: list[str]) -> None:
    article = read_markdown("\n\n".join(old) + "\n")
    typed = read_markdown("\n\n".join(new) + "\n")
    if not typed.paragraphs:
        with pytest.raises(BadInput, match="no paragraph"):
            edits_for_text(article, typed.source)
        return
    after = edited(article, edits_for_text(article, typed.source), no_image)
    assert [b.text for b in after.body] == [b.text for b in typed.body]
    assert len({b.id for b in after.body}) == len(after.body)


@given(data=st.data(), count=st.integers(1, 6))
def test_the_edits_of_blocks_typed_over_give_those_blocks(data: Any, count: int) -> None:
    article = read_markdown("\n\n".join(f"Paragraph {n}." for n in range(count)) + "\n")
    kept = data.draw(st.permutations([b.id for b in article.body]))[: data.draw(st.integers(1, count))]
    rows: list[dict[str, str]] = []
    for n, block_id in enumerate(kept):
        text = next(b.text for b in article.body if b.id == block_id)
        rows.append({"id": block_id, "text": data.draw(st.sampled_from([text, f"Changed {n}."]))})
        if data.draw(st.booleans()):
            rows.append({"id": "", "text": f"New {n}."})
    if data.draw(st.booleans()):
        rows.insert(0, {"id": "", "text": "The first."})
    after = edited(article, edits_for_blocks(article, rows), no_image)
    assert [b.text for b in after.body] == [row["text"] for row in rows]
    assert [b.id for b in after.body if b.id in kept] == list(kept)


# --- outlines --------------------------------------------------------------------------------------------------------


def test_an_outline_is_what_looks_like_one() -> None:
    reply = "<think>hm</think>Sure!\n```markdown\n# Honey\n## Field\n- nectar\nSome words.\n```\n"
    assert outline.read_outline(reply) == "# Honey\n\n## Field\n- nectar"
    with pytest.raises(UnreadableReply):
        outline.read_outline("I cannot do that.")
    long = "\n".join(f"## Heading {n}" for n in range(5000))
    assert len(outline.read_outline(long)) <= outline.MAX_OUTLINE + 1000


def test_a_chinese_brief_gets_a_chinese_outline_and_follows_it() -> None:
    brief = Brief(text="蜜蜂如何酿蜜", language="zh")
    assert "提纲" in str(outline.ask_outline(brief)[0].content)
    assert "逐节写作" in outline.outlined(brief, "# 蜂蜜\n## 花").text


def test_a_small_model_writes_to_the_outline_that_a_person_made(bees: Path) -> None:
    def answer(_: dict[str, Any]) -> str:
        return "Bees carry nectar from the flowers to the hive every day. Honey keeps for many years in a closed cell."

    with ScriptedServer(answer, models=["SmolLM2-135M-Instruct"]) as server:
        settings = Settings(model_url=server.url, model="SmolLM2-135M-Instruct", retries=0, timeout=20)
        graph: Any = limner.build_graph(library="bees", settings=settings, checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        brief = Brief(text="How bees make honey", images=0, review=("outline",))
        question = graph.invoke({"brief": brief}, config)["__interrupt__"][0].value
        assert question["config"]["allow_respond"] is False
        assert question["action_request"]["args"]["outline"].startswith("# How bees make honey\n\n- ")
        assert server.requests == [], "a title is plan enough for it"
        mine = "# How bees make honey\n\n- Flowers of spring\n- Wax and cells"
        answer_ = {"type": "edit", "args": {"args": {"outline": mine}}}
        article = graph.invoke(Command(resume=answer_), config)["article"]
    headings = [b.plain for b in article.body if b.kind == "heading"]
    assert headings[0] == "How bees make honey"
    assert set(headings[1:]) <= {"Flowers of spring", "Wax and cells"}


def test_a_model_that_makes_no_outline_passes_the_point_over_and_says_so(bees: Path) -> None:
    with ScriptedServer(lambda _: "蜜蜂采蜜。\n蜂巢很甜。", models=["internlm-xcomposer2-7b"]) as server:
        settings = Settings(model_url=server.url, model="internlm-xcomposer2-7b", retries=0, timeout=20)
        graph: Any = limner.build_graph(library="bees", settings=settings)
        article = graph.invoke({"brief": Brief(text="蜂蜜", images=0, review=("outline",))})["article"]
    assert any("makes no outline" in note for note in article.notes)


def test_review_points_from_python_want_somebody_who_answers(bees: Path) -> None:
    with ScriptedServer(revising_answers(otherwise=article_answers(sees=True))) as server:
        settings = Settings(model_url=server.url, model="scripted-7b", retries=0, timeout=20)
        with pytest.raises(BadInput, match="Give `answer`"):
            limner.compose("Bees", library="bees", settings=settings, review=["draft"])
        with pytest.raises(BadInput, match="Unknown review point 'cover'"):
            limner.compose("Bees", library="bees", settings=settings, review=["cover"])  # type: ignore[list-item]
        asked: list[str] = []

        def answer(question: dict[str, Any]) -> dict[str, Any]:
            asked.append(question["point"])
            return {"type": "accept"} if len(asked) > 1 else {"type": "nonsense"}

        article = limner.compose("Bees", library="bees", images=1, settings=settings, review=["draft"], answer=answer)
    assert asked == ["draft", "draft"], "what is no answer is asked about again"
    assert article.source == ARTICLE


# --- what models answer ----------------------------------------------------------------------------------------------


@given(reply=st.text(max_size=200) | json_values.map(str))
def test_any_answer_to_a_revision_is_read_or_refused(reply: str) -> None:
    article = an_article()
    for block in article.body[:3]:
        try:
            text = revise.read_block(reply, block, keep_form=True)
        except UnreadableReply:
            continue
        assert "![" not in text
        assert read_markdown("\n" + text).body
    try:
        found, _ = commands.read_commands(reply, article)
    except UnreadableReply:
        return
    ids = {"", *(b.id for b in article.body), *(i.id for i in article.illustrations)}
    assert all(c.block in ids and c.image in ids for c in found)


# --- LangChain's shape, as agent-chat-ui renders it -----------------------------------------------------------------


def decided(point: str, decision: Any) -> Any:
    return answers.check(ASKED[point], {"decisions": [decision]}, strict=False)


@pytest.mark.parametrize("point", POINTS)
def test_a_question_has_the_shape_of_langchains_middleware_where_that_is_wanted(point: str) -> None:
    assert questions.interrupting(ASKED[point], False) == ASKED[point]
    value = questions.interrupting(ASKED[point], True)
    (request,), (config,) = value["action_requests"], value["review_configs"]
    assert request["name"] == config["action_name"] == f"review_{point}"
    assert request["args"] == request["arguments"] == SHOWN[point]
    assert config["allowed_decisions"] == ["approve", "edit", "reject"]
    assert questions.is_question(value)
    assert decided(point, {"type": "approve"})["type"] == "accept"
    assert decided(point, {"type": "reject", "message": "Shorter."})["args"] == "Shorter."
    typed = {k: v if isinstance(v, str) else json.dumps(v) for k, v in SHOWN[point].items()}  # as its fields are edited
    edited = {"type": "edit", "edited_action": {"name": f"review_{point}", "args": typed}}
    assert decided(point, edited) == answers.check(ASKED[point], edit(point, SHOWN[point]))


@pytest.mark.parametrize(
    ("decisions", "says"),
    [
        ([], "not a list of one"),
        ("approve", "not a list of one"),
        ([{"type": "approve"}, {"type": "approve"}], "not a list of one"),
        ([{"type": "reject"}], 'a "response" needs the change'),
        ([{"type": "edit"}], "send approve"),
        (
            [{"type": "edit", "edited_action": {"name": "review_draft", "args": {"blocks": "[{"}}}],
            "blocks: it is not JSON",
        ),
    ],
)
def test_a_decision_that_is_none_is_refused(decisions: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        answers.check(ASKED["draft"], {"decisions": decisions}, strict=False)
