"""Convert every mode that Pillow opens to RGB or RGBA in sRGB: one function, one rule for the range of the samples.

Encoders, thumbnails, prompts and exports all use `to_rgb`, so search and display agree.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from limner.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageChops, ImageCms
else:  # pictures are opened later than libraries
    np = lazy("numpy")
    Image = lazy("PIL.Image")
    ImageChops = lazy("PIL.ImageChops")
    ImageCms = lazy("PIL.ImageCms")

_BITS, _PHOTOMETRIC, _NO_DATA = 258, 262, 42113  # TIFF tags; 42113 is GDAL's "no data" value
_WHITE_IS_ZERO = 0
_LIGHT = 224  # of 255: drawings whose visible parts are all lighter vanish on white
_DARK_GROUND = (64, 64, 64)
_INK = 128  # alpha from which a pixel counts as visible


def to_rgb(picture: Image.Image, *, keep_profile: bool = False) -> Image.Image:
    """The image in mode RGB, or RGBA if it has transparency, in sRGB.

    Samples of more than 8 bits are scaled by the range of their type: 0 to 2**bits - 1 for 16-bit modes, by the file's
    stated bits; 0 to 1 for floats; 0 to 255 for 32-bit integers. If a sample is outside, as in measurements, the lowest
    sample becomes black and the highest white. An embedded ICC profile is applied and dropped. keep_profile: leave an
    RGB image's pixels and `info["icc_profile"]` unchanged, for a file that is written with that profile again.
    """
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_wide(picture)
    if picture.mode == "LAB":
        return _from_lab(picture)
    if picture.mode == "CMYK":
        return _in_srgb(picture, profile) or _bare(picture.convert("RGB"))
    if picture.mode == "La":  # Pillow has no direct conversion to RGBA
        picture = picture.convert("LA")
    colours = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if not profile or (keep_profile and _is_rgb(profile)):
        return colours
    grey = picture.mode in ("1", "L", "LA")
    return _in_srgb(colours, profile, grey=grey) or _bare(colours)


def flatten(picture: Image.Image) -> Image.Image:
    """An RGB or RGBA image as RGB on a suitable background: white, or dark grey for a white drawing."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, _DARK_GROUND if _is_light(picture) else "white")
    return Image.alpha_composite(ground, picture).convert("RGB")


def _is_light(picture: Image.Image) -> bool:
    """Whether all visible parts of a transparent image are too light for a white background."""
    small = picture.copy()
    small.thumbnail((256, 256))
    visible = small.getchannel("A").point([0] * _INK + [255] * (256 - _INK))
    if not visible.getbbox():
        return False
    counts = small.convert("L").histogram(visible)
    opaque = sum(counts) == small.width * small.height
    return not opaque and sum(counts[:_LIGHT]) < 0.01 * sum(counts)


# --- samples of more than 8 bits -------------------------------------------------------------------------------------


def _from_wide(picture: Image.Image) -> Image.Image:
    """RGB or RGBA of an image in one of the modes I;16, I;16B, I;16L, I;16N, I and F."""
    samples = np.asarray(picture)
    good = _meaningful(samples, picture)
    low, high = _range(samples, good, picture)
    scale = 255 / (high - low) if high > low else 0.0
    grey = np.subtract(samples, low, dtype=np.float32)
    grey *= scale
    if good is not None:
        grey[~good] = 0
    np.clip(grey, 0, 255, out=grey)
    np.rint(grey, out=grey)
    made = Image.fromarray(grey.astype(np.uint8))
    if _tags(picture).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts such files of 8 bits, not wider ones
        made = ImageChops.invert(made)
    clear = picture.info.get("transparency")
    made = made.convert("RGB")
    if isinstance(clear, int):
        made.putalpha(Image.fromarray(np.where(samples == clear, 0, 255).astype(np.uint8)))
    return made


def _meaningful(samples: np.ndarray, picture: Image.Image) -> np.ndarray | None:
    """Mask of the valid samples of a float or 32-bit image: not NaN, infinite or "no data"; None for all."""
    if samples.dtype.itemsize < 4:
        return None
    good = np.isfinite(samples)
    try:
        no_data = float(str(_tags(picture).get(_NO_DATA, "nan")).strip("\x00 "))
    except ValueError:
        no_data = math.nan
    if not math.isnan(no_data):
        good &= ~np.isclose(samples, no_data, rtol=1e-6)
    return good


def _range(samples: np.ndarray, good: np.ndarray | None, picture: Image.Image) -> tuple[float, float]:
    """The black and white levels of the samples, by the rule of `to_rgb`."""
    if good is None:  # 16 bits; TIFF's 12-bit samples come in the same mode
        bits = _tags(picture).get(_BITS, 16)
        first = bits[0] if isinstance(bits, tuple) and bits else bits
        return 0.0, float(2 ** (first if isinstance(first, int) and 8 < first < 16 else 16) - 1)
    seen = samples[good]
    if not seen.size:
        return 0.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    white = 1.0 if samples.dtype.kind == "f" else 255.0
    return (0.0, white) if low >= 0 and high <= white else (low, high)


def _tags(picture: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF, {} for other files."""
    return getattr(picture, "tag_v2", {})


# --- colour spaces ---------------------------------------------------------------------------------------------------


def _from_lab(picture: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    made = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    assert made is not None  # None only for a conversion in place
    return _bare(made)


def _in_srgb(picture: Image.Image, profile: bytes | None, *, grey: bool = False) -> Image.Image | None:
    """The image converted by its profile; None without one, or if it is damaged or for other channels."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return _bare(picture) if picture.mode in ("RGB", "RGBA") else None
        alpha = picture.mode == "RGBA"
        pixels = (
            picture.convert("L") if grey and profile[16:20] == b"GRAY" else picture.convert("RGB") if alpha else picture
        )
        srgb = ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(pixels, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if made is not None and alpha:
        made.putalpha(picture.getchannel("A"))
    return None if made is None else _bare(made)


def _is_rgb(profile: bytes) -> bool:
    return profile[16:20] == b"RGB "


def _bare(picture: Image.Image) -> Image.Image:
    picture.info.pop("icc_profile", None)
    return picture
