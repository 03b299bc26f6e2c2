"""What is thrown away by itself, and what never is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, built
from orders import submitted
from sqlalchemy import func, select, text

from limner.jobs.ledger import DAY, Ledger
from limner.jobs.ledger.schema import calls, events
from limner.jobs.retention import shrink, tidy
from limner.jobs.worker.runner import Runner


@pytest.fixture
def house(bees: Path, home: Path) -> Iterator[House]:
    with built(home) as made:
        yield made


def aged(ledger: Ledger, job: str, days: float) -> None:
    """Move its end into the past."""
    with ledger.database.write() as c:
        c.execute(text("UPDATE jobs SET finished = finished - :s WHERE id = :job"), {"s": days * DAY, "job": job})


def papers(ledger: Ledger, job: str) -> tuple[int, int, int]:
    """Checkpoints, answers and events that are kept of a job."""
    with ledger.database.read() as c:
        checkpoints = text("SELECT count(*) FROM checkpoints WHERE thread_id = :job")
        answers = select(func.count(calls.c.answer)).where(calls.c.job == job)
        told = select(func.count()).where(events.c.job == job)
        return (
            c.execute(checkpoints, {"job": job}).scalar_one(),
            c.execute(answers).scalar_one(),
            c.execute(told).scalar_one(),
        )


def done(house: House, runner: Runner) -> str:
    job = house.submit()
    runner.work(job.id)
    assert house.ledger.job(job.id).state == "done"
    return job.id


def test_working_papers_of_old_jobs_go_and_articles_stay(house: House) -> None:
    runner = house.runner()
    old, young = done(house, runner), done(house, runner)
    before = {job: (house.ledger.article(job), house.ledger.usage(job)) for job in (old, young)}
    aged(house.ledger, old, 31)
    kept = papers(house.ledger, young)
    assert min(kept) > 1

    assert tidy(house.ledger.database, 30) == 1
    assert papers(house.ledger, old) == (0, 0, 1)
    assert papers(house.ledger, young) == kept
    assert [e.kind for e in house.ledger.events(old)] == ["done"]
    for job, (article, spent) in before.items():
        assert house.ledger.article(job) == article
        assert house.ledger.usage(job) == spent
    assert tidy(house.ledger.database, 30) == 0, "there is nothing left to do"


def test_what_runs_or_waits_keeps_its_papers_however_old(house: House) -> None:
    job = house.submit()
    assert house.ledger.take(job.id, "w")
    before = papers(house.ledger, job.id)
    assert tidy(house.ledger.database, 0) == 0
    assert papers(house.ledger, job.id) == before


def test_a_job_that_failed_begins_from_the_beginning_without_its_papers(house: House) -> None:
    job = house.submit()
    lease = house.ledger.take(job.id, "w")
    assert lease
    house.ledger.fail(lease, "no such model")
    aged(house.ledger, job.id, 31)
    assert tidy(house.ledger.database, 30) == 1
    house.ledger.retry(job.id)
    house.runner().work(job.id)
    assert house.ledger.job(job.id).state == "done"
    seqs = [e.seq for e in house.ledger.events(job.id)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "numbered on from where it was"


def test_costs_of_deleted_jobs_go_when_no_day_needs_them(house: House) -> None:
    job = done(house, house.runner())
    house.ledger.delete(job)
    assert tidy(house.ledger.database, 30) == 0
    assert house.ledger.usage(job), "they count for the owner's day"
    with house.ledger.database.write() as c:
        c.execute(text("UPDATE calls SET at = at - :s"), {"s": 3 * DAY})
    tidy(house.ledger.database, 30)
    assert house.ledger.usage(job) == {}


def test_postgres_is_tidied_alike(ledger: Ledger) -> None:
    made = submitted(ledger, "Honey", "Wax")
    for job in made:
        ledger.cancel(job.id)
    aged(ledger, made[0].id, 31)
    assert tidy(ledger.database, 30) == 1
    assert [len(ledger.events(job.id)) for job in made] == [1, 2]


def test_a_file_with_much_free_room_shrinks(house: House) -> None:
    file = Path(house.ledger.database.url.removeprefix("sqlite:///"))
    assert shrink(house.ledger.database) == 0, "nothing is free"
    with house.ledger.database.write() as c:
        c.execute(text("CREATE TABLE heap (filler BLOB)"))
        c.execute(text("INSERT INTO heap VALUES (zeroblob(4000000))"))
    with house.ledger.database.write() as c:
        c.execute(text("DROP TABLE heap"))
        c.execute(text("SELECT count(*) FROM jobs"))
    freed = shrink(house.ledger.database)
    assert freed >= 4_000_000
    assert file.stat().st_size < 4_000_000
