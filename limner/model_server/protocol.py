"""The bodies of requests, as pydantic models: TGI's HTTP API and OpenAI's chat completions as TGI takes them.

Unknown fields are refused, so that a misspelt one is noticed; explicit nulls count as omitted, because clients send
them. Fields that this server adds to TGI's are marked "Extra:" and listed by `/info`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from limner.model_server.errors import Refused

MAX_STOP_SEQUENCES = 4
MAX_TOP_TOKENS = 20
MAX_BEAMS = 16
SEED = 2**64 - 1


def _whole_characters(text: str) -> str:
    """Raises ValueError for a lone surrogate, which JSON can spell but no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate): send whole characters") from None
    return text


Text = Annotated[str, AfterValidator(_whole_characters)]
Probability = Annotated[float, Field(ge=1e-6, le=1)]
"""Limits within which float32 still distinguishes values."""
Temperature = Annotated[float, Field(ge=1e-5, le=1000)]
Penalising = Annotated[float, Field(ge=0.01, le=100)]
"""A factor; 1 means no penalty."""
TopK = Annotated[int, Field(ge=0, le=2**31 - 1)]
Stop = Annotated[list[Annotated[Text, Field(min_length=1, max_length=1000)]], Field(max_length=MAX_STOP_SEQUENCES)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Seed = Annotated[int, Field(ge=0, le=SEED)]


class Body(BaseModel):
    """Base of request bodies: no unknown fields, finite numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


# --- constraints ---------------------------------------------------------------------------------------------------


class Constraint(Body):
    """A format that an answer must have, in any client's spelling.

    TGI: {"type": "json" | "json_object" | "regex", "value": ...}, {"type": "json_schema", "value": {"schema": ...}}.
    OpenAI: {"type": "json_schema", "json_schema": {"name", "schema", "strict"}}, {"type": "json_object"},
    {"type": "text"}. llama.cpp: {"type": "json_object", "schema": ...}.
    """

    type: Literal["text", "json", "json_object", "json_schema", "regex"]
    value: Any = None
    json_schema: dict[str, Any] | None = None
    schema_: Any = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _whole(self) -> Constraint:
        for given in (self.value, self.json_schema, self.schema_):
            _whole_characters(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
        return self

    def wanted(self) -> tuple[Literal["json", "regex"], Any] | None:
        """("regex", expression), ("json", schema), or None for free text. Raises Refused without a schema."""
        if self.type == "text":
            return None
        if self.type == "regex":
            if not isinstance(self.value, str) or not self.value:
                raise Refused("grammar is not valid: a regex grammar needs its expression as `value`, a string.")
            return "regex", self.value
        given = next((v for v in (self.json_schema, self.value, self.schema_) if v is not None), None)
        if given is None and self.type == "json_object":
            return "json", {"type": "object"}
        if self.type == "json_schema" and isinstance(given, dict) and "schema" in given:
            given = given["schema"]
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except (ValueError, RecursionError):
                raise Refused("grammar is not valid: the JSON schema is not JSON. Give it as an object.") from None
        if not isinstance(given, (dict, bool)):
            raise Refused(f"grammar is not valid: a {self.type} constraint needs a JSON schema, an object.")
        return "json", given


# --- TGI -----------------------------------------------------------------------------------------------------------


class GenerateParameters(Body):
    """TGI's parameters. Decoding is greedy unless sampling is requested or implied by another parameter."""

    adapter_id: str | None = None
    best_of: int | None = Field(default=None, gt=0)
    decoder_input_details: bool | None = False
    details: bool | None = False
    do_sample: bool | None = False
    frequency_penalty: Penalty | None = None
    grammar: Constraint | None = None
    max_new_tokens: int | None = Field(default=None, gt=0)
    repetition_penalty: Penalising | None = None
    return_full_text: bool | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    temperature: Temperature | None = None
    top_k: Annotated[int, Field(gt=0, le=2**31 - 1)] | None = None
    top_n_tokens: int | None = Field(default=None, ge=0, le=MAX_TOP_TOKENS)
    top_p: Probability | None = None
    truncate: int | None = Field(default=None, gt=0)
    typical_p: Probability | None = None
    watermark: bool | None = False
    num_beams: int | None = Field(default=None, ge=1, le=MAX_BEAMS)
    """Extra: number of beams of a beam search without sampling."""
    length_penalty: float | None = Field(default=None, ge=-10, le=10)
    """Extra: beam scores are divided by their length to this power."""

    @property
    def samples(self) -> bool:
        """Whether tokens are sampled, by TGI's rule."""
        narrowed = (self.temperature or 1) != 1 or self.top_k or (self.top_p or 1) < 1 or (self.typical_p or 1) < 1
        return bool(self.do_sample or narrowed)


class GenerateRequest(Body):
    """`/generate` and `/generate_stream`."""

    inputs: Text = Field(min_length=1)
    parameters: GenerateParameters | None = None

    @property
    def options(self) -> GenerateParameters:
        """The parameters, or all defaults."""
        return self.parameters or GenerateParameters()


class CompatGenerateRequest(GenerateRequest):
    """`/`."""

    stream: bool | None = False


class TokenizeRequest(Body):
    """`/tokenize`; parameters are accepted and ignored, as by TGI."""

    inputs: Text
    add_special_tokens: bool | None = True
    parameters: dict[str, Any] | None = None


# --- OpenAI --------------------------------------------------------------------------------------------------------


class ImageUrl(Body):
    """A picture, as a data URL."""

    url: Text
    detail: Literal["auto", "low", "high"] | None = None


class TextPart(Body):
    type: Literal["text"]
    text: Text


class ImagePart(Body):
    type: Literal["image_url"]
    image_url: ImageUrl

    @field_validator("image_url", mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(Body):
    """One message; the model continues an assistant's last one."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None

    @property
    def texts(self) -> list[str]:
        """The texts of its parts."""
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content or [] if isinstance(part, TextPart)]


class StreamOptions(Body):
    include_usage: bool | None = False


class ChatRequest(Body):
    """`/v1/chat/completions`. Without a temperature answers are sampled at temperature 1; 0 is greedy."""

    messages: list[Message] = Field(min_length=1)
    model: str | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: list[float] | dict[str, float] | None = None
    logprobs: bool | None = False
    max_tokens: int | None = Field(default=None, gt=0)
    max_completion_tokens: int | None = Field(default=None, gt=0)
    n: int | None = Field(default=None, ge=1)
    presence_penalty: Penalty | None = None
    response_format: Constraint | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Literal[0] | Temperature | None = None
    tool_choice: Any = None
    tool_prompt: str | None = None
    tools: list[Any] | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_TOKENS)
    top_p: Probability | None = None
    # OpenAI's fields that do not change an answer.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    modalities: list[Literal["text"]] | None = None
    # Extra
    num_beams: int | None = Field(default=None, ge=1, le=MAX_BEAMS)
    length_penalty: float | None = Field(default=None, ge=-10, le=10)
    repetition_penalty: Penalising | None = None
    top_k: TopK | None = None
    chat_template_kwargs: ChatTemplateKwargs | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class ChatTemplateKwargs(Body):
    """Options for turning a conversation into a prompt."""

    raw: bool = False
    """The messages are a finished prompt with special tokens."""
    joined: bool = False
    """Tokenise v1's questions together with the mark behind them, as in its composition, not apart as in its chat."""


ChatRequest.model_rebuild()

EXTRA_FIELDS = {
    "num_beams": f"beam search with 1 to {MAX_BEAMS} beams, without sampling and without a grammar",
    "length_penalty": "beams' scores are divided by their length to this power; 1 by default",
    "repetition_penalty": "chat: as in /generate; it sees what the published code showed it, not the prompt",
    "top_k": "chat: as in /generate; 0 is off",
    "chat_template_kwargs": 'chat: {"raw": true} takes the messages as a prompt already written out; {"joined": true} '
    "tokenises v1's questions as its composition did",
}
"""Fields that this server adds to TGI's requests; `/info` lists them."""
