"""kill -9 at every point where a job could be torn: it goes on in another process, and nothing is lost or doubled.

Each point is passed by a process that works on one job. Then the job is put back, as a worker's sweeper does, and
another process goes on. What must hold afterwards stands in `checker.py`.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from checker import Undisturbed
from nursery import NOT_THERE, WORKED, Nursery
from place import Place

SPOTS = 6  # that the spotter may name for three images

ONCE = ("take:before", "take:after", "write:before", "spot:before", "retrieve:before", "arrange:before", "check:before")
ENDS = ("finish:before", "finish:after")
REPEATED = tuple(f"{name}:{when}" for name in ("put", "put_writes", "keep", "event") for when in ("before", "after"))
SELECTS = tuple(f"select:before:{n}" for n in (1, 3, SPOTS))
BEATS = tuple(f"lease:{when}:{n}" for when in ("before", "after") for n in (1, 3))

ALL = (*ONCE, *SELECTS, *(f"{p}:{n}" for p in REPEATED for n in ("first", "middle", "last")), *BEATS, *ENDS)
SOME = (*ONCE, "select:before:3", *(f"{point}:middle" for point in REPEATED), *BEATS[1::2], *ENDS)
"""Each point once, for Postgres: what differs there is how a checkpoint and an event are written."""

IN_FLIGHT = ("keep:before", "lease", "event", "put_writes")
"""Points at which a call may be on its way, or answered and not kept: it is asked for once more. At the others none."""


@pytest.fixture
def passed(calm: tuple[Undisturbed, Counter[str]]) -> Counter[str]:
    """How often each point is passed by a job that nothing disturbs."""
    return calm[1]


def nth(point: str, passed: Counter[str]) -> str:
    """The point as LIMNER_CRASH_AT takes it."""
    name, _, which = point.rpartition(":")
    if which not in ("first", "middle", "last"):
        return point
    return f"{name}:{ {'first': 1, 'middle': (passed[name] + 1) // 2, 'last': passed[name]}[which] }".replace(" ", "")


def test_every_point_is_there(passed: Counter[str]) -> None:
    met = {point for point, n in passed.items() if n}
    named = {":".join(point.split(":")[:2]) for point in ALL}
    assert named - met <= {"lease:before", "lease:after"}, "a point that no job passes tests nothing"
    assert met <= named, "a point of limner's that is not tried here"
    assert passed["select:before"] == SPOTS
    for point in REPEATED:
        assert passed[point] >= 5, "first, middle and last are to be three"


@pytest.mark.parametrize(
    ("place", "point"), [*(("sqlite", p) for p in ALL), *(("postgres", p) for p in SOME)], indirect=["place"]
)
def test_killed_at(point: str, place: Place, nursery: Nursery, passed: Counter[str], tmp_path: Path) -> None:
    settings = place.given
    if point.startswith("lease"):  # so that there are beats before the job is done
        place.book.delay, settings = 0.4, place.with_lease(1)
    job, mark = place.submit()
    killed = nursery.work(job.id, settings, crash=nth(point, passed))
    if killed == WORKED and point.startswith("event") and point.endswith("last"):
        # How often text is passed on while it is written depends on the clock: a quicker job has fewer events.
        fewer, _, times = nth(point, passed).rpartition(":")
        for n in range(int(times) - 1, int(times) // 2, -1):
            job, mark = place.submit()
            if (killed := nursery.work(job.id, settings, crash=f"{fewer}:{n}")) != WORKED:
                break
    assert killed == -signal.SIGKILL, "it was not killed there"
    place.book.delay = 0.0
    at_kill = len(place.book.of(mark))
    place.sweep()
    resumed = nursery.work(job.id, place.given)

    assert resumed == (NOT_THERE if point == "finish:after" else WORKED)
    assert place.state(job.id) == "done"
    assert place.objections(job.id) == []
    if not point.startswith(IN_FLIGHT):
        again = [key for key, n in Counter(s.key for s in place.book.of(mark)).items() if n > 1]
        assert again == [], "asked again, and nothing was in flight"
    if point == "finish:before":
        assert len(place.book.of(mark)) == at_kill, "all was paid for before"
        assert place.export(job.id, tmp_path / "article") == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_begins_to_wait_for_a_person(when: str, place: Place, nursery: Nursery) -> None:
    job, mark = place.submit()
    crashed = nursery.work(job.id, place.given, crash=f"wait:{when}", graph="asking")
    assert crashed == -signal.SIGKILL
    place.sweep()
    assert nursery.work(job.id, place.given, graph="asking") == (WORKED if when == "before" else NOT_THERE)

    waits = place.ledger.job(job.id)
    assert waits.state == "waiting"
    assert waits.question[0]["value"] == {"ask": "Is it good?"}
    place.ledger.answer(job.id, "yes")
    assert nursery.work(job.id, place.given, graph="asking") == WORKED

    [row] = place.evidence(job.id).jobs
    assert row["article"]["notes"] == ["The reader said: yes"]
    assert [s.role for s in place.book.of(mark)] == ["writer"], "the text is not paid for again"


@pytest.mark.parametrize(
    "point", ["put:before:1", "put:after:1", "put_writes:before:1", "put_writes:after:1", "finish:before"]
)
def test_killed_while_it_goes_on_with_an_answer(point: str, place: Place, nursery: Nursery) -> None:
    """An answer is used up only with the step that took it."""
    job, mark = place.submit()
    assert nursery.work(job.id, place.given, graph="asking") == WORKED
    place.ledger.answer(job.id, "yes")

    assert nursery.work(job.id, place.given, crash=point, graph="asking") == -signal.SIGKILL
    place.sweep()
    assert nursery.work(job.id, place.given, graph="asking") == WORKED

    [row] = place.evidence(job.id).jobs
    assert row["state"] == "done"
    assert row["article"]["notes"] == ["The reader said: yes"]
    assert [s.role for s in place.book.of(mark)] == ["writer"]


def test_killed_again_and_again(here: Place, nursery: Nursery) -> None:
    """Three times in a row is a job that takes its worker down; with a step finished in between it is bad luck."""
    job, _ = here.submit()
    kills = 0
    while nursery.work(job.id, here.given, crash="keep:after:2") == -signal.SIGKILL:
        kills += 1
        here.sweep()
    assert kills == 9, "at every second answer, checks too, of which a process that tries the eyes gets two more"
    assert here.state(job.id) == "done"
    assert here.ledger.job(job.id).attempt == kills + 1
    assert here.objections(job.id) == []


def test_what_was_asked_and_not_answered_stays_open(place: Place, nursery: Nursery) -> None:
    """A job that waits is nobody's: no sweep touches it, and no worker takes it."""
    job, _ = place.submit()
    assert nursery.work(job.id, place.given, graph="asking") == WORKED
    for _ in range(3):
        place.sweep()
    assert nursery.work(job.id, place.given, graph="asking") == NOT_THERE
    assert place.state(job.id) == "waiting"
