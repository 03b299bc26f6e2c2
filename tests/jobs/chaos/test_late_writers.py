"""A worker that is paused, loses its lease to another, and wakes: it may not write a thing."""

from __future__ import annotations

import os
import signal
import time

import pytest
from nursery import WORKED, Child, Nursery
from orders import lapse
from place import Place, pid_of
from served import Served
from servers import until

from limner.jobs.ledger import Job, Lease


class Paused:
    """Stops the owner of a job when it asks the model as `role`: the answer lies ready for it when it wakes."""

    def __init__(self, place: Place, job: str, role: str) -> None:
        self.place, self.job, self.role, self.pid = place, job, role, 0

    def __call__(self, asked: Served) -> None:
        if asked.role == self.role and not self.pid:
            [row] = self.place.evidence(self.job).jobs
            self.pid = pid_of(row["worker"])
            os.kill(self.pid, signal.SIGSTOP)


def paused_at(role: str, place: Place, nursery: Nursery) -> tuple[Job, Child]:
    """A job, and its worker, which stands still when it asks the model as `role`."""
    job, mark = place.submit()
    paused = Paused(place, job.id, role)
    place.book.inject = lambda asked: paused(asked) if asked.mark == mark else None
    late = nursery.start(job.id, place.given)
    until(lambda: paused.pid, "the worker to be paused")
    return job, late


@pytest.mark.parametrize("role", ["writer", "selector"])
def test_the_late_writer_is_refused(role: str, place: Place, nursery: Nursery) -> None:
    """At a call's answer, and with it at the checkpoint, the events and the end that would have followed."""
    job, late = paused_at(role, place, nursery)
    place.book.inject = lambda _asked: None

    lapse(place.ledger)
    place.sweep()
    assert place.state(job.id) == "queued"
    assert nursery.work(job.id, place.given) == WORKED, "another takes over"
    before = place.evidence(job.id)
    os.kill(late.pid, signal.SIGCONT)
    assert late.wait() == WORKED, "the late one ends by itself"

    after = place.evidence(job.id)
    assert (after.events, after.checkpoints) == (before.events, before.checkpoints)
    assert after.jobs == [before.jobs[0] | {"spent": after.jobs[0]["spent"]}], "what it paid counts, and nothing else"
    assert all(c["answer"] is None for c in after.calls[len(before.calls) :])
    assert place.objections(job.id) == []


@pytest.mark.parametrize("role", ["writer", "selector"])
def test_two_at_once_and_the_late_one_wakes_in_between(role: str, place: Place, nursery: Nursery) -> None:
    """It wakes while the other is at work, the hardest moment to tell them apart."""
    job, late = paused_at(role, place, nursery)
    place.book.inject, place.book.delay = (lambda _asked: None), 0.2
    lapse(place.ledger)
    place.sweep()
    assert place.state(job.id) == "queued"

    other = nursery.start(job.id, place.given)
    until(lambda: place.state(job.id) == "running", "another to take over")
    os.kill(late.pid, signal.SIGCONT)
    assert late.wait() == WORKED
    assert other.wait() == WORKED

    assert place.state(job.id) == "done"
    assert place.ledger.job(job.id).attempt == 2
    assert place.objections(job.id) == []


def test_a_sweep_that_comes_too_late_takes_nothing_away(place: Place, nursery: Nursery) -> None:
    """A worker that was paused and woke before anybody looked has its job still."""
    job, mark = place.submit()
    paused = Paused(place, job.id, "spotter")
    place.book.inject = lambda asked: paused(asked) if asked.mark == mark else None
    late = nursery.start(job.id, place.given)
    until(lambda: paused.pid, "the worker to be paused")
    lapse(place.ledger)
    os.kill(late.pid, signal.SIGCONT)

    assert late.wait() == WORKED
    place.sweep()
    assert place.state(job.id) == "done"
    assert place.ledger.job(job.id).attempt == 1
    assert place.objections(job.id) == []


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_worker_s_clock_may_be_wrong(ahead: float, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases, parking and events go by the database's clock; this process's is an hour off."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    job, _ = place.submit()
    lease = place.ledger.take(job.id, "here/1/1")
    assert isinstance(lease, Lease)
    place.ledger.sweep()
    assert place.state(job.id) == "running", "its lease is fresh"
    place.ledger.park(lease, "nothing there", 10)
    place.ledger.sweep()
    assert place.state(job.id) == "parked", "it is not due"
    [row] = place.evidence(job.id).jobs
    assert abs(row["created"] - right()) < 600
    assert abs(row["not_before"] - right()) < 600
    place.ledger.cancel(job.id)
