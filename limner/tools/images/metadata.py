"""Read an image file's own metadata: XMP first, then IPTC, EXIF and a PNG's texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limner.lazy import lazy
from limner.tools.images.charset import decode
from limner.tools.images.facts import LIMITS, Facts, day, facts_of
from limner.tools.images.opening import DAMAGED, MAX_PIXELS, open_picture
from limner.tools.images.svg import is_svg, svg_words
from limner.tools.images.xmp import LISTS, read_xmp

if TYPE_CHECKING:
    from PIL import ExifTags, Image, ImageFile, IptcImagePlugin
else:  # pictures are opened later than libraries
    ExifTags = lazy("PIL.ExifTags")
    IptcImagePlugin = lazy("PIL.IptcImagePlugin")


@dataclass(frozen=True)
class Described:
    """An image's description; "" for unknown fields."""

    caption: str = ""
    alt: str = ""
    credit: str = ""
    licence: str = ""
    details: str = ""
    """Headline, keywords, persons, places, event and date, for search and display."""
    facts: Facts = field(default_factory=dict)
    """The same and more, one by one, for filters."""


# Descriptions that cameras and programs write by themselves, without meaning.
_BY_MACHINE = re.compile(
    r"\s*(?:olympus digital camera|sony dsc|samsung camera pictures|minolta digital camera|konica minolta.*|dcim.*|"
    r"digital camera|camera|exif[_ ]jpeg.*|default|untitled|description|image description|created with .*|"
    r"processed with .*|screenshot)?\s*",
    re.IGNORECASE,
)


def metadata(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Described:
    """The file's description, alternative text, credit, rights and details: XMP first, then IPTC, then EXIF.

    An SVG has <title> and <desc>. Unreadable parts of the metadata count as absent, because the image is still good.
    Raises ImageUnreadable like `read_picture` for the header.
    """
    if is_svg(data):
        title, description = svg_words(data)
        return Described(caption=title or description, alt=description if title else "")
    return described(said_in(data, max_pixels=max_pixels))


def described(values: Mapping[str, str]) -> Described:
    """The description from properties (`said_in`): the caption is the description, else the headline, else the
    title."""

    def first(*keys: str) -> str:
        return next((values[key] for key in keys if values.get(key)), "")

    caption = first("description", "headline", "title")
    details = [values.get(key, "") for key in ("headline", "title", "keywords", "persons", "place", "city", "state")]
    details += [values.get("country", ""), values.get("event", ""), day(values.get("date", ""))]
    details = [text.replace("\n", ", ") for text in details]
    return Described(
        caption=caption,
        alt=first("alt"),
        credit=first("credit", "creator"),
        licence=first("terms", "licence", "statement", "rights"),
        details="; ".join(dict.fromkeys(text for text in details if text and text != caption)),
        facts=facts_of(values),
    )


def said_in(data: bytes, *, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """The properties of a raster image: from XMP first, then IPTC, then EXIF, then a PNG's texts.

    Keys are those of `xmp.PROPERTIES` that the image has; the items of `xmp.LISTS` are on a line each.
    """
    picture = open_picture(data, max_pixels)
    packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or _gif_packet(data)
    return merged([read_xmp(packet), _iptc(picture), _exif(picture), _png_texts(picture)])


def merged(sources: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The first value of each property and all of LIMITS, without values that a machine wrote by itself and values
    without letters."""
    keys = dict.fromkeys(key for source in sources for key in source)
    found = {key: next((v.strip() for s in sources if not _lost(v := s.get(key, ""))), "") for key in keys}
    for key in LIMITS:  # a second source does not lift what the first forbids
        found[key] = "\n".join(dict.fromkeys(v for s in sources if not _lost(v := s.get(key, "").strip())))
    # The title stands in for a missing description; text by a machine discredits both.
    if _BY_MACHINE.fullmatch(found.get("description") or found.get("title") or ""):
        found |= {"description": "", "title": ""}
    return {key: value for key, value in found.items() if value}


def _lost(text: str) -> bool:
    """Whether a text is empty, or a program without Unicode replaced most of its letters: "??????? podezd"."""
    return not text.strip() or text.count("?") >= max(3, sum(map(str.isalpha, text)))


def orientation_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> int:
    """EXIF's orientation, 1 to 8; 1 without one."""
    try:
        return int(open_picture(data, max_pixels).getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGED:
        return 1


_GIF_PACKET = re.compile(rb"XMP DataXMP(.*?)\x01\xff\xfe\xfd", re.DOTALL)


def _gif_packet(data: bytes) -> bytes:
    """The XMP packet of a GIF, which Pillow ignores."""
    found = _GIF_PACKET.search(data) if data.startswith(b"GIF8") else None
    return found[1] if found else b""


_IPTC = {
    "description": 120, "headline": 105, "title": 5, "credit": 110, "creator": 80, "rights": 116, "keywords": 25,
    "place": 92, "city": 90, "state": 95, "country": 101, "date": 55,
    "embargo": 30, "embargo_time": 35, "expires": 37, "expires_time": 38,
}  # fmt: skip
_UTF8 = b"\x1b%G"  # UTF-8 as an IPTC block declares it


def _iptc(picture: ImageFile.ImageFile) -> dict[str, str]:
    """IPTC's properties, in the block's declared charset, else in the one detected from all of them."""
    try:
        fields = IptcImagePlugin.getiptcinfo(picture) or {}
    except DAMAGED:
        return {}
    found = {key: _values(fields.get((2, code))) for key, code in _IPTC.items()}
    whole = b"\n".join(value for values in found.values() for value in values)
    text = whole.decode("utf-8", "replace") if _UTF8 in _values(fields.get((1, 90))) else decode(whole)
    lines = iter((text or "").split("\n"))
    if text is None or text.count("\n") != whole.count(b"\n"):
        return {}
    read = {key: ("\n" if key in LISTS else ", ").join(_lines(values, lines)) for key, values in found.items()}
    return {**read, **{key: f"{read[key]} {read[f'{key}_time']}".strip() for key in LIMITS}}


def _values(field: Any) -> list[bytes]:
    """A field's values; line breaks within one become spaces."""
    values = field if isinstance(field, list) else [field]
    return [b" ".join(v.split()).strip(b"\x00 ") for v in values if isinstance(v, bytes) and v.strip(b"\x00 ")]


def _lines(values: list[bytes], lines: Iterator[str]) -> Iterator[str]:
    return (next(lines) for _ in values)


def _exif(picture: Image.Image) -> dict[str, str]:
    """EXIF's properties, and those of Windows Explorer (XP...), which are UTF-16."""
    try:
        tags: Mapping[int, Any] = picture.getexif()
        more: Mapping[int, Any] = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        windows = {tag: _utf_16(tags.get(tag)) for tag in _XP.values()}
        comment = _comment(more.get(ExifTags.Base.UserComment))
        found = {
            "description": _decoded(tags.get(ExifTags.Base.ImageDescription, "")),
            "creator": _decoded(tags.get(ExifTags.Base.Artist, "")),
            "rights": _decoded(tags.get(ExifTags.Base.Copyright, "")),
            "date": _decoded(more.get(ExifTags.Base.DateTimeOriginal, "")),
            "rating": str(tags.get(_RATING, "")),
        }
    except DAMAGED:
        return {}
    own = {key: windows[tag] for key, tag in _XP.items()}
    spoken = found["description"]
    spoken = "" if _BY_MACHINE.fullmatch(spoken) or _lost(spoken) else spoken
    return {
        **found,
        "description": spoken or own["comment"] or own["subject"] or comment or found["description"],
        "title": own["title"],
        "headline": own["subject"] if own["comment"] else "",
        "creator": found["creator"] or own["author"],
        "keywords": "\n".join(part.strip() for part in own["keywords"].split(";") if part.strip()),
    }


_RATING = 0x4746  # of Windows Explorer, 0 to 5
_XP = {"title": 0x9C9B, "comment": 0x9C9C, "author": 0x9C9D, "keywords": 0x9C9E, "subject": 0x9C9F}


def _utf_16(value: Any) -> str:
    raw = bytes(value) if isinstance(value, (bytes, bytearray, tuple, list)) else b""
    return raw.decode("utf-16-le", "ignore").partition("\x00")[0].strip()


def _comment(value: Any) -> str:
    """EXIF's UserComment: eight bytes that name the encoding, then the text."""
    if isinstance(value, str):  # of type ASCII, as piexifjs writes it
        value = value.encode("latin-1", "ignore")
    if not isinstance(value, bytes):
        return ""
    name, text = value[:8], value[8:]
    if name.startswith(b"UNICODE"):
        order = "utf-16-be" if text[:1] == b"\0" else "utf-16-le"
        text += b"\0" * (len(text) % 2)  # Pillow takes the last one off a text
        return text.decode(order, "ignore").strip("\ufeff\x00 ")
    return (decode(text.strip(b"\x00 ")) or "").strip() if name[:5] in (b"ASCII", b"\0\0\0\0\0", b"JIS\0\0") else ""


def _png_texts(picture: Image.Image) -> dict[str, str]:
    texts = {key.lower(): value for key, value in _texts(picture.info)}
    names = {"description": "description", "title": "title", "creator": "author", "rights": "copyright"}
    return {key: texts.get(name, "") for key, name in names.items()}


def _texts(info: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    return ((key, str(value)) for key, value in info.items() if isinstance(key, str) and isinstance(value, str))


def _decoded(value: Any) -> str:
    """Text of an EXIF tag, which Pillow decodes as Latin-1; "" if the encoding is uncertain."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_decoded(v) for v in value)
    raw = value.encode("latin-1", "ignore") if isinstance(value, str) else value
    if not isinstance(raw, bytes):
        return ""
    if isinstance(value, str) and len(raw) < len(value):  # it has other characters than Latin-1: nothing to repair
        return value.strip("\x00 ")
    return (decode(raw.strip(b"\x00 ")) or "").strip("\x00 ")
