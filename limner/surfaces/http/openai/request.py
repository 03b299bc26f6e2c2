"""The request of a chat completion, and what only limner knows of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from limner.document import Point
from limner.surfaces.http.openai.conversation import MAX_MESSAGES
from limner.surfaces.http.openai.parts import Message


class Wishes(BaseModel):
    """What only limner knows; the openai SDK sends it as `extra_body={"limner": {...}}`."""

    model_config = ConfigDict(extra="forbid")

    images: Annotated[int, Field(ge=0, le=100)] | Literal["auto"] = "auto"
    """How many images a new article should have."""
    language: Annotated[str | None, Field(max_length=35)] = None
    links: Literal["signed", "token", "data"] = "signed"
    """Addresses of images: signed ones that any page may show for 30 days, plain ones that want the token, or the
    images themselves."""
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    """Of a new article, prompts and completions together."""
    review: Annotated[list[Point], Field(max_length=10)] = []
    """Where a new article stops and asks; the next message of the user is the answer."""


class ChatRequest(BaseModel):
    """A conversation. Fields of the OpenAI API that mean nothing here (temperature, tools …) are left alone."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(max_length=100)]
    """"limner", or "limner/LIBRARY" for images of that library."""
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = False
    stream_options: dict[str, Any] | None = None
    response_format: Any = None
    """The form of a title that a client asks for beside the conversation; an article is Markdown."""
    limner: Wishes = Wishes()
