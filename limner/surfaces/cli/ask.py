"""limner ask: questions about a finished article and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.agents.meter import Meter
from limner.surfaces.cli.options import MaxCost, MaxTokens, Model, ModelUrl, read_settings
from limner.text import dollars, one_line, printable


def register(app: typer.Typer) -> None:
    """Add this command to limner's."""
    app.command()(ask)


def ask(
    article: Annotated[str, typer.Argument(metavar="ARTICLE", help="Folder that limner made, or its article.json.")],
    question: Annotated[list[str], typer.Argument(metavar="QUESTION", help="In your language.")],
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="N|FILE",
            help="Ask about this picture: its number in the article, or a file; may be repeated.",
        ),
    ] = None,
    model: Model = None,
    model_url: ModelUrl = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Ask a model about a finished article and its pictures."""
    from limner.workflows.ask import ask as answered  # slow to import, and a help text does without
    from limner.workflows.context import Context
    from limner.workflows.evaluate.reading import read_one

    given = read_one(article)
    settings, meter = read_settings({"model": model, "model_url": model_url}), Meter(max_tokens, max_cost)
    images = [int(one[:6]) if one.isascii() and one.isdigit() else Path(one) for one in image or []]
    answer = answered(Context(settings, [], {}, meter), " ".join(question), given.article, images, given.data)
    if as_json:
        print(answer.model_dump_json(indent=1))
        return
    print(printable(answer.text))
    for cited in answer.blocks:
        print(f"[{cited.block}] {one_line(cited.quote)}".rstrip())
    for note in answer.notes:
        typer.echo(f"Note: {one_line(note)}", err=True)
    pictures = f", saw picture {', '.join(str(p.number) for p in answer.pictures)}" if answer.pictures else ""
    cost = f", {dollars(meter.cost)}" if meter.cost else ""
    typer.echo(f"({meter.total:,} tokens{cost}{pictures})", err=True)
