"""Recognise a draft's own images in a library, so that none of them is placed a second time."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limner.document import Article
from limner.errors import ImageUnreadable
from limner.exports.own import images_in, own_images
from limner.tools.images.looks import grid, same_look
from limner.tools.library.sources import image_identity

if TYPE_CHECKING:
    from limner.tools.images.looks import Grid

MAX = 100_000_000  # bytes of a file to hash; no library has larger ones
_OURS = re.compile(r"(?:^|-)([0-9a-f]{8})(?:-\d+)?\.\w+\Z")


LOOKS = 50  # of a draft's images whose looks are compared
_LOOK = "look:"


def shown_ids(article: Article, folder: Path) -> tuple[str, ...]:
    """Ids of the images in `folder` that a draft shows, by their bytes or by the name of limner's copy; and their
    looks, by which a scaled or re-encoded copy is recognised.

    limner's copies lack private metadata, so their bytes differ from the library's; their names end in the first eight
    characters of the id.
    """
    named = (_OURS.search(name) for name in images_in(article))
    ids = {found[1]: None for found in named if found}
    seen: dict[str, None] = {}
    for path in own_images(article, folder).values():
        try:
            if path.stat().st_size <= MAX:
                data = path.read_bytes()
                ids[image_identity(data)] = None
                if len(seen) < LOOKS:
                    seen[_look(data)] = None
        except (OSError, ImageUnreadable):
            continue  # the export notes an image that cannot be read
    return (*ids, *seen)


def _look(data: bytes) -> str:
    """An image's coarse structure as text. Raises ImageUnreadable."""
    return _LOOK + base64.b64encode((grid(data) * 255).round().astype("uint8").tobytes()).decode()


def looks(shows: Sequence[str]) -> list[Grid]:
    """The looks among `Article.shows`, at most LOOKS. An article may come from a client: others are left out."""
    found: list[Grid] = []
    for one in (one for one in shows if one.startswith(_LOOK)):
        with suppress(ValueError):
            data = base64.b64decode(one.removeprefix(_LOOK), validate=True)
            found.append(np.frombuffer(data, dtype="uint8").reshape(16, 16, 3) / 255)
        if len(found) == LOOKS:
            break
    return found


def is_copy(data: bytes, known: Sequence[Grid]) -> bool:
    """Whether an image looks the same as one of those known. Raises ImageUnreadable."""
    one = grid(data)
    return any(same_look(one, other) for other in known)
