"""Review points of a job: asked, answered in every order, refused when stale; the model's words are scripted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from house import House, built
from orders import submitted
from revising import OUTLINE, command, revising_answers, task
from scripted import ARTICLE

from limner.document import POINTS, Article
from limner.errors import BadInput, JobConflict, JobUnknown
from limner.jobs.checkpoints.checkpoints import checkpointer
from limner.jobs.ledger import Job, Ledger
from limner.jobs.progress import event_line, progress
from limner.notes import Note
from limner.workflows.review import questions

LOUD = [command("rewrite", block=2, text="louder")]


@pytest.fixture
def house(bees: Path, home: Path) -> Iterator[House]:
    with built(home) as made:
        made.answers = revising_answers(LOUD)
        yield made


def asked(house: House, job: Job) -> dict[str, Any]:
    """Work on the job until it waits, and what it asks."""
    house.runner().work(job.id)
    found = house.ledger.job(job.id)
    assert found.state == "waiting", (found.state, found.error)
    [question] = found.question
    assert questions.is_question(question["value"])
    return question["value"]


def said(question: dict[str, Any], kind: str, args: Any = None) -> dict[str, Any]:
    if kind == "edit":
        args = {"action": question["action_request"]["action"], "args": args}
    return {"type": kind, "args": args, "version": question["version"]}


def finished(house: House, job: Job) -> Article:
    house.runner().work(job.id)
    found, article = house.ledger.job(job.id), house.ledger.article(job.id)
    assert found.state == "done", (found.state, found.error)
    assert article is not None
    return article


def tasks(house: House) -> list[str]:
    return [t for body in house.server.requests if (t := task(body)) != "probe"]


# --- as it should be -----------------------------------------------------------------------------------------------


def test_every_point_is_passed_with_one_answer_each_and_nothing_is_asked_or_told_twice(house: House) -> None:
    plain = finished(house, house.submit())
    calls = tasks(house)
    house.server.log.clear()
    job = house.submit(review=list(reversed(POINTS)))
    points = []
    for _ in POINTS:
        question = asked(house, job)
        points.append(question["point"])
        house.ledger.answer(job.id, said(question, "accept"), "local")
    article = finished(house, job)
    assert points == list(POINTS)
    assert article.source == plain.source
    assert [i.image_id for i in article.illustrations] == [i.image_id for i in plain.illustrations]
    assert tasks(house) == ["outline", *calls]
    assert OUTLINE in house.server.texts[1], "the article is written to the outline"
    events = [(e.kind, e.step, json.dumps(e.data)) for e in house.ledger.events(job.id) if e.kind == "step"]
    assert len(events) == len(set(events))
    kinds = [e.kind for e in house.ledger.events(job.id) if e.kind not in ("step", "text")]
    assert kinds == ["queued", *["started", "waiting", "answered"] * len(POINTS), "started", "done"]
    billed = sum(a.usage["total_tokens"] for a in house.server.log if a.usage)
    assert house.ledger.job(job.id).spent == billed


def test_a_waiting_job_holds_no_lease_and_nothing_rings_for_it(house: House) -> None:
    job = house.submit(review=["draft"])
    asked(house, job)
    assert not house.runner().work(job.id)
    swept = house.ledger.sweep(gone=lambda _worker: True)
    assert (swept.put_back, swept.due, swept.set_aside) == ([], [], [])
    assert house.ledger.unheard("interactive", 0, 10) == []


def test_what_a_job_waits_for_is_said_in_a_line(house: House) -> None:
    job = house.submit(review=["draft"])
    asked(house, job)
    line = progress(house.ledger.job(job.id), 300)
    assert line.startswith("has waited ")
    assert " for a review of the draft: limner jobs answer " in line
    assert line.endswith(f"limner jobs answer {job.id}")
    [event] = [e for e in house.ledger.events(job.id) if e.kind == "waiting"]
    assert "review of the draft" in event_line(event)
    assert len(event_line(event)) < 100, "not the whole draft"


def test_an_edited_outline_is_written_to(house: House) -> None:
    job = house.submit(review=["outline"])
    question = asked(house, job)
    assert question["action_request"] == {"action": "review_outline", "args": {"outline": OUTLINE}}
    house.ledger.answer(job.id, said(question, "edit", {"outline": "# Honey\n\n## Only the jar"}))
    finished(house, job)
    assert "## Only the jar" in house.server.texts[1]
    assert OUTLINE not in house.server.texts[1]


def test_an_outline_is_made_anew_as_wished_as_often_as_wished(house: House) -> None:
    job = house.submit(review=["outline"])
    for n in range(2):
        question = asked(house, job)
        house.ledger.answer(job.id, said(question, "response", "more about winter"))
        assert tasks(house) == ["outline"] * (n + 1)
    question = asked(house, job)
    assert "## As wished" in question["action_request"]["args"]["outline"]
    assert "more about winter" in house.server.texts[-1]
    house.ledger.answer(job.id, said(question, "ignore"))
    finished(house, job)


def test_a_draft_typed_over_is_what_is_illustrated(house: House) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    args = question["action_request"]["args"]
    assert args["text"] == ARTICLE
    typed = ARTICLE.replace("# How Bees Make Honey", "# Honey") + "\nThe end is new.\n"
    house.ledger.answer(job.id, said(question, "edit", {**args, "text": typed}))
    article = finished(house, job)
    assert article.title == "Honey"
    assert article.source.rstrip() == typed.rstrip()
    assert article.source == house.ledger.text(job.id), "who watches sees what the person wrote"
    assert [b.id for b in article.body][: len(args["blocks"])] == [b["id"] for b in args["blocks"]]


def test_a_draft_s_blocks_are_changed_left_out_moved_and_added(house: House) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    blocks = question["action_request"]["args"]["blocks"]
    new = [blocks[0], {"text": "First of all."}, blocks[3], {**blocks[1], "text": "Changed."}]
    house.ledger.answer(job.id, said(question, "edit", {"blocks": new}))
    article = finished(house, job)
    assert [b.text for b in article.body] == [blocks[0]["text"], "First of all.", blocks[3]["text"], "Changed."]
    assert [article.body[n].id for n in (0, 2, 3)] == [blocks[n]["id"] for n in (0, 3, 1)]


def test_a_draft_is_revised_as_wished_and_shown_again(house: House) -> None:
    job = house.submit(review=["draft"])
    first = asked(house, job)
    house.ledger.answer(job.id, said(first, "response", "say the first paragraph louder"))
    second = asked(house, job)
    assert second["version"] != first["version"]
    before, after = (q["action_request"]["args"]["blocks"] for q in (first, second))
    assert after[1]["text"] == before[1]["text"].upper()
    assert after[2:] == before[2:]
    with pytest.raises(JobConflict, match="earlier version"):
        house.ledger.answer(job.id, said(first, "accept"))
    house.ledger.answer(job.id, said(second, "accept"))
    assert finished(house, job).body[1].text == before[1]["text"].upper()


def test_a_wish_that_cannot_be_followed_is_told_and_costs_nothing(house: House) -> None:
    house.answers = revising_answers([], cannot="There is no chapter five.")
    job = house.submit(review=["final"])
    first = asked(house, job)
    house.ledger.answer(job.id, said(first, "response", "shorten chapter five"))
    second = asked(house, job)
    assert "no chapter five" in second["description"]
    assert second["action_request"] == first["action_request"]


def test_an_image_that_a_person_places_in_the_draft_stays_where_it_is(house: House) -> None:
    wanted = finished(house, house.submit(images=3)).illustrations[0]
    job = house.submit(review=["draft"], images=3)
    question = asked(house, job)
    place = question["action_request"]["args"]["blocks"][-1]["id"]
    edits = [{"do": "place_image", "after": place, "image_id": wanted.image_id, "library": "bees", "caption": "Mine"}]
    house.ledger.answer(job.id, said(question, "edit", {"edits": edits}))
    article = finished(house, job)
    assert len(article.illustrations) == 3
    assert len({i.image_id for i in article.illustrations}) == 3
    assert len({i.after for i in article.illustrations}) == 3
    (mine,) = [i for i in article.illustrations if i.caption == "Mine"]
    assert (mine.image_id, mine.after) == (wanted.image_id, place)


def test_spots_are_added_removed_and_said_otherwise(house: House) -> None:
    job = house.submit(review=["spots"], images=2)
    question = asked(house, job)
    args = question["action_request"]["args"]
    kept, *others = args["spots"]
    free = [p["id"] for p in args["paragraphs"] if p["id"] not in {s["after"] for s in args["spots"]}]
    place = free[0] if free else others[0]["after"]
    rows = [{**kept, "caption": "A jar of honey on a kitchen table"}]
    rows += [{"after": place, "caption": "A beekeeper in a veil", "search": "A beekeeper in a veil lifting a frame"}]
    house.ledger.answer(job.id, said(question, "edit", {"spots": rows}))
    article = finished(house, job)
    spots = [s.spot for s in article.selections]
    assert sorted(s.caption for s in spots) == ["A beekeeper in a veil", "A jar of honey on a kitchen table"]
    changed = next(s for s in spots if s.id == kept["id"])
    assert changed.search == changed.caption, "what was searched for goes with the caption"
    new = next(s for s in spots if s.id != kept["id"])
    assert (new.after, new.strength) == (place, 1.0)


def test_spots_are_proposed_anew_as_wished(house: House) -> None:
    job = house.submit(review=["spots"])
    question = asked(house, job)
    house.ledger.answer(job.id, said(question, "response", "more of the beekeeper"))
    again = asked(house, job)
    assert again["point"] == "spots"
    assert tasks(house).count("spotter") == 2
    assert "The editor wants: more of the beekeeper" in house.server.texts[-1]


def test_a_person_chooses_other_images_or_none_and_it_is_recorded(house: House) -> None:
    job = house.submit(review=["images"])
    question = asked(house, job)
    rows = question["action_request"]["args"]["images"]
    first, second = [r for r in rows if r["chosen"]][:2]
    used = {r["chosen"] for r in rows}
    other = next(c for c in first["candidates"] if c["image_id"] not in used)
    chosen = [{"spot": first["spot"], "chosen": other["image_id"]}, {"spot": second["spot"], "chosen": None}]
    house.ledger.answer(job.id, said(question, "edit", {"images": chosen}))
    article = finished(house, job)
    assert [i.image_id for i in article.illustrations] == [other["image_id"]]
    assert article.illustrations[0].credit == other["credit"]
    by = {s.spot.id: (s.by, s.placed) for s in article.selections}
    assert by[first["spot"]] == ("person", other["image_id"])
    assert by[second["spot"]] == ("person", None)
    assert {b for s, (b, _) in by.items() if s not in (first["spot"], second["spot"])} <= {"pixels", "similarity"}


def test_the_final_article_is_edited_by_commands_and_typed_over(house: House) -> None:
    job = house.submit(review=["final"])
    question = asked(house, job)
    args = question["action_request"]["args"]
    images = [{**args["images"][0], "caption": "As I saw it"}]
    house.ledger.answer(job.id, said(question, "edit", {**args, "images": images, "title": "Sweet"}))
    article = finished(house, job)
    assert [i.caption for i in article.illustrations] == ["As I saw it"]
    assert article.title == "Sweet"
    job = house.submit(review=["final"])
    question = asked(house, job)
    block = question["action_request"]["args"]["blocks"][1]["id"]
    edits = [{"do": "set_text", "block": block, "text": "Shorter."}, {"do": "lock", "ids": [block]}]
    house.ledger.answer(job.id, said(question, "edit", {"edits": edits}))
    article = finished(house, job)
    assert (article.body[1].text, article.locked) == ("Shorter.", (block,))


def test_a_finished_text_is_reviewed_where_it_has_points(house: House) -> None:
    job = house.submit(brief=None, draft=ARTICLE, review=POINTS[1:])
    for point in POINTS[1:]:
        question = asked(house, job)
        assert question["point"] == point
        house.ledger.answer(job.id, said(question, "accept"))
    assert finished(house, job).source == ARTICLE
    with pytest.raises(BadInput, match="Unknown review point 'outline'"):
        house.submit(brief=None, draft=ARTICLE, review=["outline"])


# --- orders, twice, stale, after a restart ---------------------------------------------------------------------------

KINDS = ("accept", "edit", "response", "ignore")


def reply(question: dict[str, Any], kind: str) -> dict[str, Any]:
    """An answer of a kind that changes little."""
    args: dict[str, Any] = question["action_request"]["args"]
    return said(question, kind, {"edit": args, "response": "say it louder"}.get(kind))


@pytest.mark.parametrize("order", list(itertools.permutations(KINDS, 2)) + [(k, k) for k in KINDS], ids="-".join)
def test_answers_in_every_order_each_taken_once(house: House, order: tuple[str, str]) -> None:
    job = house.submit(review=["draft", "final"])
    seen: list[str] = []
    waiting = list(order)
    while True:
        house.runner().work(job.id)
        found = house.ledger.job(job.id)
        if found.state == "done":
            break
        question = found.question[0]["value"]
        assert question["version"] not in seen, "no version comes twice"
        for old in seen:
            with pytest.raises(JobConflict, match="earlier version"):
                house.ledger.answer(job.id, {"type": "accept", "version": old})
        seen.append(question["version"])
        kind = waiting.pop(0) if waiting else "accept"
        house.ledger.answer(job.id, reply(question, kind), "local")
        with pytest.raises(JobConflict, match="answered already"):
            house.ledger.answer(job.id, reply(question, kind), "local")
    assert len(seen) == 2 + order.count("response")
    assert not waiting
    with pytest.raises(JobConflict):
        house.ledger.answer(job.id, {"type": "accept", "version": seen[-1]})


def test_after_a_restart_the_question_is_the_same_and_so_is_what_follows(house: House) -> None:
    job = house.submit(review=["draft", "images"])
    question = asked(house, job)
    other = Ledger(house.ledger.database, lease=30)  # what a new process has: the database alone
    assert other.job(job.id).question[0]["value"] == question
    with checkpointer(house.ledger.database) as saver:
        kept = saver.get_tuple({"configurable": {"thread_id": job.id}})
    assert kept is not None
    other.answer(job.id, said(question, "accept"))
    calls = tasks(house)
    house.ledger = other
    question = asked(house, job)
    assert question["point"] == "images"
    assert tasks(house)[: len(calls)] == calls
    assert "writer" not in tasks(house)[len(calls) :]


def test_an_answer_is_not_taken_for_the_next_question_when_a_process_dies_between(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.submit(review=["draft", "spots"])
    question = asked(house, job)
    house.ledger.answer(job.id, said(question, "accept"))
    monkeypatch.setattr(Ledger, "wait", lambda *_: (_ for _ in ()).throw(RuntimeError("it dies before it can tell")))
    with pytest.raises(RuntimeError, match="it dies"):
        house.runner().work(job.id)
    monkeypatch.undo()
    assert house.ledger.sweep(gone=lambda _worker: True).put_back == [job.id]
    question = asked(house, job)
    assert question["point"] == "spots"
    assert "could not be taken" not in question["description"], "the graph never saw the old answer again"


def test_on_every_database_one_of_many_answers_is_taken(ledger: Ledger) -> None:
    [job] = submitted(ledger, "Bees")
    lease = ledger.take(job.id, "w")
    assert lease
    question = questions.question("outline", questions.outline_args(OUTLINE), Note("The outline."))
    ledger.wait(lease, [{"id": "i1", "value": question}])
    answer = said(question, "edit", {"outline": "# Honey\n- 蜂蜜 \N{HONEY POT}"})

    def give(_: int) -> str:
        try:
            return ledger.answer(job.id, answer).state
        except JobConflict as e:
            return str(e)

    for wrong in (None, {}, {"type": "accept"}, {**answer, "version": 7}):
        with pytest.raises((BadInput, JobConflict)):
            ledger.answer(job.id, wrong)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(give, range(4)))
    assert outcomes.count("queued") == 1
    assert sum("asks nothing" in o for o in outcomes) == 3
    again = ledger.take(job.id, "w")
    assert again
    assert again.answer == {"value": answer}


def test_another_owner_sees_no_question_and_cannot_answer(house: House) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    with pytest.raises(JobUnknown):
        house.ledger.answer(job.id, said(question, "accept"), "somebody else")
    assert house.ledger.job(job.id).state == "waiting"


def test_a_cancelled_job_takes_no_answer(house: House) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    house.ledger.cancel(job.id)
    with pytest.raises(JobConflict, match="cancelled"):
        house.ledger.answer(job.id, said(question, "accept"))


# --- what is no answer -----------------------------------------------------------------------------------------------

WRONG = {
    "nothing": (lambda _: None, "not an object"),
    "text": (lambda _: "yes", "not an object"),
    "no type": (lambda q: {"version": q["version"]}, "type: it is missing. Choose one of: accept, edit"),
    "unknown type": (
        lambda q: {"type": "approve", "version": q["version"]},
        "'approve' is not known. Choose one of: accept,",
    ),
    "no version": (lambda _: {"type": "accept"}, "version: it is missing"),
    "unknown field": (lambda q: {**said(q, "accept"), "force": True}, "unknown field 'force'"),
    "empty response": (lambda q: said(q, "response", "  "), "needs the change you want"),
    "response of another kind": (lambda q: said(q, "response", {"a": 1}), "as text"),
    "long response": (lambda q: said(q, "response", "x" * 10_001), "more than 10,000"),
    "edit without args": (lambda q: {"type": "edit", "version": q["version"]}, 'an "edit" needs'),
    "other action": (
        lambda q: {**said(q, "edit", {}), "args": {"action": "review_spots", "args": {}}},
        "'review_spots' is not 'review_draft'",
    ),
    "unknown arg": (lambda q: said(q, "edit", {"body": "x"}), "unknown field 'body'"),
    "text that is none": (lambda q: said(q, "edit", {"text": 7}), "text: it is not text"),
    "empty text": (lambda q: said(q, "edit", {"text": " "}), "text: it is empty"),
    "text and blocks": (lambda q: said(q, "edit", {"text": "a", "blocks": []}), "Change one of them"),
    "unknown block": (lambda q: said(q, "edit", {"blocks": [{"id": "b99", "text": "a"}]}), "'b99' is unknown"),
    "block twice": (lambda q: said(q, "edit", {"blocks": [{"id": "b1", "text": "a"}] * 2}), "unknown or duplicated"),
    "edits of no kind": (lambda q: said(q, "edit", {"edits": [{"do": "explode"}]}), "edits.0"),
    "edit of no block": (lambda q: said(q, "edit", {"edits": [{"do": "delete_block", "block": "b99"}]}), "'b99'"),
    "edit without do": (
        lambda q: said(q, "edit", {"edits": [{}]}),
        "do: it is missing. Choose one of: set_title",
    ),
    "edits that are text": (lambda q: said(q, "edit", {"edits": "all"}), "edits: it is not JSON"),
    "edits that are none": (lambda q: said(q, "edit", {"edits": 7}), "edits: it is not a list"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_answer_is_refused_in_one_line_and_the_job_still_waits(house: House, wrong: str) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    make, why = WRONG[wrong]
    with pytest.raises(BadInput) as refused:
        house.ledger.answer(job.id, make(question), "local")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert house.ledger.job(job.id).state == "waiting"
    house.ledger.answer(job.id, said(question, "accept"))


def test_an_image_that_no_library_of_the_job_has_is_not_placed(house: House) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    block = question["action_request"]["args"]["blocks"][1]["id"]
    edits = [{"do": "place_image", "after": block, "image_id": "0" * 64, "library": "private"}]
    house.ledger.answer(job.id, said(question, "edit", {"edits": edits}))
    assert "library 'private' has no image" in asked(house, job)["description"]


def test_an_edit_that_cannot_be_made_is_asked_about_again_with_the_reason(house: House) -> None:
    job = house.submit(review=["draft"])
    question = asked(house, job)
    edits = [{"do": "delete_block", "block": b["id"]} for b in question["action_request"]["args"]["blocks"]]
    house.ledger.answer(job.id, said(question, "edit", {"edits": edits}))
    again = asked(house, job)
    assert "could not be taken" in again["description"]
    assert "Nothing would be left" in again["description"]
    house.ledger.answer(job.id, said(again, "accept"))
    assert finished(house, job).source == ARTICLE
