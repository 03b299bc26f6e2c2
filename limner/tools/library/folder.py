"""A folder of images as people keep them: which files count, and what is written beside them.

Captions come, field by field, from the first of these that has one: `photo.json`, `photo.txt` (first line), a row of
`metadata.csv` or `metadata.jsonl` (the imagefolder convention of Hugging Face datasets), the file itself (XMP, IPTC,
EXIF), and last the file's name made readable. Names and captions are cleaned of what is not text.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from limner.text import one_line, printable_path, shorten
from limner.tools.images.images import SUFFIXES, Described

CAPTION_LENGTH = 2000  # characters; the caption encoder reads about 1,000 of them, a prompt should not drown in one
CREDIT_LENGTH = 500
SIDECAR_BYTES = 1_000_000
TABLE_BYTES = 200_000_000

_TABLE = re.compile(r"(?:metadata[^/]*|library)\.(?:csv|jsonl)", re.IGNORECASE)
_KEYS = {
    "caption": ("caption", "text", "description", "title"),
    "alt": ("alt", "alt_text", "alttext", "alternative_text"),
    "credit": ("credit", "attribution", "author", "artist", "creator", "photographer", "source"),
    "licence": ("licence", "license", "rights", "usage_terms", "copyright"),
}


class Stamp(NamedTuple):
    """A file's size in bytes and time of change in ns: while both stay, it is not read again."""

    size: int
    changed: int


@dataclass
class Scan:
    """What a walk found."""

    files: dict[str, Stamp] = field(default_factory=dict)
    """Absolute path of each image file, in order of the paths."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of what looks like an image and is not to be opened."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of captions that could not be read; the image itself may be good."""
    rows: dict[str, Described] = field(default_factory=dict)
    """What tables say, by absolute path of the image."""
    sidecars: set[str] = field(default_factory=set)
    """Absolute paths of all .txt and .json files."""


def scan(root: Path) -> Scan:
    """Walk a folder without leaving it. Hidden files, and files that do not claim to be images, are passed over.

    root: an absolute path without links in it.
    """
    found = Scan()

    def refuse(error: OSError) -> None:
        reason = f"{error.strerror or error}: check that it may be read"
        found.refused.append((printable_path(str(error.filename)), reason))

    for here, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        for name in sorted([*folders, *names]):
            path = os.path.join(here, name)
            if os.path.islink(path) and not _inside(path, root):
                if name in folders or _is_image(name):
                    found.refused.append((printable_path(path), "a link out of the folder: copy the file here instead"))
            elif name in folders or name.startswith("."):
                continue
            elif _is_image(name):
                _add_image(path, found)
            elif _TABLE.fullmatch(name):
                _read_table(path, found)
            elif name.lower().endswith((".txt", ".json")):
                found.sidecars.add(path)
    return found


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def _inside(path: str, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _add_image(path: str, found: Scan) -> None:
    try:
        path.encode()
        status = os.stat(path)
    except UnicodeEncodeError:
        found.refused.append((printable_path(path), "its name is not UTF-8: rename it"))
    except OSError as error:
        found.refused.append(
            (printable_path(path), f"{error.strerror or error}: check that it is there and may be read")
        )
    else:
        if stat.S_ISREG(status.st_mode):
            found.files[path] = Stamp(status.st_size, status.st_mtime_ns)
        else:
            found.refused.append((printable_path(path), "not a regular file: put an image in its place"))


# --- words beside the files ------------------------------------------------------------------------------------------


def describe(path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
    """What is known of an image, and whether its caption is more than the file's name."""
    stem = os.path.splitext(path)[0]
    sources = [_read_json(p, found) for p in (stem + ".json", path + ".json")]
    sources += [_read_text(p, found) for p in (stem + ".txt", path + ".txt")]
    merged = merge([*sources, found.rows.get(path, Described()), embedded])
    if merged.caption or merged.alt:
        return Described(merged.caption or merged.alt, merged.alt, merged.credit, merged.licence), True
    return Described(readable(Path(path).stem), "", merged.credit, merged.licence), False


def merge(sources: Sequence[Described]) -> Described:
    """Field by field the first that is not empty, cleaned."""
    chosen = {f.name: next((v for s in sources if (v := one_line(getattr(s, f.name)))), "") for f in fields(Described)}
    return Described(
        **{name: shorten(v, CAPTION_LENGTH if name in ("caption", "alt") else CREDIT_LENGTH)
           for name, v in chosen.items()}
    )  # fmt: skip


def _read_json(path: str, found: Scan) -> Described:
    text = _read_sidecar(path, found)
    if text is None:
        return Described()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        found.problems.append((printable_path(path), f"not JSON ({error}): correct it"))
        return Described()
    if not isinstance(content, Mapping):
        found.problems.append((printable_path(path), 'not a JSON object such as {"caption": "..."}: correct it'))
        return Described()
    row = dict(content)
    # Takeouts of photo services put the file's own name into the title.
    if os.path.splitext(str(row.get("title", "")))[1].lower() in SUFFIXES:
        del row["title"]
    return _from_row(row)


def _read_text(path: str, found: Scan) -> Described:
    text = _read_sidecar(path, found) or ""
    return Described(caption=next((line for line in text.splitlines() if line.strip()), ""))


def _read_sidecar(path: str, found: Scan) -> str | None:
    """Its text, None when there is none or it cannot be read; the latter is noted."""
    if path not in found.sidecars:
        return None
    return _read(path, SIDECAR_BYTES, found)


def _read(path: str, most: int, found: Scan) -> str | None:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("not a regular file")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        found.problems.append((printable_path(path), f"{error.strerror or error}: check that it may be read"))
        return None
    if len(data) > most:
        found.problems.append((printable_path(path), f"more than {most // 1_000_000} MB: shorten it"))
        return None
    return data.decode("utf-8-sig", "replace")


def _read_table(path: str, found: Scan) -> None:
    text = _read(path, TABLE_BYTES, found)
    if text is None:
        return
    lines = _csv_rows if path.lower().endswith(".csv") else _json_rows
    for number, row in lines(text):
        names = [row[k] for k in ("file_name", "file", "image", "path") if isinstance(row.get(k), str)] if row else []
        if row is None or not names:
            found.problems.append((printable_path(path), f"line {number} is no row with a file_name: correct it"))
            continue
        # Only a key to look images up by, so it opens nothing, wherever it points.
        found.rows.setdefault(os.path.normpath(os.path.join(os.path.dirname(path), names[0])), _from_row(row))


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield number, row if isinstance(row, dict) else None


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field beyond csv's limit of 131,072 characters
            yield reader.line_num, None
        else:
            yield reader.line_num, {k: v for k, v in row.items() if k is not None}


def _from_row(row: Mapping[str, Any]) -> Described:
    lower = {str(k).strip().lower(): v for k, v in row.items()}
    found = {name: [lower[k] for k in keys if isinstance(lower.get(k), str)] for name, keys in _KEYS.items()}
    return Described(**{name: next((v for v in values if v.strip()), "") for name, values in found.items()})


# --- words made clean ------------------------------------------------------------------------------------------------


def readable(stem: str) -> str:
    """A file's name as words: "harvest_at-dusk.02" -> "harvest at dusk 02", "bigRedBarn" -> "big Red Barn"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"%20|[-_.+~]+", " ", stem))
    return shorten(one_line(spaced) or "image", CAPTION_LENGTH)
