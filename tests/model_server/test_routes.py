"""What the routes answer: bodies, headers, framing; and that every way of decoding is that of plain `generate`."""

from __future__ import annotations

import gc
import json
import logging
import math
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from PIL import Image  # noqa: E402
from serving import build, data_url, picture, serving  # noqa: E402
from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: E402

from limner.model_server.app import server_config  # noqa: E402
from limner.model_server.engine import Job  # noqa: E402
from limner.model_server.service import Answer  # noqa: E402

pytestmark = pytest.mark.torch

SCHEMA = {"type": "object", "properties": {"legs": {"const": 6}}, "required": ["legs"], "additionalProperties": False}


def post(url: str, route: str, **body: Any) -> httpx.Response:
    return httpx.post(url + route, json=body, timeout=60)


def asked(url: str, route: str, **body: Any) -> Any:
    """The answer to a POST that must succeed."""
    answer = post(url, route, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def say(url: str, content: Any, **body: Any) -> Any:
    """A chat completion, greedy unless said otherwise."""
    messages = content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
    return asked(url, "/v1/chat/completions", messages=messages, **{"temperature": 0, "max_tokens": 8, **body})


def words(answer: Any) -> str:
    return answer["choices"][0]["message"]["content"]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def events(answer: httpx.Response) -> list[Any]:
    """Server-sent events, each framed as `data: …` and a blank line."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = answer.text.split("\n\n")
    assert blocks.pop() == ""
    assert all(b.startswith("data: ") for b in blocks)
    return [json.loads(b[6:]) if b != "data: [DONE]" else None for b in blocks]


# --- against the model itself --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def known(chatting: Any) -> tuple[Any, Any]:
    """(model, processor) of the served checkpoint, loaded by the test itself."""
    return AutoModelForImageTextToText.from_pretrained(
        chatting, dtype=torch.float32
    ).eval(), AutoProcessor.from_pretrained(chatting)


def generated(known: tuple[Any, Any], prompt: str, images: list[Image.Image], **options: Any) -> list[int]:
    """What plain `generate` answers to a prompt."""
    model, processor = known
    inputs = processor(text=prompt, images=images or None, return_tensors="pt")
    out = model.generate(**inputs, max_new_tokens=8, **{"do_sample": False, **options})
    return out[0, inputs["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"repetition_penalty": 5.0}, {"repetition_penalty": 5.0}),
        ({"num_beams": 5}, {"num_beams": 5}),
        ({"num_beams": 5, "repetition_penalty": 1.5}, {"num_beams": 5, "repetition_penalty": 1.5}),
        ({"num_beams": 3, "length_penalty": -1.0}, {"num_beams": 3, "length_penalty": -1.0}),
    ],
    ids=["greedy", "penalty", "beams", "beams with penalty", "beams with length"],
)
@pytest.mark.parametrize("images", [0, 2])
def test_an_answer_is_that_of_plain_generate(
    served: str, known: tuple[Any, Any], ours: dict[str, Any], theirs: dict[str, Any], images: int
) -> None:
    colours = ["red", "blue"][:images]
    inputs = "A heron" + "".join(f" ![]({data_url(c)})" for c in colours)
    prompt = "A heron" + " <ImageHere>" * images
    expected = generated(known, prompt, [Image.new("RGB", (32, 20), c) for c in colours], **theirs)
    details = asked(served, "/generate", inputs=inputs, parameters={"max_new_tokens": 8, "details": True, **ours})
    assert [t["id"] for t in details["details"]["tokens"]] == expected


def test_logprobs_are_the_models_own(served: str, known: tuple[Any, Any]) -> None:
    model, processor = known
    for options in (
        {},
        {"num_beams": 3},
        {"repetition_penalty": 3.0},
        {"grammar": {"type": "regex", "value": "[ab]{4}"}},
    ):
        parameters = {"max_new_tokens": 4, "details": True, "decoder_input_details": True, **options}
        told = asked(served, "/generate", inputs="A heron", parameters=parameters)["details"]
        ids = [t["id"] for t in told["prefill"] + told["tokens"]]
        assert ids[: len(told["prefill"])] == processor.tokenizer("A heron")["input_ids"]
        with torch.no_grad():
            logprobs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), dim=-1)
        expected = [float(logprobs[n - 1, i]) for n, i in enumerate(ids) if n]
        got = [t["logprob"] for t in told["prefill"] + told["tokens"]][1:]
        assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(got, expected, strict=True))


def test_images_are_read_in_their_order(served: str) -> None:
    one = say(served, [text("Which? "), picture("red"), picture("blue")], logprobs=True)
    other = say(served, [text("Which? "), picture("blue"), picture("red")], logprobs=True)
    between = say(served, [picture("red"), text("Which? "), picture("blue")], logprobs=True)
    seen = {json.dumps(a["choices"][0]["logprobs"]) for a in (one, other, between)}
    assert len(seen) == 3
    rows = httpx.get(f"{served}/info").json()["rows_per_image"]
    alone = say(served, [text("Which? ")])["usage"]["prompt_tokens"]
    assert one["usage"]["prompt_tokens"] == alone + 2 * rows


def test_an_assistants_last_message_is_gone_on_with(served: str, version: int) -> None:
    ask = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "The answer is"}]
    written = {
        1: " <|User|>:Hello\n<TOKENS_UNUSED_0> <|Bot|>:The answer is",
        2: "[UNUSED_TOKEN_146]user\nHello[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\nThe answer is",
    }[version]
    raw = asked(served, "/generate", inputs=written, parameters={"max_new_tokens": 8})["generated_text"]
    assert words(say(served, ask)) == raw
    kept = [{"role": "user", "content": written}]
    assert words(say(served, kept, chat_template_kwargs={"raw": True})) == raw
    templated = asked(served, "/chat_tokenize", messages=ask)
    assert templated["templated_text"].removeprefix("<s>") == written
    assert say(served, ask)["usage"]["prompt_tokens"] == len(templated["tokenize_response"])


# --- constraints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "json_schema": {"name": "bee", "schema": SCHEMA, "strict": True}},
        {"type": "json_schema", "value": {"name": "bee", "schema": SCHEMA}},
        {"type": "json", "value": SCHEMA},
        {"type": "json_object", "value": SCHEMA},
        {"type": "json_object", "schema": SCHEMA},
        {"type": "json", "value": json.dumps(SCHEMA)},
    ],
    ids=["OpenAI", "TGI", "TGI json", "huggingface_hub", "llama.cpp", "as text"],
)
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_every_spelling_of_a_schema_is_held_to(served: str, form: dict[str, Any], temperature: float) -> None:
    answer = say(served, "Hello", response_format=form, temperature=temperature, max_tokens=60)
    assert json.loads(words(answer)) == {"legs": 6}
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_free_json_and_free_text(served: str) -> None:
    held = say(served, "Hello", response_format={"type": "json_object"}, max_tokens=3)
    assert words(held).startswith("{")
    assert say(served, "Hello", response_format={"type": "text"})["usage"]["completion_tokens"] == 8


# --- the routes ----------------------------------------------------------------------------------------------------


def test_the_stream_ends_with_the_text_and_says_each_token_once(served: str) -> None:
    answer = post(
        served, "/generate_stream", inputs="A", parameters={"max_new_tokens": 5, "details": True, "top_n_tokens": 1}
    )
    said = events(answer)
    assert [e["index"] for e in said] == [1, 2, 3, 4, 5]  # TGI counts from one
    assert [e["generated_text"] is None for e in said] == [True] * 4 + [False]
    assert said[-1]["details"].keys() == {"finish_reason", "generated_tokens", "seed", "input_length"}
    assert [len(e["top_tokens"]) for e in said] == [1] * 5
    assert answer.headers["x-accel-buffering"] == "no"


def test_the_compat_route_answers_with_a_list_or_a_stream(served: str) -> None:
    whole = asked(served, "/", inputs="A", parameters={"max_new_tokens": 5})
    said = events(post(served, "/", inputs="A", parameters={"max_new_tokens": 5}, stream=True))
    assert whole == [{"generated_text": said[-1]["generated_text"]}]


def test_a_beam_search_streams_its_answer_at_the_end(served: str) -> None:
    whole = asked(served, "/generate", inputs="A", parameters={"max_new_tokens": 5, "num_beams": 3})
    said = events(post(served, "/generate_stream", inputs="A", parameters={"max_new_tokens": 5, "num_beams": 3}))
    assert said[-1]["generated_text"] == whole["generated_text"]


def test_a_chat_stream_is_framed_as_openai_does(served: str) -> None:
    ask = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5, "temperature": 0, "logprobs": True}
    answer = post(served, "/v1/chat/completions", **ask, stream=True)
    said = events(answer)
    assert said[-1] is None
    whole = say(served, "Hello", max_tokens=5, logprobs=True)
    assert "".join(e["choices"][0]["delta"]["content"] for e in said[:-1]) == words(whole)
    logprobs = [t for e in said[:-1] if e["choices"][0]["logprobs"] for t in e["choices"][0]["logprobs"]["content"]]
    assert logprobs == whole["choices"][0]["logprobs"]["content"]
    assert {e["id"] for e in said[:-1]} == {said[0]["id"]}


def test_headers_tell_lengths_and_times(served: str) -> None:
    answer = post(served, "/generate", inputs="A", parameters={"max_new_tokens": 5})
    assert answer.headers["x-generated-tokens"] == "5"
    assert answer.headers["x-prompt-tokens"] == str(len(asked(served, "/tokenize", inputs="A")))
    assert answer.headers["x-compute-type"] == "cpu"
    assert all(answer.headers[f"x-{n}-time"].isdigit() for n in ("total", "validation", "queue", "inference"))


def test_tokens_know_their_place(served: str) -> None:
    inputs = "鹭鸶 stands in\tthe reeds 🐝"
    tokens = asked(served, "/tokenize", inputs=inputs)
    assert tokens[0]["text"] == ""
    assert all(inputs[t["start"] : t["stop"]] == t["text"] for t in tokens)
    assert tokens[-1]["stop"] == len(inputs)
    assert len(asked(served, "/tokenize", inputs=inputs, add_special_tokens=False)) == len(tokens) - 1


def test_truncate_keeps_the_end(served: str) -> None:
    tokens = asked(served, "/tokenize", inputs="A heron in the reeds")
    parameters = {"max_new_tokens": 2, "truncate": 3, "details": True, "decoder_input_details": True}
    told = asked(served, "/generate", inputs="A heron in the reeds", parameters=parameters)["details"]
    assert [t["id"] for t in told["prefill"]] == [t["id"] for t in tokens[-3:]]


def test_info_models_health_and_metrics(served: str) -> None:
    info = httpx.get(f"{served}/info").json()
    assert info["engine"] == "transformers"
    assert set(info["decoding"]) >= {"greedy", "sampling", "grammar", "beams", "beams_with_images"}
    assert info["max_input_tokens"] == info["max_total_tokens"] - 1
    assert httpx.get(f"{served}/v1/models").json()["data"][0]["id"] == info["model_id"]
    assert httpx.get(f"{served}/health").status_code == httpx.get(f"{served}/ping").status_code == 200

    def figure(name: str) -> float:
        lines = httpx.get(f"{served}/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])

    before = [figure(n) for n in ("tgi_request_count", "tgi_request_success", "tgi_request_generated_tokens_sum")]
    asked(served, "/generate", inputs="A", parameters={"max_new_tokens": 5})
    after = [figure(n) for n in ("tgi_request_count", "tgi_request_success", "tgi_request_generated_tokens_sum")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 5]


def test_nothing_of_an_answer_is_kept(chatting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for the garbage collector: a picture's pixels are half a megabyte, and it may not look for hours."""

    def kept() -> list[Any]:
        return [o for o in gc.get_objects() if type(o) in (Answer, Job)]

    # pytest keeps what is logged, with the errors, and those keep their frames.
    monkeypatch.setattr(logging.getLogger("limner.model_server"), "propagate", False)
    service, model = build(chatting)
    seeing = {"messages": [{"role": "user", "content": [picture(), text("Which?")]}], "max_tokens": 4}
    long = {"inputs": "A", "parameters": {"max_new_tokens": 500}}
    gc.collect()
    gc.disable()
    try:
        before = len(kept())
        with serving(service) as url:
            asked(url, "/generate", inputs="A", parameters={"max_new_tokens": 3})
            events(post(url, "/generate_stream", inputs="A", parameters={"max_new_tokens": 3}))
            asked(url, "/v1/chat/completions", **seeing)
            events(post(url, "/v1/chat/completions", **seeing, stream=True))
            model.failure = RuntimeError("no memory left")
            assert post(url, "/v1/chat/completions", **seeing).status_code == 424
            model.failure = RuntimeError("no memory left")
            assert "no memory left" in post(url, "/v1/chat/completions", **seeing, stream=True).text
            with httpx.stream("POST", f"{url}/generate_stream", json=long, timeout=60) as answer:
                next(answer.iter_lines())  # and go
            model.gate = threading.Semaphore(0)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{url}/generate", json=long, timeout=0.2)
            while service.admitted:
                httpx.get(f"{url}/health")
        assert len(kept()) == before
    finally:
        gc.enable()


def test_clients_end_idle_connections_first(chatting: Path) -> None:
    """Else a request can meet a connection that the server is closing."""
    service, _ = build(chatting)
    assert server_config(service).timeout_keep_alive > (httpx.Limits().keepalive_expiry or 0)
