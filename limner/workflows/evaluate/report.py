"""The report of an evaluation: measures per article, means with intervals, as a table of text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from limner.text import one_line, shorten
from limner.tools.evaluation.intervals import FEW, FEWEST, Mean, mean_of
from limner.tools.evaluation.measured import Finding, Measured
from limner.tools.evaluation.measures import GROUPS, MEASURES, Explained
from limner.version import __version__

SHOWN = 12  # findings that a terminal shows; JSON and HTML have all


@dataclass(frozen=True)
class Evaluated:
    """One article's measures."""

    name: str
    title: str
    language: str
    measured: Measured


class Section(NamedTuple):
    """A table beside the measures: a judge's scores, agreement with authors."""

    title: str
    lines: Sequence[str]
    """What it is, where it comes from, what was left out."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Report:
    """An evaluation of articles."""

    articles: Sequence[Evaluated]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why an article could not be read, by its name."""
    notes: Sequence[str] = ()
    """Notes on the whole evaluation, one line each."""
    sections: Sequence[Section] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)
    """The sections as JSON for programs: "judge", "against", "agreement"."""

    def means(self) -> dict[str, Mean]:
        """Per measure the mean over the articles that have it."""
        found = {
            name: mean_of([a.measured.values[name] for a in self.articles if name in a.measured.values])
            for name in MEASURES
        }
        return {name: mean for name, mean in found.items() if mean}

    def missing(self, measure: str) -> str:
        """Why no article has a measure; "" if that is not known."""
        reasons = dict.fromkeys(a.measured.missing[measure] for a in self.articles if measure in a.measured.missing)
        return "; ".join(list(reasons)[:3])

    def json(self) -> dict[str, Any]:
        """All of it, with what each measure means."""
        return {
            "limner": __version__,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "notes": [str(n) for n in self.notes],
            "left_out": dict(self.left_out),
            "articles": [_article(a) for a in self.articles],
            "means": {name: mean._asdict() for name, mean in self.means().items()},
            "measures": {name: one._asdict() for name, one in MEASURES.items()},
            **self.parts,
        }


def _article(one: Evaluated) -> dict[str, Any]:
    measured = asdict(one.measured)
    return {
        "name": one.name,
        "title": one.title,
        "language": one.language,
        "measures": measured["values"],
        "missing": measured["missing"],
        "findings": [f._asdict() for f in one.measured.findings],
    }


# --- words ---------------------------------------------------------------------------------------------------------


def table(report: Report) -> Iterator[str]:
    """The report for a terminal, line by line."""
    yield from report.notes
    if report.articles:
        yield from _measures(report)
    for section in report.sections:
        yield f"\n{section.title}"
        yield from (f"  {line}" for line in section.lines)
        widths = [max(map(len, column)) for column in zip(section.head, *section.rows, strict=True)]
        for row in (section.head, *section.rows):
            yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _measures(report: Report) -> Iterator[str]:
    means, count = report.means(), len(report.articles)
    yield f"Evaluated {_counted(count)}."
    for group, measures in GROUPS.items():
        yield f"\n{group}"
        for name, explained in measures.items():
            value = said(means[name], explained, count) if name in means else f"– {report.missing(name)}"
            yield f"  {explained.title:<34} {value}"
    found = [(a, f) for a in report.articles for f in a.measured.findings]
    if found:
        yield "\nTo look at"
    for article, finding in found[:SHOWN]:
        yield f"  {says(article, finding, many=count > 1)}"
    if len(found) > SHOWN:
        yield f"  and {len(found) - SHOWN} more: --json or --html has all"


def _counted(articles: int) -> str:
    counted = f"{articles} article{'s' * (articles != 1)}"
    if articles < FEWEST:
        return f"{counted}; without intervals, which take {FEWEST} articles"
    few = ", too narrow for so few" if articles < FEW else ""
    return f"{counted}; brackets: 95 % intervals over articles{few}"


def says(article: Evaluated, finding: Finding, *, many: bool) -> str:
    """A finding as one line."""
    where = f"figure {finding.figure}" if finding.figure else "the text"
    whose = f"{shorten(one_line(article.name), 60)}: " if many else ""
    return one_line(f"{whose}{where} {finding.says} ({MEASURES[finding.measure].title})")


def said(mean: Mean, explained: Explained, articles: int) -> str:
    """A mean in words, with its interval."""
    text = number(mean.mean, explained)
    if mean.low is not None and mean.high is not None:
        text += f"  [{number(mean.low, explained)}, {number(mean.high, explained)}]"
    return text if mean.n == articles else f"{text}  ({mean.n} of {articles} articles)"


def number(value: float, explained: Explained) -> str:
    """A value in two or three digits, or whole."""
    if explained.unit in ("share", "probability"):
        return f"{value:.2f}"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.1f}"
