"""A model on the hub: its files with sizes and digests, and the folder where they lie once downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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

    @property
    def bytes(self) -> int:
        """Size of all files, as far as it is known beforehand."""
        return sum(file.size for file in self.files)

    @property
    def megabytes(self) -> int:
        """Size of all files in MB, as far as it is known beforehand."""
        return round(self.bytes / 1e6)


def models_folder(home: Path) -> Path:
    """The folder of downloaded models: a folder per model, named as the model."""
    return home / "models"


def is_projector_file(path: Path) -> bool:
    """Whether a GGUF holds a projector of pictures, by its name."""
    return "mmproj" in path.name.lower()


def holds_model(folder: Path) -> bool:
    """Whether a folder holds a GGUF that is no projector. A restored backup has the folder without it."""
    return any(path.is_file() and not is_projector_file(path) for path in folder.rglob("*.gguf"))


def is_there(model: Known, home: Path) -> bool:
    """Whether all files of the model lie in its folder, at their sizes where these are known."""
    folder = models_folder(home) / model.name
    sizes = {f: path.stat().st_size for f in model.files if (path := folder / f.path).is_file()}
    return all(f in sizes and sizes[f] == (f.size or sizes[f]) for f in model.files)
