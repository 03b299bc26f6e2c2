"""Draw an SVG from untrusted bytes: without scripts and outside references, at a size set here."""

from __future__ import annotations

import base64
import math
import re
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from limner.errors import ImageUnreadable
from limner.tools.images.opening import MAX_PIXELS, open_picture

SVG_SIDE = 512  # px of the longer side: four times the usual display size of 128 px
SVG_BYTES = 10_000_000
_DEEPEST = 200  # levels of nesting; resvg overflows its stack at about 900
_NARROWEST = 100  # aspect ratio; at SVG_SIDE px a narrower drawing is invisible
_OCTAVES = 16  # octaves of noise; further ones are finer than a pixel

_SVG_START = re.compile(rb"\A\s*<[^>]*?svg|<svg[\s>/]|<\w+:svg[\s>/]", re.IGNORECASE)
_LEFT_OUT = frozenset({"script", "foreignObject", "iframe", "audio", "video", "handler", "listener"})
_INLINE_IMAGE = re.compile(r"data:image/(?:png|jpe?g|gif|webp)(?:;[\w=-]+)*;base64,", re.IGNORECASE)


def is_svg(data: bytes) -> bool:
    """Whether the data begins like an SVG, possibly with XML declaration, comments and DOCTYPE."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"<") and _SVG_START.search(head) is not None


def draw_svg(data: bytes, *, side: int = SVG_SIDE, max_pixels: int = MAX_PIXELS) -> bytes:
    """A PNG of the SVG, with its transparency, and with a longer side of `side` px.

    No script runs, and no path or URL outside the file is read. Raises ImageUnreadable.
    """
    import resvg_py

    root = _self_contained(_svg_tree(data), max_pixels)
    size = _sized(root, side)
    text = ElementTree.tostring(root, encoding="unicode")
    # Searching the system's fonts takes longer than most drawings, and those without text need none.
    fontless = not any(_local(e.tag) in ("text", "tspan") for e in root.iter())
    try:
        # Without a stated size the drawing's own extent counts; the limits of the process apply then.
        width = None if size else side
        return resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=fontless, width=width)
    except ValueError as error:
        raise ImageUnreadable(f"not an SVG that can be drawn ({error}): save it as PNG") from error


def _svg_tree(data: bytes) -> ElementTree.Element:
    if len(data) > SVG_BYTES:
        raise ImageUnreadable(f"an SVG of more than {SVG_BYTES // 1_000_000} MB: save it as PNG")
    try:
        root = ElementTree.fromstring(data)  # expat limits the expansion of entities and fetches none
    except (ElementTree.ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise ImageUnreadable(f"not well-formed SVG ({error}): save it again") from error
    _check_cost(root)
    return root


def _local(tag: Any) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _sized(root: ElementTree.Element, side: int) -> tuple[int, int] | None:
    """Set the drawing's size in px: the longer side to `side`, the other by its width and height, else its viewBox.

    resvg then sees only numbers set here. None for a file without any size. Raises ImageUnreadable for a drawing that
    is far too long and narrow.
    """
    box = [_number(n) for n in re.split(r"[\s,]+", root.get("viewBox", "").strip())]
    boxed = len(box) == 4 and box[2] > 0 and box[3] > 0
    width, height = _px(root.get("width")), _px(root.get("height"))
    if boxed:
        width = width or (height * box[2] / box[3] if height else box[2])
        height = height or width * box[3] / box[2]
    style = [part for part in root.get("style", "").split(";") if part.partition(":")[0].strip() not in _SIZES]
    root.attrib.update({"style": ";".join(style)} if "style" in root.attrib else {})
    if not (width and height):
        for name in ("width", "height", "viewBox"):
            root.attrib.pop(name, None)
        return None
    if max(width, height) > _NARROWEST * min(width, height):
        raise ImageUnreadable(f"{width:g} x {height:g} is too long and narrow to be shown: save the part you need")
    if not boxed:
        root.set("viewBox", f"0 0 {width!r} {height!r}")
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    root.set("width", str(size[0]))
    root.set("height", str(size[1]))
    return size


_SIZES = ("width", "height", "min-width", "min-height", "max-width", "max-height")
_UNITS = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 9.6 / 2.54, "em": 16.0, "ex": 8.0,
}  # fmt: skip


def _px(length: str | None) -> float:
    """An SVG length in px; 0 if it is missing, relative (%) or not finite."""
    match = re.fullmatch(r"\s*\+?([\d.]+(?:e[-+]?\d+)?)\s*([a-z]*)\s*", length or "", re.IGNORECASE)
    return _number(match[1]) * _UNITS.get(match[2].lower(), 0.0) if match else 0.0


def _number(text: str) -> float:
    """A finite number; 0 for anything else."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and abs(number) < 1e30 else 0.0


def _check_cost(root: ElementTree.Element) -> None:
    """Raises ImageUnreadable for nesting and noise that only attacks have; the process's limits end other slow
    drawings."""
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > _DEEPEST:
            raise ImageUnreadable(f"its parts are nested more than {_DEEPEST} deep: save it as PNG")
        level = [child for element in level for child in element]
    for element in root.iter():
        if _local(element.tag) == "feTurbulence" and _number(element.get("numOctaves", "1")) > _OCTAVES:
            raise ImageUnreadable(f"noise of more than {_OCTAVES} octaves: save it as PNG")


def _self_contained(root: ElementTree.Element, max_pixels: int) -> ElementTree.Element:
    """The tree without scripts, with references only into itself or to embedded images.

    resvg runs no script and opens no URL, but its default resolver opens files by path.
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
    """Whether it is a data URL with a raster image within the limits; resvg would decode any size."""
    match = _INLINE_IMAGE.match(target)
    if not match:
        return False
    try:
        data = base64.b64decode(target[match.end() :])
        return not is_svg(data) and bool(open_picture(data, max_pixels).size)
    except (ValueError, ImageUnreadable):
        return False


def svg_words(data: bytes) -> tuple[str, str]:
    """The drawing's <title> and <desc>, "" if missing. Raises ImageUnreadable."""
    root = _svg_tree(data)
    texts = {_local(child.tag): " ".join("".join(child.itertext()).split()) for child in root}
    return texts.get("title", ""), texts.get("desc", "")
