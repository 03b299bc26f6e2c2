"""Make a library of the image files that an article should use."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from limner.document import Brief, Reference
from limner.errors import BadInput
from limner.tools.images.images import read_picture
from limner.workflows.context import Context, open_library


def with_references(brief: Brief, files: Sequence[str | Path], context: Context) -> Brief:
    """The brief with image files that the article should use; they become a library of their own, searched first.

    The files are copied, so that a job can resume after they were moved. Raises BadInput, ImageUnreadable.
    """
    if not files:
        return brief
    contents: dict[Path, bytes] = {}
    for path in map(Path, files):
        try:
            contents[path] = path.read_bytes()
        except OSError as e:
            raise BadInput(f"The image {path} cannot be read ({e.strerror}). Check the name.") from e
        read_picture(contents[path], max_pixels=context.settings.max_pixels)
    digest = hashlib.sha256(b"".join(hashlib.sha256(d).digest() for d in contents.values())).hexdigest()[:12]
    folder = context.settings.home / "references" / digest
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in contents.items():
        (folder / path.name).write_bytes(data)
        for sidecar in (path.with_suffix(".txt"), path.with_suffix(".json")):
            if sidecar.is_file():
                shutil.copyfile(sidecar, folder / sidecar.name)
    library = open_library(context, folder)
    context.libraries = [library, *context.libraries]
    references = tuple(Reference(image_id=r.id, caption=r.caption, library=library.name) for r in library.records())
    return brief.model_copy(update={"references": references})
