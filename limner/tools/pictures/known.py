"""The encoders that limner knows by name (`models.toml`), and where they lie."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

Kind = Literal["captions", "pictures"]
"""Encoders of captions, and encoders of pictures; both also encode queries."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of a model in its repository on the hub."""

    path: str
    size: int = 0
    """Bytes; 0 where only the hub knows."""
    sha256: str = ""
    """Hexadecimal; "" where only the hub knows."""


@dataclass(frozen=True)
class Known:
    """A model on the hub."""

    name: str
    about: str
    repository: str
    """OWNER/NAME on the hub."""
    revision: str
    """The commit whose files these are."""
    licence: str
    languages: str
    files: tuple[WeightsFile, ...]
    kind: Kind = "pictures"

    @property
    def megabytes(self) -> int:
        """Size of all files in MB, as far as it is known beforehand."""
        return round(sum(file.size for file in self.files) / 1e6)


DEFAULT = "siglip2"
"""The model that `limner library add` offers for pictures without words."""
MULTILINGUAL = "multilingual-e5-small"
"""The model that it offers for captions in a language that the library's encoder does not read."""


@cache
def known() -> dict[str, Known]:
    """The models by name."""
    data = tomllib.loads((files("limner.tools.pictures") / "models.toml").read_text(encoding="utf-8"))
    return {
        name: Known(
            name=name,
            files=tuple(WeightsFile(path, **facts) for path, facts in row.pop("files").items()),
            **row,
        )
        for name, row in data.items()
    }


def models_folder(home: Path) -> Path:
    """The folder of downloaded models: a folder per model, named as the model."""
    return home / "models"


def is_there(model: Known, home: Path) -> bool:
    """Whether all files of the model lie in its folder, at their sizes where these are known."""
    folder = models_folder(home) / model.name
    sizes = {f: path.stat().st_size for f in model.files if (path := folder / f.path).is_file()}
    return all(f in sizes and sizes[f] == (f.size or sizes[f]) for f in model.files)
