"""Compare how images look: their mean colours in a coarse grid, by which scaled or re-encoded copies are recognised."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from limner.lazy import lazy
from limner.tools.images.images import fields

if TYPE_CHECKING:
    import numpy as np

    Grid = np.ndarray
    """(16, 16, 3), RGB from 0 to 1."""
else:  # Markdown and JSON are written without them
    np = lazy("numpy")

_GRID = 16
_OFF = 0.05  # mean difference; copies at a quarter of the size and JPEG quality 40 stay below 0.015
_ALIKE = 0.96  # correlation; such copies reach 0.99, different photographs of tests/data at most 0.70
_FLAT = 1e-4  # product of standard deviations below which there is no structure to compare


def grid(data: bytes, *, max_pixels: int = sys.maxsize) -> Grid:
    """The image in 16 x 16 fields. Raises ImageUnreadable."""
    pixels = np.frombuffer(fields(data, _GRID, max_pixels=max_pixels), dtype=np.uint8)
    return pixels.reshape(_GRID, _GRID, 3).astype(float) / 255


def same_look(one: Grid, other: Grid) -> bool:
    """Whether one image is a scaled, re-encoded or slightly changed copy of the other; False for plain areas."""
    flat, level = one - one.mean(axis=(0, 1)), other - other.mean(axis=(0, 1))
    spread = flat.std() * level.std()
    close = spread > _FLAT and abs(one - other).mean() <= _OFF
    return bool(close and (flat * level).mean() >= _ALIKE * spread)
