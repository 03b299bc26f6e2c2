"""Estimate how well an image fits a spot: one probability from everything known of the image.

Three signals, each by how far it lies above chance (`limner.tools.chance`), in standard deviations: `words`, shared by
the spot's text and the image's caption; `caption`, the meaning of the caption; `clip`, what the picture shows. A signal
that an image lacks is absent, not zero: a picture named DSC_0001 is judged by what it shows alone.

For each set of signals a logistic regression of true against other pairs gives the log-odds that an author put this
very image at this very place. They are what `arrange` adds up. `probability` says what they mean for an image that was
placed by them: how probable it is that the author used it in this article at all. The weights are set by hand near
those that the regression learnt on two textbooks; bench/fit.md has both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from limner.document import Candidate, Selection
from limner.lazy import lazy
from limner.tools.filenames import says_something
from limner.tools.spotting import bilingual
from limner.tools.terms import Bag, bag, dot, language, rarity, terms

if TYPE_CHECKING:
    import numpy as np
else:  # a graph is built without it
    np = lazy("numpy")

COSINE = 0.008
"""Standard deviation of the cosine of words between an article's text and images that do not belong to it. It is a
share of common words, so no encoder moves it; the two textbooks have 0.007 and 0.009."""
MINILM = (0.0, 0.1)  # what pairs score by chance, and their deviation, where nobody has measured it
_MANY = 20  # pairs of an article from which a chance can be told


class Learnt(NamedTuple):
    """A logistic regression."""

    bias: float
    weights: Mapping[str, float]
    """Per signal, of its deviations above chance."""


LEARNT: Mapping[frozenset[str], Learnt] = {
    frozenset(learnt.weights): learnt
    for learnt in (
        Learnt(-7.2, {"words": 0.35}),
        Learnt(-8.9, {"caption": 1.3}),
        Learnt(-8.7, {"clip": 1.3}),
        Learnt(-8.6, {"words": 0.25, "caption": 0.9}),
        Learnt(-8.6, {"words": 0.25, "clip": 0.9}),
        Learnt(-8.8, {"caption": 0.6, "clip": 0.8}),
        Learnt(-8.5, {"words": 0.25, "caption": 0.4, "clip": 0.5}),
    )
}
PLACED = Learnt(1.25, {"log_odds": 0.6})
"""From the log-odds of a pair to the probability that its image, once placed, belongs to the article: there are many
pairs and few images, and an image one paragraph off is a right image."""
NOTHING = -12.0
"""Log-odds of an image of which nothing is known: less than of any other."""


class Fit(NamedTuple):
    """How well an image fits a spot."""

    log_odds: float
    """Log-odds of the pair: the author put this image at this place."""
    signals: Mapping[str, float]
    """Per signal that it has, by how many standard deviations it lies above chance."""

    @property
    def most(self) -> str:
        """The signal that says most for it; "" if nothing is known of the image."""
        weights = _learnt(frozenset(self.signals)).weights if self.signals else {}
        return max(weights, key=lambda name: weights[name] * self.signals[name], default="")


def probability(log_odds: float) -> float:
    """That an image placed with these log-odds is one that the article's author used too, 0 to 1."""
    return 1 / (1 + math.exp(-max(-700.0, PLACED.bias + PLACED.weights["log_odds"] * log_odds)))


def log_odds(probability: float) -> float:
    """The reverse; probability: above 0 and below 1."""
    return (math.log(probability / (1 - probability)) - PLACED.bias) / PLACED.weights["log_odds"]


Words = tuple[Mapping[str, Bag], Mapping[str, float]]
"""(each image's bag of words, the rarity of terms among the images)."""


def fits(options: Sequence[Selection], images: Words | None = None) -> list[dict[str, Fit]]:
    """Per option, image id -> how well the image fits the spot; comparable over spots, articles and libraries.

    images: what `image_words` makes of all candidates, where it is known already.
    """
    bags, rare = images or image_words([c for o in options for c in o.candidates])
    chance = _unmeasured(options)
    rows: list[dict[str, Fit]] = []
    for option, texts in zip(options, _text_bags(options, rare), strict=True):
        row = {}
        for c in option.candidates:
            signals = _dense(c, chance)
            if _says(c):
                signals["words"] = max(dot(bags[c.image_id], text) for text in texts) / COSINE
            row[c.image_id] = Fit(_judged(signals), signals)
        rows.append(row)
    return rows


def _text_bags(options: Sequence[Selection], rare: Mapping[str, float]) -> list[list[Bag]]:
    """Per option the bags of its spot's texts: the search caption, and the caption if it is in another language."""
    kinds = [[o.spot.search for o in options]]
    if bilingual([o.spot for o in options]):
        kinds.append([o.spot.caption for o in options])
    spoken = [language(texts) for texts in kinds]
    return [
        [bag(terms(text, code), rare) for text, code in zip(texts, spoken, strict=True)]
        for texts in zip(*kinds, strict=True)
    ]


def _judged(signals: Mapping[str, float]) -> float:
    """Log-odds by the regression for these signals."""
    if not signals:
        return NOTHING
    learnt = _learnt(frozenset(signals))
    return learnt.bias + sum(weight * signals[name] for name, weight in learnt.weights.items())


def _learnt(names: frozenset[str]) -> Learnt:
    """The regression for these signals; one that a plug-in added weighs as what a picture shows."""
    known = names & {"words", "caption", "clip"}
    added = sorted(names - known)
    if not added:
        return LEARNT[names]
    like = LEARNT[known | {"clip"}]
    share = like.weights["clip"] / (len(added) + ("clip" in known))
    weights = {name: share if name == "clip" else like.weights[name] for name in known}
    return Learnt(like.bias, weights | dict.fromkeys(added, share))


def _dense(candidate: Candidate, chance: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The signals of encoders: as the library measured them, else from raw scores."""
    if candidate.fits:
        return dict(candidate.fits)
    measured = {n: s for n, s in candidate.scores.items() if n in chance and (n != "caption" or _says(candidate))}
    return {name: (score - chance[name][0]) / chance[name][1] for name, score in measured.items()}


def _unmeasured(options: Sequence[Selection]) -> dict[str, tuple[float, float]]:
    """(chance, deviation) per encoder for images whose library has not measured them: from the article's own pairs,
    nearly all of which do not belong together; of a few pairs MiniLM's are taken for granted."""
    scores: dict[str, list[float]] = {}
    for candidate in (c for o in options for c in o.candidates if not c.fits):
        for name, score in candidate.scores.items():
            if name != "words":  # BM25 grows with the length of the text that asks
                scores.setdefault(name, []).append(score)
    found = {}
    for name, values in scores.items():
        low, middle, high = np.percentile(values, [15.9, 50, 84.1])
        enough = len(values) >= _MANY or name != "caption"
        found[name] = (float(middle), float(high - low) / 2 or 1.0) if enough else MINILM
    return found


def _says(candidate: Candidate) -> bool:
    """Whether there are words about the image: a camera's file name is none."""
    return candidate.described or bool(candidate.alt) or says_something(candidate.caption)


def image_words(candidates: Sequence[Candidate]) -> Words:
    """Each image's bag of words, and the rarity of terms among these images.

    What the whole article is about is not rare among the images that were found for it.
    """
    texts = {c.image_id: _text(c) for c in candidates}
    written = language(list(texts.values()))
    found = {image_id: terms(text, written) for image_id, text in texts.items()}
    rare = rarity(found.values())
    return {image_id: bag(one, rare) for image_id, one in found.items()}, rare


def _text(candidate: Candidate) -> str:
    """Caption and alternative text."""
    same = not candidate.alt or candidate.alt == candidate.caption
    return candidate.caption if same else f"{candidate.caption} {candidate.alt}"
