"""limner doctor: try every part of this installation."""

from __future__ import annotations

import typer

from limner.settings import Settings
from limner.surfaces.cli.checkup import checkup
from limner.surfaces.cli.options import Model, ModelUrl, read_settings


def register(app: typer.Typer) -> None:
    """Add this command to limner's."""
    app.command()(doctor)


def doctor(model: Model = None, model_url: ModelUrl = None) -> None:
    """Test every part: one line each, and how to correct what fails."""
    report(read_settings({"model": model, "model_url": model_url}))


def report(settings: Settings) -> None:
    """Print the result for each part. Raises typer.Exit if one fails."""
    failed = 0
    for check in checkup(settings):
        print(check)
        failed += not check.ok
    if failed:
        raise typer.Exit(2)
