"""limner evaluate: measure finished articles, have a model judge them, and measure the selector."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.agents.meter import Meter
from limner.errors import BadInput
from limner.surfaces.cli.options import MaxCost, MaxTokens, Model, ModelUrl, read_settings


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
    """Measure finished articles: places, pictures, words, text. --judge asks a model."""
    if not articles and not agreement:
        raise BadInput("No article is named. Give the folder that `limner compose` or `illustrate` made.")
    if against and not judge:
        raise BadInput("--against needs a judge: name a model with --judge.")
    if judge and not articles:
        raise BadInput("--judge grades articles, and none is named. --agreement takes its model from --model.")
    settings = read_settings({"model": model, "model_url": model_url})
    meter = Meter(budget=max_tokens, max_cost=max_cost)
    from limner.surfaces.cli.evaluate_work import hand_out, report  # slow to import, and a help text does without

    made = report(settings, meter, articles or [], judge, against, agreement, runs, sample, yes)
    hand_out(made, json_file, html_file)
