"""Decode untrusted image files into pixels and re-encode them. Runs in the processes of `sandbox`.

Use `images`, which calls these functions there, so that a file that crashes or freezes a decoder only ends that
process.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from limner.lazy import lazy
from limner.tools.images.colour import flatten, to_rgb
from limner.tools.images.opening import DAMAGED, open_picture, refuse_damaged
from limner.tools.images.svg import draw_svg, is_svg

if TYPE_CHECKING:
    from PIL import Image, ImageFile
else:  # pictures are opened later than libraries
    Image = lazy("PIL.Image")

CLIP_SIDE = 512
SKETCH, COLOURS = 64, 8
"""Fields a side of a sketch, of its brightness and of its colours."""
# MPO is Pillow's name for a JPEG with a second image appended, as phones write them.
_AS_IS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "AVIF": ".avif"}
_ORIENTATION = 0x0112
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF's orientation -> Pillow's Transpose that makes the image upright."""


def opened(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The image, not decoded yet; an SVG is drawn. Raises ImageUnreadable."""
    return open_picture(draw_svg(data, max_pixels=max_pixels) if is_svg(data) else data, max_pixels)


def read_picture(data: bytes, max_pixels: int, side: int | None = None, keep_profile: bool = False) -> Image.Image:
    """See `images.read_picture`."""
    picture = opened(data, max_pixels)
    try:
        if side:
            picture.draft("RGB", (side, side))
        picture.load()
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
        shown = to_rgb(picture, keep_profile=keep_profile)
        return shown if turn is None else shown.transpose(Image.Transpose(turn))
    except DAMAGED as error:
        refuse_damaged(error)


def size_of(data: bytes, max_pixels: int) -> tuple[int, int]:
    """See `images.size_of`."""
    return _loaded(data, max_pixels)[0]


def sketched(data: bytes, max_pixels: int) -> tuple[tuple[int, int], bytes]:
    """(width and height as `size_of`, the sketch as `images.Inspected.sketch`) from one decoding."""
    size, picture = _loaded(data, max_pixels)
    try:
        return size, _sketch(picture)
    except DAMAGED:  # too little memory for the conversion of a rare kind of samples, or a damaged profile
        return size, b""


def _loaded(data: bytes, max_pixels: int) -> tuple[tuple[int, int], Image.Image]:
    """(width and height, upright; the decoded image as in the file, a JPEG smaller). Raises ImageUnreadable."""
    picture = opened(data, max_pixels)
    try:
        width, height = picture.size
        turned = picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        # Reads the whole JPEG with less work.
        picture.draft("RGB", (max(4 * SKETCH, width // 8), max(4 * SKETCH, height // 8)))
        picture.load()
    except DAMAGED as error:
        refuse_damaged(error)
    return ((height, width) if turned else (width, height)), picture


def _sketch(picture: Image.Image) -> bytes:
    """Brightness and colours, scaled before anything is converted. Bilinear: Pillow's box filter counts a pixel on the
    border of two fields to one of them, so that thin lines depend on the size of the picture."""
    turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    plain = picture if picture.mode in ("RGB", "RGBA", "L", "LA", "CMYK") else to_rgb(picture)
    tiny = flatten(to_rgb(plain.resize((SKETCH, SKETCH), Image.Resampling.BILINEAR)))
    tiny = tiny if turn is None else tiny.transpose(Image.Transpose(turn))
    light, *colours = tiny.convert("YCbCr").split()
    few = [one.resize((COLOURS, COLOURS), Image.Resampling.BOX) for one in colours]
    return b"".join(one.tobytes() for one in (light, *few))


def displayable(data: bytes, max_pixels: int) -> tuple[bytes | None, str]:
    """Like `images.displayable`; None means the bytes unchanged."""
    if is_svg(data):
        return draw_svg(data, max_pixels=max_pixels), ".png"
    kind = open_picture(data, max_pixels).format or ""
    suffix = _AS_IS.get(kind, "")
    if suffix:
        size_of(data, max_pixels)
        return None, suffix
    picture = read_picture(data, max_pixels, keep_profile=True)
    profile = picture.info.get("icc_profile")
    if kind == "HEIF" and picture.mode == "RGB":  # a photograph is six times as large as a PNG
        return encoded(picture, "JPEG", quality=92, icc_profile=profile), ".jpg"
    return encoded(picture, "PNG", icc_profile=profile), ".png"


def small(data: bytes, max_pixels: int, side: int, kind: str, quality: int) -> bytes:
    """A JPEG, flattened, or a WebP of at most `side` px on its longer side."""
    picture = read_picture(data, max_pixels, side)
    picture.thumbnail((side, side))
    return encoded(flatten(picture) if kind == "JPEG" else picture, kind, quality=quality)


def for_clip(data: bytes, max_pixels: int) -> Image.Image:
    """The image, small enough to hold a batch; CLIP models see 224 to 448 px."""
    picture = read_picture(data, max_pixels, CLIP_SIDE)
    picture.thumbnail((2 * CLIP_SIDE, 2 * CLIP_SIDE))
    return flatten(picture)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The pixels as a file of this kind, without metadata except that in `options`."""
    bare = picture.copy()
    bare.info = {}  # Pillow would write comments and EXIF of the file it came from
    out = io.BytesIO()
    bare.save(out, kind, **options)
    return out.getvalue()


def republished_tiff(data: bytes, max_pixels: int) -> bytes:
    """See `images.republished_tiff`."""
    from PIL import ImageSequence

    try:
        with open_picture(data, max_pixels) as image:
            pages = [_bare(page) for page in ImageSequence.Iterator(image)]
        out = io.BytesIO()
        pages[0].save(out, "TIFF", compression="tiff_adobe_deflate", save_all=True, append_images=pages[1:])
    except DAMAGED as error:
        refuse_damaged(error)
    return out.getvalue()


def _bare(page: Image.Image) -> Image.Image:
    from PIL import ImageOps

    bare = ImageOps.exif_transpose(page).copy()
    bare.info = {key: bare.info[key] for key in ("icc_profile", "transparency") if key in bare.info}
    return bare
