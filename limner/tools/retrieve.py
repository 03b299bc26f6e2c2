"""Find candidates for spots: one search per library for all spots, then one ranking per spot over all libraries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from limner.document import Candidate, Spot
from limner.errors import LibraryEmpty
from limner.notes import Note, note
from limner.tools.library.filters import ALL, Filters

if TYPE_CHECKING:
    from limner.tools.library import Library


def retrieve(
    libraries: Sequence[Library],
    spots: Sequence[Spot],
    k: int,
    only: Filters = ALL,
    used: Collection[str] = (),
) -> dict[str, list[Candidate]]:
    """The k images that best fit each spot's search caption, best first, by the spot's id.

    only, used: limit the search, see `Library.search`. An image in several libraries appears once, from the library
    with its best score. Raises LibraryEmpty without libraries, or if one of them has no image.
    """
    if not libraries:
        raise LibraryEmpty("No library to take images from: name one with --library DIR.")
    if not spots:
        return {}
    found = [library.search([spot.search for spot in spots], k, only, used) for library in libraries]
    return {spot.id: merge([answers[n] for answers in found], k) for n, spot in enumerate(spots)}


def remarks(
    libraries: Sequence[Library], only: Filters, used: Collection[str] | None, *, empty: bool = True
) -> list[Note]:
    """Notes on searches with these filters: images that embargo or expiry keep back, and filters without effect.

    used: ids for `unused=N`; None if nobody records articles. empty: also say if no image passes.
    """
    left = {library.name: library.left_out(only, used or ()) for library in libraries}
    held = sum(one.held_back for one in left.values())
    found = [note("outside-time", n=held)] if held else []
    if only.unused and used is None:
        found.append(note("unused-unknown", n=only.unused))
    found += [note("facts-unread", n=n, name=name) for name, one in left.items() if (n := one.without_facts)]
    if empty and only.each and all(one.everything for one in left.values()):
        found.append(note("filters-nothing", names=list(left), filters=list(only.texts)))
    return found


def merge(rankings: Sequence[Sequence[Candidate]], k: int) -> list[Candidate]:
    """Merge several libraries' candidates for a spot into one ranking: at most k, best first, each image once.

    A fused score measures how an image stands out in its own library, so the best of a poor library would equal the
    best of a good one. Raw scores are comparable, so they are fused again over all candidates, as in `fuse`.
    """
    rankings = [ranking for ranking in rankings if ranking]
    if len(rankings) < 2:
        return list(*rankings)[:k]
    together = _once([candidate for ranking in rankings for candidate in ranking])
    scored = zip(fuse([c.scores for c in together]), together, strict=True)
    merged = [candidate.model_copy(update={"score": score}) for score, candidate in scored]
    return sorted(merged, key=lambda c: (-c.score, c.image_id))[:k]


def fuse(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """Distribution-based score fusion, as Qdrant does it for one library: per encoder from mean - 3 deviations, 0, to
    mean + 3 deviations, 1; then added. rows: raw scores by encoder, one row an image; a missing one adds nothing.
    """
    total = [0.0] * len(rows)
    for encoder in sorted({name for row in rows for name in row}):
        scores = {n: row[encoder] for n, row in enumerate(rows) if encoder in row}
        mean = fmean(scores.values())
        deviation = stdev(scores.values()) if len(scores) > 1 else 0.0
        for n, score in scores.items():
            total[n] += 0.5 + (score - mean) / (6 * deviation) if deviation else 0.5
    return total


def _once(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Each image once, with the caption from the library of its best score."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        other = best.get(candidate.image_id)
        if other is None or _raw(candidate) > _raw(other):
            best[candidate.image_id] = candidate
    return list(best.values())


def _raw(candidate: Candidate) -> tuple[float, float, bool]:
    return candidate.scores.get("caption", 0.0), candidate.scores.get("words", 0.0), candidate.described
