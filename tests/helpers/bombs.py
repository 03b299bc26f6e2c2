"""Hostile pictures, small as files: what they ask of a decoder is out of all proportion. Name -> bytes."""

from __future__ import annotations

import base64
import struct
import zlib

_OPEN = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {}>{}</svg>'
_BOX = 'width="200" height="200" viewBox="0 0 200 200"'
_RECT = '<rect width="10" height="10"/>'


def _svg(inside: str, root: str = _BOX) -> bytes:
    return _OPEN.format(root, inside).encode()


def _sizes() -> dict[str, bytes]:
    roots = {
        "high": 'width="200" height="1000000000"',
        "wide": 'width="1000000000" height="200"',
        "both": 'width="1e9" height="1e9"',
        "beyond": 'width="1e38" height="1e-38"',
        "infinite": 'width="1e400" height="10"',
        "percent": 'width="100%" height="1e12%" viewBox="0 0 1 1e12"',
        "percent of a long box": 'width="100%" height="100%" viewBox="0 0 1 4000000000"',
        "box alone": 'viewBox="0 0 1e-30 1e30"',
        "box of nothing": 'viewBox="0 0 0 0" width="1e10"',
        "negative box": 'viewBox="0 0 -1 -1e12"',
        "box with commas": 'viewBox="0,0,1,1e12"',
        "units": 'width="1e8in" height="1mm"',
        "style": 'width="20" height="20" style="width:1e9px;height:1px"',
        "no number": 'width="1e9e9" height="....."',
    }
    found = {f"size, {name}": _svg(_RECT, root) for name, root in roots.items()}
    found["size, what is drawn"] = _svg('<rect width="1" height="1e9"/>', "")
    found["size, what is drawn both ways"] = _svg('<rect x="-1e30" width="2e30" height="1"/>', "")
    found["size, style sheet"] = _svg(f"<style>svg{{width:1e9px;height:1e9px}}</style>{_RECT}")
    found["size, zoomed"] = _svg(_RECT, f'{_BOX} transform="scale(1e12)"')
    return found


def _nesting() -> dict[str, bytes]:
    groups = {
        "groups": ('<g opacity=".99">', "</g>"),
        "clips": ('<g clip-path="url(#c)" opacity=".5">', "</g>"),
        "drawings": ('<svg width="200" height="200" viewBox="0 0 9 9">', "</svg>"),
        "links": ('<a href="#x">', "</a>"),
        "switches": ("<switch>", "</switch>"),
        "texts": ("<tspan>", "</tspan>"),
    }
    found = {}
    for name, (start, end) in groups.items():
        for depth in (190, 900, 20_000):
            inside = start * depth + _RECT + end * depth
            found[f"{name} {depth} deep"] = _svg(f"<text>{inside}</text>" if name == "texts" else inside)
    return found


def _chains() -> dict[str, bytes]:
    """Definitions that refer to the one before, several times each: two to the power of their number in all."""
    found = {}
    uses = "".join(f'<g id="a{n}">' + f'<use href="#a{n - 1}"/>' * 10 + "</g>" for n in range(1, 12))
    found["uses of uses"] = _svg(f'<rect id="a0" width="1" height="1"/>{uses}')
    found["a use of itself"] = _svg('<g id="a"><use href="#a"/><rect width="9" height="9"/></g>')
    for name, attribute, more in (
        ("pattern", "fill", 'width=".01" height=".01"'),
        ("mask", "mask", ""),
        ("clipPath", "clip-path", ""),
        ("filter", "filter", ""),
    ):
        parts = "".join(
            f'<{name} id="p{n}" {more}>'
            + f'<rect width="200" height="200" {attribute}="url(#p{n - 1})"/>' * 9
            + f"</{name}>"
            for n in range(1, 12)
        )
        last = f'<rect width="200" height="200" {attribute}="url(#p11)"/>'
        found[f"{name} of {name}s"] = _svg(f'<defs><{name} id="p0" {more}>{_RECT}</{name}>{parts}</defs>{last}')
    paths = [f'<path d="M0 0{"L1 1" * 50}" marker-mid="url(#m{n})"/>' for n in range(8)]
    size = 'markerWidth="9" markerHeight="9"'
    markers = "".join(f'<marker id="m{n}" {size}>{path}</marker>' for n, path in enumerate(paths, 1))
    found["markers on markers"] = _svg(f'<defs>{markers}</defs><path d="M0 0{"L9 9" * 50}" marker-mid="url(#m8)"/>')
    links = "".join(f'<linearGradient id="g{n}" href="#g{n + 1}"/>' for n in range(20_000))
    found["gradients of gradients"] = _svg(f'<defs>{links}</defs><rect width="9" height="9" fill="url(#g0)"/>')
    return found


def _filters() -> dict[str, bytes]:
    primitives = {
        "noise": '<feTurbulence numOctaves="100000000" baseFrequency=".5"/>',
        "noise of a huge number": '<feTurbulence numOctaves="1e20"/>',
        "blur": '<feGaussianBlur stdDeviation="1e9"/>' * 200,
        "morphology": '<feMorphology operator="dilate" radius="1e6"/>' * 50,
        "convolve": f'<feConvolveMatrix order="200" kernelMatrix="{"1 " * 40_000}"/>' * 5,
        "convolve of a huge order": '<feConvolveMatrix order="65535" kernelMatrix="1"/>',
        "light": '<feDiffuseLighting surfaceScale="1e30"><fePointLight x="1" y="1" z="1"/></feDiffuseLighting>' * 200,
        "displacement": '<feDisplacementMap in2="SourceGraphic" scale="1e30"/>' * 300,
        "tiles": '<feFlood x="0" y="0" width=".001" height=".001"/><feTile/>' * 200,
        "table": f'<feComponentTransfer><feFuncR type="table" tableValues="{"1 0 " * 200_000}"/></feComponentTransfer>',
        "merge": f"<feMerge>{'<feMergeNode/>' * 50_000}</feMerge>",
    }
    region = 'x="-1e6" y="-1e6" width="1e9" height="1e9" filterUnits="userSpaceOnUse"'
    found = {}
    for name, primitive in primitives.items():
        for where, area in (("", ""), (" over everything", region)):
            inside = f'<filter id="f" {area}>{primitive}</filter><rect width="200" height="200" filter="url(#f)"/>'
            found[f"filter, {name}{where}"] = _svg(inside)
    return found


def _many() -> dict[str, bytes]:
    inner = base64.b64encode(png(9400, 9400)).decode()
    return {
        "200,000 rectangles": _svg('<rect width="200" height="200" opacity=".5"/>' * 140_000),
        "a path of a million points": _svg(f'<path fill="none" stroke="red" d="M0 0{"L9 9L1 5" * 500_000}"/>'),
        "a dash of nothing": _svg('<path stroke="red" stroke-dasharray="1e-6" d="M0 0L1e6 1e6"/>'),
        "curves without end": _svg(f'<path stroke="red" stroke-width="1e6" d="M0 0{"C1e9 0 0 1e9 9 9" * 9_000}"/>'),
        "text of a million letters": _svg(f'<text y="50" font-size="1e6">{"W" * 1_000_000}</text>'),
        "a style sheet of 100,000 rules": _svg(f"<style>{'rect{fill:red}' * 100_000}</style>{_RECT * 500}"),
        "entities": b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10 if n else b"&a;" * 10) for n in range(9))
        + b"]>"
        + _svg("<text>&a8;</text>"),
        "a name of a megabyte": _svg(f"<{'g' * 1_000_000}/>"),
        "attributes": _svg("<g " + " ".join(f"a{n}=''" for n in range(100_000)) + "/>"),
        "symbols of symbols": _svg(
            "".join(f'<symbol id="s{n}">' + f'<use href="#s{n - 1}"/>' * 10 + "</symbol>" for n in range(1, 12))
            + f'<symbol id="s0">{_RECT}</symbol><use href="#s11"/>'
        ),
        "text on a path of a million points": _svg(
            f'<path id="p" d="M0 0{"L9 9L1 5" * 500_000}"/>'
            f'<text><textPath href="#p">{"honey " * 9_000}</textPath></text>'
        ),
        "strokes of strokes": _svg(
            '<path stroke="red" stroke-width="1e-9" stroke-dasharray=".0001 .0001" d="M0 0L200 200"/>' * 200
        ),
        "letters of a huge font": _svg(f'<text y="190" font-size="190" textLength="1e9">{"W" * 10_000}</text>'),
        "pictures within": _svg(f'<image width="9" height="9" href="data:image/png;base64,{inner}"/>' * 9),
    }


# --- raster images ---------------------------------------------------------------------------------------------------


def png(width: int, height: int, *, bits: int = 1, colours: int = 0, rows: int | None = None) -> bytes:
    """A PNG of zeros, which compress a thousandfold. rows: how many are really there."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer, row = zlib.compressobj(9), bytes(1 + width * bits * {0: 1, 2: 3, 6: 4}[colours] // 8)
    body = b"".join(packer.compress(row) for _ in range(height if rows is None else rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def _rasters() -> dict[str, bytes]:
    tiff = struct.pack("<2sHIH", b"II", 42, 8, 2) + struct.pack("<HHIIHHII", 256, 4, 1, 1 << 31, 257, 4, 1, 1 << 31)
    loop = struct.pack("<2sHIHI", b"II", 42, 8, 0, 8)  # a directory that names itself as the next one
    texts = b"".join(
        struct.pack(">I", len(t)) + b"zTXt" + t + struct.pack(">I", zlib.crc32(b"zTXt" + t))
        for t in [b"a\0\0" + zlib.compress(bytes(50_000_000), 9)] * 20
    )
    whole = png(64, 64)
    return {
        "PNG of 900 million pixels": png(30_000, 30_000, rows=10),
        "PNG of 88 million pixels": png(9_400, 9_400),
        "PNG of 88 million pixels in 16 bits": png(9_400, 9_400, bits=16),
        "PNG as wide as can be": png((1 << 31) - 8, 1, rows=0),
        "PNG with texts of a gigabyte": whole[:33] + texts + whole[33:],
        "GIF of a large screen": b"GIF89a\xff\xff\xff\xff\0\0\0" + b"\x2c" + bytes(9) + b"\2\0;",
        "TIFF of two billion by two billion": tiff + bytes(4),
        "TIFF without end": loop,
        "BMP of a large size": _bmp(40_000, 40_000),
        "BMP upside down": _bmp(-1, -(1 << 31)),
        "WebP that lies": b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xff" * 6,
        "AVIF that lies": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf\xff\xff\xff\xffmeta" + bytes(64),
        "JPEG of 65,535 by 65,535": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03" + bytes(9) + b"\xff\xd9",
    }  # fmt: skip


def all_of_them() -> dict[str, bytes]:
    """The whole collection."""
    return {**_sizes(), **_nesting(), **_chains(), **_filters(), **_many(), **_rasters()}
