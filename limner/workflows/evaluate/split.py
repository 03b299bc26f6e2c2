"""Read articles whose authors placed the figures: a folder with articles.jsonl, library.jsonl and images/.

The layout is that of limner's benchmarks: a line of articles.jsonl has `title` and `blocks` ({"kind": "heading",
"paragraph" or "figure"}, with `text` or `image`); library.jsonl has `id`, `file`, `caption` and `alt`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from limner.document import Article, Heading, Paragraph
from limner.errors import BadInput
from limner.exports.names import refuse_outside
from limner.text import one_line, printable_path, shorten
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library.sources import image_identity

LARGEST = 500_000_000  # bytes of a table


class Placed(NamedTuple):
    """An article without its figures, and where they stood."""

    name: str
    article: Article
    figures: Sequence[tuple[str, str]]
    """(id of the paragraph before it, limner's id of the image), in reading order; none before the first paragraph."""


def read_split(folder: Path, sample: int | None = None) -> list[Placed]:
    """The folder's articles; sample: so many of them, evenly spaced. Raises BadInput."""
    ids = _images(folder)
    rows = list(_rows(folder / "articles.jsonl"))
    if sample is not None and sample < len(rows):
        rows = [rows[n * len(rows) // sample] for n in range(sample)]
    return [_placed(row, ids, where) for where, row in rows]


def _images(folder: Path) -> dict[str, str]:
    """The folder's ids of images -> limner's."""
    found: dict[str, str] = {}
    for where, row in _rows(folder / "library.jsonl"):
        name, file = row.get("id"), row.get("file")
        if not isinstance(name, str) or not isinstance(file, str):
            raise BadInput(f"{where}: an image needs id and file, as text.")
        refuse_outside(file)
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise BadInput(f"{where}: {shorten(one_line(file), 80)!r} is a link out of the folder.")
        try:
            found[name] = image_identity(path.read_bytes())
        except OSError as e:
            raise BadInput(f"{where}: {shorten(one_line(file), 80)!r} cannot be read ({e.strerror}).") from e
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place for messages, object) per line. Raises BadInput."""
    shown = printable_path(str(path))
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{shown} has more than {LARGEST:,} bytes.")
        lines = path.read_bytes().split(b"\n")
    except OSError as e:
        raise BadInput(f"{shown} cannot be read ({e.strerror}). Give a folder as docs/evaluate.md describes it.") from e
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise BadInput(f"{shown}, line {n}: this is not JSON.") from e
        if not isinstance(row, dict):
            raise BadInput(f"{shown}, line {n}: this is no object.")
        yield f"{shown}, line {n}", row


def _placed(row: dict[str, Any], ids: dict[str, str], where: str) -> Placed:
    body: list[Heading | Paragraph] = []
    figures: list[tuple[str, str]] = []
    last = ""
    blocks = row.get("blocks")
    for block in blocks if isinstance(blocks, list) else [None]:
        kind = block.get("kind") if isinstance(block, dict) else None
        text, image = (block.get("text"), block.get("image")) if isinstance(block, dict) else (None, None)
        if kind == "figure" and isinstance(image, str) and image in ids:
            figures += [(last, ids[image])] if last else []
        elif kind == "heading" and isinstance(text, str):
            body.append(Heading(id=f"b{len(body)}", text=f"## {text}"))
        elif kind == "paragraph" and isinstance(text, str):
            last = f"b{len(body)}"
            body.append(Paragraph(id=last, text=text))
        else:
            raise BadInput(f"{where}: a block is no heading or paragraph with text, nor a figure of the library.")
    title = row.get("title") if isinstance(row.get("title"), str) else ""
    code = language_of([b.plain for b in body]).code
    article = Article(title=str(title), language="en" if code == UNKNOWN else code, body=tuple(body))
    return Placed(str(row.get("id", where)), article, figures)
