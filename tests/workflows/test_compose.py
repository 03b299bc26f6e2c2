"""The main road, through the real graph, library and client; only the model's words are scripted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from pictures import BUDGET, LONG
from scripted import ScriptedChatModel, ScriptedServer, Status, article_answers, asking

import limner
from limner.document import Article
from limner.errors import BudgetReached, ModelRefused
from limner.exports import to_markdown, without_figures
from limner.settings import Settings
from limner.workflows.context import build_context
from limner.workflows.inputs import draft_state, make_brief
from limner.workflows.roles import models_for
from limner.workflows.run import checkpoints, job_state, run


def settings_for(server: ScriptedServer, **more: object) -> Settings:
    return Settings(model_url=server.url, model="scripted-7b", retries=0, timeout=10, **more)  # type: ignore[arg-type]


def named(article: Article) -> list[str]:
    return [i.caption for i in article.illustrations]


def roles(server: ScriptedServer) -> list[str]:
    return [asking(body) for body in server.requests]


def test_an_article_is_written_and_illustrated(bees: Path) -> None:
    with ScriptedServer(article_answers(sees=True)) as server:
        heard: list[str] = []
        article = limner.compose(
            "How bees make honey",
            library="bees",
            images=3,
            settings=settings_for(server),
            on_event=lambda event: heard.append(event.get("text", "")),
        )
    assert "".join(heard).startswith("# How Bees Make Honey")
    assert article.title == "How Bees Make Honey"
    assert len(article.illustrations) == 3
    assert len({i.image_id for i in article.illustrations}) == 3, "no image twice"
    assert len({i.after for i in article.illustrations}) == 3, "at least a paragraph between images"
    assert all(i.credit.startswith("Photo") and i.licence == "CC0" and i.alt for i in article.illustrations)
    assert [r for r in roles(server) if r != "probe"][:2] == ["writer", "spotter"]


def test_the_record_tells_how_each_choice_was_made(bees: Path) -> None:
    with ScriptedServer(article_answers(sees=True)) as server:
        article = limner.compose("Bees", library="bees", images=2, settings=settings_for(server))
    assert article.selections
    for selection in article.selections:
        assert selection.by == "pixels"
        assert json.loads(selection.answers[0])["image"] == 1
        assert selection.choice == selection.shown[0][0], "the first as shown is what the model named"
        assert selection.candidates[0].scores["caption"] >= -1
        assert selection.why
    placed = {s.spot.after: s.placed for s in article.selections if s.placed}
    assert placed == {i.after: i.image_id for i in article.illustrations}
    assert article.made_with["tokens"]["selector"]["calls"] >= len(article.selections)


def test_nothing_fits_is_an_answer(bees: Path) -> None:
    with ScriptedServer(article_answers(choose=lambda *_: 0)) as server:
        article = limner.compose("Bees", library="bees", images=3, settings=settings_for(server, vision=False))
    assert article.illustrations == ()
    assert all(s.choice is None and s.by == "captions" for s in article.selections)


def test_a_blind_model_judges_captions_and_the_article_says_so(bees: Path) -> None:
    with ScriptedServer(article_answers(sees=False)) as server:
        article = limner.compose("Bees", library="bees", images=2, settings=settings_for(server))
    assert {s.by for s in article.selections} == {"captions"}
    assert [n for n in article.notes if "does not see images" in n and "LIMNER_SELECTOR_MODEL" in n]


def test_more_images_than_the_text_has_room_for(bees: Path) -> None:
    with ScriptedServer(article_answers()) as server:
        article = limner.compose("Bees", library="bees", images=50, settings=settings_for(server, vision=False))
    assert 0 < len(article.illustrations) <= len(article.paragraphs)
    assert [n for n in article.notes if "50" in n], article.notes


def test_no_images_when_none_are_wanted(bees: Path) -> None:
    with ScriptedServer(article_answers()) as server:
        article = limner.compose("Bees", library="bees", images=0, settings=settings_for(server))
    assert article.illustrations == ()
    assert roles(server) == ["writer"]


def test_a_selector_that_answers_nonsense_is_replaced_and_named(bees: Path) -> None:
    usual = article_answers()
    with ScriptedServer(lambda b: "the 7th image" if asking(b) == "selector" else usual(b)) as server:
        article = limner.compose("Bees", library="bees", images=2, settings=settings_for(server, vision=False))
    assert {s.by for s in article.selections} == {"similarity"}
    assert all("the 7th image" in s.answers and s.fallback for s in article.selections)
    assert [n for n in article.notes if "could not be read twice" in n]
    assert len(article.illustrations) == 2


def test_a_spotter_that_answers_nonsense_is_replaced_and_named(bees: Path) -> None:
    usual = article_answers()
    with ScriptedServer(lambda b: "no idea" if asking(b) == "spotter" else usual(b)) as server:
        article = limner.compose("Bees", library="bees", images=2, settings=settings_for(server, vision=False))
    assert [n for n in article.notes if "spotter" in n]
    assert len(article.illustrations) == 2


def test_any_langchain_chat_model_will_do(bees: Path) -> None:
    spots = [{"paragraph": 1, "caption": "a honeybee on a flower", "search": "a honeybee on a flower", "strength": 5}]
    model = ScriptedChatModel(
        lines=["# Bees\n\nBees visit flowers.\n", json.dumps({"spots": spots}), '{"image": 1, "sure": true}']
    )
    article = limner.compose("Bees", library="bees", images=1, model=model, settings=Settings(vision=False))
    assert article.title == "Bees"
    assert len(article.illustrations) == 1


def test_reference_images_are_used(bees: Path) -> None:
    with ScriptedServer(article_answers()) as server:
        article = limner.compose(
            "Bees",
            library="bees",
            images=2,
            references=[bees / "ship.png"],
            settings=settings_for(server, dialect="instruct", vision=False),
        )
    names = {s.image_id for s in article.illustrations}
    from limner.tools.library import image_identity

    candidates = {c.image_id for s in article.selections for c in s.candidates}
    assert image_identity((bees / "ship.png").read_bytes()) in candidates | names


# --- resume --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["writer", "spotter", "selector"])
def test_a_stopped_job_goes_on_and_repeats_no_finished_step(bees: Path, home: Path, broken: str) -> None:
    """The server fails once at each role in turn; going on asks for what was not finished, and for nothing else."""
    usual, failed = article_answers(), []

    def flaky(body: dict) -> object:
        role = asking(body)
        count = sum(asking(b) == role for b in server.requests)
        if role == broken and not failed and (role != "selector" or count == 3):
            failed.append(role)
            return Status(500, {"error": {"message": "out of memory"}})
        return usual(body)

    with ScriptedServer(flaky) as server, checkpoints(home) as saver:  # type: ignore[arg-type]
        settings = settings_for(server, vision=False)
        start = {"brief": make_brief("Bees", images=2)}
        with pytest.raises(ModelRefused, match="500"):
            run(build_context(settings, library="bees"), start, checkpointer=saver, job="bees-1")
        before = roles(server)
        article = run(build_context(settings, library="bees"), None, checkpointer=saver, job="bees-1")
        after = roles(server)[len(before) :]
    assert len(article.illustrations) == 2
    everything = before[:-1] + after  # without the call that failed
    spots = len(article.selections)
    assert everything == ["writer", "spotter"] + ["selector"] * spots


def test_a_budget_stops_before_the_next_call_and_keeps_the_text(bees: Path, home: Path) -> None:
    with ScriptedServer(article_answers(article=LONG)) as server, checkpoints(home) as saver:
        settings = settings_for(server, vision=False)
        context = build_context(settings, library="bees", max_tokens=BUDGET)
        with pytest.raises(BudgetReached, match="--max-tokens"):
            run(context, {"brief": make_brief("Bees", images=6)}, checkpointer=saver, job="bees-2")
        assert context.meter.total <= BUDGET
        assert "selector" in roles(server)
        assert job_state(saver, "bees-2")["article"].paragraphs


# --- illustrate ----------------------------------------------------------------------------------------------------

DRAFT = "# Bees\r\n\r\nA bee visits a flower.  \r\n\r\n- honey\r\n- wax\r\n---\r\n\r\nThe beekeeper lifts a frame."


def test_a_draft_keeps_every_byte(bees: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    draft.write_bytes(b"\xef\xbb\xbf" + DRAFT.encode())  # with a byte order mark, as Windows has it
    with ScriptedServer(article_answers()) as server:
        article = limner.illustrate(draft, library="bees", images=2, settings=settings_for(server, vision=False))
    assert len(article.illustrations) == 2
    assert article.source.encode() == draft.read_bytes()
    limner.export(article, tmp_path / "out", settings=Settings())
    written = (tmp_path / "out" / "article.md").read_bytes().decode()
    files = {i.image_id: i.file for i in json_article(tmp_path / "out").illustrations}
    assert without_figures(written, article, files).encode() == draft.read_bytes()
    assert all(role != "writer" for role in roles(server))


def json_article(folder: Path) -> Article:
    from limner.exports import read_json

    return read_json(folder / "article.json")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(st.lists(st.text(alphabet="ab c*#->_`[]()!\\\n\r\t1.", min_size=1, max_size=40), min_size=1, max_size=8))
def test_taking_the_figures_out_gives_the_draft_back(bees: Path, parts: list[str]) -> None:
    draft = "\n\n".join(parts) + "\n\nThe beekeeper lifts a frame of honeycomb."
    context = build_context(Settings(dialect="small"), library="bees", models=models_for(_silent(), None))
    article = run(context, draft_state(draft, images=2))
    files = {i.image_id: f"images/{i.image_id}.png" for i in article.illustrations}
    assert article.illustrations
    assert without_figures(to_markdown(article, files), article, files) == draft


def _silent() -> ScriptedChatModel:
    return ScriptedChatModel(lines=[])


# --- as a part of other programs -----------------------------------------------------------------------------------


def test_the_graph_runs_inside_another_one(bees: Path) -> None:
    from typing import TypedDict

    from langgraph.graph import END, START, StateGraph

    class Chat(TypedDict, total=False):
        question: str
        title: str
        pictures: int

    with ScriptedServer(article_answers()) as server:
        graph = limner.build_graph(library="bees", settings=settings_for(server, vision=False))

        def answer(state: Chat) -> Chat:
            made = graph.invoke({"brief": limner.Brief(text=state["question"], images=2)})  # type: ignore[arg-type]
            return {"title": made["article"].title, "pictures": len(made["article"].illustrations)}

        bot = StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer").add_edge("answer", END)
        compiled = bot.compile(checkpointer=InMemorySaver())
        said = compiled.invoke({"question": "Bees?"}, {"configurable": {"thread_id": "t"}})
    assert (said["title"], said["pictures"]) == ("How Bees Make Honey", 2)
