"""Look at the files of an article's figures: whether they open, their resolution, sharpness and copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from limner.document import Illustration
from limner.errors import LimnerError
from limner.lazy import lazy
from limner.tools.evaluation.measured import NO_FIGURE, Finding, Measured
from limner.tools.images.images import read_picture, size_of
from limner.tools.images.looks import grid, same_look

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from limner.tools.images.looks import Grid
else:  # a help text does without
    np = lazy("numpy")

COLUMN, HIGHEST = 16.0, 11.5
"""cm: the column of limner's PDF and the height of its tallest figures (exports/typeset.py)."""
LOW = 150
"""dots per inch below which limner prints a figure smaller than the column."""
BLURRED = 100.0
"""Variance of the Laplacian below which a photograph is usually called blurred."""
SIDE = 512  # px of the longer side on which sharpness is measured, so that it does not depend on the file's size
COMPARED = 200  # figures whose files are opened; limner places 100 at most

Data = Callable[[Illustration], bytes]
"""Gives a figure's file. Raises LimnerError."""


class _Seen(NamedTuple):
    dpi: float
    sharpness: float
    look: Grid


def pictures(figures: Sequence[Illustration], data: Data, max_pixels: int) -> Measured:
    """Files, resolution, sharpness and near-copies. figures: in reading order."""
    found = Measured()
    names = ("opens", "dpi", "low_dpi", "sharpness", "blurred", "near_copies")
    if not figures or len(figures) > COMPARED:
        found.absent(f"more than {COMPARED} figures" if figures else NO_FIGURE, *names)
        return found
    seen: dict[int, _Seen] = {}
    for n, figure in enumerate(figures, 1):
        try:
            seen[n] = _seen(figure, data(figure), max_pixels)
        except LimnerError as e:
            found.findings.append(Finding("opens", n, f"cannot be opened: {e}"))
    found.values["opens"] = len(seen) / len(figures)
    if not seen:
        found.absent("no figure's file can be opened", *names[1:])
        return found
    found.values["dpi"] = median(s.dpi for s in seen.values())
    found.values["sharpness"] = median(s.sharpness for s in seen.values())
    for n, one in seen.items():
        if one.dpi < LOW:
            found.findings.append(Finding("low_dpi", n, f"has {one.dpi:.0f} dpi across the column of a page"))
        if one.sharpness < BLURRED:
            found.findings.append(Finding("blurred", n, f"has a sharpness of {one.sharpness:.0f}"))
    found.values["low_dpi"] = sum(s.dpi < LOW for s in seen.values()) / len(seen)
    found.values["blurred"] = sum(s.sharpness < BLURRED for s in seen.values()) / len(seen)
    copies = [(a, b) for a, b in combinations(seen, 2) if same_look(seen[a].look, seen[b].look)]
    found.values["near_copies"] = len(copies)
    found.findings += [Finding("near_copies", b, f"looks the same as figure {a}") for a, b in copies]
    return found


def _seen(figure: Illustration, data: bytes, max_pixels: int) -> _Seen:
    """Raises ImageUnreadable."""
    width, height = size_of(data, max_pixels=max_pixels)
    left, top, wide, high = figure.crop or (0, 0, 1, 1)
    width, height = max(1.0, width * min(wide, 1 - left)), max(1.0, height * min(high, 1 - top))
    across = min(COLUMN, HIGHEST * width / height)  # cm: a tall figure is narrower than the column
    picture = read_picture(data, max_pixels=max_pixels, side=SIDE)
    return _Seen(width / (across / 2.54), sharpness(picture), grid(data, max_pixels=max_pixels))


def sharpness(picture: Image.Image) -> float:
    """Variance of the Laplacian of the grey image, 0 to 255, at most SIDE px on its longer side.

    Source: Pech-Pacheco et al. 2000, ICPR, "Diatom autofocusing in brightfield microscopy".
    """
    grey = picture.convert("L")
    grey.thumbnail((SIDE, SIDE))
    pixels = np.asarray(grey, dtype=float)
    if min(pixels.shape) < 3:
        return 0.0
    inner = pixels[1:-1, 1:-1]
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float((around - 4 * inner).var())
