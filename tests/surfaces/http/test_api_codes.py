"""A client decides by code: each refusal that it may want to act on has one of its own, with what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from lives import BRIEF, finish, submit, take

from limner.jobs.service import Jobs
from limner.notes import Note
from limner.tools.encoders import default_encoders
from limner.tools.library import Library
from limner.workflows.review import questions

QUESTION = questions.question("outline", questions.outline_args("# Honey"), Note("The outline."))


@pytest.fixture
def made(client: TestClient, jobs: Jobs, bees: Path, home: Path) -> dict[str, str]:
    """A job that waits in its queue, one that is done, at version 2, and one that asks."""
    done = submit(client, {"brief": "Honey", "library": ["bees"]})
    finish(jobs, take(jobs, done), Library.open(home, "bees", default_encoders()))
    edits = [{"do": "set_title", "title": "Sweet"}]
    assert client.post(f"/v1/jobs/{done}/edits", json={"version": 1, "edits": edits}).status_code == 200
    asks = submit(client, {**BRIEF, "review": ["outline"]})
    jobs.ledger.wait(take(jobs, asks), [{"id": "i1", "value": QUESTION}])
    return {"done": done, "asks": asks, "queued": submit(client, BRIEF)}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "about"),
    [
        ("GET", "/v1/jobs/{queued}/article", None, 409, "no-article-yet", {"state": "queued"}),
        ("GET", "/v1/jobs/{queued}/revision", None, 409, "revise-unfinished", {"state": "queued"}),
        ("GET", "/v1/jobs/{asks}/revision", None, 409, "revise-waiting", {"state": "waiting"}),
        ("POST", "/v1/jobs/{queued}/retry", None, 409, "retry-unended", {"state": "queued"}),
        ("POST", "/v1/jobs/{asks}/retry", None, 409, "retry-waiting", {"state": "waiting"}),
        ("POST", "/v1/jobs/{done}/retry", None, 409, "retry-done", {"state": "done"}),
        ("POST", "/v1/jobs/{done}/cancel", None, 409, "cannot-cancel", {"state": "done"}),
        (
            "POST",
            "/v1/jobs/{done}/edits",
            {"version": 1, "edits": []},
            409,
            "version-behind",
            {"head": 2, "version": 1},
        ),
        ("POST", "/v1/jobs/{asks}/answer", {"value": "yes"}, 422, "answer-shape", {}),
        ("POST", "/v1/jobs/{asks}/answer", {"value": {"type": "nod"}}, 422, "answer-field", {"field": "type"}),
        ("POST", "/v1/jobs/{asks}/answer", {"value": {"type": "accept"}}, 422, "answer-version-missing", {}),
        ("GET", "/v1/batches/none", None, 404, "no-batch", {"batch": "none"}),
        ("GET", "/v1/jobs?cursor=x", None, 422, "cursor-unknown", {}),
        ("POST", "/v1/jobs", {"draft": "A.", "sources": [{"name": "n", "text": "t"}]}, 422, "draft-alone", {}),
        ("POST", "/v1/jobs", {"brief": "A.", "references": ["0" * 32]}, 422, "no-upload", {"image": "0" * 32}),
    ],
)
def test_a_refusal_says_by_code_what_is_wrong(
    client: TestClient, made: dict[str, str], method: str, path: str, body: Any, status: int, code: str, about: Any
) -> None:
    problem = client.request(method, path.format(**made), json=body)
    assert (problem.status_code, problem.json()["code"]) == (status, code), problem.text
    assert about.items() <= problem.json()["params"].items()


def test_a_key_that_was_used_for_another_request_names_its_job(client: TestClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    job = client.post("/v1/jobs", json=BRIEF, headers=key).json()["id"]
    problem = client.post("/v1/jobs", json={"brief": "Another"}, headers=key).json()
    assert (problem["code"], problem["params"]) == ("key-used", {"key": "k-1", "job": job})
