"""The work behind `limner library sync` and `remove`: each function returns what to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from limner.errors import BadInput
from limner.settings import Settings
from limner.surfaces.cli import library_reports as reports
from limner.surfaces.cli.library_reports import MANY, counted, details, opened, opened_context
from limner.text import printable_path
from limner.tools import library as libraries
from limner.tools.library.folders import UNPACKED


def costs(name: str, sources: Sequence[str]) -> Iterator[str]:
    """A line per archive that will be copied into the library: how much room that takes."""
    libraries.check_name(name)
    return libraries.costs(libraries.library_path(Settings().home, name), sources)


def sync(
    name: str, on_progress: Callable[[int, int], None] | None = None, dry_run: bool = False, drop: Sequence[str] = ()
) -> tuple[list[str], str]:
    """Read all sources of a library again, or say what that would do; returns lines, and which sources could not be
    read, "" if all could."""
    context = opened_context()
    library = opened(context, name)
    report, lines = libraries.resync(
        library, on_progress, dry_run=dry_run, drop=drop, max_pixels=context.settings.max_pixels
    )
    would = " would be" if dry_run else ""
    done = f"{name}{would}: {counted(report) or 'nothing new'} ({len(library)} images{' now' if dry_run else ''})"
    return [done, *lines, *details(report)], _unread(name, report.broken)


def _unread(name: str, broken: Sequence[tuple[str, str]]) -> str:
    if not broken:
        return ""
    told = "; ".join(f"{path}: {reason.rstrip('.')}" for path, reason in broken)
    which, their = ("A source of", "its") if len(broken) == 1 else (f"{len(broken)} sources of", "their")
    return f"{which} {name} could not be read, and {their} pictures stay as they were: {told}."


def export(
    name: str, folder: Path, form: str = "imagefolder", on_progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Export a library into a folder."""
    done = libraries.export(opened(opened_context(), name), folder, form, on_progress)
    marked = f", {done.marked} with words that a model wrote, which are marked" if done.marked else ""
    lines = [f"{printable_path(str(folder))}: {done.pictures} pictures of {name}, {done.size / 1e6:,.1f} MB{marked}"]
    lines += [f"left out: {line}" for line in done.missing[:MANY]]
    return [*lines, *([f"left out: {len(done.missing) - MANY} more"] if len(done.missing) > MANY else [])]


def remove(name: str, captions_too: bool = False, copies_too: bool = False) -> str:
    """Remove a library; the image files stay, apart from its copies.

    Raises BadInput as `library_reports.remove` does, and if the library has the only copies of pictures, unless
    `copies_too`.
    """
    home = Settings().home
    libraries.check_name(name)
    copies = libraries.library_path(home, name) / UNPACKED
    if not copies_too and (lost := libraries.only_copies(home, name)):
        raise BadInput(
            f"{', '.join(map(printable_path, lost))}: not there any more, and {name} has the only copies of the "
            f"pictures. Save {printable_path(str(copies))}, then remove the library with --copies-too."
        )
    copied = copies.is_dir()
    said = reports.remove(name, captions_too=captions_too)
    return f"{name} is removed, and its copies of archives' pictures. Other image files stay." if copied else said
