"""limner up, limner api: the services of one machine."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.observe import set_up_logging, set_up_tracing
from limner.settings import Settings
from limner.surfaces.cli import up as services
from limner.surfaces.cli.opened import jobs_settings
from limner.surfaces.cli.terminal import Terminal
from limner.tools.library import libraries
from limner.workflows.allowed import STARTER
from limner.workflows.context import build_context, open_library

Host = Annotated[str | None, typer.Option(help="Address; any but the loopback needs a token. [LIMNER_HOST]")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. [LIMNER_PORT]")]


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.command()(up)
    app.command()(api)


def up(host: Host = None, port: Port = None) -> None:
    """Run everything on this machine: API, studio, broker and a worker. Ctrl-C stops it."""
    _service(jobs_settings(host=host, port=port), "up")


def api(host: Host = None, port: Port = None) -> None:
    """Run only the HTTP API; workers run elsewhere."""
    _service(jobs_settings(host=host, port=port), "api")


def _service(settings: Settings, which: str) -> None:
    set_up_logging(settings)
    set_up_tracing(settings)
    if which == "up":
        _prepare_starter(settings)
        services.up(settings, typer.echo)
    else:
        services.api(settings, typer.echo)


def _prepare_starter(settings: Settings) -> None:
    """Read the starter library now, so that the first job does not wait for it."""
    if STARTER not in libraries(settings.home):
        with Terminal().counting("Reading the starter library") as count:
            open_library(build_context(settings, library=[]), None, count)
