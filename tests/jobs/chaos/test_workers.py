"""Real workers and a real broker: killed, stopped, emptied, lied to. The ledger knows what is to be done."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker
from celery import Celery
from checker import Undisturbed
from nursery import Nursery
from place import NewPlace, Place, WorkerProcess, pid_of, until_state
from scripted import Delayed, ScriptedServer
from served import Served, brief
from servers import WAIT, until

from limner.jobs.queue import Bell, make_app
from limner.jobs.request import JobRequest
from limner.jobs.service import Jobs


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker() as server:
        yield server


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory,
    new_place: NewPlace,
    calm: tuple[Undisturbed, object],
    broker: Broker,
) -> Iterator[Place]:
    """A place with a broker."""
    with new_place(tmp_path_factory.mktemp("shop") / "home") as made:
        made.given["redis_url"] = broker.url
        made.undisturbed = calm[0]
        yield made


@pytest.fixture
def bell(shop: Place) -> Iterator[Bell]:
    with closing(make_app(shop.settings)) as app:
        yield Bell(app)


@pytest.fixture
def workers(shop: Place, broker: Broker, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers; all are gone when the test is."""
    started: list[WorkerProcess] = []
    broker.client.flushall()  # what workers that were killed had not acknowledged is in there for an hour

    def start(*, crash: str = "", odd: dict[str, str] | None = None, **given: Any) -> WorkerProcess:
        started.append(WorkerProcess({**shop.given, **given}, tmp_path / "worker.log", crash=crash, odd=odd))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


def submit(shop: Place, bell: Bell, count: int = 1) -> list[str]:
    """Jobs that a bell was rung for."""
    made = [shop.submit()[0] for _ in range(count)]
    bell.ring_all((job.id, job.queue) for job in made)
    return [job.id for job in made]


def until_done(shop: Place, jobs: list[str]) -> None:
    for job in jobs:
        assert until_state(shop, job, "done", "failed", "set_aside").state == "done"
        assert shop.objections(job) == []


@pytest.mark.parametrize("point", ["ring:before", "ring:after", "keep:before:2"])
def test_killed_around_the_acknowledgement(
    point: str, shop: Place, bell: Bell, broker: Broker, workers: Callable[..., WorkerProcess]
) -> None:
    """Each process of this worker dies there; then all of it is killed, and another worker comes."""
    first = workers(crash=point)
    until(lambda: len(first.children()) == 3, "two processes and a sweeper")
    born = set(first.children())
    [job] = submit(shop, bell)
    until(lambda: born - set(first.children()), "one of them to die")
    if point == "ring:after":
        assert shop.state(job) == "done", "only the acknowledgement was missing"
    elif point == "ring:before":
        assert shop.ledger.job(job).attempt == 0, "it was not begun"
    first.kill()

    workers()
    until_done(shop, [job])
    if point.startswith("ring"):
        assert shop.ledger.job(job).attempt == 1
    until(lambda: broker.waiting() == 0, "no message to be left")


def test_kill_9_of_a_process_and_of_a_worker(shop: Place, bell: Bell, workers: Callable[..., WorkerProcess]) -> None:
    shop.book.delay = 0.3
    first = workers()
    jobs = submit(shop, bell, 3)
    until(lambda: any(shop.state(job) == "running" for job in jobs), "a job to run")
    [row] = [r for r in shop.evidence().jobs if r["state"] == "running"][:1]
    os.kill(pid_of(row["worker"]), signal.SIGKILL)
    until(lambda: shop.ledger.job(row["id"]).attempt > 1, "another process to go on with it")

    first.kill()
    workers()
    until_done(shop, jobs)


@pytest.mark.parametrize("processes", [1, 2], ids=["four jobs in one process", "two in each of two"])
def test_a_job_that_crashes_its_process_is_set_aside_and_the_others_finish(
    processes: int, shop: Place, bell: Bell, workers: Callable[..., WorkerProcess]
) -> None:
    """It takes others down with it once; then it is worked on alone, and what dies is its own fault."""
    poison, mark = shop.submit()
    shop.book.inject = killing(shop, poison.id, mark, signal.SIGSEGV)
    shop.book.delay = 0.2
    workers(processes=processes, lease=60)
    bell.ring(poison.id, "interactive")
    others = submit(shop, bell, 5)
    until_done(shop, others)

    aside = until_state(shop, poison.id, "set_aside")
    assert "3 times in a row, its worker died of SIGSEGV at select" in aside.error
    assert f"limner jobs retry {poison.id}" in aside.error
    assert aside.crashes == 3, "each of them alone"
    assert shop.objections(poison.id) == []
    shop.book.inject = lambda _asked: None
    shop.ledger.retry(poison.id)
    until_done(shop, [poison.id])
    assert [s.role for s in shop.book.of(mark)].count("writer") == 1, "it went on where it stopped"


def test_a_job_that_is_killed_from_outside_many_times_is_done(
    shop: Place, bell: Bell, workers: Callable[..., WorkerProcess]
) -> None:
    """Within one call of its model. Nobody can tell whether it was for its sake; so the tenth time sets aside."""
    unlucky, mark = shop.submit()
    doomed, other = shop.submit()
    often = killing(shop, unlucky.id, mark, signal.SIGKILL, times=5)
    always = killing(shop, doomed.id, other, signal.SIGKILL)
    shop.book.inject = lambda asked: often(asked) or always(asked)
    workers(lease=60)  # on a machine that is very busy, shorter ones may lapse, which counts as well
    bell.ring_all((job, "interactive") for job in (unlucky.id, doomed.id))
    until(lambda: shop.ledger.job(doomed.id).ended, "it to be killed ten times", seconds=240)
    aside = shop.ledger.job(doomed.id)
    assert "10 times in a row, its worker was killed by SIGKILL at select" in aside.error
    assert shop.objections(doomed.id) == []
    until_done(shop, [unlucky.id])


def killing(shop: Place, job: str, mark: str, number: int, times: int | None = None) -> Callable[[Served], None]:
    """Sends a signal to the process that works on a job, when it asks the model to choose an image."""
    done: list[int] = []

    def kill(asked: Served) -> None:
        if asked.mark == mark and asked.role == "selector" and (times is None or len(done) < times):
            [row] = shop.evidence(job).jobs
            done.append(number)
            os.kill(pid_of(row["worker"]), number)

    return kill


def test_a_job_that_comes_to_no_end_fails_and_the_others_of_its_process_finish(
    shop: Place, bell: Bell, workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    """Its thread cannot be ended: the others are put back, and the process is."""
    hanging, mark = shop.submit()
    shop.book.delay = 0.3
    worker = workers(odd={"CHAOS_HANGS": mark, "LIMNER_JOB_SECONDS": "20"}, processes=1, lease=60)
    others = submit(shop, bell, 2)
    bell.ring(hanging.id, hanging.queue)
    until(lambda: shop.state(hanging.id) == "running", "it to hang")
    [row] = shop.evidence(hanging.id).jobs
    late = submit(shop, bell, 2)
    until(lambda: pid_of(row["worker"]) not in worker.children(), "its process to end")
    failed = until_state(shop, hanging.id, "failed")
    assert "took longer than 20 s" in failed.error
    assert failed.attempt == 1
    until_done(shop, [*others, *late])


def test_the_broker_is_emptied_killed_and_not_there(
    shop: Place, bell: Bell, broker: Broker, workers: Callable[..., WorkerProcess], nursery: Nursery
) -> None:
    waiting, mark = shop.submit()
    nursery.work(waiting.id, shop.given, graph="asking")
    shop.book.delay = 0.1
    workers()
    jobs = submit(shop, bell, 6)
    until(lambda: any(shop.state(job) == "running" for job in jobs), "a job to run")
    broker.client.flushall()  # queued, running and waiting jobs are there now
    until(lambda: sum(shop.state(job) == "done" for job in jobs) >= 2, "two to be done")

    broker.kill()
    with closing(Jobs(shop.settings)) as service:
        accepted = service.submit([JobRequest(brief=brief("hive9999"), library=["bees"], images=3)])
    assert accepted[0][0].state == "queued", "a job is accepted without a broker"
    broker.start()
    until_done(shop, [*jobs, accepted[0][0].id])

    assert shop.state(waiting.id) == "waiting"
    shop.ledger.answer(waiting.id, "yes")
    nursery.work(waiting.id, shop.given, graph="asking")
    assert shop.ledger.job(waiting.id).state == "done"
    assert [s.role for s in shop.book.of(mark)] == ["writer"]


def test_what_was_begun_goes_on_before_what_was_not(
    shop: Place, bell: Bell, workers: Callable[..., WorkerProcess]
) -> None:
    """Of a batch, too, but not before interactive jobs."""
    made = [shop.submit(queue=queue)[0] for queue in ("batch", "batch", "interactive", "interactive")]
    for job in (made[1], made[3]):
        lease = shop.ledger.take(job.id, "another")
        assert lease is not None
        shop.ledger.put_back(lease)
    bell.ring_all((job.id, job.route) for job in map(shop.ledger.job, (job.id for job in made)))
    workers(workers=1)
    until_done(shop, [job.id for job in made])

    def last_begun(job: str) -> float:
        return max(e.at for e in shop.ledger.events(job, limit=1000) if e.kind == "started")

    assert sorted(range(4), key=lambda n: last_begun(made[n].id)) == [3, 2, 1, 0]


def test_heard_ten_times_and_again_and_again_it_is_one_attempt(
    shop: Place, bell: Bell, broker: Broker, workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    """The broker takes each message back after a second, and the job goes on only after it did; its lease holds."""
    heard, rung = tmp_path / "heard", threading.Event()

    def held(_served: Served) -> None:
        rung.wait(2 * WAIT)

    shop.book.inject = held
    # No sweep: one that took the messages of a slow start for lost would let a process take the job from the ledger,
    # and then no message is held back.
    workers(lease=60, sweep=600, odd={"CHAOS_HEARD": str(heard), "CHAOS_VISIBILITY": "1"})
    job, _ = shop.submit()
    assert bell.ring_all([(job.id, "interactive")] * 10) == 10
    try:
        # Not a count of messages: a busy machine that cuts a connection off loses one.
        until(lambda: heard.exists() and f"{job.id} again" in heard.read_text(), "the broker to ring again")
    finally:
        print(heard.read_text() if heard.exists() else "nothing was heard", broker.client.keys("*"))
        print(shop.ledger.job(job.id))
        rung.set()
    until_done(shop, [job.id])

    assert shop.ledger.job(job.id).attempt == 1


def test_a_process_finds_what_it_needs_imported_by_its_worker(
    shop: Place, bell: Bell, workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    """Else each of them imports it anew, takes the memory for itself, and comes late after a kill."""
    imported = tmp_path / "imported"
    workers(odd={"CHAOS_IMPORTED": str(imported)}, workers=1, processes=1)
    until_done(shop, submit(shop, bell))
    until(imported.is_file, "the job to be left")
    names = {*imported.read_text().split()}
    assert {name for name in names if "." not in name} == set()
    assert len(names) < 20, " ".join(sorted(names))


class Canary:
    """Unpickled, it touches a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_in_the_queue_is_not_opened(
    shop: Place, bell: Bell, broker: Broker, workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    pickled = pickle.dumps(((str(tmp_path),), {"x": Canary(canary)}, {}))
    pickle.loads(pickled)
    assert canary.exists(), "it would sing"
    canary.unlink()
    message = {
        "body": base64.b64encode(pickled).decode(),
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"lang": "py", "task": "limner.work", "id": "1", "root_id": "1", "argsrepr": "()"},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "interactive"},
            "body_encoding": "base64",
            "delivery_tag": "1",
            "correlation_id": "1",
        },
    }
    broker.client.lpush("interactive", json.dumps(message))
    worker = workers()
    until_done(shop, submit(shop, bell))

    assert broker.waiting() == 0, "it was taken from the queue"
    assert not canary.exists()
    assert worker.process.poll() is None


def test_a_message_to_all_workers_stops_none(
    shop: Place, bell: Bell, broker: Broker, workers: Callable[..., WorkerProcess]
) -> None:
    """Celery's remote control would let whoever reaches the broker end every worker for good."""
    worker = workers()
    until(lambda: len(worker.children()) == 3, "two processes and a sweeper")
    until_done(shop, submit(shop, bell))
    told = Celery("a stranger", broker=broker.url, set_as_current=False)
    try:
        assert told.control.ping(timeout=2) == [], "nobody listens"
        told.control.shutdown()
    finally:
        told.close()
    until_done(shop, submit(shop, bell))
    assert worker.process.poll() is None


def test_a_job_that_waits_for_a_person_holds_nothing(
    shop: Place, bell: Bell, broker: Broker, workers: Callable[..., WorkerProcess]
) -> None:
    workers(odd={"CHAOS_ASKING": "yes"})
    job, mark = shop.submit()
    bell.ring(job.id, job.queue)
    waits = until_state(shop, job.id, "waiting")
    assert waits.question[0]["value"] == {"ask": "Is it good?"}
    until(lambda: broker.waiting() == 0 and broker.unacknowledged() == 0, "its message to be acknowledged")
    [row] = shop.evidence(job.id).jobs
    assert (row["worker"], row["lease_until"]) == (None, None)

    with closing(Jobs(shop.settings)) as service:
        service.answer(job.id, "yes")
    until_state(shop, job.id, "done")
    [row] = shop.evidence(job.id).jobs
    assert row["article"]["notes"] == ["The reader said: yes"]
    assert [s.role for s in shop.book.of(mark)] == ["writer"]


SENTENCES = (
    "Bees visit flowers for their sweet nectar. The hive stays warm through the whole winter.",
    "A queen lays eggs in the empty cells. Workers guard the entrance against hungry wasps.",
    "Honey thickens while the bees fan their wings. Wax seals every full cell of the comb.",
    "Beekeepers wear a veil over the face. Pollen feeds the young larvae in spring.",
    "Swarms settle on a branch for some hours. Drones leave the hive on sunny afternoons.",
    "Smoke calms the colony before a frame is lifted. Clover gives a mild and pale honey.",
    "Scouts dance to show where a meadow lies. Nectar is passed from mouth to mouth.",
    "Old foragers return with worn wings. Heather honey is dark and sets like jelly.",
    "Rain keeps the whole colony at home. An orchard in bloom is loud with bees.",
)


class SmallModel:
    """Writes paragraphs of two sentences, of which no two are alike, in 0.3 s each."""

    def __init__(self) -> None:
        self.said = 0

    def __call__(self, _body: dict[str, Any]) -> Delayed:
        self.said += 1
        return Delayed(SENTENCES[self.said % len(SENTENCES)].strip(), 0.3, pieces=4)


def test_told_to_stop_in_the_middle_of_many_calls(
    shop: Place, bell: Bell, workers: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    """It stops between two of them; the job is put back with no crash counted, and another worker goes on."""
    with ScriptedServer(SmallModel()) as small:
        small_shop = {**shop.given, "model_url": small.url, "dialect": "small"}
        first = WorkerProcess(small_shop, tmp_path / "first.log")
        job, _ = shop.submit()
        bell.ring(job.id, job.queue)
        until(lambda: len(small.log) >= 3, "some calls to be made")
        assert first.stop() == 0
        stopped = shop.ledger.job(job.id)
        made = len(small.log)
        assert (stopped.state, stopped.crashes, stopped.step) == ("queued", 0, "write")
        assert [e["kind"] for e in shop.evidence(job.id).events][-1] == "put_back"

        with WorkerProcess(small_shop, tmp_path / "second.log"):
            until_state(shop, job.id, "done")
        asked = Counter(json.dumps(body, sort_keys=True) for body in small.requests)
        assert len(small.log) > made
        assert max(asked.values()) == 1, "no call is made twice"
        assert [row["answer"] is None for row in shop.evidence(job.id).calls] == [False] * len(small.log)
