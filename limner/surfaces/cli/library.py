"""limner library …: add, sync, search, list, show, edit, caption, captions, reencode, export, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limner.errors import BadInput
from limner.surfaces.cli import library_reports as reports
from limner.surfaces.cli import library_sources
from limner.surfaces.cli.library_caption import library_caption
from limner.surfaces.cli.library_reencode import library_reencode
from limner.surfaces.cli.library_search import library_search
from limner.surfaces.cli.options import Only
from limner.surfaces.cli.terminal import Terminal

library_app = typer.Typer(name="library", help="Libraries of your own images.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    library_app.command("caption")(library_caption)
    library_app.command("reencode")(library_reencode)
    library_app.command("search")(library_search)
    app.add_typer(library_app)


@library_app.command("add")
def library_add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, .zip, .tar, .tar.gz, .parquet, or tables that name files. Left out, those that it has.",
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Search by what the pictures show: siglip2 (downloaded if needed), siglip2-small, clip, or a folder. "
            "Captions in many languages: multilingual-e5-small, or a folder.",
        ),
    ] = "",
    read_text: Annotated[
        bool | None,
        typer.Option(
            "--read-text/--no-read-text",
            help="Read the text in the pictures, from now on, and search its words; needs limner[ocr].",
        ),
    ] = None,
) -> None:
    """Read images into a library; run it again when they have changed."""
    terminal = Terminal()
    for line in library_sources.costs(name, sources or []):
        terminal.say(line)
    if encoder:
        encoder = reports.fetch(encoder, terminal)
    with terminal.counting(f"Reading into {name}") as count:
        lines = reports.add(name, sources or [], count, encoder, read_text)
    for line in lines:
        print(line)


@library_app.command("sync")
def library_sync(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    drop_missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Drop the pictures of a source, or of a folder in one, that is away or empty; repeatable.",
        ),
    ] = None,
) -> None:
    """Read all sources of a library again: add what is new, drop what is gone."""
    with Terminal().counting(f"Reading into {name}") as count:
        lines, unread = library_sources.sync(name, count, dry_run, drop_missing or [])
    for line in lines:
        print(line)
    if unread:
        raise BadInput(unread)


@library_app.command("list")
def library_list() -> None:
    """List the libraries."""
    for line in reports.listing():
        print(line)


@library_app.command("show")
def library_show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    without: Annotated[
        str, typer.Option(metavar="FIELD", help="Only images that lack it: caption, alt, credit, licence.")
    ] = "",
    only: Only = None,
) -> None:
    """Show a library: folders, images, captions, facts, encoders."""
    for line in reports.show(name, without, only or []):
        print(line)


@library_app.command("edit")
def library_edit(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    image: Annotated[
        str | None, typer.Argument(metavar="IMAGE", help="Its id, a prefix of it, or its file's name.")
    ] = None,
    caption: Annotated[str | None, typer.Option(help="What it shows.")] = None,
    alt: Annotated[str | None, typer.Option(help="Alternative text.")] = None,
    credit: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    licence: Annotated[str | None, typer.Option(help="Its licence.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Return to the folder's values.")] = False,
    given: Annotated[
        Path | None, typer.Option("--from", metavar="FILE.jsonl", help="Many at once, from `library captions`.")
    ] = None,
) -> None:
    """Write captions, credits and licences. They override the folder's, also when it is read again."""
    words = {"caption": caption, "alt": alt, "credit": credit, "licence": licence}
    for line in reports.edit(name, image, {n: v for n, v in words.items() if v is not None}, reset, given):
        print(line)


@library_app.command("captions")
def library_captions(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    out: Annotated[Path, typer.Argument(metavar="FILE.jsonl")],
) -> None:
    """Save the captions that people wrote, for `limner library edit NAME --from FILE.jsonl`."""
    print(reports.save_captions(name, out))


@library_app.command("export")
def library_export(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New, empty, or of a former export.")],
    form: Annotated[
        str, typer.Option("--format", help="imagefolder (pictures and metadata.jsonl), csv or webdataset.")
    ] = "imagefolder",
) -> None:
    """Write all pictures with their words and facts into a folder that other programs, and limner, read."""
    with Terminal().counting(f"Exporting {name}") as count:
        lines = library_sources.export(name, folder, form, count)
    for line in lines:
        print(line)


@library_app.command("remove")
def library_remove(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    captions_too: Annotated[
        bool, typer.Option("--captions-too", help="Also delete captions of people and models.")
    ] = False,
    copies_too: Annotated[
        bool, typer.Option("--copies-too", help="Also delete the pictures of archives that are not there any more.")
    ] = False,
) -> None:
    """Remove a library. The image files stay, apart from its copies of archives' pictures."""
    print(library_sources.remove(name, captions_too, copies_too))
