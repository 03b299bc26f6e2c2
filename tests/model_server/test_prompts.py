"""What clients send, before it reaches a model: bounded, whole, cut where the published code cuts it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

import httpx
from pydantic import ValidationError
from serving import data_url

from limner.model_server.errors import Refused, one_line, reason
from limner.model_server.prompts import Prompts
from limner.model_server.protocol import ChatRequest, ChatTemplateKwargs, GenerateRequest, Message, TokenizeRequest
from limner.model_server.tokenizing import BLOCK, BOUNDARY

pytestmark = pytest.mark.torch
HALF = "a\ud83d"


@pytest.fixture(scope="module")
def prompts(chatting: Path) -> Prompts:
    return Prompts(chatting, 1024)


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


# --- whole characters


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generate", {"inputs": HALF}),
        ("/generate", {"inputs": "A", "parameters": {"stop": [HALF]}}),
        ("/generate", {"inputs": "A", "parameters": {"grammar": {"type": "regex", "value": HALF}}}),
        ("/tokenize", {"inputs": HALF}),
        ("/chat_tokenize", {"messages": [{"role": "user", "content": HALF}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": HALF}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": HALF}]}]}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": HALF}}]}]},
        ),
        (
            "/v1/chat/completions",
            {
                "messages": [{"role": "user", "content": "A"}],
                "response_format": {"type": "json_schema", "json_schema": {"schema": {"const": HALF}}},
            },
        ),
        ("/v1/chat/completions", {"messages": [{"role": HALF, "content": "A"}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "A"}], HALF: 1}),
    ],
)
def test_half_a_character_is_refused_in_words(served: str, path: str, body: dict[str, Any]) -> None:
    content = json.dumps(body)
    assert "\\ud83d" in content
    answer = httpx.post(f"{served}{path}", content=content, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 422, answer.text
    assert set(answer.json()) == {"error", "error_type"}


# --- length


@pytest.mark.parametrize("text", ["word " * 40_000, "\u7ed9\u5b9a" * 100_000, "-" * 200_000, "<s>" * 60_000])
def test_what_cannot_fit_is_refused_before_it_is_read_whole(prompts: Prompts, text: str) -> None:
    """No more is tokenised than shows that it is too long: a bound by the longest token first, then block by block."""
    read: list[int] = []
    tokenizing = prompts._tokenizing
    encoded = tokenizing._encoded
    tokenizing._encoded = lambda part, bos: read.append(len(part)) or encoded(part, bos)  # type: ignore[method-assign]
    try:
        for ask in (prompts.of_text, prompts.tokens, lambda t: prompts.of_messages(user(t))):
            read.clear()
            with pytest.raises(Refused, match=r"less than 1024 tokens. Given: \d+. There may be more") as refused:
                ask(text)
            assert refused.value.status == 422
            assert int(str(refused.value).split("Given: ")[1].split(".")[0]) > 1024
            assert sum(read) <= 1024 * tokenizing.longest + BLOCK
            assert max(read, default=0) <= BLOCK
    finally:
        tokenizing._encoded = encoded  # type: ignore[method-assign]


def test_a_bound_is_no_lower_than_the_text(prompts: Prompts) -> None:
    """Blocks on their own never refuse what fits as a whole."""
    tokenizing = prompts._tokenizing
    for text in ("A heron. " * 3_000, "\n\n" * 20_000, "ab" * 15_000, "\u7ed9" * 20_000):
        count = len(tokenizing.ids(text, 10**6, bos=False))
        assert len(tokenizing.ids(text, count + 1, bos=False)) == count


def test_nobody_waits_behind_anothers_prompt(prompts: Prompts) -> None:
    """A short prompt is read while a long one is: it needs neither a lock nor Python's."""
    done: list[str] = []
    tokenizing = prompts._tokenizing
    long = "the quick brown fox jumps over the lazy dog. " * 20_000

    def read() -> None:
        tokenizing._encoded(long, False)
        done.append("long")

    thread = threading.Thread(target=read)
    thread.start()
    prompts.of_messages(user("A heron"))
    done.append("short")
    thread.join()
    assert done == ["short", "long"]


def test_truncate_comes_before_the_length_is_judged(prompts: Prompts) -> None:
    text = "".join(f"word {n} " for n in range(5_000))
    whole = prompts._tokenizing.ids(text, 10**6, bos=True)
    for count in (1, 7, 500):
        assert list(prompts.of_text(text, count).ids) == whole[-count:]
    assert list(prompts.of_text("A heron", 900).ids) == prompts._tokenizing.ids("A heron", 1024, bos=True)
    with pytest.raises(Refused, match="less than 1024"):
        prompts.of_text(text, 2000)
    with pytest.raises(Refused, match="would cut images"):
        prompts.of_text(f"A ![]({data_url()}) B", 3)


# --- where text is cut


def test_a_question_is_tokenised_apart_by_v1_alone(prompts: Prompts, version: int) -> None:
    """As the published chat did; composition's prompts are one text. Goldens: test_published_files.py."""
    encode = prompts.tokenizer.encode
    before, after = ((" <|User|>:", "\n<TOKENS_UNUSED_0>"), ("user\n", "[UNUSED_TOKEN_145]"))[version - 1]
    for word in ("What?", "a.\n", ":x", " a "):
        ids = list(prompts.of_messages(user(word)).ids)
        joined = list(prompts.of_messages(user(word), ChatTemplateKwargs(joined=True)).ids)
        apart = [i for part in (before, word, after) for i in encode(part, add_special_tokens=False)]
        if version == 1:
            assert ids[1 : 1 + len(apart)] == apart
        else:
            assert ids == joined
        assert prompts.tokenizer.decode(ids) == prompts.tokenizer.decode(joined)


@pytest.mark.parametrize("text", ["a<s>b", "MARK</s>", "<ImageHere>", "MARK\n", f"a{BOUNDARY}b"])
def test_marks_in_a_message_are_text(prompts: Prompts, version: int, text: str) -> None:
    text = text.replace("MARK", ("<TOKENS_UNUSED_1>", "[UNUSED_TOKEN_145]")[version - 1])
    marks = set(prompts.tokenizer.added_tokens_decoder)
    plain = list(prompts.of_messages(user("b")).ids)
    ids = list(prompts.of_messages(user(f"b{text}b")).ids)
    assert [i for i in ids if i in marks] == [i for i in plain if i in marks]
    shown = text.replace(BOUNDARY, "\N{REPLACEMENT CHARACTER}")
    assert shown in prompts.tokenizer.decode(ids)
    templated, rows = prompts.templated(user(f"b{text}b"))
    assert [row["id"] for row in rows] == ids
    assert f"b{shown}b" in templated
    assert all(templated[row["start"] : row["stop"]] == row["text"] for row in rows)


# --- fields


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "low", "verbosity": "low", "prompt_cache_key": "k", "safety_identifier": "u"},
        {"prompt_cache_retention": "24h", "modalities": ["text"], "temperature": 0, "top_k": 0},
    ],
)
def test_current_fields_of_openai_are_taken(fields: dict[str, Any]) -> None:
    ChatRequest.model_validate({"messages": [{"role": "user", "content": "A"}], **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1e-320}, {"temperature": 1e300}, {"top_k": 2**70}, {"top_p": 1e-320}, {"typical_p": 5e-324},
        {"repetition_penalty": 1e-320}, {"repetition_penalty": 1e308},
    ],
)  # fmt: skip
def test_numbers_that_no_device_can_hold_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateRequest.model_validate({"inputs": "A", "parameters": fields})
    if "typical_p" not in fields:
        with pytest.raises(ValidationError):
            ChatRequest.model_validate({"messages": [{"role": "user", "content": "A"}], **fields})


def test_no_address_in_memory_is_told(served: str) -> None:
    bad = "data:image/png;base64,AAAA"
    answer = httpx.post(f"{served}/generate", json={"inputs": f"![]({bad})"}, timeout=60)
    assert answer.status_code == 422
    assert "0x" not in answer.text
    assert reason(ValueError("cannot identify <_io.BytesIO object at 0x7f3a6c1d2b60>.")) == "cannot identify the data"
    assert one_line("a\n b\0c") == "a b c"
    assert reason(ValueError()) == "ValueError"


def test_numbers_of_tokens_are_integers() -> None:
    TokenizeRequest.model_validate({"inputs": "A", "parameters": {"x": 2**70}})
