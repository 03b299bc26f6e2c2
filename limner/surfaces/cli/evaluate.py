"""limner evaluate: measure finished articles, have a model judge them, and measure the selector."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.agents.meter import Meter
from limner.errors import BadInput
from limner.surfaces.cli.options import MaxCost, MaxTokens, Model, ModelUrl, read_settings
from limner.surfaces.cli.terminal import Terminal
from limner.text import printable, printable_path

if TYPE_CHECKING:
    from limner.settings import Settings
    from limner.workflows.context import Context
    from limner.workflows.evaluate.report import Report

# What measures and asks is imported in the functions that need it: a help text does without.


def register(app: typer.Typer) -> None:
    """Add this command to limner's."""
    app.command()(evaluate)


def evaluate(
    articles: Annotated[
        list[str] | None, typer.Argument(metavar="ARTICLE...", help="Folders that limner made, or their article.json.")
    ] = None,
    judge: Annotated[
        str, typer.Option(metavar="MODEL", help="Have a model grade them by the paper's rubric; as LIMNER_MODEL.")
    ] = "",
    runs: Annotated[int, typer.Option(min=1, max=20, help="How often the judge is asked about each article.")] = 3,
    against: Annotated[
        str, typer.Option(metavar="ARTICLE", help="Have the judge compare one article with this one, in both orders.")
    ] = "",
    agreement: Annotated[
        str, typer.Option(metavar="DIR", help="Measure the selector on articles whose authors placed the images.")
    ] = "",
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --agreement: only so many articles.")
    ] = None,
    model: Model = None,
    model_url: ModelUrl = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask the model without asking you first.")] = False,
    json_file: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write all of it as JSON; - prints it.")
    ] = "",
    html_file: Annotated[str, typer.Option("--html", metavar="FILE", help="Write a page that explains it.")] = "",
) -> None:
    """Measure finished articles: places, pictures, words, text. Without --judge nothing is asked."""
    if not articles and not agreement:
        raise BadInput("No article is named. Give the folder that `limner compose` or `illustrate` made.")
    if against and not judge:
        raise BadInput("--against needs a judge: name a model with --judge.")
    if judge and not articles:
        raise BadInput("--judge grades articles, and none is named. --agreement takes its model from --model.")
    settings = read_settings({"model": model, "model_url": model_url})
    meter = Meter(budget=max_tokens, max_cost=max_cost)
    report = _report(settings, meter, articles or [], judge, against, agreement, runs, sample, yes)
    _hand_out(report, json_file, html_file)


def _report(
    settings: Settings,
    meter: Meter,
    articles: list[str],
    judge: str,
    against: str,
    agreement: str,
    runs: int,
    sample: int | None,
    yes: bool,
) -> Report:
    from limner.surfaces.cli.evaluate_asking import ask_agreement, ask_judge
    from limner.workflows.evaluate.evaluation import evaluate as measured
    from limner.workflows.evaluate.evaluation import read_all
    from limner.workflows.evaluate.report import Report

    given, left_out = read_all(articles) if articles else ([], {})
    sections, parts = [], dict[str, Any]()
    if judge:
        context = _context(settings.model_copy(update={"selector_model": judge}), meter)
        sections, parts = ask_judge(context, judge, given, against, runs, yes)
    if agreement:
        more, values = ask_agreement(_context(settings, meter), Path(agreement), sample, yes)
        sections, parts = [*sections, *more], parts | values
    with Terminal().counting("Measuring articles") as count:
        found = measured(given, _context(settings, meter), count)
    return Report(found, left_out, sections=sections, parts=parts)


def _context(settings: Settings, meter: Meter) -> Context:
    from limner.workflows.context import Context

    return Context(settings, [], {}, meter)


def _hand_out(report: Report, json_file: str, html_file: str) -> None:
    """Print or write the report; exit with 2 if an article was left out."""
    from limner.workflows.evaluate.page import to_html
    from limner.workflows.evaluate.report import table

    text = json.dumps(report.json(), ensure_ascii=True, indent=1)
    if json_file == "-":
        print(text)
    else:
        for line in table(report):
            print(printable(line))
    if json_file not in ("", "-"):
        _write(Path(json_file), text + "\n")
    if html_file:
        _write(Path(html_file), to_html(report))
    if report.left_out:
        for name, why in report.left_out.items():
            print(printable(f"limner: left out {name}: {why}"), file=sys.stderr)
        raise typer.Exit(2)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {printable_path(str(path))}.", file=sys.stderr)
