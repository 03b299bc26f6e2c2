"""Everything that a library is made of as one source: folders, archives, Parquet files, tables."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from limner.errors import BadInput, LibraryError, LibraryMissing
from limner.text import printable_path
from limner.tools.images import images
from limner.tools.library import folder
from limner.tools.library.listed import Listed
from limner.tools.library.scanned import Scan
from limner.tools.library.sources import Folders, Located, located
from limner.tools.library.unpacking import unpacked
from limner.tools.library.unpacking.unpacked import UNPACKED, Progress, root_of


class Part:
    """One source of a library, there or away."""

    def __init__(self, library: Path, name: str, there: Located | None, max_pixels: int = images.MAX_PIXELS) -> None:
        """library: the library's folder; there: None for a source that is away."""
        self.library, self.name, self.there, self.max_pixels = library, name, there, max_pixels
        self.copy = root_of(library, name)
        kind = there.kind if there else self._former_kind()
        self.copied = kind in ("zip", "tar", "parquet")
        self.listed = Listed(library, Path(name)) if kind == "table" else None
        self.root = str(self.copy if self.copied else name)
        # A library that was moved has its copies elsewhere by now; their names tell.
        self._inside = f"{os.sep}{UNPACKED}{os.sep}{self.copy.name}{os.sep}" if self.copied else ""

    def _former_kind(self) -> str:
        """The kind of a source that is away."""
        if self.copy.is_dir():
            return "zip"
        return "table" if self.copy.with_name(f"{self.copy.name}.json").is_file() else "folder"

    def covers(self, path: str) -> bool:
        """Whether a path is this source's."""
        if self.listed:
            return self.listed.covers(path)
        return path.startswith(self.root.rstrip(os.sep) + os.sep) or (self.copied and self._inside in path)

    def scan(self, progress: Progress | None) -> Scan:
        """What it has now; nothing if it is away."""
        if self.there is None:
            return Scan()
        if self.listed:
            return self.listed.scan()
        found = unpacked.unpack(self.library, self.there, progress) if self.copied else Scan()
        found.add(folder.scan(Path(self.root)))
        return found

    def forget(self) -> None:
        """Delete what the library's folder holds for it."""
        if self.copied:
            shutil.rmtree(self.copy, ignore_errors=True)
        with suppress(OSError):
            self.copy.with_name(f"{self.copy.name}.json").unlink()


class Gathered(Folders):
    """Sources of any kind of one library."""

    def __init__(
        self,
        library: Path,
        names: Iterable[str | Path],
        recorded: Sequence[str] = (),
        *,
        max_pixels: int = images.MAX_PIXELS,
        away: Sequence[str] = (),
        on_progress: Progress | None = None,
    ) -> None:
        """library: its folder; recorded: all its sources; away: those whose pictures are no longer there.

        Raises LibraryMissing and BadInput as `located` does.
        """
        super().__init__((), max_pixels=max_pixels)
        self.parts = [Part(library, str(one.path), one) for one in map(located, names)]
        self.names = [part.name for part in self.parts]
        self.unpacked = [str(part.copy) for part in self.parts if part.copied]
        self.parts += [Part(library, name, None) for name in away]
        others = set(recorded) - set(self.names) - set(away)
        self._others = [Part(library, name, None) for name in others]
        self._progress = on_progress

    def scan(self) -> Scan:
        """All parts as one scan; archives are unpacked first. Raises what `unpacked.unpack` raises."""
        whole = Scan()
        for part in self.parts:
            whole.add(part.scan(self._progress))
        return whole

    def watched(self) -> list[Path]:
        """As for `Folders`: archives and tables are looked through each time."""
        folders = all(part.there is not None and part.there.kind == "folder" for part in self.parts)
        return [Path(part.root) for part in self.parts] if folders else []

    def covers(self, path: str) -> bool:
        """Whether the path is of one of the parts. A file that a table no longer names may be another source's."""
        mine = [part for part in self.parts if part.covers(path)]
        if any(part.listed is None for part in mine):
            return True
        return bool(mine) and (
            any(part.listed and path in part.listed.now for part in mine)
            or not any(other.covers(path) for other in self._others)
        )

    def check(self, library: str, before: Mapping[str, Any], found: Scan) -> None:
        """Raises LibraryError if a part has become empty: an unmounted disk is an empty folder.

        before: the library's files by path.
        """
        paths = [*found.files, *(path for there in found.sidecars.values() for path in there)]
        for part in self.parts:
            if part.there is not None and not any(map(part.covers, paths)):
                held = sum(part.covers(path) for path in before)
                if held:
                    raise away(library, part.name, held, "has no picture any more")


def away(library: str, source: str, held: int, what: str = "is not there") -> LibraryError:
    """The error for a source whose pictures would be dropped."""
    many = "1 picture" if held == 1 else f"{held} pictures"
    line = f"{printable_path(source)} {what}, and {library} has {many} of it: nothing is changed"
    return LibraryError(f"{line}. Bring it back, or drop them with `limner library sync {library} --drop-missing`.")


def costs(library: Path, names: Iterable[str | Path]) -> Iterator[str]:
    """A line per archive that must be copied: how much of the disk that takes.

    library: the library's folder, existing or not. Raises as `located` does, and BadInput if there is too little room.
    """
    for source in map(located, names):
        if source.kind in ("folder", "table") or unpacked.is_current(library, source):
            continue
        size = source.path.stat().st_size
        there = next(parent for parent in library.parents if parent.is_dir())
        free, name = shutil.disk_usage(there).free, printable_path(source.path.name)
        line = f"The pictures of {name} are copied into the library, about {_size(size)}"
        if size > free and not root_of(library, source.path).is_dir():
            raise BadInput(f"{line}, but {_size(free)} are free: free some room first.")
        yield f"{line} of {_size(free)} free; `limner library remove` deletes the copies."


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(count, 100_000) / 1e6:,.1f} MB"


def split(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(sources that are there, sources that are away)."""
    there, gone = [], []
    for name in names:
        try:
            located(name)
            there.append(name)
        except LibraryMissing:
            gone.append(name)
    return there, gone
