"""limner stats: count people's decisions about the selector's choices."""

from __future__ import annotations

import json

import typer

from limner.jobs.history.agreement import Agreement, report
from limner.surfaces.cli.opened import AsJson, Owner, open_jobs

stats_app = typer.Typer(name="stats", help="Figures about your articles.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.add_typer(stats_app)


@stats_app.command("agreement")
def agreement(owner: Owner = None, as_json: AsJson = False) -> None:
    """Count how often people kept the selector's images in the articles that they changed or accepted."""

    def line(name: str, counts: Agreement) -> str:
        share = "no pick" if counts.agreement is None else f"{counts.agreement:.0%}"
        swapped = f"{counts.swapped} swapped ({counts.swapped_to_candidate} for another candidate)"
        rest = f"{counts.kept} kept, {swapped}, {counts.removed} removed; {counts.added} added"
        return f"{name:<52} {share:>7} of n = {counts.n}: {rest}"

    with open_jobs() as jobs:
        found = report(jobs.ledger, owner)
        if as_json:
            typer.echo(json.dumps(found.model_dump(), indent=1))
            return
        if not found.jobs:
            typer.echo("No article was changed or accepted yet: `limner revise accept JOB` accepts one as it is.")
            return
        for row in found.jobs:
            typer.echo(line(row.job, row))
        for name, counts in found.by.items():
            typer.echo(line(f"chosen by {name}", counts))
        typer.echo(line("all", found.total))
