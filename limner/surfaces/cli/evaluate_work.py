"""The work of `limner evaluate`: measure articles, and ask a judge or the selector after their cost was said."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from limner.agents.meter import Meter
from limner.errors import BadInput, LimnerError
from limner.settings import Settings
from limner.surfaces.cli.terminal import Terminal, leaving_at_once
from limner.text import dollars, printable_path, straight
from limner.workflows.context import Context, open_library
from limner.workflows.evaluate import agreement, judging
from limner.workflows.evaluate.evaluation import evaluate, read_all
from limner.workflows.evaluate.page import to_html
from limner.workflows.evaluate.parallel import at_once
from limner.workflows.evaluate.reading import Given
from limner.workflows.evaluate.report import Report, Section, table
from limner.workflows.evaluate.split import read_split

Found = tuple[list[Section], dict[str, Any]]
"""(tables, the same as JSON)."""
KEPT = "Answers so far are kept; the same command goes on."


def report(
    settings: Settings,
    meter: Meter,
    articles: list[str],
    judge: str,
    against: str,
    folder: str,
    runs: int,
    sample: int | None,
    yes: bool,
) -> Report:
    """What was asked for: articles measured, judged, compared; the selector measured."""
    given, left_out = read_all(articles) if articles else ([], {})
    sections, parts = [], dict[str, Any]()
    if judge:
        context = _context(settings.model_copy(update={"selector_model": judge}), meter)
        sections, parts = _judged(context, judge, given, against, runs, yes)
    if folder:
        more, values = _agreed(_context(settings, meter), Path(folder), sample, yes)
        sections, parts = [*sections, *more], parts | values
    with Terminal().counting("Measuring articles") as count:
        found = evaluate(given, _context(settings, meter), count)
    return Report(found, left_out, sections=sections, parts=parts)


def _context(settings: Settings, meter: Meter) -> Context:
    return Context(settings, [], {}, meter)


def hand_out(made: Report, json_file: str, html_file: str) -> None:
    """Print or write the report; exit with 2 if an article was left out."""
    text = json.dumps(made.json(), ensure_ascii=True, indent=1)
    if json_file == "-":
        print(text)
    else:
        for line in table(made):
            print(straight(line))
    if json_file not in ("", "-"):
        _write(Path(json_file), text + "\n")
    if html_file:
        _write(Path(html_file), to_html(made))
    if made.left_out:
        for name, why in made.left_out.items():
            print(straight(f"limner: left out {name}: {why}"), file=sys.stderr)
        raise typer.Exit(2)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {printable_path(str(path))}.", file=sys.stderr)


def _judged(context: Context, name: str, given: Sequence[Given], against: str, runs: int, yes: bool) -> Found:
    """Have a judge grade the articles, and compare the one with another."""
    other = _other(given, against)
    terminal = Terminal()
    _agree(terminal, judging.cost(given, runs, *other).line(name, at_once(context)), yes)
    with _asking(terminal, context, "judge"):
        with terminal.counting("Asking the judge") as count:
            judged = judging.run(context, given, runs, count)
        sees = context.sees("selector")
        sections = judging.sections(judged, given, name, sees)
        parts: dict[str, Any] = {"judge": judging.parts(judged, given, name, sees)}
        for one in other:
            with terminal.counting("Comparing") as count:
                duel = judging.compare(context, given[0], one, runs, count)
            sections.append(judging.duel_section(duel, (given[0].name, one.name), name))
            parts["against"] = {"first": given[0].name, "second": one.name, "runs": duel.counts}
    return sections, parts


def _other(given: Sequence[Given], against: str) -> list[Given]:
    """The article to compare with, in a list; empty without one. Raises BadInput."""
    other = read_all([against])[0] if against else []
    if other and len(given) != 1:
        raise BadInput(f"--against compares two articles, and {len(given)} are named. Name one article.")
    if len(other) > 1:
        raise BadInput(f"--against compares two articles, and {against} holds {len(other)}. Name one of them.")
    return other


def _agreed(context: Context, folder: Path, sample: int | None, yes: bool) -> Found:
    """Have the selector choose among candidates that hold the author's image."""
    articles, terminal = read_split(folder, sample), Terminal()
    with terminal.counting("Reading the image library") as count:
        context.libraries = [open_library(context, str(folder), count)]
    asked, judged = agreement.questions(context, articles), context.judges()
    if not asked.asked:
        raise BadInput(f"No figure of {len(articles)} articles can be asked about. Give a folder with more.")
    name = context.selector_name()
    if judged:
        line = agreement.cost(context, asked.asked).line(name, at_once(context))
        _agree(terminal, line if context.reranks else f"{line} Twice as many where it is not sure.", yes)
    with _asking(terminal, context, "selector" if judged else ""), terminal.counting("Choosing images") as count:
        found = agreement.figures(asked.asked, agreement.run(context, asked.asked, count), judged)
    selector = name if judged else "similarity"
    section = agreement.section(found, asked, len(articles), selector)
    return [section], {"agreement": {"folder": str(folder), **agreement.parts(found, asked, selector)}}


def _agree(terminal: Terminal, line: str, yes: bool) -> None:
    """Say the cost and ask. Raises BadInput unless the person says yes."""
    terminal.say(line)
    if not yes and not (sys.stdin.isatty() and typer.confirm("Ask?", err=True)):
        raise BadInput("Nothing was asked. Give --yes to ask the model without a question.")


@contextmanager
def _asking(terminal: Terminal, context: Context, role: str) -> Iterator[None]:
    """While a model is asked: Ctrl-C and errors say that answers are kept; at the end, the tokens."""
    try:
        with leaving_at_once(terminal, lambda: f"Stopped. {KEPT}"):
            yield
    except LimnerError as e:
        raise type(e)(f"{e} {KEPT}") from e
    usage = context.meter.roles.get(role)  # type: ignore[call-overload]
    if usage:
        money = f", {dollars(usage.cost)}" if usage.cost else ""
        terminal.say(f"Tokens: {usage.total:,} in {usage.calls:,} calls{money}.")
    elif role:
        terminal.say("Every answer was known already.")
