"""The doorbell: a broker that hangs or that strangers write to harms no job."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import until

from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs
from limner.settings import Settings

sys.path.insert(0, str(Path(__file__).parent / "chaos"))
from brokers import Broker

pytestmark = pytest.mark.real


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker of this test's own."""
    with Broker() as made:
        yield made
        assert made.process
        made.process.send_signal(signal.SIGCONT)


def settings(home: Path, broker: Broker) -> Settings:
    return Settings(home=home, redis_url=broker.url)


def test_nobody_who_submits_waits_for_a_broker_that_hangs(home: Path, broker: Broker) -> None:
    """Without a time limit, and without a thread of its own for the bell, the first submission would never return."""
    assert broker.process
    with closing(Jobs(settings(home, broker))) as jobs:
        jobs.submit([JobRequest(brief="Honey")])
        until(lambda: broker.waiting() == 1, "the bell to ring")
        broker.process.send_signal(signal.SIGSTOP)
        made = [jobs.submit([JobRequest(brief=f"Honey {n}")]) for n in range(20)]
        assert len(jobs.ledger.list()) == 1 + len(made), "all are accepted"
        assert jobs.bell.depth("interactive") is None, "and the broker counts as gone"
        broker.process.send_signal(signal.SIGCONT)
        until(lambda: broker.waiting() > 1, "it is rung for again")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_nobody_foresaw_silences_the_bell_once(home: Path, broker: Broker) -> None:
    """Its thread ended, and no later submission was rung for by this process."""
    with closing(Jobs(settings(home, broker))) as jobs:
        ring, failed = jobs.bell.ring_all, []

        def fail(wanted: Iterable[tuple[str, str]]) -> int:
            jobs.bell.ring_all = ring
            failed.append(list(wanted))
            raise RuntimeError("nobody foresaw this")

        jobs.bell.ring_all = fail
        jobs.submit([JobRequest(brief="Honey")])
        until(lambda: failed, "the first ring to fail")
        until(lambda: not any(t.name == "limner-ringer" for t in threading.enumerate()), "its thread to end")
        jobs.submit([JobRequest(brief="Salt")])
        until(lambda: broker.waiting() == 1, "the bell to ring")
