"""limner token: owners of jobs, their tokens, libraries and limits."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.surfaces.cli.opened import open_jobs
from limner.text import dollars

token_app = typer.Typer(name="token", help="Manage the API's owners: tokens, libraries, limits.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.add_typer(token_app)


@token_app.command("add")
def token_add(
    owner: Annotated[str, typer.Argument(metavar="OWNER")],
    library: Annotated[list[str] | None, typer.Option("--library", "-l", help="May use it; may be repeated.")] = None,
    all_libraries: Annotated[bool, typer.Option("--all-libraries")] = False,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Make a token for an owner. It is shown once and cannot be shown again."""
    with open_jobs() as jobs:
        typer.echo(jobs.owners.add_token(owner, label, None if all_libraries else library or []))


@token_app.command("list")
def token_list() -> None:
    """Owners, their tokens and limits."""
    with open_jobs() as jobs:
        for owner, count in jobs.owners.list():
            libraries = "all libraries" if owner.libraries is None else ", ".join(("starter", *owner.libraries))
            limits = {
                "jobs at a time": owner.jobs_at_a_time,
                "jobs a minute": owner.jobs_a_minute,
                "tokens a day": owner.tokens_a_day,
            }
            shown = [f"{n} {what}" for what, n in limits.items() if n is not None]
            shown += [] if owner.dollars_a_day is None else [f"{dollars(owner.dollars_a_day)} a day"]
            typer.echo(f"{owner.name}: {count} tokens; {libraries}{'; ' if shown else ''}{', '.join(shown)}")


@token_app.command("limit")
def token_limit(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help='"local" is the owner without a token.')],
    jobs_at_a_time: Annotated[int | None, typer.Option(min=0, help="Jobs running at once; 0 means no limit.")] = None,
    jobs_a_minute: Annotated[int | None, typer.Option(min=0, help="Jobs submitted; 0 means no limit.")] = None,
    tokens_a_day: Annotated[int | None, typer.Option(min=0, help="Tokens of the model; 0 means no limit.")] = None,
    dollars_a_day: Annotated[float | None, typer.Option(min=0, help="US dollars; 0 means no limit.")] = None,
    library: Annotated[list[str] | None, typer.Option("--library", "-l", help="These and the starter.")] = None,
    all_libraries: Annotated[bool, typer.Option("--all-libraries")] = False,
) -> None:
    """Set the limits and libraries of an owner."""
    with open_jobs() as jobs:
        jobs.owners.limit(
            owner,
            libraries=library,
            all_libraries=all_libraries,
            jobs_at_a_time=jobs_at_a_time,
            jobs_a_minute=jobs_a_minute,
            tokens_a_day=tokens_a_day,
            dollars_a_day=dollars_a_day,
        )
    token_list()


@token_app.command("remove")
def token_remove(owner: Annotated[str, typer.Argument(metavar="OWNER")]) -> None:
    """Revoke all tokens of an owner; the jobs stay."""
    with open_jobs() as jobs:
        typer.echo(f"{jobs.owners.remove_tokens(owner)} tokens of {owner} are revoked.")
