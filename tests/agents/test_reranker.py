"""A reranker as the selector: the forms of four servers, what fits, no order, faults, budget, and every way to it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import CAPTIONS
from scripted import ARTICLE, Dropped, ScriptedServer, Status, article_answers, by_words
from shell import Shell

import limner
from limner.agents.meter import Meter
from limner.agents.prompts import text_tokens
from limner.agents.reranker import QUERY, Reranker, query, select
from limner.agents.selector import DISAGREED, SURE
from limner.document import Candidate, Spot, read_markdown
from limner.errors import BadInput, BudgetReached, LimnerError, ModelRefused, ModelUnreachable
from limner.settings import Settings
from limner.workflows.context import build_context
from limner.workflows.models import connect_reranker

BEES = read_markdown(ARTICLE)
SPOT = Spot(id="s1", after=BEES.paragraphs[0].id, caption="A bee leaves the hive", search="worker bee leaves the hive")


def candidate(name: str, score: float = 0.5) -> Candidate:
    return Candidate(image_id=name, library="l", score=score, caption=f"picture {name}", width=64, height=64)


FOUR = [candidate(name) for name in ("ant", "bee", "cow", "dog")]


class Scores:
    """A client whose reranker knows the score of each document; others score 0."""

    def __init__(self, scores: dict[str, float], **reply: Any) -> None:
        self.scores, self.reply, self.bodies = scores, reply, list[dict[str, Any]]()

    def post(self, _path: str, *, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.bodies.append(body)
        found = [self.scores.get(d.removeprefix("picture "), 0.0) for d in body["documents"]]
        return {"results": [{"index": n, "relevance_score": s} for n, s in enumerate(found)][::-1], **self.reply}


def reranker(scores: dict[str, float], **reply: Any) -> Reranker:
    return Reranker(Scores(scores, **reply), "r")


def connected(server: ScriptedServer, **settings: Any) -> Reranker:
    return connect_reranker(Meter(), Settings(reranker_url=server.url, retries=0, **settings))


REPLIES = {  # the documented replies, to two documents of which the second fits
    "vllm": {
        "id": "rerank-1",
        "model": "m",
        "usage": {"prompt_tokens": 56, "total_tokens": 56},
        "results": [
            {"index": 1, "document": {"text": "b", "multi_modal": None}, "relevance_score": 0.99},
            {"index": 0, "document": {"text": "a", "multi_modal": None}, "relevance_score": 0.0003},
        ],
    },
    "llama.cpp": {
        "model": "m",
        "object": "list",
        "usage": {"prompt_tokens": 56, "total_tokens": 56},
        "results": [{"index": 0, "relevance_score": -8.2}, {"index": 1, "relevance_score": 5.6}],
    },
    "jina": {
        "model": "m",
        "object": "list",
        "usage": {"total_tokens": 56},
        "results": [{"index": 1, "relevance_score": 0.8}, {"index": 0, "relevance_score": 0.1}],
    },
    "cohere": {
        "id": "07734bd2",
        "results": [{"index": 1, "relevance_score": 0.8}, {"index": 0, "relevance_score": 0.1}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}, "tokens": {"input_tokens": 56}},
    },
}


@pytest.mark.parametrize("server", REPLIES)
def test_the_replies_of_four_servers_are_read_and_counted(server: str) -> None:
    with ScriptedServer(lambda _body: "", rerank=lambda _body: REPLIES[server]) as at:
        one = connected(at)
        low, high = one.scores("q", ["a", "b"])
        assert low < high
        assert at.reranked[0].body == {"model": "scripted-7b", "query": "q", "documents": ["a", "b"], "top_n": 2}
    usage = one.meter.roles["selector"]
    assert (usage.calls, usage.prompt, usage.completion, usage.estimated) == (1, 56, 0, False)


def test_tokens_that_nobody_counted_are_an_estimate() -> None:
    one = reranker({})
    one.scores("a query of some words", ["a document", "another"])
    assert one.meter.roles["selector"].estimated
    assert one.meter.roles["selector"].prompt > 5


@given(st.permutations(range(4)), st.lists(st.sampled_from([-9.5, -1.0, 0.2, 0.9, 4.0]), min_size=4, max_size=4))
def test_the_order_changes_nothing(order: list[int], scores: list[float]) -> None:
    known = dict(zip((c.image_id for c in FOUR), scores, strict=True))
    first = select(BEES, SPOT, FOUR, reranker(known), ["tax", "law"])
    other = SPOT.model_copy(update={"id": "s9"})  # another shuffle on the wire
    again = select(BEES, other, [FOUR[n] for n in order], reranker(known), ["law", "tax"])
    assert (again.choice, again.confidence) == (first.choice, first.confidence)


@given(st.floats(0.1, 20), st.floats(-50, 50), st.lists(st.floats(-5, 5), min_size=6, max_size=6, unique=True))
def test_the_scale_changes_nothing(scale: float, shift: float, scores: list[float]) -> None:
    names = [*(c.image_id for c in FOUR), "tax", "law"]
    ranked = [float(sorted(scores).index(s)) for s in scores]
    plain, other = (
        select(BEES, SPOT, FOUR, reranker(dict(zip(names, values, strict=True))), ["tax", "law"])
        for values in (ranked, [scale * s + shift for s in ranked])
    )
    assert plain.choice == other.choice


def test_the_best_is_chosen_if_it_beats_what_is_unrelated() -> None:
    made = select(BEES, SPOT, FOUR, reranker({"bee": 0.4, "cow": 0.3, "tax": 0.39}), ["tax"])
    assert (made.choice, made.by, made.confidence) == ("bee", "captions", SURE)
    assert json.loads(made.answers[0])["unrelated"] == 0.39
    assert sorted(made.shown[0]) == ["ant", "bee", "cow", "dog"]
    none = select(BEES, SPOT, FOUR, reranker({"bee": 0.4, "tax": 0.4}), ["tax"])
    assert (none.choice, none.by) == (None, "captions")
    strict = reranker({"bee": 0.4})
    strict.least = 0.5
    assert select(BEES, SPOT, FOUR, strict, ["tax"]).choice is None


def test_equal_scores_go_by_retrieval_and_weigh_less() -> None:
    two = [candidate("ant", 0.2), candidate("bee", 0.7)]
    made = select(BEES, SPOT, two, reranker({"ant": 1, "bee": 1}), ["tax"])
    assert (made.choice, made.confidence) == ("bee", DISAGREED)


def test_scores_that_are_no_numbers_leave_it_to_similarity() -> None:
    made = select(BEES, SPOT, FOUR, reranker({"bee": math.nan}), ["tax"])
    assert (made.choice, made.by, made.fallback.code) == (None, "similarity", "reranker-unread")


def test_the_query_names_the_place_once_and_is_short() -> None:
    said = query(BEES, SPOT)
    assert said.startswith("A bee leaves the hive\nA worker bee leaves the hive at first light")
    caption = BEES.paragraphs[0].plain
    alone = SPOT.model_copy(update={"caption": caption[:40], "search": caption})
    assert query(BEES, alone).count(caption[:40]) == 1
    for caption in ("bee " * 2000, "蜂" * 2000):
        assert 100 < text_tokens(query(BEES, SPOT.model_copy(update={"caption": caption}))) <= QUERY


# --- faults --------------------------------------------------------------------------------------------------------

WRONG = {
    "a document twice": {"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 2}]},
    "one is missing": {"results": [{"index": 0, "relevance_score": 1}]},
    "no scores": {"results": [{"index": 0}, {"index": 1}]},
    "another API": {"data": [{"embedding": [0.1]}]},
}


@pytest.mark.parametrize("case", WRONG)
def test_another_shape_is_one_line_that_names_the_variable(case: str) -> None:
    with (
        ScriptedServer(lambda _body: "", rerank=lambda _body: WRONG[case]) as server,
        pytest.raises(ModelRefused, match=r"not a reranking.*LIMNER_RERANKER_URL") as error,
    ):
        connected(server).scores("q", ["a", "b"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Status(200, "<html>hello</html>"), "not a reranking"),
        (Status(404, {"error": {"message": "no such model"}}), "LIMNER_RERANKER_MODEL"),
        (Status(401, {"error": {"message": "key"}}), "LIMNER_API_KEY"),
        (Status(501, {"error": {"message": "This server does not support reranking."}}), "does not support reranking"),
    ],
)
def test_refusals_are_told_as_those_of_a_chat_model(reply: Status, says: str) -> None:
    with (
        ScriptedServer(lambda _body: "", rerank=lambda _body: reply) as server,
        pytest.raises(ModelRefused, match=says),
    ):
        connected(server).scores("q", ["a", "b"])


def test_a_failed_call_is_repeated_once() -> None:
    replies: list[Any] = [Status(503, {"error": {"message": "busy"}}, {"Retry-After": "0"}), REPLIES["vllm"]]
    with ScriptedServer(lambda _body: "", rerank=lambda _body: replies.pop(0)) as server:
        one = connect_reranker(Meter(), Settings(reranker_url=server.url))
        assert len(one.scores("q", ["a", "b"])) == 2
        assert len(server.reranked) == 2
    with ScriptedServer(lambda _body: "", rerank=lambda _body: Status(503, {}, {"Retry-After": "0"})) as server:
        with pytest.raises(ModelRefused):
            connect_reranker(Meter(), Settings(reranker_url=server.url)).scores("q", ["a", "b"])
        assert len(server.reranked) == 2


def test_a_server_that_is_away_or_breaks_off_is_one_line() -> None:
    away = Settings(reranker_url="http://127.0.0.1:9/v1", reranker_model="r", retries=0)
    with pytest.raises(ModelUnreachable, match=r"No reranker answers at http://127\.0\.0\.1:9/v1.*LIMNER_RERANKER_URL"):
        connect_reranker(Meter(), away).scores("q", ["a"])
    with ScriptedServer(lambda _body: "", rerank=lambda _body: Dropped()) as server, pytest.raises(LimnerError):
        connected(server).scores("q", ["a", "b"])
    with pytest.raises(BadInput, match="LIMNER_RERANKER_URL"):
        connect_reranker(Meter(), Settings(reranker_url="gpu:8001"))


def test_a_budget_is_kept_before_the_call() -> None:
    one = reranker({})
    one.meter = Meter(budget=10)
    with pytest.raises(BudgetReached):
        one.scores("q " * 50, ["a " * 50])
    assert one.client.bodies == []


# --- every way to it -----------------------------------------------------------------------------------------------


def test_it_selects_in_compose_while_the_chat_model_writes(bees: Path) -> None:
    with ScriptedServer(article_answers(spots=[1, 3]), rerank=by_words) as server:
        settings = Settings(model_url=server.url, reranker_url=server.url, reranker_model="ranker")
        article = limner.compose("Bees", library="bees", images=2, settings=settings)
    assert len(server.reranked) == len(article.selections) == 2
    assert {s.by for s in article.selections} == {"captions"}
    assert article.made_with["models"]["selector"] == "ranker"
    assert article.made_with["tokens"]["selector"]["calls"] == 2
    assert not any("does not see" in n for n in article.notes)


def test_it_selects_in_illustrate_and_a_chat_model_of_the_caller_comes_first(bees: Path) -> None:
    with ScriptedServer(article_answers(spots=[1, 3]), rerank=by_words) as server:
        settings = Settings(model_url=server.url, reranker_url=server.url)
        article = limner.illustrate(ARTICLE, library="bees", images=1, settings=settings)
        assert any(s.by == "captions" for s in article.selections)
        assert server.reranked
        context = build_context(settings, library="bees")
        assert context.reranks
        context.models["selector"] = context.speaker("writer").model
        assert not context.reranks


def test_doctor_tries_it(shell: Shell, bees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def doctor(rerank: Any) -> str:
        with ScriptedServer(lambda _body: "white", rerank=rerank) as server:
            monkeypatch.setenv("LIMNER_MODEL_URL", server.url)
            monkeypatch.setenv("LIMNER_VISION", "false")
            monkeypatch.setenv("LIMNER_RERANKER_URL", server.url)
            return next(line for line in shell("doctor").out.splitlines() if " reranker " in line)

    def knows(body: dict[str, Any]) -> dict[str, Any]:
        return {
            "results": [{"index": n, "relevance_score": float("bee" in d)} for n, d in enumerate(body["documents"])]
        }

    assert re.match(r"ok .*tells a bee from a tax return", doctor(knows))
    same = {"results": [{"index": 0, "relevance_score": 1}, {"index": 1, "relevance_score": 1}]}
    assert re.match(r"FAIL .*cannot tell a bee from a tax return", doctor(lambda _body: same))
    assert re.match(r"FAIL .*LIMNER_RERANKER_URL", doctor(None))


def test_captions_decide(bees: Path) -> None:
    """Each picture is asked for by its caption's words, and chosen."""
    with ScriptedServer(lambda _body: "", rerank=by_words) as server:
        context = build_context(Settings(reranker_url=server.url), library="bees")
        (library,) = context.libraries
        found = {r.caption: r.id for r in library.records()}
        for caption, _alt in CAPTIONS.values():
            spot = SPOT.model_copy(update={"caption": caption, "search": caption})
            brief = limner.Brief(text="Bees")
            selected = context.select(BEES, spot, context.retrieve([spot], brief)[spot.id], (), brief)
            assert selected.choice == found[caption]
