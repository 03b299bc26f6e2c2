"""The request of a chat completion, with limner's own options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from limner.document import Point
from limner.surfaces.http.openai.conversation import MAX_MESSAGES
from limner.surfaces.http.openai.parts import Message


class Options(BaseModel):
    """limner's own options; the openai SDK sends them as `extra_body={"limner": {...}}`."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[int, Field(ge=0, le=100)] | Literal["auto"] = "auto"
    """Number of images in a new article."""
    language: Annotated[str | None, Field(max_length=35)] = None
    links: Literal["signed", "token", "data"] = "signed"
    """Addresses of images: signed ones that any page can show for 30 days, plain ones that need the token, or embedded
    images."""
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    """Token limit of a new article, prompts and completions together."""
    review: Annotated[list[Point], Field(max_length=10)] = []
    """Review points of a new article; the user's next message is the answer."""


class ChatRequest(BaseModel):
    """A conversation. Other fields of the OpenAI API (temperature, tools …) are ignored."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(max_length=100)]
    """"limner", or "limner/LIBRARY" for images of that library."""
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    response_format: Any = None
    """The format of a requested title; articles are Markdown."""
    limner: Options = Options()
