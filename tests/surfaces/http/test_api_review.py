"""Review points over HTTP: what is asked is shown, and an answer that does not fit never reaches the job."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from lives import BRIEF, bearer, submit, take
from scripted import ARTICLE

from limner.document import read_markdown
from limner.jobs.service import Jobs
from limner.notes import Note
from limner.workflows.review import questions

QUESTION = questions.question("draft", questions.text_args(read_markdown(ARTICLE)), Note("The text."))
VERSION = QUESTION["version"]


def waiting(client: TestClient, jobs: Jobs, **headers: str) -> str:
    job = submit(client, {**BRIEF, "review": ["draft"]}, **headers)
    jobs.ledger.wait(take(jobs, job), [{"id": "i1", "value": QUESTION}])
    return job


def test_a_waiting_job_shows_its_question_and_takes_one_answer(client: TestClient, jobs: Jobs) -> None:
    job = waiting(client, jobs)
    shown = client.get(f"/v1/jobs/{job}").json()
    assert (shown["state"], shown["question"][0]["value"]) == ("waiting", QUESTION)
    assert shown["request"]["review"] == ["draft"]
    value = {"type": "response", "args": "shorter", "version": VERSION}
    taken = client.post(f"/v1/jobs/{job}/answer", json={"value": value})
    assert (taken.status_code, taken.json()["state"], taken.json()["question"]) == (200, "queued", None)
    again = client.post(f"/v1/jobs/{job}/answer", json={"value": value})
    assert again.status_code == 409
    assert "answered already" in again.json()["detail"]
    assert take(jobs, job).answer == {"value": value}


@pytest.mark.parametrize(
    ("value", "status", "why"),
    [
        ({"type": "accept", "version": "0" * 16}, 409, "earlier version"),
        ({"type": "accept"}, 422, "version: it is missing"),
        ({"type": "approve", "version": VERSION}, 422, "Choose one of: accept, edit, response, ignore"),
        ("yes", 422, "not an object"),
        (None, 422, "not an object"),
        ({"type": "edit", "args": {"args": {"text": ""}}, "version": VERSION}, 422, "text: it is empty"),
        ({"type": "edit", "args": {"args": {"text": "x" * 900_000}}, "version": VERSION}, 422, "Shorten it"),
        ({"type": ["accept"], "version": {"a": 1}}, 422, "is not known"),
        ({"type": "edit", "args": {"args": {"blocks": [{"id": 7}]}}, "version": VERSION}, 422, "blocks"),
        ({"type": "edit", "args": {"args": {"edits": [{"do": {}}]}}, "version": VERSION}, 422, "edits.0"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_job_waits_on(
    client: TestClient, jobs: Jobs, value: Any, status: int, why: str
) -> None:
    job = waiting(client, jobs)
    answer = client.post(f"/v1/jobs/{job}/answer", json={"value": value})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "waiting"


def test_another_owner_s_job_cannot_be_answered_or_seen(client: TestClient, jobs: Jobs, tokens: dict[str, str]) -> None:
    job = waiting(client, jobs, **bearer(tokens["alice"]))
    value = {"value": {"type": "accept", "version": VERSION}}
    assert client.post(f"/v1/jobs/{job}/answer", json=value, headers=bearer(tokens["bob"])).status_code == 404
    assert client.post(f"/v1/jobs/{job}/answer", json=value).status_code == 401
    assert client.post(f"/v1/jobs/{job}/answer", json=value, headers=bearer(tokens["alice"])).status_code == 200


def test_points_that_are_not_there_are_refused(client: TestClient) -> None:
    refused = client.post("/v1/jobs", json={**BRIEF, "review": ["cover"]})
    assert refused.status_code == 422
    assert "review" in refused.json()["detail"]
    refused = client.post("/v1/jobs", json={"draft": ARTICLE, "review": ["outline"]})
    assert refused.status_code == 422
    assert "draft, spots, images, final" in refused.json()["detail"]
