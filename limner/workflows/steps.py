"""The steps that illustrate an article, each with its fallback and its notes: spot, retrieve, select, arrange.

The compose graph calls them from its nodes, the toolbox from its tools, and a revision to find other images. An
article's existing images stay: nothing else is placed after their blocks, and none is placed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple

from limner.document import Article, Brief, Candidate, Illustration, Selection, Spot
from limner.errors import ImageUnreadable, LibraryError, UnreadableReply
from limner.notes import Note, note
from limner.tools.arrange import arrange as best_set
from limner.tools.arrange import shortfall
from limner.tools.illustrate import illustrated
from limner.workflows.context import Context


class Spotted(NamedTuple):
    """Where images belong."""

    spots: list[Spot]
    note: Note
    """Why they come from the text alone; "" if the spotter proposed them."""


class Arranged(NamedTuple):
    """An article with its images."""

    article: Article
    """The article with the record of every choice, notes and `made_with`."""
    new: tuple[Illustration, ...]
    """The new images."""
    kept: Mapping[str, Candidate]
    """The new images by spot id."""
    wanted: int | Literal["auto"]
    """Number of requested new images."""


def with_locked_images_only(article: Article) -> Article:
    """The article before its images are chosen again: without the replaceable ones."""
    locked = [i for i in article.illustrations if i.id in article.locked]
    return article.model_copy(update={"selections": ()}).illustrated(locked)


def spot(context: Context, article: Article, brief: Brief, instruction: str = "") -> Spotted:
    """Propose places for images; from the text alone if two of the spotter's answers cannot be read.

    instruction: a person's instruction about the places, for a model that takes instructions.
    """
    if brief.images == 0 or not article.paragraphs:
        return Spotted([], Note(""))
    try:
        spots, fallback = context.spot(article, brief, instruction), Note("")
    except UnreadableReply:
        spots, fallback = context.spot_from_text(article), note("spots-from-text")
    taken = {i.after for i in article.illustrations} | article.before_figures
    return Spotted([s for s in spots if s.after not in taken], fallback)


def retrieve(context: Context, article: Article, spots: Sequence[Spot], brief: Brief) -> dict[str, list[Candidate]]:
    """Candidates by spot id, best first, without the article's existing images and copies of them."""
    used = shown(context, article) | {*article.shows}
    found = context.retrieve(spots, brief)
    left = {
        spot_id: [c for c in candidates if not any(used & {one, one[:8]} for one in c.ids)]
        for spot_id, candidates in found.items()
    }
    copies = _copies(context, article, {c.image_id: c for candidates in left.values() for c in candidates})
    return {spot_id: [c for c in candidates if c.image_id not in copies] for spot_id, candidates in left.items()}


def shown(context: Context, article: Article) -> set[str]:
    """Ids of the article's images and of their near-copies in the libraries."""
    ids = {i.image_id for i in article.illustrations}
    return ids.union(*(library.with_copies(ids) for library in context.libraries))


def _copies(context: Context, article: Article, candidates: Mapping[str, Candidate]) -> set[str]:
    """Ids of the candidates that look the same as one of a draft's own images."""
    from limner.exports.shown import is_copy, looks

    known = looks(article.shows) if any(one.startswith("look:") for one in article.shows) else []
    libraries = {library.name: library for library in context.libraries}
    copies = set()
    for image_id, candidate in candidates.items() if known else ():
        try:
            if candidate.library in libraries and is_copy(libraries[candidate.library].image(image_id), known):
                copies.add(image_id)
        except (LibraryError, ImageUnreadable):
            continue  # an image that cannot be read is noted where it is placed
    return copies


def select(
    context: Context,
    article: Article,
    spots: Sequence[Spot],
    candidates: Mapping[str, Sequence[Candidate]],
    done: Sequence[Selection],
    brief: Brief,
) -> list[Selection]:
    """`done` with the next selection, or with all remaining ones if no model judges, because these need no waiting.

    A model sees the article's images and the earlier choices, with which the next image should agree.
    """
    away = _away(context, brief)  # a job may wait for days between its steps
    left = spots[len(done) :] if not context.judges() else spots[len(done) : len(done) + 1]
    shown = {s.id: tuple(_in_time(candidates.get(s.id, ()), away)) for s in left}
    if not context.judges():
        return [*done, *(Selection(spot=s, candidates=shown[s.id], by="similarity") for s in left)]
    chosen = [(s.spot, c) for s in done for c in s.candidates if c.image_id == s.choice]
    [spot] = left
    seen = [*placed(context, article), *chosen]
    return [*done, context.select(article, spot, shown[spot.id], seen, brief)]


def select_all(
    context: Context,
    article: Article,
    spots: Sequence[Spot],
    candidates: Mapping[str, Sequence[Candidate]],
    brief: Brief,
    on_step: Callable[[int], None] = lambda _done: None,
) -> list[Selection]:
    """A selection for each spot, in reading order. on_step: called after each with the number done."""
    done: list[Selection] = []
    while len(done) < len(spots):
        done = select(context, article, spots, candidates, done, brief)
        on_step(len(done))
    return done


def placed(context: Context, article: Article) -> list[tuple[Spot, Candidate]]:
    """The article's images in the selector's form, without those of libraries that are not open."""
    found = []
    for i in article.illustrations:
        if any(library.has(i.image_id) for library in context.libraries):
            spot = Spot(id=i.id, after=i.after, caption=i.caption, search=i.caption)
            about: dict[str, Any] = {"caption": i.caption, "alt": i.alt, "width": i.width, "height": i.height}
            found.append((spot, Candidate(image_id=i.image_id, library=i.library, score=0, **about)))
    return found


def _away(context: Context, brief: Brief) -> set[tuple[str, str]]:
    """(library, image id) of the images that must not be shown now. References always may."""
    handed = {r.image_id for r in brief.references}
    return {(library, image_id) for library, image_id in context.outside(brief) if image_id not in handed}


def _in_time(candidates: Sequence[Candidate], away: Set[tuple[str, str]]) -> list[Candidate]:
    return [c for c in candidates if (c.library, c.image_id) not in away]


def _still(selection: Selection, away: Set[tuple[str, str]]) -> Selection:
    """The selection without images that must not be shown any more; the others compete by fit where it was chosen."""
    left = _in_time(selection.candidates, away)
    if len(left) == len(selection.candidates):
        return selection
    changed: dict[str, Any] = {"candidates": tuple(left)}
    if selection.choice and all(c.image_id != selection.choice for c in left):
        changed |= {"choice": None, "by": "similarity"}
    return selection.model_copy(update=changed)


def outside_noted(context: Context, article: Article, brief: Brief) -> Article:
    """The article with a note on those of its images that are outside their time."""
    away = context.outside(brief)
    n = sum((i.library, i.image_id) in away for i in article.illustrations)
    return article.noted(note("placed-outside-time", n=n) if n else Note(""))


def arrange(context: Context, article: Article, selections: Sequence[Selection], brief: Brief) -> Arranged:
    """Put the best set of images into the article. The person's own images (`brief.references`) have priority.

    `brief.images` includes the article's existing images.
    """
    before = article.illustrations
    away = _away(context, brief)
    selections = [_still(selection, away) for selection in selections]
    wanted = brief.images if brief.images == "auto" else max(0, brief.images - len(before))
    kept, why = best_set(article, selections, wanted, prefer=frozenset(r.image_id for r in brief.references))
    made = illustrated(article, selections, kept, why)
    new = made.illustrations
    made = made.illustrated([*before, *new]) if before else made
    if made.selections:
        fallbacks = (note("spot", id=s.spot.id, line=s.fallback) for s in selections if s.fallback)
        made = made.noted(*context.notes("selector"), *fallbacks, *context.remarks(brief))
    made = outside_noted(context, made.noted(shortfall(selections, wanted, kept)), brief)
    if article.shows and not new and wanted == "auto":
        made = made.noted(note("nothing-to-add"))
    made_with = {**made.made_with, **context.provenance(brief)}
    return Arranged(made.model_copy(update={"made_with": made_with}), new, kept, wanted)
