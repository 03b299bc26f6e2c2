"""Call a model: stream text, or ask for an answer that a reader can parse, and count every token.

A `Speaker` connects one role to one LangChain chat model. For every prompt it enforces the token budget and the length
of the answer, and prevents text from smuggling an image into the prompt (servers such as TGI fetch any `![](url)` in a
message).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import add_usage
from langchain_core.runnables import RunnableConfig

from limner.agents.faults import Faults
from limner.agents.meter import Meter, Usage
from limner.agents.prices import Price, free
from limner.agents.prompts import estimate_tokens, safe_message, text_tokens, whole_characters
from limner.errors import ModelRefused, ModelUnreachable, UnreadableReply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

T = TypeVar("T")
Role = Literal["writer", "spotter", "selector", "reviser", "captioner", "judge", "answerer", "checker"]

MOST = 2**31 - 1  # tokens of one call; no server counts more, but one may report more

# Prompts of the roles do not belong to a conversation: graphs that stream messages (LangGraph, AG-UI) skip them.
_UNHEARD: RunnableConfig = {"tags": ["nostream"], "metadata": {"emit-messages": False}}


class Memory(Protocol):
    """Stores answers, so that a step that runs again after a crash neither asks nor pays again."""

    def recall(self, digest: str) -> str | None:
        """The answer to an identical earlier call at this step, if any.

        Like `check`, it raises an exception to end the work, which loses nothing between two calls.
        """
        ...

    def keep(self, role: str, digest: str, answer: str | None, usage: Usage) -> None:
        """Store a call and its cost. answer: None if it broke off."""
        ...

    def check(self) -> None:
        """Raises an exception to end the work in the middle of an answer."""
        ...


class _BrokenOff(Exception):
    """An answer that failed after its first words."""

    def __init__(self, reason: ModelUnreachable) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass
class Speaker:
    """Calls one chat model for one role."""

    model: BaseChatModel
    role: Role = "writer"
    meter: Meter = field(default_factory=Meter)
    name: str = ""
    """The model's name, for records."""
    where: str = ""
    """The server's address, for error messages."""
    url: str = ""
    """The server's address, to tell whether two roles share one."""
    size: float | None = None
    """Number of the model's parameters, by its file or its server; None if only the name may tell."""
    llama_cpp: bool = False
    """Whether the server is llama.cpp, which takes its samplers (`extra`) in the request."""
    json_schema: bool = False
    """Whether to send OpenAI's `response_format` with a JSON schema; turned off when the server refuses it."""
    price: Price | None = free
    """The model's price; None if it is unknown."""
    memory: Memory | None = None
    """Keeps a job's answers between runs of a step."""

    def say(
        self,
        messages: Sequence[BaseMessage],
        *,
        on_text: Callable[[str], None] | None = None,
        max_tokens: int,
        temperature: float | None = None,
        stop: list[str] | None = None,
        seed: int | None = None,
        extra: dict[str, Any] | None = None,
        fields: dict[str, Any] | None = None,
    ) -> str:
        """Stream a completion; `on_text` is called with each piece as it arrives.

        max_tokens: limit of the answer, in tokens. extra: llama.cpp request fields, sent only to llama.cpp. fields:
        request fields besides OpenAI's, sent to any server. Raises BudgetReached before a call that could go over the
        budget, ModelUnreachable, ModelRefused.
        """
        body = {**((extra or {}) if self.llama_cpp else {}), **(fields or {})}
        options = {"temperature": temperature, "seed": seed}
        return self._request(messages, body, on_text=on_text, max_tokens=max_tokens, stop=stop, **options)

    def _request(
        self,
        messages: Sequence[BaseMessage],
        body: dict[str, Any],
        *,
        max_tokens: int,
        on_text: Callable[[str], None] | None = None,
        stop: list[str] | None = None,
        **sampling: Any,
    ) -> str:
        """`say` with more request fields in `body`, sent as they are."""
        messages = [safe_message(m) for m in messages]
        options: dict[str, Any] = {"max_tokens": max_tokens}
        options |= {name: value for name, value in sampling.items() if value is not None}
        if body:
            options["extra_body"] = body
        digest = call_digest(self.name, messages, options, stop) if self.memory else ""
        if self.memory and (known := self.memory.recall(digest)) is not None:
            if on_text:
                on_text(known)
            return known
        for again in (True, False):
            try:
                return self._stream(messages, stop, options, on_text, digest)
            except _BrokenOff as broken:
                # The client retries failures before the first word. Ask once more for an answer that breaks off later,
                # unless its beginning was shown, because shown words cannot be taken back.
                if not again or on_text is not None:
                    raise broken.reason from broken.reason.__cause__
        raise AssertionError("unreachable")

    def _stream(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        options: dict[str, Any],
        on_text: Callable[[str], None] | None,
        digest: str,
    ) -> str:
        """One call, counted and remembered however it ends. Raises _BrokenOff if it failed after its first words."""
        prompt, max_tokens = estimate_tokens(messages), options["max_tokens"]
        self.meter.allow(prompt, max_tokens, self.price)
        chunks: list[AIMessageChunk] = []
        answer = None
        try:
            # Close the stream at once, or the server continues to compute in vain.
            with closing(self._bounded(messages, stop, options, max_tokens)) as stream:
                for chunk in stream:
                    chunks.append(chunk)
                    if self.memory:
                        self.memory.check()
                    if on_text and chunk.text:
                        on_text(whole_characters(chunk.text))
            answer = whole_characters("".join(chunk.text for chunk in chunks))
            return answer
        except ModelUnreachable as e:
            if chunks:
                raise _BrokenOff(e) from e
            raise
        finally:
            if chunks:  # a broken-off answer costs tokens, too
                usage = self._count(chunks, prompt)
                if self.memory:
                    self.memory.keep(self.role, digest, answer, usage)

    def ask(
        self,
        messages: Sequence[BaseMessage],
        read: Callable[[str], T],
        *,
        schema: dict[str, Any] | None = None,
        max_tokens: int,
        temperature: float | None = 0.0,
        seed: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> T:
        """Ask for an answer that `read` can parse.

        schema: JSON schema of the answer, to constrain servers that support it. If `read` raises UnreadableReply, its
        message goes back to the model once; a second UnreadableReply is raised.
        """
        asked = list(messages)
        for attempt in (1, 2):
            reply = self._complete(asked, schema, max_tokens, temperature, seed, extra)
            try:
                return read(reply)
            except UnreadableReply as reason:
                if attempt == 2:
                    raise
                asked = [*asked, *sent_back(reply, reason)]
        raise AssertionError("unreachable")

    def take_first_model(self, url: str, key: str, timeout: float = 20) -> None:
        """Speak to the first model that the server at `url` lists: its name, its size if the server says it, and
        whether the server is llama.cpp.

        Raises ModelUnreachable, ModelRefused.
        """
        import openai

        with (
            self._faults.translated(),
            openai.OpenAI(base_url=url, api_key=key or "none", max_retries=2, timeout=timeout) as client,
        ):
            models = list(client.models.list().data)
            name = models[0].id if models else None
            if not isinstance(name, str) or not name:  # the client does not validate its parsed values
                raise ValueError("its list of models names none")
        self.name, self.llama_cpp = name, getattr(models[0], "owned_by", "") == "llamacpp"
        about = getattr(models[0], "meta", None)  # llama.cpp's
        size = about.get("n_params") if isinstance(about, dict) else None
        self.size = float(size) if isinstance(size, int | float) and 1e3 < size < 1e15 else None  # else no model's

    # -- one call

    def _complete(
        self,
        messages: Sequence[BaseMessage],
        schema: dict[str, Any] | None,
        max_tokens: int,
        temperature: float | None,
        seed: int | None,
        extra: dict[str, Any] | None,
    ) -> str:
        options: dict[str, Any] = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens}
        body = dict(extra or {}) if self.llama_cpp else {}
        if schema is None or not self.json_schema:
            return self._request(messages, body, **options)
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        try:
            # In the body, bypassing the client library, which would parse the answer itself and lose the token counts.
            return self._request(messages, {**body, "response_format": form}, **options)
        except ModelRefused as refused:
            # 400 and 422 are how servers say that they do not know response_format (TGI, older vLLM and LMDeploy).
            if refused.status not in (400, 422):
                raise
            reply = self._request(messages, body, **options)
            self.json_schema = False  # the schema was the cause, or the retry would have failed, too
            return reply

    def _bounded(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: dict[str, Any], max_tokens: int
    ) -> Generator[AIMessageChunk, None, None]:
        """Yield the chunks of an answer. Raises ModelRefused if the server ignores max_tokens, which could fill the
        memory.

        This assumes at most 32 characters per token on average, and at most two chunks per token.
        """
        chunks = characters = 0
        with self._faults.translated():
            for chunk in self.model.stream(messages, _UNHEARD, stop=stop, **options):
                if not isinstance(chunk, AIMessageChunk):
                    raise TypeError(f"{type(chunk).__name__} is not an AIMessageChunk")
                chunks, characters = chunks + 1, characters + len(chunk.text)
                if characters > 32 * max_tokens + 1000 or chunks > 2 * max_tokens + 100:
                    raise ModelRefused(
                        f"{self._faults.server} sent more than the {max_tokens} tokens asked for and did not stop. "
                        "Check the server, or use another model (--model)."
                    )
                yield chunk

    def _count(self, chunks: Sequence[AIMessageChunk], prompt: int) -> Usage:
        """Count a call, and return what it cost."""
        if counts := [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]:
            said = reduce(add_usage, counts)
            cached = (said.get("input_token_details") or {}).get("cache_read") or 0
            usage = Usage(1, _counted(said["input_tokens"]), _counted(said["output_tokens"]), _counted(cached))
        else:
            answer = text_tokens("".join(chunk.text for chunk in chunks))
            usage = Usage(1, prompt, round(answer), estimated=True)
        if self.price is not None:
            usage.cost = self.price(usage.prompt, usage.completion, usage.cached)
        self.meter.count(self.role, usage.prompt, usage.completion, usage.cached, usage.estimated, usage.cost)
        return usage

    @property
    def _faults(self) -> Faults:
        server = f"The model server at {self.where}" if self.where else f"The model {self.name or 'in use'}"
        return Faults(server, self.where)


def _counted(tokens: int) -> int:
    """A server's token count, limited to the range of a database integer."""
    return min(max(0, int(tokens)), MOST)


def call_digest(name: str, messages: Sequence[BaseMessage], options: dict[str, Any], stop: Sequence[str] | None) -> str:
    """Identity of a call by model, messages and options: SHA-256, in hex."""
    said = [(m.type, m.content) for m in messages]
    whole = json.dumps([name, said, options, stop], sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def sent_back(reply: str, reason: UnreadableReply) -> list[BaseMessage]:
    """An unreadable answer and the reason, as the next two messages."""
    return [AIMessage(reply or "(nothing)"), HumanMessage(str(reason))]
