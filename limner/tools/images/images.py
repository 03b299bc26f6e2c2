"""Open, check, describe and scale untrusted image files within limits.

Everything runs in the processes of `sandbox`. They check a file's header before decoding, try only known formats,
convert every mode to RGB by one rule (`colour`), and draw an SVG from a copy without scripts and outside references
(`svg`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

from limner.errors import ImageUnreadable
from limner.lazy import lazy
from limner.tools.images import ocr
from limner.tools.images.metadata import Described
from limner.tools.images.opening import MAX_PIXELS
from limner.tools.images.sandbox import DRAWINGS, PHOTOGRAPHS, TEXTS
from limner.tools.images.svg import SVG_SIDE, is_svg

if TYPE_CHECKING:
    from PIL import Image
else:  # pictures are opened later than libraries
    Image = lazy("PIL.Image")

MAX_BYTES = 200_000_000  # per file; a TIFF of 100 million pixels without compression has 300 MB, photographs under 60
_ENDINGS = "jpg jpeg jpe jfif png webp gif bmp tif tiff avif heic heif svg"
SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Suffixes of image files, lower case."""


def read_picture(
    data: bytes, *, max_pixels: int = MAX_PIXELS, side: int | None = None, keep_profile: bool = False
) -> Image.Image:
    """Decode the first frame, upright (EXIF orientation applied), as RGB or RGBA in sRGB (see `colour.to_rgb`).

    side: a JPEG may be decoded smaller, with both sides at least this many px; the whole file is still read.
    keep_profile: leave RGB pixels in the file's own colour profile, which stays in `info`. An SVG is drawn with its
    longer side at SVG_SIDE px. Raises ImageUnreadable, with the reason, for files that are no image, truncated, or
    larger than `max_pixels` pixels; the size is checked before decoding.
    """
    value, parts = _ask("read_picture", data, max_pixels=max_pixels, side=side, keep_profile=keep_profile)
    return _picture(value, parts)


def for_clip(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image as RGB for a CLIP model, small enough to hold a batch. Raises ImageUnreadable."""
    return _picture(*_ask("for_clip", data, max_pixels=max_pixels))


def size_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height in px, upright, after decoding all of it. Raises ImageUnreadable as `read_picture` does."""
    width, height = _ask("size_of", data, max_pixels=max_pixels)[0]
    return width, height


class Inspected(NamedTuple):
    """The facts about a file for indexing."""

    width: int
    """px, upright."""
    height: int
    said: Described
    """The file's own metadata."""
    seen: Image.Image | None
    """The image for CLIP, if requested."""
    sketch: bytes = b""
    """64 x 64 bytes of brightness, 8 x 8 of blue and 8 x 8 of red, to recognise copies by (`images.sketch`); b""
    without one."""


def inspect(data: bytes, *, max_pixels: int = MAX_PIXELS, clip: bool = False) -> Inspected:
    """Size, embedded description and, for `clip`, the image; decodes the whole file. Raises ImageUnreadable."""
    (width, height, said, seen), (sketch, *parts) = _ask("inspect", data, max_pixels=max_pixels, clip=clip)
    return Inspected(width, height, Described(**said), _picture(seen, parts) if seen else None, sketch)


def sketch_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """As `Inspected.sketch`. Raises ImageUnreadable."""
    return _ask("sketch", data, max_pixels=max_pixels)[1][0]


def displayable(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """Bytes that every browser can show, and their suffix.

    JPEG, PNG, WebP, GIF and AVIF are returned unchanged after a complete decoding: quality, colour profile and
    animation stay, and so does metadata, GPS position included (`publish` removes it). BMP, TIFF and SVG become PNG,
    HEIC becomes JPEG, upright and without metadata except the colour profile. Raises ImageUnreadable.
    """
    suffix, parts = _ask("displayable", data, max_pixels=max_pixels)
    return parts[0] if parts else data, suffix


def thumbnail(data: bytes, side: int = 256, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """A WebP of at most `side` px on its longer side, upright, without metadata. Raises ImageUnreadable."""
    return _ask("small", data, max_pixels=max_pixels, side=side, kind="WEBP", quality=80)[1][0]


def data_url(data: bytes, side: int = 512, *, max_pixels: int = MAX_PIXELS) -> str:
    """`data:image/jpeg;base64,...` of at most `side` px on its longer side, for a prompt.

    Always re-encoded and flattened (`colour.flatten`), so that only pixels reach a model server. Raises
    ImageUnreadable.
    """
    made = _jpeg(data, side, max_pixels)
    return "data:image/jpeg;base64," + base64.b64encode(made).decode()


class TextIn(NamedTuple):
    """The text in a picture."""

    words: str
    """On one line, without control characters and direction marks; "" if there is none."""
    area: float
    """Share of the picture's area that it covers, 0 to 1."""
    detail: float
    """Share of the picture's detail that it is, 0 to 1: 1 for words on an empty card."""


def text_in(data: bytes, *, max_pixels: int = MAX_PIXELS) -> TextIn:
    """Find and read the text in a picture; needs limner[ocr], see `ocr`. Raises ImageUnreadable."""
    words, area, detail = TEXTS.ask("text_in", _jpeg(data, ocr.SIDE, max_pixels))[0]
    return TextIn(str(words)[: ocr.LONGEST], float(area), float(detail))


class Fitted(NamedTuple):
    """An image for a page or a document."""

    data: bytes
    kind: str
    """Pillow's name of the format."""
    width: int
    """px, upright."""
    height: int
    clear: bool
    """Whether parts of it are transparent."""


def kind_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> str:
    """Pillow's name of a raster image's format, from the header alone. Raises ImageUnreadable."""
    return _ask("kind_of", data, max_pixels=max_pixels)[0]


def fitted(data: bytes, side: int, *, portable: bool, most: int, max_pixels: int = MAX_PIXELS) -> Fitted:
    """A raster image at most `side` px wide and high and below `most` bytes if that is easy, else unchanged.

    Animations stay as they are. portable: JPEG or PNG, upright, in RGB or grey; of an animation its first frame.
    Raises ImageUnreadable.
    """
    given = {"max_pixels": max_pixels, "side": side, "portable": portable, "most": most}
    facts, parts = _ask("fitted", data, **given)
    return Fitted(parts[0] if parts else data, *facts)


def cropped(data: bytes, crop: tuple[float, float, float, float], *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """A part of a raster image, upright, encoded anew: (bytes, suffix). An animation becomes its first frame.

    crop: left, top, width and height as shares of the upright image. Raises ImageUnreadable.
    """
    suffix, parts = _ask("cropped", data, max_pixels=max_pixels, crop=list(crop))
    return parts[0], suffix


def fields(data: bytes, count: int, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """The mean colours of `count` x `count` fields of the image, 3 bytes of RGB each. Raises ImageUnreadable."""
    return _ask("fields", data, max_pixels=max_pixels, count=count)[1][0]


def republished_tiff(data: bytes, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """A TIFF rewritten page by page without loss, with only its colour profiles. Raises ImageUnreadable."""
    return _ask("republished_tiff", data, max_pixels=max_pixels)[1][0]


def draw_svg(data: bytes, *, side: int = SVG_SIDE, max_pixels: int = MAX_PIXELS) -> bytes:
    """A PNG of an SVG, see `svg.draw_svg`. Raises ImageUnreadable."""
    return DRAWINGS.ask("draw_svg", data, side=side, max_pixels=max_pixels)[1][0]


def metadata(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Described:
    """A file's description, alternative text, credit and rights, see `metadata.metadata`.

    Raises ImageUnreadable like `read_picture` for the header.
    """
    return Described(**_ask("metadata", data, max_pixels=max_pixels)[0])


def said_in(data: bytes, *, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """The properties of a raster image, see `metadata.said_in`. Raises ImageUnreadable."""
    return _ask("said_in", data, max_pixels=max_pixels)[0]


def orientation_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> int:
    """EXIF's orientation, 1 to 8; 1 without one. Raises ImageUnreadable."""
    return _ask("orientation_of", data, max_pixels=max_pixels)[0]


def _jpeg(data: bytes, side: int, max_pixels: int) -> bytes:
    return _ask("small", data, max_pixels=max_pixels, side=side, kind="JPEG", quality=85)[1][0]


def _ask(name: str, data: bytes, **given: Any) -> tuple[Any, list[bytes]]:
    if not data:
        raise ImageUnreadable("the file is empty: replace it or take it away")
    pool = DRAWINGS if is_svg(data) else PHOTOGRAPHS
    return pool.ask(name, data, **given)


def _picture(value: Any, parts: list[bytes]) -> Image.Image:
    """The image that a process returned, if its size matches its pixels."""
    (mode, width, height), (pixels, profile) = value, parts
    if mode not in ("RGB", "RGBA") or len(pixels) != width * height * len(mode):
        raise ImageUnreadable("cut short or damaged: get the file again")
    made = Image.frombytes(mode, (width, height), pixels)
    if profile:
        made.info["icc_profile"] = profile
    return made
