"""limner evaluate: measure finished articles, and have a model judge them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.agents.meter import Meter
from limner.errors import BadInput, LimnerError
from limner.surfaces.cli.options import MaxTokens, ModelUrl, read_settings
from limner.surfaces.cli.terminal import Terminal, leaving_at_once
from limner.text import printable, printable_path

if TYPE_CHECKING:
    from limner.workflows.context import Context
    from limner.workflows.evaluate.reading import Given
    from limner.workflows.evaluate.report import Report, Section

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
    model_url: ModelUrl = None,
    runs: Annotated[int, typer.Option(min=1, max=20, help="How often the judge is asked about each article.")] = 3,
    against: Annotated[
        str, typer.Option(metavar="ARTICLE", help="Have the judge compare one article with this one, in both orders.")
    ] = "",
    max_tokens: MaxTokens = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask the model without asking you first.")] = False,
    json_file: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write all of it as JSON; - prints it.")
    ] = "",
    html_file: Annotated[str, typer.Option("--html", metavar="FILE", help="Write a page that explains it.")] = "",
) -> None:
    """Measure finished articles: places, pictures, words, text. Without --judge nothing is asked."""
    from limner.workflows.evaluate.evaluation import evaluate as measured
    from limner.workflows.evaluate.evaluation import read_all
    from limner.workflows.evaluate.report import Report

    if not articles:
        raise BadInput("No article is named. Give the folder that `limner compose` or `illustrate` made.")
    if against and not judge:
        raise BadInput("--against needs a judge: name a model with --judge.")
    settings = read_settings({"model_url": model_url})
    given, left_out = read_all(articles)
    sections: list[Section] = []
    parts: dict[str, Any] = {}
    if judge:
        from limner.workflows.context import Context

        context = Context(settings.model_copy(update={"selector_model": judge}), [], {}, Meter(budget=max_tokens))
        sections, parts = _judge(context, judge, given, against, runs, yes)
    with Terminal().counting("Measuring articles") as count:
        found = measured(given, settings, count)
    _hand_out(Report(found, left_out, sections=sections, parts=parts), json_file, html_file)


def _judge(
    context: Context, name: str, given: Sequence[Given], against: str, runs: int, yes: bool
) -> tuple[list[Section], dict[str, Any]]:
    """Say what it costs, ask the person, then the model."""
    from limner.workflows.captioning import several
    from limner.workflows.evaluate import judging
    from limner.workflows.evaluate.evaluation import read_all

    if against and len(given) != 1:
        raise BadInput(f"--against compares two articles, and {len(given)} are named. Name one article.")
    other = read_all([against])[0] if against else []
    if len(other) > 1:
        raise BadInput(f"--against compares two articles, and {against} holds {len(other)}. Name one of them.")
    terminal = Terminal()
    _agree(terminal, judging.cost(given, runs, *other).line(name, several(context)), yes)
    kept = "Answers so far are kept; the same command goes on."
    try:
        with leaving_at_once(terminal, lambda: f"Stopped. {kept}"):
            with terminal.counting("Asking the judge") as count:
                judged = judging.run(context, given, runs, count)
            sees = context.sees("selector")
            sections = [judging.section(judged, given, name, sees)]
            parts: dict[str, Any] = {"judge": judging.parts(judged, given, name, sees)}
            for one in other:
                with terminal.counting("Comparing") as count:
                    duel = judging.compare(context, given[0], one, runs, count)
                sections.append(judging.duel_section(duel, (given[0].name, one.name), name))
                parts["against"] = {"first": given[0].name, "second": one.name, "runs": duel.counts}
    except LimnerError as e:
        raise type(e)(f"{e} {kept}") from e
    usage = context.meter.roles.get("judge")
    terminal.say(f"Tokens: {usage.total:,} in {usage.calls:,} calls." if usage else "Every answer was known already.")
    return sections, parts


def _agree(terminal: Terminal, line: str, yes: bool) -> None:
    """Say the cost and ask. Raises BadInput unless the person says yes."""
    terminal.say(line)
    if not yes and not (sys.stdin.isatty() and typer.confirm("Ask?", err=True)):
        raise BadInput("Nothing was asked. Give --yes to ask the model without a question.")


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
