"""What an image file says of itself: XMP first, then IPTC, EXIF and a PNG's texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from limner.tools.images.opening import DAMAGED, MAX_PIXELS, open_picture
from limner.tools.images.svg import is_svg, svg_words

if TYPE_CHECKING:
    from PIL import Image, ImageFile


@dataclass(frozen=True)
class Described:
    """What is known of a picture in words; "" where nothing is."""

    caption: str = ""
    alt: str = ""
    credit: str = ""
    licence: str = ""


_NS = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "iptc": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "rights": "http://ns.adobe.com/xap/1.0/rights/",
    "cc": "http://creativecommons.org/ns#",
    "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_XMP_BYTES = 1_000_000
# What cameras and programs write into the description by themselves; it says nothing of the picture.
_BY_MACHINE = re.compile(
    r"\s*(?:olympus digital camera|sony dsc|samsung camera pictures|minolta digital camera|konica minolta.*|dcim.*|"
    r"digital camera|camera|exif[_ ]jpeg.*|default|untitled|description|image description|created with .*|"
    r"processed with .*|screenshot)?\s*",
    re.IGNORECASE,
)


def metadata(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Described:
    """Description, alternative text, credit and rights that the file carries: XMP first, then IPTC, then EXIF.

    An SVG has its <title> and <desc>. Parts of the metadata that cannot be read are treated as absent, since the
    picture is still good. Raises ImageUnreadable where `read_picture` would for the header.
    """
    if is_svg(data):
        title, description = svg_words(data)
        return Described(caption=title or description, alt=description if title else "")
    said = said_in(data, max_pixels=max_pixels)

    def first(*keys: str) -> str:
        return next((said[key] for key in keys if said.get(key)), "")

    return Described(
        caption=first("description", "title"),
        alt=first("alt"),
        credit=first("credit", "creator"),
        licence=first("terms", "licence", "statement", "rights"),
    )


def said_in(data: bytes, *, max_pixels: int = MAX_PIXELS) -> dict[str, str]:
    """What a raster image says in each property of its own: XMP first, then IPTC, then EXIF, then a PNG's texts.

    Of description, title, alt, credit, creator, terms, licence, statement, rights, source_type those that it has.
    """
    picture = open_picture(data, max_pixels)
    packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or _gif_packet(data)
    sources = [_xmp(packet), _iptc(picture), _exif(picture), _png_texts(picture)]
    keys = dict.fromkeys(key for source in sources for key in source)
    found = {key: next((v.strip() for s in sources if (v := s.get(key, "")).strip()), "") for key in keys}
    # Without a description of a person's, the title is one; of a machine's, neither is.
    if _BY_MACHINE.fullmatch(found.get("description") or found.get("title") or ""):
        found |= {"description": "", "title": ""}
    return {key: value for key, value in found.items() if value}


def orientation_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none."""
    from PIL import ExifTags

    try:
        return int(open_picture(data, max_pixels).getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGED:
        return 1


_GIF_PACKET = re.compile(rb"XMP DataXMP(.*?)\x01\xff\xfe\xfd", re.DOTALL)


def _gif_packet(data: bytes) -> bytes:
    """The XMP packet of a GIF, which Pillow passes over."""
    found = _GIF_PACKET.search(data) if data.startswith(b"GIF8") else None
    return found[1] if found else b""


def _xmp(packet: bytes | str) -> dict[str, str]:
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    # Strict on purpose: XMP has no use for a DOCTYPE, and without one there are no entities to expand.
    if not text.strip("\x00 \n") or len(text) > _XMP_BYTES or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return {}
    try:
        root = ElementTree.fromstring(text.strip("\x00 \n\ufeff"))
    except (ElementTree.ParseError, ValueError):
        return {}
    wanted = {
        "description": ("dc", "description"),
        "title": ("dc", "title"),
        "alt": ("iptc", "AltTextAccessibility"),
        "credit": ("photoshop", "Credit"),
        "creator": ("dc", "creator"),
        "terms": ("rights", "UsageTerms"),
        "licence": ("cc", "license"),
        "statement": ("rights", "WebStatement"),
        "rights": ("dc", "rights"),
        "source_type": ("ext", "DigitalSourceType"),
    }
    return {key: _xmp_value(root, f"{{{_NS[prefix]}}}{name}") for key, (prefix, name) in wanted.items()}


def _xmp_value(root: ElementTree.Element, name: str) -> str:
    """A property written as an attribute, as text, or as alternatives (the x-default one) or a list (joined)."""
    for node in root.iter():
        if node.get(name):
            return node.get(name, "")
        if node.tag != name:
            continue
        items = [i for i in node.iter(f"{{{_NS['rdf']}}}li") if (i.text or "").strip()]
        if not items:
            return (node.text or "").strip() or node.get(f"{{{_NS['rdf']}}}resource", "")
        if node.find("rdf:Alt", _NS) is None:
            return ", ".join((i.text or "").strip() for i in items)
        language = "{http://www.w3.org/XML/1998/namespace}lang"
        return min(items, key=lambda i: i.get(language) != "x-default").text or ""
    return ""


def _iptc(picture: ImageFile.ImageFile) -> dict[str, str]:
    from PIL import IptcImagePlugin

    try:
        fields = IptcImagePlugin.getiptcinfo(picture) or {}
    except DAMAGED:
        return {}
    codes = {"description": 120, "title": 105, "credit": 110, "creator": 80, "rights": 116}
    return {key: _decoded(fields.get((2, code), b"")) for key, code in codes.items()}


def _exif(picture: Image.Image) -> dict[str, str]:
    from PIL.ExifTags import Base

    try:
        tags: Mapping[int, Any] = picture.getexif()
        names = {"description": Base.ImageDescription, "creator": Base.Artist, "rights": Base.Copyright}
        found = {key: _decoded(tags.get(tag, "")) for key, tag in names.items()}
        title = tags.get(Base.XPTitle, b"")
        found["title"] = bytes(title).decode("utf-16-le", "ignore").rstrip("\x00") if title else ""
    except DAMAGED:
        return {}
    return found


def _png_texts(picture: Image.Image) -> dict[str, str]:
    texts = {key.lower(): value for key, value in _texts(picture.info)}
    names = {"description": "description", "title": "title", "creator": "author", "rights": "copyright"}
    return {key: texts.get(name, "") for key, name in names.items()}


def _texts(info: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    return ((key, str(value)) for key, value in info.items() if isinstance(key, str) and isinstance(value, str))


def _decoded(value: Any) -> str:
    """Text of a tag: UTF-8 where it is, else Latin-1. Pillow hands EXIF's over as if all were Latin-1."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_decoded(v) for v in value)
    raw = value.encode("latin-1", "ignore") if isinstance(value, str) else value
    if not isinstance(raw, bytes):
        return ""
    if isinstance(value, str) and len(raw) < len(value):  # it had more than Latin-1 already: nothing to repair
        return value.strip("\x00 ")
    try:
        return raw.decode("utf-8").strip("\x00 ")
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip("\x00 ")
