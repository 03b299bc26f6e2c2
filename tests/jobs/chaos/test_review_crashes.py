"""kill -9 around the review points of the real graph: no answer is lost or taken for another, nothing is paid twice."""

from __future__ import annotations

import signal
from collections import Counter
from typing import Any

import pytest
from nursery import NOT_THERE, WORKED, Nursery
from place import Place, brief

from limner.jobs.request import JobRequest

POINTS = ["draft", "spots", "images", "final"]
TORN = ("put:before:1", "put:after:1", "put_writes:before:1", "put_writes:after:1", "event:before:1", "event:after:1")


def submitted(place: Place) -> tuple[str, str]:
    mark = next(place.marks)
    order = JobRequest(brief=brief(mark), library=["bees"], images=3, review=POINTS).order()  # type: ignore[arg-type]
    [(job, _new)] = place.ledger.submit("local", [order])
    return job.id, mark


def question(place: Place, job: str) -> dict[str, Any]:
    found = place.ledger.job(job)
    assert found.state == "waiting", (found.state, found.error)
    return found.question[0]["value"]


def story(place: Place, job: str) -> tuple[list[Any], str, Any]:
    """The steps that were told, the text, and the article without what names the job."""
    steps = [(e.step, e.data) for e in place.ledger.events(job) if e.kind == "step"]
    article = place.ledger.article(job)
    assert article is not None
    return steps, place.ledger.text(job), (article.source, article.illustrations)


def test_answered_in_peace(place: Place, nursery: Nursery) -> None:
    """Each answer is one attempt; nothing is told or asked twice."""
    job, mark = submitted(place)
    assert nursery.work(job, place.given) == WORKED
    for _ in POINTS:
        place.ledger.answer(job, {"type": "accept", "version": question(place, job)["version"]})
        assert nursery.work(job, place.given) == WORKED
    assert place.state(job) == "done"
    assert place.ledger.job(job).attempt == 1 + len(POINTS)
    assert max(Counter(s.key for s in place.book.of(mark)).values()) == 1
    steps, _, _ = story(place, job)
    assert len({str(s) for s in steps}) == len(steps)


@pytest.mark.parametrize("point", [*TORN, "wait:before:1", "wait:after:1"])
def test_killed_while_it_goes_on_from_each_review_point(point: str, here: Place, nursery: Nursery) -> None:
    here.undisturbed = None  # a job without reviews tells another story
    job, mark = submitted(here)
    assert nursery.work(job, here.given) == WORKED
    met = []
    for _ in POINTS:
        asked = question(here, job)
        met.append(asked["point"])
        here.ledger.answer(job, {"type": "accept", "version": asked["version"]})
        killed = nursery.work(job, here.given, crash=point)
        if killed == WORKED:  # no such point between here and the end
            continue
        assert killed == -signal.SIGKILL
        here.sweep()
        assert nursery.work(job, here.given) == (NOT_THERE if point == "wait:after:1" else WORKED)
    assert met == POINTS
    assert here.state(job) == "done"
    assert here.objections(job) == []
    steps, text, (source, images) = story(here, job)
    assert len({str(s) for s in steps}) == len(steps), "no step is told twice"
    assert text == source
    assert len(images) == 3
    again = [key for key, n in Counter(s.key for s in here.book.of(mark)).items() if n > 1]
    in_flight = point.startswith(("event", "put_writes"))
    assert again == [] or in_flight, "asked again, and nothing was in flight"
