"""Sketches of pictures, 64 x 64 fields, which distinguish scaled and re-encoded copies of a picture from others.

The comparison is strict, because what it holds for one picture counts as one. A brightness of one sketch may lie beyond
those of the same place and its neighbours in the other by a little only: scaling and encoding blur an edge, but they
add nothing. So another curve of a plot, the next frame of a series and a cut-off margin make another picture; of small
labels some are missed. bench/copies.md has how many, and which copies are recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from limner.lazy import lazy
from limner.tools.images.pixels import COLOURS, SKETCH

if TYPE_CHECKING:
    import numpy as np
else:  # a library is opened without it
    np = lazy("numpy")

GATE = 8
"""Fields a side of a gate."""
CLOSE = 0.97
"""Cosine of the gates of two sketches from which on they are compared."""
_BEYOND, _BEYOND_SMALL = 0.07, 0.1
"""The most by which a brightness may lie beyond the other's, from 0 to 1. The nearest two figures of three
textbooks have 0.22, and copies at half the size as JPEG 85 at most 0.1."""
_SMALL = 128  # px of the shorter side below which a copy has lost more of its lines
_CONTRAST = 0.15  # deviation of brightness; with less, what may lie beyond is less in proportion
_FLAT = 0.02  # deviation of brightness below which there is too little to compare
_LEVEL = 0.1  # difference of mean brightness; a copy may be a little brighter
_STRETCH = 1.25  # ratio of the deviations of brightness
_COLOUR = 0.12  # difference of colour in a field of 8 x 8; JPEG 40 of a quarter of the size reaches 0.1
_GREY = 0.02  # colour up to which a sketch is grey
_SHAPE = 0.02  # difference of the logarithms of the ratios of the sides, apart from rounding


class Sketch(NamedTuple):
    """A picture in few fields."""

    light: np.ndarray
    """(64, 64) float32, brightness from 0 to 1."""
    colour: np.ndarray
    """(2, 8, 8) float32, blue and red against the brightness, -0.5 to 0.5; 0 is grey."""


def sketch(data: bytes) -> Sketch | None:
    """From the bytes of `images.Inspected.sketch`; None if there is none."""
    if len(data) != SKETCH**2 + 2 * COLOURS**2:
        return None
    values = np.frombuffer(data, np.uint8).astype(np.float32) / 255
    light, colour = values[: SKETCH**2], values[SKETCH**2 :]
    return Sketch(light.reshape(SKETCH, SKETCH), colour.reshape(2, COLOURS, COLOURS) - np.float32(128 / 255))


def gate(one: Sketch) -> np.ndarray:
    """(64,) float32 of unit length, by which most pictures need no comparison; zeros for a picture of one colour."""
    coarse = one.light.reshape(GATE, SKETCH // GATE, GATE, SKETCH // GATE).mean(axis=(1, 3)).ravel()
    coarse = coarse - coarse.mean()
    length = float(np.linalg.norm(coarse))
    return coarse / length if length and one.light.std() >= _FLAT else np.zeros_like(coarse)


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two pictures, width and height in px, may be one at two sizes."""
    rounding = 1 / max(1, min(*one, *other))
    return abs(np.log(one[0] * other[1] / (one[1] * other[0]))) <= _SHAPE + rounding


def same(one: Sketch, other: Sketch, side: int) -> bool:
    """Whether one picture is a scaled, re-encoded, grey or slightly brighter copy of the other; False for areas of one
    colour. side: of the smaller picture's shorter side, in px."""
    deviations = one.light.std(), other.light.std()
    if min(deviations) < _FLAT or max(deviations) > _STRETCH * min(deviations):
        return False
    if abs(one.light.mean() - other.light.mean()) > _LEVEL or not _same_colours(one, other):
        return False
    level = (one.light - one.light.mean()) * (deviations[1] / deviations[0]) + other.light.mean()
    most = (_BEYOND_SMALL if side < _SMALL else _BEYOND) * min(1, deviations[1] / _CONTRAST)
    return bool(beyond(level, other.light) <= most)


def _same_colours(one: Sketch, other: Sketch) -> bool:
    """Whether the colours are the same, or missing in one of them."""
    if min(abs(one.colour).max(), abs(other.colour).max()) <= _GREY:
        return True
    return bool(abs(one.colour - other.colour).max() <= _COLOUR)


def beyond(one: np.ndarray, other: np.ndarray) -> float:
    """By how much the brightness of a field lies at most beyond those of the 3 x 3 fields there in the other."""
    return max(_outside(one, other), _outside(other, one))


def _outside(one: np.ndarray, other: np.ndarray) -> float:
    wide = np.pad(other, 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(wide, (3, 3))
    return float(np.maximum(one - around.max(axis=(2, 3)), around.min(axis=(2, 3)) - one).max())
