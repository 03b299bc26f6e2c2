"""The broker is gone for good: workers, old and new, take jobs from the ledger by themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import Broker
from place import Place, WorkerProcess, until_state
from servers import until
from test_outages import once


@pytest.fixture
def gone(here: Place) -> Iterator[Broker]:
    """The place's broker. It was killed."""
    with Broker() as broker:
        here.given["redis_url"] = broker.url
        broker.kill()
        yield broker


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_worker_that_never_saw_a_broker(processes: str, here: Place, gone: Broker, tmp_path: Path) -> None:
    jobs = [here.submit()[0].id for _ in range(3)]
    with WorkerProcess(here.given | {"workers": 2, "processes": processes}, tmp_path / "worker.log") as worker:
        for job in jobs:
            assert until_state(here, job, "done", "failed", "set_aside").state == "done"
            assert here.ledger.job(job).attempt == 1
            assert here.objections(job) == []
        assert worker.stop() == 0


def test_a_worker_whose_broker_dies_and_comes_back(here: Place, gone: Broker, tmp_path: Path) -> None:
    gone.start()
    with WorkerProcess(here.given, tmp_path / "worker.log"):
        until_state(here, here.submit()[0].id, "done")
        gone.kill()
        until_state(here, here.submit()[0].id, "done")
        gone.start()
        until_state(here, here.submit()[0].id, "done")
    assert here.objections() == []


def test_a_hanging_broker_is_a_broker_that_is_gone(here: Place, gone: Broker, tmp_path: Path) -> None:
    gone.start()
    assert gone.process
    gone.process.send_signal(signal.SIGSTOP)
    with WorkerProcess(here.given, tmp_path / "worker.log"):
        until_state(here, here.submit()[0].id, "done")
    gone.process.send_signal(signal.SIGCONT)
    assert here.objections() == []


def test_told_to_stop_it_puts_back_what_it_took_by_itself(here: Place, gone: Broker, tmp_path: Path) -> None:
    job, mark = here.submit()
    with WorkerProcess(here.given, tmp_path / "worker.log") as worker:
        asked: list[object] = []
        here.book.inject = once(mark, "spotter", lambda: asked.append(worker.process.send_signal(signal.SIGTERM)))
        here.book.delay = 0.3
        until(lambda: asked, "the job to be at work")
        assert worker.process.wait(60) == 0
    found = here.ledger.job(job.id)
    assert (found.state, found.attempt) == ("queued", 1)
    assert [e.kind for e in here.ledger.events(job.id) if e.kind in ("put_back", "lapsed")] == ["put_back"]

    with WorkerProcess(here.given, tmp_path / "worker.log"):
        until_state(here, job.id, "done")
    assert here.objections(job.id) == []
