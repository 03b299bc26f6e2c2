"""Choose the images of an article and their places: the best set of (spot, image) pairs, taken together.

`limner.tools.fit` says how probable it is that an image belongs at a spot. `arrange` weighs the pairs by it and by what
a selector chose, and finds the exact best set: at most one image after a paragraph, no image twice, look-alikes only
where they pay. A choice spot by spot would give two neighbours the same image, or one of them its second best, and
would not see that an image a little worse here frees a much better one there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from limner.document import Article, Candidate, Selection
from limner.lazy import lazy
from limner.notes import Note, note
from limner.tools.fit import Fit, fits, image_words, log_odds, probability
from limner.tools.terms import Bag, dot

if TYPE_CHECKING:
    import highspy
    import numpy as np
else:  # it loads numpy, and a graph is built without
    np = lazy("numpy")
    highspy = lazy("highspy")

LIKELY = 0.27
"""Probability that an image needs under "auto": that the author of a textbook would have used it in this article.
bench/fit.md has what other values place, and let pass."""
DENSITY = 3
"""Paragraphs per image under "auto", at least; textbook authors have 4.4 (291 figures, 1280 paragraphs)."""

# What follows is in log-odds, as the fit is: 1 makes an image 2.7 times as likely.
STRENGTH = 1.4
"""Gain of a spotter that wants an image over an indifferent one (times strength - 0.5). Small: the gap between the best
and the second best image of a spot is about as much."""
JUDGED: Mapping[str, float] = {"pixels": 7.0, "captions": 3.5, "person": 1000.0}
"""Weight of a choice, times its confidence. A model that saw the image outweighs all but the largest gaps between fits,
one that read captions half of that, a person everything."""
PREFERRED = 1000.0
"""Weight of an image that the user handed in: more than all else in an article."""

ALIKE, PENALTY = 0.7, 4.0
"""Images whose captions have at least this cosine look alike; each pair of them kept costs PENALTY times the cosine."""


def relevance(options: Sequence[Selection]) -> list[dict[str, float]]:
    """Per option, image id -> the probability that the image, placed there, belongs to the article, 0 to 1."""
    return [{image: probability(f.log_odds) for image, f in row.items()} for row in fits(options)]


# --- arrangement -----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """An image at a spot, and what the article gains by it."""

    spot: str
    place: str
    """Id of the paragraph."""
    candidate: Candidate
    gain: float


def arrange(
    article: Article,
    options: Sequence[Selection],
    images: int | Literal["auto"],
    *,
    prefer: frozenset[str] = frozenset(),
) -> tuple[dict[str, Candidate], dict[str, Note]]:
    """The image of each spot that gets one, and one line per spot on why it did or did not; both by spot id.

    images: exactly so many, fewer only if fewer can be placed (`shortfall` says so); "auto" takes what stands out, at
    most one for every three paragraphs, and nothing where nothing fits. prefer: ids of images that are used wherever
    they are a candidate at all. A spot where a model or a person found that nothing fits stays empty; their choices
    need not reach the threshold. Neighbouring paragraphs may both have an image: the authors of the books measured put
    19% of figures one paragraph after the one before. Deterministic. Raises KeyError for a spot after no paragraph.
    """
    for option in options:
        article.number(option.spot.after)
    words = image_words([c for o in options for c in o.candidates])
    found = fits(options, words)
    least = log_odds(LIKELY) if images == "auto" else -math.inf
    pairs = _pairs(options, found, least, prefer)
    count = math.ceil(len(article.paragraphs) / DENSITY) if images == "auto" else images
    kept = {p.spot: p.candidate for p in _best_set(pairs, count, words[0], exactly=images != "auto")}
    return kept, {o.spot.id: _why(o, f, kept, options, least) for o, f in zip(options, found, strict=True)}


def shortfall(options: Sequence[Selection], images: int | Literal["auto"], kept: Mapping[str, Candidate]) -> Note:
    """Why fewer images than asked for were placed, as a note for the article; "" when none are missing."""
    if images == "auto" or len(kept) >= images:
        return Note("")
    places = len({o.spot.after for o in options if not _refused(o)})
    found = len({c.image_id for o in options for c in o.candidates})
    return note("too-few-images", placed=len(kept), wanted=images, places=places, found=found)


def unfit(options: Sequence[Selection]) -> frozenset[str]:
    """Ids of the spots where nothing fits by the measure of "auto": nobody chose, and no candidate is likely enough."""
    least = log_odds(LIKELY)
    return frozenset(
        o.spot.id
        for o, row in zip(options, fits(options), strict=True)
        if _refused(o) or not row or (o.by == "similarity" and max(f.log_odds for f in row.values()) < least)
    )


def _refused(option: Selection) -> bool:
    """Whether somebody looked and found that nothing fits."""
    return option.by != "similarity" and option.choice is None


def _pairs(
    options: Sequence[Selection], found: Sequence[Mapping[str, Fit]], least: float, prefer: frozenset[str]
) -> list[Pair]:
    """All pairs that may be kept. With a finite `least`, gain is what is above it and pairs below are left out."""
    pairs = []
    for option, row in zip(options, found, strict=True):
        for candidate in () if _refused(option) else option.candidates:
            chosen = option.by != "similarity" and candidate.image_id == option.choice
            gain = row[candidate.image_id].log_odds - (0 if least == -math.inf else least)
            gain += STRENGTH * (option.spot.strength - 0.5)
            if chosen:  # whoever chose it knows more than the threshold does
                gain = max(gain, 0.0) + JUDGED[option.by] * option.confidence
            if candidate.image_id in prefer:
                gain += PREFERRED
            if least == -math.inf or gain > 0:
                pairs.append(Pair(option.spot.id, option.spot.after, candidate, gain))
    return pairs


def _why(
    option: Selection,
    row: Mapping[str, Fit],
    kept: Mapping[str, Candidate],
    options: Sequence[Selection],
    least: float,
) -> Note:
    """One line on why a spot has the image it has, or none."""
    image, spot = kept.get(option.spot.id), option.spot
    if image:
        kept_as = "chosen" if image.image_id == option.choice else "instead"
        how = "best" if option.by == "similarity" else kept_as
        return note(f"kept-{how}", **_in_words(row[image.image_id]))
    if _refused(option):
        return note("empty-nothing")
    if not option.candidates:
        return note("empty-none")
    if any(o.spot.after == spot.after and o.spot.id in kept for o in options):
        return note("empty-another")
    best = max(row.values(), key=lambda fit: fit.log_odds)
    if best.log_odds < least:
        return note("empty-unlikely", least=round(100 * LIKELY), **_in_words(best))
    return note("empty-elsewhere", **_in_words(best))


def _in_words(fit: Fit) -> dict[str, Any]:
    """A fit as parameters of a note: the probability in per cent, and the signal that says most for it."""
    percent = 100 * probability(fit.log_odds)
    signal = _SIGNALS.get(fit.most, "by-plugin") if fit.most else "by-nothing"
    z = round(fit.signals.get(fit.most, 0.0), 1)
    return {"p": round(percent, 0 if percent >= 1 else 2), "by": note(signal), "z": z}


_SIGNALS = {"words": "by-words", "caption": "by-caption", "clip": "by-clip"}


# --- the best set ----------------------------------------------------------------------------------------------------


def _best_set(pairs: Sequence[Pair], count: int, bags: Mapping[str, Bag], *, exactly: bool) -> list[Pair]:
    """The pairs of greatest total gain: at most one a place, no image twice, `count` of them or (not exactly) up to it.

    When `count` cannot be placed exactly, as many as can. Each pair of look-alikes kept costs PENALTY times their
    likeness. Exact: solved first as if nothing looked alike; only when the best set holds look-alikes are their costs
    added and the programme solved again. A set that is best where some costs are left out, and has none of those
    costs, is best.
    """
    pairs = _one_a_place(pairs)
    if not pairs or count < 1:
        return []
    # No place needs more than its `count` best images: of so many, one is always left over by the other places.
    few = _top(pairs, count)
    best = _solve(few, count, exactly, {})
    if best is None:
        count = len(_solve([p._replace(gain=1.0) for p in few], count, False, {}) or ())
        best = _solve(few, count, exactly, {}) or []
    known: dict[tuple[str, str], float] = {}
    while new := _look_alikes([p.candidate.image_id for p in best], bags, known):
        known |= new
        best = _solve(pairs, count, exactly, known) or []
    return best


def _one_a_place(pairs: Sequence[Pair]) -> list[Pair]:
    """Keep the pair with the greatest gain where several spots after one paragraph offer the same image."""
    best: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        key = (pair.place, pair.candidate.image_id)
        if key not in best or pair.gain > best[key].gain:
            best[key] = pair
    return list(best.values())


def _top(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Per place its `count` best pairs."""
    by_place: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_place[pair.place].append(pair)
    return [p for found in by_place.values() for p in sorted(found, key=lambda p: -p.gain)[:count]]


def _look_alikes(
    chosen: Sequence[str], bags: Mapping[str, Bag], known: Mapping[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """Likeness of the pairs of images not yet known to look alike: none if the chosen have none among them.

    Otherwise every image that looks like one of the chosen, so that the next solution does not merely swap one copy
    for another.
    """
    if not any(_pair(a, b) not in known and dot(bags[a], bags[b]) >= ALIKE for a, b in combinations(chosen, 2)):
        return {}
    likeness = {_pair(a, b): dot(bags[a], bags[b]) for a in chosen for b in bags if a != b}
    return {ids: s for ids, s in likeness.items() if s >= ALIKE and ids not in known}


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _solve(
    pairs: Sequence[Pair], count: int, exactly: bool, alike: Mapping[tuple[str, str], float]
) -> list[Pair] | None:
    """The best set as an integer programme; None when `exactly` so many cannot be placed.

    A variable a pair; a row a place and an image, each at most 1; a row for the count; for each two look-alikes a
    variable that is 1 when both are kept. Without look-alikes it is a bipartite matching of given size, whose linear
    relaxation has whole-numbered corners (Schrijver 2003, section 18.3), so integrality is asked for only where it
    fails.
    """
    model = _programme(pairs, count, exactly, alike)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", 0.0)
    for whole in (False, True):
        if whole:
            model.integrality_ = [highspy.HighsVarType.kInteger] * model.num_col_
        solver.passModel(model)
        solver.run()
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"HiGHS ended with {status} on {len(pairs)} pairs; report this with the article.")
        values = np.array(solver.getSolution().col_value)[: len(pairs)]
        if np.all(np.abs(values - values.round()) < 1e-6):
            break
    return [pair for pair, value in zip(pairs, values, strict=True) if value > 0.5]


def _programme(pairs: Sequence[Pair], count: int, exactly: bool, alike: Mapping[tuple[str, str], float]) -> Any:
    """The highspy.HighsLp of `_solve`, column by column."""
    places = {p: n for n, p in enumerate(dict.fromkeys(p.place for p in pairs))}
    images = {i: len(places) + n for n, i in enumerate(dict.fromkeys(p.candidate.image_id for p in pairs))}
    both = [ids for ids in alike if ids[0] in images and ids[1] in images]
    total = len(places) + len(images)
    in_rows: dict[str, list[int]] = defaultdict(list)
    for n, ids in enumerate(both, total + 1):
        for image_id in ids:
            in_rows[image_id].append(n)
    columns = [
        ([places[p.place], images[p.candidate.image_id], total, *in_rows[p.candidate.image_id]], 1.0) for p in pairs
    ]
    columns += [([n], -1.0) for n in range(total + 1, total + 1 + len(both))]

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(columns), total + 1 + len(both)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.array([p.gain for p in pairs] + [-PENALTY * alike[ids] for ids in both])
    lp.col_lower_, lp.col_upper_ = np.zeros(len(columns)), np.ones(len(columns))
    lower, upper = np.full(lp.num_row_, -highspy.kHighsInf), np.ones(lp.num_row_)
    lower[total], upper[total] = count if exactly else 0, count
    lp.row_lower_, lp.row_upper_ = lower, upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.cumsum([0] + [len(rows) for rows, _ in columns])
    lp.a_matrix_.index_ = np.array([row for rows, _ in columns for row in rows])
    lp.a_matrix_.value_ = np.array([value for rows, value in columns for _ in rows])
    return lp
