"""Questions with pictures for a server of the OpenAI Messages API, and the tokens that it counts."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def picture(colour: str, size: tuple[int, int] = (64, 48)) -> dict[str, Any]:
    """A part of a message: a picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return bytes_as_picture(file.getvalue())


def bytes_as_picture(data: bytes) -> dict[str, Any]:
    """A part of a message: these bytes, said to be a picture."""
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}}


def words(text: str) -> dict[str, Any]:
    """A part of a message: a text."""
    return {"type": "text", "text": text}
