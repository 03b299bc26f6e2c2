"""Sketches tell copies of a picture from other pictures."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from copied import PHOTOGRAPHS, photograph, plot, saved
from PIL import Image, ImageDraw

from limner.tools.images.images import inspect, sketch_of
from limner.tools.images.sketch import CLOSE, Sketch, gate, same, same_shape, sketch


def made(data: bytes) -> tuple[Sketch, tuple[int, int]]:
    found = inspect(data)
    one = sketch(found.sketch)
    assert one is not None
    assert found.sketch == sketch_of(data)
    return one, (found.width, found.height)


def is_one(first: bytes, second: bytes) -> bool:
    (one, size), (other, its) = made(first), made(second)
    close = float(gate(one) @ gate(other)) >= CLOSE
    found = close and same_shape(size, its) and same(one, other, min(*size, *its))
    assert found == (close and same_shape(its, size) and same(other, one, min(*size, *its))), "no order"
    return found


@pytest.mark.parametrize("number", [0, 3, 6, -1])
def test_scaled_and_encoded_copies_are_one_picture(number: int) -> None:
    image = plot() if number < 0 else photograph(number)
    whole = saved(image)
    for copy in (
        saved(image, by=0.5),
        saved(image, by=2),
        saved(image, "JPEG", quality=30),
        saved(image, "JPEG", quality=90),
        saved(image, "WEBP", quality=70),
        saved(image, "JPEG", by=0.5, quality=85),
        saved(image.convert("L")),
    ):
        assert is_one(whole, copy)


def test_a_copy_that_a_camera_turned_is_one_picture() -> None:
    image = photograph(2)
    turned = Image.Exif()
    turned[0x0112] = 6
    assert is_one(saved(image), saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=turned, quality=90))


def test_different_photographs_are_not() -> None:
    made_of = [made(path.read_bytes()) for path in PHOTOGRAPHS]
    assert len(made_of) >= 10
    for (one, size), (other, its) in combinations(made_of, 2):
        assert not same(one, other, min(*size, *its))


@pytest.mark.parametrize(
    "other",
    [
        plot(shift=24),
        plot(label="Time of the year"),
        plot().crop((0, 0, 640, 440)),
        Image.new("RGB", (640, 480), "white"),
    ],
    ids=["another curve", "another label", "cut off", "empty"],
)
def test_drawings_of_one_layout_are_not(other: Image.Image) -> None:
    assert not is_one(saved(plot()), saved(other))


def test_two_dark_skies_are_not() -> None:
    def sky(seed: int) -> Image.Image:
        image, chance = Image.new("RGB", (640, 480), (8, 8, 12)), random.Random(seed)
        for _ in range(60):
            x, y = chance.randrange(640), chance.randrange(480)
            ImageDraw.Draw(image).ellipse((x, y, x + 5, y + 5), fill=(250, 250, 240))
        return image

    assert is_one(saved(sky(1)), saved(sky(1), by=0.5))
    assert not is_one(saved(sky(1)), saved(sky(2)))


def test_areas_of_one_colour_are_nothing_to_go_by() -> None:
    red = saved(Image.new("RGB", (64, 48), "red"))
    assert not is_one(red, red)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_samples_has_a_sketch(mode: str) -> None:
    image = (
        plot().convert("L").convert("I").point(lambda n: n * 257).convert("I;16")
        if mode == "I;16"
        else plot().convert(mode)
    )
    assert is_one(saved(plot()), saved(image, "TIFF" if mode == "CMYK" else "PNG"))


def test_bytes_of_another_length_are_no_sketch() -> None:
    assert sketch(b"") is None
    assert sketch(b"\0" * 4096) is None
