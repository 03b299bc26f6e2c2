"""One job and what may come of it: the real graph, library, ledger and HTTP; the model's words are scripted."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypedDict

import pytest
from house import House, built
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from PIL import Image
from scripted import ARTICLE, Answer, Delayed, Status, asking
from servers import until
from tiny_siglip import make_siglip

from limner.agents.meter import Usage
from limner.document import Article
from limner.errors import BadInput, JobConflict
from limner.jobs.ledger import Job
from limner.jobs.owners import Owner, Owners
from limner.jobs.progress import progress
from limner.jobs.request import JobRequest
from limner.jobs.uploads import keep
from limner.jobs.worker.keeper import _Text
from limner.jobs.worker.runner import Runner
from limner.settings import Settings
from limner.tools.library import index
from limner.workflows.context import Context


@pytest.fixture
def house(bees: Path, home: Path) -> Iterator[House]:
    with built(home) as made:
        yield made


def first_then(first: Answer, role: str, then: Callable[[dict[str, Any]], Answer]) -> Callable[[Any], Answer]:
    """The first prompt of a role is answered like this, all others as usual."""
    said: list[str] = []

    def answer(body: dict[str, Any]) -> Answer:
        if asking(body) == role and role not in said:
            said.append(role)
            return first
        return then(body)

    return answer


# --- as it should be -----------------------------------------------------------------------------------------------


def test_a_job_from_its_brief_to_its_article(house: House) -> None:
    job = house.submit()
    assert house.runner().work(job.id)
    found, article = house.ledger.job(job.id), house.ledger.article(job.id)
    assert (found.state, found.attempt, found.error) == ("done", 1, "")
    assert article is not None
    assert len(article.illustrations) == 2
    assert house.ledger.text(job.id) == ARTICLE
    steps = [e.step for e in house.ledger.events(job.id) if e.kind == "step"]
    assert list(dict.fromkeys(steps)) == ["write", "spot", "retrieve", "select", "arrange", "check"]
    told = sum(u.total for u in house.ledger.usage(job.id).values())
    billed = sum(a.usage["total_tokens"] for a in house.server.log if a.usage)
    assert found.spent == told == billed
    assert article.made_with["tokens"]["writer"]["calls"] == 1


def test_watchers_see_what_the_article_keeps(house: House) -> None:
    """Half a sentence, where the answer was cut off, is not part of it; who watched is told the text anew, once."""
    good = house.answers

    def cut_off(body: dict[str, Any]) -> Answer:
        answer = good(body)
        return f"{answer}\n\nIn winter the bees, who" if asking(body) == "writer" else answer

    house.answers = cut_off
    job = house.submit()
    assert house.runner().work(job.id)
    article = house.ledger.article(job.id)
    assert article is not None
    assert "who" not in article.source.split()[-1]
    assert house.ledger.text(job.id) == article.source
    assert [e.data["text"] for e in house.ledger.events(job.id) if e.kind == "again"] == [article.source]


def test_a_draft_is_illustrated_and_stays_as_it_is(house: House) -> None:
    job = house.submit(brief=None, draft=ARTICLE)
    house.runner().work(job.id)
    article = house.ledger.article(job.id)
    assert article is not None
    assert article.source == ARTICLE
    assert "writer" not in house.asked()


def test_images_that_were_handed_in_are_shown_to_the_writer_and_used(house: House) -> None:
    context, owner = Context(house.runner().settings, []), Owner("local")
    ids = []
    for colour, caption in (("navy", "A swarm of bees in a chimney"), ("olive", "A honey extractor in a cellar")):
        picture = BytesIO()
        Image.new("RGB", (300, 200), colour).save(picture, "PNG")
        ids.append(keep(context, owner, picture.getvalue(), f"{colour}.png", caption)[1].id)
    job = house.submit(references=ids[:1])
    assert house.runner().work(job.id)
    article = house.ledger.article(job.id)
    assert article is not None, house.ledger.job(job.id).error
    written = next(body for body in house.server.requests if asking(body) == "writer")
    assert "A swarm of bees in a chimney" in json.dumps(written)
    assert "data:image/" in json.dumps(written), "a writer that sees looks at it"
    found = {c.image_id for s in article.selections for c in s.candidates}
    assert ids[0] in found
    assert ids[1] not in found, "uploaded at another time for another article"
    assert ids[0] in {i.image_id for i in article.illustrations}
    assert {"bees", owner.own_library} == {c.library for s in article.selections for c in s.candidates}


def test_a_reference_that_is_gone_by_then_is_a_plain_failure(house: House) -> None:
    job = house.submit(references=["0" * 32])
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "failed"
    assert "library" in found.error


def test_what_does_not_change_is_kept_between_jobs(house: House) -> None:
    runner = house.runner()
    probes = []
    for _ in range(2):
        runner.work(house.submit().id)
        probes.append([asking(body) for body in house.server.requests].count("probe"))
    assert probes[0] == probes[1] > 0, "whether the model sees is tried for the first job alone"
    assert house.server.listed == 0, "the model has a name: its server's list is not asked for"


def test_a_job_goes_on_with_a_library_that_gets_another_encoder(house: House, bees: Path, tmp_path: Path) -> None:
    runner, good = house.runner(), house.answers

    def switch(seed: int) -> None:
        encoders = Context(runner.settings, []).encoders
        index(house.home, "bees", [bees], encoders, encoder=str(make_siglip(tmp_path / f"tiny-{seed}", seed=seed)))

    def in_the_middle(body: dict[str, Any]) -> Answer:
        if asking(body) == "spotter":
            house.answers = good
            switch(2)
        return good(body)

    before, after, midst = house.submit(), house.submit(), house.submit()
    assert runner.work(before.id)
    switch(1)
    assert runner.work(after.id)
    house.answers = in_the_middle
    assert runner.work(midst.id)
    assert [house.ledger.job(job.id).state for job in (before, after, midst)] == ["done", "done", "done"]
    article = house.ledger.article(midst.id)
    assert article is not None
    assert len(article.illustrations) == 2


def test_only_what_is_queued_is_worked_on(house: House) -> None:
    job = house.submit()
    assert house.runner().work(job.id)
    assert not house.runner().work(job.id)
    assert not house.runner().work("unknown")


# --- what is not there now -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Status(500, {"error": "boom"}), "answered 500"),
        (Status(429, {"error": "slow down"}), "overloaded"),
        (Status(200, "<html>garbage</html>"), "not a chat completion"),
    ],
)
def test_a_server_s_bad_hour_parks_the_job_and_costs_no_finished_step(house: House, fault: Answer, why: str) -> None:
    house.answers = first_then(fault, "selector", house.answers)
    job = house.submit()
    runner = house.runner()
    runner.work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "parked"
    assert why in found.error
    asked = house.asked()
    house.due(job)
    runner.work(job.id)
    assert house.ledger.job(job.id).state == "done"
    assert house.asked()[: len(asked)] == asked
    again = house.asked()[len(asked) :]
    assert set(again) == {"selector", "checker"}, "writing and spotting were paid for"
    assert house.kinds(job) == ["queued", "started", "parked", "due", "started", "done"]


def test_nobody_there_parks_and_at_last_fails(house: House) -> None:
    runner = house.runner(settings={"model_url": "http://127.0.0.1:1/v1", "tries": 1})
    job = house.submit()
    runner.work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "failed"
    assert "Nothing answers at http://127.0.0.1:1/v1" in found.error


def test_an_answer_nobody_can_read_is_asked_for_anew_the_next_time(house: House) -> None:
    good, bad = house.answers, iter(["", ""])  # the writer asks once more by itself
    house.answers = lambda body: next(bad, good(body)) if asking(body) == "writer" else good(body)
    job = house.submit()
    runner = house.runner()
    runner.work(job.id)
    assert house.ledger.job(job.id).state == "parked"
    assert "could not be read" in house.ledger.job(job.id).error
    house.due(job)
    runner.work(job.id)
    assert house.ledger.job(job.id).state == "done"
    assert house.ledger.text(job.id) == ARTICLE


# --- what cannot be ------------------------------------------------------------------------------------------------


def test_a_wrong_key_fails_the_job_and_retry_goes_on(house: House) -> None:
    good = house.answers
    house.answers = lambda body: Status(401, {"error": "no such key"}) if asking(body) == "spotter" else good(body)
    job = house.submit()
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "failed"
    assert "Set LIMNER_API_KEY" in found.error
    house.answers = good
    house.ledger.retry(job.id)
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "done"
    assert house.asked().count("writer") == 1


def test_a_library_that_was_removed_meanwhile(house: House) -> None:
    job = house.submit(library=["gone"])
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "failed"
    assert "gone" in house.ledger.job(job.id).error


def test_the_owner_s_day_is_used_up_in_the_middle(house: House) -> None:
    owners = Owners(house.ledger.database, Settings())
    owners.add_token("anna", libraries=["bees"])
    job = house.submit("anna")
    owners.limit("anna", tokens_a_day=9000)
    house.answers = spending(house, Usage(1, 9000, 0), house.answers)
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "parked"
    assert "reached today's limit" in found.error
    assert found.not_before is not None
    assert found.not_before % 86_400 == 0, "until midnight"
    assert house.asked() == ["writer"]
    owners.limit("anna", tokens_a_day=0)
    house.ledger.retry(job.id)
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "done"
    assert house.asked().count("writer") == 1


def spending(
    house: House, spent: Usage, good: Callable[[dict[str, Any]], Answer]
) -> Callable[[dict[str, Any]], Answer]:
    """While the writer writes, another job of anna's spends what her day allows."""

    def answer(body: dict[str, Any]) -> Answer:
        if asking(body) == "writer" and house.asked().count("writer") == 1:
            other = house.ledger.take(house.submit("anna").id, "elsewhere")
            assert other
            house.ledger.keep(other, "write", "writer", "d", "words", spent, 1)
        return good(body)

    return answer


def test_an_order_without_a_limit_of_money_reads_as_an_older_limner_s() -> None:
    """A worker that is not updated yet knows no such field, and an idempotency key covers the same body as before."""
    assert "max_cost" not in JobRequest(brief="Bees").order().request
    assert JobRequest(brief="Bees", max_cost=2).order().request["max_cost"] == 2


def test_a_job_s_money_is_counted_and_limited(house: House) -> None:
    (house.home / "prices.toml").write_text('["scripted-7b"]\ninput = 100\noutput = 1000\n')
    free, poor = house.submit(), house.submit(max_cost=0.5)
    for job in (free, poor):
        house.runner().work(job.id)
    found = house.ledger.job(free.id)
    told = sum(a.usage["prompt_tokens"] / 1e4 + a.usage["completion_tokens"] / 1e3 for a in house.server.log if a.usage)
    assert found.state == "done"
    assert found.cost == pytest.approx(sum(u.cost for u in house.ledger.usage(free.id).values()))
    assert found.cost + house.ledger.job(poor.id).cost == pytest.approx(told)
    assert f"${found.cost:.2f}" in progress(found, 60)
    assert house.ledger.job(poor.id).state == "failed"
    assert "limit of $0.50" in house.ledger.job(poor.id).error


def test_a_job_that_met_its_limit_goes_on_within_a_larger_one(house: House) -> None:
    (house.home / "prices.toml").write_text('["scripted-7b"]\ninput = 100\noutput = 1000\n')
    job = house.submit(max_cost=0.5, max_tokens=1_000_000)
    house.runner().work(job.id)
    stopped = house.ledger.job(job.id)
    assert stopped.state == "failed"
    for limits in ({"max_cost": stopped.cost}, {"max_tokens": stopped.spent}):
        with pytest.raises(BadInput, match="already spent"):
            house.ledger.retry(job.id, **limits)
    assert house.ledger.job(job.id).state == "failed"
    house.ledger.retry(job.id, max_cost=1000)
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert (found.state, house.ledger.request(job.id)["max_tokens"]) == ("done", 1_000_000)
    assert found.cost > 0.5


def test_the_owner_s_dollars_of_the_day_are_used_up_in_the_middle(house: House) -> None:
    (house.home / "prices.toml").write_text('["scripted-7b"]\ninput = 100\noutput = 1000\n')
    owners = Owners(house.ledger.database, Settings())
    owners.add_token("anna", libraries=["bees"])
    owners.limit("anna", dollars_a_day=10)
    poor, job = house.submit("anna", max_cost=0.1), house.submit("anna")
    house.runner().work(poor.id)
    assert house.ledger.job(poor.id).state == "failed", "its own limit is lower: no new day helps"
    house.answers = spending(house, Usage(1, 0, 0, cost=10), house.answers)
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert (found.state, found.why.code) == ("parked", "spent-stops")
    assert house.asked() == ["writer"]
    assert found.not_before is not None
    assert found.not_before % 86_400 == 0, "until midnight"
    owners.limit("anna", dollars_a_day=1000)
    house.ledger.retry(job.id)
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "done"


def test_a_job_that_met_its_own_limit_fails_though_its_owner_has_one(house: House) -> None:
    """It was parked until midnight, and met its own limit again then."""
    owners = Owners(house.ledger.database, Settings())
    owners.add_token("anna", libraries=["bees"])
    owners.limit("anna", tokens_a_day=1_000_000, dollars_a_day=1000)
    (house.home / "prices.toml").write_text('["scripted-7b"]\ninput = 1\noutput = 1\n')
    job = house.submit("anna", max_tokens=100)
    house.runner().work(job.id)
    assert (house.ledger.job(job.id).state, house.ledger.job(job.id).why.code) == ("failed", "token-budget")


def test_a_limit_of_dollars_refuses_a_model_whose_price_nobody_knows(house: House) -> None:
    owners = Owners(house.ledger.database, Settings())
    owners.add_token("anna", libraries=["bees"])
    owners.limit("anna", dollars_a_day=5)
    job = house.submit("anna")
    house.runner().work(job.id)
    assert (house.ledger.job(job.id).state, house.ledger.job(job.id).why.code) == ("failed", "no-price")
    assert house.asked() == []


def test_what_nobody_foresaw_is_tried_three_times_then_set_aside(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from limner.workflows.context import Context

    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Context, "retrieve", broken)
    job = house.submit()
    runner = house.runner()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert runner.work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "set_aside"
    assert "RuntimeError: a bug of ours" in found.error
    assert "Traceback" in caplog.text
    assert house.asked() == ["writer", "spotter"]


def test_a_statement_that_the_database_refuses_is_in_the_log_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: Any) -> Any:
        with house.ledger.database.write() as c:
            c.exec_driver_sql("INSERT INTO jobs (id) VALUES ('a secret of ours')")

    monkeypatch.setattr(Context, "retrieve", refused)
    job = house.submit()
    with caplog.at_level(logging.ERROR):
        house.runner().work(job.id)
    told = house.ledger.job(job.id).model_dump_json() + "".join(
        event.model_dump_json() for event in house.ledger.events(job.id)
    )
    assert "the job database refused what was to be stored" in told
    assert "INSERT" not in told
    assert "secret" not in told
    assert "a secret of ours" in caplog.text


# --- people --------------------------------------------------------------------------------------------------------


@contextmanager
def working(runner: Runner, job: Job) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=runner.work, args=[job.id])
    thread.start()
    yield thread
    thread.join(60)
    assert not thread.is_alive()


def slowly(good: Callable[[dict[str, Any]], Answer]) -> Callable[[dict[str, Any]], Answer]:
    """The writer takes a while, in many pieces."""

    def answer(body: dict[str, Any]) -> Answer:
        said = good(body)
        return Delayed(said, 20, pieces=200) if asking(body) == "writer" and isinstance(said, str) else said

    return answer


def test_text_is_told_while_it_is_written_and_cancelling_ends_it_in_the_middle(house: House) -> None:
    house.answers = slowly(house.answers)
    job = house.submit()
    with working(house.runner(), job):
        until(lambda: len(house.ledger.text(job.id)) > 20, "text to be told")
        house.ledger.cancel(job.id)
        until(house.server.hung_up.is_set, "the model server to be left alone")
    found = house.ledger.job(job.id)
    assert found.state == "cancelled"
    assert len(house.ledger.text(job.id)) < len(ARTICLE)
    assert found.spent > 0, "what was said was paid for"
    assert house.kinds(job)[-1] == "cancelled"


def test_a_job_deleted_in_the_middle_is_dropped(house: House) -> None:
    house.answers = slowly(house.answers)
    job = house.submit()
    with working(house.runner(), job):
        until(lambda: house.ledger.text(job.id), "text to be told")
        house.ledger.delete(job.id)
    assert house.ledger.list() == []


def test_a_worker_told_to_stop_puts_the_job_back_between_two_calls(house: House) -> None:
    good, selections = house.answers, []

    def answer(body: dict[str, Any]) -> Answer:
        if asking(body) == "selector":
            selections.append(1)
            if len(selections) == 2:
                house.stop.set()
        return good(body)

    house.answers = answer
    job = house.submit(images=3)
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert (found.state, found.crashes, len(selections)) == ("queued", 0, 2)
    assert house.kinds(job) == ["queued", "started", "put_back"]
    assert not house.runner().work(job.id), "a worker that stops takes nothing new"
    house.stop.clear()
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "done"
    prompts = [json.dumps(b, sort_keys=True) for b in house.server.requests if asking(b) != "probe"]
    assert len(prompts) == len(set(prompts)), "nothing was asked twice"


def test_a_job_that_takes_longer_than_it_may_fails_at_its_next_call(house: House) -> None:
    good = house.answers
    house.answers = lambda body: Delayed(str(good(body)), 1.5) if asking(body) == "writer" else good(body)
    job = house.submit()
    house.runner(settings={"job_seconds": 1}).work(job.id)
    found = house.ledger.job(job.id)
    assert (found.state, found.error) == ("failed", "It took longer than 1 s. Raise LIMNER_JOB_SECONDS, then retry it.")
    house.answers = good
    house.ledger.retry(job.id)
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "done"
    assert house.asked().count("writer") == 1, "what was written in time stays"


def test_a_suspect_is_worked_on_alone_until_it_got_further(house: House) -> None:
    job = house.submit()
    assert house.ledger.take(job.id, "dead")
    house.ledger.sweep(lambda worker: worker == "dead")
    assert not house.runner(alone=False).work(job.id)
    assert house.ledger.suspects(10) == [job.id]
    house.runner(until_progress=True).work(job.id)
    assert house.ledger.job(job.id).state == "queued"
    assert house.asked() == ["writer"], "one answer is further than it ever was"
    assert house.ledger.suspects(10) == []
    assert house.runner(alone=False).work(job.id)
    assert house.ledger.job(job.id).state == "done"
    assert house.asked().count("writer") == 1


class Asking(TypedDict, total=False):
    article: Article
    said: Any


def asking_graph(calls: list[str]) -> Callable[[Any, Any], Any]:
    """A graph that writes, asks a person, and goes on with the answer."""

    def build(_context: Any, saver: Any) -> Any:
        def write(state: Asking) -> Asking:
            calls.append("write")
            return {"article": Article(title="Draft", language="en")}

        def review(state: Asking) -> Asking:
            return {"said": interrupt({"action": "Is it good?"})}

        def end(state: Asking) -> Asking:
            calls.append("end")
            return {"article": state["article"].model_copy(update={"title": str(state["said"])})}

        graph = StateGraph(Asking)
        for node in (write, review, end):
            graph.add_node(node.__name__, node)
        graph.add_edge(START, "write")
        graph.add_edge("write", "review")
        graph.add_edge("review", "end")
        graph.add_edge("end", END)
        return graph.compile(checkpointer=saver)

    return build


def test_a_job_waits_for_a_person_and_goes_on_with_the_answer(house: House) -> None:
    calls: list[str] = []
    runner = house.runner(graph=asking_graph(calls))
    job = house.submit()
    runner.work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "waiting"
    assert found.question[0]["value"] == {"action": "Is it good?"}
    house.ledger.answer(job.id, "very")
    with pytest.raises(JobConflict):
        house.ledger.answer(job.id, "again")
    runner.work(job.id)
    article = house.ledger.article(job.id)
    assert article is not None
    assert (article.title, calls) == ("very", ["write", "end"])


# --- text that is said again ---------------------------------------------------------------------------------------

words = st.text(alphabet="ab ", max_size=12)


def watched(shown: str, pieces: list[str]) -> str:
    """What somebody who listens has on the screen in the end."""
    text, screen = _Text(shown), shown
    for news in [*map(text.news, pieces), text.end()]:
        if news:
            screen = news.data["text"] if news.kind == "again" else screen + news.data["text"]
    return screen


@given(shown=words, pieces=st.lists(words.filter(bool), min_size=1, max_size=6))
def test_watchers_end_with_what_was_said_last_whatever_was_shown_before(shown: str, pieces: list[str]) -> None:
    assert watched(shown, pieces) == "".join(pieces)


@given(said=words.filter(bool), cut=st.integers(0, 12))
def test_nothing_is_shown_twice_where_the_same_is_said_again(said: str, cut: int) -> None:
    text = _Text(said[:cut])
    told = [news for piece in said if (news := text.news(piece))]
    assert all(news.kind == "text" for news in told)
    assert "".join(news.data["text"] for news in told) == said[cut:]
