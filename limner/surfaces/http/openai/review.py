"""A review point in a chat: the question as Markdown, and the answer that a person types.

Plain words can answer: "yes" accepts, anything else asks for a change. `/edit` and `/answer` are for other answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from limner.agents.chat import confirmed
from limner.document import Article, Block, Illustration, Paragraph, read_markdown
from limner.errors import BadInput
from limner.workflows.review.questions import Json, json_object

TAKEN = "That question was answered already, or it has changed: what you said last was not taken. It stands like this."
COMMANDS = ("/accept", "/ignore", "/edit", "/answer")
_GO_ON = re.compile(
    r"(?i)(?:(?:yes|ok|okay|accept(?:ed)?|go on|continue|looks? good|good|fine|great|perfect|ja|weiter|passt|继续|可以)"
    r"\b\W*)+(?:(?:please|thanks|thank you|bitte|danke)\W*)*"
)
_MARKS = re.compile(r"[\\`*_\[\]<>&~|$@#!]")
_BLOCKS: TypeAdapter[tuple[Block, ...]] = TypeAdapter(tuple[Block, ...])


def reply(text: str, question: Mapping[str, Any]) -> Json:
    """Read a message as an answer, which is then checked like any other. Raises BadInput for an unknown command."""
    version = question["version"]
    command, rest = cut(text) if text.startswith("/") else ("", text)
    if command == "/accept" or (not command and (confirmed(text) or _GO_ON.fullmatch(text))):
        return {"type": "accept", "version": version}
    if command == "/ignore":
        return {"type": "ignore", "version": version}
    if command == "/edit":
        return {"type": "edit", "args": {"args": _changed(rest, question)}, "version": version}
    if command == "/answer" and rest.startswith("{"):
        return {"version": version, **_json(rest)}
    if command in ("", "/answer"):
        return {"type": "response", "args": rest, "version": version}
    raise BadInput(f"{command[:40]} is no answer. Send {', '.join(COMMANDS)}, or say what to change.")


def cut(text: str) -> tuple[str, str]:
    """(the first word, the rest)."""
    words = text.split(None, 1)
    return words[0] if words else "", words[1] if len(words) > 1 else ""


def _changed(rest: str, question: Mapping[str, Any]) -> Json:
    args = question["action_request"]["args"]
    name = next((n for n in ("outline", "text") if n in args), "")
    if name and not rest.startswith("{"):
        return {name: rest}
    return _json(rest)


def _json(text: str) -> Json:
    return json_object(
        text, "Send what was asked about as a JSON object, changed.", "Send what was asked about, changed."
    )


def article_of(question: Mapping[str, Any]) -> Article:
    """The reviewed content as an article, so that it is shown like one: escaped, with images at their places."""
    args, point = question["action_request"]["args"], question["point"]
    if point == "outline":
        return read_markdown(args["outline"])
    if point == "spots":
        below: dict[str, list[str]] = {p["id"]: [] for p in args["paragraphs"]}
        for spot in args["spots"]:
            below.setdefault(spot["after"], []).append(f"**{_words(spot['id'])}** {_words(spot['caption'])}")
        shown = {p["id"]: _words(p["text"]) for p in args["paragraphs"]}
        rows = [
            Paragraph(id=i, text="\n".join([f"> {shown.get(i, '')}", ">", *(f"> - {s}" for s in spots)]))
            for i, spots in below.items()
            if spots
        ]
        return Article(title="", body=tuple(rows))
    if point == "images":
        return _choices(args["images"])
    blocks = _BLOCKS.validate_python(args["blocks"])
    return Article(title=args["title"], language=args["language"], body=blocks).illustrated(
        Illustration(**row, width=1, height=1) for row in args.get("images", ())
    )


def _choices(rows: list[Json]) -> Article:
    """Each place with its chosen image and, numbered, the candidates."""
    body: list[Paragraph] = []
    chosen: list[Illustration] = []
    for n, row in enumerate(rows):
        found = {c["image_id"]: c for c in row["candidates"]}
        head = f"**{_words(row['spot'])}** {_words(row['caption'])}" + ("" if row["chosen"] else ": no image")
        body.append(Paragraph(id=f"p{n}", text=head))
        if image := found.get(row["chosen"]):
            about = {k: image[k] for k in ("image_id", "library", "caption", "credit", "licence", "width", "height")}
            chosen.append(Illustration(id=row["spot"], after=f"p{n}", alt="", **about))
        others = [f"- `{i}` {_words(c['caption'])}" for i, c in found.items() if i != row["chosen"]]
        if others:
            body.append(Paragraph(id=f"o{n}", text="\n".join(others)))
    return Article(title="", body=tuple(body)).illustrated(chosen)


def how(question: Mapping[str, Any]) -> str:
    """The possible answers, as one line of Markdown."""
    whole = any(name in question["action_request"]["args"] for name in ("outline", "text"))
    edit = "`/edit` and the whole text" if whole else "`/edit {…}` as docs/review.md says"
    respond = ", or say what to change" if question["config"]["allow_respond"] else ""
    return f"Say `/accept` to go on{respond}. To change it yourself: {edit}."


def _words(text: str) -> str:
    """Untrusted text on one line, with Markdown escaped."""
    return _MARKS.sub(lambda m: "\\" + m[0], " ".join(text.split()))
