"""The parts of `limner evaluate` that may ask a model: its cost first, then the judge, or the selector."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from limner.errors import BadInput, LimnerError
from limner.surfaces.cli.terminal import Terminal, leaving_at_once
from limner.text import dollars

if TYPE_CHECKING:
    from limner.workflows.context import Context
    from limner.workflows.evaluate.reading import Given
    from limner.workflows.evaluate.report import Section

# What asks a model is imported in the functions that need it: a help text does without.

Found = tuple["list[Section]", dict[str, Any]]
"""(tables, the same as JSON)."""
KEPT = "Answers so far are kept; the same command goes on."


def ask_judge(context: Context, name: str, given: Sequence[Given], against: str, runs: int, yes: bool) -> Found:
    """Have a judge grade the articles, and compare the one with another."""
    from limner.workflows.captioning import several
    from limner.workflows.evaluate import judging

    other = _other(given, against)
    terminal = Terminal()
    _agree(terminal, judging.cost(given, runs, *other).line(name, several(context)), yes)
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
    from limner.workflows.evaluate.evaluation import read_all

    other = read_all([against])[0] if against else []
    if other and len(given) != 1:
        raise BadInput(f"--against compares two articles, and {len(given)} are named. Name one article.")
    if len(other) > 1:
        raise BadInput(f"--against compares two articles, and {against} holds {len(other)}. Name one of them.")
    return other


def ask_agreement(context: Context, folder: Path, sample: int | None, yes: bool) -> Found:
    """Have the selector choose among candidates that hold the author's image."""
    from limner.workflows.captioning import several
    from limner.workflows.context import open_library
    from limner.workflows.evaluate import agreement
    from limner.workflows.evaluate.split import read_split

    articles, terminal = read_split(folder, sample), Terminal()
    with terminal.counting("Reading the image library") as count:
        context.libraries = [open_library(context, str(folder), count)]
    asked, judged = agreement.questions(context, articles), context.judges()
    if not asked.asked:
        raise BadInput(f"No figure of {len(articles)} articles can be asked about. Give a folder with more.")
    name = context.speaker("selector").name
    if judged:
        line = agreement.cost(context, asked.asked).line(name, several(context))
        _agree(terminal, f"{line} Twice as many where it is not sure.", yes)
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
