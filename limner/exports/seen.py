"""Compare images in an export with their sources as an eye would: their colours on average, and their coarse structure.

An image that decodes may still be blank or another one. The limited processes decode both sides, upright and on a
suitable background, so that scaling, encoding, rotation, transparency and colour modes make no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import ExportFailed
from limner.exports.words import line
from limner.tools.images.looks import grid

if TYPE_CHECKING:
    from limner.tools.images.looks import Grid

_OFF = 0.12  # mean difference; JPEG at quality 85 and dropped colour profiles stay below 0.05
_ALIKE = 0.8  # correlation of coarse structure; scaled and re-encoded photographs reach 0.99
_FLAT = 0.008  # standard deviation below which an image has no structure to compare
_FADED = 0.3  # share of the source's contrast that has to be left


def alike(source: Grid, shown: Grid) -> bool:
    """Whether two images look the same at a glance."""
    if abs(source - shown).mean() > _OFF:
        return False
    one, other = source - source.mean(axis=(0, 1)), shown - shown.mean(axis=(0, 1))
    if one.std() < _FLAT:
        return True
    if other.std() < _FADED * one.std():
        return False
    return (one * other).mean() / (one.std() * other.std()) >= _ALIKE


def check_seen(path: Path, sources: Sequence[bytes], shown: Iterable[bytes], *, ordered: bool = True) -> None:
    """Raise ExportFailed unless an export shows each source.

    ordered: the export's images are in the order of the sources; otherwise, any of them may show a source.
    """
    found = list(shown)
    if ordered and len(found) != len(sources):
        raise ExportFailed(_refusal(path, f"{len(found)} images where the article has {len(sources)}"))
    known: dict[bytes, Grid] = {}

    def seen(data: bytes) -> Grid:
        if data not in known:
            known[data] = grid(data)
        return known[data]

    for n, source in enumerate(sources):
        candidates = found[n : n + 1] if ordered else found
        if not any(alike(seen(source), seen(data)) for data in candidates):
            raise ExportFailed(_refusal(path, f"another picture than the source as image {n + 1}"))


def _refusal(path: Path, what: str) -> str:
    return f"{line(path.name)} shows {what}. Nothing was kept; export again, and report this if it comes back."
