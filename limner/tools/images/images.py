"""Picture files, which are never trusted: opened within bounds, checked whole, described, made small for a prompt.

A file's header is looked at before anything is decoded, only the formats listed here are tried, and an SVG is drawn
from a copy that holds no scripts and no reference to anything outside itself.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from limner.errors import ImageUnreadable
from limner.tools.images.colour import flatten, to_rgb

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 89_000_000  # 356 MB as RGBA; Pillow itself warns beyond 89,478,485
MAX_BYTES = 200_000_000  # of a file; a 100-million-pixel TIFF without compression is 300 MB, photographs are below 60
SVG_SIDE = 512  # px of the longer side: four times the 128 px that drawings of this kind are mostly shown at
SVG_BYTES = 10_000_000

_PHOTOS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)
SUFFIXES = frozenset({*_PHOTOS, ".svg"})
"""File name endings, lower case, that say a file is an image."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# MPO is how Pillow calls a JPEG with a second picture behind the first, as phones write them.
_AS_IS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "AVIF": ".avif"}
# What Pillow's readers raise on files that are cut short or damaged; its own tests expect these of hostile files.
_DAMAGED: tuple[type[BaseException], ...] = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(struct.error, zlib.error, MemoryError, UserWarning, RuntimeError),
)


@dataclass(frozen=True)
class Described:
    """What is known of a picture in words; "" where nothing is."""

    caption: str = ""
    alt: str = ""
    credit: str = ""
    licence: str = ""


# --- pixels --------------------------------------------------------------------------------------------------------


def read_picture(
    data: bytes, *, max_pixels: int = MAX_PIXELS, side: int | None = None, keep_profile: bool = False
) -> Image.Image:
    """Decode the first frame, upright (EXIF orientation applied), as RGB or RGBA in sRGB (see `colour.to_rgb`).

    side: a JPEG may be decoded smaller, as long as both sides keep this many px; still, all of it is read.
    keep_profile: leave RGB pixels in the file's own colour profile, which stays in `info`. SVG is drawn with its
    longer side at SVG_SIDE px. Raises ImageUnreadable, with the reason, for what is not an image, is cut short, or has
    more than `max_pixels` pixels; the size is checked before pixels are decoded.
    """
    from PIL import Image

    picture = _open(data, max_pixels)
    try:
        if side:
            picture.draft("RGB", (side, side))
        picture.load()
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
        shown = to_rgb(picture, keep_profile=keep_profile)
        return shown if turn is None else shown.transpose(Image.Transpose(turn))
    except _DAMAGED as error:
        _refuse_damaged(error)


_ORIENTATION = 0x0112
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF's orientation -> Pillow's Transpose that makes the picture upright."""


def size_of(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height in px, upright, after decoding all of it. Raises ImageUnreadable as `read_picture` does."""
    from PIL import ExifTags

    picture = _open(data, max_pixels)
    try:
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        picture.draft("RGB", (max(1, width // 8), max(1, height // 8)))  # reads the whole JPEG at an eighth of the work
        picture.load()
    except _DAMAGED as error:
        _refuse_damaged(error)
    return (height, width) if turned else (width, height)


def displayable(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[bytes, str]:
    """Bytes that every browser shows, and their file name's suffix.

    JPEG, PNG, WebP, GIF and AVIF come back as they are, after all of them was decoded: quality, colour profile and
    animation stay, and so does their metadata, GPS position included (`tools.publish` takes it out). BMP, TIFF and SVG
    become PNG, HEIC JPEG, upright and without metadata but their colour profile. Raises ImageUnreadable.
    """
    if is_svg(data):
        return draw_svg(data, max_pixels=max_pixels), ".png"
    kind = _open(data, max_pixels).format or ""
    suffix = _AS_IS.get(kind, "")
    if suffix:
        size_of(data, max_pixels=max_pixels)
        return data, suffix
    picture = read_picture(data, max_pixels=max_pixels, keep_profile=True)
    profile = picture.info.get("icc_profile")
    if kind == "HEIF" and picture.mode == "RGB":  # a photograph is six times as large as a PNG
        return _encoded(picture, "JPEG", quality=92, icc_profile=profile), ".jpg"
    return _encoded(picture, "PNG", icc_profile=profile), ".png"


def thumbnail(data: bytes, side: int = 256, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """A WebP of at most `side` px on its longer side, upright, without metadata. Raises ImageUnreadable."""
    picture = read_picture(data, max_pixels=max_pixels, side=side)
    picture.thumbnail((side, side))
    return _encoded(picture, "WEBP", quality=80)


def data_url(data: bytes, side: int = 512, *, max_pixels: int = MAX_PIXELS) -> str:
    """`data:image/jpeg;base64,...` of at most `side` px on its longer side, for a prompt.

    Always encoded anew, on white: nothing of the file but pixels reaches a model server. Raises ImageUnreadable.
    """
    picture = read_picture(data, max_pixels=max_pixels, side=side)
    picture.thumbnail((side, side))
    return "data:image/jpeg;base64," + base64.b64encode(_encoded(flatten(picture), "JPEG", quality=85)).decode()


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The picture with its header read and its size within bounds, not decoded yet; an SVG is drawn."""
    from PIL import Image, UnidentifiedImageError

    if is_svg(data):
        data = draw_svg(data, max_pixels=max_pixels)
    if not data:
        raise ImageUnreadable("the file is empty: replace it or take it away")
    try:
        picture = Image.open(io.BytesIO(data), formats=(*_FORMATS, *_heif(data)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own bounds (a warning, where warnings are errors, and twice that) are looked at before ours.
        most = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
        raise ImageUnreadable(f"more than {most:,} pixels: save it smaller") from error
    except UnidentifiedImageError as error:
        raise ImageUnreadable("not an image that limner reads: save it as JPEG, PNG or WebP") from error
    except _DAMAGED as error:
        _refuse_damaged(error)
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageUnreadable(f"{width} x {height} is more than {max_pixels:,} pixels: save it smaller")
    return picture


def _heif(data: bytes) -> tuple[str, ...]:
    """Pillow's name for HEIC once its plug-in is there; only asked when the data says that it is HEIC."""
    if data[4:8] != b"ftyp" or data[8:12] not in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return ()
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError as error:
        if data[8:12] in (b"mif1", b"msf1"):  # also what some AVIF files begin with, and those Pillow reads
            return ()
        raise ImageUnreadable("HEIC needs a reader: pip install 'limner[heif]', or save it as JPEG") from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _refuse_damaged(error: BaseException) -> NoReturn:
    words = " ".join(str(error).split())[:120] or type(error).__name__
    raise ImageUnreadable(f"cut short or damaged ({words}): get the file again") from error


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    bare = picture.copy()
    bare.info = {}  # Pillow would write comments and EXIF of the file it came from
    out = io.BytesIO()
    bare.save(out, kind, **options)
    return out.getvalue()


# --- SVG -----------------------------------------------------------------------------------------------------------

_SVG_START = re.compile(rb"\A\s*<[^>]*?svg|<svg[\s>/]|<\w+:svg[\s>/]", re.IGNORECASE)
_LEFT_OUT = frozenset({"script", "foreignObject", "iframe", "audio", "video", "handler", "listener"})
_INLINE_IMAGE = re.compile(r"data:image/(?:png|jpe?g|gif|webp)(?:;[\w=-]+)*;base64,", re.IGNORECASE)


def is_svg(data: bytes) -> bool:
    """Whether it begins as an SVG does, its XML declaration, comments and DOCTYPE included."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"<") and _SVG_START.search(head) is not None


def draw_svg(data: bytes, *, side: int = SVG_SIDE, max_pixels: int = MAX_PIXELS) -> bytes:
    """A PNG of the SVG, transparent where it is, its longer side `side` px.

    Scripts do not run and nothing outside the file is read: neither a path nor a URL. Raises ImageUnreadable.
    """
    import resvg_py

    root = _svg_tree(data)
    wide = _is_wide(root)
    text = ElementTree.tostring(_self_contained(root, max_pixels), encoding="unicode")
    # Looking for the system's fonts takes longer than most drawings; those without text need none.
    fontless = not any(_local(e.tag) in ("text", "tspan") for e in root.iter())
    width, height = (side, None) if wide else (None, side)  # the other side follows, so it cannot be larger
    try:
        return resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=fontless, width=width, height=height)
    except ValueError as error:
        raise ImageUnreadable(f"not an SVG that can be drawn ({error}): save it as PNG") from error


def _svg_tree(data: bytes) -> ElementTree.Element:
    if len(data) > SVG_BYTES:
        raise ImageUnreadable(f"an SVG of more than {SVG_BYTES // 1_000_000} MB: save it as PNG")
    try:
        return ElementTree.fromstring(data)  # expat bounds how far entities expand, and fetches none
    except (ElementTree.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise ImageUnreadable(f"not well-formed SVG ({error}): save it again") from error


def _local(tag: Any) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _is_wide(root: ElementTree.Element) -> bool:
    """Whether the drawing is at least as wide as high, by width and height, else by viewBox."""
    box = [float(n) for n in re.findall(r"[-+]?[\d.]+(?:e[-+]?\d+)?", root.get("viewBox", "")) if _is_number(n)]
    width, height = _px(root.get("width")), _px(root.get("height"))
    if len(box) == 4 and box[2] > 0 and box[3] > 0:
        width = width or (height * box[2] / box[3] if height else box[2])
        height = height or width * box[3] / box[2]
    return (width or 100) >= (height or 100)


_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 9.6 / 2.54, "em": 16, "ex": 8}


def _px(length: str | None) -> float:
    """An SVG length in px; 0 when it is missing or relative (%)."""
    match = re.fullmatch(r"\s*\+?([\d.]+(?:e[-+]?\d+)?)\s*([a-z]*)\s*", length or "", re.IGNORECASE)
    if not match or not _is_number(match[1]):
        return 0.0
    return float(match[1]) * _UNITS.get(match[2].lower(), 0.0)


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < 1e9
    except ValueError:
        return False


def _self_contained(root: ElementTree.Element, max_pixels: int) -> ElementTree.Element:
    """The tree without scripts, and with references only into itself or to pictures inside it.

    resvg runs no script and opens no URL, but its default resolver does open files by path.
    """
    for parent in root.iter():
        for child in list(parent):
            if _local(child.tag) in _LEFT_OUT or not isinstance(child.tag, str):
                parent.remove(child)
        for name in [n for n in parent.keys() if _local(n) == "href"]:  # noqa: SIM118  # an Element is not a dict
            target = parent.get(name, "").strip()
            if not (target.startswith("#") or _is_inline_image(target, max_pixels)):
                del parent.attrib[name]
    return root


def _is_inline_image(target: str, max_pixels: int) -> bool:
    """Whether it is a data URL with a raster image within bounds: resvg would decode one of any size."""
    match = _INLINE_IMAGE.match(target)
    if not match:
        return False
    try:
        data = base64.b64decode(target[match.end() :])
        return not is_svg(data) and bool(_open(data, max_pixels).size)
    except (ValueError, ImageUnreadable):
        return False


# --- words inside the file ------------------------------------------------------------------------------------------

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
        return _svg_words(data)
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
    picture = _open(data, max_pixels)
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
        return int(_open(data, max_pixels).getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:
        return 1


def _svg_words(data: bytes) -> Described:
    root = _svg_tree(data)
    texts = {_local(child.tag): " ".join("".join(child.itertext()).split()) for child in root}
    title, description = texts.get("title", ""), texts.get("desc", "")
    return Described(caption=title or description, alt=description if title else "")


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
    except _DAMAGED:
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
    except _DAMAGED:
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
