"""limner sample: illustrate a bundled draft with bundled photographs."""

from __future__ import annotations

from pathlib import Path

import typer

from limner.exports import fresh_folder
from limner.surfaces.cli.compose import illustrate
from limner.surfaces.cli.options import Model, ModelUrl, Out, Quiet
from limner.tools.library.sample import DRAFT, NAME, TITLE


def register(app: typer.Typer) -> None:
    """Add this command to limner's."""
    app.command()(sample)


def sample(out: Out = None, model: Model = None, model_url: ModelUrl = None, quiet: Quiet = False) -> None:
    """Illustrate a bundled draft with bundled photographs: what limner does, in seconds."""
    folder = out or fresh_folder(Path.cwd(), TITLE)
    illustrate(DRAFT, library=[NAME], out=folder, model=model, model_url=model_url, quiet=quiet)
    if not quiet:
        print(f"Open it in a browser: {(folder / 'article.html').absolute().as_uri()}")
