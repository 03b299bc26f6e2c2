"""The work behind `limner library sync` and `export`: each function returns the lines to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from limner.settings import Settings
from limner.surfaces.cli.library_reports import MANY, counted, details, opened, opened_context
from limner.text import printable_path
from limner.tools import library as libraries
from limner.tools.library.folders import library_path


def costs(name: str, sources: Sequence[str]) -> Iterator[str]:
    """A line per archive that will be copied into the library: how much room that takes."""
    libraries.check_name(name)
    return libraries.costs(library_path(Settings().home, name), sources)


def sync(
    name: str, on_progress: Callable[[int, int], None] | None = None, dry_run: bool = False, drop_missing: bool = False
) -> list[str]:
    """Read all sources of a library again, or say what that would do."""
    context = opened_context()
    library = opened(context, name)
    report, lines = libraries.resync(
        library, on_progress, dry_run=dry_run, drop_missing=drop_missing, max_pixels=context.settings.max_pixels
    )
    would = " would be" if dry_run else ""
    done = f"{name}{would}: {counted(report) or 'nothing new'} ({len(library)} images{' now' if dry_run else ''})"
    return [done, *lines, *details(report)]


def export(
    name: str, folder: Path, form: str = "imagefolder", on_progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Export a library into a folder."""
    done = libraries.export(opened(opened_context(), name), folder, form, on_progress)
    marked = f", {done.marked} with words that a model wrote, which are marked" if done.marked else ""
    lines = [f"{printable_path(str(folder))}: {done.pictures} pictures of {name}, {done.size / 1e6:,.1f} MB{marked}"]
    lines += [f"left out: {line}" for line in done.missing[:MANY]]
    return [*lines, *([f"left out: {len(done.missing) - MANY} more"] if len(done.missing) > MANY else [])]
