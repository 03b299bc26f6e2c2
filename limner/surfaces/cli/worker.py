"""limner worker: work on jobs. It imports nothing of the API, whose packages it would keep in memory."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.jobs import crash
from limner.jobs.worker.worker import Worker
from limner.observe import set_up_logging, set_up_tracing
from limner.surfaces.cli.opened import jobs_settings


def register(app: typer.Typer) -> None:
    """Add this command to limner's."""
    app.command()(worker)


def worker(
    concurrency: Annotated[
        int | None, typer.Option("-c", min=1, max=256, help="Jobs at once. [LIMNER_WORKERS]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing unless something fails.")] = False,
) -> None:
    """Work on jobs until stopped. SIGTERM stops each job at its next step; another worker continues it."""
    settings = jobs_settings()
    set_up_logging(settings)
    set_up_tracing(settings)
    crash.arm(settings.crash_at)
    made = Worker(settings, concurrency=concurrency)
    if not quiet:
        typer.echo(f"Working on {made.concurrency} jobs at a time. Ctrl-C stops each at its next step.")
    raise typer.Exit(made.run())
