"""Read the files beside an image: photo.json, photo.txt, photo.xmp, and those of Google Takeout."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any

from limner.text import printable_path
from limner.tools.images.images import SUFFIXES
from limner.tools.images.metadata import Described, described, merged
from limner.tools.images.xmp import MOST, read_xmp
from limner.tools.library.scanned import Scan, read_bytes, read_text
from limner.tools.library.tables import from_row

SIDECAR_BYTES = 1_000_000
ENDINGS = (".txt", ".json", ".xmp")
_TAKEOUT = "supplemental-metadata"
_TAKEOUT_LENGTH = 46  # characters before .json to which Google Takeout cuts the name of a sidecar
_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.\w+)")  # photo(1).jpg, whose sidecar is photo.jpg(1).json
_EDITED = re.compile(
    r"-(?:edited|bearbeitet|modifi\u00e9|editado|modificato|bewerkt|edytowane)(?=\.\w+$)", re.IGNORECASE
)


def words_beside(path: str, found: Scan) -> list[Described]:
    """The descriptions in an image's sidecars, the closest match first."""
    stem = os.path.splitext(path)[0]
    found_words = [_json(name, found) for name in (f"{stem}.json", f"{path}.json")]
    found_words += [_text(name, found) for name in (f"{stem}.txt", f"{path}.txt")]
    found_words += [_xmp(name, found) for name in (f"{path}.xmp", f"{stem}.xmp")]
    takeout = next((there for name in _takeout_names(path) if (there := found.sidecar(name))), None)
    return [*found_words, _json(takeout, found)] if takeout else found_words


def _takeout_names(path: str) -> Iterator[str]:
    """Possible names of an image's sidecar in Google Takeout: cut at any letter, and numbered."""
    folder, name = os.path.split(path)
    for image in dict.fromkeys((name, _EDITED.sub("", name))):
        numbered = _NUMBERED.fullmatch(image)
        whole, number = (numbered[1] + numbered[3], numbered[2]) if numbered else (image, "")
        endings = [f".{_TAKEOUT[:length]}" for length in range(len(_TAKEOUT), -1, -1)]
        for ending in (*endings, ""):
            for length in (_TAKEOUT_LENGTH, _TAKEOUT_LENGTH - len(number)):
                yield os.path.join(folder, f"{(whole + ending)[:length]}{number}.json")


def _json(name: str, found: Scan) -> Described:
    path = found.sidecar(name)
    text = read_text(path, SIDECAR_BYTES, found.problems) if path else None
    if path is None or text is None:
        return Described()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        found.problems.append((printable_path(path), f"not JSON ({error}): correct it"))
        return Described()
    if isinstance(content, list) and len(content) == 1:  # as exiftool -json writes it
        content = content[0]
    if not isinstance(content, Mapping):
        found.problems.append((printable_path(path), 'not a JSON object such as {"caption": "..."}: correct it'))
        return Described()
    return from_row(_of_takeout(content))


def _of_takeout(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A sidecar of Google Takeout with its day as text, and without the title, which is the file's own name."""
    row = dict(content)
    if os.path.splitext(str(row.get("title", "")))[1].lower() in SUFFIXES:
        del row["title"]
    taken = row.pop("photoTakenTime", None)
    if isinstance(taken, Mapping):
        row |= {"description": unescape(str(row.get("description", ""))), "date": _day(taken.get("timestamp"))}
    return row


def _day(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).date().isoformat() if int(seconds) else ""
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _text(name: str, found: Scan) -> Described:
    path = found.sidecar(name)
    text = read_text(path, SIDECAR_BYTES, found.problems) if path else None
    return Described(caption=next((line for line in (text or "").splitlines() if line.strip()), ""))


def _xmp(name: str, found: Scan) -> Described:
    path = found.sidecar(name)
    data = read_bytes(path, MOST, found.problems) if path else None
    if path is None or data is None:
        return Described()
    found_words = read_xmp(data)
    if not found_words:
        found.problems.append((printable_path(path), "no XMP: write it again with the program that made it"))
    return described(merged([found_words]))
