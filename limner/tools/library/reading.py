"""Read the text in a library's pictures while the library is indexed, if it is to be read (`library add --read-text`).

New pictures are read before their vectors are made, those of an older library in batches that are committed one by one:
a run that ends in any way leaves the rest to the next, and no picture is read twice but those in flight.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from limner.errors import ImageUnreadable, NotInstalled
from limner.tools.images import images, ocr
from limner.tools.images.images import TextIn
from limner.tools.library import captions, unchanged
from limner.tools.library import text_in_pictures as texts
from limner.tools.library.library import Library
from limner.tools.library.report import Report
from limner.tools.library.sources import image_identity, read_file
from limner.tools.library.text_in_pictures import Reading

INSTALL = "pip install 'limner[ocr]'"
Ahead = Callable[[Sequence[Any], Callable[[Any], Any]], Iterator[list[Any]]]
"""See `indexing.Sync.ahead`."""


def want(library: Library, wanted: bool) -> None:
    """Let a library's pictures be read from the next run on, or no longer. Those that could not be read are read once
    more. Raises NotInstalled, without a change."""
    if wanted and (problem := unusable()):
        raise NotInstalled(problem)
    with library.transaction() as records:
        if wanted:
            texts.drop(records, failed=True)
    unchanged.begin(library)  # the next run looks at all pictures
    library.set_meta(texts.WANTED, "1" if wanted else "")


def counted(library: Library) -> tuple[int, int]:
    """(pictures of a library that were read, those with text)."""
    with library.transaction() as records:
        return texts.count(records)


def unusable() -> str:
    """Why no text can be read, and what to do; "" if it can. Reads a picture that limner has drawn."""
    if not ocr.installed():
        return f"Reading the text in pictures needs an extra: {INSTALL}"
    try:
        images.text_in(drawn())
    except ImageUnreadable:
        return f"The program that reads the text in pictures does not run: install it again with {INSTALL}"
    return ""


def drawn() -> bytes:
    """The picture that shows whether pictures can be read."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(out, "PNG")
    return out.getvalue()


class Reader:
    """Reads pictures for one run of indexing; `read` holds what was read by image id."""

    def __init__(self, library: Library, max_pixels: int = images.MAX_PIXELS) -> None:
        self.library, self.max_pixels = library, max_pixels
        self.wanted = library.meta(texts.WANTED) == "1"
        self.problem = unusable() if self.wanted else ""
        self.on = self.wanted and not self.problem
        self.read: dict[str, Reading] = {}

    def look(self, image: str, data: bytes) -> None:
        """Read a picture; a failure is noted and ends nothing. Called by several threads."""
        if not self.on or image in self.read:
            return
        try:
            self.read[image] = Reading(images.text_in(data, max_pixels=self.max_pixels))
        except ImageUnreadable as error:
            self.read[image] = Reading(problem=str(error))

    def text(self, image: str) -> TextIn:
        """What was read in a picture of this run."""
        return self.read[image].text if image in self.read else texts.NONE

    def of(self, ids: Iterable[str]) -> dict[str, Reading]:
        """What was read in these pictures, as far as they were read."""
        return {image: self.read[image] for image in ids if image in self.read}

    def catch_up(self, files: Collection[str], ahead: Ahead, progress: Callable[[int, int], None]) -> None:
        """Read what is in the library and was not read yet, as far as it is among these files; or delete what was read
        of a library that does not want it any more."""
        if not self.wanted:
            self._drop()
        if not self.on:
            return
        with self.library.transaction() as records:
            todo = [*{image: path for image, path in texts.unread(records) if path in files}.items()]
        done = 0
        for batch in ahead(todo, self._read_file):
            self._keep([image for image in batch if image])
            done += len(batch)
            progress(done, len(todo))

    def tell(self, report: Report) -> None:
        """Enter what was done into the run's report."""
        report.texts_read, report.texts_found = len(self.read), sum(bool(one.text.words) for one in self.read.values())
        if self.problem:
            report.texts_unread.append((self.library.name, self.problem))
        failed = {image: one.problem for image, one in self.read.items() if one.problem}
        for record in self.library.records_of(failed):
            report.texts_unread.append((record.path, failed[record.id]))

    def _read_file(self, one: tuple[str, str]) -> str:
        image, path = one
        try:
            data = read_file(path)
        except (ImageUnreadable, OSError):
            return ""  # read when it came into the library; the next change of it tells
        if image_identity(data) != image:
            return ""
        self.look(image, data)
        return image

    def _keep(self, ids: Sequence[str]) -> None:
        """Vectors before the records, as everywhere: a kill in between has these pictures read again."""
        read = self.of(ids)
        there = self.library.records_of(image for image, one in read.items() if one.text.words)
        self.library.put([replace(record, text_in_picture=read[record.id].text) for record in there], {})
        with self.library.transaction() as records:
            texts.keep(records, read)

    def _drop(self) -> None:
        with self.library.transaction() as records:
            records.execute("BEGIN IMMEDIATE")
            captions.mark(records, texts.drop(records))
