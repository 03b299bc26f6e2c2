"""What others get of an image file: the same pixels, and nothing that its owner did not mean to tell them."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, ImageSequence
from PIL.ExifTags import GPS, IFD, Base
from PIL.PngImagePlugin import PngInfo

from limner.errors import ImageUnreadable
from limner.tools.images.images import Described, metadata, orientation_of, republished_tiff
from limner.tools.images.publish import published

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECRETS = [b"SERIAL-4711", b"Jane Face", b"47,22.9N", b"Zurich", b"comment by a camera", b"steps: 20", b"mwg-rs"]
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 exif:GPSLatitude="47,22.9N" exif:GPSLongitude="8,32.5E" aux:SerialNumber="SERIAL-4711" photoshop:City="Zurich"
 photoshop:Credit="Ada Field / Agency">
<dc:creator><rdf:Seq><rdf:li>Ada Field</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© 2024 Ada Field</rdf:li></rdf:Alt></dc:rights>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Bees &amp; &lt;clover&gt;</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>Jane Face</rdf:li></rdf:Bag></dc:subject>
<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="x-default">CC BY 4.0</rdf:li></rdf:Alt></xmpRights:UsageTerms>
<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:Name>Jane Face</mwg-rs:Name></mwg-rs:Regions>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def photograph(mode: str = "RGB") -> Image.Image:
    made = Image.effect_noise((64, 48), 60).convert(mode)
    ImageDraw.Draw(made).rectangle((0, 0, 20, 10), fill="orange" if mode != "L" else 9)
    return made


def exif(orientation: int = 6) -> Image.Exif:
    tags = Image.Exif()
    tags[Base.Orientation] = orientation
    tags[Base.Make] = "Camera"
    tags[Base.Artist] = "Ada Field"
    place = {GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (47.0, 22.0, 54.0)}
    tags[IFD.GPSInfo] = {**place, GPS.GPSAreaInformation: b"ASCII\0\0\0Zurich"}
    tags[IFD.Exif] = {Base.BodySerialNumber: "SERIAL-4711"}
    return tags


def jpeg(**options: object) -> bytes:
    """As a phone writes one: Exif with GPS and a preview, XMP with faces, IPTC, a comment, a second picture behind."""
    out = io.BytesIO()
    given = {"exif": exif(), "xmp": XMP.encode(), "icc_profile": PROFILE, "comment": b"comment by a camera", **options}
    photograph().save(out, "JPEG", quality=91, **given)
    iptc = b"\x1c\x02\x5a\0\x06Zurich"  # 2:90, the city
    resources = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    app13 = b"\xff\xed" + struct.pack(">H", len(resources) + 2) + resources
    data = out.getvalue()
    return data[:2] + app13 + data[2:] + b"\xff\xd8 a film, SERIAL-4711"


def png() -> bytes:
    out, info = io.BytesIO(), PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP)
    info.add_text("parameters", "steps: 20, a portrait of Jane Face")
    info.add_text("Comment", "comment by a camera", zip=True)
    photograph("RGBA").save(out, "PNG", exif=exif(), pnginfo=info, icc_profile=PROFILE, dpi=(300, 300))
    return out.getvalue() + b"SERIAL-4711"


def webp(mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    photograph(mode).save(out, "WEBP", exif=exif(), xmp=XMP.encode(), icc_profile=PROFILE, **options)
    return out.getvalue()


def animation(kind: str, **options: object) -> bytes:
    out, frames = io.BytesIO(), [photograph(), Image.new("RGB", (64, 48), "blue"), Image.new("RGB", (64, 48), "red")]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=80, loop=0, **options)
    return out.getvalue()


def gif() -> bytes:
    data = animation("GIF", comment=b"comment by a camera")
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return data[:at] + b"\x21\xff\x0bXMP DataXMP" + XMP.encode() + trailer + data[at:]


def avif(**options: object) -> bytes:
    out = io.BytesIO()
    photograph().save(out, "AVIF", exif=exif(1), xmp=XMP.encode(), icc_profile=PROFILE, **options)
    return out.getvalue()


FILES = {
    "jpeg": jpeg,
    "progressive jpeg": lambda: jpeg(progressive=True),
    "png": png,
    "apng": lambda: animation("PNG", exif=exif()),
    "lossy webp": webp,
    "lossless webp": lambda: webp("RGBA", lossless=True),
    "animated webp": lambda: animation("WEBP", exif=exif(), xmp=XMP.encode()),
    "gif": gif,
    "avif": avif,
}


def frames(data: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(data)) as image:
        return [frame.convert("RGBA").tobytes() for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("kind", FILES)
def test_private_metadata_is_gone_and_every_pixel_stays(kind: str) -> None:
    data = FILES[kind]()
    with Image.open(io.BytesIO(data)) as before:
        assert kind == "gif" or before.getexif().get_ifd(IFD.GPSInfo)
    assert any(secret in data for secret in SECRETS)
    public = published(data)
    assert [secret for secret in SECRETS if secret in public] == []
    assert frames(public) == frames(data)
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(public)) as after:
        assert after.format == ("JPEG" if before.format == "MPO" else before.format)
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert after.info.get("duration") == before.info.get("duration")
        assert after.info.get("loop") == before.info.get("loop")
        tags = after.getexif()
        assert set(tags) <= {Base.Orientation}
        assert not tags.get_ifd(IFD.GPSInfo)
        assert not tags.get_ifd(IFD.Exif)
    assert orientation_of(public) == orientation_of(data)
    assert published(public) == public  # there is nothing left to take out


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "lossy webp", "lossless webp", "gif", "avif"])
def test_who_made_it_and_what_it_shows_stays(kind: str) -> None:
    data = FILES[kind]()
    public = metadata(published(data))
    assert replace(public, details="") == replace(metadata(data), details="", facts={})
    assert "Face" not in public.details  # who is in the picture, and where it was taken, is private
    assert public == Described("Bees & <clover>", "", "Ada Field / Agency", "CC BY 4.0", public.details)
    assert "© 2024 Ada Field".encode() in published(data)


def test_the_compressed_picture_of_a_jpeg_is_the_same_bytes() -> None:
    data = jpeg()
    picture = data[data.index(b"\xff\xdb") : data.rindex(b"\xff\xd9") + 2]
    assert published(data).endswith(picture)


@pytest.mark.parametrize("kind", FILES)
def test_what_only_the_library_knows_goes_into_the_file(kind: str) -> None:
    known = Described(
        'A "hive" & <bees>', "Brown hive", "Cy Light\ufffe", "https://creativecommons.org/licenses/by/4.0/"
    )
    out = io.BytesIO()
    with Image.open(io.BytesIO(FILES[kind]())) as image:
        bare = image.copy()
        bare.info = {}
        bare.save(out, image.format if image.format != "MPO" else "JPEG")
    public = published(out.getvalue(), known)
    found = metadata(public)
    if kind == "avif":  # nothing in it may move, so words find a place only where there were some
        assert found == Described()
        assert public == out.getvalue()
    else:
        assert found == Described(known.caption, known.alt, "Cy Light", known.licence)
        assert b"<xmpRights:WebStatement>https://creativecommons.org/licenses/by/4.0/<" in public
    assert frames(public) == frames(out.getvalue())


def test_a_library_that_knows_better_is_believed_and_the_creator_stays() -> None:
    public = published(jpeg(), Described("Another caption", "Bees", "Someone Else", "CC0"))
    assert metadata(public) == Described("Bees & <clover>", "Bees", "Someone Else", "CC0")
    assert b"<rdf:li>Ada Field</rdf:li>" in public


def test_the_small_preview_of_a_jpeg_is_gone() -> None:
    small = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(small, "JPEG")
    data = jpeg()
    jfif = b"\xff\xe0\0\x1cJFIF\0\x01\x02\0\0\x01\0\x01\x02\x02" + b"\xaa" * 12  # two by two pixels of its own
    jfxx = b"JFXX\0\x10" + small.getvalue()
    data = data[:2] + jfif + b"\xff\xe0" + struct.pack(">H", len(jfxx) + 2) + jfxx + data[2:]
    public = published(data)
    assert small.getvalue() not in public
    assert b"\xaa" * 12 not in public
    assert frames(public) == frames(data)


def test_a_picture_without_metadata_stays_byte_for_byte() -> None:
    for kind in ("PNG", "WEBP", "GIF", "AVIF", "BMP", "JPEG"):
        out = io.BytesIO()
        photograph().save(out, kind)
        assert published(out.getvalue()) == out.getvalue(), kind


def test_values_without_end_stay_within_a_segment() -> None:
    known = Described("&" * 100_000, "<" * 100_000, "蜂" * 100_000, '"' * 100_000)
    out = io.BytesIO()
    photograph().save(out, "JPEG")
    found = metadata(published(out.getvalue(), known))
    assert (found.caption, found.credit) == ("&" * 1000, "蜂" * 1000)


@given(st.text(st.characters(), max_size=60), st.text(st.characters(), max_size=60))
def test_any_words_come_back_as_they_are(caption: str, licence: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    found = metadata(published(out.getvalue(), Described(caption, "", "", licence)))
    for wanted, had in ((caption, found.caption), (licence, found.licence)):
        words = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", " ", wanted).replace("\r\n", "\n")
        assert had == words.replace("\r", "\n").strip() or not had


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_refused_or_keeps_no_secret(kind: str) -> None:
    data = FILES[kind]()
    places = [n * len(data) // 60 for n in range(2, 60)]
    for at in places:
        spoilt = [
            data[:at] + four + data[at + 4 :] for four in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\1\0", b"mime")
        ]
        for broken in (data[:at], *spoilt):
            with contextlib.suppress(ImageUnreadable):
                public = published(broken)
                assert not any(secret in public for secret in SECRETS[:4]), at


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"\xff\xd8", b"RIFF\0\0\0\0WEBP", b"GIF89a"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageUnreadable):
        published(data)


def test_a_tiff_is_written_anew_without_loss() -> None:
    out, pages = io.BytesIO(), [photograph(), Image.new("L", (9, 7), 40)]
    pages[0].save(
        out,
        "TIFF",
        exif=exif(1),
        tiffinfo={700: XMP.encode()},
        icc_profile=PROFILE,
        save_all=True,
        append_images=pages[1:],
    )
    assert b"SERIAL-4711" in out.getvalue()
    public = republished_tiff(out.getvalue())
    assert [secret for secret in SECRETS if secret in public] == []
    assert frames(public) == frames(out.getvalue())
    with Image.open(io.BytesIO(public)) as image:
        assert image.info["icc_profile"] == PROFILE
        assert not image.getexif().get_ifd(IFD.GPSInfo)
