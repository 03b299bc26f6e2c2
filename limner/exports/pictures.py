"""Prepare the images of an article for its files: check their kind, crop them, scale them for a page."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from limner.document import Article, Illustration
from limner.errors import ImageUnreadable
from limner.exports.words import alt_of, line, machine_label
from limner.tools.images import images
from limner.tools.images.images import Described
from limner.tools.images.publish import published

Images = Callable[[str], tuple[bytes, str]]
"""image id -> (bytes of a file that browsers show, its suffix)."""

SIDE = 1600  # px of the longer side; the widest column is 920 CSS px, so this is sharp on most dense screens
EMBED_BYTES = 300_000  # larger ones are re-encoded: base64 adds a third, and a page may have thirty photographs
_SHOWN = {  # Pillow's name of a format that every current browser shows -> (suffix, media type)
    "JPEG": (".jpg", "image/jpeg"),
    "MPO": (".jpg", "image/jpeg"),  # from many cameras: a JPEG with a second image appended
    "PNG": (".png", "image/png"),
    "GIF": (".gif", "image/gif"),
    "WEBP": (".webp", "image/webp"),
    "AVIF": (".avif", "image/avif"),
    "BMP": (".bmp", "image/bmp"),
}


_ANY = sys.maxsize  # pixels: the library has checked the size before (LIMNER_MAX_PIXELS)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the image's name to an error."""
    try:
        yield
    except ImageUnreadable as e:
        raise ImageUnreadable(
            f"Image {line(name)} cannot be read: {line(str(e))}. Put a sound copy in its place."
        ) from e


def decoded(data: bytes, name: str) -> tuple[int, int]:
    """Width and height in px of an image, upright, after decoding it to its last row. Raises ImageUnreadable."""
    with _named(name):
        return images.size_of(data, max_pixels=_ANY)


def kind_of(data: bytes, name: str) -> tuple[str, str]:
    """(suffix, media type) by the bytes. Raises ImageUnreadable for kinds that browsers do not show."""
    with _named(name):
        found = images.kind_of(data, max_pixels=_ANY)
    return _shown(found, name)


def _shown(found: str, name: str) -> tuple[str, str]:
    if found not in _SHOWN:
        raise ImageUnreadable(
            f"Image {line(name)} is {found or 'of no known kind'}, which browsers do not show. Save it as JPEG or PNG."
        )
    return _SHOWN[found]


class Embedded(NamedTuple):
    """An image for a page or a document."""

    data: bytes
    media: str
    width: int
    """px, in display orientation."""
    height: int
    clear: bool
    """Whether it is transparent: black drawings need a light background in dark mode."""
    file: str = ""
    """Its name if it is a file beside the page."""

    @property
    def src(self) -> str:
        """The page's link: the file, or a data: URL with all of it."""
        return self.file or f"data:{self.media};base64,{base64.b64encode(self.data).decode()}"


class Pictures:
    """The images for a format: image id -> (bytes of a file that browsers show, its suffix), ready for publication.

    Private metadata is removed unless `keep_metadata` (`tools.images.publish`).
    """

    def __init__(
        self,
        article: Article,
        images: Images,
        own: Mapping[str, bytes] | None = None,
        *,
        side: int = SIDE,
        keep_metadata: bool = False,
    ) -> None:
        """images: the parts to show (`shown_parts`). own: a draft's own images by their names in the text."""
        self._known = {
            i.image_id: Described(line(i.caption), alt_of(i), line(i.credit), line(i.licence))
            for i in reversed(article.illustrations)
        }
        self._made_by = {i.image_id: i.digital_source_type for i in article.illustrations if i.digital_source_type}
        made = (i for i in article.illustrations if "caption" in i.machine_made)
        self._written_by = {i.image_id: machine_label(article.language) for i in made}
        self._images, self._side, self._keep = images, side, keep_metadata
        self._made: dict[tuple[str, str], Any] = {}
        self.own = dict(own or {})

    def __call__(self, image_id: str) -> tuple[bytes, str]:
        """The image's file. Raises ImageUnreadable for kinds that browsers do not show."""
        return self._once(("file", image_id), lambda: self._file(image_id))

    def embedded(self, image_id: str, *, portable: bool = False) -> Embedded:
        """The image at most `side` px wide and high. portable: upright JPEG or PNG, which every program shows."""
        return self._once((f"embedded {portable}", image_id), lambda: self._embedded(image_id, portable))

    def own_embedded(self, names: Sequence[str], *, portable: bool = False) -> Embedded | None:
        """A draft's own image, by the first of its names with a file, else None."""
        name = next((name for name in names if name in self.own), None)
        if name is None:
            return None
        return self._once((f"own {portable}", name), lambda: embedded(self.own[name], name, self._side, portable))

    def _file(self, image_id: str) -> tuple[bytes, str]:
        data, _ = self._images(image_id)
        return self._public(data, image_id), kind_of(data, image_id)[0]

    def _embedded(self, image_id: str, portable: bool) -> Embedded:
        made = embedded(self(image_id)[0], image_id, self._side, portable)
        return made._replace(data=self._public(made.data, image_id))  # re-encoded images carry their credit, too

    def _public(self, data: bytes, image_id: str) -> bytes:
        kind_of(data, image_id)
        made_by = self._made_by.get(image_id, "")
        if self._keep and not made_by:  # generated images are labelled in any case
            return data
        try:
            return published(data, self._known.get(image_id), made_by, self._written_by.get(image_id, ""))
        except ImageUnreadable as e:
            raise ImageUnreadable(f"Image {line(image_id)} cannot be exported: {e}.") from e

    def _once(self, key: tuple[str, str], make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def public_images(article: Article, images: Images) -> Images:
    """The images of an article for an export: the shown part, without private metadata."""
    return Pictures(article, shown_parts(article, images))


def embedded(data: bytes, name: str, side: int = SIDE, portable: bool = False) -> Embedded:
    """A file's bytes for a page or document, at most `side` px wide and high and below EMBED_BYTES if that is easy.

    portable: upright JPEG or PNG, which every program shows. Raises ImageUnreadable.
    """
    kind_of(data, name)
    with _named(name):
        made = images.fitted(data, side, portable=portable, most=EMBED_BYTES, max_pixels=_ANY)
    return Embedded(made.data, _shown(made.kind, name)[1], made.width, made.height, made.clear)


def shown_parts(article: Article, images: Images) -> Images:
    """The same images, cropped where the article crops them. The originals stay whole."""
    crops = {i.image_id: i.crop for i in article.illustrations if i.crop is not None}

    def image(image_id: str) -> tuple[bytes, str]:
        data, suffix = images(image_id)
        crop = crops.get(image_id)
        return (data, suffix) if crop is None else cropped(data, image_id, crop)

    return image


def cropped(data: bytes, name: str, crop: tuple[float, float, float, float]) -> tuple[bytes, str]:
    """A part of an image, upright, encoded anew: (bytes, suffix). An animation becomes its first frame."""
    kind_of(data, name)
    with _named(name):
        return images.cropped(data, crop, max_pixels=_ANY)


def filed(i: Illustration, file: str, images: Images) -> Illustration:
    """An illustration in an export, whose file is already cropped."""
    if i.crop is None:
        return i.model_copy(update={"file": file})
    width, height = decoded(images(i.image_id)[0], i.image_id)
    return i.model_copy(update={"file": file, "crop": None, "width": width, "height": height})
