"""Vectors of unit length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from limner.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length, float32; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def unit_mean(vectors: Iterable[np.ndarray]) -> np.ndarray:
    """Normalised mean of unit vectors, float32; the first vector if they cancel out."""
    rows = np.stack(list(vectors))
    total = rows.sum(axis=0)
    length = float(np.linalg.norm(total))
    return (total / length if length else rows[0]).astype(np.float32)
