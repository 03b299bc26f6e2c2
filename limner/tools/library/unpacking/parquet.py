"""Read the pictures of a Parquet file, as Hugging Face's datasets have them: bytes in a column, words in others.

Each picture is written as a file, with the other columns of its row as a sidecar beside it.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from limner.errors import BadInput, NotInstalled
from limner.tools.images.images import SUFFIXES
from limner.tools.library.unpacking.target import OUTSIDE, Target

_USUAL = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "imagebytes", "bytes")
_ROWS = 16  # at a time: a picture may have 200 MB
_FOLDER = 1000  # rows whose pictures share a folder
_ELSEWHERE = ("[row|rows] whose picture is not in the file", "download the pictures, and add their folder")
_TEXTS = {"txt": "text"}  # of WebDataset
_SIGNS = (
    (0, b"\xff\xd8", ".jpg"), (0, b"\x89PNG", ".png"), (8, b"WEBP", ".webp"), (0, b"GIF8", ".gif"), (0, b"BM", ".bmp"),
    (0, b"II*", ".tif"), (0, b"MM", ".tif"), (4, b"ftypavif", ".avif"), (0, b"<svg", ".svg"), (0, b"<?xml", ".svg"),
)  # fmt: skip


def unpack(path: str, target: Target) -> Iterator[tuple[int, int]]:
    """Copy the pictures; yields (rows done, of all). Raises BadInput, NotInstalled without pyarrow."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotInstalled(f"{target.name} needs `pip install 'limner[parquet]'`, or save its pictures.") from error
    try:
        file = parquet.ParquetFile(path)
        column = _column(file.schema_arrow, arrow.types, target.name)
        others = [f.name for f in file.schema_arrow if f.name != column and _told(f.type, arrow.types)]
        total, row = file.metadata.num_rows, 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=[column, *others]):
            for values in batch.to_pylist():
                target.counted()
                _row(row, values.pop(column), values, target)
                row += 1
            yield row, total
    except (arrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:120]
        raise BadInput(f"{target.name} is damaged or cut short ({reason}): get it again.") from error


def _column(schema: Any, types: Any, name: str) -> str:
    """The name of the column that holds pictures. Raises BadInput that names the columns."""

    def binary(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    def holds(kind: Any) -> bool:
        if types.is_struct(kind):
            return any(kind.field(n).name == "bytes" and binary(kind.field(n).type) for n in range(kind.num_fields))
        return binary(kind)

    found = [field.name for field in schema if holds(field.type)]
    usual = [n for word in _USUAL for n in found if n.lower().replace("_", "") == word]
    if usual or len(found) == 1:
        return (usual or found)[0]
    there = ", ".join(repr(field.name) for field in list(schema)[:20]) or "none"
    raise BadInput(f"{name} has no column of pictures (columns: {there}): name the one with their bytes `image`.")


def _told(kind: Any, types: Any) -> bool:
    """Whether a column may hold words or facts."""
    simple = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_temporal)
    if types.is_list(kind) or types.is_large_list(kind):
        return types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
    return any(test(kind) for test in simple)


def _row(number: int, picture: Any, words: Mapping[str, Any], target: Target) -> None:
    named = ""
    if isinstance(picture, Mapping):
        named = str(picture.get("path") or "")
        picture = picture.get("bytes")
    if not picture:
        target.refuse(_ELSEWHERE, named or f"row {number}")
        return
    place = target.place(f"{number // _FOLDER:06d}/{_name(number, named, picture)}")
    if place is None:
        target.refuse(OUTSIDE, named)
        return
    target.write(place, [picture])
    told = {_TEXTS.get(key, key): _plain(value) for key, value in words.items() if value not in (None, "", [])}
    if told:
        target.write(f"{place}.json", [json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")])


def _name(number: int, named: str, data: bytes) -> str:
    """The picture's own file name; in a folder of its own if another of the thousand may have it."""
    base = os.path.basename(named.replace("\\", "/"))
    stem, suffix = os.path.splitext(base)
    if suffix.lower() in SUFFIXES and stem and not stem.startswith("."):
        return f"{number:07d}/{base}"
    return f"image-{number:07d}{_suffix(data)}"


def _suffix(data: bytes) -> str:
    return next((suffix for at, sign, suffix in _SIGNS if data.startswith(sign, at)), ".jpg")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return [_plain(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
