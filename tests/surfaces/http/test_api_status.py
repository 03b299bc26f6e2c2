"""Health, metrics, who one is, and the page."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.testclient import TestClient
from lives import bearer, finish, say, submit, take
from prometheus_client.parser import text_string_to_metric_families

from limner.agents.meter import Usage
from limner.jobs.ledger import BUCKETS, News
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import WEB, create_app
from limner.surfaces.http.server import Server


def test_health_names_what_is_there(client: TestClient, jobs: Jobs) -> None:
    first = client.get("/health").json()
    assert (first["status"], first["database"], first["broker"], first["workers"]) == (
        "degraded",
        "ok",
        "unreachable",
        0,
    )
    jobs.ledger.saw("here/1/1")
    jobs.ledger.saw("here/1/1")
    jobs.ledger.saw("there/1/1")
    assert client.get("/health").json()["workers"] == 2
    with jobs.database.write() as c:
        c.exec_driver_sql("UPDATE workers SET seen = seen - 1000 WHERE name = 'there/1/1'")
    assert client.get("/health").json()["workers"] == 1
    assert "here" not in client.get("/health").text


def test_metrics_are_not_for_tenants(client: TestClient, tokens: dict[str, str]) -> None:
    answer = client.get("/metrics", headers=bearer(tokens["alice"]))
    assert answer.status_code == 401
    assert "LIMNER_TOKEN" in answer.json()["detail"]


def test_metrics_are_what_was_counted(client: TestClient, jobs: Jobs) -> None:
    lease = take(jobs, submit(client))
    for n, seconds in enumerate((0.2, 0.2, 7, 1e6)):
        jobs.ledger.append(lease, [News("step", "select", once=f"s{n}")], finished=("select", seconds))
    jobs.ledger.keep(lease, "write", "writer", "d", "answer", Usage(1, 100, 20, 30), 1)
    finish(jobs, lease)
    submit(client, {"brief": "Glass", "queue": "batch"})
    families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}

    def value(family: str, sample: str, **labels: str) -> float:
        (found,) = [s.value for s in families[family].samples if s.name == sample and s.labels == labels]
        return found

    assert value("limner_jobs_submitted", "limner_jobs_submitted_total", queue="interactive") == 1
    assert value("limner_jobs_ended", "limner_jobs_ended_total", queue="interactive", state="done") == 1
    assert value("limner_jobs", "limner_jobs", queue="batch", state="queued") == 1
    assert value("limner_model_tokens", "limner_model_tokens_total", role="writer", kind="prompt") == 100
    assert value("limner_step_seconds", "limner_step_seconds_bucket", step="select", le="0.1") == 0
    assert value("limner_step_seconds", "limner_step_seconds_bucket", step="select", le="0.5") == 2
    assert value("limner_step_seconds", "limner_step_seconds_bucket", step="select", le="10") == 3
    assert value("limner_step_seconds", "limner_step_seconds_bucket", step="select", le="+Inf") == 4
    assert value("limner_step_seconds", "limner_step_seconds_count", step="select") == 4
    assert value("limner_step_seconds", "limner_step_seconds_sum", step="select") == pytest.approx(1000007.4)
    assert value("limner_watchers", "limner_watchers") == 0
    assert families["limner_step_seconds"].type == "histogram"
    assert len(BUCKETS) + 1 == sum(
        s.name.endswith("_bucket") and s.labels["step"] == "select" for s in families["limner_step_seconds"].samples
    )


def test_me_says_what_is_left(client: TestClient, jobs: Jobs, tokens: dict[str, str]) -> None:
    jobs.owners.limit("alice", jobs_at_a_time=4, tokens_a_day=1000, dollars_a_day=2.5)
    alice = bearer(tokens["alice"])
    lease = take(jobs, submit(client, **alice))
    jobs.ledger.keep(lease, "write", "writer", "d", "answer", Usage(1, 100, 20, 0), 1)
    with jobs.database.write() as c:
        c.exec_driver_sql("UPDATE calls SET at = at - 86400")
    jobs.ledger.keep(lease, "write", "writer", "e", "answer", Usage(1, 200, 50, 0, cost=0.5), 2)
    client.delete(f"/v1/jobs/{lease.job}", headers=alice)
    assert client.get("/v1/me", headers=alice).json() == {
        "owner": "alice",
        "who": "alice",
        "libraries": ["bees"],
        "jobs_at_a_time": 4,
        "jobs_a_minute": None,
        "tokens_a_day": 1000,
        "dollars_a_day": 2.5,
        "spent_today": 250,
        "cost_today": 0.5,
    }
    assert client.get("/v1/me", headers=bearer(tokens["bob"])).json()["spent_today"] == 0


def test_the_page_is_served_whole_and_has_nothing_inline(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "/static/app.js" in parts
    for part in parts:
        assert client.get(part).status_code == 200, part
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", page.text)
    own = [f for f in WEB.rglob("*.js") if "vendor" not in f.parts]
    assert len(own) > 10
    for script in own:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script.read_text("utf-8")
        ), script.name


def test_nothing_but_the_page_is_static(client: TestClient) -> None:
    for path in ("/static/../jobs/ledger.py", "/static/..%2fjobs%2fledger.py", "/static/", "/static/%00", "/static/x"):
        assert client.get(path).status_code in (404, 400), path


def test_an_application_without_jobs_opens_and_closes_its_own(home) -> None:
    with TestClient(create_app(Settings(home=home)), base_url="http://localhost") as client:
        job = submit(client)
    with TestClient(create_app(Settings(home=home)), base_url="http://localhost") as client:
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "queued"


def test_every_text_from_outside_comes_back_as_it_was(client: TestClient, jobs: Jobs) -> None:
    title = "<script>alert(1)</script> “蜂” \u202e"
    job = submit(client, {"brief": title})
    say(jobs, take(jobs, job), 1)
    assert title.strip() in client.get(f"/v1/jobs/{job}").json()["request"]["brief"]
    assert client.get("/v1/jobs").headers["content-type"] == "application/json"


def test_clients_end_idle_connections_first(client: TestClient) -> None:
    """Else a request can meet a connection that the server is closing."""
    assert Server(client.app).config.timeout_keep_alive > (httpx.Limits().keepalive_expiry or 0)  # type: ignore[arg-type]
