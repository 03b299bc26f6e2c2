"""Means over articles, with intervals from a bootstrap over whole articles.

Articles are drawn, not figures: figures of one article resemble each other, and an interval over figures would be too
narrow. Source, cited from memory: bootstrap, Efron 1979; percentile method, Efron 1981.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from limner.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:  # a help text does without
    np = lazy("numpy")

RESAMPLES = 2_000
FEWEST = 5
"""Articles that an interval takes: the percentiles of fewer are far too narrow."""
FEW = 20
"""Articles below which it is still too narrow."""


class Mean(NamedTuple):
    """A mean over articles."""

    mean: float
    n: int
    """Articles that have the measure."""
    low: float | None
    """Lower end of the 95 % interval; None with fewer than FEWEST articles."""
    high: float | None


def shown(mean: Mean | None, digits: int) -> str:
    """A mean with its interval, if it has one, for people; a dash for None."""
    if mean is None:
        return "–"
    if mean.low is None or mean.high is None:
        return f"{mean.mean:.{digits}f}"
    return f"{mean.mean:.{digits}f}  [{mean.low:.{digits}f}, {mean.high:.{digits}f}]"


def without(means: Iterable[Mean | None]) -> list[str]:
    """One line for people if any of the means has no interval, else none."""
    lack = any(mean is not None and mean.low is None for mean in means)
    return [f"A value without brackets has no interval, which takes {FEWEST} articles."] if lack else []


def mean_of(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Mean | None:
    """The mean and its 95 % interval; None without values. The same values give the same interval."""
    if not values:
        return None
    known = np.asarray(values, dtype=float)
    if len(known) < FEWEST:
        return Mean(float(known.mean()), len(known), None, None)
    drawn = np.random.default_rng(seed).integers(0, len(known), (resamples, len(known)))
    low, high = np.percentile(known[drawn].mean(axis=1), [2.5, 97.5])
    return Mean(float(known.mean()), len(known), float(low), float(high))


def ratio_of(counts: Sequence[tuple[int, int]], *, resamples: int = RESAMPLES, seed: int = 0) -> Mean | None:
    """A share pooled over articles, with an interval over whole articles. counts: (hits, of) per article.

    None if there is nothing to count. `n` is the pooled number.
    """
    known = np.asarray([(hits, of) for hits, of in counts if of], dtype=float).reshape(-1, 2)
    if not len(known):
        return None
    hits, of = known.sum(axis=0)
    if len(known) < FEWEST:
        return Mean(float(hits / of), int(of), None, None)
    drawn = np.random.default_rng(seed).integers(0, len(known), (resamples, len(known)))
    sums = known[drawn].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    return Mean(float(hits / of), int(of), float(low), float(high))
