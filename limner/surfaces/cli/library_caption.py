"""limner library caption: have a model that sees describe pictures without words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from limner.agents.meter import Meter
from limner.errors import BadInput, LimnerError
from limner.surfaces.cli.options import MaxTokens, Model, ModelUrl, read_settings
from limner.surfaces.cli.terminal import Terminal, leaving_at_once
from limner.text import printable_path
from limner.tools.library import Library, suggesting

if TYPE_CHECKING:
    from limner.workflows.captioning import Outcome, Plan
    from limner.workflows.context import Context

# What asks a model is imported in the functions that need it: a help text does without.

MANY = 20  # pictures left out that are named; the rest are counted


def library_caption(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    without: Annotated[
        str, typer.Option(metavar="FIELD", help="All that lack a caption or alt; default: of which nothing is said.")
    ] = "",
    language: Annotated[str | None, typer.Option(metavar="xx", help="Language; default: the library's.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many pictures.")] = None,
    model: Model = None,
    model_url: ModelUrl = None,
    max_tokens: MaxTokens = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask the model without asking you first.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also ask about pictures that it was asked in vain.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the machine-made words again.")] = False,
) -> None:
    """Have a model describe the pictures of which nothing is said. Its words are marked as machine-made."""
    from limner.workflows.context import Context

    settings = read_settings({"model": model, "model_url": model_url})
    context = Context(settings, [], {}, Meter(budget=max_tokens))
    library = Library.open(settings.home, name, context.encoders, connect=context.connect)
    if remove:
        print(f"{name}: machine-made words of {suggesting.withdraw(library)} pictures are deleted; other words stay.")
        return
    from limner.workflows import captioning

    plan = captioning.plan(context, library, without, language, limit, again=again)  # type: ignore[arg-type]
    if plan.lacking.images:
        _ask(context, library, plan, yes)
    else:
        print(f"{name}: no picture to ask about{_vain(plan)}.")


def _vain(plan: Plan) -> str:
    vain = plan.lacking.vain
    return f"; {vain} were asked about before in vain: --again, or another model, may do better" if vain else ""


def _ask(context: Context, library: Library, plan: Plan, yes: bool) -> None:
    """Say what it costs, ask the person, then the model."""
    from limner.workflows import captioning

    terminal = Terminal()
    terminal.say(plan.line(captioning.model_of(context), captioning.several(context)) + _vain(plan))
    if not yes and not (sys.stdin.isatty() and typer.confirm("Ask?", err=True)):
        raise BadInput("Nothing was asked. Give --yes to ask the model without a question.")
    captioning.check(context, plan.language)
    outcome = captioning.Outcome()
    with terminal.counting("Asking about pictures") as count:
        try:
            with leaving_at_once(terminal, lambda: f"Stopped. {_kept(outcome)}"):
                captioning.run(context, library, plan, count, outcome)
        except LimnerError as e:
            raise type(e)(f"{e} {_kept(outcome)}") from e
    for line in _report(library, outcome, context):
        print(line)


def _kept(outcome: Outcome) -> str:
    return f"{len(outcome.written)} captions of this run are kept; the same command goes on."


def _report(library: Library, outcome: Outcome, context: Context) -> list[str]:
    lines = [f"{len(outcome.written)} pictures of {library.name} have words now, marked as machine-made."]
    if outcome.written:
        name = library.name
        lines.append(f"Look through them: `limner library show {name}`. What you write with `edit` takes their place.")
    if outcome.vain:
        lines.append(f"{outcome.vain} were asked about before in vain: --again, or another model, may do better.")
    if outcome.left_out:
        reasons = ", ".join(f"{n} because {why}" for why, n in outcome.reasons.items())
        lines.append(f"{len(outcome.left_out)} left out: {reasons}.")
    lines += [f"left out: {printable_path(left.record.path)}: {left.why}" for left in outcome.left_out[:MANY]]
    if len(outcome.left_out) > MANY:
        lines.append(f"left out: {len(outcome.left_out) - MANY} more")
    usage = context.meter.roles.get("captioner")
    return [*lines, f"Tokens: {usage.total:,} in {usage.calls:,} calls."] if usage else lines
