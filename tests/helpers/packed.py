"""Folders of pictures, and archives of them, as people and datasets have them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from limner.tools.library import Report


def picture(number: int, size: tuple[int, int] = (24, 16)) -> bytes:
    """A small JPEG of a colour of its own."""
    made = io.BytesIO()
    colour = (number * 37 % 256, number * 11 % 256, number // 256)
    Image.new("RGB", size, colour).save(made, "JPEG", quality=95, comment=f"picture {number}".encode())
    return made.getvalue()


def samples(count: int, start: int = 0) -> dict[str, bytes]:
    """Members of a WebDataset: pictures, each with a caption in the member of the same stem."""
    made: dict[str, bytes] = {}
    for number in range(start, start + count):
        made[f"{number:04}.jpg"] = picture(number)
        made[f"{number:04}.json"] = json.dumps({"caption": f"Heron number{number:04}", "credit": "Ada"}).encode()
    return made


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    """A zip file of these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, members: Mapping[str, bytes], more: Iterable[tarfile.TarInfo] = (), mode: str = "w") -> Path:
    """A tar file of these members, behind members without content."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info in more:
            archive.addfile(info)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def laid(folder: Path, members: Mapping[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def counts(report: Report) -> dict[str, int]:
    """The counts of a report that are not 0."""
    names = ("added", "known", "renamed", "changed", "vanished")
    found = {name: getattr(report, name) for name in names} | {"unreadable": len(report.unreadable)}
    return {name: count for name, count in found.items() if count}
