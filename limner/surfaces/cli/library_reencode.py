"""limner library reencode: another encoder for a library, while it is searched by the one that it has."""

from __future__ import annotations

from typing import Annotated

import typer

from limner.errors import BadInput
from limner.surfaces.cli import library_reports as reports
from limner.surfaces.cli.terminal import Stopped, Terminal
from limner.text import printable_path
from limner.tools import library as libraries
from limner.tools.encoders import kind_of, with_own
from limner.tools.library import reencoding
from limner.tools.library.beside import Done
from limner.tools.library.folders import missing
from limner.tools.library.library import Library
from limner.tools.library.reencoding import Reencoding
from limner.tools.store import PATIENCE


def library_reencode(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    encoder: Annotated[
        str, typer.Option(metavar="MODEL", help="As for `library add`. Left out, that of an unfinished run.")
    ] = "",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Let pictures whose files are away be found by their words alone.")
    ] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Drop what an unfinished run has made.")] = False,
) -> None:
    """Give a library another encoder. It is searched as before until all is encoded; stop and go on at any time."""
    terminal = Terminal()
    context = reports.opened_context()
    home, connect = context.settings.home, context.connect
    libraries.check_name(name)
    if name not in libraries.libraries(home):
        raise missing(home, name)
    library = Library(home, name, context.encoders, connect, PATIENCE)
    library.check_format()
    library.complete()
    if abandon:
        half = reencoding.abandon(library)
        print(f"{name}: the half-made vectors of {half.named} are deleted." if half else f"{name}: nothing to abandon.")
        return
    encoder = reports.fetch(encoder or _unfinished(library), terminal)
    kind = kind_of(encoder)
    encoders = with_own(context.encoders, {**libraries.own_encoders(home, name), kind: encoder}, home)
    for line in _run(Reencoding(home, name, encoders, (kind, encoder), connect=connect), skip_missing, terminal):
        print(line)


def _unfinished(library: Library) -> str:
    """The encoder of an unfinished run. Raises BadInput if there is none."""
    half = reencoding.half_made(library)
    if half is None:
        raise BadInput(f"Name the new encoder: limner library reencode {library.name} --encoder multilingual-e5-small.")
    return half[0].named


def _run(reencode: Reencoding, skip_missing: bool, terminal: Terminal) -> list[str]:
    """Say what it takes, do it, and say what was done."""
    name = reencode.library.name
    waits = f"Another limner is writing {name}: waiting for its end."
    if not reencode.is_done:
        terminal.say(_costs(reencode))
    try:
        with terminal.counting(f"Encoding {name}") as count:
            done = reencode.run(count, lambda: terminal.say(waits), skip=skip_missing)
    except KeyboardInterrupt as stop:
        line = f"Stopped. {name} is searched as before. To go on: limner library reencode {name}"
        raise Stopped(line) from stop
    return _report(reencode, done)


def _costs(reencode: Reencoding) -> str:
    """The work, and the room that it takes."""
    costs, name = reencode.costs(), reencode.library.name
    left = f", {costs.done} of them by an earlier run" if costs.done else ""
    room = f"about {costs.needed / 1e6:,.1f} MB of disk beside the present vectors, which are deleted at the end"
    room = f"{room} ({costs.free / 1e6:,.0f} MB are free)" if costs.needed else "a second collection on the server"
    return f"{name}: {costs.images} images to encode by {reencode.named}{left}. It takes {room}."


def _report(reencode: Reencoding, done: Done) -> list[str]:
    """A line on what was done, and those that need a look."""
    name, encoder = reencode.library.name, reencode.named
    dropped = f" Half-made vectors of {done.dropped} are deleted." if done.dropped else ""
    if reencode.is_done:
        return [f"{name} has {encoder} already: nothing to do.{dropped}"]
    earlier = f", {done.images - done.encoded} by an earlier run" if done.images > done.encoded else ""
    lines = [f"{name}: {done.images} images are searched by {encoder} now ({done.encoded} encoded{earlier}).{dropped}"]
    lines += [f"found by its words alone: {printable_path(path)}" for path in done.without[: reports.MANY]]
    more = len(done.without) - reports.MANY
    return [*lines, f"found by their words alone: {more} more"] if more > 0 else lines
