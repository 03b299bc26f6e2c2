"""A model server and a chat model with a script: a language model's words are made up here, everything else is real.

`ScriptedServer` speaks the OpenAI chat API over real HTTP, in a thread, and can be as broken as servers are.
`ScriptedChatModel` is a LangChain chat model for tests that need no wire. Both keep what they were asked.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import pairwise
from socketserver import TCPServer
from typing import Any, Literal, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

CHARS_PER_TOKEN = 4  # what this server calls a token


# --- what a server may answer --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Delayed:
    """Words that take `seconds` from request to last piece, streamed evenly, a token at a time."""

    text: str
    seconds: float
    pieces: int = 0
    """How many pieces; 0 is one per token."""
    until: threading.Event | None = None
    """The second half of the pieces waits for this."""


class Fault:
    """An answer that is not a completion."""

    def serve(self, wire: Wire) -> None:
        """Send it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Status(Fault):
    """A response whole: an HTTP error, or 200 with a body that is no stream. A str body goes as HTML."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def serve(self, wire: Wire) -> None:
        if isinstance(self.body, str):
            wire.send_whole(self.status, self.body.encode(), "text/html; charset=utf-8", self.headers)
        else:
            wire.send_json(self.status, self.body, self.headers)


@dataclass(frozen=True)
class Events(Fault):
    """A stream of exactly these events, each the text after `data: `, and no [DONE] of its own."""

    events: Sequence[str]

    def serve(self, wire: Wire) -> None:
        wire.open_stream()
        for event in self.events:
            wire.send_event(event)
        wire.close_stream()


@dataclass(frozen=True)
class Endless(Fault):
    """A stream that repeats one piece until the client hangs up, whatever max_tokens says."""

    piece: str = "and so on "

    def serve(self, wire: Wire) -> None:
        wire.open_stream()
        while not wire.scripted.closing.is_set():
            wire.send_event(json.dumps(_chunk(self.piece)))


@dataclass(frozen=True)
class Dropped(Fault):
    """A stream whose connection breaks after this text."""

    text: str = "It began well"

    def serve(self, wire: Wire) -> None:
        wire.open_stream()
        wire.send_event(json.dumps(_chunk(self.text)))
        wire.close_connection = True  # without the last chunk, which tells the client that something is missing


@dataclass(frozen=True)
class Stalled(Fault):
    """A stream that sends this text ("": not even a status line) and then nothing, until the server is closed."""

    text: str = "It began well"

    def serve(self, wire: Wire) -> None:
        if self.text:
            wire.open_stream()
            wire.send_event(json.dumps(_chunk(self.text)))
        wire.scripted.closing.wait(60)
        wire.close_connection = True


Answer = str | Delayed | Fault
Script = Callable[[dict[str, Any]], Answer]


def in_turn(*answers: Answer) -> Script:
    """These answers one after the other, whatever is asked; AssertionError when asked once too often."""
    left = list(answers)

    def answer(body: dict[str, Any]) -> Answer:
        assert left, f"asked once more than the {len(answers)} answers scripted: {last_text(body)[-300:]}"
        return left.pop(0)

    return answer


def too_long(limit: int = 4096) -> Status:
    """What vLLM answers to a prompt beyond its context."""
    text = f"This model's maximum context length is {limit} tokens. However, you requested more."
    return Status(400, {"error": {"message": text, "type": "BadRequestError", "code": 400}})


def no_response_format(body: dict[str, Any]) -> Status | None:
    """TGI's answer to OpenAI's spelling of a JSON schema, or None for a request without one."""
    if "response_format" not in body:
        return None
    return Status(422, {"error": "unknown variant `json_schema`, expected `json`", "error_type": "validation"})


# --- the server ----------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """One request as the server met it."""

    body: dict[str, Any]
    at: float
    """Seconds on the monotonic clock when its last byte had come in."""
    headers: dict[str, str]
    """By lower-case name."""
    took: float = 0
    """Seconds until the last byte of the answer was sent."""
    usage: dict[str, Any] = field(default_factory=dict)
    """As reported to a client that asked for it; empty for a fault."""


class ScriptedServer:
    """An OpenAI chat server on a free port of the loopback; use it as a context manager.

    answer: called with each request's parsed body. What it raises fails the test when the server closes.
    listing: served at /v1/models instead of the list of `models`. rerank: gives the reply of /v1/rerank; 404 without.

    It counts a token per four characters, and as cached what a request's beginning shares with an earlier one.
    """

    def __init__(
        self,
        answer: Script,
        *,
        models: Sequence[str] = ("scripted-7b",),
        owned_by: str = "scripted",
        listing: Fault | None = None,
        rerank: Callable[[dict[str, Any]], dict[str, Any] | Fault] | None = None,
    ) -> None:
        self.answer, self.models, self.owned_by, self.listing = answer, models, owned_by, listing
        self.rerank = rerank
        self.reranked: list[Asked] = []
        """The requests to /v1/rerank."""
        self.log: list[Asked] = []
        self.listed = 0
        """How often /v1/models was asked for."""
        self.hung_up = threading.Event()
        """Set when a client closed the connection before the answer was complete."""
        self.closing = threading.Event()
        self.failures: list[BaseException] = []
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), type("BoundWire", (Wire,), {"scripted": self}))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Base URL, ending in /v1."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The parsed bodies of all chat requests so far, in the order they came."""
        return [asked.body for asked in self.log]

    @property
    def texts(self) -> list[str]:
        """All text of each request, images left out."""
        return [text_of(body) for body in self.requests]

    def receive(self, body: dict[str, Any], headers: dict[str, str]) -> Asked:
        """Note a request."""
        asked = Asked(body, time.monotonic(), headers)
        with self._lock:
            self.log.append(asked)
        return asked

    def usage_of(self, asked: Asked, text: str) -> dict[str, Any]:
        """What a request cost, in OpenAI's form."""
        prompt = _rendered(asked.body)
        with self._lock:
            earlier = [_rendered(other.body) for other in self.log if other is not asked and other.usage]
        cached = max((_shared(prompt, other) for other in earlier), default=0) // CHARS_PER_TOKEN
        tokens, answered = len(prompt) // CHARS_PER_TOKEN, -(-len(text) // CHARS_PER_TOKEN)
        return {
            "prompt_tokens": tokens,
            "completion_tokens": answered,
            "total_tokens": tokens + answered,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def close(self) -> None:
        """Stop, and raise what the script raised."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
        if self.failures:
            raise self.failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer would look up this machine's name
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Errors are kept by Wire; none goes to stderr."""


class Wire(BaseHTTPRequestHandler):
    """One connection of a ScriptedServer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each small piece of a stream may wait 40 ms for an acknowledgement
    scripted: ScriptedServer

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self.send_json(404, {"error": {"message": f"no {self.path} here", "code": 404}})
        self.scripted.listed += 1
        if self.scripted.listing is not None:
            return self.scripted.listing.serve(self)
        data = [
            {"id": m, "object": "model", "created": 0, "owned_by": self.scripted.owned_by} for m in self.scripted.models
        ]
        return self.send_json(200, {"object": "list", "data": data})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/rerank" and self.scripted.rerank:
            self.scripted.reranked.append(Asked(body, time.monotonic(), dict(self.headers.items())))
            reply = self.scripted.rerank(body)
            return reply.serve(self) if isinstance(reply, Fault) else self.send_json(200, reply)
        if self.path != "/v1/chat/completions":
            return self.send_json(404, {"error": {"message": f"no {self.path} here", "code": 404}})
        asked = self.scripted.receive(body, {name.lower(): value for name, value in self.headers.items()})
        try:
            self._answer(asked)
        except (BrokenPipeError, ConnectionResetError):
            self.scripted.hung_up.set()
            self.close_connection = True
        except BaseException as e:  # noqa: BLE001 - the script failed: close() raises it in the test
            self.scripted.failures.append(e)
            self.send_json(418, {"error": {"message": f"the script failed: {e!r}", "code": 418}})
        finally:
            asked.took = time.monotonic() - asked.at

    def _answer(self, asked: Asked) -> None:
        answer = self.scripted.answer(asked.body)
        if isinstance(answer, Fault):
            return answer.serve(self)
        words = Delayed(answer, 0, pieces=8) if isinstance(answer, str) else answer
        asked.usage = self.scripted.usage_of(asked, words.text)
        if asked.body.get("stream"):
            return self._send_stream(asked, words)
        _sleep_until(asked.at + words.seconds)
        message = {"role": "assistant", "content": words.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self.send_json(200, {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": asked.usage})

    def _send_stream(self, asked: Asked, words: Delayed) -> None:
        self.open_stream()
        pieces = _pieces(words.text, words.pieces or -(-len(words.text) // CHARS_PER_TOKEN) or 1)
        for n, piece in enumerate(pieces, 1):
            _sleep_until(asked.at + words.seconds * n / len(pieces))
            while n > len(pieces) // 2 and words.until and not words.until.wait(0.1):
                if self.scripted.closing.is_set():
                    break
            self.send_event(json.dumps(_chunk(piece)))
        self.send_event(json.dumps(_chunk("", finish="stop")))
        if (asked.body.get("stream_options") or {}).get("include_usage"):
            self.send_event(json.dumps({**_chunk(""), "choices": [], "usage": asked.usage}))
        self.send_event("[DONE]")
        self.close_stream()

    # -- bytes

    def send_json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """A JSON response."""
        self.send_whole(status, json.dumps(body).encode(), "application/json", headers or {})

    def send_whole(self, status: int, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        """A response with its length."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def open_stream(self) -> None:
        """The head of an event stream in chunked encoding."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_event(self, data: str) -> None:
        """One server-sent event."""
        event = f"data: {data}\n\n".encode()
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def close_stream(self) -> None:
        """The end of a chunked response."""
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `server.log`, not stderr."""


_HEAD = {"id": "chatcmpl-1", "created": 0, "model": "scripted-7b"}


def _chunk(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}


def _pieces(text: str, count: int) -> list[str]:
    cuts = sorted({len(text) * n // count for n in range(count + 1)})
    return [text[a:b] for a, b in pairwise(cuts)] or [""]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _shared(a: str, b: str) -> int:
    """Length of the common beginning, by halving: prompts are long and the bench counts our time too."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


# --- reading requests ----------------------------------------------------------------------------------------------


def parts_of(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All content parts of a request, a message that is a string as one text part."""
    for message in body["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def text_of(body: dict[str, Any]) -> str:
    """All text of a request."""
    return "".join(part["text"] for part in parts_of(body) if part["type"] == "text")


def last_text(body: dict[str, Any]) -> str:
    """The text of the last message: what the model is asked now."""
    return text_of({"messages": body["messages"][-1:]})


def images_of(body: dict[str, Any]) -> list[str]:
    """URLs of all images in a request."""
    return [part["image_url"]["url"] for part in parts_of(body) if part["type"] == "image_url"]


def _rendered(body: dict[str, Any]) -> str:
    return "".join(part.get("text") or part["image_url"]["url"] for part in parts_of(body))


def colour_of(data_url: str) -> tuple[int, int, int]:
    """The colour in the middle of an image given as a data URL, decoded as a model that sees would."""
    from PIL import Image

    with Image.open(BytesIO(base64.b64decode(data_url.partition(",")[2]))) as image:
        pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return (int(pixel[0]), int(pixel[1]), int(pixel[2]))


Asking = Literal["writer", "spotter", "selector", "checker", "probe", "chat"]
_SIGNS: dict[Asking, tuple[str, ...]] = {  # words of limner/agents/dialects/instruct.py and selector.py
    "probe": ("Which one is red?",),
    "writer": ("You write articles", "你撰写将要配图的文章"),
    "spotter": ("After which paragraphs would a picture", "哪些段落之后配一张图片"),
    "checker": ("You check the pictures of an article",),
    "selector": ("Which of the candidates 1 to", "号候选中哪一张"),
}


def asking(body: dict[str, Any]) -> Asking:
    """Which role's prompt a request holds; "chat" for any other."""
    text = text_of(body)
    for role, signs in _SIGNS.items():
        if any(sign in text for sign in signs):
            return role
    return "chat"


# --- plausible answers ---------------------------------------------------------------------------------------------

ARTICLE = """# How Bees Make Honey

A worker bee leaves the hive at first light and flies as far as three kilometres for a field in flower. She visits a
hundred blossoms before she turns back.

## In the field

At each flower she unrolls her tongue and sips the nectar into a second stomach. Pollen clings to the hairs of her legs.

Back at the entrance she is met by younger bees. They take the nectar from her, mouth to mouth, and pass it on.

## In the hive

The nectar is spread over the cells of the comb in thin films. Hundreds of wings fan it until most of the water is gone.

When the honey is thick enough, the bees close each cell with a lid of wax. Sealed like this it keeps for years.

## On the table

In late summer the beekeeper lifts the frames out, leaves the colony enough for the winter and spins the rest.
"""

Choose = Callable[[int, str], int]


def article_answers(
    *,
    article: str = ARTICLE,
    spots: Sequence[int] | None = None,
    choose: Choose = lambda candidates, prompt: 1,
    sure: bool = True,
    sees: bool = False,
) -> Script:
    """Answers of a well-behaved model to limner's prompts; AssertionError for a prompt that is none of them.

    article: the Markdown to write. spots: numbers of the paragraphs that get an image, None for as many as it may name.
    choose: (number of candidates, prompt text) -> number of the one that fits, 0 for none. sees: whether it
    recognises the red picture when it is tried.
    """

    def answer(body: dict[str, Any]) -> str:
        role, text = asking(body), text_of(body)
        if role == "writer":
            return article
        if role == "spotter":
            return json.dumps({"spots": _spots(text, spots)}, ensure_ascii=False)
        if role == "selector":
            return json.dumps({"image": choose(_candidates(text), text), "sure": sure})
        if role == "checker":
            return json.dumps({"reason": "It shows that.", "shows": "yes"})
        assert role == "probe", f"not a prompt of limner's: {text[:200]}"
        return by_colour(body) if sees else '{"image": 1}'

    return answer


def by_colour(body: dict[str, Any]) -> str:
    """The answer of a model that sees: the number of the first image that is more red than blue."""
    colours = [colour_of(url) for url in images_of(body)]
    red = next((n for n, (r, _, b) in enumerate(colours, 1) if r > b), 0)
    return json.dumps({"image": red, "sure": True})


def _spots(prompt: str, wanted: Sequence[int] | None) -> list[dict[str, Any]]:
    found = re.search(r"Name up to (\d+)|最多给出 (\d+)", prompt)
    assert found, "the spotter's prompt does not say how many"
    limit = int(found.group(1) or found.group(2))
    paragraphs = {int(n): text for n, text in re.findall(r"(?m)^\[(\d+)\] (.+)", prompt)}
    numbers = list(paragraphs)[:limit] if wanted is None else wanted
    return [
        {"paragraph": n, "caption": " ".join(paragraphs[n].split()[:8]), "search": "bee on a flower", "strength": 4}
        for n in numbers
    ]


def _candidates(prompt: str) -> int:
    found = re.findall(r"candidates 1 to (\d+)|1 到 (\d+) 号候选", prompt)
    return int("".join(found[-1]))


# --- a chat model without a wire -----------------------------------------------------------------------------------


class ScriptedChatModel(BaseChatModel):
    """Replays lines as a stream of words; AssertionError when asked once more than it has lines."""

    lines: list[str]
    asked: list[list[BaseMessage]] = Field(default_factory=list)
    """The messages of each call."""
    options: list[dict[str, Any]] = Field(default_factory=list)
    """The keyword arguments of each call."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _next(self, messages: list[BaseMessage], options: dict[str, Any]) -> str:
        self.asked.append(messages)
        self.options.append(options)
        said = len(self.asked)
        assert said <= len(self.lines), (
            f"asked once more than the {len(self.lines)} lines scripted: {messages[-1].text}"
        )
        return self.lines[said - 1]

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        line = self._next(messages, {"stop": stop, **kwargs})
        return ChatResult(generations=[ChatGeneration(message=AIMessage(line))])

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        line = self._next(messages, {"stop": stop, **kwargs})
        for word in re.findall(r"\S+\s*|\s+", line) or [""]:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


# --- a reranker ----------------------------------------------------------------------------------------------------


def by_words(body: dict[str, Any]) -> dict[str, Any]:
    """The reply of a reranker that counts shared words of four letters or more, in vLLM's form, best first."""
    wanted = set(re.findall(r"\w{4,}", body["query"].lower()))
    scores = [len(wanted & set(re.findall(r"\w{4,}", d.lower()))) / (len(wanted) or 1) for d in body["documents"]]
    results = [
        {"index": n, "document": {"text": body["documents"][n]}, "relevance_score": scores[n]}
        for n in sorted(range(len(scores)), key=lambda n: -scores[n])
    ]
    tokens = sum(len(body["query"]) + len(d) for d in body["documents"]) // CHARS_PER_TOKEN
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"id": "score-1", "model": body["model"], "usage": usage, "results": results}
