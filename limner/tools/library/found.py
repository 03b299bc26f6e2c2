"""Make search results of what the store of vectors found, and keep pictures of words behind pictures of things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean, stdev

from limner.document import Candidate
from limner.tools.library import chances
from limner.tools.library.records import Record
from limner.tools.library.text_in_pictures import trust
from limner.tools.stored import Hit


def candidates(
    library: str,
    answers: Sequence[Sequence[Hit]],
    known: Mapping[str, Record],
    by_chance: Sequence[chances.Expected],
    k: int,
    among: int = 0,
) -> list[list[Candidate]]:
    """Per query at most k images, best first.

    answers: hits by query; by_chance: what each query scores by chance; among: the number of images in the library, if
    some are pictures of words, which must not answer for what they name; 0 to leave that out.
    """
    made = []
    for expected, hits in zip(by_chance, answers, strict=True):
        there = [(hit, known[hit.id]) for hit in hits if hit.id in known]
        found = [r.as_candidate(library, h.score, h.scores, chances.fits(expected, h.scores, r)) for h, r in there]
        if among and "clip" in expected:
            found = _behind(found, {r.id: trust(r.text_in_picture) for _, r in there}, expected["clip"], among)
        made.append(found[:k])
    return made


def _behind(
    found: Sequence[Candidate], kept: Mapping[str, float], chance: tuple[float, float], among: int
) -> list[Candidate]:
    """A query's images, best first. kept: how much of its score by content each keeps; chance: (base, deviation).

    A picture of words gives back what its content had added to the fused score. If then only the words in it speak for
    it, it stands behind all pictures that show what is asked for; without such pictures its words may put it first.
    """
    lowered = _lowered(found, kept, chance)
    sure = NormalDist().inv_cdf(1 - 1 / (2 * max(1, among)))  # as high as the best of so many mostly lies by chance
    shown = [c.score for c in lowered if kept[c.image_id] == 1 and c.fits.get("clip", 0.0) > sure]
    most = min(shown, default=float("inf"))

    def place(c: Candidate) -> tuple[float, bool, str]:
        return -c.score, kept[c.image_id] < 1, c.image_id

    def behind(c: Candidate) -> Candidate:
        own = max(c.fits.get(name, 0.0) for name in ("caption", "clip"))
        if kept[c.image_id] == 1 or c.score < most or own > sure:
            return c
        scores = {
            name: score for name, score in c.scores.items() if name != "words"
        }  # for searches of several libraries
        return c.model_copy(update={"score": most, "scores": scores})

    return sorted(map(behind, lowered), key=place)


def _lowered(found: Sequence[Candidate], kept: Mapping[str, float], chance: tuple[float, float]) -> Sequence[Candidate]:
    """The images with scores as far as their content can be trusted; raw scores stay. The share of a raw score in the
    fused one is as in `retrieve.fuse`."""
    base, deviation = chance
    raw = [c.scores["clip"] for c in found if "clip" in c.scores]
    wide = 6 * stdev(raw) if len(raw) > 1 else 0.0
    if not wide:
        return found
    middle = fmean(raw)

    def share(score: float) -> float:
        return min(max(0.5 + (score - middle) / wide, 0.0), 1.0)

    def lower(c: Candidate) -> Candidate:
        above = c.fits.get("clip", 0.0)
        if above <= 0 or kept[c.image_id] == 1:
            return c
        less = above * kept[c.image_id]
        score = c.score - share(c.scores["clip"]) + share(base + deviation * less)
        return c.model_copy(update={"score": score, "fits": {**c.fits, "clip": round(less, 3)}})

    return [lower(c) for c in found]
