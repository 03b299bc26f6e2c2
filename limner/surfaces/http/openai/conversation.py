"""Read a chat client's message: a new article, an answer, a change to the current article, or a chore.

A client sends only the whole conversation, each time. limner's answers name their article and the last question, in a
comment at their end, which Markdown does not show. This is a name, not a key: the job must be the caller's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from limner.document import POINTS, Point
from limner.errors import BadInput
from limner.surfaces.http.openai.review import COMMANDS, cut
from limner.text import printable
from limner.workflows.inputs import MAX_BRIEF, read_points

MARK = "<!-- limner:job={} -->"
ASKS = "<!-- limner:job={} asks={} -->"
_MARKED = re.compile(r"<!-- limner:job=([\w-]{1,80})(?: asks=(\w{1,64}))? -->")
_CHORE = re.compile(r"\A\s*### Task:")  # the start of Open WebUI's requests beside the conversation
_POINTS = ", ".join(POINTS)
LOOKED_BACK = 40  # limner's answers in which to look for the mark
MAX_MESSAGES = 50_000
MAX_IMAGES = 10  # images per message, as many as a brief may reference


class TextPart(BaseModel):
    """Words."""

    type: Literal["text"]
    text: Annotated[str, Field(max_length=4 * MAX_BRIEF)]


class ImageUrl(BaseModel):
    """The address of an image."""

    url: Annotated[str, Field(max_length=8_000_000)]


class ImagePart(BaseModel):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class OtherPart(BaseModel):
    """Sound and files, which are ignored."""

    model_config = ConfigDict(extra="allow")

    type: Literal["input_audio", "file", "refusal", "thinking", "reasoning"]


Part = Annotated[TextPart | ImagePart | OtherPart, Field(discriminator="type")]


class Message(BaseModel):
    """One message; additional fields are ignored."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """Its words."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    @property
    def images(self) -> list[str]:
        """Addresses of its images."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if isinstance(part, ImagePart)]


class Meant(NamedTuple):
    """The request in a conversation's last message."""

    what: Literal["compose", "revise", "answer", "undo", "redo", "show", "chore"]
    text: str
    job: str = ""
    """The conversation's article; "" if it has none."""
    images: tuple[str, ...] = ()
    """Addresses of the attached images."""
    key: str = ""
    """A digest of the conversation, so that a repeated conversation is the same request."""
    review: tuple[Point, ...] = ()
    """Review points of a new article, as `/review` names them."""
    asks: str = ""
    """The version of the question that an answer answers."""


def meant(messages: Sequence[Message]) -> Meant:
    """Read a conversation. Raises BadInput if its last message is empty or not the user's."""
    users = [n for n, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise BadInput("The conversation has no message of a user. Send one with role user that says what to compose.")
    last = messages[users[-1]]
    text = printable(last.text).strip()
    if _CHORE.match(text):
        return Meant("chore", text)
    if not text:
        raise BadInput("The last message is empty. Say what the article is about, or what to change.")
    # Only the user's last words and limner's marks count; thousands of earlier messages are neither read nor hashed.
    answers = [m.text for m in messages[: users[-1]] if m.role == "assistant"][-LOOKED_BACK:]
    job, asks = next((found[-1] for answer in reversed(answers) if (found := _MARKED.findall(answer))), ("", ""))
    said = [messages[n].text for n in users[-LOOKED_BACK:]]
    key = hashlib.sha256(json.dumps([job, len(users), said, last.images]).encode()).hexdigest()[:32]
    command, rest = cut(text)
    images = tuple(last.images)
    if len(images) > MAX_IMAGES:
        raise BadInput(f"The message has {len(images)} pictures, more than {MAX_IMAGES}. Send fewer at a time.")
    if command == "/new":
        if not rest:
            raise BadInput("/new wants a brief: /new How bees make honey")
        return Meant("compose", rest, "", images, key)
    if command == "/review":
        points, brief = cut(rest)
        if not brief:
            raise BadInput(f"/review wants points and a brief: /review draft,images How bees make honey ({_POINTS})")
        return Meant("compose", brief, "", images, key, read_points(points.split(",")))
    if command in ("/undo", "/redo", "/show"):
        if not job:
            raise BadInput(f"{command} needs an article, and this conversation has none yet. Say what to compose.")
        return Meant(command[1:], "", job, images, key)  # type: ignore[arg-type]
    if asks:
        return Meant("answer", text, job, images, key, asks=asks)
    if command in COMMANDS:
        raise BadInput(f"{command} answers a question, but limner has asked none here. Say what you would like.")
    return Meant("revise" if job else "compose", text, job, images, key)


def picture(url: str, number: int) -> bytes:
    """The bytes of an attached image. Raises BadInput for an address, because limner fetches nothing."""
    head, _, data = url.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64")):
        raise BadInput(
            f"Picture {number} of the message is an address, and limner fetches none. Send it as data:image/…;base64,…"
        )
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as e:
        raise BadInput(f"Picture {number} of the message is not base64. Send it as data:image/png;base64,…") from e


def chore(text: str, title: str = "limner") -> str:
    """Answer a client's request beside the conversation (a title, tags) without a model, in the expected JSON."""
    asked = text.lower()
    if "title" in asked:
        return json.dumps({"title": title})
    empty: dict[str, Any] = {"tags": [], "follow_ups": [], "queries": []}
    return json.dumps({k: v for k, v in empty.items() if k in asked} or empty)
