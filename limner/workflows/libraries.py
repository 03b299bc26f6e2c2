"""The shell's library commands: each does its work and returns the lines to print."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from limner.errors import BadInput, ImageUnreadable, LibraryError
from limner.settings import Settings
from limner.tools import library as libraries
from limner.tools.folder import printable
from limner.tools.library import Library, Report
from limner.workflows.context import Context

MANY = 20  # unreadable files named one by one; the rest are counted


def add(name: str, folders: Sequence[Path], on_progress: Callable[[int, int], None] | None = None) -> list[str]:
    """Index folders into a library, made if it is not there."""
    context = _context()
    library, report = libraries.index(
        context.settings.home,
        name,
        folders,
        context.encoders,
        on_progress,
        connect=context.connect,
        max_pixels=context.settings.max_pixels,
    )
    return [*_told(report), f"{name}: {len(library)} images. Try: limner library search {name} WORDS"]


def search(name: str, query: str, k: int, out: Path | None) -> list[str]:
    """The k best images for a query, as lines and as a contact sheet."""
    from limner.tools.export import contact_sheet
    from limner.tools.images import thumbnail
    from limner.workflows.run import printable as printable_text

    query = printable_text(query).strip()
    if not query:
        raise BadInput(f'Say what the images should show: limner library search {name} "harvest at dusk".')
    context = _context()
    library = _open(context, name)
    found = library.search([query], k)[0]
    rows, gone = [], []
    for candidate in found:
        try:
            data = library.image(candidate.image_id)
            rows.append((candidate, thumbnail(data, max_pixels=context.settings.max_pixels)))
        except (LibraryError, ImageUnreadable) as e:  # one file that has gone must not hide the others
            gone.append(str(e))
    sheet = out or Path(f"{name}-search.html")
    sheet.write_text(contact_sheet(query, rows), encoding="utf-8")
    lines = [f"{c.score:6.3f}  {_scores(c.scores)}  {c.image_id[:12]}  {printable(c.caption)[:100]}" for c in found]
    return [*lines, *gone, str(sheet)]


def listing() -> list[str]:
    """Every library, a line each."""
    context = _context()
    names = libraries.libraries(context.settings.home)
    if not names:
        return ["No library yet. Make one with: limner library add NAME FOLDER"]
    return [f"{name:<24} {_size(context, name)}" for name in names]


def _size(context: Context, name: str) -> str:
    try:
        return f"{len(_open(context, name)):>7} images"
    except LibraryError as e:  # one library that cannot be opened must not hide the others
        return str(e)


def show(name: str) -> list[str]:
    """What a library holds."""
    context = _context()
    library = _open(context, name)
    records = library.records()
    described = sum(r.described for r in records)
    licensed = sum(bool(r.licence) for r in records)
    lines = [
        f"{name}: {len(records)} images, {described} with a caption of their own, {licensed} with a licence",
        f"encoders: {', '.join(context.encoders.names.values())}",
    ]
    lines += [f"folder: {printable(f)}" for f in json.loads(library.meta("folders") or "[]")]
    lines += [f"{r.id[:12]}  {r.width}x{r.height}  {printable(r.path)}  {printable(r.caption)[:80]}" for r in records]
    return lines


def remove(name: str) -> str:
    """Forget a library; the image files are left alone."""
    context = _context()
    libraries.remove(context.settings.home, name, connect=context.connect)
    return f"{name} is removed. The image files are where they were."


def _context() -> Context:
    return Context(Settings(), [])


def _open(context: Context, name: str) -> Library:
    return Library.open(context.settings.home, name, context.encoders, connect=context.connect)


def _told(report: Report) -> list[str]:
    counts = {n: getattr(report, n) for n in ("added", "known", "renamed", "changed", "vanished")}
    lines = [", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing new"]
    for what, rows in (("unreadable", report.unreadable), ("caption unreadable", report.problems)):
        lines += [f"{what}: {printable(path)}: {reason}" for path, reason in rows[:MANY]]
        if len(rows) > MANY:
            lines.append(f"{what}: {len(rows) - MANY} more")
    return lines


def _scores(scores: dict[str, float]) -> str:
    return " ".join(f"{name} {score:.2f}" for name, score in sorted(scores.items()))
