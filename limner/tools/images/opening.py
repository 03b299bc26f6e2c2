"""Open a raster image from untrusted bytes: known formats only, and its size is checked before decoding."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, NoReturn

from limner.errors import ImageUnreadable

if TYPE_CHECKING:
    from PIL import ImageFile

MAX_PIXELS = 89_000_000  # 356 MB as RGBA; Pillow itself warns beyond 89,478,485

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# Errors of Pillow's readers for truncated or damaged files; its own tests expect these for hostile files.
DAMAGED: tuple[type[BaseException], ...] = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(struct.error, zlib.error, MemoryError, UserWarning, RuntimeError),
)


def open_picture(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The image with its header read and its size checked, not decoded yet. Raises ImageUnreadable."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise ImageUnreadable("the file is empty: replace it or take it away")
    try:
        picture = Image.open(io.BytesIO(data), formats=(*_FORMATS, *_heif(data)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow checks its own limits (a warning, where warnings are errors, and twice that) first.
        most = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
        raise ImageUnreadable(f"more than {most:,} pixels: save it smaller") from error
    except UnidentifiedImageError as error:
        raise ImageUnreadable("not an image that limner reads: save it as JPEG, PNG or WebP") from error
    except DAMAGED as error:
        refuse_damaged(error)
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageUnreadable(f"{width} x {height} is more than {max_pixels:,} pixels: save it smaller")
    return picture


def _heif(data: bytes) -> tuple[str, ...]:
    """Pillow's name for HEIC, with its plug-in loaded; called only for HEIC data."""
    if data[4:8] != b"ftyp" or data[8:12] not in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return ()
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError as error:
        if data[8:12] in (b"mif1", b"msf1"):  # some AVIF files begin like this, too, and Pillow reads those
            return ()
        raise ImageUnreadable("HEIC needs a reader: pip install 'limner[heif]', or save it as JPEG") from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def refuse_damaged(error: BaseException) -> NoReturn:
    if isinstance(error, MemoryError):  # some decoders also raise this for a damaged file
        raise ImageUnreadable("takes more memory than a picture may, or is damaged: save it smaller") from error
    words = " ".join(str(error).split())[:120] or type(error).__name__
    raise ImageUnreadable(f"cut short or damaged ({words}): get the file again") from error
