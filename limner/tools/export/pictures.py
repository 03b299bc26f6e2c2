"""The images of an article as its files hold them: of a known kind, cropped to the part shown, scaled for a page."""

from __future__ import annotations

import base64
import io
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from limner.document import Article, Illustration, markdown
from limner.errors import ImageUnreadable
from limner.tools.export.words import line
from limner.tools.images import read_picture

if TYPE_CHECKING:
    from PIL import Image

Images = Callable[[str], tuple[bytes, str]]
"""image id -> (bytes of a file that browsers show, its suffix)."""

EMBED_BYTES = 2_000_000  # a photograph above this is scaled down before it goes into the page; base64 adds a third
EMBED_SIDE = 1600  # px; the column is at most 880 CSS px wide, so this is sharp on most dense screens
_SHOWN = {  # Pillow's name of a format that every current browser shows -> (suffix, media type)
    "JPEG": (".jpg", "image/jpeg"),
    "MPO": (".jpg", "image/jpeg"),  # what many cameras write: a JPEG with a second picture behind it
    "PNG": (".png", "image/png"),
    "GIF": (".gif", "image/gif"),
    "WEBP": (".webp", "image/webp"),
    "AVIF": (".avif", "image/avif"),
    "BMP": (".bmp", "image/bmp"),
}


@contextmanager
def opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Pillow's image of a file's bytes. Raises ImageUnreadable for what is none, or is broken when decoded within."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # The library has judged the size before (LIMNER_MAX_PIXELS); Pillow still refuses the really huge.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ImageUnreadable(
            f"Image {line(name)} cannot be read: {line(str(e))}. Put a sound copy in its place."
        ) from e


def kind_of(data: bytes, name: str) -> tuple[str, str]:
    """(suffix, media type) by what the bytes are. Raises ImageUnreadable for what browsers do not show."""
    with opened(data, name) as image:
        found = image.format or ""
    if found not in _SHOWN:
        raise ImageUnreadable(
            f"Image {line(name)} is {found or 'of no known kind'}, which browsers do not show. Save it as JPEG or PNG."
        )
    return _SHOWN[found]


class Embedded(NamedTuple):
    """An image as the page holds it."""

    src: str
    """data: URL."""
    width: int
    """px, turned as it is shown."""
    height: int
    clear: bool
    """Whether it lets the page shine through: black drawings need light paper under them in the dark."""


def embedded(data: bytes, name: str) -> Embedded:
    """A file's bytes as a data: URL; scaled to EMBED_SIDE px when it has more than EMBED_BYTES."""
    from PIL import ImageOps

    kind_of(data, name)
    data = _scaled(data, name) if len(data) > EMBED_BYTES else data
    media = kind_of(data, name)[1]
    with opened(data, name) as image:
        shown = ImageOps.exif_transpose(image)
        width, height = shown.size
        clear = _is_clear(shown)
    return Embedded(f"data:{media};base64,{base64.b64encode(data).decode()}", width, height, clear)


def shown_parts(article: Article, images: Images) -> Images:
    """The same images, those that the article crops with only the part that it shows. The originals stay whole."""
    crops = {i.image_id: i.crop for i in article.illustrations if i.crop is not None}

    def image(image_id: str) -> tuple[bytes, str]:
        data, suffix = images(image_id)
        crop = crops.get(image_id)
        return (data, suffix) if crop is None else cropped(data, image_id, crop)

    return image


def cropped(data: bytes, name: str, crop: tuple[float, float, float, float]) -> tuple[bytes, str]:
    """A part of an image, upright, encoded anew: (bytes, suffix). An animation becomes its first frame."""
    kind = kind_of(data, name)[0]
    picture = read_picture(data, max_pixels=sys.maxsize)  # the library has judged the size before
    left, top, width, height = crop
    x, y = (min(int(share * side), side - 1) for share, side in zip((left, top), picture.size, strict=True))
    right = min(picture.width, max(x + 1, round((left + width) * picture.width)))
    bottom = min(picture.height, max(y + 1, round((top + height) * picture.height)))
    part, profile, out = picture.crop((x, y, right, bottom)), picture.info.get("icc_profile"), io.BytesIO()
    if kind == ".jpg":
        part.convert("RGB").save(out, "JPEG", quality=92, icc_profile=profile)
        return out.getvalue(), ".jpg"
    part.info = {}  # Pillow would write comments and EXIF of the file it came from
    part.save(out, "PNG", icc_profile=profile)
    return out.getvalue(), ".png"


def filed(i: Illustration, file: str, images: Images) -> Illustration:
    """An illustration as it stands in an export: the file there is what it shows, and is cropped no more."""
    if i.crop is None:
        return i.model_copy(update={"file": file})
    with opened(images(i.image_id)[0], i.image_id) as image:
        return i.model_copy(update={"file": file, "crop": None, "width": image.width, "height": image.height})


def _is_clear(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    low, _ = image.convert("RGBA").getchannel("A").getextrema()
    return isinstance(low, int | float) and low < 128


def _scaled(data: bytes, name: str) -> bytes:
    """The image at most EMBED_SIDE px wide and high; animations, and what would not get smaller, as they are."""
    from PIL import ImageOps

    with opened(data, name) as image:
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            return data
        share = EMBED_SIDE / max(image.size)
        # A JPEG decodes straight to a half, a quarter or an eighth, as long as that is not below the size asked for.
        image.draft("RGB", (math.ceil(image.width * share), math.ceil(image.height * share)))
        small = ImageOps.exif_transpose(image)
        small = small.convert("RGBA" if small.has_transparency_data else "RGB")
        small.thumbnail((EMBED_SIDE, EMBED_SIDE))
        out = io.BytesIO()
        small.save(out, "WEBP", quality=85) if small.mode == "RGBA" else small.save(out, "JPEG", quality=88)
    return min(data, out.getvalue(), key=len)


def own_images(article: Article, folder: Path) -> dict[str, Path]:
    """The image files in `folder` that a draft points at itself: relative name, as it stands in the text -> file.

    Left out are addresses, absolute names, names that lead out of the folder, and what is no image by its name.
    """
    root, found = folder.resolve(), {}
    inline = [child for token in markdown().parse(article.source) for child in token.children or ()]
    for token in (t for t in inline if t.type == "image"):
        name = unquote(str(token.attrs.get("src", "")))
        if not name or ":" in name or "\\" in name or "\0" in name or name.startswith("/"):
            continue
        path = (root / name).resolve()
        if (
            path.is_relative_to(root)
            and path.suffix.lower() in _OWN
            and path.is_file()
            and ".." not in Path(name).parts
        ):
            found[name] = path
    return found


_OWN = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".svg"}
