"""limner backup, restore."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from limner.jobs import backup as backups
from limner.surfaces.cli.opened import jobs_settings


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; default: limner-DATE-TIME.tar.gz here.", dir_okay=False)
    ] = None,
) -> None:
    """Keep jobs, articles, owners, uploads and captions in one file. limner may go on running."""
    target = file or Path(time.strftime("limner-%Y%m%d-%H%M%S.tar.gz"))
    kept = backups.backup(jobs_settings(), target)
    typer.echo(f"{target}: {kept.jobs:,} jobs and {kept.files:,} files, {kept.size / 1e6:,.1f} MB. Keep it private.")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `limner backup` wrote.", exists=True, dir_okay=False)],
) -> None:
    """Bring a backup back, into an empty LIMNER_HOME and a database without jobs.

    Stop API and workers first.
    """
    kept = backups.restore(jobs_settings(), file)
    typer.echo(f"{kept.jobs:,} jobs and {kept.files:,} files are back. Jobs that ran go on from their last step.")
