"""Strangers who open connections and say little: each costs a socket for seconds, and shuts nobody out."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import finish, serving, submit, take
from servers import until

from limner.jobs.service import Jobs
from limner.surfaces.http import door, guard
from limner.surfaces.http.app import create_app
from limner.surfaces.http.door import Doors

HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


def connected(url: str) -> socket.socket:
    split = urlsplit(url)
    return socket.create_connection((split.hostname, split.port), timeout=60)


def heard(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    said = b""
    try:
        while part := connection.recv(65536):
            said += part
    except ConnectionError:
        pass
    return said


def broken(connection: socket.socket) -> bool:
    """Whether the other side has closed it, told without reading what it sent."""
    try:
        connection.sendall(b"G")
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("sent", [b"", b"G", HALF_A_HEAD])
def test_half_a_head_is_not_waited_for(sent: bytes, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HEAD", 0.2)
    with serving(app) as url, connected(url) as connection:
        connection.sendall(sent)
        assert heard(connection) == b""
        assert httpx.get(f"{url}/health").status_code == 200


def test_half_a_second_head_neither(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is kept alive has another clock, which stops at the first byte."""
    monkeypatch.setattr(door, "HEAD", 0.5)
    with serving(app) as url, connected(url) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = b""
            while not said.endswith(b"}"):
                said += connection.recv(65536)
            assert said.startswith(b"HTTP/1.1 200")
            time.sleep(1)  # longer than a head may take
        connection.sendall(HALF_A_HEAD)
        assert heard(connection) == b""


def test_a_body_has_its_time(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY", 0.3)
    monkeypatch.setattr(door, "LINGER", 0.2)
    with serving(app) as url, connected(url) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        said = heard(connection)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"over a faster connection" in said


@pytest.mark.parametrize("path", ["/health", "/", "/static/app.js", "/v1/shared/a/b/" + "0" * 32])
def test_open_paths_read_no_body(path: str, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "LINGER", 0.2)
    with serving(app) as url, connected(url) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1000)
        said = heard(connection)  # it comes, and the connection ends, though most of the body was never sent
    assert said.startswith(b"HTTP/1.1 413")
    assert b"no-body" in said


def test_a_stranger_s_body_is_not_waited_for(
    app: FastAPI, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LINGER", 0.2)
    with serving(app) as url, connected(url) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n{")
        assert heard(connection).startswith(b"HTTP/1.1 401")


def test_whoever_reads_no_answer_is_cut_off(app: FastAPI, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "STALLED", 0.3)
    with serving(app) as url:
        with connected(url) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
            until(lambda: broken(connection), "the server to give it up")
        assert httpx.get(f"{url}/health").status_code == 200


def test_when_all_places_are_taken_the_silent_ones_go_first(jobs: Jobs) -> None:
    few = jobs.settings.model_copy(update={"connections": 20, "connections_per_address": 20})
    app = create_app(few, jobs)
    with serving(app) as url, ExitStack() as stack, TestClient(app, base_url="http://localhost") as client:
        job = submit(client)
        lease = take(jobs, job)
        watching = stack.enter_context(httpx.stream("GET", f"{url}/v1/jobs/{job}/events", timeout=60))
        lines = watching.iter_lines()
        assert next(lines)
        for _ in range(60):
            silent = stack.enter_context(connected(url))
            silent.sendall(HALF_A_HEAD)
        assert httpx.get(f"{url}/health", timeout=60).status_code == 200
        finish(jobs, lease)
        assert any('"kind":"done"' in line for line in lines), "a request at work keeps its place"


def test_one_address_takes_half_of_the_places(jobs: Jobs) -> None:
    """All that are at work are kept; the next of that address has no place, and of another it has one."""
    few = jobs.settings.model_copy(update={"connections": 8})
    app = create_app(few, jobs)
    with serving(app) as url, ExitStack() as stack, TestClient(app, base_url="http://localhost") as client:
        job = submit(client)
        take(jobs, job)
        streams = [httpx.stream("GET", f"{url}/v1/jobs/{job}/events", timeout=60) for _ in range(4)]
        watching = [stack.enter_context(stream).iter_lines() for stream in streams]
        assert all(next(lines) for lines in watching)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/health")
        split = urlsplit(url)
        with socket.create_connection((split.hostname, split.port), 60, source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert heard(other).startswith(b"HTTP/1.1 200")


def test_places_follow_the_limit_of_open_files() -> None:
    doors = Doors()
    assert 16 <= doors.per_address * 2 <= doors.most <= door.MOST
