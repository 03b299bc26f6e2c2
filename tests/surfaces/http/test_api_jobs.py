"""Jobs and batches over HTTP: what is accepted, shown, changed and refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fastapi.testclient import TestClient
from lives import BRIEF, bearer, finish, say, submit, take
from pictures import make_folder

from limner import observe
from limner.jobs.ledger import News
from limner.jobs.service import Jobs
from limner.settings import Settings

# --- one job -------------------------------------------------------------------------------------------------------


def test_a_job_is_accepted_and_shown(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=BRIEF | {"images": 3, "queue": "batch"})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == made["links"]["self"]
    shown = client.get(answer.headers["location"]).json()
    assert (shown["state"], shown["queue"], shown["title"]) == ("queued", "batch", BRIEF["brief"])
    assert shown["request"]["brief"] == BRIEF["brief"]
    assert shown["request"]["images"] == 3
    assert shown["links"]["article"] is None


class Collector(BaseHTTPRequestHandler):
    """Takes spans, and forgets them."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_a_job_belongs_to_the_trace_of_its_caller(client: TestClient, jobs: Jobs) -> None:
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever).start()
        assert observe.set_up_tracing(Settings(otlp_endpoint=f"http://127.0.0.1:{server.server_port}"))
        job = client.post("/v1/jobs", json=BRIEF, headers=headers).json()["id"]
        batch = client.post("/v1/batches", json={"jobs": [BRIEF]}, headers=headers).json()["jobs"][0]["id"]
        observe.set_up_tracing(Settings(otlp_endpoint=""))
        server.shutdown()
    for name in (job, batch):
        lease = take(jobs, name)
        assert lease.trace is not None
        assert lease.trace.split("-")[1] == "ab" * 16


def test_images_are_handed_in_and_named_as_references(
    client: TestClient, jobs: Jobs, tokens: dict[str, str], tmp_path: Path
) -> None:
    alice, bob = bearer(tokens["alice"]), bearer(tokens["bob"])
    picture = (make_folder(tmp_path, ["hive.png"]) / "hive.png").read_bytes()
    answer = client.post("/v1/images", files={"file": ("hive.png", picture)}, data={"caption": "A hive"}, headers=alice)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["caption"], made["width"], made["height"]) == ("A hive", 320, 200)
    assert client.get(made["thumbnail"], headers=alice).headers["content-type"] == "image/webp"
    assert client.get(made["thumbnail"], headers=bob).status_code == 404
    body = BRIEF | {"references": [made["image_id"]]}
    job = client.post("/v1/jobs", json=body, headers=alice)
    assert job.status_code == 201
    assert jobs.ledger.request(job.json()["id"])["references"] == [made["image_id"]]
    theirs = client.post("/v1/jobs", json=body, headers=bob)
    assert theirs.status_code == 422
    assert "POST /v1/images" in theirs.json()["detail"]
    draft = client.post("/v1/jobs", json={"draft": "# A\n\nB.\n", "references": [made["image_id"]]}, headers=alice)
    assert draft.status_code == 422
    broken = client.post("/v1/images", files={"file": ("x.png", b"no image")}, headers=alice)
    assert broken.status_code == 422


def test_the_secret_of_a_webhook_is_not_told_again(client: TestClient) -> None:
    secret = "a-secret-that-nobody-else-knows"
    hook = {"url": "https://example.com/hook", "secret": secret}
    job = submit(client, BRIEF | {"webhook": hook})
    for path in (f"/v1/jobs/{job}", "/v1/jobs", f"/v1/jobs/{job}/events.json", f"/v1/jobs/{job}/events?follow=false"):
        assert secret not in client.get(path).text


def test_progress_and_an_estimate_are_shown(client: TestClient, jobs: Jobs) -> None:
    steps = ("write", "spot", "retrieve", "select", "arrange")
    lease = take(jobs, submit(client))
    for step in steps:
        jobs.ledger.append(lease, [News("step", step, once=step)], step=step, finished=(step, 10.0))
    finish(jobs, lease)
    job = submit(client)
    jobs.ledger.append(take(jobs, job), [News("step", "select", once="s")], step="select", done=1, of=3)
    shown = client.get(f"/v1/jobs/{job}").json()
    assert (shown["step"], shown["done"], shown["of"]) == ("select", 1, 3)
    assert shown["progress"].startswith("choosing images 1 of 3")
    assert 20 < shown["remaining"] <= 30  # two spots and arrange, ten seconds each
    assert (shown["stuck"], shown["ended"]) == (False, False)


def test_a_running_job_of_which_nothing_is_heard_is_stuck(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    take(jobs, job)
    with jobs.database.write() as c:
        c.exec_driver_sql("UPDATE jobs SET last_event = last_event - 1000")
    shown = client.get(f"/v1/jobs/{job}").json()
    assert shown["stuck"]
    assert "nothing heard" in shown["progress"]
    assert shown["remaining"] is None


@pytest.mark.parametrize("method", ["get", "delete", "cancel", "retry", "answer", "article", "events", "events.json"])
def test_an_unknown_job_is_404(client: TestClient, method: str) -> None:
    base = "/v1/jobs/no-such-job"
    answer = {
        "get": lambda: client.get(base),
        "delete": lambda: client.delete(base),
        "cancel": lambda: client.post(f"{base}/cancel"),
        "retry": lambda: client.post(f"{base}/retry"),
        "answer": lambda: client.post(f"{base}/answer", json={"value": 1}),
    }.get(method, lambda: client.get(f"{base}/{method}"))()
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:limner:problem:job-unknown"
    assert "no-such-job" in answer.json()["detail"]


def test_cancelled_twice_is_cancelled(client: TestClient) -> None:
    job = submit(client)
    for _ in range(2):
        answer = client.post(f"/v1/jobs/{job}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    events = client.get(f"/v1/jobs/{job}/events.json").json()
    assert [e["kind"] for e in events["events"]] == ["queued", "cancelled"]


def test_a_finished_job_cannot_be_cancelled(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    finish(jobs, take(jobs, job))
    answer = client.post(f"/v1/jobs/{job}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (409, 409)


def test_retry_while_running_is_409_and_of_a_failed_job_puts_it_back(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    lease = take(jobs, job)
    assert client.post(f"/v1/jobs/{job}/retry").status_code == 409
    jobs.ledger.fail(lease, "The model is gone. Start it.")
    assert client.get(f"/v1/jobs/{job}").json()["error"] == "The model is gone. Start it."
    again = client.post(f"/v1/jobs/{job}/retry")
    assert (again.status_code, again.json()["state"], again.json()["error"]) == (200, "queued", "")


def test_a_retry_raises_the_limits(client: TestClient, jobs: Jobs) -> None:
    job = submit(client, {**BRIEF, "max_cost": 1})
    jobs.ledger.fail(take(jobs, job), "The limit is met.")
    for wrong in ({"max_cost": 0}, {"max_tokens": 0}, {"max_price": 2}):
        assert client.post(f"/v1/jobs/{job}/retry", json=wrong).status_code == 422
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "failed"
    assert client.post(f"/v1/jobs/{job}/retry", json={"max_cost": 2.5}).json()["state"] == "queued"
    request = client.get(f"/v1/jobs/{job}").json()["request"]
    assert (request["max_cost"], request["max_tokens"]) == (2.5, None)


def test_a_question_is_answered_once(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    jobs.ledger.wait(take(jobs, job), {"ask": "Is it good?"})
    assert client.get(f"/v1/jobs/{job}").json()["question"] == {"ask": "Is it good?"}
    assert client.post(f"/v1/jobs/{job}/answer", json={"value": ["yes", None]}).json()["state"] == "queued"
    assert client.post(f"/v1/jobs/{job}/answer", json={"value": "no"}).status_code == 409
    assert take(jobs, job).answer == {"value": ["yes", None]}


def test_a_result_before_it_is_there_is_409_with_the_reason(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    assert "queued" in client.get(f"/v1/jobs/{job}/article").json()["detail"]
    jobs.ledger.fail(take(jobs, job), "The draft is of no use. Give another.")
    answer = client.get(f"/v1/jobs/{job}/article?format=zip")
    assert answer.status_code == 409
    assert "The draft is of no use" in answer.json()["detail"]


def test_a_deleted_job_is_gone(client: TestClient, jobs: Jobs) -> None:
    job = submit(client)
    lease = take(jobs, job)
    say(jobs, lease, 3)
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert client.get(f"/v1/jobs/{job}").status_code == 404
    assert client.delete(f"/v1/jobs/{job}").status_code == 404
    assert client.get("/v1/jobs").json()["jobs"] == []


# --- lists ---------------------------------------------------------------------------------------------------------


def test_pages_show_each_job_once_newest_first(client: TestClient) -> None:
    ids = [submit(client, {"brief": f"Article {n}"}) for n in range(7)]
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get("/v1/jobs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
        submit(client, {"brief": "one that comes while pages are turned"})
    assert seen == ids[::-1]


def test_jobs_are_found_by_state_queue_and_words(client: TestClient) -> None:
    bees, glass = submit(client), submit(client, {"brief": "How GLASS is blown", "queue": "batch"})
    client.post(f"/v1/jobs/{bees}/cancel")

    def found(**only: Any) -> list[str]:
        return [job["id"] for job in client.get("/v1/jobs", params=only).json()["jobs"]]

    assert found(state="cancelled") == [bees]
    assert found(state=["cancelled", "queued"]) == [glass, bees]
    assert found(queue="batch") == [glass]
    assert found(search="glass") == [glass]
    assert found(search="%") == []
    assert found(batch="none") == []


@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "WzEsMl0", "W05hTiwgIngiXQ", "é", "W1tbW1tb"])
def test_a_cursor_that_was_not_given_out_is_refused(client: TestClient, cursor: str) -> None:
    answer = client.get("/v1/jobs", params={"cursor": cursor})
    assert answer.status_code == 422
    assert "cursor" in answer.json()["detail"]


# --- idempotency ---------------------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_job(client: TestClient) -> None:
    headers = {"Idempotency-Key": "one"}
    first = client.post("/v1/jobs", json=BRIEF, headers=headers)
    second = client.post("/v1/jobs", json=BRIEF, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["location"] == second.headers["location"]
    other = client.post("/v1/jobs", json={"brief": "Another"}, headers=headers)
    assert other.status_code == 409
    assert "one" in other.json()["detail"]


def test_twenty_posts_of_a_key_at_once_make_one_job(client: TestClient) -> None:
    def post(_: int) -> tuple[int, str]:
        answer = client.post("/v1/jobs", json=BRIEF, headers={"Idempotency-Key": "k"})
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert len({job for _, job in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_keys_are_the_owners_own(client: TestClient, tokens: dict[str, str]) -> None:
    ids = {submit(client, **bearer(token), **{"Idempotency-Key": "same"}) for token in tokens.values()}
    assert len(ids) == 2


# --- batches -------------------------------------------------------------------------------------------------------


def test_a_batch_is_shown_by_states(client: TestClient) -> None:
    answer = client.post("/v1/batches", json={"jobs": [{"brief": f"Article {n}"} for n in range(5)]})
    assert answer.status_code == 201
    batch = answer.json()
    assert (batch["total"], batch["states"]) == (5, {"queued": 5})
    client.post(f"/v1/jobs/{batch['jobs'][0]['id']}/cancel")
    submit(client)  # of no batch
    shown = client.get(answer.headers["location"], params={"limit": 2}).json()
    assert (shown["states"], shown["ended"]) == ({"queued": 4, "cancelled": 1}, 1)
    assert len(shown["jobs"]) == 2
    rest = client.get(answer.headers["location"], params={"limit": 10, "cursor": shown["next"]}).json()
    assert {j["id"] for j in shown["jobs"] + rest["jobs"]} == {j["id"] for j in batch["jobs"]}
    assert client.get("/v1/batches/none").status_code == 404


@pytest.mark.parametrize(
    "bad",
    [
        {"brief": ""},
        {"brief": "!!!"},
        {},
        {"brief": "x", "draft": "y"},
        {"brief": "x", "library": ["no-such"]},
        {"brief": "x", "colour": "red"},
        {"brief": "x", "images": 101},
    ],
)
def test_a_batch_is_taken_whole_or_not_at_all(client: TestClient, bad: dict[str, Any]) -> None:
    answer = client.post("/v1/batches", json={"jobs": [BRIEF, BRIEF, bad]})
    assert answer.status_code == (404 if "library" in bad else 422)
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_batch_sent_again_under_its_key_is_the_same_batch(client: TestClient) -> None:
    body = {"jobs": [{"brief": f"Article {n}"} for n in range(3)]}
    first = client.post("/v1/batches", json=body, headers={"Idempotency-Key": "b"})
    second = client.post("/v1/batches", json=body, headers={"Idempotency-Key": "b"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    body["jobs"][2]["brief"] = "changed"
    assert client.post("/v1/batches", json=body, headers={"Idempotency-Key": "b"}).status_code == 409
    assert len(client.get("/v1/jobs").json()["jobs"]) == 3


def test_a_batch_of_ten_thousand_is_refused_with_the_limit(client: TestClient) -> None:
    answer = client.post("/v1/batches", json={"jobs": [{"brief": "Bees"}] * 10_000})
    assert answer.status_code == 422
    assert "1000" in answer.json()["detail"]
    assert client.get("/v1/jobs").json()["jobs"] == []


# --- limits --------------------------------------------------------------------------------------------------------


def test_too_many_jobs_a_minute_are_429_with_retry_after(
    client: TestClient, jobs: Jobs, tokens: dict[str, str]
) -> None:
    jobs.owners.limit("alice", jobs_a_minute=3)
    alice = bearer(tokens["alice"])
    assert client.post("/v1/batches", json={"jobs": [BRIEF] * 4}, headers=alice).status_code == 429
    for _ in range(3):
        submit(client, **alice)
    refused = client.post("/v1/jobs", json=BRIEF, headers=alice)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert "3 jobs a minute" in refused.json()["detail"]
    submit(client, **bearer(tokens["bob"]))
    assert len(client.get("/v1/jobs", headers=alice).json()["jobs"]) == 3


def test_ten_megabytes_of_brief_are_413(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json={"brief": "bees " * 2_000_000})
    assert answer.status_code == 413
    assert "8,000,000" in answer.json()["detail"]


def test_a_draft_longer_than_may_be_is_422_in_one_line(client: TestClient) -> None:
    for address in ("/v1/jobs", "/v1/plan"):
        answer = client.post(address, json={"draft": "> " * 500_000})
        assert answer.status_code == 422
        told = answer.text
        assert "800000" in told.replace(",", "")
        assert "> > >" not in told
        assert len(told) < 2_000


def test_a_brief_longer_than_may_be_is_422_and_not_repeated(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json={"brief": "bees " * 50_000})
    assert answer.status_code == 422
    assert "brief" in answer.json()["detail"]
    assert "bees bees" not in answer.text


# --- bodies that are none ------------------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"", JSON, "body"),
        (b"{", JSON, "not JSON"),
        (b'{"brief": "\xff"}', JSON, "UTF-8"),
        (b"[" * 100_000, JSON, "JSON"),
        (b'{"brief": ' + b"1" * 10_000 + b"}", JSON, "JSON"),
        (b'{"brief": "\\ud800"}', JSON, "brief"),
        (b'{"brief": "x", "seed": NaN}', JSON, "seed"),
        (b'{"brief": "x", "seed": 1e400}', JSON, "seed"),
        (b'{"brief": "x"}', {"Content-Type": "text/plain"}, "application/json"),
        (b'["x"]', JSON, "body"),
        (b"null", JSON, "body"),
        (b'{"brief": "x", "brief ": 1}', JSON, "brief "),
        (b'{"brief": "x", "webhook": {"url": "http://x/", "secret": "short"}}', JSON, "webhook.secret"),
    ],
)
def test_a_body_of_another_kind_is_refused_in_one_line(
    client: TestClient, body: bytes, headers: dict[str, str], said: str
) -> None:
    answer = client.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    detail = answer.json()["detail"]
    assert said in detail
    assert "\n" not in detail
    assert len(detail) < 400


def test_an_answer_nested_to_the_limit_is_taken_or_refused(client: TestClient, jobs: Jobs) -> None:
    for depth in (50, 400, 700, 900, 960, 990):
        job = submit(client)
        jobs.ledger.wait(take(jobs, job), "?")
        body = b'{"value": ' + b"[" * depth + b"]" * depth + b"}"
        answer = client.post(f"/v1/jobs/{job}/answer", content=body, headers=JSON)
        assert answer.status_code in ((200,) if depth == 50 else (200, 400, 422))
        assert client.get(f"/v1/jobs/{job}").json()["state"] == ("queued" if answer.is_success else "waiting")


def test_text_with_nul_is_kept_or_refused(client: TestClient) -> None:
    for body in ({"brief": "Bees\0and honey"}, {"draft": "# Bees\0\n\nThey\0 fly.\n"}):
        answer = client.post("/v1/jobs", json=body)
        assert answer.status_code in (201, 422)
    assert client.get("/v1/jobs/a%00b").status_code == 422
    assert client.get("/v1/jobs", params={"search": "a\0b"}).status_code == 422
