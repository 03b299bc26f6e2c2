"""What must not be answered, or not for long: each with its status, and one line that says what to do."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from serving import Gated, build, data_url, picture, serving

from limner.model_server import picture_process, pictures
from limner.model_server.app import MAX_BODY

pytestmark = pytest.mark.torch


def refused(url: str, route: str, status: int, **body: Any) -> str:
    """The reason that a request is refused for, one line in TGI's flat form."""
    answer = httpx.post(url + route, json=body, timeout=60)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said.keys() == {"error", "error_type"}
    assert "\n" not in said["error"]
    return said["error"]


def refused_chat(url: str, *content: Any, status: int = 422, **body: Any) -> str:
    return refused(url, "/v1/chat/completions", status, messages=[{"role": "user", "content": list(content)}], **body)


def request(route: str, body: dict[str, Any]) -> bytes:
    """A POST as it goes over the wire."""
    data = json.dumps(body).encode()
    lines = [f"POST {route} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


# --- images --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a.png", "https://example.org/a.png", "file:///etc/passwd", "/etc/passwd", "data:text/html,x"],
)
def test_no_address_is_fetched(served: str, url: str) -> None:
    assert "is not fetched. Send the picture itself" in refused_chat(served, image(url))


def test_addresses_in_a_prompt_are_text(served: str) -> None:
    """TGI fetches them. The guard of these tests fails them if anything but the loopback is tried."""
    prompt = "Look: ![](https://example.org/a.png) ![x](http://127.0.0.1:1/a.png)"
    answer = httpx.post(f"{served}/generate", json={"inputs": prompt, "parameters": {"max_new_tokens": 1}}, timeout=60)
    assert answer.status_code == 200


def test_images_and_places_state_both_counts(served: str) -> None:
    said = refused(served, "/generate", 422, inputs=f"<ImageHere> and <ImageHere> ![]({data_url()})")
    assert "3 image places in the prompt, 1 images" in said
    raw = {"chat_template_kwargs": {"raw": True}}
    said = refused_chat(served, {"type": "text", "text": "<ImageHere> "}, picture(), **raw)
    assert "2 image places in the prompt, 1 images" in said


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data:image/png;base64,####", "is not fetched"),
        ("data:image/png;base64,abc", "not base64"),
        (f"data:image/png;base64,{b64encode(b'no picture').decode()}", "cannot be read"),
        (f"data:image/svg+xml;base64,{b64encode(b'<svg/>').decode()}", "cannot be read"),
    ],
)
def test_what_is_no_picture(served: str, url: str, reason: str) -> None:
    assert reason in refused_chat(served, image(url))


def bomb(side: int) -> bytes:
    """A PNG that says it is side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize("side", [8_000, 15_000, 65_000])
def test_image_bombs_are_measured_before_they_are_decoded(served: str, side: int) -> None:
    said = refused_chat(served, image(f"data:image/png;base64,{b64encode(bomb(side)).decode()}"))
    assert f"over {picture_process.MAX_PIXELS} px" in said


def test_files_and_bodies_over_the_limit(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    large = f"data:image/png;base64,{'A' * (pictures.MAX_BYTES * 4 // 3 + 8)}"
    assert "a file of over" in refused_chat(served, image(large))
    with socket.create_connection(("127.0.0.1", httpx.URL(served).port or 0)) as raw:  # says its length, sends nothing
        raw.sendall(f"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: {MAX_BODY + 1}\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")

    def pieces() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 1_000_000 + 2):
            yield b" " * 1_000_000

    answer = httpx.post(
        f"{served}/generate", content=pieces(), headers={"content-type": "application/json"}, timeout=60
    )
    assert answer.status_code == 413
    assert "send fewer or smaller images" in answer.json()["error"]


# --- texts ---------------------------------------------------------------------------------------------------------


def test_prompts_over_the_context_state_both_lengths(served: str, version: int) -> None:
    limit = httpx.get(f"{served}/info").json()["max_total_tokens"]
    said = refused(served, "/generate", 422, inputs="heron " * limit)
    assert f"must have less than {limit} tokens. Given: " in said
    assert int(said.split("Given: ")[1].split(".")[0]) > limit
    said = refused(served, "/generate", 422, inputs="A", parameters={"max_new_tokens": limit})
    assert f"must be <= {limit}. Given: " in said
    assert f"{limit} `max_new_tokens`" in said
    if version == 1:
        assert "must have less than" in refused_chat(served, *[picture()] * (limit // 10 + 1))


@pytest.mark.parametrize(
    ("route", "body", "reason"),
    [
        ("/generate", {"inputs": "A", "max_tokens": 3}, "unknown field `max_tokens`"),
        ("/generate", {"inputs": "A", "parameters": {"beams": 3}}, "unknown field `parameters.beams`"),
        ("/generate", {"inputs": ""}, "`inputs`"),
        ("/generate", {"inputs": "A", "parameters": {"temperature": 0}}, "`parameters.temperature`"),
        ("/generate", {"inputs": "A", "parameters": {"stop": ["a"] * 5}}, "`parameters.stop`"),
        ("/generate", {"inputs": "A", "parameters": {"best_of": 2}}, "`best_of`"),
        ("/generate", {"inputs": "A", "parameters": {"watermark": True}}, "watermark"),
        ("/generate", {"inputs": "A", "parameters": {"num_beams": 2, "do_sample": True}}, "does not sample"),
        ("/v1/chat/completions", {"messages": []}, "`messages`"),
        ("/v1/chat/completions", {"messages": [{"role": "bee", "content": "A"}]}, "`messages.0.role`"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "A"}], "n": 2}, "`n`"),
        ("/v1/chat/completions", {"messages": [{"role": "tool", "content": "A"}]}, "calls no tools"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "A"}, {"role": "system", "content": "B"}]},
            "The system message comes first",
        ),
    ],
)  # fmt: skip
def test_bodies_that_say_what_is_not_there(served: str, route: str, body: dict[str, Any], reason: str) -> None:
    if reason.startswith("The system") and "v1" in served:
        pytest.skip("v2's template takes it anywhere")
    assert reason in refused(served, route, 422, **body)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"inputs": NaN}', b"null", b'"A"', b'{"inputs": "\\ud800"}']
)
def test_bodies_that_are_no_object(served: str, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{served}/generate", content=content, headers=headers, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "validation"


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "json", "value": {"type": "bee"}},
        {"type": "json", "value": {"not": {"type": "string"}}},
        {"type": "json", "value": {"$ref": "http://example.org/schema.json"}},
        {"type": "json", "value": "{"},
        {"type": "json", "value": 3},
        {"type": "json_schema"},
        {"type": "regex", "value": "("},
        {"type": "regex", "value": "(?=a)b"},
        {"type": "regex"},
        {"type": "json", "value": json.loads('{"items":' * 200 + "{}" + "}" * 200)},
    ],
    ids=str,
)
def test_schemas_that_cannot_be_compiled(served: str, grammar: dict[str, Any]) -> None:
    if len(str(grammar)) > 1000:  # deep, and compiled: it need only be answered
        status = httpx.post(f"{served}/generate", timeout=60, json={"inputs": "A", "parameters": {"grammar": grammar}})
        assert status.status_code in (200, 422)
        return
    said = refused(served, "/generate", 422, inputs="A", parameters={"grammar": grammar})
    assert "grammar is not valid" in said


def test_marks_that_users_type_are_text(chatting: Path, version: int) -> None:
    """Nobody ends another's turn, begins one, or makes a place for an image, by typing a mark."""
    service, model = build(chatting)
    from limner.model_server.protocol import Message

    marks = {1: ["<TOKENS_UNUSED_0>", "<TOKENS_UNUSED_1>"], 2: ["[UNUSED_TOKEN_145]", "[UNUSED_TOKEN_146]"]}[version]
    ids = {service.prompts.tokenizer.convert_tokens_to_ids(m) for m in [*marks, "<s>", "</s>", "<ImageHere>"]}

    def counts(text: str) -> dict[int, int]:
        prompt = service.prompts.of_messages([Message(role="user", content=text)])
        return {i: prompt.ids.count(i) for i in ids}

    typed = "".join([*marks, "<s>", "</s>", "<ImageHere>"])
    assert counts("hello") == counts(f"hello {typed} {typed}")
    assert counts("hello")[service.prompts.tokenizer.convert_tokens_to_ids(marks[0])] >= 1
    assert set(model.end_ids) <= ids


# --- many, gone, broken ---------------------------------------------------------------------------------------------


@contextmanager
def gated(chatting: Path, **options: Any) -> Iterator[tuple[str, Gated, threading.Semaphore]]:
    """(address, model, permits): a server whose model waits for a permit before each token."""
    service, model = build(chatting, **options)
    model.gate = permits = threading.Semaphore(0)
    try:
        with serving(service) as url:
            yield url, model, permits
    finally:
        model.gate = None


def test_two_thousand_requests_at_once(chatting: Path) -> None:
    """Those in the house are answered in their order, all others told 429 at once; then there is room again."""

    async def storm(url: str, permits: threading.Semaphore) -> list[int]:
        # Sockets and no client library: httpx looks at all connections for each request, minutes for two thousand.
        told, at_once = asyncio.Semaphore(0), asyncio.Semaphore(200)  # of those that connect: within the backlog
        sent = request("/generate", {"inputs": "A", "parameters": {"max_new_tokens": 2}})

        async def one() -> int:
            async with at_once:
                reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length")
            )
            body, status = json.loads(await reader.readexactly(int(length))), int(head.split()[1])
            writer.close()
            if status == 429:
                assert body == {"error": "Model is overloaded", "error_type": "overloaded"}
                told.release()
            return status

        asked = [asyncio.create_task(one()) for _ in range(2000)]
        for _ in range(2000 - 16):  # all but sixteen are told before a single token is made
            await told.acquire()
        assert httpx.get(f"{url}/health", timeout=60).status_code == 200
        permits.release(16 * 3)
        return await asyncio.gather(*asked)

    with gated(chatting, max_concurrent=16) as (url, model, permits):
        statuses = asyncio.run(storm(url, permits))
        assert sorted(statuses) == [200] * 16 + [429] * 1984
        assert len(model.begun) == 16
        permits.release(3)
        answer = httpx.post(f"{url}/generate", json={"inputs": "A", "parameters": {"max_new_tokens": 2}}, timeout=60)
        assert answer.status_code == 200


@pytest.mark.parametrize("route", ["/generate_stream", "/v1/chat/completions", "/generate"])
def test_a_client_that_goes_ends_its_work(chatting: Path, route: str) -> None:
    streams = route != "/generate"
    chat = {"messages": [{"role": "user", "content": "A"}], "max_tokens": 1000, "stream": True}
    body = chat if "chat" in route else {"inputs": "A", "parameters": {"max_new_tokens": 1000}}
    with gated(chatting) as (url, model, permits):
        permits.release(5)
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as raw:
            raw.sendall(request(route, body))
            got = b""
            while streams and b"data:" not in got:
                got += raw.recv(4096)
            while not model.begun:
                httpx.get(f"{url}/health")
        assert model.ended.acquire(timeout=60)  # with most of its tokens never made
        permits.release(3)
        next_body = {"inputs": "B", "parameters": {"max_new_tokens": 2}}
        assert httpx.post(f"{url}/generate", json=next_body, timeout=60).status_code == 200


def until_waiting(url: str, requests: int) -> None:
    """Ask until so many requests wait for the engine; the test's time limit ends it."""
    while f"tgi_queue_size {requests}.0\n" not in httpx.get(f"{url}/metrics").text:
        pass


def test_a_client_that_goes_while_it_waits_is_never_worked_for(chatting: Path) -> None:
    with gated(chatting) as (url, model, permits):
        body = {"inputs": "A", "parameters": {"max_new_tokens": 2}}
        statuses: list[int] = []
        first = threading.Thread(
            target=lambda: statuses.append(httpx.post(f"{url}/generate", json=body, timeout=60).status_code)
        )
        first.start()
        while not model.begun:
            httpx.get(f"{url}/health")
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as raw:
            raw.sendall(request("/generate", {"inputs": "a much longer prompt"}))
            until_waiting(url, 1)
        until_waiting(url, 0)
        permits.release(6)
        first.join()
        assert httpx.post(f"{url}/generate", json=body, timeout=60).status_code == 200
        assert statuses == [200]
        assert len(model.begun) == 2


def test_one_answer_that_fails_is_one_answer(chatting: Path, caplog: pytest.LogCaptureFixture) -> None:
    with gated(chatting) as (url, model, permits):
        permits.release(100)
        model.failure = MemoryError("out of memory")
        body = {"inputs": "A", "parameters": {"max_new_tokens": 2}}
        assert "Request failed during generation: out of memory" in refused(url, "/generate", 424, **body)
        assert httpx.get(f"{url}/health").status_code == 200
        assert httpx.post(f"{url}/generate", json=body, timeout=60).status_code == 200


def test_a_model_that_cannot_compute_any_more_is_told(chatting: Path, caplog: pytest.LogCaptureFixture) -> None:
    with gated(chatting) as (url, model, permits):
        body = {"inputs": "A", "parameters": {"max_new_tokens": 2}}
        statuses: list[int] = []
        waiting = threading.Thread(
            target=lambda: statuses.append(httpx.post(f"{url}/generate", json=body, timeout=60).status_code)
        )
        model.dead, model.failure = True, RuntimeError("CUDA error")
        waiting.start()
        permits.release(1)
        waiting.join()
        assert statuses == [503]
        unhealthy = httpx.get(f"{url}/health")
        assert (unhealthy.status_code, unhealthy.json()["error_type"]) == (503, "healthcheck")
        assert "unhealthy" in refused(url, "/generate", 503, **body)
        events = httpx.post(f"{url}/generate_stream", json=body, timeout=60).text
        assert "healthcheck" in events


def test_a_server_that_stops_breaks_off_what_is_at_work(chatting: Path) -> None:
    service, model = build(chatting)
    model.gate = threading.Semaphore(1)
    body = {"inputs": "A", "parameters": {"max_new_tokens": 1000}}
    with (
        httpx.Client(timeout=60) as client,
        serving(service) as url,
        client.stream("POST", f"{url}/generate_stream", json=body) as answer,
    ):
        assert answer.status_code == 200
        while not model.begun:
            httpx.get(f"{url}/health")
    assert not service.engine.healthy
    assert model.ended.acquire(timeout=60)
