"""Hold the measures of one article: values, the reasons for missing ones, and single findings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

FINDINGS = 40
"""Findings of one measure that are named; the share says how many there are."""


class Finding(NamedTuple):
    """One thing to look at."""

    measure: str
    figure: int
    """Number of the figure in reading order, from 1; 0 for the text."""
    says: str
    """One line; words of the article in it are not trusted."""


@dataclass
class Measured:
    """Measures of one article by their ids in `measures.MEASURES`."""

    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a measure has no value here."""
    findings: list[Finding] = field(default_factory=list)

    def share(self, measure: str, hits: Collection[int], of: int, says: str, why: str = "") -> None:
        """A share of figures, each hit a finding. hits: figures' numbers; why: the reason if `of` is 0."""
        if not of:
            self.missing[measure] = why or NO_FIGURE
            return
        self.values[measure] = len(hits) / of
        self.findings += [Finding(measure, n, says) for n in sorted(hits)[:FINDINGS]]

    def absent(self, why: str, *measures: str) -> None:
        """Say why these measures have no value."""
        self.missing.update(dict.fromkeys(measures, why))

    def add(self, other: Measured) -> None:
        """Take over another group of measures."""
        self.values |= other.values
        self.missing |= other.missing
        self.findings += other.findings


NO_FIGURE = "the article has no figure"
