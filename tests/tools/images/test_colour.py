"""Every mode to RGB: what is seen, by the value of its pixels."""

from __future__ import annotations

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from limner.tools.images.colour import flatten, to_rgb
from limner.tools.images.images import data_url, displayable, for_clip, read_picture, thumbnail

RAMP = np.tile(np.linspace(0, 1, 256), (64, 1))  # black at the left, white at the right


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def greys(data: bytes) -> list[int]:
    """The grey at an eighth, the middle and seven eighths of the width, as `read_picture` shows it."""
    picture = read_picture(data)
    assert picture.mode in ("RGB", "RGBA")
    return [picture.convert("L").getpixel((picture.width * n // 8, 32)) for n in (1, 4, 7)]  # type: ignore[misc]


def wide(kind: str, scale: float, offset: float = 0, **options: object) -> bytes:
    picture = Image.fromarray((RAMP * scale + offset).astype(kind))
    return saved(picture, "TIFF" if kind[1] != "u" or options else "PNG", **options)


TIFF_12_BITS = struct.pack(
    "<2sHIH" + 9 * "HHII" + "I",
    *(b"II", 42, 8, 9),
    *(256, 4, 1, 256, 257, 4, 1, 64, 258, 3, 1, 12, 259, 3, 1, 1, 262, 3, 1, 1),
    *(273, 4, 1, 122, 277, 3, 1, 1, 278, 4, 1, 64, 279, 4, 1, 256 * 64 * 12 // 8, 0),
)


def twelve_bits() -> bytes:
    """A TIFF of 12-bit samples, as scanners write them: two samples in three bytes."""
    values = (RAMP * 4095).astype(int).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], 1)
    return TIFF_12_BITS + packed.astype(np.uint8).tobytes()


SEEN = [31, 127, 223]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(wide("<u2", 65535), id="16-bit PNG"),
        pytest.param(wide("<u2", 65535, compression="raw"), id="16-bit TIFF"),
        pytest.param(wide("<i4", 255), id="32-bit integers to 255"),
        pytest.param(wide("<i4", 65535), id="32-bit integers to 65535"),
        pytest.param(wide("<i4", 4e6, 17), id="32-bit integers beyond"),
        pytest.param(wide("<i4", 900, -450), id="32-bit integers below zero"),
        pytest.param(wide("<f4", 1), id="floats to 1"),
        pytest.param(wide("<f4", 255), id="floats to 255"),
        pytest.param(wide("<f4", 30, -5), id="floats in degrees"),
        pytest.param(twelve_bits(), id="12-bit TIFF"),
    ],
)
def test_wide_samples_are_scaled_from_black_to_white(data: bytes) -> None:
    assert greys(data) == pytest.approx(SEEN, abs=2)


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_every_order_of_bytes_is_read(mode: str) -> None:
    assert to_rgb(Image.new(mode, (2, 2), 200 * 257)).getpixel((0, 0)) == (200, 200, 200)


def test_a_scan_in_16_bits_that_counts_from_white_is_no_negative() -> None:
    negative = Image.fromarray(((1 - RAMP) * 65535).astype(np.uint16))
    assert greys(saved(negative, "TIFF", tiffinfo={262: 0})) == pytest.approx(SEEN, abs=2)


def test_a_dark_picture_in_16_bits_stays_dark() -> None:
    assert greys(wide("<u2", 6553.5)) == pytest.approx([3, 13, 22], abs=1)


def test_samples_that_mean_nothing_set_no_range() -> None:
    heights = (RAMP * 900 + 100).astype(np.float32)
    heights[:, :4] = -3.4e38
    heights[:, 4:8] = np.nan
    data = saved(Image.fromarray(heights), "TIFF", tiffinfo={42113: "-3.4e38"})
    assert greys(data) == pytest.approx(SEEN, abs=6)


def test_16_bits_with_a_transparent_grey() -> None:
    picture = read_picture(saved(Image.fromarray((RAMP * 65535).astype(np.uint16)), "PNG", transparency=0))
    assert picture.mode == "RGBA"
    assert picture.getpixel((0, 0)) == (0, 0, 0, 0)
    assert picture.getpixel((255, 0)) == (255, 255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGBX", "RGBa", "YCbCr", "HSV", "CMYK", "LAB"])
def test_every_other_mode_shows_the_same_grey(mode: str) -> None:
    grey = Image.new("RGB", (8, 8), (200, 200, 200))
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        made = ImageCms.profileToProfile(grey, srgb, lab, outputMode="LAB")
    else:
        via = {"La": "LA", "RGBa": "RGBA", "1": "L", "PA": "P"}.get(mode)
        made = (grey.convert(via) if via else grey).convert(mode, dither=Image.Dither.NONE)
    assert made is not None
    shown = to_rgb(made)
    assert shown.mode == ("RGBA" if mode in ("LA", "La", "PA", "RGBa") else "RGB")
    assert shown.getpixel((4, 4))[:3] == pytest.approx((255 if mode == "1" else 200,) * 3, abs=4)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_no_negative(kind: str) -> None:
    """JPEG files in CMYK are inverted, as Photoshop writes them; TIFF files are not."""
    ramp = Image.fromarray((RAMP * 255).astype(np.uint8)).convert("RGB").convert("CMYK")
    assert greys(saved(ramp, kind)) == pytest.approx(SEEN, abs=3)


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_colour_that_stands_for_transparent_is_transparent(mode: str) -> None:
    made = Image.new(mode, (8, 8), 0 if mode != "RGB" else (0, 0, 0))
    made.putpixel((0, 0), 1 if mode != "RGB" else (1, 1, 1))
    read = read_picture(saved(made, "PNG", transparency=0 if mode != "RGB" else (0, 0, 0)))
    assert (read.mode, read.getpixel((4, 4))[3], read.getpixel((0, 0))[3]) == ("RGBA", 0, 255)  # type: ignore[index]


# --- profiles --------------------------------------------------------------------------------------------------------


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged: a profile nobody can overlook."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {bytes(data[n : n + 4]): n for n in range(132, 132 + 12 * struct.unpack_from(">I", data, 128)[0], 12)}
    red, blue = at[b"rXYZ"], at[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    return bytes(data.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")).replace(b"sRGB", b"swap"))


def test_a_profile_is_applied_everywhere() -> None:
    made = Image.new("RGB", (40, 40), (255, 0, 0))
    data = saved(made, "PNG", icc_profile=swapped_profile())
    for shown in (
        read_picture(data),
        Image.open(io.BytesIO(thumbnail(data))).convert("RGB"),
        Image.open(io.BytesIO(base64.b64decode(data_url(data).partition(",")[2]))),
        for_clip(data),
    ):
        red, _, blue = shown.getpixel((20, 20))  # type: ignore[misc]
        assert (red < 60, blue > 200) == (True, True)
        assert "icc_profile" not in shown.info


def test_a_file_that_is_written_with_its_profile_keeps_its_pixels() -> None:
    made = Image.new("RGB", (40, 40), (255, 0, 0))
    shown, _ = displayable(saved(made, "TIFF", icc_profile=swapped_profile()))
    again = Image.open(io.BytesIO(shown))
    assert again.getpixel((20, 20)) == (255, 0, 0)
    assert again.info["icc_profile"] == swapped_profile()


@pytest.mark.parametrize("profile", [b"", b"no profile", b"\0" * 200])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_a_damaged_profile_is_passed_over(mode: str, profile: bytes) -> None:
    made = Image.new("RGB", (8, 8), (200, 200, 200)).convert(mode)
    made.info["icc_profile"] = profile
    assert to_rgb(made).getpixel((4, 4))[:3] == pytest.approx((200,) * 3, abs=1)  # type: ignore[index]


# --- grounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ink", "ground"), [("black", 255), ("red", 255), ("white", 64), ((250, 250, 240), 64)])
def test_a_drawing_stands_on_a_ground_that_shows_it(ink: str, ground: int) -> None:
    drawing = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(drawing).ellipse((30, 30, 70, 70), fill=ink)
    for shown in (flatten(drawing), for_clip(saved(drawing, "PNG"))):
        assert shown.getpixel((2, 2)) == (ground,) * 3
        assert shown.getpixel((50, 50)) != shown.getpixel((2, 2))


def test_a_light_photograph_with_an_alpha_channel_stays_as_it_is() -> None:
    assert flatten(Image.new("RGBA", (9, 9), (250, 250, 250, 255))).getpixel((4, 4)) == (250, 250, 250)
