"""The questions that a composition asks a person at its review points."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from limner.document import POINTS, Article, Spot, figure_id
from limner.errors import BadInput
from limner.notes import Note, coded, note
from limner.tools.editing.commands import Edit
from limner.workflows.review.protocol import QUESTION

EXCERPT = 300  # characters of a paragraph by which a reader recognises it


CANDIDATES = 12  # candidates per spot in a question; POST …/candidates has the others


EDITS: TypeAdapter[tuple[Edit, ...]] = TypeAdapter(tuple[Edit, ...])


Json = dict[str, Any]


def json_object(text: str, correct: str, form: str) -> Json:
    """A JSON object that a person typed. Raises BadInput; correct, form: what to do if it is no JSON, or no object."""
    try:
        made = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise BadInput(f"That is not JSON ({e}). {correct}") from e
    if not isinstance(made, dict):
        raise BadInput(f"That is not a JSON object. {form}")
    return made


def question(
    point: str,
    args: Json,
    about: Note | str,
    *,
    answered: Sequence[int] = (0,),
    respond: bool = True,
    said: Note | str = "",
    action: str = "",
) -> Json:
    """A question to a person, in the shape of `protocol.Question`. args: the reviewed content, as JSON. respond:
    whether a model can follow a free answer.

    answered: numbers of accepted and refused answers so far, so that no version repeats. said: the result of the last
    answer.
    """
    description = note("asked-again", said=said, about=about) if said else about
    made = {
        "action_request": {"action": action or f"review_{point}", "args": args},
        "config": {"allow_ignore": True, "allow_respond": respond, "allow_edit": True, "allow_accept": True},
        "description": str(description),
        **coded(description),
        "version": digest([point, args, list(answered)]),
        "point": point,
    }
    QUESTION.validate_python(made)
    return made


def interrupting(question_: Json, decisions: bool) -> Json:
    """The value that a graph interrupts with. decisions: also in the shape of LangChain's HumanInTheLoopMiddleware,
    which agent-chat-ui and others render with buttons; `check` takes their answers.

    In that shape agent-inbox reads `arguments`, all others `args`.
    """
    if not decisions:
        return question_
    request, allowed = question_["action_request"], ["approve", "edit"]
    if question_["config"]["allow_respond"]:
        allowed.append("reject")
    about = {"args": request["args"], "arguments": request["args"], "description": question_["description"]}
    return {
        **question_,
        "action_requests": [{"name": request["action"], **about}],
        "review_configs": [{"action_name": request["action"], "allowed_decisions": allowed}],
    }


def digest(value: Any) -> str:
    """16 characters that change with the content."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def outline_args(outline: str) -> Json:
    """The content shown at `outline`: Markdown."""
    return {"outline": outline}


def text_args(article: Article) -> Json:
    """The content shown at `draft`: the text as Markdown, and its blocks."""
    blocks = [{"id": b.id, "kind": b.kind, "text": b.text} for b in article.body]
    return {"title": article.title, "language": article.language, "text": article.source, "blocks": blocks}


def spots_args(article: Article, spots: Sequence[Spot]) -> Json:
    """The content shown at `spots`: each spot with its place, and the article's paragraphs."""
    shown = [{"id": s.id, "after": s.after, "caption": s.caption, "search": s.search} for s in spots]
    return {"spots": shown, "paragraphs": [{"id": p.id, "text": p.plain[:EXCERPT]} for p in article.paragraphs]}


def images_args(article: Article) -> Json:
    """The content shown at `images`: for each spot the chosen image and the candidates."""
    placed = {i.id: i.image_id for i in article.illustrations}
    made = {i.id for i in article.illustrations if i.digital_source_type}
    rows = []
    for selection in article.selections:
        spot = selection.spot
        fields = ("image_id", "library", "caption", "credit", "licence", "width", "height")
        found = [{name: getattr(c, name) for name in fields} for c in selection.candidates[:CANDIDATES]]
        chosen = placed.get(figure_id(spot.id))
        rows.append({"spot": spot.id, "after": spot.after, "caption": spot.caption, "chosen": chosen})
        if figure_id(spot.id) in made:
            rows[-1]["generated"] = chosen
        rows[-1] |= {"why": str(selection.why), **coded(selection.why), "candidates": found}
    return {"images": rows}


def final_args(article: Article) -> Json:
    """The content shown at `final`: the text as at `draft`, and the images at their places."""
    names = ("id", "after", "image_id", "library", "caption", "alt", "credit", "licence")
    return text_args(article) | {"images": [{n: getattr(i, n) for n in names} for i in article.illustrations]}


def is_question(value: Any) -> bool:
    """Whether a question is limner's own, and not another graph's."""
    return isinstance(value, Mapping) and value.get("point") in (*POINTS, "edits") and "version" in value


def ours(questions: Any) -> Json | None:
    """The question of a waiting job, [{"id", "value"}], if it is limner's own."""
    values: list[Any] = [q.get("value") for q in questions or [] if isinstance(q, Mapping)]
    return values[0] if len(values) == 1 and is_question(values[0]) else None
