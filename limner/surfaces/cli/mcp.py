"""`limner mcp`: limner for MCP clients."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.errors import NotInstalled
from limner.settings import Settings
from limner.surfaces.mcp import serve_stdio

if TYPE_CHECKING:
    from limner.jobs.service import Jobs


def register(app: typer.Typer) -> None:
    """Add the command to limner's."""
    app.command()(mcp)


def mcp(
    library: Annotated[
        list[str] | None,
        typer.Option("--library", "-l", metavar="DIR|NAME", help="Image library; may be repeated."),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve by HTTP at /mcp instead of standard input.")] = False,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="With --http. [LIMNER_HOST]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="With --http. [LIMNER_PORT]")] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Leave composing to the workers of `limner up`.")] = False,
) -> None:
    """Serve limner's tools to an MCP client, by standard input and output or by HTTP."""
    given: dict[str, Any] = {k: v for k, v in {"host": host, "port": port}.items() if v is not None}
    settings = Settings(**given)
    if http:
        from limner.surfaces.mcp_http import serve_http  # needs another extra

        serve_http(settings, lambda line: print(line, file=sys.stderr, flush=True), library, leave_to_workers=jobs)
        return
    opened = _ledger(settings, needed=jobs)
    try:
        serve_stdio(settings, library, opened, leave_to_workers=jobs)
    finally:
        if opened is not None:
            opened.close()


def _ledger(settings: Settings, *, needed: bool) -> Jobs | None:
    """The installation's jobs, which keep the history of articles; None where their extra is not installed."""
    try:
        from limner.jobs.service import Jobs  # needs another extra
    except ModuleNotFoundError as e:
        if needed:
            raise NotInstalled(f"Jobs need {e.name}: pip install 'limner[jobs]'.") from e
        return None
    return Jobs(settings)
