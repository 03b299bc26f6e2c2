"""Pictures with structure, and scaled and re-encoded copies of them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw

import limner

PHOTOGRAPHS = sorted((Path(limner.__file__).parent / "sample" / "pictures").glob("*.webp"))


def photograph(number: int) -> Image.Image:
    """One of the bundled photographs."""
    with Image.open(PHOTOGRAPHS[number]) as image:
        return image.convert("RGB")


def plot(shift: int = 0, label: str = "Mass") -> Image.Image:
    """A line drawing on white: axes, a curve, a label."""
    image = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(image)
    pen.line([(60, 20), (60, 430), (620, 430)], fill="black", width=3)
    pen.line([(x, 400 - (x - 60 - shift) ** 2 // 900) for x in range(60, 600, 5)], fill="black", width=3)
    pen.text((250, 440), label, fill="black", font_size=28)
    return image


def saved(image: Image.Image, kind: str = "PNG", by: float = 1.0, **options: object) -> bytes:
    """A file of the picture. by: its size against the picture's."""
    size = round(image.width * by), round(image.height * by)
    out = io.BytesIO()
    image.resize(size).save(out, kind, **options)
    return out.getvalue()
