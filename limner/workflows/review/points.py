"""The review points as nodes of the compose graph: each only waits for a person.

LangGraph runs a waiting node again from its start. These nodes ask no model, and send no event before the answer
arrives, so running them twice costs nothing and doubles nothing. The next node does the model's work that an answer
requires.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from langgraph.types import interrupt

from limner import document
from limner.document import Article, Candidate, Illustration, Point, Selection, Spot
from limner.errors import JobConflict, LimnerError
from limner.notes import note
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import MAX_EDITS, DescribeImage, Edit, MoveImage, RemoveImage, SetTitle
from limner.tools.editing.typed import edits_for_blocks, edits_for_text
from limner.tools.illustrate import illustrated
from limner.workflows.review import answers, questions
from limner.workflows.state import ComposeState

if TYPE_CHECKING:
    from limner.workflows.context import Context

Update = dict[str, Any]


def reviewed(point: Point, context: Context, state: ComposeState) -> Update:
    """Wait for a person at a point; returns the state's changes."""
    answered = state.get("answered", 0)
    said = state.get("said", "")
    for refused_before in count():
        asked = questions.question(
            point,
            _shown(point, state),
            note(f"review-{point}"),
            answered=(answered, refused_before),
            respond=_follows(point, context),
            said=said,
        )
        given = interrupt(questions.interrupting(asked, context.decisions))
        try:
            answer = answers.check(asked, given, strict=False)
            changed = _changed(point, context, state, answer)
        except LimnerError as refused:  # ask again, with the reason
            said = note("not-taken", line=refused.note)
            continue
        wanted = answer["args"] if answer["type"] == "response" else ""
        return {**changed, "answered": answered + 1, "wanted": wanted, "reviewing": point, "said": ""}
    raise AssertionError("unreachable")


def _follows(point: Point, context: Context) -> bool:
    return context.follows("spotter" if point == "spots" else "writer")


def _shown(point: Point, state: ComposeState) -> questions.Json:
    if point == "outline":
        return questions.outline_args(state["outline"])
    if point == "spots":
        return questions.spots_args(state["article"], state["spots"])
    make = {"draft": questions.text_args, "images": questions.images_args, "final": questions.final_args}[point]
    return make(state["article"])


def _changed(point: Point, context: Context, state: ComposeState, answer: questions.Json) -> Update:
    """The changes that an answer makes. Raises LimnerError for an edit that cannot be applied."""
    args = answer["args"] if answer["type"] == "edit" else None
    if point == "outline":
        if args is None and answer["type"] != "response" and not context.follows("writer"):
            return {"outline": ""}  # this writer would do the same anyway
        return {"outline": args["outline"]} if args else {}
    if not args:
        return {}
    if point == "spots":
        return {"spots": _spots(state["article"], state["spots"], args["spots"])}
    if "edits" in args:
        return {"article": applied(context, state["article"], questions.EDITS.validate_python(args["edits"]))}
    if point == "images":
        return {"article": chosen(context, state["article"], args["images"])}
    return {"article": applied(context, state["article"], _typed_over(state["article"], args))}


def applied(context: Context, article: Article, edits: Sequence[Edit]) -> Article:
    """The article after any number of edits. Raises EditRefused."""
    for first in range(0, len(edits), MAX_EDITS):
        article = edited(article, edits[first : first + MAX_EDITS], context.record)
    return article


def _typed_over(article: Article, args: questions.Json) -> list[Edit]:
    edits: list[Edit] = []
    for row in (rows := args.get("images") or []):
        old = next(i for i in article.illustrations if i.id == row["id"])
        if row["after"] != old.after:
            edits.append(MoveImage(image=old.id, after=row["after"]))
        new = {n: row[n] for n in ("caption", "alt", "credit") if row[n] != getattr(old, n)}
        if new:
            edits.append(DescribeImage(image=old.id, **new))
    if "images" in args:
        kept = {row["id"] for row in rows}
        edits += [RemoveImage(image=i.id) for i in article.illustrations if i.id not in kept]
    if "title" in args:
        edits.append(SetTitle(title=args["title"]))
    if "text" in args:
        edits += edits_for_text(article, args["text"])
    if "blocks" in args:
        edits += edits_for_blocks(article, args["blocks"])
    return edits


def _spots(article: Article, before: Sequence[Spot], rows: Sequence[questions.Json]) -> list[Spot]:
    """The spots after a person's changes, in reading order; added spots get the highest strength."""
    known = {s.id: s for s in before}
    made: list[Spot] = []
    taken = set(known)
    for row in rows:
        fields = {name: row[name] for name in ("after", "caption", "search")}
        if row["id"]:
            made.append(known[row["id"]].model_copy(update=fields))
            continue
        number = article.number(row["after"]) + 1
        new = next(i for i in (f"s{number}", *(f"s{number}-{n}" for n in range(2, 1000))) if i not in taken)
        taken.add(new)
        made.append(Spot(id=new, strength=1.0, **fields))
    return sorted(made, key=lambda s: article.number(s.after))


def chosen(context: Context, article: Article, rows: Sequence[questions.Json]) -> Article:
    """The article with a person's choice at some spots: {"spot", "chosen"}, None for no image.

    Raises EditRefused for an image that is already elsewhere in the article.
    """
    choices = {row["spot"]: row["chosen"] for row in rows}
    figures = {i.id: i for i in article.illustrations}
    record: list[Selection] = []
    for selection in article.selections:
        spot = selection.spot
        if spot.id not in choices or choices[spot.id] == _standing(article, spot.id):
            record.append(selection)  # unchanged
            continue
        image = choices[spot.id]
        figures.pop(document.figure_id(spot.id), None)
        if image is not None:
            candidate = next(c for c in selection.candidates if c.image_id == image)
            figures[document.figure_id(spot.id)] = _figure(article, selection, candidate)
        before = selection.instead_of if selection.by == "person" else selection.placed
        by: Update = {"by": "person", "choice": image, "placed": image, "why": note("by-person"), "confidence": 1.0}
        by["instead_of"] = before
        record.append(selection.model_copy(update=by))
    twice = [i.image_id for i in figures.values()]
    if len(set(twice)) < len(twice):
        raise JobConflict(note("image-twice"))
    return article.model_copy(update={"selections": tuple(record)}).illustrated(figures.values())


def _standing(article: Article, spot: str) -> str | None:
    return next((i.image_id for i in article.illustrations if i.id == document.figure_id(spot)), None)


def _figure(article: Article, selection: Selection, candidate: Candidate) -> Illustration:
    """The illustration for a candidate that a person chose, with its usual caption."""
    (figure,) = illustrated(article, [selection], {selection.spot.id: candidate}, {}).illustrations
    return figure
