"""The sample: a bundled draft, and a library of the photographs that illustrate it."""

from __future__ import annotations

from pathlib import Path

from limner.tools.encoders import Encoders
from limner.tools.library import Connect, Folders, Library, Progress
from limner.tools.library.bundled import bundled_library
from limner.tools.store import PATIENCE
from limner.version import __version__

NAME = "limner-sample"
TITLE = "Postcards from nearby worlds"
_FOLDER = Path(__file__).parents[2] / "sample"
DRAFT, PICTURES = _FOLDER / "draft.md", _FOLDER / "pictures"


class _Photographs(Folders):
    def covers(self, path: str) -> bool:
        """Everything: the library has no other source, and limner may have moved since."""
        return True


def sample_library(
    home: Path,
    encoders: Encoders,
    on_progress: Progress | None = None,
    *,
    connect: Connect | None = None,
    patience: float = PATIENCE,
) -> Library:
    """The library of the sample's photographs."""
    source, made_from = _Photographs([PICTURES]), f"{__version__} {PICTURES}"
    return bundled_library(home, NAME, encoders, source, made_from, on_progress, connect=connect, patience=patience)
