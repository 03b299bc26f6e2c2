"""Find candidates for spots: one search per library for all spots, then one ranking per spot over all libraries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from limner.document import Candidate, Spot
from limner.errors import LibraryEmpty
from limner.notes import Note, note
from limner.tools.library.filters import ALL, Filters
from limner.tools.spotting import bilingual

if TYPE_CHECKING:
    from limner.tools.library import Library


def retrieve(
    libraries: Sequence[Library],
    spots: Sequence[Spot],
    k: int,
    only: Filters = ALL,
    used: Collection[str] = (),
    chosen: Collection[str] = (),
) -> dict[str, list[Candidate]]:
    """The k images that best fit each spot's search caption, best first, by the spot's id.

    only, used, chosen: limit the search, and say which near-copies stand, see `Library.search`. Where a model wrote the
    search captions in English and the captions in the article's language, both are searched by, and the better one
    counts. An image in several libraries appears once, from the library where it fits best. Raises LibraryEmpty without
    libraries, or if one of them has no image.
    """
    if not libraries:
        raise LibraryEmpty("No library to take images from: name one with --library DIR.")
    if not spots:
        return {}
    found = [library.search([spot.search for spot in spots], k, only, used, chosen) for library in libraries]
    if bilingual(spots):
        others = [library.search([spot.caption for spot in spots], k, only, used, chosen) for library in libraries]
        found = [
            [_better(*pair, k) for pair in zip(one, other, strict=True)]
            for one, other in zip(found, others, strict=True)
        ]
    return {spot.id: merge([answers[n] for answers in found], k) for n, spot in enumerate(spots)}


def _better(one: Sequence[Candidate], other: Sequence[Candidate], k: int) -> list[Candidate]:
    """One ranking of two for the same spot and library: each image by the text that fits it better."""
    best: dict[str, Candidate] = {}
    for candidate in (*one, *other):
        known = best.get(candidate.image_id)
        if known is None or _fit(candidate) > _fit(known):
            best[candidate.image_id] = candidate
    return _ranked(list(best.values()), k)


def _fit(candidate: Candidate) -> tuple[float, float]:
    """Deviations above chance, which are comparable between texts; then shared words."""
    return sum(candidate.fits.values()), candidate.scores.get("words", 0.0)


def remarks(
    libraries: Sequence[Library],
    only: Filters,
    used: Collection[str] | None,
    *,
    empty: bool = True,
    handed: Collection[str] = (),
) -> list[Note]:
    """Notes on searches with these filters: images that embargo or expiry keep back, and filters without effect.

    used: ids for `unused=N`; None if nobody records articles. empty: also say if no image passes. handed: ids of images
    that are taken all the same.
    """
    left = {library.name: library.left_out(only, used or (), handed) for library in libraries}
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
    best of a good one. So what is comparable between libraries is fused again over all candidates, as in `fuse`:
    deviations above chance, since each library may have encoders of its own; raw scores where a plug-in's library has
    none; and shared words.
    """
    rankings = [ranking for ranking in rankings if ranking]
    if len(rankings) < 2:
        return list(*rankings)[:k]
    return _ranked(_once([candidate for ranking in rankings for candidate in ranking]), k)


def _ranked(candidates: Sequence[Candidate], k: int) -> list[Candidate]:
    """Candidates of several searches with scores over all of them, best first."""
    measured = any(candidate.fits for candidate in candidates)
    scores = fuse([_comparable(c) if measured else c.scores for c in candidates])
    merged = [c.model_copy(update={"score": score}) for score, c in zip(scores, candidates, strict=True)]
    return sorted(merged, key=lambda c: (-c.score, c.image_id))[:k]


def _comparable(candidate: Candidate) -> Mapping[str, float]:
    words = {name: score for name, score in candidate.scores.items() if name == "words"}
    return {**candidate.fits, **words}


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
    """Each image once, with the caption from the library where it fits best."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        other = best.get(candidate.image_id)
        if other is None or _said(candidate) > _said(other):
            best[candidate.image_id] = candidate
    return list(best.values())


def _said(candidate: Candidate) -> tuple[float, float, bool]:
    caption = candidate.fits.get("caption", candidate.scores.get("caption", 0.0))
    return caption, candidate.scores.get("words", 0.0), candidate.described
