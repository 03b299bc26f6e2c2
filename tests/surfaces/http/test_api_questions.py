"""Questions over HTTP: the answer, its cost, what is refused before a model is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from connected import connected_to
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import finish, submit, take
from scripted import ScriptedServer, asking, by_colour, images_of

from limner.agents.meter import Usage
from limner.jobs.service import Jobs
from limner.tools.encoders import default_encoders
from limner.tools.library import Library


@pytest.fixture
def job(client: TestClient, jobs: Jobs, bees: Path, home: Path) -> str:
    """A finished job: b1 # Honey, b2 with i0, b3 with i1, b4."""
    made = submit(client, {"brief": "Honey", "library": ["bees"]})
    finish(jobs, take(jobs, made), Library.open(home, "bees", default_encoders()))
    return made


@pytest.fixture
def seer(app: FastAPI) -> Iterator[ScriptedServer]:
    """A model that sees, and says of everything that it is a bee."""

    def answer(body: dict[str, Any]) -> str:
        rests = [{"block": 2, "quote": ""}, {"block": 99, "quote": ""}]
        return by_colour(body) if asking(body) == "probe" else json.dumps({"answer": "A bee.", "rests_on": rests})

    with connected_to(app, answer) as server:
        yield server


def test_an_answer_and_its_cost(client: TestClient, jobs: Jobs, job: str, seer: ScriptedServer) -> None:
    answer = client.post(f"/v1/jobs/{job}/questions", json={"question": "¿Qué muestra?", "pictures": [1]})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["text"], said["version"], said["notes"]) == ("A bee.", 1, [])
    assert said["blocks"] == [{"block": "b2", "quote": ""}]
    assert [(p["number"], p["id"]) for p in said["pictures"]] == [(1, "i0")]
    assert len(images_of(seer.requests[-1])) == 1
    assert jobs.ledger.job(job).spent == jobs.ledger.spent_today("local")[0] == said["spent"] > 0
    assert client.get(f"/v1/jobs/{job}/revision").json()["version"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"question": ""}, 422),
        ({"question": " "}, 422),
        ({"question": "x" * 1_000_000}, 422),
        ({"question": "What?", "pictures": [0]}, 422),
        ({"question": "What?", "pictures": [3]}, 422),
        ({"question": "What?", "pictures": ["/etc/passwd"]}, 422),
        ({"question": "What?", "pictures": list(range(1, 10))}, 422),
        ({"question": "What?", "more": 1}, 422),
        ({}, 422),
    ],
)
def test_what_is_no_question_asks_nobody(
    client: TestClient, job: str, seer: ScriptedServer, body: dict[str, Any], status: int
) -> None:
    answer = client.post(f"/v1/jobs/{job}/questions", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.text) < 3000
    assert seer.requests == []


def test_before_there_is_an_article_and_after_the_days_tokens(
    client: TestClient, jobs: Jobs, job: str, seer: ScriptedServer
) -> None:
    queued = submit(client, {"brief": "Wax", "library": ["bees"]})
    assert client.post(f"/v1/jobs/{queued}/questions", json={"question": "What?"}).status_code == 409
    jobs.owners.limit("local", tokens_a_day=1)
    jobs.ledger.paid(job, "ask", {"answerer": Usage(1, 100, 20)})
    refused = client.post(f"/v1/jobs/{job}/questions", json={"question": "What?"})
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert seer.requests == []
