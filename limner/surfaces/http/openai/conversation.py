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
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from limner.document import POINTS, Point, Source
from limner.errors import BadInput
from limner.surfaces.http.openai import chores, retrieval
from limner.surfaces.http.openai.parts import Attached, Message
from limner.surfaces.http.openai.review import COMMANDS, cut
from limner.text import printable
from limner.workflows.inputs import MAX_BRIEF, read_points

MARK = "<!-- limner:job={} -->"
ASKS = "<!-- limner:job={} asks={} -->"
_MARKED = re.compile(r"<!-- limner:job=([\w-]{1,80})(?: asks=(\w{1,64}))? -->")
_POINTS = ", ".join(POINTS)
LOOKED_BACK = 40  # limner's answers in which to look for the mark
MAX_MESSAGES = 50_000
MAX_IMAGES = 10  # images per message, as many as a brief may reference
MAX_WISH = 10_000  # characters of a change


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
    material: tuple[Source, ...] = ()
    """Material that the client retrieved for the message, for a new article."""
    files: tuple[Attached, ...] = ()
    """Files attached to the message."""
    unread: tuple[str, ...] = ()
    """Unusable attachments: names of files without content, and types of parts."""
    chore: chores.Chore | None = None


def meant(messages: Sequence[Message]) -> Meant:
    """Read a conversation. Raises BadInput if its last message is empty or not the user's."""
    if found := chores.find(messages):
        return Meant("chore", found.about, chore=found)
    users = [n for n, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise BadInput("The conversation has no message of a user. Send one with role user that says what to compose.")
    last = messages[users[-1]]
    # Only the user's last words and limner's marks count; thousands of earlier messages are neither read nor hashed.
    answers = [m.text for m in messages[: users[-1]] if m.role == "assistant"][-LOOKED_BACK:]
    if any(_MARKED.search(m.text) for m in messages[users[-1] + 1 :] if m.role == "assistant"):
        raise BadInput("The conversation ends with limner's own answer, which is whole. Say what to change.")
    job, asks = next((found[-1] for answer in reversed(answers) if (found := _MARKED.findall(answer))), ("", ""))
    said = [messages[n].text for n in users[-LOOKED_BACK:]]
    sent = [last.images, [file.data for file in last.files]]
    key = hashlib.sha256(json.dumps([job, len(users), said, sent]).encode()).hexdigest()[:32]
    apart = retrieval.parted(printable(last.text))
    system = [s for m in messages if m.role in ("system", "developer") for s in retrieval.in_system(printable(m.text))]
    files, images = tuple(last.files), tuple(last.images)
    if len(images) > MAX_IMAGES:
        raise BadInput(f"The message has {len(images)} pictures, more than {MAX_IMAGES}. Send fewer at a time.")
    material = (*apart.material, *(s for s in system if s not in apart.material))
    text = apart.text or ("" if job else _named(files, material))
    if not text:
        raise BadInput("The last message is empty. Say what the article is about, or what to change.")
    wish = _wish(text, job, asks)
    unread = (*apart.unread, *last.others)
    return wish._replace(key=key, images=images, files=files, material=material, unread=unread)


def _wish(text: str, job: str, asks: str) -> Meant:
    """Read the user's words. Raises BadInput."""
    command, rest = cut(text)
    if command == "/new":
        if not rest:
            raise BadInput("/new wants a brief: /new How bees make honey")
        return _article(rest)
    if command == "/review":
        points, brief = cut(rest)
        if not brief:
            raise BadInput(f"/review wants points and a brief: /review draft,images How bees make honey ({_POINTS})")
        return _article(brief, read_points(points.split(",")))
    if command in ("/undo", "/redo", "/show"):
        if not job:
            raise BadInput(f"{command} needs an article, and this conversation has none yet. Say what to compose.")
        return Meant(command[1:], "", job)  # type: ignore[arg-type]
    if asks:
        return Meant("answer", text, job, asks=asks)
    if command in COMMANDS:
        raise BadInput(f"{command} answers a question, but limner has asked none here. Say what you would like.")
    if not job:
        return _article(text)
    if len(text) > MAX_WISH:
        raise BadInput(f"The change has {len(text):,} characters, more than {MAX_WISH:,}. Say it shorter.")
    return Meant("revise", text, job)


def _article(brief: str, review: tuple[Point, ...] = ()) -> Meant:
    if len(brief) > MAX_BRIEF:
        raise BadInput(
            f"The message has {len(brief):,} characters, more than {MAX_BRIEF:,}. Attach long material as a file."
        )
    return Meant("compose", brief, review=review)


def _named(files: Sequence[Attached], material: Sequence[Source]) -> str:
    """A brief for files without a message: the name of the first."""
    name = next((n for n in (*(f.name for f in files), *(s.name for s in material)) if n), "")
    return " ".join(re.sub(r"[_-]+", " ", PurePosixPath(name).stem).split())


def marked(text: str) -> str:
    """The article that an answer of limner's names; "" for none."""
    found = _MARKED.findall(text)
    return found[-1][0] if found else ""


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
