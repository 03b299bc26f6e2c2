"""Instructions become edits: the real graph, library and client; only the model's words are scripted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pictures import CAPTIONS
from revising import command, revising_answers, task
from scripted import ARTICLE, Script, ScriptedServer, article_answers, text_of

import limner
from limner.document import Article, Illustration, read_markdown
from limner.errors import BadInput, BudgetReached, ModelRefused, UnreadableReply
from limner.exports import to_markdown
from limner.settings import Settings
from limner.tools.editing import commands as e
from limner.tools.editing.apply import edited
from limner.workflows.context import Context, build_context
from limner.workflows.revise.graph import build_revise_graph, propose, read_instruction

MIXED = """# Honey

First there is *nectar*. It is thin.

- gather [nectar](https://example.org/n)
- carry it home

```
honey = nectar - water
```

## In the jar

Last there is honey.
"""


@contextmanager
def speaking(answers: Script, model: str = "scripted-7b", **more: Any) -> Iterator[tuple[Context, ScriptedServer]]:
    """A context whose model answers like this, over the library "bees"."""
    with ScriptedServer(answers, models=[model]) as server:
        made = Settings(model_url=server.url, model=model, retries=0, timeout=20, **more)
        yield build_context(made, library="bees"), server


def illustrated(context: Context, article: Article, *names: str) -> Article:
    """The article with these pictures after its first paragraphs."""
    (library,) = context.libraries
    records = {r.caption: r for r in library.records()}
    images = []
    for n, name in enumerate(names):
        record = records[CAPTIONS[name][0]]
        about = {"caption": record.caption, "alt": record.alt, "width": record.width, "height": record.height}
        after = article.paragraphs[n].id
        images.append(Illustration(id=f"f-{n}", after=after, image_id=record.id, library="bees", **about))
    return article.illustrated(images)


def after(context: Context, article: Article, instruction: e.Instruction) -> Article:
    return edited(article, propose(context, article, instruction).edits, context.record)


def texts(article: Article) -> list[str]:
    return [b.text for b in article.body]


# --- one paragraph -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rewrite", "expand", "shorten"])
def test_a_paragraph_is_put_otherwise_and_the_rest_stays(bees: Path, kind: Any) -> None:
    old = read_markdown(ARTICLE)
    with speaking(revising_answers()) as (context, server):
        instruction = e.Rewrite(do=kind, block="b2", instruction="for children")
        proposal = propose(context, old, instruction)
        new = edited(old, proposal.edits, context.record)
        (asked,) = server.texts
        assert proposal.spent == sum(a.usage["total_tokens"] for a in server.log)
        assert context.meter.roles["reviser"].calls == 1
    assert texts(new) == [old.body[1].text.upper() if b.id == "b2" else b.text for b in old.body]
    assert "for children" in asked
    assert {"rewrite": "Rewrite it", "expand": "longer", "shorten": "shorter"}[kind] in asked


def test_of_a_selection_only_those_characters_change(bees: Path) -> None:
    old = read_markdown(MIXED)
    start = old.body[1].text.index("It is")
    with speaking(revising_answers()) as (context, _):
        new = after(context, old, e.Rewrite(block="b2", selection=(start, start + 5)))
        with pytest.raises(BadInput, match="Give from and to"):
            propose(context, old, e.Rewrite(block="b2", selection=(5, 500)))
    assert new.body[1].text == "First there is *nectar*. IT IS thin."


@pytest.mark.parametrize(("where", "at"), [("before", 1), ("after", 2)])
def test_a_paragraph_is_written_beside_a_block(bees: Path, where: Any, at: int) -> None:
    old = read_markdown(MIXED)
    with speaking(revising_answers()) as (context, _):
        new = after(context, old, e.WriteParagraph(block="b2", where=where, instruction="winter"))
    assert new.body[at].text == "A new paragraph about winter."
    assert [t for n, t in enumerate(texts(new)) if n != at] == texts(old)


def test_what_comes_back_is_cut_bounded_and_holds_no_image(bees: Path) -> None:
    old = read_markdown(MIXED)
    strange = "Sure, here is it:\n\n# Title\n\nNew ![x](http://evil.example/x.png) words.\n\n![](y.png)\n\nAnd more."
    with speaking(revising_answers(written=lambda *_: strange)) as (context, _):
        new = after(context, old, e.Rewrite(block="b2"))
    assert texts(new)[1:3] == ["New x words.", "And more."]
    said: list[str] = []

    def long(_: str, prompt: str) -> str:
        said.append(prompt)
        return "word " * 900

    with speaking(revising_answers(written=long)) as (context, _), pytest.raises(UnreadableReply):
        propose(context, old, e.Rewrite(block="b2"))
    assert len(said) == 2
    assert "under 2,000" in said[1], "the model is told why, once"


@pytest.mark.parametrize(
    ("instruction", "why"),
    [
        (e.Rewrite(block="b9"), "no block 'b9'"),
        (e.Rewrite(block="b2"), "locked"),
        (e.Rewrite(block="b4"), "Edit it by hand"),
        (e.WriteParagraph(block="b9", instruction="x"), "no block 'b9'"),
        (e.Translate(language="Klingon, please"), "not a language code"),
    ],
)
def test_what_cannot_be_wished_is_refused_before_a_model_is_asked(
    bees: Path, instruction: e.Instruction, why: str
) -> None:
    old = read_markdown(MIXED).model_copy(update={"locked": ("b2",)})
    with speaking(revising_answers()) as (context, server):
        with pytest.raises(BadInput, match=why):
            propose(context, old, instruction)
        assert server.requests == []


# --- the whole -----------------------------------------------------------------------------------------------------


def test_the_whole_is_translated_its_form_kept_and_what_is_locked_left(bees: Path) -> None:
    with speaking(revising_answers()) as (context, server):
        old = illustrated(context, read_markdown(MIXED), "jar.png", "hive.png")
        old = old.model_copy(update={"locked": ("b6", "f-1")})
        proposal = propose(context, old, e.Translate(language="de"))
        new = edited(old, proposal.edits, context.record)
        assert sorted({task(b) for b in server.requests}) == ["describe", "translate"]
    assert (new.language, new.title) == ("de", "HONEY")
    assert texts(new) == [
        "# HONEY",
        "FIRST THERE IS *NECTAR*. IT IS THIN.",
        "- GATHER [NECTAR](https://example.org/n)\n- CARRY IT HOME",
        old.body[3].text,
        "## IN THE JAR",
        old.body[5].text,
    ]
    first, locked = new.illustrations
    assert first.caption == "A JAR OF HONEY ON A KITCHEN TABLE"
    assert first.alt == "GOLDEN HONEY IN A GLASS JAR"
    assert locked == old.illustrations[1]
    assert "1 block is locked" in proposal.summary


def test_a_block_whose_form_is_lost_stays_as_it_is_and_is_told(bees: Path) -> None:
    def lossy(what: str, prompt: str) -> str:
        return "- one item of two" if "- gather" in prompt.rpartition("links.\n\n")[2] else "Fein."

    old = read_markdown(MIXED)
    with speaking(revising_answers(written=lossy)) as (context, server):
        proposal = propose(context, old, e.Translate(language="de"))
        new = edited(old, proposal.edits, context.record)
    assert new.body[2] == old.body[2]
    assert new.body[1].text == "Fein."
    assert "1 of 5 could not be translated" in proposal.summary
    assert len(server.requests) == 6, "each block once, the lost one twice"


def test_another_tone_is_for_paragraphs(bees: Path) -> None:
    old = read_markdown(MIXED)
    with speaking(revising_answers()) as (context, server):
        new = after(context, old, e.Restyle(instruction="merrily"))
        assert all("merrily" in text for text in server.texts)
    changed = [b.id for b, a in zip(old.body, new.body, strict=True) if a.text != b.text]
    assert changed == ["b2", "b3", "b6"]


def test_a_budget_that_ends_in_the_middle_keeps_what_was_done(bees: Path) -> None:
    old = read_markdown(ARTICLE)
    with speaking(revising_answers()) as (context, _):
        context.meter.budget = 1200
        proposal = propose(context, old, e.Restyle(instruction="merrily"))
        assert context.meter.total <= 1200
        assert 0 < len(proposal.edits) < len(old.paragraphs)
        assert "token budget" in proposal.summary
        context.meter.budget = context.meter.total
        with pytest.raises(BudgetReached):
            propose(context, old, e.Restyle(instruction="merrily"))


def test_a_server_that_refuses_ends_it(bees: Path) -> None:
    from scripted import Status

    with (
        speaking(revising_answers(written=lambda *_: Status(401, {"error": "no such key"}))) as (context, _),
        pytest.raises(ModelRefused, match="LIMNER_API_KEY"),
    ):
        propose(context, read_markdown(ARTICLE), e.Restyle(instruction="merrily"))


def test_text_is_written_anew_but_for_what_is_locked(bees: Path) -> None:
    old = read_markdown(ARTICLE).model_copy(update={"locked": ("b2", "b4")})
    with speaking(revising_answers()) as (context, _):
        new = after(context, old, e.Regenerate(what="text", seed=3))
    for before, now in zip(old.body, new.body, strict=True):
        free = before.kind == "paragraph" and before.id not in old.locked
        assert now.text == (before.text.upper() if free else before.text)


def test_images_are_chosen_anew_around_the_locked_ones_which_stand_nowhere_twice(bees: Path) -> None:
    with speaking(revising_answers()) as (context, _):
        old = illustrated(context, read_markdown(ARTICLE), "ship.png", "flower.png", "tax.png")
        old = old.model_copy(update={"locked": ("f-1",)})
        proposal = propose(context, old, e.Regenerate(what="images"))
        new = edited(old, proposal.edits, context.record)
    assert new.source == old.source
    assert next(i for i in new.illustrations if i.id == "f-1") == old.illustrations[1]
    ids = [i.image_id for i in new.illustrations]
    assert len(ids) == len(set(ids)) > 1
    assert not {CAPTIONS["ship.png"][0], CAPTIONS["tax.png"][0]} & {i.caption for i in new.illustrations}
    places = [i.after for i in new.illustrations]
    assert len(places) == len(set(places))


# --- whatever is said ----------------------------------------------------------------------------------------------


def test_make_the_introduction_shorter_and_put_a_picture_of_the_hive_before_the_honey(bees: Path) -> None:
    instruction = "make the introduction shorter and put a picture of the hive before the honey"
    made = [
        command("shorten", block=2),
        command("add_image", block=9, where="before", text="A wooden beehive in an orchard"),
    ]
    choose = article_answers(choose=lambda _, text: 1 + next(n for n in range(4) if f"({n + 1}) A wooden" in text))
    with speaking(revising_answers(made, otherwise=choose)) as (context, server):
        old = read_markdown(ARTICLE)
        assert old.body[8].text == "## On the table"
        proposal = propose(context, old, e.Instruct(text=instruction))
        new = edited(old, proposal.edits, context.record)
        shown = next(text for text in server.texts if instruction in text)
        form = next(b for b in server.requests if instruction in text_of(b))["response_format"]
    assert "[9] ## On the table" in shown
    assert form["json_schema"]["schema"]["properties"]["commands"]["maxItems"] > 1
    assert [edit.do for edit in proposal.edits] == ["set_text", "place_image"]
    assert new.body[1].text == old.body[1].text.upper()
    (image,) = new.illustrations
    assert (image.caption, image.after) == (CAPTIONS["hive.png"][0], old.body[7].id)
    assert proposal.spent > 0


def test_every_command_becomes_its_edit(bees: Path) -> None:
    made = [
        command("expand", block=2, text="say why"),
        command("write", block=1, text="bears"),
        command("delete", block=4),
        command("merge", block=6),
        command("move", block=10, where="before", text="1"),
        command("set_title", text="Honey for bears"),
        command("change_image", image=1, text="A jar of honey on a kitchen table"),
        command("describe_image", image=2, text="Seen by me"),
        command("move_image", image=2, block=9),
        command("remove_image", image=3),
    ]
    kinds = "set_text insert_text delete_block merge_blocks move_block set_title swap_image describe_image move_image"
    with speaking(revising_answers(made)) as (context, _):
        old = illustrated(context, read_markdown(ARTICLE), "ship.png", "flower.png", "tax.png")
        proposal = propose(context, old, e.Instruct(text="everything"))
        new = edited(old, proposal.edits, context.record)
    assert [edit.do for edit in proposal.edits] == [*kinds.split(), "remove_image"], proposal.summary
    assert new.title == "Honey for bears"
    assert new.body[0].id == "b10"
    captions = [i.caption for i in new.illustrations]
    assert len(captions) == 2
    assert "Seen by me" in captions


def test_a_tone_or_language_for_the_whole_comes_after_the_single_changes(bees: Path) -> None:
    made = [command("translate_all", text="de"), command("delete", block=2), command("restyle_all", text="merry")]
    old = read_markdown(MIXED)
    with speaking(revising_answers(made)) as (context, _):
        proposal = propose(context, old, e.Instruct(text="all in German"))
        new = edited(old, proposal.edits, context.record)
    assert proposal.edits[0].do == "delete_block"
    assert (new.language, new.title, len(new.body)) == ("de", "HONEY", 5)


def test_what_is_locked_or_not_there_is_left_out_and_told(bees: Path) -> None:
    made = [
        command("rewrite", block=2, text="louder"),
        command("delete", block=2),
        command("rewrite", block=77),
        command("remove_image", image=1),
        command("explode", block=3),
        command("delete", block=3),
    ]
    with speaking(revising_answers(made, cannot="No film can be added.")) as (context, server):
        old = illustrated(context, read_markdown(ARTICLE), "hive.png").model_copy(update={"locked": ("b2", "f-0")})
        proposal = propose(context, old, e.Instruct(text="all of this"))
        assert [task(b) for b in server.requests] == ["commands"], "nothing is written that would be thrown away"
    assert [edit.model_dump(exclude_none=True) for edit in proposal.edits] == [{"do": "delete_block", "block": "b3"}]
    for said in ("No film can be added.", "locked", "no block 77", "'explode'"):
        assert said in proposal.summary


def test_an_unreadable_answer_is_asked_for_once_more_then_given_up(bees: Path) -> None:
    answers = iter(["I would rather not.", json.dumps({"commands": [command("delete", block=2)], "cannot": ""})])
    old = read_markdown(ARTICLE)
    with speaking(lambda _: next(answers)) as (context, server):
        proposal = propose(context, old, e.Instruct(text="shorter"))
        assert len(server.requests) == 2
    assert [edit.do for edit in proposal.edits] == ["delete_block"]
    with speaking(lambda _: "I would rather not.") as (context, _), pytest.raises(UnreadableReply):
        propose(context, old, e.Instruct(text="shorter"))


def test_no_image_of_that_kind_is_told(bees: Path) -> None:
    made = [command("add_image", block=2, text="a submarine")]
    none = article_answers(choose=lambda *_: 0)
    with speaking(revising_answers(made, otherwise=none)) as (context, _):
        proposal = propose(context, read_markdown(ARTICLE), e.Instruct(text="a submarine, please"))
    assert proposal.edits == ()
    assert "no image of the library shows 'a submarine'" in proposal.summary


def test_a_chinese_article_is_asked_about_in_chinese(bees: Path) -> None:
    old = read_markdown("# 蜂蜜\n\n蜜蜂采集花蜜。\n", language="zh")
    with speaking(revising_answers(written=lambda *_: "蜜蜂辛勤地采集花蜜。")) as (context, server):
        new = after(context, old, e.Rewrite(block="b2", instruction="生动一些"))
        assert "要处理的是这一段" in server.texts[0]
        assert "生动一些" in server.texts[0]
    assert new.body[1].text == "蜜蜂辛勤地采集花蜜。"


COMMANDS = st.builds(
    command,
    st.sampled_from(["rewrite", "delete", "merge", "move", "write", "remove_image", "move_image", "describe_image"]),
    block=st.integers(-1, 12),
    image=st.integers(-1, 4),
    where=st.sampled_from(["before", "after", "beside"]),
    text=st.sampled_from(["", "1", "3", "99", "words"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(made=st.lists(COMMANDS, max_size=6), locked=st.sets(st.sampled_from(["b2", "b3", "b5", "f-0", "f-1"])))
def test_whatever_a_model_answers_what_is_locked_stays(bees: Path, made: Sequence[Any], locked: set[str]) -> None:
    with speaking(revising_answers(made)) as (context, _):
        old = illustrated(context, read_markdown(ARTICLE), "hive.png", "jar.png")
        old = old.model_copy(update={"locked": tuple(sorted(locked))})
        try:
            new = after(context, old, e.Instruct(text="whatever"))
        except UnreadableReply:
            return
    assert {b.id: b.text for b in old.body if b.id in locked}.items() <= {b.id: b.text for b in new.body}.items()
    assert [i for i in old.illustrations if i.id in locked] == [i for i in new.illustrations if i.id in locked]


# --- other models --------------------------------------------------------------------------------------------------


def test_a_small_model_refuses_in_one_line_that_helps(bees: Path) -> None:
    old = read_markdown(ARTICLE)
    instructions: list[e.Instruction] = [
        e.Instruct(text="shorter"),
        e.Restyle(instruction="merry"),
        e.Translate(language="de"),
        e.Rewrite(block="b2"),
        e.Regenerate(what="text"),
    ]
    with speaking(revising_answers(), "SmolLM2-135M-Instruct") as (context, server):
        for instruction in instructions:
            with pytest.raises(BadInput, match=r"too small to .*LIMNER_MODEL_URL"):
                propose(context, old, instruction)
        assert server.requests == []


def test_shortening_needs_no_model_and_says_so(bees: Path) -> None:
    text = (
        "Honey is made of nectar. Bees carry nectar home. My uncle drives a truck. In the hive nectar dries to honey."
    )
    old = read_markdown(f"# Honey\n\n{text}\n")
    with speaking(revising_answers(), "SmolLM2-135M-Instruct") as (context, server):
        proposal = propose(context, old, e.Rewrite(do="shorten", block="b2"))
        new = edited(old, proposal.edits, context.record)
        with pytest.raises(BadInput, match="no sentence can be left out"):
            propose(context, read_markdown("One sentence alone.\n"), e.Rewrite(do="shorten", block="b1"))
        assert server.requests == []
    assert "no model wrote anything" in proposal.summary
    kept = new.body[1].text
    assert "uncle" not in kept
    assert kept.startswith("Honey is made of nectar.")
    assert len(kept) < 0.7 * len(text)


def test_images_are_chosen_anew_with_a_small_model_too(bees: Path) -> None:
    with speaking(revising_answers(), "SmolLM2-135M-Instruct") as (context, server):
        old = illustrated(context, read_markdown(ARTICLE), "ship.png", "tax.png")
        new = after(context, old, e.Regenerate(what="images"))
        assert server.requests == []
    assert new.illustrations
    assert CAPTIONS["tax.png"][0] not in [i.caption for i in new.illustrations]


def test_xcomposer2_is_asked_in_its_trained_words(bees: Path) -> None:
    old = read_markdown(ARTICLE)
    first, second = old.body[1].plain, old.body[3].plain
    asked: list[tuple[e.Instruction, str]] = [
        (e.Rewrite(block="b2", instruction="merry"), f"改写以下段落：{first}\n基于以下素材：merry"),
        (e.Rewrite(do="expand", block="b2"), f"扩写以下段落：{first}\n基于以下素材："),
        (e.Rewrite(do="shorten", block="b2"), f"缩写以下段落：{first}"),
        (
            e.WriteParagraph(block="b4", where="after", instruction="wax"),
            f"在以下两段中插入一段。\n第一段：{second}\n第二段：{old.body[4].plain}\n插入段的大纲：wax",
        ),
    ]
    with speaking(lambda _: "A new one.[UNUSED_TOKEN_145]", "internlm-xcomposer2-vl-7b") as (context, server):
        for instruction, prompt in asked:
            (edit,) = propose(context, old, instruction).edits
            assert getattr(edit, "text", "") == "A new one."
            assert server.texts[-1].strip() == prompt.strip()
        with pytest.raises(BadInput, match="not trained to follow free instructions"):
            propose(context, old, e.Instruct(text="merry"))
    with (
        speaking(lambda _: "no", "internlm-xcomposer-7b") as (context, _),
        pytest.raises(BadInput, match="not trained"),
    ):
        propose(context, old, e.Rewrite(block="b2"))


# --- the graph, and from Python ------------------------------------------------------------------------------------


def test_the_graph_shows_the_edits_and_applies_what_is_accepted(bees: Path) -> None:
    old = read_markdown(ARTICLE)
    config: Any = {"configurable": {"thread_id": "1"}}
    with speaking(revising_answers([command("delete", block=2)])) as (context, server):
        graph = build_revise_graph(context, InMemorySaver())
        paused = graph.invoke({"article": old, "instruction": "shorter"}, config)
        question = paused["__interrupt__"][0].value
        assert question["action_request"]["action"] == "apply_edits"
        assert question["action_request"]["args"]["edits"] == [{"do": "delete_block", "block": "b2"}]
        done = graph.invoke(Command(resume=[{"type": "accept", "args": None}]), config)
        assert len(server.requests) == 1
    assert [b.id for b in done["article"].body] == [b.id for b in old.body if b.id != "b2"]


def test_the_graph_takes_other_edits_another_wish_or_none(bees: Path) -> None:
    old = read_markdown(ARTICLE)

    def made(instruction: str) -> list[dict[str, Any]]:
        return [command("delete", block=3 if "other" in instruction else 2)]

    with speaking(revising_answers(made)) as (context, _):
        graph = build_revise_graph(context, InMemorySaver())

        def answered(n: int, *answers: dict[str, Any]) -> dict[str, Any]:
            config: Any = {"configurable": {"thread_id": str(n)}}
            state = graph.invoke({"article": old, "instruction": {"do": "instruct", "text": "shorter"}}, config)
            for answer in answers:
                state = graph.invoke(Command(resume=answer), config)
            return state

        other = [{"do": "set_title", "title": "Mine"}]
        edit = {"type": "edit", "args": {"action": "apply_edits", "args": {"edits": other}}}
        assert answered(1, edit)["article"].title == "Mine"
        assert answered(2, {"type": "ignore"})["article"] == old
        said = answered(3, {"type": "response", "args": "the other one"}, {"type": "accept"})
        assert "b3" not in [b.id for b in said["article"].body]
        gone = [{"do": "delete_block", "block": "b77"}]
        again = answered(4, {"type": "edit", "args": {"args": {"edits": gone}}})
        assert "no block 'b77'" in again["__interrupt__"][0].value["description"]


def test_from_python_a_wish_is_fulfilled_at_once(bees: Path) -> None:
    old = read_markdown(ARTICLE)
    with speaking(revising_answers([command("delete", block=2)], cannot="No film.")) as (context, _):
        new = limner.revise(old, "shorter", library="bees", settings=context.settings)
    assert "b2" not in [b.id for b in new.body]
    assert new.notes == ("No film.",)
    assert to_markdown(new, {})


def test_a_wish_that_is_none_is_refused_in_one_line() -> None:
    for wrong in ({"do": "dance"}, {"do": "rewrite"}, "", {}):
        with pytest.raises(BadInput) as refused:
            read_instruction(wrong)
        assert "\n" not in str(refused.value)
