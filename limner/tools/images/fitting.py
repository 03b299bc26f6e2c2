"""Crop and scale untrusted image files for pages and documents. Runs in the processes of `sandbox`, see `images`."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from limner.tools.images.opening import DAMAGED, open_picture, refuse_damaged
from limner.tools.images.pixels import read_picture, size_of, small

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112


def kind_of(data: bytes, max_pixels: int) -> str:
    """Pillow's name of the format, from the header. Raises ImageUnreadable."""
    return open_picture(data, max_pixels).format or ""


def fitted(data: bytes, max_pixels: int, side: int, portable: bool, most: int) -> tuple[list[Any], bytes | None]:
    """([format, width, height, clear], the file): see `images.fitted`; None for the file unchanged."""
    try:
        made = _scaled(data, max_pixels, side, portable, most)
        if made is None:
            size_of(data, max_pixels)  # programs that write documents get it unchanged: it decodes to its last row
        kept = data if made is None else made
        with open_picture(kept, max_pixels) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            width, height = (image.height, image.width) if turned else image.size
            return [image.format or "", width, height, _is_clear(image)], made
    except DAMAGED as error:
        refuse_damaged(error)


def cropped(data: bytes, max_pixels: int, crop: tuple[float, float, float, float]) -> tuple[str, bytes]:
    """(suffix, file) of a part of an image: see `images.cropped`."""
    photograph = kind_of(data, max_pixels) in ("JPEG", "MPO")
    picture = read_picture(data, max_pixels)
    left, top, width, height = crop
    x, y = (min(int(share * side), side - 1) for share, side in zip((left, top), picture.size, strict=True))
    right = min(picture.width, max(x + 1, round((left + width) * picture.width)))
    bottom = min(picture.height, max(y + 1, round((top + height) * picture.height)))
    part, profile = picture.crop((x, y, right, bottom)), picture.info.get("icc_profile")
    part.info = {}  # Pillow would write comments and EXIF of the file it came from
    if photograph:
        return ".jpg", _saved(part.convert("RGB"), "JPEG", quality=92, icc_profile=profile)
    return ".png", _saved(part, "PNG", icc_profile=profile)


def fields(data: bytes, max_pixels: int, count: int) -> bytes:
    """RGB of the image in `count` x `count` fields, row by row: see `images.fields`."""
    from PIL import Image

    with Image.open(io.BytesIO(small(data, max_pixels, 96, "JPEG", 85))) as image:
        return image.convert("RGB").resize((count, count), Image.Resampling.BOX).tobytes()


def _is_clear(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    low, _ = image.convert("RGBA").getchannel("A").getextrema()
    return isinstance(low, int | float) and low < 128


def _scaled(data: bytes, max_pixels: int, side: int, portable: bool, most: int) -> bytes | None:
    """The file scaled and encoded; None where it stays as it is."""
    from PIL import ImageOps

    from limner.tools.images.colour import to_rgb

    with open_picture(data, max_pixels) as image:
        plain = image.format in ("JPEG", "MPO", "PNG") and image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
        plain = plain and image.getexif().get(_ORIENTATION, 1) == 1
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO" and not portable:
            return None
        large = max(image.size) > side
        if not large and len(data) <= most and (plain or not portable):
            return None
        photograph = image.format in ("JPEG", "MPO")
        share = side / max(image.size)
        # A JPEG decodes directly to a half, a quarter or an eighth, if that is not below the requested size.
        image.draft("RGB", (math.ceil(image.width * share), math.ceil(image.height * share)))
        shown = to_rgb(ImageOps.exif_transpose(image), keep_profile=True)
        profile = shown.info.get("icc_profile")
        shown.thumbnail((side, side))
    made = _encoded(shown, photograph, portable, profile)
    needed = portable and (large or not plain)
    return made if needed or len(made) < len(data) else None


def _encoded(picture: Image.Image, photograph: bool, portable: bool, profile: bytes | None) -> bytes:
    """Encode an image in a suitable format: drawings stay sharp, photographs get small."""
    picture.info = {}  # Pillow would write comments and EXIF of the file it came from
    if picture.mode == "RGBA" and not portable:
        return _saved(picture, "WEBP", quality=85, icc_profile=profile)
    if picture.mode == "RGBA":
        return _saved(picture, "PNG", icc_profile=profile)
    lossy = _saved(picture, "JPEG", quality=85, optimize=True, icc_profile=profile)
    if photograph:
        return lossy
    exact = _saved(picture, "PNG", icc_profile=profile)
    return exact if len(exact) <= 2 * len(lossy) else lossy


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **{name: value for name, value in options.items() if value is not None})
    return out.getvalue()
