"""limner library search: by words, by example pictures, away from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from limner.document import Brief, Candidate
from limner.errors import BadInput, ImageUnreadable, LibraryError
from limner.surfaces.cli.library_reports import mark, opened, opened_context
from limner.surfaces.cli.options import Only
from limner.text import one_line, printable
from limner.tools.images.images import thumbnail
from limner.tools.look import Look, look, named
from limner.tools.retrieve import remarks

COPIES = 8
"""Copies of an image that its line names."""


def library_search(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    query: Annotated[list[str] | None, typer.Argument(metavar="QUERY", help="What they should show.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many to show.")] = 12,
    only: Only = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE",
            help="Like this image of the library, or this file; may be repeated.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(metavar="IMAGE", help="Unlike this image of the library; may be repeated.")
    ] = None,
    diverse: Annotated[bool, typer.Option("--diverse", help="No look-alikes: as varied as the library is.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Contact sheet; default NAME-search.html.")] = None,
) -> None:
    """Find images by what they should show; writes a contact sheet with thumbnails."""
    wanted = Look(words=printable(" ".join(query or [])).strip(), diverse=diverse)
    for line in search(name, wanted, k, out, only or [], like or [], unlike or []):
        print(line)


def search(
    name: str,
    wanted: Look,
    k: int,
    out: Path | None,
    only: Sequence[str] = (),
    like: Sequence[str] = (),
    unlike: Sequence[str] = (),
) -> list[str]:
    """The k images of a library that fit best and pass the filters `only`, as lines and as a contact sheet."""
    from limner.exports import contact_sheet  # brings the formats along, which a list does without

    if not wanted.words and not like:
        raise BadInput(f'Say what the images should show: limner library search {name} "harvest at dusk".')
    context = opened_context()
    library = opened(context, name)
    pixels = context.settings.max_pixels
    limit, used = context.limits(Brief(text=wanted.words, only=tuple(only)))
    wanted = replace(named([library], like, unlike), words=wanted.words, diverse=wanted.diverse)
    found, notes = look([library], wanted, k, limit, used or (), max_pixels=pixels)
    rows, gone = [], []
    for candidate in found:
        try:
            rows.append((candidate, thumbnail(library.image(candidate.image_id), max_pixels=pixels)))
        except (LibraryError, ImageUnreadable) as e:  # a missing file must not hide the others
            gone.append(str(e))
    sheet = out or Path(f"{name}-search.html")
    title = " ".join([wanted.words, *(f"like {ref}" for ref in like), *(f"unlike {ref}" for ref in unlike)]).strip()
    sheet.write_text(contact_sheet(title, rows), encoding="utf-8")
    lines = [line for c in found for line in (_line(c, wanted), *_copies(c))]
    return [*lines, *gone, *notes, *remarks([library], limit, used), str(sheet)]


def _line(c: Candidate, wanted: Look) -> str:
    return f"{c.score:6.3f}  {_scores(c, wanted)}  {c.image_id[:12]}  {one_line(c.caption)[:100]}{mark(c.machine_made)}"


def _copies(candidate: Candidate) -> list[str]:
    """A line on an image's copies, if it has some."""
    ids = ", ".join(image[:12] for image in candidate.copies[:COPIES])
    more = f" and {len(candidate.copies) - COPIES} more" if len(candidate.copies) > COPIES else ""
    return [f"        copies of it: {ids}{more}"] if ids else []


def _scores(candidate: Candidate, wanted: Look) -> str:
    """Raw scores; of a search by examples, whose raw scores say little, deviations above chance."""
    if wanted.by_examples and candidate.fits:
        return f"{_listed(candidate.fits)} above chance"
    return _listed(candidate.scores)


def _listed(scores: Mapping[str, float]) -> str:
    return " ".join(f"{name} {score:.2f}" for name, score in sorted(scores.items()))
