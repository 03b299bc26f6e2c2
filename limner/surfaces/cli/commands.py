"""The table of limner's commands, so that only the module of the requested one is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from limner.errors import NotInstalled

TABLE = {  # command: module, line in the help
    "sample": ("sample", "Illustrate a bundled draft with bundled photographs: what limner does, in seconds."),
    "setup": ("setup", "Get a model that sees: find one that runs here, or download one, and test it."),
    "compose": ("compose", "Write an article for a brief and illustrate it."),
    "illustrate": ("compose", "Add images to a finished text; the text stays as it is, byte for byte."),
    "evaluate": (
        "evaluate",
        "Measure finished articles: places, pictures, words, text. --judge asks a model.",
    ),
    "ask": ("ask", "Ask a model about a finished article and its pictures."),
    "export": ("compose", "Write a finished article in other formats."),
    "library": ("library", "Libraries of your own images."),
    "model": ("model", "Models that this machine has, and the one in use: list, get, use, remove."),
    "doctor": ("doctor", "Test every part: one line each, and how to correct what fails."),
    "up": ("services", "Run everything on this machine: API, studio, broker and a worker. Ctrl-C stops it."),
    "api": ("services", "Run only the HTTP API; workers run elsewhere."),
    "worker": (
        "worker",
        "Work on jobs until stopped. SIGTERM stops each job at its next step; another worker continues it.",
    ),
    "jobs": ("jobs", "Articles composed by workers: submit, watch, cancel, retry."),
    "token": ("tokens", "Manage the API's owners: tokens, libraries, limits."),
    "backup": ("backup", "Keep jobs, articles, owners, uploads and captions in one file. limner may go on running."),
    "restore": ("backup", "Bring a backup back, into an empty LIMNER_HOME and a database without jobs."),
    "mcp": ("mcp", "Serve limner's tools to an MCP client, by standard input and output or by HTTP."),
    "revise": ("revise", "Change a finished article; every step can be undone."),
    "stats": ("stats", "Figures about your articles."),
}
EXTRAS = {"mcp": "mcp"}  # extras of modules that need another than `jobs`


class _Imported(Mapping[str, Any]):
    """The commands by name, each imported on look-up."""

    def __getitem__(self, name: str) -> Any:
        module = TABLE[name][0]
        try:
            found = import_module(f"limner.surfaces.cli.{module}")
        except ModuleNotFoundError as e:
            if (e.name or "").partition(".")[0] == "limner":
                raise
            extra = EXTRAS.get(module, "jobs")
            raise NotInstalled(f"limner {name} needs {e.name}: pip install 'limner[{extra}]'.") from e
        part = typer.Typer()
        found.register(part)
        return get_group(part).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


COMMANDS = _Imported()


class Commands(TyperGroup):
    """`limner`, which lists its commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = COMMANDS  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(TABLE)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help of a group whose commands have only a name and a line."""
        shown = TyperGroup(
            name=self.name,
            params=self.params,
            help=self.help,
            rich_markup_mode=self.rich_markup_mode,
            commands={name: TyperCommand(name, help=line) for name, (_, line) in TABLE.items()},
        )
        shown.format_help(ctx, formatter)
