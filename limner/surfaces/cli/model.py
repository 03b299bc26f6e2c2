"""limner model …: list, get, use, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.surfaces.cli import model_reports as reports
from limner.surfaces.cli.terminal import Terminal

model_app = typer.Typer(
    name="model", help="Models that this machine has, and the one in use: list, get, use, remove.", no_args_is_help=True
)
Name = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name of `limner model list`, or hf:OWNER/REPOSITORY[:FILE].")
]


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.add_typer(model_app)


@model_app.command("list")
def model_list() -> None:
    """List models that see, those that are here, and the one in use (*)."""
    for line in reports.listing():
        print(line)


@model_app.command("get")
def model_get(name: Name) -> None:
    """Download a model, checked; a stopped download goes on."""
    reports.get(reports.look_up(name), Terminal())
    print(f"{name} is here. Use it: limner model use {name}")


@model_app.command("use")
def model_use(
    name: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="As for get, or the path of a GGUF; with --url a name of that server; or default.",
        ),
    ],
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Server with the OpenAI Messages API that has the model.")
    ] = "",
    mmproj: Annotated[
        str, typer.Option(metavar="PATH|none", help="Projector of pictures, if not the one beside the GGUF.")
    ] = "",
) -> None:
    """Choose the model that limner uses. LIMNER_MODEL and LIMNER_MODEL_URL take precedence."""
    for line in reports.use(name, url, mmproj):
        print(line)


@model_app.command("remove")
def model_remove(name: Name) -> None:
    """Delete a downloaded model."""
    for line in reports.remove(name):
        print(line)
