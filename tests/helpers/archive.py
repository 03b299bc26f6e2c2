"""Pictures of an archive, with what its programs wrote into them: XMP, IPTC, EXIF, sidecars, tables."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, Base

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"
 xmlns:pur="http://prismstandard.org/namespaces/prismusagerights/2.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"""


def xmp(attributes: str, **lists: list[str]) -> bytes:
    """A packet. lists: by the property's name with `_` for its colon."""
    elements = ""
    for name, items in lists.items():
        tag = name.replace("_", ":", 1)
        listed = "".join(f"<rdf:li>{item}</rdf:li>" for item in items)
        elements += f"<{tag}><rdf:Bag>{listed}</rdf:Bag></{tag}>"
    return _XMP.format(attributes=attributes, elements=elements).encode()


def with_iptc(file: Path, *fields: tuple[int, str]) -> None:
    """Write an IPTC block in UTF-8 into a JPEG. fields: number within record 2, text."""
    block = b"\x1c\x01\x5a\0\x03\x1b%G"
    for code, text in fields:
        raw = text.encode()
        block += struct.pack(">BBBH", 0x1C, 2, code, len(raw)) + raw
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(block)) + block + b"\0" * (len(block) % 2)
    segment = b"Photoshop 3.0\0" + resource
    data = file.read_bytes()
    file.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + data[2:])


def exif(date: str, rating: int) -> Image.Exif:
    """EXIF with the day taken, a rating, and a place by GPS."""
    made = Image.Exif()
    made[0x4746] = rating
    made.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = date
    made.get_ifd(IFD.GPSInfo)[1] = "N"
    made.get_ifd(IFD.GPSInfo)[2] = (38.0, 43.0, 11.0)
    return made


def picture(path: Path, size: tuple[int, int], shade: int, **options: object) -> Path:
    """An image file; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 90, 30)).save(path, **options)  # type: ignore[arg-type]
    return path


def make_archive(folder: Path) -> Path:
    """Five pictures of a harvest, described by five different programs."""
    about = 'photoshop:City="Lisbon" photoshop:Country="Portugal" photoshop:DateCreated="2019-08-14T10:00:00" '
    about += 'photoshop:Credit="Wetlands" xmp:Rating="5" Iptc4xmpExt:Event="Harvest festival" '
    about += 'photoshop:Headline="A harvest by the river"'
    lists = {"dc_subject": ["harvest", "wheat"], "Iptc4xmpExt_PersonInImage": ["Lovelace, Ada", "Grace Hopper"]}
    packet = xmp(about, **lists, xmpRights_UsageTerms=["CC BY 4.0"])
    picture(folder / "2019" / "river.jpg", (400, 200), 10, xmp=packet)
    tractor = picture(folder / "2023" / "tractor.jpg", (300, 200), 40)
    fields = [(120, "A tractor at the harvest"), (25, "Harvest"), (25, "machines"), (90, "Porto"), (101, "Portugal")]
    with_iptc(tractor, *fields, (55, "20230501"), (116, "CC BY-SA 4.0"), (110, "Agency Norte"))
    orchard = picture(folder / "2023" / "spring" / "orchard.jpg", (200, 400), 70, exif=exif("2021:04:30 08:00:00", 3))
    orchard.with_suffix(".txt").write_text("An orchard before the harvest")
    barn = picture(folder / "north" / "barn.png", (300, 300), 100)
    said = {"caption": "A barn after the harvest", "keywords": ["places|Norway", "buildings"], "date": "2020"}
    said |= {"people": [{"name": "Ada Byron"}], "licence": "https://creativecommons.org/licenses/by/4.0/"}
    barn.with_suffix(".json").write_text(json.dumps(said))
    picture(folder / "north" / "mill.png", (1700, 900), 130)
    row = 'mill.png,The mill that grinds the harvest,wheat; buildings,Karl Marx,Oslo,"2",All rights reserved'
    (folder / "north" / "metadata.csv").write_text(f"file_name,caption,keywords,persons,city,rating,licence\n{row}\n")
    return folder
