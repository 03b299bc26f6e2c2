"""Prepare an image file for publication: the same pixels, and only metadata about its content and rights.

A photograph's file contains private data: its place, camera, faces, and its look before a crop (the embedded preview).
Only listed parts are kept: the compressed image itself, byte for byte, its colour profile, its orientation, and a new
XMP packet with caption, alternative text, creator, credit and licence in the fields of the IPTC Photo Metadata
Standard.

JPEG: ITU T.81 annex B, CIPA DC-008 (Exif). PNG: W3C PNG, third edition. WebP: RFC 9649. GIF: GIF89a. AVIF: ISO/IEC
14496-12, 23008-12. XMP in each of them: Adobe XMP specification, part 3.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from limner.errors import ImageUnreadable
from limner.tools.images.images import Described, orientation_of, said_in

LONGEST = 1000  # characters of one value: ten values, escaped, fit into the 64 kB of a JPEG segment


def published(data: bytes, known: Described | None = None, source_type: str = "", writer: str = "") -> bytes:
    """The file with only its public metadata and unchanged pixels.

    data: a JPEG, PNG, WebP, GIF, AVIF or BMP. known: the library's record, whose credit and licence override the
    file's; caption and alternative text are added if the file has none. source_type: IPTC's "Digital Source Type" of a
    generated image, an address. writer: IPTC's "Description Writer" of the record's caption. Raises ImageUnreadable for
    other kinds, and for a file whose metadata cannot be separated from its image.
    """
    data = bytes(data)
    cleaner = next((clean for begins, clean in _CLEANERS if begins.match(data)), None)
    if cleaner is None:
        raise ImageUnreadable("not a JPEG, PNG, WebP, GIF, AVIF or BMP: save it as one of them")
    try:
        turned = orientation_of(data, max_pixels=sys.maxsize)  # the caller has checked its size
        words = said_in(data, max_pixels=sys.maxsize)
        return cleaner(data, _Public(_exif(turned), packet(words, known or Described(), source_type, writer)))
    except (struct.error, IndexError, ValueError, KeyError, RecursionError) as error:
        raise ImageUnreadable(
            f"its metadata cannot be separated from its image ({error}): save it again, or export with --keep-metadata"
        ) from error


class _Public(NamedTuple):
    """The new metadata of a file."""

    exif: bytes
    """A TIFF structure with only the orientation, b"" if the image is upright."""
    xmp: bytes
    """An XMP packet, b"" if nothing is known."""


# --- the words -------------------------------------------------------------------------------------------------------

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WEB = re.compile(r"https?://[^\s<>\"]+")
_START = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "cc": "http://creativecommons.org/ns#",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}


def packet(said: dict[str, str], known: Described, source_type: str = "", writer: str = "") -> bytes:
    """An XMP packet from a file's properties (`said_in`) and the library's record; b"" if both are empty."""
    words = dict(said)
    if writer and known.caption and not (words.get("description") or words.get("title")):
        words["writer"] = writer
    if source_type:
        words["source_type"] = source_type
    words["description"] = words.get("description") or words.get("title") or known.caption
    words["alt"] = words.get("alt") or known.alt
    credited, licensed = words.get("credit") or words.get("creator"), _licence(words)
    if known.credit and known.credit != credited:
        words["credit"] = known.credit
    if known.licence and known.licence != licensed:
        words |= {"terms": known.licence, "licence": "", "statement": ""}
    if not words.get("statement") and (address := _WEB.search(_licence(words))):
        words["statement"] = address[0]  # image search engines look for the licence here
    fields = [
        f"  {wrap(escape(_clean(words.get(key, ''))))}\n" for key, wrap in _FIELDS.items() if _clean(words.get(key, ""))
    ]
    if not fields:
        return b""
    names = "".join(f"\n  xmlns:{prefix}={quoteattr(name)}" for prefix, name in _NAMESPACES.items() if prefix != "rdf")
    return (
        f'{_START}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_NAMESPACES["rdf"]}">\n'
        f' <rdf:Description rdf:about=""{names}>\n{"".join(fields)} </rdf:Description>\n'
        f'</rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    ).encode()


def _licence(words: dict[str, str]) -> str:
    """The licence, by the rule of `images.metadata`."""
    return next((words[key] for key in ("terms", "licence", "statement", "rights") if words.get(key)), "")


def _clean(text: str) -> str:
    return _NOT_XML.sub(" ", text).strip()[:LONGEST]


_Wrap = Callable[[str], str]


def _plain(tag: str) -> _Wrap:
    return lambda text: f"<{tag}>{text}</{tag}>"


def _language(tag: str) -> _Wrap:
    return lambda text: f'<{tag}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{tag}>'


def _listed(tag: str) -> _Wrap:
    return lambda text: f"<{tag}><rdf:Seq><rdf:li>{text}</rdf:li></rdf:Seq></{tag}>"


_FIELDS: dict[str, _Wrap] = {
    "title": _language("dc:title"),
    "description": _language("dc:description"),
    "writer": _plain("photoshop:CaptionWriter"),  # labels a machine-made caption
    "alt": _language("Iptc4xmpCore:AltTextAccessibility"),
    "creator": _listed("dc:creator"),
    "credit": _plain("photoshop:Credit"),
    "rights": _language("dc:rights"),
    "terms": _language("xmpRights:UsageTerms"),
    "statement": _plain("xmpRights:WebStatement"),
    "licence": _plain("cc:license"),
    "source_type": _plain("Iptc4xmpExt:DigitalSourceType"),  # labels a generated image
}


def _exif(orientation: int) -> bytes:
    """Exif with only the orientation, b"" for 1 (upright)."""
    if orientation not in range(2, 9):
        return b""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


# --- JPEG ------------------------------------------------------------------------------------------------------------

_NEXT = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # a marker; in the compressed data 0 and restarts are not


def _jpeg(data: bytes, public: _Public) -> bytes:
    head, body, at, tail = b"", [], 2, b""
    while True:
        found = _NEXT.search(data, at)  # skip bytes between segments, as decoders do
        if found is None:  # truncated: keep the rest; the decoder reports it
            break
        marker, at = found[0][-1], found.end()
        if marker == 0xD9:  # the image's end: previews, films and other images follow
            tail = b"\xff\xd9"
            break
        if marker == 0x01:  # has no content and no meaning here
            continue
        length = struct.unpack_from(">H", data, at)[0]
        segment = data[at + 2 : at + length]
        if length < 2 or len(segment) < length - 2:
            raise ValueError(f"a segment of {length} bytes at byte {at}")
        at += length
        if marker == 0xE0 and segment.startswith(b"JFIF\0"):
            head = _segment(0xE0, segment[:12] + b"\0\0")  # without its thumbnail
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE) or _is_colour(marker, segment):
            body.append(_segment(marker, segment))
        if marker == 0xDA:
            scan = _NEXT.search(data, at)
            end = scan.start() if scan else len(data)
            body.append(data[at:end])
            at = end
    ours = [_segment(0xE1, b"Exif\0\0" + public.exif)] if public.exif else []
    ours += [_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + public.xmp)] if public.xmp else []
    return b"".join([b"\xff\xd8", head, *ours, *body, tail])


def _is_colour(marker: int, segment: bytes) -> bool:
    """Whether an application segment affects how the pixels look."""
    return (marker == 0xE2 and segment.startswith(b"ICC_PROFILE\0")) or (
        marker == 0xEE and segment.startswith(b"Adobe")
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


# --- PNG -------------------------------------------------------------------------------------------------------------

_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD pHYs acTL fcTL fdAT".split()
)


def _png(data: bytes, public: _Public) -> bytes:
    out, at, added = [data[:8]], 8, False
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise ValueError(f"a chunk of {length} bytes at byte {at}")
        at += len(chunk)
        if kind == b"IDAT" and not added:
            out += [_chunk(b"eXIf", public.exif)] if public.exif else []
            text = b"XML:com.adobe.xmp\0\0\0\0\0" + public.xmp
            out += [_chunk(b"iTXt", text)] if public.xmp else []
            added = True
        if kind in _PNG_KEPT:
            out.append(chunk)
        if kind == b"IEND":
            return b"".join(out)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# --- WebP ------------------------------------------------------------------------------------------------------------


def _webp(data: bytes, public: _Public) -> bytes:
    chunks, at, end = [], 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while at < end:
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if len(content) < length:
            raise ValueError(f"a chunk of {length} bytes at byte {at}")
        if kind in (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"):
            chunks.append((kind, content))
        at += 8 + length + length % 2
    if chunks[0][0] != b"VP8X" and (public.exif or public.xmp):
        chunks.insert(0, (b"VP8X", _canvas(*chunks[0])))
    if chunks[0][0] == b"VP8X":
        flags = chunks[0][1][0] & ~0x0C | (0x08 if public.exif else 0) | (0x04 if public.xmp else 0)
        chunks[0] = (b"VP8X", bytes([flags]) + chunks[0][1][1:])
    chunks += [(b"EXIF", public.exif)] if public.exif else []
    chunks += [(b"XMP ", public.xmp)] if public.xmp else []
    body = b"".join(k + struct.pack("<I", len(c)) + c + b"\0" * (len(c) % 2) for k, c in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _canvas(kind: bytes, content: bytes) -> bytes:
    """The extended header for a file without one: transparency, width and height minus one."""
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 1)[0]
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 6))
        width, height, alpha = width - 1, height - 1, 0
    return bytes([alpha << 4, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


# --- GIF -------------------------------------------------------------------------------------------------------------

_GIF_APPLICATIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")  # loop count and colours


def _gif(data: bytes, public: _Public) -> bytes:
    at = 13 + _palette(data[10])
    out = [(b"GIF89a" if public.xmp else data[:6]) + data[6:at]]
    if public.xmp:  # ends in a sequence that leads a block reader to its end from any position
        out.append(b"\x21\xff\x0bXMP DataXMP" + public.xmp + b"\x01" + bytes(range(255, -1, -1)) + b"\0")
    while data[at] != 0x3B:
        start = at
        if data[at] == 0x2C:
            at = _blocks_end(data, at + 11 + _palette(data[at + 9]))
            kept = True
        elif data[at] == 0x21:
            label, name = data[at + 1], data[at + 3 : at + 14]
            at = _blocks_end(data, at + 2)
            kept = label in (0xF9, 0x01) or (label == 0xFF and name in _GIF_APPLICATIONS)
        else:
            raise ValueError(f"no block at byte {at}")
        out += [data[start:at]] if kept else []
    return b"".join([*out, b"\x3b"])


def _palette(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1


# --- AVIF ------------------------------------------------------------------------------------------------------------
# AVIF addresses its parts by position in the file, so nothing may move: metadata is overwritten in place.

_PICTURES = frozenset({b"av01", b"grid", b"iovl", b"iden", b"tmap"})
_ABOUT_PICTURES = frozenset(b"hdlr pitm iloc iinf iprp iref idat dinf grpl".split())
_NO_EXIF = b"\0\0\0\0MM\0*" + struct.pack(">IHI", 8, 0, 0)  # a property of the image holds the orientation
_HOLDERS = frozenset({b"moov", b"trak"})


def _avif(data: bytes, public: _Public) -> bytes:
    out = bytearray(data)
    boxes = list(_boxes(data, 0, len(data)))
    kept: list[tuple[int, int]] = []
    for kind, start, end in boxes:
        if kind == b"meta":
            kept += _write_over_items(data, out, start + 4, end, public)
        elif kind not in (b"ftyp", b"mdat", b"moov"):
            out[start:end] = bytes(end - start)
    if any(kind == b"moov" for kind, _, _ in boxes):
        _write_over_tracks(data, out, 0, len(data))
    else:  # parts of no image may have any type
        for start, end in (span for kind, *span in boxes if kind == b"mdat"):
            for first, last in _gaps(kept, start, end):
                out[first:last] = bytes(last - first)
    return bytes(out)


def _gaps(spans: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    for first, last in sorted(spans):
        if first > start:
            yield start, min(first, end)
        start = max(start, min(last, end))
    yield start, end


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of the content, its end) of each box."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        size = size or end - at  # 0: to the end
        if size < start - at or at + size > end:
            raise ValueError(f"a box of {size} bytes at byte {at}")
        yield kind, start, at + size
        at += size


def _write_over_tracks(data: bytes, out: bytearray, at: int, end: int) -> None:
    """Overwrite the metadata of a sequence's tracks, places included."""
    for kind, start, stop in _boxes(data, at, end):
        if kind in _HOLDERS:
            _write_over_tracks(data, out, start, stop)
        elif at and kind in (b"udta", b"meta", b"uuid"):
            out[start - 4 : start] = b"free"
            out[start:stop] = bytes(stop - start)


def _write_over_items(data: bytes, out: bytearray, at: int, end: int, public: _Public) -> Iterator[tuple[int, int]]:
    """Overwrite all items except images; yields the byte spans of all items."""
    boxes = {kind: (start, stop) for kind, start, stop in _boxes(data, at, end)}
    for kind in boxes.keys() - _ABOUT_PICTURES:
        out[slice(*boxes[kind])] = bytes(boxes[kind][1] - boxes[kind][0])
    for kind, start, stop in _boxes(data, *boxes[b"iprp"]):
        for prop, first, last in _boxes(data, start, stop) if kind == b"ipco" else ():
            if prop in (b"udes", b"uuid"):
                out[first:last] = bytes(last - first)
    kinds = dict(_item_kinds(data, *boxes[b"iinf"]))
    inside = boxes.get(b"idat", (0, 0))[0]
    xmp = public.xmp
    for item, spans in _item_places(data, *boxes[b"iloc"], inside):
        kind = kinds.get(item, b"")
        yield from spans
        if kind in _PICTURES:
            continue
        for start, stop in spans:
            if stop > len(data):
                raise ValueError(f"an item that ends at byte {stop}")
            filled = _NO_EXIF if kind == b"Exif" else b""
            if kind == b"mime" and len(spans) == 1 and len(xmp) <= stop - start:
                filled, xmp = xmp, b""
            if len(filled) > stop - start or (kind == b"Exif" and len(spans) > 1):
                raise ValueError(f"an Exif item of {stop - start} bytes")
            out[start:stop] = filled.ljust(stop - start, b" " if kind == b"mime" else b"\0")


def _item_kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    wide = data[start] > 0
    for kind, at, _ in _boxes(data, start + (8 if wide else 6), end):
        if kind == b"infe" and data[at] >= 2:
            item, _, name = struct.unpack_from(">IH4s" if data[at] > 2 else ">HH4s", data, at + 4)
            yield item, name


def _item_places(data: bytes, start: int, end: int, inside: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """(item, its byte spans) from the box of item locations. inside: start of the box `idat`."""
    version = data[start]
    sizes = struct.unpack_from(">H", data, start + 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    at = start + 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise ValueError("a table of items that does not end")
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        if number(2) or method > 1:
            raise ValueError(f"item {item} is kept elsewhere")
        base = number(base_size) + (inside if method == 1 else 0)
        spans = []
        for _ in range(number(2)):
            number(index_size if version else 0)
            begin = base + number(offset_size)
            length = number(length_size)
            spans.append((begin, begin + length))
        yield item, spans


# --- BMP -------------------------------------------------------------------------------------------------------------


def _bmp(data: bytes, _public: _Public) -> bytes:
    """Cut a BMP at its stated length; the format has no metadata."""
    return data[: struct.unpack_from("<I", data, 2)[0] or None]


_CLEANERS = (
    (re.compile(rb"\xff\xd8\xff"), _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _webp),
    (re.compile(rb"GIF8[79]a"), _gif),
    (re.compile(rb"....ftyp(?:avi[fs]|mif1|msf1)", re.DOTALL), _avif),
    (re.compile(rb"BM"), _bmp),
)
