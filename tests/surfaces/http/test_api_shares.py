"""One owner does his worst: whoever else asks is answered, and his own requests beyond his share are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from connected import connected_to
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import bearer, finish, serving, submit, take
from scripted import ScriptedServer
from servers import until

from limner.jobs.service import Jobs
from limner.surfaces.http.shares import SIZES, Pool
from limner.tools.encoders import default_encoders
from limner.tools.library import Library

CHANGE = {"version": 1, "instruction": {"do": "shorten", "block": "b2", "instruction": "one word"}}


@pytest.fixture
def released() -> threading.Event:
    """Set when the model may answer."""
    return threading.Event()


@pytest.fixture
def model(app: FastAPI, released: threading.Event) -> Iterator[ScriptedServer]:
    """A model that answers nobody until it is released."""

    def answer(_asked: dict[str, Any]) -> str:
        assert released.wait(120)
        return "Short."

    with connected_to(app, answer) as server:
        yield server


def owned(client: TestClient, jobs: Jobs, library: Library, token: str) -> str:
    """A finished job of an owner's."""
    made = submit(client, {"brief": "Honey"}, **bearer(token))
    finish(jobs, take(jobs, made), library)
    return made


def test_sixty_proposals_of_one_owner_hold_up_nobody(
    app: FastAPI,
    client: TestClient,
    jobs: Jobs,
    bees: Path,
    home: Path,
    tokens: dict[str, str],
    model: ScriptedServer,
    released: threading.Event,
) -> None:
    library = Library.open(home, "bees", default_encoders())
    his, hers = (owned(client, jobs, library, tokens[name]) for name in ("alice", "bob"))
    size = SIZES["models"]
    with serving(app) as url, httpx.Client(base_url=url, timeout=120) as http, ThreadPoolExecutor(61) as many:

        def propose(name: str, job: str) -> httpx.Response:
            return httpx.post(f"{url}/v1/jobs/{job}/proposals", json=CHANGE, headers=bearer(tokens[name]), timeout=120)

        try:
            asked = [many.submit(propose, "alice", his) for _ in range(60)]
            refused = 60 - size.share - size.line
            until(lambda: sum(a.done() for a in asked) == refused, "those beyond the line to be refused")
            assert {a.result().status_code for a in asked if a.done()} == {429}
            until(lambda: len(model.requests) == size.share, "his share to wait for the model")

            assert http.get("/health").status_code == 200
            assert http.get("/v1/jobs", headers=bearer(tokens["bob"])).json()["jobs"][0]["id"] == hers
            assert '"kind":"done"' in http.get(f"/v1/jobs/{hers}/events", headers=bearer(tokens["bob"])).text
            assert http.get(f"/v1/jobs/{hers}/article?format=md", headers=bearer(tokens["bob"])).status_code == 200
            assert http.get(f"/v1/jobs/{his}", headers=bearer(tokens["alice"])).status_code == 200
            hers_too = many.submit(propose, "bob", hers)
            until(lambda: len(model.requests) == size.share + 1, "her request to reach the model")
        finally:
            released.set()
        answers = [a.result() for a in (*asked, hers_too)]
    assert sorted(a.status_code for a in answers) == [200] * (size.share + size.line + 1) + [429] * refused
    told = next(a for a in answers if a.status_code == 429)
    assert int(told.headers["retry-after"]) == size.again
    assert told.json()["code"] == "too-many-at-once"


def test_no_share_is_all_of_a_pool() -> None:
    for kind, size in SIZES.items():
        assert size.share * 2 <= size.threads, kind


def test_a_line_is_forgotten_when_nobody_stands_in_it() -> None:
    async def come_and_go() -> None:
        pool = Pool(SIZES["texts"])
        assert await pool.run("alice", lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await pool.run("alice", lambda: 1 // 0)
        assert pool._lines == {}

    asyncio.run(come_and_go())
