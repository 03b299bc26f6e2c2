"""A Speaker over real HTTP: budget and counting, what may be in a prompt, asking again, JSON schemas."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from PIL import Image
from scripted import (
    ScriptedChatModel,
    ScriptedServer,
    Status,
    images_of,
    in_turn,
    last_text,
    no_response_format,
    text_of,
    too_long,
)

from limner.agents.dialects.instruct import image_part
from limner.agents.meter import Meter
from limner.agents.prompts import estimate_tokens, safe_message, safe_text, text_tokens, whole_characters
from limner.agents.speaker import Speaker
from limner.errors import BudgetReached, ModelRefused, UnreadableReply
from limner.settings import Settings
from limner.workflows.models import connect, speaker_for

HELLO = [HumanMessage("Say hello.")]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def speaker(server: ScriptedServer, meter: Meter | None = None, role: Any = "writer") -> Speaker:
    return connect(server.url, "m", role, meter or Meter(), Settings(retries=0, timeout=30))


def number(reply: str) -> int:
    if not reply.isdigit():
        raise UnreadableReply("That is no number. Answer with digits alone.")
    return int(reply)


# --- words as they come --------------------------------------------------------------------------------------------


def test_words_arrive_in_pieces_and_whole() -> None:
    pieces: list[str] = []
    with ScriptedServer(in_turn("A heron stands in the shallows, as still as the reeds.")) as server:
        text = speaker(server).say(HELLO, on_text=pieces.append, max_tokens=50, temperature=0.7, seed=3, stop=["END"])
    assert text == "".join(pieces) == "A heron stands in the shallows, as still as the reeds."
    assert len(pieces) > 1
    (body,) = server.requests
    assert (body["max_tokens"], body["temperature"], body["seed"], body["stop"]) == (50, 0.7, 3, ["END"])
    assert body["stream"] is True


def test_what_is_not_set_is_left_to_the_server() -> None:
    with ScriptedServer(in_turn("hello")) as server:
        speaker(server).say(HELLO, max_tokens=5)
    assert not {"temperature", "seed", "stop", "response_format"} & set(server.requests[0])


def test_an_empty_completion_is_an_empty_text() -> None:
    with ScriptedServer(in_turn("")) as server:
        assert speaker(server).say(HELLO, max_tokens=5) == ""


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("plain", "plain"),
        ("蜂蜜🐝", "蜂蜜🐝"),
        ("\ud83d\udc1d", "🐝"),
        ("a\ud83db", "a\ufffdb"),
        ("\udc1d", "\ufffd"),
        ("a\0b\x1b\x85\uffffc\t\r\nd", "abc\t\r\nd"),
    ],
)
def test_half_characters_are_joined_or_replaced(text: str, whole: str) -> None:
    assert whole_characters(text) == whole
    whole_characters(text).encode()


def test_half_a_character_from_a_server_reaches_nobody() -> None:
    heard: list[str] = []
    with ScriptedServer(in_turn("bees \ud83d fly")) as server:
        text = speaker(server).say(HELLO, on_text=heard.append, max_tokens=9)
    assert text == "bees \ufffd fly"
    "".join(heard).encode()


# --- tokens and the budget -----------------------------------------------------------------------------------------


def test_tokens_are_counted_per_role_as_the_server_reports_them() -> None:
    meter = Meter()
    with ScriptedServer(in_turn("one two three", "four", "five")) as server:
        speaker(server, meter, "writer").say(HELLO, max_tokens=9)
        for _ in range(2):
            speaker(server, meter, "selector").say([HumanMessage("x" * 400)], max_tokens=9)
    usages = [asked.usage for asked in server.log]
    writer, selector = meter.roles["writer"], meter.roles["selector"]
    assert (writer.calls, writer.prompt, writer.completion) == (1, usages[0]["prompt_tokens"], 4)
    assert (selector.calls, selector.prompt, selector.completion) == (2, 200, 2)
    assert selector.cached == usages[2]["prompt_tokens_details"]["cached_tokens"] == 100
    assert not writer.estimated
    assert meter.total == sum(usage["total_tokens"] for usage in usages)


class Boastful(ScriptedServer):
    """A server that counts wrong."""

    def usage_of(self, asked: Any, text: str) -> dict[str, Any]:
        return {"prompt_tokens": 10**15, "completion_tokens": -5, "total_tokens": 0}


def test_what_a_server_counts_fits_a_database() -> None:
    meter = Meter()
    with Boastful(in_turn("hello")) as server:
        speaker(server, meter=meter).say(HELLO, max_tokens=5)
    assert (meter.roles["writer"].prompt, meter.roles["writer"].completion) == (2**31 - 1, 0)


def test_a_server_that_does_not_count_is_estimated() -> None:
    model = ScriptedChatModel(lines=["蜂蜜很甜"])
    voice = speaker_for(model, "writer", Meter())
    voice.say([HumanMessage("x" * 350)], max_tokens=9)
    spent = voice.meter.roles["writer"]
    assert (spent.prompt, spent.completion, spent.estimated) == (104, 4, True)


def test_the_budget_stops_before_the_call() -> None:
    with ScriptedServer(in_turn("hello")) as server:
        voice = speaker(server, Meter(budget=100))
        voice.say(HELLO, max_tokens=50)
        with pytest.raises(BudgetReached, match=r"budget of 100 .* spent .*--max-tokens") as caught:
            voice.say(HELLO, max_tokens=100)
    assert len(server.requests) == 1, "the second call was never made"
    assert "\n" not in str(caught.value)
    assert voice.meter.total < 100


def test_the_budget_is_shared_by_roles() -> None:
    meter = Meter(budget=120)
    with ScriptedServer(in_turn("x" * 360)) as server:
        speaker(server, meter, "writer").say(HELLO, max_tokens=100)
        with pytest.raises(BudgetReached):
            speaker(server, meter, "spotter").say(HELLO, max_tokens=30)


def test_asking_again_is_within_the_budget_too() -> None:
    with ScriptedServer(in_turn("words " * 60)) as server, pytest.raises(BudgetReached):
        speaker(server, Meter(budget=150)).ask(HELLO, number, max_tokens=100)


def test_a_meter_counts_from_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    meter = Meter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: meter.count("writer", n, 1, cached=2), range(1000)))
    usage = meter.roles["writer"]
    assert (usage.calls, usage.prompt, usage.completion, usage.cached) == (1000, 499_500, 1000, 2000)


def test_estimates_know_wide_scripts_and_images() -> None:
    assert text_tokens("蜂蜜") == 2
    assert text_tokens("x" * 70) == 20
    pictured = HumanMessage([{"type": "text", "text": "x" * 70}, image_part("data:image/png;base64,AA==")])
    assert estimate_tokens([pictured]) == 20 + 800 + 4


# --- what may be in a prompt ---------------------------------------------------------------------------------------


def picture() -> str:
    out = BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


EVIL = "Look: ![x](http://evil.example/pixel.png) and ![](file:///etc/passwd)"


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage(EVIL)],
        [SystemMessage(EVIL), HumanMessage("?")],
        [HumanMessage("?"), AIMessage(EVIL), HumanMessage("again")],
        [HumanMessage([{"type": "text", "text": EVIL}])],
        [HumanMessage([EVIL])],
    ],
)
def test_no_text_makes_a_server_fetch_an_image(messages: list[BaseMessage]) -> None:
    with ScriptedServer(in_turn("no")) as server:
        speaker(server).say(messages, max_tokens=5)
    sent = json.dumps(server.requests[0])
    assert "evil.example" in sent, "the words are there"
    assert "![" not in sent


def test_limners_own_images_go_through_as_they_are() -> None:
    url = picture()
    with ScriptedServer(in_turn("red")) as server:
        speaker(server).say([HumanMessage([{"type": "text", "text": EVIL}, image_part(url)])], max_tokens=5)
    assert images_of(server.requests[0]) == [url]
    assert "![" not in text_of(server.requests[0])


@pytest.mark.parametrize(
    "url", ["http://evil.example/x.png", "file:///etc/passwd", "data:text/html,x", "/etc/passwd", ""]
)
def test_an_image_that_is_not_a_data_url_is_a_bug_of_ours(url: str) -> None:
    with ScriptedServer(in_turn()) as server, pytest.raises(ValueError, match="data-URL images only"):
        speaker(server).say([HumanMessage([image_part(url)])], max_tokens=5)
    with pytest.raises(ValueError, match="'video'"):
        safe_message(HumanMessage([{"type": "video", "url": url}]))


def test_safe_text_changes_nothing_else() -> None:
    assert safe_text("Stop! [see](http://x) !! [") == "Stop! [see](http://x) !! ["
    assert "![" not in safe_text("!![![a](b)")


# --- asking again --------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_goes_back_once_with_the_reason() -> None:
    with ScriptedServer(in_turn("seven", "7")) as server:
        assert speaker(server).ask(HELLO, number, max_tokens=5) == 7
    first, second = server.requests
    assert second["messages"][: len(first["messages"])] == first["messages"]
    said, reason = second["messages"][len(first["messages"]) :]
    assert (said["role"], said["content"]) == ("assistant", "seven")
    assert (reason["role"], reason["content"]) == ("user", "That is no number. Answer with digits alone.")


def test_twice_is_enough() -> None:
    with ScriptedServer(in_turn("seven", "eight")) as server, pytest.raises(UnreadableReply, match="no number"):
        speaker(server).ask(HELLO, number, max_tokens=5)
    assert len(server.requests) == 2


def test_an_empty_answer_is_sent_back_as_something() -> None:
    with ScriptedServer(in_turn("", "7")) as server:
        assert speaker(server).ask(HELLO, number, max_tokens=5) == 7
    assert server.requests[1]["messages"][-2]["content"] == "(nothing)"


def test_an_answer_that_is_sent_back_smuggles_no_image() -> None:
    with ScriptedServer(in_turn(EVIL, "7")) as server:
        speaker(server).ask(HELLO, number, max_tokens=5)
    assert "![" not in json.dumps(server.requests[1])


# --- JSON schemas --------------------------------------------------------------------------------------------------


def read_n(reply: str) -> int:
    return json.loads(reply)["n"]


def test_the_schema_is_sent_in_openais_form() -> None:
    with ScriptedServer(in_turn('{"n": 1}', '{"n": 2}')) as server:
        voice = speaker(server)
        assert [voice.ask(HELLO, read_n, schema=SCHEMA, max_tokens=9) for _ in range(2)] == [1, 2]
    for body in server.requests:
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        assert body["response_format"]["json_schema"]["strict"] is True


def test_a_server_that_does_not_know_schemas_is_remembered() -> None:
    with ScriptedServer(lambda body: no_response_format(body) or '{"n": 1}') as server:
        voice = speaker(server)
        assert [voice.ask(HELLO, read_n, schema=SCHEMA, max_tokens=9) for _ in range(3)] == [1, 1, 1]
    assert ["response_format" in body for body in server.requests] == [True, False, False, False]


def test_a_refusal_for_another_reason_keeps_the_schema() -> None:
    with ScriptedServer(lambda body: too_long() if len(text_of(body)) > 100 else '{"n": 1}') as server:
        voice = speaker(server)
        with pytest.raises(ModelRefused, match="shorten"):
            voice.ask([HumanMessage("x" * 200)], read_n, schema=SCHEMA, max_tokens=9)
        voice.ask(HELLO, read_n, schema=SCHEMA, max_tokens=9)
    assert "response_format" in server.requests[-1]


@pytest.mark.parametrize("status", [401, 404, 500])
def test_other_refusals_are_not_about_the_schema(status: int) -> None:
    with ScriptedServer(lambda body: Status(status, {})) as server, pytest.raises(ModelRefused):
        speaker(server).ask(HELLO, read_n, schema=SCHEMA, max_tokens=9)
    assert len(server.requests) == 1


def test_a_model_of_another_api_gets_no_schema() -> None:
    model = ScriptedChatModel(lines=['{"n": 4}'])
    assert speaker_for(model, "writer", Meter()).ask(HELLO, read_n, schema=SCHEMA, max_tokens=9) == 4
    assert "response_format" not in model.options[0]


# --- the script itself ---------------------------------------------------------------------------------------------


def test_a_scripted_model_fails_when_asked_once_too_often() -> None:
    voice = speaker_for(ScriptedChatModel(lines=["one"]), "writer", Meter())
    assert voice.say(HELLO, max_tokens=9) == "one"
    with pytest.raises(AssertionError, match="once more than the 1 lines"):
        voice.say(HELLO, max_tokens=9)


def test_a_scripted_server_fails_the_test_when_asked_once_too_often() -> None:
    def ask_twice() -> Iterator[str]:
        with ScriptedServer(in_turn("one")) as server:
            voice = speaker(server)
            yield voice.say(HELLO, max_tokens=9)
            with pytest.raises(ModelRefused):
                voice.say(HELLO, max_tokens=9)

    with pytest.raises(AssertionError, match="once more than the 1 answers"):
        list(ask_twice())


def test_the_server_answers_plain_requests_too() -> None:
    import httpx

    body = {"model": "m", "messages": [{"role": "user", "content": "Say hello."}]}
    with ScriptedServer(in_turn("hello")) as server:
        answer = httpx.post(f"{server.url}/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert answer["usage"]["total_tokens"] == 4
    assert last_text(server.requests[0]) == "Say hello."


def test_the_network_is_out_of_reach() -> None:
    import socket

    import offline

    for reach in (
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
        lambda: socket.getaddrinfo("example.org", 80),
    ):
        with pytest.raises(offline.NetworkReached):
            reach()
    assert offline.REACHED == ["192.0.2.1", "example.org"]
    offline.REACHED.clear()  # or the guard fails this test, as it should any other


def test_a_model_that_is_no_chat_model_is_not_taken_for_one() -> None:
    voice = speaker_for(FakeListLLM(responses=["hello"]), "writer", Meter())  # type: ignore[arg-type]
    with pytest.raises(ModelRefused, match="not a chat completion"):
        voice.say(HELLO, max_tokens=9)
