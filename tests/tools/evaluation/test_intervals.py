"""Means as people read them."""

from __future__ import annotations

import pytest

from limner.tools.evaluation.intervals import mean_of, shown, without


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], "–"), ([0.5, 1.0], "0.750"), ([1.0] * 5, "1.000  [1.000, 1.000]")],
)
def test_a_mean_is_shown_with_its_interval_if_it_has_one(values: list[float], expected: str) -> None:
    assert shown(mean_of(values), 3) == expected


def test_one_line_says_why_some_have_none() -> None:
    few, many = mean_of([0.5, 1.0]), mean_of([1.0] * 5)
    assert without([many, None]) == []
    assert without([few, many, few]) == ["A value without brackets has no interval, which takes 5 articles."]
