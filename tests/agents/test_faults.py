"""Every way a model server can fail, over real HTTP through the real client: one line, with what to do next."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from scripted import Dropped, Endless, Events, Fault, ScriptedServer, Stalled, Status, in_turn, too_long

from limner.agents.families.families import BUILT_IN
from limner.agents.meter import Meter
from limner.agents.speaker import Speaker
from limner.errors import BadInput, LimnerError, ModelRefused, ModelUnreachable
from limner.settings import Settings
from limner.workflows.context import build_context
from limner.workflows.models import connect

HELLO = [HumanMessage("Say hello.")]

# openai's client warns while it makes sense of broken shapes; what limner answers then is what is tested here.
broken_shapes = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


def speaker(server: ScriptedServer, retries: int = 0, timeout: float = 10, **settings: Any) -> Speaker:
    return connect(server.url, "m", "writer", Meter(), Settings(retries=retries, timeout=timeout, **settings))


def failure(fault: Fault, kind: type[LimnerError], retries: int = 0, timeout: float = 10) -> tuple[str, ScriptedServer]:
    """What limner says about a server that always fails like this."""
    with ScriptedServer(lambda body: fault) as server, pytest.raises(LimnerError) as caught:
        speaker(server, retries, timeout).say(HELLO, max_tokens=20)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 500
    return message, server


@pytest.mark.parametrize(
    ("fault", "said", "advice"),
    [
        (Status(429, {"error": {"message": "slow down"}}), "429 (slow down)", "wait"),
        (Status(500, {"error": {"message": "out of memory"}}), "500 (out of memory)", "log"),
        (Status(503, {"error": "loading", "error_type": "unhealthy"}), "503", "log"),
        (Status(500, "<html>\n<h1>Internal error</h1>" + "x" * 9000), "500 (an HTML page)", "log"),
        (Status(401, {"error": {"message": "no such key"}}), "401 (no such key)", "LIMNER_API_KEY"),
        (Status(403, {"error": {"message": "not yours"}}), "403", "LIMNER_API_KEY"),
        (Status(404, {"detail": "Not Found"}), "404 (Not Found)", "--model"),
        (too_long(), "400", "shorten the brief"),
        (Status(400, {"error": {"message": "bad \x1b[2J\nsampler"}}), "400 (bad [2J sampler)", "server's log"),
        (Status(413, "<html>too large: maximum 1 MB"), "413", "shorten the brief"),
    ],
)
def test_an_http_error_is_told_with_its_status_and_the_next_step(fault: Fault, said: str, advice: str) -> None:
    message, _ = failure(fault, ModelRefused)
    assert said in message
    assert advice in message


def test_the_status_is_kept_for_the_program() -> None:
    with ScriptedServer(lambda body: Status(404, {})) as server, pytest.raises(ModelRefused) as caught:
        speaker(server).say(HELLO, max_tokens=20)
    assert caught.value.status == 404


CHUNK = {"index": 0, "delta": {"role": "assistant", "content": "a"}}


@broken_shapes
@pytest.mark.parametrize(
    "fault",
    [
        Status(200, "<html><body>It works!</body></html>"),
        Status(200, ""),
        Status(200, {"generated_text": "hello"}),
        Status(200, [1, 2]),
        Status(200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}),
        Events([]),
        Events(["[DONE]"]),
        Events(["<html>"]),
        Events(["[1, 2]"]),
        Events(["7"]),
        Events(['{"choices": "abc"}']),
        Events(['{"choices": ["abc"]}']),
        Events(['{"choices": [{"index": 0, "delta": null}]}']),
        Events(['{"choices": [{"index": 0, "delta": {"role": "assistant", "content": 5}}]}']),
        Events(['{"choices": [{"index": 0, "delta": {"role": "assistant", "content": {"a": 1}}}]}']),
        Events(['{"choices": [{"index": 0, "delta": {"role": "assistant", "content": "a", "tool_calls": "x"}}]}']),
        Events([json.dumps({"choices": [CHUNK], "usage": [1]})]),
        Events([json.dumps({"choices": [CHUNK], "usage": {"prompt_tokens": "many", "completion_tokens": 1}})]),
    ],
    ids=lambda fault: repr(fault)[:70],
)
def test_what_is_no_completion_is_refused(fault: Fault) -> None:
    message, _ = failure(fault, ModelRefused)
    assert "not a chat completion" in message
    assert "/v1" in message


@pytest.mark.parametrize(
    "event", ['{"error": {"message": "CUDA error"}}', '{"error": "CUDA error", "error_type": "x"}']
)
def test_an_error_inside_a_stream_is_told_in_the_servers_words(event: str) -> None:
    message, _ = failure(Events([json.dumps({"choices": [CHUNK]}), event]), ModelRefused)
    assert "broke off (CUDA error)" in message
    assert "again" in message


@pytest.mark.parametrize("piece", ["and so on ", "", "x" * 5000])
def test_an_endless_stream_is_cut_and_hung_up_on(piece: str) -> None:
    with ScriptedServer(lambda body: Endless(piece)) as server:
        with pytest.raises(ModelRefused, match=r"did not stop\..*--model"):
            speaker(server, retries=3).say(HELLO, max_tokens=20)
        assert server.hung_up.wait(10)
    assert len(server.requests) == 1


def test_what_came_before_a_stream_broke_is_counted() -> None:
    with ScriptedServer(lambda body: Endless("word ")) as server, pytest.raises(ModelRefused):
        (voice := speaker(server)).say(HELLO, max_tokens=100)
    spent = voice.meter.roles["writer"]
    assert spent.estimated
    assert spent.completion >= 100


def test_a_connection_that_breaks_in_mid_stream() -> None:
    heard: list[str] = []
    with ScriptedServer(lambda body: Dropped("It began")) as server, pytest.raises(ModelUnreachable) as caught:
        speaker(server, retries=2).say(HELLO, on_text=heard.append, max_tokens=20)
    assert "broke while it was answering" in str(caught.value)
    assert "run the command again" in str(caught.value)
    assert heard == ["It began"]
    assert len(server.requests) == 1, "words that were shown cannot be taken back, so nothing is asked twice"


def test_an_answer_that_nobody_saw_is_asked_for_once_more() -> None:
    with ScriptedServer(in_turn(Dropped("It began"), "It ended")) as server:
        voice = speaker(server, retries=0)
        assert voice.say(HELLO, max_tokens=20) == "It ended"
    assert voice.meter.roles["writer"].calls == 2, "what broke off was paid for too"
    with ScriptedServer(lambda body: Dropped("It began")) as server, pytest.raises(ModelUnreachable, match="broke"):
        speaker(server, retries=0).say(HELLO, max_tokens=20)
    assert len(server.requests) == 2


@pytest.mark.parametrize(("text", "requests"), [("", 2), ("It began", 2)])
def test_a_server_that_falls_silent(text: str, requests: int) -> None:
    message, server = failure(Stalled(text), ModelUnreachable, retries=1, timeout=0.5)
    assert "LIMNER_TIMEOUT" in message
    assert len(server.requests) == requests


def test_nothing_listening() -> None:
    with socket.socket() as reserved:  # bound and not listening: nobody else can take the port meanwhile
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        with pytest.raises(ModelUnreachable, match=r"Nothing answers at .*limner doctor") as caught:
            connect(url, "m", "writer", Meter(), Settings(retries=0)).say(HELLO, max_tokens=20)
    assert url in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "/v1"])
def test_an_address_that_is_not_http(url: str) -> None:
    with pytest.raises(BadInput, match="http://localhost:8000/v1"):
        connect(url, "m", "writer", Meter(), Settings())


# --- trying again --------------------------------------------------------------------------------------------------


def test_retry_after_is_waited_for() -> None:
    busy = Status(429, {"error": {"message": "busy"}}, {"Retry-After": "2"})
    with ScriptedServer(in_turn(busy, "hello")) as server:
        assert speaker(server, retries=1).say(HELLO, max_tokens=20) == "hello"
    first, second = server.log
    # 2 s is what the server asked for; without the header the client would have waited 0.5 s.
    assert second.at - first.at >= 2


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_passing_faults_are_tried_again(status: int) -> None:
    fault = Status(status, {"error": {"message": "busy"}}, {"Retry-After-Ms": "1"})
    with ScriptedServer(in_turn(fault, fault, fault, "hello")) as server:
        assert speaker(server, retries=3).say(HELLO, max_tokens=20) == "hello"
    assert server.requests == [server.requests[0]] * 4


def test_no_more_often_than_asked_for() -> None:
    _, server = failure(Status(500, {}, {"Retry-After-Ms": "1"}), ModelRefused, retries=2)
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_lasting_faults_are_not(status: int) -> None:
    _, server = failure(Status(status, {}), ModelRefused, retries=3)
    assert len(server.requests) == 1


# --- which model ---------------------------------------------------------------------------------------------------


def test_without_a_name_the_servers_first_model_is_taken() -> None:
    with ScriptedServer(in_turn("hello"), models=["large-30b", "small-1b"]) as server:
        voice = connect(server.url, "", "writer", Meter(), Settings())
        voice.say(HELLO, max_tokens=20, extra={"dry_multiplier": 0.8})
    assert voice.name == "large-30b"
    assert server.requests[0]["model"] == "large-30b"
    assert "dry_multiplier" not in server.requests[0]


def test_llama_cpp_is_known_by_its_listing_and_gets_its_samplers() -> None:
    with ScriptedServer(in_turn("hello"), owned_by="llamacpp") as server:
        connect(server.url, "", "writer", Meter(), Settings()).say(HELLO, max_tokens=20, extra={"dry_multiplier": 0.8})
    assert server.requests[0]["dry_multiplier"] == 0.8


@pytest.mark.parametrize(
    ("meta", "dialect", "stepwise"),
    [
        ({"n_params": 494_032_768}, "small", True),
        ({"n_params": 1_543_714_304}, "instruct", True),
        ({"n_params": 7_615_616_512}, "instruct", False),
        ({"n_params": None}, "instruct", False),
        ({"n_params": 10**400}, "instruct", False),
        ({"n_params": True}, "instruct", False),
        ("much", "instruct", False),
        (None, "instruct", False),
    ],
)
def test_a_model_s_size_is_what_its_server_says_and_not_its_name(meta: Any, dialect: str, stepwise: bool) -> None:
    """A GGUF's file may have any name. "my-tune.gguf" was asked like a model of seven billion parameters."""
    row = {"id": "my-tune.gguf", "object": "model", "created": 0, "owned_by": "llamacpp", "meta": meta}
    with ScriptedServer(in_turn(), listing=Status(200, {"object": "list", "data": [row]})) as server:
        context = build_context(Settings(model_url=server.url), library=[])
        assert context.dialect("writer") is BUILT_IN[dialect]
        assert context.stepwise() is stepwise


def test_with_a_name_nothing_is_asked() -> None:
    with ScriptedServer(in_turn()) as server:
        assert connect(server.url, "mine", "writer", Meter(), Settings()).name == "mine"
    assert server.listed == 0


@broken_shapes
@pytest.mark.parametrize(
    "listing",
    [
        Status(200, {"object": "list", "data": []}),
        Status(200, {"object": "list", "data": None}),
        Status(200, {"object": "list", "data": [{}]}),
        Status(200, {"object": "list", "data": ["a"]}),
        Status(200, {"models": ["a"]}),
        Status(200, ["a"]),
        Status(200, "<html>It works!</html>"),
        Status(200, ""),
    ],
    ids=repr,
)
def test_a_listing_that_is_none(listing: Fault) -> None:
    with ScriptedServer(in_turn(), listing=listing) as server, pytest.raises(ModelRefused, match="/v1") as caught:
        connect(server.url, "", "writer", Meter(), Settings())
    assert "\n" not in str(caught.value)


def test_a_listing_that_wants_a_key() -> None:
    listing = Status(401, {"error": {"message": "who are you?"}})
    with ScriptedServer(in_turn(), listing=listing) as server, pytest.raises(ModelRefused, match="LIMNER_API_KEY"):
        connect(server.url, "", "writer", Meter(), Settings())


def test_the_key_is_sent_and_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_API_KEY", "sesame-1234")
    with ScriptedServer(in_turn("hello", Status(500, {}))) as server:
        voice = connect(server.url, "m", "writer", Meter(), Settings(retries=0))
        voice.say(HELLO, max_tokens=20)
        with pytest.raises(ModelRefused) as caught:
            voice.say(HELLO, max_tokens=20)
    assert server.log[0].headers["authorization"] == "Bearer sesame-1234"
    assert "sesame" not in str(caught.value) + repr(voice)
