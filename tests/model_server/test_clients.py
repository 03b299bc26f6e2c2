"""Every route, asked by the clients that people use, over HTTP, of a served random checkpoint of either version."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
text_generation = pytest.importorskip("text_generation", reason="a client of the group model-server")
pytest.importorskip("langchain_huggingface", reason="a client of the group model-server")

import openai  # noqa: E402
from huggingface_hub import InferenceClient  # noqa: E402
from huggingface_hub.errors import ValidationError  # noqa: E402
from langchain_core.messages import AIMessage, HumanMessage  # noqa: E402
from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402
from serving import picture  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    # text-generation 0.7.0 speaks to pydantic as of its version 1; it and LangChain's leave sockets to the collector.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BEE = {
    "type": "object",
    "properties": {"kind": {"enum": ["bee", "wasp"]}, "legs": {"type": "integer", "minimum": 6, "maximum": 6}},
    "required": ["kind", "legs"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _sockets_of_clients() -> Iterator[None]:
    yield
    gc.collect()


class Bee(BaseModel):
    """The same for clients that want a class."""

    kind: str = Field(pattern="^(bee|wasp)$")
    legs: int = Field(ge=6, le=6)


def asked(url: str, route: str, **body: Any) -> Any:
    """The answer to a POST that must succeed."""
    answer = httpx.post(url + route, json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def say(url: str, *content: Any, **body: Any) -> Any:
    """One choice of a chat completion, greedy unless said otherwise."""
    messages = [{"role": "user", "content": list(content)}] if content else body.pop("messages")
    return asked(url, "/v1/chat/completions", messages=messages, **{"temperature": 0, "max_tokens": 8, **body})


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


@pytest.fixture(scope="session")
def gpt(served: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served}/v1", api_key="-", max_retries=0)


# --- text-generation, TGI's own client -----------------------------------------------------------------------------


def test_text_generation(served: str) -> None:
    client = text_generation.Client(served, timeout=60)
    whole = client.generate("A heron", max_new_tokens=7, decoder_input_details=True, top_n_tokens=2)
    details = whole.details
    assert details.generated_tokens == len(details.tokens) == 7
    assert details.finish_reason == "length"
    assert details.prefill[0].text == "<s>"
    assert details.prefill[0].logprob is None
    assert all(t.logprob < 0 for t in [*details.prefill[1:], *details.tokens])
    assert [len(top) for top in details.top_tokens] == [2] * 7
    assert [top[0].id for top in details.top_tokens] == [t.id for t in details.tokens]  # greedy takes the likeliest
    streamed = list(client.generate_stream("A heron", max_new_tokens=7))
    assert [s.token.id for s in streamed] == [t.id for t in details.tokens]
    assert "".join(s.token.text for s in streamed) == streamed[-1].generated_text == whole.generated_text
    assert streamed[-1].details.generated_tokens == 7
    assert client.generate("A heron", max_new_tokens=7, return_full_text=True).generated_text == (
        "A heron" + whole.generated_text
    )


def test_text_generation_samples_by_its_seed(served: str) -> None:
    client = text_generation.Client(served, timeout=60)
    drawn = [
        client.generate("A", do_sample=True, temperature=1.5, max_new_tokens=9, seed=seed).generated_text
        for seed in (7, 7, 8, 9)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_text_generation_chat_and_errors(served: str) -> None:
    client = text_generation.Client(served, timeout=60)
    answer = client.chat([text_generation.types.Message(role="user", content="Hello")], max_tokens=5, temperature=0.0)
    assert answer.usage["completion_tokens"] == 5
    with pytest.raises(text_generation.errors.ValidationError, match="must be <="):
        client.generate("A", max_new_tokens=10**6)


# --- huggingface_hub -----------------------------------------------------------------------------------------------


def test_inference_client_generates(served: str) -> None:
    client = InferenceClient(served, timeout=60)
    plain = client.text_generation("A heron", max_new_tokens=6)
    details = client.text_generation("A heron", max_new_tokens=6, details=True, top_n_tokens=1)
    assert details.generated_text == plain
    assert details.details.finish_reason == "length"
    pieces = list(client.text_generation("A heron", max_new_tokens=6, stream=True))
    assert "".join(pieces) == plain
    events = list(client.text_generation("A heron", max_new_tokens=6, stream=True, details=True))
    assert events[-1].generated_text == plain
    assert events[-1].details.input_length > 1
    stopped = client.text_generation("A heron", max_new_tokens=6, stop=[plain[2]], details=True)
    assert stopped.generated_text == plain[: plain.index(plain[2]) + 1]  # TGI leaves the stop sequence in
    assert stopped.details.finish_reason == "stop_sequence"
    held = client.text_generation("A", max_new_tokens=40, grammar={"type": "json", "value": BEE})
    assert json.loads(held)["legs"] == 6
    assert (
        client.text_generation("A", max_new_tokens=9, grammar={"type": "regex", "value": "[ab]{4}"}).strip("ab") == ""
    )


def test_inference_client_chats(served: str) -> None:
    client = InferenceClient(served, timeout=60)
    ask = [{"role": "user", "content": [text("What is this? "), picture("red"), picture("blue")]}]
    whole = client.chat_completion(ask, max_tokens=6, temperature=0, logprobs=True, top_logprobs=2)
    assert whole.usage.completion_tokens == 6
    assert [len(t.top_logprobs) for t in whole.choices[0].logprobs.content] == [2] * 6
    chunks = list(client.chat_completion(ask, max_tokens=6, temperature=0, stream=True))
    assert "".join(c.choices[0].delta.content for c in chunks) == whole.choices[0].message.content
    held = client.chat_completion(
        ask, max_tokens=40, response_format={"type": "json_schema", "json_schema": {"name": "bee", "schema": BEE}}
    )
    assert json.loads(held.choices[0].message.content)["kind"] in ("bee", "wasp")


def test_inference_client_tells_errors_apart(served: str) -> None:
    client = InferenceClient(served, timeout=60)
    with pytest.raises(ValidationError, match="must be <="):
        client.text_generation("A", max_new_tokens=10**6)


# --- openai --------------------------------------------------------------------------------------------------------


def test_openai_completes_and_streams(gpt: openai.OpenAI) -> None:
    ask: Any = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9, "temperature": 0}
    whole = gpt.chat.completions.create(**ask, logprobs=True, top_logprobs=3)
    choice = whole.choices[0]
    assert choice.finish_reason == "length"
    assert choice.logprobs is not None
    assert "".join(t.token for t in choice.logprobs.content or []) == choice.message.content
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 9
    chunks = list(gpt.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == choice.message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].choices[0].finish_reason == "length"
    assert all(c.usage is None for c in chunks[:-1])


def test_openai_stop_seed_and_schema(gpt: openai.OpenAI) -> None:
    ask: Any = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 12}
    drawn = [gpt.chat.completions.create(**ask, seed=n).choices[0].message.content or "" for n in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1
    stop = drawn[0][3:5]
    stopped = gpt.chat.completions.create(**ask, seed=1, stop=stop).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == (drawn[0][: drawn[0].index(stop)], "stop")
    streamed = gpt.chat.completions.create(**ask, seed=1, stop=[stop], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == stopped.message.content
    parsed = gpt.chat.completions.parse(**ask | {"max_tokens": 60}, response_format=Bee).choices[0].message.parsed
    assert parsed is not None
    assert parsed.legs == 6


def test_openai_models_and_errors(gpt: openai.OpenAI, served: str) -> None:
    assert [m.id for m in gpt.models.list()] == ["tiny"]
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        gpt.chat.completions.create(model="-", messages=[{"role": "user", "content": "A", "feeling": "x"}])  # type: ignore
    assert "unknown field `messages.0.feeling`" in str(caught.value.body)
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        gpt.chat.completions.create(
            model="-",
            messages=[{"role": "user", "content": "A"}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    assert "calls no tools" in str(caught.value.body)
    with pytest.raises(openai.NotFoundError):
        gpt.embeddings.create(model="-", input="A")


# --- LangChain -----------------------------------------------------------------------------------------------------


def test_chat_openai_of_langchain(served: str) -> None:
    model: Any = ChatOpenAI(base_url=f"{served}/v1", api_key="-", model="tiny", temperature=0, max_tokens=8)  # type: ignore
    whole = model.invoke("Hello")
    assert whole.usage_metadata["output_tokens"] == 8
    assert "".join(str(c.content) for c in model.stream("Hello")) == whole.content
    bee = ChatOpenAI(base_url=f"{served}/v1", api_key="-", model="tiny", max_tokens=60).with_structured_output(  # type: ignore
        Bee, method="json_schema"
    )
    assert isinstance(bee.invoke("Hello"), Bee)
    assert model.invoke([HumanMessage("Hello"), AIMessage("The answer:")]).content != whole.content


def test_langchain_huggingface(served: str) -> None:
    endpoint: Any = HuggingFaceEndpoint(endpoint_url=served, max_new_tokens=6, seed=1)  # type: ignore
    plain = endpoint.invoke("A heron")
    assert plain
    assert "".join(endpoint.stream("A heron")) == plain
    chat: Any = ChatHuggingFace(llm=endpoint, model_id="tiny", max_tokens=5, temperature=0)
    assert chat.invoke("Hello").content
