"""One self-contained page of an evaluation: no script, no request, everything from articles escaped."""

from __future__ import annotations

from typing import Any

from limner.exports.page import styled
from limner.text import one_line, shorten, straight
from limner.tools.evaluation.measures import GROUPS, MEASURES, Explained
from limner.version import __version__
from limner.workflows.evaluate.report import Report, number, said, says

_BETTER = {"more": "More is better", "less": "Less is better", "": ""}
FINDINGS = 200  # of an article that the page shows; JSON has all


def to_html(report: Report) -> str:
    """The page."""
    means, count = report.means(), len(report.articles)
    groups = [
        {
            "title": title,
            "rows": [
                {
                    "value": said(means[name], one, count) if name in means else "–",
                    "why": "" if name in means else straight(report.missing(name)),
                    **_explained(one),
                }
                for name, one in measures.items()
            ],
        }
        for title, measures in GROUPS.items()
    ]
    return styled(
        "evaluation.html",
        count=count,
        version=__version__,
        notes=[one_line(note) for note in report.notes],
        left_out=[f"{one_line(name)}: {one_line(why)}" for name, why in report.left_out.items()],
        groups=groups if count else [],
        sections=[_clean(section._asdict()) for section in report.sections],
        articles=[_article(report, n) for n in range(count)],
    )


def _explained(one: Explained) -> dict[str, str]:
    return {
        "title": one.title,
        "what": one.what,
        "source": one.source,
        "limit": one.limit,
        "better": _BETTER[one.better],
    }


def _clean(value: Any) -> Any:
    """Text without control characters, at any depth."""
    if isinstance(value, str):
        return straight(value)
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value]


def _article(report: Report, n: int) -> dict[str, Any]:
    article = report.articles[n]
    values, found = article.measured.values, article.measured.findings
    return {
        "name": one_line(article.name),
        "title": shorten(one_line(article.title), 200) or "Untitled",
        "values": [(MEASURES[name].title, number(values[name], MEASURES[name])) for name in MEASURES if name in values],
        "missing": [(MEASURES[name].title, one_line(why)) for name, why in article.measured.missing.items()],
        "findings": [says(article, finding, many=False) for finding in found[:FINDINGS]],
        "more": max(0, len(found) - FINDINGS),
    }
