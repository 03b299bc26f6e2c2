"""Means as people read them."""

from __future__ import annotations

import pytest

from limner.tools.evaluation.intervals import mean_of, shown


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], "–"), ([0.5, 1.0], "0.750  (no interval: fewer than 5 articles)"), ([1.0] * 5, "1.000  [1.000, 1.000]")],
)
def test_a_mean_without_an_interval_says_why(values: list[float], expected: str) -> None:
    assert shown(mean_of(values), 3) == expected
