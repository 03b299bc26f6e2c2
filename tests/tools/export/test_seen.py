"""What a page or a document shows of a picture is what an eye sees of the source, whatever its mode."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from limner.tools.export.pictures import embedded
from limner.tools.images.colour import flatten, to_rgb

RAMP = np.tile(np.linspace(0.1, 0.9, 2400), (600, 1))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


SOURCES = {
    "16 bits of grey": png(Image.fromarray((RAMP * 65535).astype(np.uint16))),
    "8 bits of grey": png(Image.fromarray((RAMP * 255).astype(np.uint8))),
    "grey with alpha": png(Image.fromarray((RAMP * 255).astype(np.uint8)).convert("LA")),
    "a palette": png(Image.fromarray((RAMP * 255).astype(np.uint8)).convert("P")),
    "colour": png(Image.fromarray((RAMP * 255).astype(np.uint8)).convert("RGB")),
}


def seen(data: bytes) -> np.ndarray:
    """The brightness of a picture in 24 columns, 0 to 1."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        grey = flatten(to_rgb(image)).convert("L").resize((24, 6))
    return np.asarray(grey, dtype=float).mean(axis=0) / 255


@pytest.mark.parametrize("portable", [True, False], ids=["documents", "pages"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_scaled_picture_is_as_bright_as_its_source(source: bytes, portable: bool) -> None:
    made = embedded(source, "ramp", side=600, portable=portable)
    assert max(made.width, made.height) <= 600
    assert np.abs(seen(made.data) - np.linspace(0.1, 0.9, 24)).max() < 0.03
