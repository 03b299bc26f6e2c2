"""Read an XMP packet, embedded in a file or beside it as a sidecar."""

from __future__ import annotations

from xml.etree import ElementTree

from limner.tools.images.facts import LIMITS

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_CORE = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
_EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_RIGHTS = "{http://ns.adobe.com/xap/1.0/rights/}"
_REGIONS = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_LIGHTROOM = "{http://ns.adobe.com/lightroom/1.0/}"
_PLUS = "{http://ns.useplus.org/ldf/xmp/1.0/}"
_PRISM = (
    "{http://prismstandard.org/namespaces/basic/2.0/}",
    "{http://prismstandard.org/namespaces/prismusagerights/2.1/}",
)
_DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
MOST = 1_000_000  # characters of a packet

PROPERTIES: dict[str, tuple[str, ...]] = {
    "description": (f"{_DC}description", "{http://ns.adobe.com/exif/1.0/}UserComment"),
    "title": (f"{_DC}title",),
    "headline": (f"{_PHOTOSHOP}Headline",),
    "alt": (f"{_CORE}AltTextAccessibility",),
    "credit": (f"{_PHOTOSHOP}Credit",),
    "creator": (f"{_DC}creator",),
    "terms": (f"{_RIGHTS}UsageTerms",),
    "licence": ("{http://creativecommons.org/ns#}license",),
    "statement": (f"{_RIGHTS}WebStatement",),
    "rights": (f"{_DC}rights",),
    "source_type": (f"{_EXT}DigitalSourceType",),
    "keywords": (f"{_DC}subject", f"{_LIGHTROOM}hierarchicalSubject", f"{_DIGIKAM}TagsList"),
    "persons": (f"{_EXT}PersonInImage", f"{_REGIONS}Name"),
    "event": (f"{_EXT}Event",),
    "rating": ("{http://ns.adobe.com/xap/1.0/}Rating",),
    "embargo": (*(f"{prism}embargoDate" for prism in _PRISM), f"{_PLUS}LicenseStartDate"),
    "expires": (*(f"{prism}expirationDate" for prism in _PRISM), f"{_PLUS}LicenseEndDate"),
    "place": (f"{_CORE}Location",),
    "city": (f"{_PHOTOSHOP}City", f"{_EXT}City"),
    "state": (f"{_PHOTOSHOP}State", f"{_EXT}ProvinceState"),
    "country": (f"{_PHOTOSHOP}Country", f"{_EXT}CountryName"),
    "date": (f"{_PHOTOSHOP}DateCreated", "{http://ns.adobe.com/exif/1.0/}DateTimeOriginal"),
}
"""The fields that `read_xmp` returns, each from the first of these properties that exists, LIMITS from all."""
LISTS = ("keywords", "persons", *LIMITS)
"""Fields whose items stand on a line each; those of the others are joined by ", "."""


def read_xmp(packet: bytes | str) -> dict[str, str]:
    """The values of PROPERTIES in a packet, "" for missing ones; {} if it is no XMP."""
    if len(packet) > 4 * MOST:
        return {}
    root = _tree(packet)
    if root is None:
        return {}
    return {key: _first(root, key, names) for key, names in PROPERTIES.items()}


def _first(root: ElementTree.Element, key: str, names: tuple[str, ...]) -> str:
    values = filter(None, (_value(root, n, "\n" if key in LISTS else ", ", key in LIMITS) for n in names))
    return "\n".join(dict.fromkeys(values)) if key in LIMITS else next(values, "")


def _tree(packet: bytes | str) -> ElementTree.Element | None:
    # Strict on purpose: XMP needs no DOCTYPE, and without one no entity can expand.
    plain = packet if isinstance(packet, bytes) else packet.encode("utf-8", "replace")
    if b"<!DOCTYPE" in plain.replace(b"\0", b"") or b"<!ENTITY" in plain.replace(b"\0", b""):
        return None
    trimmed = plain if plain[:2] in (b"\xff\xfe", b"\xfe\xff") else plain.strip(b"\x00 \r\n\t")
    if not trimmed:
        return None
    for data in (trimmed, trimmed.decode("utf-8", "replace").lstrip("\ufeff")):
        try:
            return ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError, LookupError):
            continue  # bytes that contradict their stated encoding
    return None


def _value(root: ElementTree.Element, name: str, sign: str, every: bool) -> str:
    """A property written as an attribute, as text, or as alternatives (the x-default one) or a list (joined by
    `sign`). every: all that are there, joined, instead of the first; so are the names of regions."""
    found: list[str] = []
    for node in root.iter():
        if node.get(name):
            found.append(node.get(name, ""))
        elif node.tag == name:
            found.append(_text(node, sign))
    every = every or name.startswith(_REGIONS)
    return sign.join(dict.fromkeys(filter(None, found))) if every else next(filter(None, found), "")


def _text(node: ElementTree.Element, sign: str) -> str:
    items = [i for i in node.iter(f"{_RDF}li") if (i.text or "").strip()]
    if not items:
        return (node.text or "").strip() or node.get(f"{_RDF}resource", "")
    if node.find(f"{_RDF}Alt") is None:
        texts = [(i.text or "").strip() for i in items]
        return sign.join(" ".join(text.split()) if sign == "\n" else text for text in texts)
    return (min(items, key=lambda i: i.get(_LANGUAGE) != "x-default").text or "").strip()
