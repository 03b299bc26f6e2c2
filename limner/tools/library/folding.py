"""Find the near-copies in a library while it is indexed: one sketch per picture, compared with those before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from limner.errors import ImageUnreadable
from limner.lazy import lazy
from limner.tools.images import images
from limner.tools.images.sketch import CLOSE, GATE, same, same_shape
from limner.tools.library import near
from limner.tools.library.sources import batches, image_identity, read_file

if TYPE_CHECKING:
    import sqlite3

    import numpy as np

    from limner.tools.library.library import Library
else:  # a library is opened without it
    np = lazy("numpy")

_BLOCK = 64  # pictures between two commits; their products with 100,000 gates take 26 MB
_NEAREST = 64
"""Pictures whose sketches one is compared with, at most: those with the nearest gates. So ten thousand drawings of one
layout take a minute and not an hour."""


def counted(library: Library) -> tuple[int, int]:
    """(images that have near-copies, the number of pictures that they are)."""
    with library.transaction() as records:
        return near.count(records)


class Folding:
    """Near-copies for one run of indexing."""

    def __init__(self, library: Library, max_pixels: int = images.MAX_PIXELS) -> None:
        self.library, self.max_pixels = library, max_pixels

    def catch_up(
        self,
        files: Collection[str],
        ahead: Callable[[Sequence[Any], Callable[[Any], Any]], Iterator[list[Any]]],
        progress: Callable[[int, int], None],
    ) -> None:
        """Make the sketches of pictures that an older limner read, as far as they are among these files. ahead: as
        `indexing.Sync.ahead`."""
        with self.library.transaction() as records:
            todo = [*{image: path for image, path in near.unread(records) if path in files}.items()]
        done = 0
        for batch in ahead(todo, self._read):
            with self.library.transaction() as records:
                near.keep(records, dict(batch))
            done += len(batch)
            progress(done, len(todo))

    def _read(self, one: tuple[str, str]) -> tuple[str, bytes]:
        image, path = one
        try:
            data = read_file(path)
            if image_identity(data) == image:
                return image, images.sketch_of(data, max_pixels=self.max_pixels)
        except (ImageUnreadable, OSError):
            pass  # read long ago; if it is gone or damaged by now, the next change of it tells
        return image, b""

    def group(self) -> None:
        """Put each picture that was not compared yet into the group of the first that it is a near-copy of.

        A picture is compared with one of each group, so that a chain of small differences makes no group. A kill leaves
        the rest to the next run.
        """
        with self.library.transaction() as records:
            new = [image for (image,) in records.execute("SELECT image FROM sketch WHERE NOT compared ORDER BY image")]
            known = _Known(records) if new else None
        for block in batches(new, _BLOCK):
            assert known
            with self.library.transaction() as records:
                rows = known.placed(records, block)
                records.executemany("INSERT OR REPLACE INTO near VALUES (?, ?)", rows.items())
                records.executemany("UPDATE sketch SET compared = 1 WHERE image = ?", [(one,) for one in block])


class _Known:
    """The gates of a library's pictures, and which of them stand for the others."""

    def __init__(self, records: sqlite3.Connection) -> None:
        rows = records.execute(
            "SELECT s.image, i.width, i.height, s.gate, n.of, s.compared FROM sketch s JOIN image i ON i.id = s.image "
            "LEFT JOIN near n ON n.image = s.image WHERE s.gate != x'' ORDER BY s.image"
        ).fetchall()
        self.ids = [row[0] for row in rows]
        self.row = {image: n for n, image in enumerate(self.ids)}
        self.size = [(row[1], row[2]) for row in rows]
        self.of: dict[str, str] = {row[0]: row[4] for row in rows if row[4]}
        self.gates = np.frombuffer(b"".join(row[3] for row in rows), np.float16).reshape(-1, GATE**2).astype(np.float32)
        first: dict[str, str] = {}
        for image, of in self.of.items():
            first.setdefault(of, image)
        compared = [bool(row[5]) and first.get(self.of.get(row[0], ""), row[0]) == row[0] for row in rows]
        self.stands = np.array(compared, bool)
        """Whether new pictures are compared with it: it is alone, or the first of its group."""

    def placed(self, records: sqlite3.Connection, images: Sequence[str]) -> dict[str, str]:
        """The rows of `near` that new pictures add, each compared with those before it."""
        rows = [self.row[image] for image in images if image in self.row]
        close = self.gates[rows] @ self.gates.T >= CLOSE
        added: dict[str, str] = {}
        for row, its in zip(rows, close, strict=True):
            other = self._first(records, row, np.flatnonzero(its & self.stands))
            if other is None:
                self.stands[row] = True
                continue
            of = self.of.setdefault(other, other)
            self.of[self.ids[row]] = of
            added |= {other: of, self.ids[row]: of}
        return added

    def _first(self, records: sqlite3.Connection, row: int, rows: np.ndarray) -> str | None:
        """The nearest of these pictures, by their gates, that the one in this row is a near-copy of."""
        nearest = rows[np.argsort(-(self.gates[rows] @ self.gates[row]), kind="stable")][:_NEAREST]
        near_by = [n for n in nearest.tolist() if n != row and same_shape(self.size[n], self.size[row])]
        if not near_by:
            return None
        looks = near.sketches(records, [self.ids[n] for n in (row, *near_by)])
        own = looks.get(self.ids[row])
        for n in near_by if own else ():
            look = looks.get(self.ids[n])
            if own and look and same(own, look, min(*self.size[n], *self.size[row])):
                return self.ids[n]
        return None
