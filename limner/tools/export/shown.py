"""Recognise a draft's own images in a library, so that none of them is placed a second time."""

from __future__ import annotations

import re
from pathlib import Path

from limner.document import Article
from limner.tools.export.own import images_in, own_images
from limner.tools.library.sources import image_identity

MAX = 100_000_000  # bytes of a file to hash; no library has larger ones
_OURS = re.compile(r"(?:^|-)([0-9a-f]{8})(?:-\d+)?\.\w+\Z")


def shown_ids(article: Article, folder: Path) -> tuple[str, ...]:
    """Ids of the images in `folder` that a draft shows, by their bytes or by the name of limner's copy.

    limner's copies lack private metadata, so their bytes differ from the library's; their names end in the first eight
    characters of the id.
    """
    named = (_OURS.search(name) for name in images_in(article))
    ids = {found[1]: None for found in named if found}
    for path in own_images(article, folder).values():
        try:
            if path.stat().st_size <= MAX:
                ids[image_identity(path.read_bytes())] = None
        except OSError:
            continue  # the export notes an image that cannot be read
    return tuple(ids)
