"""Postgres falls silent without closing: a network that swallows bytes. Nobody waits without an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker
from fastapi.testclient import TestClient
from nursery import WORKED, Nursery
from place import Place, WorkerProcess, until_state
from proxies import Proxy
from servers import Postgres, until
from test_outages import once

from limner.jobs.ledger.database import Database
from limner.jobs.ledger.deadline import Bounded
from limner.jobs.queue import Bell, make_app
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app


@pytest.fixture
def place(places: Callable[[str], Place]) -> Place:
    """The place on Postgres."""
    return places("postgres")


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    """Stands between Postgres and those who take its address."""
    with Proxy(postgres.port) as made:
        yield made


def behind(place: Place, proxy: Proxy, **more: Any) -> dict[str, Any]:
    """The place's settings, its database reached through the proxy."""
    return {**place.given, "database_url": proxy.of(place.given["database_url"]), **more}


@pytest.mark.parametrize("role", ["writer", "selector"])
def test_the_worker_gives_the_job_up_by_its_own_clock(role: str, place: Place, proxy: Proxy, nursery: Nursery) -> None:
    """Then its lease lapses, and another worker, whose network is well, goes on. Nothing is written twice."""
    job, mark = place.submit()
    place.book.inject = once(mark, role, proxy.fall_silent)

    # A machine that stands still for so long would let the lease lapse before anybody asked.
    assert nursery.work(job.id, behind(place, proxy, lease=6)) == WORKED
    assert proxy.silenced, "somebody asked the database in vain"
    assert place.state(job.id) == "running", "nobody could tell the database otherwise"
    until(lambda: place.sweep() or place.state(job.id) == "queued", "the lease to lapse")

    assert nursery.work(job.id, place.given) == WORKED
    assert place.ledger.job(job.id).attempt == 2
    assert place.objections(job.id) == []


def test_a_worker_s_sweeper_and_stop(place: Place, proxy: Proxy, tmp_path: Path) -> None:
    """A worker whose database is silent stops when it is told to; once it speaks again, its sweeper goes on."""
    with Broker() as broker, closing(make_app(Settings(redis_url=broker.url))) as app:
        given = behind(place, proxy, redis_url=broker.url, lease=3)
        place.book.delay = 0.5
        with WorkerProcess(given, tmp_path / "worker.log") as worker:
            job, mark = place.submit()
            place.book.inject = once(mark, "selector", proxy.fall_silent)
            Bell(app).ring(job.id, job.route)
            until(lambda: proxy.silenced >= 3, "worker and sweeper to ask in vain")
            place.book.delay = 0
            until(lambda: place.sweep() or place.state(job.id) == "queued", "another's sweep")
            proxy.speak_again()
            assert until_state(place, job.id, "done", "set_aside").state == "done"
            assert place.objections(job.id) == []

            job, mark = place.submit()
            place.book.inject = once(mark, "writer", proxy.fall_silent)
            asked = proxy.silenced
            Bell(app).ring(job.id, job.route)
            until(lambda: proxy.silenced >= asked + 3, "worker and sweeper to ask in vain")
            assert worker.stop() == 0
            until(lambda: place.sweep() or place.state(job.id) == "queued", "another's sweep")


def test_health_says_it_and_requests_end(postgres: Postgres, proxy: Proxy, home: Path) -> None:
    """In a database of its own: with another test's tokens in it, nobody would be let in without one."""
    settings = Settings(home=home, database_url=proxy.of(postgres.database("health")))
    with (
        closing(Jobs(settings)) as jobs,
        TestClient(create_app(settings, jobs), base_url="http://localhost") as client,
    ):
        assert client.get("/health").json()["database"] == "ok"
        proxy.fall_silent()
        for path in ("/health", "/v1/jobs"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert "job database" in answer.json()["detail"]
        proxy.speak_again()
        until(lambda: client.get("/health").status_code == 200, "the database to be reached again")
        assert client.get("/v1/jobs").status_code == 200


def test_the_server_gives_the_locks_of_a_silent_client_back(place: Place, proxy: Proxy) -> None:
    """A transaction whose client is cut off would else hold its rows until somebody notices."""
    job, _ = place.submit()
    settings = Settings(**behind(place, proxy))
    url = settings.database_url.get_secret_value().replace("postgresql://", "postgresql+psycopg://")
    with closing(Database(url, answer=1)) as cut_off, cut_off.engine.connect() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET done = 1 WHERE id = '{job.id}'")
        proxy.fall_silent()
        assert place.ledger.cancel(job.id).state == "cancelled"
        connection.invalidate()


def test_also_after_many_rows_at_once(place: Place, proxy: Proxy) -> None:
    """psycopg sends many rows in a pipeline, whose end lets the server forget that the transaction is idle."""
    job, _ = place.submit()
    settings = Settings(**behind(place, proxy))
    url = settings.database_url.get_secret_value()
    with closing(Bounded[Any].reach(url, answer=1)) as cut_off:
        cut_off.execute("SELECT 1 FROM jobs WHERE id = %s FOR SHARE", (job.id,))
        cut_off.execute("CREATE TEMPORARY TABLE rows (n int)")
        cursor = cut_off.cursor()
        cursor.executemany("INSERT INTO rows VALUES (%s)", [(n,) for n in range(5)])
        assert cursor.rowcount == 5
        proxy.fall_silent()
        assert place.ledger.cancel(job.id).state == "cancelled"
