"""What Postgres does otherwise than SQLite: text and numbers that it refuses, writers at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from lives import BRIEF, client_of, finish, say, submit, take
from servers import Postgres, postgres_programs

from limner.jobs.checkpoints import checkpoints
from limner.jobs.service import Jobs
from limner.settings import Settings

JSON = {"Content-Type": "application/json"}
pytestmark = pytest.mark.skipif(postgres_programs() is None, reason="Postgres is not installed")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A Postgres of its own."""
    with Postgres() as server:
        yield server


@pytest.fixture
def jobs(home: Path, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Jobs]:
    """Jobs in a database of this test."""
    name = f"d{abs(hash(request.node.name))}"
    with closing(Jobs(Settings(home=home, database_url=postgres.database(name)))) as made:
        yield made


@pytest.fixture
def client(jobs: Jobs) -> Iterator[TestClient]:
    """Asks the application."""
    with client_of(jobs) as made:
        yield made


def test_what_it_cannot_store_is_refused_in_one_line(client: TestClient, jobs: Jobs) -> None:
    answer = client.post("/v1/jobs", json={"draft": "# Bees\0 and honey\n\nThey\0 fly.\n"})
    assert answer.status_code in (201, 422), answer.text
    job = submit(client)
    jobs.ledger.wait(take(jobs, job), "?")
    for value in (b"NaN", b"Infinity"):
        refused = client.post(f"/v1/jobs/{job}/answer", content=b'{"value": ' + value + b"}", headers=JSON)
        assert refused.status_code == 422, value
        assert "NaN" in refused.json()["detail"]
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "waiting"
    for value in (b'"a\\u0000b"', b'"\\ud800"'):  # as JSON they can be kept
        answer = client.post(f"/v1/jobs/{job}/answer", content=b'{"value": ' + value + b"}", headers=JSON)
        assert answer.status_code == 200, value
        jobs.ledger.wait(take(jobs, job), "?")
    assert client.get("/v1/jobs", params={"search": "bees%_"}).json()["jobs"] == []


def test_a_life_and_its_events(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    lease = take(jobs, job)
    say(jobs, lease, 20)
    finish(jobs, lease)
    text = client.get(f"/v1/jobs/{job}/events").text  # follows, and the job has ended
    assert text.count("\nid: ") == 23
    page = client.get("/v1/jobs", params={"limit": 1}).json()
    submit(client, {"brief": "Glass"})
    assert client.get("/v1/jobs", params={"limit": 1}).json()["next"]
    assert page["next"] is None
    assert client.get("/metrics").status_code == 200
    assert client.get("/v1/me").json()["spent_today"] == 0
    assert client.get("/health").json()["database"] == "ok"
    assert client.delete(f"/v1/jobs/{job}").status_code == 204  # though no worker has made the checkpoints' tables
    checkpoints.prepare(jobs.database)
    assert client.delete(f"/v1/jobs/{submit(client)}").status_code == 204


def test_twenty_posts_of_a_key_at_once_make_one_job(client: TestClient) -> None:
    def post(_: int) -> tuple[int, str]:
        answer = client.post("/v1/jobs", json=BRIEF, headers={"Idempotency-Key": "k"})
        return answer.status_code, answer.json().get("id", answer.text)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert len({job for _, job in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
