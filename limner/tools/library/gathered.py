"""Everything that a library is made of as one source: folders, archives, Parquet files, tables."""

from __future__ import annotations

import os
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import BadInput, LibraryError, LibraryMissing, NotInstalled
from limner.text import printable_path
from limner.tools.images import images
from limner.tools.library import folder
from limner.tools.library.folders import UNPACKED, root_of
from limner.tools.library.listed import Listed
from limner.tools.library.scanned import Scan
from limner.tools.library.sources import Folders, Located, located
from limner.tools.library.unpacking import unpacked
from limner.tools.library.unpacking.unpacked import Progress

if TYPE_CHECKING:
    from limner.tools.library.library import Library


class Part:
    """One source of a library, there or away."""

    def __init__(self, library: Path, name: str, there: Located | None, max_pixels: int = images.MAX_PIXELS) -> None:
        """library: the library's folder; there: None for a source of which nothing is there any more."""
        self.library, self.name, self.there, self.max_pixels = library, name, there, max_pixels
        self.copy = root_of(library, name)
        kind = there.kind if there else self._former_kind()
        self.copied = kind in ("zip", "tar", "parquet", "copy")
        self.listed = Listed(library, Path(name)) if kind == "table" else None
        self.root = str(self.copy if self.copied else name)
        # A library that was moved has its copies elsewhere by now; their names tell.
        self._inside = f"{os.sep}{UNPACKED}{os.sep}{self.copy.name}{os.sep}" if self.copied else ""

    def _former_kind(self) -> str:
        """The kind of a source that is away."""
        if self.copy.is_dir():
            return "copy"
        return "table" if self.copy.with_name(f"{self.copy.name}.json").is_file() else "folder"

    def covers(self, path: str) -> bool:
        """Whether a path is this source's."""
        if self.listed:
            return self.listed.covers(path)
        return path.startswith(self.root.rstrip(os.sep) + os.sep) or (self.copied and self._inside in path)

    def scan(self, progress: Progress | None, keep: bool = True) -> Scan:
        """What it has now; nothing if it is away. keep: whether the library's folder may be written."""
        if self.there is None:
            return Scan()
        if self.listed:
            return self.listed.scan(keep)
        if self.copied and self.there.kind != "copy":
            return unpacked.unpack(self.library, self.there, progress)
        return folder.scan(Path(self.root))

    def settle(self, paths: Iterable[str]) -> None:
        """Delete copies that the archive no longer has. paths: of the library's files after the run."""
        if self.copied and self.there is not None and self.there.kind != "copy":
            within = (path.partition(self._inside)[2].replace(os.sep, "/") for path in paths if self._inside in path)
            unpacked.settle(self.copy, set(within))

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
        dropped: Mapping[str, Located | None] | None = None,
        emptied: Sequence[Path] = (),
        keep: bool = True,
        tolerant: bool = False,
        on_progress: Progress | None = None,
    ) -> None:
        """library: its folder; recorded: all its sources; dropped: those to drop, with what is there in their place;
        emptied: folders in sources that somebody has emptied on purpose; keep: whether the library's folder may be
        written; tolerant: whether an archive that cannot be read is left as it is, and named in `broken`.

        Raises LibraryMissing and BadInput as `present` does.
        """
        super().__init__((), max_pixels=max_pixels)
        self.dropped, self._emptied, self._keep, self._tolerant = dropped or {}, emptied, keep, tolerant
        self.broken: list[tuple[str, str]] = []
        self.parts = [Part(library, str(one.path), one) for one in (present(library, name) for name in names)]
        self.names = [part.name for part in self.parts]
        self.unpacked = [str(part.copy) for part in self.parts if part.copied]
        self.parts += [Part(library, name, there) for name, there in self.dropped.items()]
        others = set(recorded) - set(self.names) - set(self.dropped)
        self._others = [Part(library, name, None) for name in others]
        self._progress = on_progress

    def scan(self) -> Scan:
        """All parts as one scan; archives are unpacked first. Raises what `unpacked.unpack` raises."""
        whole = Scan()
        for part in [*self.parts]:
            try:
                whole.add(part.scan(self._progress, self._keep))
            except (BadInput, NotInstalled) as error:
                if not self._tolerant or part.name in self.dropped:
                    raise
                self.broken.append((printable_path(part.name), str(error)))
                self.parts.remove(part)  # so nothing of it is dropped
                self._others.append(part)
        return whole

    def settle(self, library: Library) -> None:
        """After a run: delete copied pictures that their archives no longer have, and no record needs."""
        if self.unpacked:
            with library.alone():
                with library.transaction() as records:
                    paths = [path for (path,) in records.execute("SELECT path FROM file")]
                for part in self.parts:
                    part.settle(paths)

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
        """Raises LibraryError if a part, or a folder in one, has become empty: an unmounted disk is an empty folder.
        Raises BadInput if a part is to be dropped that has pictures.

        before: the library's files by path.
        """
        for part in self.parts:
            if part.name in self.dropped:
                _check_dropped(part, found)
            elif not any(map(part.covers, found.files)):
                held = sum(part.covers(path) for path in before)
                if held:
                    raise away(library, part.name, held, "has no picture any more")
            elif not part.copied:
                _check_folders(library, part, before, found, self._emptied)


def _check_dropped(part: Part, found: Scan) -> None:
    """Raises BadInput if a source has pictures, or may have some."""
    if part.there is None:
        return
    name, held = printable_path(part.name), sum(map(part.covers, found.files))
    if held:
        raise BadInput(f"{name} is there and has {_many(held)}: --drop-missing drops only what is away or empty.")
    if any(Path(shut).is_relative_to(part.root) for shut in found.unlisted):
        raise BadInput(f"{name} cannot be read, so nothing of it is dropped: check disk and rights.")


def _check_folders(
    library: str, part: Part, before: Mapping[str, Any], found: Scan, meant: Sequence[Path] = ()
) -> None:
    """Raises LibraryError if a folder that had pictures is there and empty, unless they are elsewhere by now, or it was
    meant."""
    moved = {(stamp.size, stamp.changed) for path, stamp in found.files.items() if path not in before}
    emptied: Counter[Path] = Counter()
    for path, file in before.items():
        if path not in found.files and part.covers(path) and (file.size, file.changed) not in moved:
            here = next(folder for folder in Path(path).parents if os.path.isdir(folder))
            emptied[here] += 1
    for here, held in emptied.items():
        if _is_empty(here) and not any(here.is_relative_to(folder) for folder in meant):
            raise away(library, str(here), held, "is empty")


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False  # it could be listed a moment ago, or the scan tells


def away(library: str, source: str, held: int, what: str = "is not there") -> LibraryError:
    """The error for a source whose pictures would be dropped."""
    name = printable_path(source)
    line = f"{name} {what}, and {library} has {_many(held)} of it: nothing is changed"
    command = f"limner library sync {library} --drop-missing {shlex.quote(name)}"
    return LibraryError(f"{line}. Bring it back, or drop them with `{command}`.")


def _many(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def present(library: Path, name: str | Path) -> Located:
    """As `located`, and also an archive that is not there any more, if the library has its pictures.

    library: the library's folder. Raises what `located` raises.
    """
    try:
        return located(name)
    except LibraryMissing:
        with suppress(OSError, RuntimeError, ValueError):
            if root_of(library, name).is_dir():
                return Located(Path(name).resolve(), "copy")
        raise


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


def split(library: Path, names: Iterable[str]) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """(sources that are there, or whose pictures are in the library's folder, sources that are away, path and reason
    of those that are no sources any more)."""
    there, gone, broken = [], [], []
    for name in names:
        try:
            present(library, name)
            there.append(name)
        except LibraryMissing:
            gone.append(name)
        except BadInput as error:
            broken.append((printable_path(name), str(error)))
    return there, gone, broken
