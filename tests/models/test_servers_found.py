"""Model servers on the loopback: real sockets that answer like each kind, and sockets that answer like none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from limner.models import servers

Answers = dict[tuple[str, str], object]
"""(method, path) -> JSON, or bytes as they are; `DRIPS` never ends."""
DRIPS = b" "
Serve = Callable[[Answers], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer on a free port; anything else is 404. b"" answers never."""
    with ExitStack() as stack:
        ended = threading.Event()

        def start(answers: Answers) -> int:
            class Handler(BaseHTTPRequestHandler):
                def log_message(self, format: str, *args: object) -> None:
                    pass

                def answer(self) -> None:
                    said = answers.get((self.command, self.path))
                    sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
                    said = said(sent) if callable(said) else said
                    assert "Authorization" not in self.headers
                    if said == b"":
                        ended.wait(60)
                        return
                    self.send_response(404 if said is None else 200)
                    self.end_headers()
                    while said == DRIPS and not ended.wait(0.1):  # a byte now and then: no read of it times out
                        try:
                            self.wfile.write(DRIPS)
                        except OSError:
                            return
                    self.wfile.write(said if isinstance(said, bytes) else json.dumps(said).encode())

                do_GET = do_POST = answer

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(lambda: (server.shutdown(), server.server_close(), thread.join()))
            return server.server_port

        stack.callback(ended.set)
        yield start


def listed(*names: object) -> object:
    return {"object": "list", "data": [{"id": name} for name in names]}


def test_each_kind_says_what_sees_in_its_own_way(serve: Serve) -> None:
    def shown(asked: dict[str, str]) -> object:
        return {"capabilities": ["completion", *(["vision"] if asked["model"] == "qwen3-vl:4b" else [])]}

    ollama = serve({("GET", "/v1/models"): listed("llama3", "qwen3-vl:4b"), ("POST", "/api/show"): shown})
    capable = {"models": [{"name": "mine", "capabilities": ["completion", "multimodal"]}]}
    llama_cpp = serve({("GET", "/v1/models"): {**listed("mine"), **capable}})  # type: ignore[dict-item]
    vllm = serve({("GET", "/v1/models"): listed("Qwen/Qwen3-VL-8B")})
    found = servers.look({ollama: "Ollama", llama_cpp: "llama-server", vllm: "vLLM"}, seconds=30)
    assert [(s.kind, s.url, s.models, s.seeing) for s in found] == [
        ("Ollama", f"http://127.0.0.1:{ollama}/v1", ("qwen3-vl:4b", "llama3"), ("qwen3-vl:4b",)),
        ("llama-server", f"http://127.0.0.1:{llama_cpp}/v1", ("mine",), ("mine",)),
        ("vLLM", f"http://127.0.0.1:{vllm}/v1", ("Qwen/Qwen3-VL-8B",), ()),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"<!doctype html>",
        b"[" * 100_000,
        b"{" + b" " * 2_000_000 + b"}",
        {},
        [],
        {"data": None},
        {"data": []},
        {"data": [None, {"id": 3}, {"id": " "}]},
        {"data": "abc"},
    ],
)
def test_what_is_no_model_server_is_passed_by(serve: Serve, answer: object) -> None:
    port = serve({} if answer is None else {("GET", "/v1/models"): answer})
    assert servers.look({port: "Ollama"}, seconds=30) == []


def test_names_are_cleaned_before_they_are_shown(serve: Serve) -> None:
    port = serve({("GET", "/v1/models"): {**listed("a\x1b[31m\nb"), "models": [{"name": 3}, None]}})  # type: ignore[dict-item]
    (found,) = servers.look({port: "vLLM"}, seconds=30)
    assert "\n" not in found.models[0]
    assert "\x1b" not in found.models[0]


def test_one_that_never_answers_does_not_keep_the_others_waiting(serve: Serve) -> None:
    silent, drips = serve({("GET", "/v1/models"): b""}), serve({("GET", "/v1/models"): DRIPS})
    closed = serve({})
    good = serve({("GET", "/v1/models"): listed("mine")})
    assert [
        s.models for s in servers.look({silent: "vLLM", drips: "vLLM", closed: "LM Studio", good: "Ollama"}, seconds=1)
    ] == [("mine",)]


def test_a_server_that_is_slow_to_say_what_sees_is_offered_all_the_same(serve: Serve) -> None:
    """Ollama with many models: the list comes at once, and the answer for one of them never."""

    can: dict[str, object] = {"text": {"capabilities": []}, "first": {"capabilities": ["vision"]}, "never": b""}
    answers: Answers = {
        ("GET", "/v1/models"): listed(*can),
        ("POST", "/api/show"): lambda asked: can[asked["model"]],
    }
    port = serve(answers)
    (found,) = servers.look({port: "Ollama"}, seconds=2)
    assert found.models == ("first", "text", "never")
    assert found.seeing == ("first",)


def test_the_ports_of_the_known_kinds() -> None:
    assert set(servers.PORTS.values()) == {"Ollama", "llama-server", "LM Studio", "vLLM"}
    assert 8642 not in servers.PORTS  # limner's own
