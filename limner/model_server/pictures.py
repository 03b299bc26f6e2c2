"""Images from clients: data URLs, limited before they are decoded, and decoded one at a time in another process."""

from __future__ import annotations

import atexit
import base64
import binascii
import re

from PIL import Image

from limner.model_server.errors import Refused, reason
from limner.model_server.picture_process import PictureProcess

MAX_BYTES = 20_000_000  # of one file

DATA_URL = re.compile(r"data:image/[A-Za-z0-9.+-]{1,40};base64,(?P<data>[A-Za-z0-9+/=_-]*)", re.ASCII)
MARKDOWN = re.compile(rf"!\[[^\]\n]{{0,1000}}\]\((?P<url>{DATA_URL.pattern})\)", re.ASCII)
"""A Markdown image whose address is a data URL; no other image in text is recognised."""

_PROCESS = PictureProcess()
atexit.register(_PROCESS.close)


def open_picture(url: str) -> Image.Image:
    """The image of a data URL, as RGB. Raises Refused for any other address and for an unusable image.

    The server never fetches an address, because requests could otherwise reach into its network.
    """
    return _PROCESS.decode(_data(url))


def _data(url: str) -> bytes:
    found = DATA_URL.fullmatch(url)
    if not found:
        raise Refused(
            f"invalid image: {_address(url)} is not fetched. Send the picture itself, as data:image/png;base64,…"
        )
    if len(found["data"]) > MAX_BYTES * 4 // 3 + 4:
        raise Refused(f"invalid image: a file of over {MAX_BYTES} bytes. Scale it down first.")
    try:
        return base64.b64decode(found["data"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(
            f"invalid image: not base64 ({reason(error)}). Encode the file's bytes with standard base64."
        ) from None


def _address(url: str) -> str:
    """An address for a message: short and without its data."""
    shown = "".join(c if c.isprintable() else " " for c in url[:60])
    return repr(shown.split(",")[0] if shown.startswith("data:") else shown)
