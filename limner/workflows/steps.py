"""The steps that illustrate an article, each with its fallback and its notes: spot, retrieve, select, arrange.

The compose graph calls them from its nodes, the toolbox from its tools, and a revision where it looks for other images.
Images that an article has already stay: nothing else is placed after their blocks, and none of them is placed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from limner.document import Article, Brief, Candidate, Illustration, Selection, Spot
from limner.errors import UnreadableReply
from limner.notes import Note, note
from limner.tools.illustrate import illustrated
from limner.workflows.context import Context


class Spotted(NamedTuple):
    """Where images belong."""

    spots: list[Spot]
    note: Note
    """Why the text alone proposed them; "" where the spotter did."""


class Arranged(NamedTuple):
    """An article with its images."""

    article: Article
    """With the record of every choice, notes and what it was made with."""
    new: tuple[Illustration, ...]
    """The images that it did not have before."""
    kept: Mapping[str, Candidate]
    """The new images by spot id."""
    wanted: int | Literal["auto"]
    """How many new images were wanted."""


def with_locked_images_only(article: Article) -> Article:
    """The article as it is before its images are chosen again: without those that may be replaced."""
    locked = [i for i in article.illustrations if i.id in article.locked]
    return article.model_copy(update={"selections": ()}).illustrated(locked)


def spot(context: Context, article: Article, brief: Brief, wish: str = "") -> Spotted:
    """Find where images belong; from the text alone where the spotter's answer cannot be read twice.

    wish: what a person wants of the places, for a model that takes instructions.
    """
    if brief.images == 0 or not article.paragraphs:
        return Spotted([], Note(""))
    try:
        spots, fallback = context.spot(article, brief, wish), Note("")
    except UnreadableReply:
        spots, fallback = context.spot_from_text(article), note("spots-from-text")
    taken = {i.after for i in article.illustrations} | article.before_figures
    return Spotted([s for s in spots if s.after not in taken], fallback)


def retrieve(context: Context, article: Article, spots: Sequence[Spot], brief: Brief) -> dict[str, list[Candidate]]:
    """Candidates by spot id, best first, without the images that the article has already."""
    used = {i.image_id for i in article.illustrations} | {*article.shows}
    found = context.retrieve(spots, brief)
    return {
        spot_id: [c for c in candidates if not used & {c.image_id, c.image_id[:8]}]
        for spot_id, candidates in found.items()
    }


def select(
    context: Context,
    article: Article,
    spots: Sequence[Spot],
    candidates: Mapping[str, Sequence[Candidate]],
    done: Sequence[Selection],
    brief: Brief,
) -> list[Selection]:
    """`done` with the next selection; with all that are left where no model judges, for there is nothing to wait for.

    A model is shown what the article has and what was chosen before, which the next image should agree with.
    """
    if not context.judges():
        left = spots[len(done) :]
        return [*done, *(Selection(spot=s, candidates=tuple(candidates.get(s.id, ())), by="similarity") for s in left)]
    chosen = [(s.spot, c) for s in done for c in s.candidates if c.image_id == s.choice]
    spot = spots[len(done)]
    seen = [*placed(context, article), *chosen]
    return [*done, context.select(article, spot, candidates.get(spot.id, ()), seen, brief)]


def select_all(
    context: Context,
    article: Article,
    spots: Sequence[Spot],
    candidates: Mapping[str, Sequence[Candidate]],
    brief: Brief,
    on_step: Callable[[int], None] = lambda _done: None,
) -> list[Selection]:
    """A selection for each spot, in reading order. on_step: called with how many are done, after each."""
    done: list[Selection] = []
    while len(done) < len(spots):
        done = select(context, article, spots, candidates, done, brief)
        on_step(len(done))
    return done


def placed(context: Context, article: Article) -> list[tuple[Spot, Candidate]]:
    """The article's images, as a selector is told of them; those of libraries that are not open are left out."""
    found = []
    for i in article.illustrations:
        if any(library.has(i.image_id) for library in context.libraries):
            spot = Spot(id=i.id, after=i.after, caption=i.caption, search=i.caption)
            about: dict[str, Any] = {"caption": i.caption, "alt": i.alt, "width": i.width, "height": i.height}
            found.append((spot, Candidate(image_id=i.image_id, library=i.library, score=0, **about)))
    return found


def arrange(context: Context, article: Article, selections: Sequence[Selection], brief: Brief) -> Arranged:
    """Put the best set of images into the article. The person's own images (`brief.references`) go before all others.

    `brief.images` counts the images that the article has already.
    """
    from limner.tools.arrange import arrange as best_set  # with numpy, which building the graph needs not
    from limner.tools.arrange import shortfall

    before = article.illustrations
    wanted = brief.images if brief.images == "auto" else max(0, brief.images - len(before))
    kept, why = best_set(article, selections, wanted, prefer=frozenset(r.image_id for r in brief.references))
    made = illustrated(article, selections, kept, why)
    new = made.illustrations
    made = made.illustrated([*before, *new]) if before else made
    if made.selections:
        fallbacks = (note("spot", id=s.spot.id, line=s.fallback) for s in selections if s.fallback)
        made = made.noted(*context.notes("selector"), *fallbacks)
    made = made.noted(shortfall(selections, wanted, kept))
    if article.shows and not new and wanted == "auto":
        made = made.noted(note("nothing-to-add"))
    made_with = {**made.made_with, **context.provenance(brief)}
    return Arranged(made.model_copy(update={"made_with": made_with}), new, kept, wanted)
