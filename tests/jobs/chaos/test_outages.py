"""What a job stands on goes away for a while: the database, its disk, another disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import disks
import pytest
from checker import Undisturbed
from nursery import WORKED, Nursery
from place import NewPlace, Place
from served import Served
from servers import Postgres, until

from limner.tools.library import remove


def once(mark: str, role: str, do: Callable[[], object]) -> Callable[[Served], None]:
    """What to do when a job asks the model as `role` for the first time."""
    done: list[object] = []

    def at(asked: Served) -> None:
        if asked.mark == mark and asked.role == role and not done:
            done.append(True)
            do()

    return at


@pytest.mark.parametrize("role", ["writer", "spotter", "selector"])
def test_postgres_cuts_all_connections(role: str, places: Callable[[str], Place], nursery: Nursery) -> None:
    """The attempt goes on with new ones: nothing is asked again, no text is told twice."""
    place = places("postgres")
    job, mark = place.submit()
    place.book.inject = once(mark, role, lambda: _cut_connections(place.database))

    assert nursery.work(job.id, place.given) == WORKED

    assert place.state(job.id) == "done"
    assert place.ledger.job(job.id).attempt == 1
    assert place.objections(job.id) == []


@pytest.mark.parametrize("role", ["writer", "selector"])
def test_postgres_is_restarted(role: str, places: Callable[[str], Place], postgres: Postgres, nursery: Nursery) -> None:
    place = places("postgres")
    job, mark = place.submit()
    place.book.inject = once(mark, role, lambda: (postgres.stop(), postgres.start()))

    assert nursery.work(job.id, place.given) == WORKED

    assert place.state(job.id) == "done"
    assert place.ledger.job(job.id).attempt == 1
    assert place.objections(job.id) == []


def test_postgres_is_gone_for_longer_than_the_lease(
    places: Callable[[str], Place], postgres: Postgres, nursery: Nursery
) -> None:
    """The worker gives the job up by itself, before the lease has lapsed; afterwards another goes on."""
    place = places("postgres")
    job, mark = place.submit()
    place.book.inject = once(mark, "selector", postgres.stop)
    try:
        assert nursery.work(job.id, place.with_lease(1)) == WORKED
    finally:
        postgres.start()
    assert place.state(job.id) == "running", "nobody could tell the database otherwise"
    place.sweep()

    assert nursery.work(job.id, place.given) == WORKED
    assert place.ledger.job(job.id).attempt == 2
    assert place.objections(job.id) == []


def _cut_connections(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# --- disks ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", megabytes=8) as folder:
        yield folder


def test_the_disk_of_the_database_is_full(
    small_disk: Path,
    new_place: NewPlace,
    calm: tuple[Undisturbed, object],
    nursery: Nursery,
) -> None:
    """Then nothing can be noted, not even that; what was noted before holds, and the job goes on when there is room."""
    database = f"sqlite:///{small_disk}/jobs.sqlite"
    with new_place(small_disk.parent / "place", database=database) as place:
        place.undisturbed = calm[0]
        job, mark = place.submit()
        filler = small_disk / "filler"
        place.book.inject = once(mark, "selector", lambda: disks.fill(filler))

        assert nursery.work(job.id, place.with_lease(1)) == WORKED
        assert place.state(job.id) == "running"
        asked = len(place.book.of(mark))
        filler.unlink()
        until(lambda: place.sweep() or place.state(job.id) == "queued", "the lease to lapse")

        assert nursery.work(job.id, place.given) == WORKED
        assert place.state(job.id) == "done"
        assert place.objections(job.id) == []
        assert len(place.book.of(mark)) > asked


def test_another_disk_is_full(here: Place, nursery: Nursery) -> None:
    """The job is parked with the reason, and goes on by itself with what it has."""
    job, mark = here.submit()
    where = Path(here.given["home"]) / "file"
    where.write_text("/dev/full")
    assert nursery.work(job.id, here.given, graph="filing") == WORKED

    parked = here.ledger.job(job.id)
    assert parked.state == "parked"
    assert "The disk is full" in parked.error
    where.write_text(str(where.with_name("text.md")))
    here.execute("UPDATE jobs SET not_before = not_before - 600 WHERE id = ?", job.id)
    here.sweep()

    assert nursery.work(job.id, here.given, graph="filing") == WORKED
    assert here.state(job.id) == "done"
    assert [s.role for s in here.book.of(mark)] == ["writer"]


# --- the library ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["writer", "spotter", "selector"])
def test_the_library_is_deleted_in_the_middle_of_a_job(role: str, here: Place, nursery: Nursery) -> None:
    """The job ends with a line that says so, or with an article that needs it no more; no worker is blamed for it."""
    job, mark = here.submit()
    here.book.inject = once(mark, role, lambda: remove(Path(here.given["home"]), "bees"))

    assert nursery.work(job.id, here.given) == WORKED

    found = here.ledger.job(job.id)
    assert found.state in ("failed", "done"), found.error
    if found.state == "failed":
        assert "library" in found.error
        assert "bees" in found.error
    assert [e.kind for e in here.ledger.events(job.id) if e.kind in ("lapsed", "set_aside")] == []
