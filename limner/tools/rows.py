"""Vectors of images as rows of flat files, which any number of processes map into memory and search at once.

A file only grows, and the manifest, which is replaced in one step, says how many of its rows count. So a reader needs
no lock, sees whole batches alone, and keeps what it has seen while a writer goes on. A row replaces earlier ones of
the same image. When too many are replaced, the writer copies the others to new files, and readers of the old ones may
go on.

The search is exact: for 100,000 images it is a matrix product, which takes less time than to open a store with an index
of nearest neighbours, whose files only one process may open (bench/library.md).
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from limner.lazy import lazy
from limner.tools.ranking import Words, ranked
from limner.tools.stored import Dense, Hit, Vectors, Within

if TYPE_CHECKING:
    import numpy as np
else:  # a graph is built without it
    np = lazy("numpy")

MANIFEST = "rows.json"
GONE = 128  # in the column "has": the image was deleted
SPARE = 1000  # replaced rows that are always borne, besides a quarter of the others
_SNAPSHOTS = 16  # libraries whose rows a process keeps mapped
_TRIES = 5  # readings of a manifest whose files a writer has just taken away, and replacements of one that is open


class Columns(NamedTuple):
    """The files of a folder, by the manifest."""

    tag: str
    """Begins their names; another one after each copy."""
    rows: int
    words: int
    """Pairs of term and weight in all rows."""
    spare: int
    """Rows that are replaced or say that an image was deleted."""
    sizes: dict[str, int]
    """Sizes by dense vector."""

    @classmethod
    def read(cls, folder: Path) -> Columns | None:
        """The manifest; None if there is none or it is damaged. Raises OSError if it cannot be read: it may be good."""
        try:
            return cls(**json.loads((folder / MANIFEST).read_bytes()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    @property
    def types(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """(type, shape) of each file: ids; the vectors that a row has, a bit each in order of their names; these
        vectors; the end of the row's words; terms and weights."""
        n = self.rows
        dense = {name: ("f4", (n, size)) for name, size in self.sizes.items()}
        words = {"ends": ("u8", (n,)), "terms": ("u4", (self.words,)), "weights": ("f4", (self.words,))}
        return {"ids": ("u1", (n, 16)), "has": ("u1", (n,)), **dense, **words}

    def array(self, folder: Path, name: str) -> np.ndarray:
        """A file, mapped. Raises OSError, ValueError if it is missing or too short."""
        kind, shape = self.types[name]
        if not all(shape):
            return np.zeros(shape, kind)
        mapped = np.memmap(folder / f"{self.tag}.{name}", kind, "r", shape=shape)
        return np.asarray(mapped)  # the same memory; a memmap costs time at each slice


# --- reading ---------------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> Snapshot | None:
    """The rows as they are now, None if they are missing or damaged. Later changes do not show in it.

    Raises OSError if the manifest cannot be read.
    """
    for _ in range(_TRIES):
        columns = Columns.read(folder)
        with _lock:
            known = _known.pop(folder, None)
            if known and columns and (known.columns == columns):
                _known[folder] = known  # the last used last
                return known
        if columns is None:
            return None
        try:
            made = Snapshot(folder, columns)
        except (OSError, ValueError):
            continue  # copied meanwhile
        with _lock:
            _known[folder] = made
            while len(_known) > _SNAPSHOTS:
                _known.pop(next(iter(_known)))
        return made
    return None


_known: dict[Path, Snapshot] = {}
_lock = threading.Lock()


class Snapshot:
    """Rows at one moment, mapped. Safe to use from several threads."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        """Raises OSError, ValueError if a file is missing or too short."""
        self.columns = columns
        self._arrays = {name: columns.array(folder, name) for name in columns.types}
        self.ids, self.has = self._arrays["ids"], self._arrays["has"]

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes by dense vector."""
        return self.columns.sizes

    @cached_property
    def live(self) -> np.ndarray | None:
        """Numbers of the rows that count, ascending; None for all."""
        if not self.columns.spare:
            return None
        high, low = np.ascontiguousarray(self.ids).view(">u8").T
        order = np.lexsort((np.arange(len(low)), low, high))
        last = np.append((np.diff(high[order]) != 0) | (np.diff(low[order]) != 0), True)
        kept = order[last]
        return np.sort(kept[self.has[kept] < GONE])

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row by image id, of those that count."""
        text = np.ascontiguousarray(self.ids).tobytes().hex()
        rows = range(self.columns.rows) if self.live is None else self.live.tolist()
        return {text[32 * n : 32 * n + 32]: n for n in rows}

    def dense(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """((rows, size) float32, whether each row has such a vector; None for all)."""
        bit = 1 << sorted(self.columns.sizes).index(name)
        has = (self.has & bit) > 0
        return self._arrays[name], None if has.all() else has

    def vectors(self, ids: Iterable[str]) -> dict[str, Dense]:
        """As `Store.vectors`."""
        found: dict[str, Dense] = {}
        for image in ids:
            if (row := self.row_of.get(image)) is not None:
                has = [n for bit, n in enumerate(sorted(self.sizes)) if self.has[row] & (1 << bit)]
                found[image] = {name: np.array(self._arrays[name][row], np.float32) for name in has}
        return found

    @property
    def words(self) -> Words:
        """The rows by term."""
        return self._words

    @cached_property
    def _words(self) -> Words:
        ends, terms, weights = (self._arrays[name] for name in ("ends", "terms", "weights"))
        row = np.repeat(np.arange(len(ends), dtype=np.uint32), np.diff(ends.astype(np.int64), prepend=0))
        if self.live is not None:
            counts = np.isin(row, self.live)
            row, terms, weights = row[counts], terms[counts], weights[counts]
        # Term and place in one number: a sort of numbers is ten times as fast as one of indices.
        order = np.sort((terms.astype(np.uint64) << np.uint64(32)) | np.arange(len(terms), dtype=np.uint64))
        place = (order & np.uint64(0xFFFFFFFF)).astype(np.int64)
        known, starts = np.unique(order >> np.uint64(32), return_index=True)
        count = self.columns.rows if self.live is None else len(self.live)
        return Words(known, np.append(starts, len(order)), row[place], np.asarray(weights)[place], count, {})

    def among(self, within: Within | None) -> np.ndarray | None:
        """Numbers of the rows that may be found, ascending; None for all."""
        if within is None:
            return self.live
        rows = self._rows_of(within.ids)
        if within.inside:
            return rows
        there = np.ones(self.columns.rows, bool)
        there[rows] = False
        return np.flatnonzero(there) if self.live is None else self.live[there[self.live]]

    def _rows_of(self, ids: Collection[str]) -> np.ndarray:
        """Numbers of the rows of those of the images that it has, ascending; for half of 100,000 images in a sixth of
        the time that `row_of` takes."""
        lows, highs, rows = self._by_low
        if not self._lows_differ or set(map(len, ids)) != {32}:
            known = map(self.row_of.get, ids)
            return np.sort(np.array([row for row in known if row is not None], np.int64))
        high, low = np.frombuffer(bytes.fromhex("".join(ids)), ">u8").reshape(-1, 2).T.astype("u8")
        at = np.minimum(np.searchsorted(lows, low), len(rows) - 1)
        return np.sort(rows[at[(lows[at] == low) & (highs[at] == high)]])

    @cached_property
    def _by_low(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(last halves of the ids, ascending, first halves, rows) of those that count."""
        rows = np.arange(self.columns.rows) if self.live is None else self.live
        high, low = np.ascontiguousarray(self.ids[rows]).view(">u8").T.astype("u8")
        order = np.argsort(low)
        return low[order], high[order], rows[order]

    @cached_property
    def _lows_differ(self) -> bool:
        lows = self._by_low[0]
        return len(lows) > 0 and bool((lows[1:] > lows[:-1]).all())  # as those of hashes do

    def search(self, queries: Sequence[Vectors], k: int, within: Within | None = None) -> list[list[Hit]]:
        """As `Store.search`."""
        return ranked(self, queries, k, self.among(within))


# --- writing ---------------------------------------------------------------------------------------------------------


class Rows:
    """The folder's writer. One at a time: the caller holds a lock."""

    def __init__(self, folder: Path, sizes: dict[str, int]) -> None:
        self.folder, self.sizes = folder, sizes
        self._known: tuple[Columns, set[str]] | None = None

    def there(self) -> Snapshot | None:
        """The rows as they are; None where they are missing, damaged or of other sizes. Raises OSError if that cannot
        be told."""
        found = snapshot(self.folder)
        return found if found and found.columns.sizes == self.sizes else None

    def ids(self) -> set[str]:
        """Ids of all images. Kept from one change to the next, because they are read from all rows."""
        found = self.there()
        if found is None:
            return set()
        if self._known is None or self._known[0] != found.columns:
            self._known = found.columns, set(found.row_of)
        return self._known[1]

    def start(self, points: Iterable[tuple[str, Vectors]]) -> None:
        """Write all rows anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        columns = Columns(uuid4().hex[:12], 0, 0, 0, self.sizes)
        for part in _parts(points, 1024):
            columns = self._appended(columns, self._encoded(part), 0)
        self._publish(columns)

    def append(self, points: Sequence[tuple[str, Vectors]]) -> None:
        """Add or replace. On disk when it returns; readers see all of them or none. Raises OSError without rows."""
        latest = dict(points)
        there, ids = self._must_be_there(), self.ids()
        made = self._appended(there.columns, self._encoded([*latest.items()]), len(ids & latest.keys()))
        self._known = None
        published = self._publish(made)
        ids.update(latest)
        self._known = published, ids

    def delete(self, ids: Iterable[str]) -> None:
        """Take away; an unknown id is no error. Raises OSError without rows."""
        there, known = self._must_be_there(), self.ids()
        gone = [i for i in dict.fromkeys(ids) if i in known]
        if gone:
            made = self._appended(there.columns, self._encoded([(i, None) for i in gone]), 2 * len(gone))
            self._known = None
            self._known = self._publish(made), known.difference(gone)

    def _must_be_there(self) -> Snapshot:
        """The rows. Without them nothing is added: a batch alone would look like all images."""
        there = self.there()
        if there is None:
            raise OSError(f"the rows in {self.folder} cannot be read")
        return there

    def drop(self) -> None:
        """Take away everything, for good."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _encoded(self, points: Sequence[tuple[str, Vectors | None]]) -> dict[str, np.ndarray]:
        """The new end of each file; None for an image that is deleted. `ends` starts from 0."""
        names = sorted(self.sizes)
        has = np.zeros(len(points), "u1")
        dense = {name: np.zeros((len(points), size), "f4") for name, size in self.sizes.items()}
        for n, (_, vectors) in enumerate(points):
            given = {"caption": vectors.caption, "clip": vectors.clip} if vectors else {}
            for bit, name in enumerate(names):
                if (vector := given.get(name)) is not None:
                    dense[name][n] = vector
                    has[n] |= 1 << bit
            if vectors is None:
                has[n] = GONE
        words = [vectors.words if vectors else ((), ()) for _, vectors in points]
        return {
            "ids": np.frombuffer(bytes.fromhex("".join(i for i, _ in points)), "u1").reshape(-1, 16),
            "has": has,
            **dense,
            "ends": np.cumsum([len(indices) for indices, _ in words]).astype("u8"),
            "terms": np.array([term for indices, _ in words for term in indices], "u4"),
            "weights": np.array([weight for _, values in words for weight in values], "f4"),
        }

    def _appended(self, columns: Columns, new: dict[str, np.ndarray], spare: int) -> Columns:
        """The columns with these rows, which are written but not yet published."""
        new = {**new, "ends": new["ends"] + np.uint64(columns.words)}
        for name, (kind, shape) in columns.types.items():
            path = self.folder / f"{columns.tag}.{name}"
            with path.open("r+b" if path.exists() else "xb") as file:
                # An earlier writer may have been killed behind its last published row.
                file.truncate(int(np.prod(shape)) * np.dtype(kind).itemsize)
                file.seek(0, os.SEEK_END)
                file.write(
                    np.ascontiguousarray(new[name].astype(kind, copy=False)).data.cast("B") if len(new[name]) else b""
                )
                file.flush()
                os.fsync(file.fileno())
        rows, words = columns.rows + len(new["ids"]), columns.words + len(new["terms"])
        return columns._replace(rows=rows, words=words, spare=columns.spare + spare)

    def _publish(self, columns: Columns) -> Columns:
        """Let readers see these rows, in new files without replaced ones if those are too many; returns which."""
        _write(self.folder / MANIFEST, columns)
        if columns.spare > SPARE + (columns.rows - columns.spare) // 4:
            columns = self._compacted(columns)
        self._clear(columns.tag)
        return columns

    def _compacted(self, columns: Columns) -> Columns:
        """The rows that count, published in files of their own. Without room for two sets it returns the given ones."""
        try:
            made = self._copied(columns, uuid4().hex[:12])
            _write(self.folder / MANIFEST, made)
        except OSError:
            return columns  # good as they are; what was copied is cleared away
        return made

    def _clear(self, tag: str) -> None:
        """Delete all files but the manifest and those that begin with the tag."""
        for path in self.folder.iterdir():
            if path.name != MANIFEST and not path.name.startswith(tag + "."):
                with suppress(PermissionError):  # Windows deletes no file that a reader has mapped: the next time
                    path.unlink(missing_ok=True)

    def _copied(self, columns: Columns, tag: str) -> Columns:
        """The rows that count, in files whose names begin with the tag."""
        old = Snapshot(self.folder, columns)
        assert old.live is not None
        made = Columns(tag, 0, 0, 0, self.sizes)
        ends: list[int] = [0, *old._arrays["ends"].tolist()]
        for some in _parts(old.live.tolist(), 4096):
            pairs = np.concatenate([np.arange(ends[n], ends[n + 1]) for n in some])
            new = {name: old._arrays[name][some] for name in ("ids", "has", *self.sizes)}
            new |= {name: old._arrays[name][pairs] for name in ("terms", "weights")}
            new["ends"] = np.cumsum([ends[n + 1] - ends[n] for n in some]).astype("u8")
            made = self._appended(made, new, 0)
        return made


def _write(path: Path, columns: Columns) -> None:
    """In one step, as other processes may read it."""
    new = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    with new.open("w", encoding="utf-8") as file:
        json.dump(columns._asdict(), file)
        file.flush()
        os.fsync(file.fileno())
    for left in reversed(range(_TRIES)):
        try:
            new.replace(path)
            break
        except PermissionError:  # on Windows, while a reader has it open
            if not left:
                raise
            time.sleep(0.02)


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    part: list[Any] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
