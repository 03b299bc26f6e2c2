"""Prepare an image for the vision tower with PIL and numpy only, by the published transform's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MAX_PIXELS = 100_000_000  # 300 MB decoded; the models see 224 or 490 px


def as_rgb(image: Any) -> Image.Image:
    """A PIL image, or an array (H, W, 3) uint8 or (H, W) uint8, as an RGB image.

    Raises ValueError for anything else; it never opens a path or a URL.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"An image array must be uint8 (H, W, 3) or (H, W), this is {image.dtype} {image.shape}.")
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise ValueError(f"An image must be a PIL image or a uint8 array, not {type(image).__name__}: open it first.")
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"An image of {image.width}x{image.height} px is over {MAX_PIXELS} px: scale it down first.")
    return image.convert("RGB")


def pixels(image: Image.Image, side: int, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> np.ndarray:
    """An RGB image as (3, side, side) float32, normalised. The whole image is squeezed to a square without cropping."""
    square = image.resize((side, side), Image.Resampling.BICUBIC)
    scaled = np.asarray(square, dtype=np.float32) / np.float32(255)
    normalised = (scaled - np.asarray(mean, dtype=np.float32)) / np.asarray(std, dtype=np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))
