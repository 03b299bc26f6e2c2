"""Measure articles as their authors illustrated them, and as limner does, with `limner evaluate`. Prints a table.

    uv run bench/evaluate.py DIR [--sample N]

DIR is a folder with articles.jsonl, library.jsonl and images/ (docs/evaluate.md). limner gets the text without its
figures, the folder as its library, and `--images auto`; the model is that of the settings, by default none.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import limner
from limner.document import Article, Illustration
from limner.errors import LimnerError
from limner.exports import write_article
from limner.tools.evaluation.measures import GROUPS
from limner.workflows.context import Context, build_context
from limner.workflows.evaluate.evaluation import evaluate, read_all
from limner.workflows.evaluate.report import Report, said
from limner.workflows.evaluate.split import Placed, read_split


def main() -> int:
    """Make both kinds of articles, measure them, print the table; 2 for what the user can put right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--sample", type=int, default=12, help="so many articles, evenly spaced")
    given = parser.parse_args()
    try:
        articles = read_split(given.dir, given.sample)
        context = build_context(library=str(given.dir))
        with tempfile.TemporaryDirectory() as folder:
            ways = {
                "authors": [_authors(one, context) for one in articles],
                "limner": [limner.illustrate(one.article.source, library=str(given.dir)) for one in articles],
            }
            reports = {way: _measured(Path(folder) / way, made, context) for way, made in ways.items()}
    except LimnerError as error:
        print(f"bench/evaluate.py: {error}", file=sys.stderr)
        return 2
    print("\n".join(_table(given.dir.name, reports, len(articles))))
    return 0


def _authors(one: Placed, context: Context) -> Article:
    """The article with the figures that its authors placed; an image twice in one article stands once."""
    [library] = context.libraries
    figures, seen = [], set()
    for n, (after, image) in enumerate(one.figures):
        if image in seen:
            continue
        seen.add(image)
        r = library.record(image)
        words = {"caption": r.caption, "alt": r.alt, "credit": r.credit, "licence": r.licence}
        at: dict[str, Any] = {"after": after, "image_id": image, "library": library.name}
        figures.append(
            Illustration.model_validate({"id": f"f{n}", "width": r.width, "height": r.height, **at, **words})
        )
    return one.article.illustrated(figures)


def _measured(folder: Path, articles: Sequence[Article], context: Context) -> Report:
    folder.mkdir()
    for n, article in enumerate(articles):
        write_article(article, folder / f"{n}", context.image, ("md", "json"))
    given, left_out = read_all([folder])
    return Report(evaluate(given, context), left_out)


def _table(name: str, reports: dict[str, Report], articles: int) -> list[str]:
    when = f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = [f"{name}, {articles} articles; {when}", "", f"| measure | {' | '.join(reports)} |", "|---|---|---|"]
    means = {way: report.means() for way, report in reports.items()}
    for measures in GROUPS.values():
        for measure, explained in measures.items():
            cells = [said(m[measure], explained, articles) if measure in m else "–" for m in means.values()]
            if any(cell != "–" for cell in cells):
                lines.append(f"| {explained.title} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
