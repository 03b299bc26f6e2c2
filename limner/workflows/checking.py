"""Check chosen pictures: does each show what its place wants? A contradiction is a note for the person.

No picture is dropped. A picture that could not be checked is no contradiction: a note counts those.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

from limner.agents import checker
from limner.agents.dialects.check import Checked
from limner.document import Article, Brief, Illustration, figure_id
from limner.errors import BudgetReached, ImageUnreadable, LibraryError, LimnerError, ModelError, UnreadableReply
from limner.notes import Note, note
from limner.text import shorten
from limner.workflows.captioning import several
from limner.workflows.context import Context

CAPTION = 80  # characters of a caption by which a person recognises its picture


class Doubts(NamedTuple):
    """An article after some of its pictures were checked."""

    article: Article
    notes: tuple[Note, ...]
    """The new ones."""
    left: list[str]
    """Ids of the spots that are still to be checked."""


def to_check(context: Context, article: Article, brief: Brief) -> list[str]:
    """Ids of the spots whose new pictures are to be checked: by default those that a model chose by sight."""
    if brief.check is False:
        return []
    ways = ("pixels", "captions", "similarity") if brief.check else ("pixels",)
    placed = {i.id: i.image_id for i in article.illustrations}
    chosen = [
        s for s in article.selections if s.by in ways and s.placed and s.placed == placed.get(figure_id(s.spot.id))
    ]
    if not chosen or context.demonstrates("selector") or not context.dialect("selector").checks:
        return []
    return [s.spot.id for s in chosen] if context.sees("selector") else []


def at_once(context: Context) -> int:
    """How many pictures are asked about at once.

    A budget is checked before a call and charged after it, so parallel calls could exceed it together. A job asks one
    question at a time: its worker runs as many jobs at once as the server is to be asked.
    """
    limited = context.meter.budget is not None or context.meter.max_cost is not None
    return 1 if limited or context.memory is not None else several(context)


def check_all(context: Context, article: Article, brief: Brief) -> Article:
    """The article with a note on each new picture that does not show what its place wants."""
    left = to_check(context, article, brief)
    while left:
        article, _, left = check(context, article, left, brief)
    return article


def check(context: Context, article: Article, spots: Sequence[str], brief: Brief) -> Doubts:
    """Ask about the first pictures of these spots, side by side. The tokens count for the role "checker".

    If none of them can be asked about, because the model fails or a limit is met, the others are not tried.
    """
    figures = {i.id: i for i in article.illustrations}
    now, left = list(spots[: at_once(context)]), list(spots[at_once(context) :])
    asked = [figures[figure_id(spot)] for spot in now if figure_id(spot) in figures]
    wanted = {figure_id(s.spot.id): s.spot.caption for s in article.selections}

    def one(figure: Illustration) -> Checked | LimnerError:
        return _asked(context, article, figure, wanted.get(figure.id) or figure.caption)

    answers = _side_by_side(one, asked)
    lost = [a for a in answers if isinstance(a, LimnerError)]
    unchecked = len(lost)
    if lost and all(isinstance(a, ModelError | BudgetReached) for a in answers):
        unchecked, left = unchecked + len(left), []
    found = zip(asked, answers, strict=True)
    doubts = {f.id: a.reason for f, a in found if isinstance(a, Checked) and a.verdict == "no"}
    return Doubts(*_noted(context, article, doubts, unchecked, lost, brief), left)


def _side_by_side(
    work: Callable[[Illustration], Checked | LimnerError], figures: Sequence[Illustration]
) -> list[Checked | LimnerError]:
    with ThreadPoolExecutor(max(1, len(figures)), thread_name_prefix="limner-check") as pool:
        waiting = [pool.submit(copy_context().run, work, figure) for figure in figures]
        return [future.result() for future in waiting]


def _noted(
    context: Context,
    article: Article,
    doubts: dict[str, str],
    unchecked: int,
    lost: Sequence[LimnerError],
    brief: Brief,
) -> tuple[Article, tuple[Note, ...]]:
    """(the article with its doubts, the new notes). doubts: reasons by id of the picture."""
    notes = [
        note("picture-contradicts", id=i.id, caption=shorten(i.caption, CAPTION), reason=doubts[i.id])
        for i in article.illustrations
        if i.id in doubts
    ]
    kept = article.notes
    if unchecked:  # one note counts those of all turns
        earlier = [n for n in kept if n.code == "pictures-unchecked"]
        kept = tuple(n for n in kept if n not in earlier)
        n = unchecked + sum(n.params["n"] for n in earlier)
        notes.append(note("pictures-unchecked", n=n, line=_why(lost[0])))
    selections = [
        s.model_copy(update={"why": note("kept-doubted", line=s.why, reason=doubts[figure_id(s.spot.id)])})
        if figure_id(s.spot.id) in doubts
        else s
        for s in article.selections
    ]
    made_with = {**article.made_with, **context.provenance(brief)}
    changed = {"selections": tuple(selections), "made_with": made_with, "notes": kept}
    return article.model_copy(update=changed).noted(*notes), tuple(notes)


def _why(error: LimnerError) -> Note:
    return note("check-unread") if isinstance(error, UnreadableReply) else error.note


def _asked(context: Context, article: Article, figure: Illustration, caption: str) -> Checked | LimnerError:
    """The verdict on a picture, or why there is none."""
    before = next((b.plain for b in article.body if b.id == figure.after), "")
    speaker = dataclasses.replace(context.speaker("selector"), role="checker")
    try:
        return checker.check(context.pixels(figure.image_id), article.title, caption, before, article.language, speaker)
    except (UnreadableReply, ModelError, BudgetReached, LibraryError, ImageUnreadable) as e:
        return e
