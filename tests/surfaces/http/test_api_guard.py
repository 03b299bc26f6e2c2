"""Who gets in: every route there is, without a token, with another's, under a foreign name. Routes are listed from the
application, so a new one is covered or fails here."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import BRIEF, bearer, finish, serving, submit, take

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.surfaces.http.guard import MAX_BODY
from limner.tools.encoders import default_encoders
from limner.tools.library import Library

OPEN = {("GET", "/"), ("GET", "/health"), ("GET", "/static/app.js")}
SIGNED = {("GET", "/v1/shared/{job}/{library}/{image_id}")}  # the signature in the address stands for a token
OWNED = {  # of a job, batch or library: 404 for all but its owner
    ("GET", "/v1/jobs/{job}"),
    ("DELETE", "/v1/jobs/{job}"),
    ("POST", "/v1/jobs/{job}/cancel"),
    ("POST", "/v1/jobs/{job}/retry"),
    ("POST", "/v1/jobs/{job}/answer"),
    ("GET", "/v1/jobs/{job}/events"),
    ("GET", "/v1/jobs/{job}/events.json"),
    ("GET", "/v1/jobs/{job}/article"),
    ("GET", "/v1/jobs/{job}/images/{image_id}"),
    ("GET", "/v1/jobs/{job}/revision"),
    ("POST", "/v1/jobs/{job}/edits"),
    ("POST", "/v1/jobs/{job}/undo"),
    ("POST", "/v1/jobs/{job}/redo"),
    ("POST", "/v1/jobs/{job}/go"),
    ("GET", "/v1/jobs/{job}/versions"),
    ("GET", "/v1/jobs/{job}/versions/{number}"),
    ("GET", "/v1/jobs/{job}/compare"),
    ("GET", "/v1/jobs/{job}/candidates"),
    ("POST", "/v1/jobs/{job}/images"),
    ("POST", "/v1/jobs/{job}/proposals"),
    ("POST", "/v1/jobs/{job}/questions"),
    ("GET", "/v1/batches/{batch}"),
    ("GET", "/v1/libraries/{name}"),
    ("GET", "/v1/libraries/{name}/search"),
    ("POST", "/v1/libraries/{name}/search"),
    ("GET", "/v1/libraries/{name}/images"),
    ("GET", "/v1/libraries/{name}/images/{image_id}"),
    ("GET", "/v1/libraries/{name}/images/{image_id}/words"),
    ("PATCH", "/v1/libraries/{name}/images/{image_id}/words"),
    ("GET", "/v1/libraries/{name}/captions"),
    ("POST", "/v1/libraries/{name}/captions"),
    ("DELETE", "/v1/libraries/{name}/captions"),
    ("DELETE", "/v1/images/{image_id}"),
}
SHARED = {  # the same for all who have a token, or showing what is the asker's alone
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/batches"),
    ("GET", "/v1/sample"),
    ("GET", "/v1/libraries"),
    ("POST", "/v1/images"),
    ("GET", "/v1/images"),
    ("POST", "/v1/plan"),
    ("GET", "/v1/me"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
}
BODIES: dict[str, Any] = {
    "/v1/jobs": BRIEF,
    "/v1/batches": {"jobs": [BRIEF]},
    "/v1/jobs/{job}/answer": {"value": 1},
    "/v1/jobs/{job}/edits": {"version": 1, "edits": [{"do": "set_text", "block": "b2", "text": "Bees drink nectar."}]},
    "/v1/jobs/{job}/undo": {"version": 1},
    "/v1/jobs/{job}/redo": {"version": 1},
    "/v1/jobs/{job}/go": {"version": 1, "to": 1},
    "/v1/jobs/{job}/proposals": {"version": 1, "instruction": {"do": "instruct", "text": "Shorter."}},
    "/v1/jobs/{job}/questions": {"question": "What does this show?", "pictures": [99]},
    "/v1/plan": BRIEF,
    "/v1/libraries/{name}/images/{image_id}/words": {"caption": "A hive"},
    "/v1/libraries/{name}/captions": {"limit": 1},
}
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
QUERIES = {
    "/v1/libraries/{name}/search": {"q": "honey"},
    "/v1/jobs/{job}/events": {"follow": "false"},
    "/v1/jobs/{job}/compare": {"a": "1", "b": "1"},
    "/v1/jobs/{job}/candidates": {"caption": "honey"},
}


def walk(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """(method, path) of every route, however it was added."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from walk(route.original_router.routes)
        elif getattr(route, "methods", None):
            yield from ((method, route.path) for method in route.methods if method != "HEAD")
        else:  # a mounted folder
            yield "GET", f"{route.path}/app.js"


@pytest.fixture(scope="module")
def every() -> list[tuple[str, str]]:
    """All routes of an application."""
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        app = create_app(Settings(home=Path(home)))
        app.state.parts.jobs.close()
        return sorted(walk(app.routes))


@pytest.fixture
def hers(client: TestClient, jobs: Jobs, tokens: dict[str, str], bees: Path) -> dict[str, str]:
    """What is alice's: path parameters of a finished job, its batch, her library and an image in both."""
    alice = bearer(tokens["alice"])
    batch = client.post("/v1/batches", json={"jobs": [BRIEF | {"library": ["bees"]}]}, headers=alice).json()
    library = Library.open(jobs.settings.home, "bees", default_encoders())
    job = batch["jobs"][0]["id"]
    finish(jobs, take(jobs, job), library)
    return {"job": job, "batch": batch["id"], "name": "bees", "image_id": library.records()[0].id}


def ask(client: TestClient, method: str, path: str, parameters: dict[str, str], headers: dict[str, str]) -> Any:
    """A request that would be answered, if it may be sent."""
    search = QUERIES.get(path, {})
    parameters = {"number": "1", **parameters}
    if (method, path) in SIGNED:
        search = {"expires": "4000000000", "signature": "0" * 64}
        parameters = {**parameters, "library": parameters["name"]}
    address = path.format(**parameters)
    if (method, path) in {("POST", "/v1/jobs/{job}/images"), ("POST", "/v1/libraries/{name}/search")}:
        return client.request(method, address, files={"file": ("dot.png", DOT)}, headers=headers)
    return client.request(method, address, json=BODIES.get(path), params=search, headers=headers)


def test_every_route_is_in_one_list(every: list[tuple[str, str]]) -> None:
    assert set(every) == OPEN | SIGNED | OWNED | SHARED
    assert len(OPEN | SIGNED | OWNED | SHARED) == len(OPEN) + len(SIGNED) + len(OWNED) + len(SHARED)


def test_every_route_but_the_open_ones_wants_a_token(
    client: TestClient, every: list[tuple[str, str]], hers: dict[str, str], tokens: dict[str, str]
) -> None:
    for method, path in every:
        for headers in ({}, bearer("limner_wrong"), bearer(""), {"Authorization": f"Basic {tokens['alice']}"}):
            answer = ask(client, method, path, hers, headers)
            if (method, path) in OPEN:
                assert answer.status_code in (200, 404), path  # 404: /static is a folder
            elif (method, path) in SIGNED:
                assert answer.status_code in (401, 422), path
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/no/such/route").status_code == 401


def test_what_is_alices_is_not_there_for_bob(
    client: TestClient, every: list[tuple[str, str]], hers: dict[str, str], tokens: dict[str, str]
) -> None:
    alice, bob = bearer(tokens["alice"]), bearer(tokens["bob"])
    for method, path in sorted(OWNED):
        there = ask(client, method, path, hers, bob)
        missing = ask(client, method, path, {**hers, "job": "x", "batch": "x", "name": "x"}, bob)
        assert (there.status_code, missing.status_code) == (404, 404), (method, path)
        said = there.text
        for name in ("job", "batch", "name"):  # nothing but the name he gave himself tells the two apart
            said = said.replace(hers[name], "x")
        assert said == missing.text
    for path in ("/v1/jobs", "/v1/libraries", "/v1/me"):
        text = client.get(path, headers=bob).text
        assert not any(word in text for word in (*hers.values(), "alice")), path
    submitted = client.post("/v1/jobs", json=BRIEF | {"library": ["bees"]}, headers=bob)
    assert submitted.status_code == 404
    deleting = {("DELETE", "/v1/jobs/{job}"), ("DELETE", "/v1/images/{image_id}")}
    for method, path in sorted(OWNED - deleting):  # and she finds all of it as it was
        answer = ask(client, method, path, hers, alice)
        refusals = ("look-needs-encoder", "no-picture-number")  # of her library, of her article
        blind = answer.status_code == 422 and answer.json()["code"] in refusals
        assert blind or answer.status_code in (200, 201, 409), (method, path)


def test_the_installations_own_token_is_the_local_owners(home: Path) -> None:
    with TestClient(create_app(Settings(home=home, token="s3cret")), base_url="http://localhost") as client:
        assert client.get("/v1/jobs").status_code == 401
        assert client.get("/v1/me", headers=bearer("s3cret")).json()["owner"] == "local"


FOREIGN_HOSTS = [
    *("evil.example", "localhost.evil.example", "evil.example:8642", "127.0.0.1.nip.io", "0.0.0.0", "127.1", ""),
    *("localhost@evil.example", "localhost:80:80", "localhost/", "[::2]", "::1", "2130706433", "localhost:x"),
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_refused_on_every_route(
    client: TestClient, every: list[tuple[str, str]], hers: dict[str, str], tokens: dict[str, str], host: str
) -> None:
    for method, path in every:
        answer = ask(client, method, path, hers, {"Host": host, **bearer(tokens["alice"])})
        assert answer.status_code == 403, (method, path)
        assert "LIMNER_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "http://localhost:3000", "http://localhost", "http://127.0.0.1:8642"),
        *("http://localhost:8642.evil.example", "file://", "chrome-extension://abc", "", "localhost:8642"),
    ],
)
def test_a_foreign_origin_is_refused_on_every_route(
    client: TestClient, every: list[tuple[str, str]], hers: dict[str, str], tokens: dict[str, str], origin: str
) -> None:
    for method, path in every:
        answer = ask(client, method, path, hers, {"Origin": origin, **bearer(tokens["alice"])})
        assert answer.status_code == 403, (method, path)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8642", "[::1]", "[::1]:8642"])
def test_the_loopback_is_ours_by_each_of_its_names(client: TestClient, host: str) -> None:
    own = f"http://{host}".lower()
    assert client.get("/v1/jobs", headers={"Host": host}).status_code == 200
    assert client.get("/v1/jobs", headers={"Host": host, "Origin": own}).status_code == 200


def test_names_that_are_set_are_ours(home: Path) -> None:
    settings = Settings(home=home, hosts="Articles.example.org, lab:9000")
    with TestClient(create_app(settings), base_url="http://localhost") as client:

        def status(host: str, origin: str | None = None) -> int:
            headers = {"Host": host} | ({"Origin": origin} if origin else {})
            return client.get("/v1/jobs", headers=headers).status_code

        assert status("articles.example.org") == 200
        assert status("articles.example.org", "https://articles.example.org") == 200  # behind a proxy with TLS
        assert status("articles.example.org:8080", "http://articles.example.org:8080") == 200
        assert status("localhost:8642", "https://articles.example.org") == 200
        assert status("lab:9000") == 200
        assert status("lab:9001") == 403
        assert status("www.articles.example.org") == 403


def test_two_hosts_are_none(app: FastAPI) -> None:
    with serving(app) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.putrequest("GET", "/v1/jobs", skip_host=True)
        connection.putheader("Host", "localhost")
        connection.putheader("Host", "evil.example")
        connection.endheaders()
        assert connection.getresponse().status in (400, 403)
        connection.close()


# --- bodies --------------------------------------------------------------------------------------------------------


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(client: TestClient) -> None:
    body = json.dumps(BRIEF).encode()
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/jobs", content=body.ljust(MAX_BODY), headers=headers).status_code == 201
    assert client.post("/v1/jobs", content=body.ljust(MAX_BODY + 1), headers=headers).status_code == 413


@pytest.mark.parametrize("megabytes", [9, 60])
def test_chunks_without_a_length_are_counted(app: FastAPI, megabytes: int) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(megabytes):
            sent += 1
            yield b" " * 1_000_000

    with serving(app) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        try:
            connection.request("POST", "/v1/jobs", chunks(), {"Content-Type": "application/json"})
        except OSError:  # the server has stopped reading, as it should
            assert megabytes == 60
            assert sent < 60
        else:
            assert connection.getresponse().status == 413
        connection.close()


def test_a_length_that_is_too_large_is_refused_before_it_is_sent(app: FastAPI) -> None:
    with serving(app) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.putrequest("POST", "/v1/jobs")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_half_a_body_is_not_a_request(app: FastAPI, jobs: Jobs) -> None:
    with serving(app) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.putrequest("POST", "/v1/jobs")
        connection.putheader("Content-Length", "1000")
        connection.putheader("Content-Type", "application/json")
        connection.endheaders(json.dumps(BRIEF).encode())
        connection.close()
    assert jobs.ledger.list() == []


def test_strangers_may_send_no_body(app: FastAPI, tokens: dict[str, str]) -> None:
    with serving(app) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.putrequest("POST", "/v1/jobs")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        assert connection.getresponse().status == 401  # without having waited for it
        connection.close()


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
def test_compressed_bodies_are_refused(client: TestClient, encoding: str) -> None:
    answer = client.post("/v1/jobs", content=b"x", headers={"Content-Encoding": encoding})
    assert answer.status_code == 415


# --- answers -------------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_that_keep_browsers_safe(
    client: TestClient, every: list[tuple[str, str]], hers: dict[str, str], tokens: dict[str, str]
) -> None:
    answers = [ask(client, m, p, hers, bearer(tokens["alice"])) for m, p in every if m != "DELETE"]
    answers += [
        client.get("/static/app.js"),
        client.get("/"),
        client.get("/v1/jobs"),
        client.get("/x", headers={"Host": "e"}),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert policy.startswith(("default-src 'self'", "default-src 'none'"))
        assert "access-control-allow-origin" not in answer.headers


def test_a_fault_of_ours_is_logged_and_not_shown(
    client: TestClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("a secret of ours")

    answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError: a secret of ours" in caplog.text


def test_a_database_that_is_gone_is_503(client: TestClient, jobs: Jobs) -> None:
    submit(client)
    jobs.database.close()
    jobs.database.url = "sqlite:////nonexistent/jobs.sqlite"
    for path in ("/health", "/v1/jobs", "/metrics"):
        answer = client.get(path)
        assert answer.status_code == 503, path
        assert int(answer.headers["retry-after"]) > 0
        assert "job database" in answer.json()["detail"]
