"""Generated images in jobs: over HTTP, and through the end of a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from house import House, built
from packages import calls, install_painters, made, source_type
from scripted import ScriptedServer, article_answers

from limner.jobs.checkpoints import checkpoints
from limner.jobs.service import Jobs
from limner.jobs.worker.runner import Runner
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.tools import generate


@pytest.fixture(autouse=True)
def _painters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a generator."""
    install_painters(tmp_path / "site", monkeypatch)


@pytest.fixture
def house(bees: Path, home: Path) -> Iterator[House]:
    with built(home) as made_:
        made_.answers = article_answers(sees=True, choose=lambda *_: 0)
        yield made_


def test_an_attempt_that_goes_on_pays_for_no_image_again(house: House) -> None:
    """The process dies when the image is there and the step that asked for it is not kept yet."""
    job = house.submit(images=2, generate="painter")
    died: list[int] = []

    def graph(context: Any, saver: Any) -> Any:
        from limner.workflows.compose import build_graph

        inner = context.generate

        def dying(*args: Any) -> Any:
            answer = inner(*args)
            if not died:
                died.append(1)
                raise RuntimeError("the process is gone")
            return answer

        context.generate = dying
        return build_graph(context, saver)

    runner: Runner = house.runner(settings={"generators": "painter"}, graph=graph)
    runner.work(job.id)
    assert (len(calls()), house.ledger.article(job.id)) == (1, None)
    runner.work(job.id)
    article = house.ledger.article(job.id)
    assert article is not None
    assert len(made(article)) == len(calls()) == 2, "the first image is the one that was made before"
    assert house.ledger.usage(job.id)["generator"].calls == 2
    assert [e.data for e in house.ledger.events(job.id) if e.step == "generate"][-1] == {"done": 2, "of": 2}


def test_http_carries_it_and_only_what_the_installation_allows(bees: Path, home: Path) -> None:
    ask = {"brief": "How bees make honey", "library": ["bees"], "images": 1, "generate": "painter", "max_generated": 1}
    with closing(Jobs(Settings(home=home))) as jobs, TestClient(create_app(jobs.settings, jobs)) as client:
        client.base_url = "http://localhost:8642"
        refused = client.post("/v1/jobs", json=ask)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:limner:problem:bad-input")
        assert "LIMNER_GENERATORS" in refused.json()["detail"]
        assert client.post("/v1/jobs", json={**ask, "max_generated": 101}).status_code == 422
    with (
        ScriptedServer(article_answers(sees=True, choose=lambda *_: 0)) as server,
        closing(Jobs(Settings(home=home, generators="painter", model_url=server.url))) as jobs,
        TestClient(create_app(jobs.settings, jobs)) as client,
    ):
        checkpoints.prepare(jobs.database)
        client.base_url = "http://localhost:8642"
        job = client.post("/v1/jobs", json=ask).json()["id"]
        Runner(jobs.settings, jobs.ledger, "w").work(job)
        article = client.get(f"/v1/jobs/{job}/article").json()["article"]
        (image,) = article["illustrations"]
        assert image["digital_source_type"] == generate.TRAINED
        file = client.get(f"/v1/jobs/{job}/images/{image['image_id']}")
        assert (file.status_code, source_type(file.content)) == (200, generate.TRAINED)
        other = client.post("/v1/jobs", json={**ask, "generate": "clear"})
        assert other.status_code == 422
