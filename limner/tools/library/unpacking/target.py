"""The folder into which an archive's pictures are copied: which members, under which names, within which limits.

Each file is written beside its place and then renamed, and one that is there with the same bytes stays as it is: a run
that was killed is repeated without a trace, and the library reads only what is new.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress

from limner.errors import BadInput, LibraryError
from limner.text import printable_path
from limner.tools.images.images import MAX_BYTES, SUFFIXES
from limner.tools.library.folder import is_system
from limner.tools.library.scanned import Problems, folded, numbered
from limner.tools.library.sidecars import ENDINGS, SIDECAR_BYTES
from limner.tools.library.tables import TABLE, TABLE_BYTES

MOST_MEMBERS = 1_000_000
RATIO = 100  # photographs hardly shrink, and a scan as BMP or TIFF seldom to less than a tenth
_FREE = 1 << 30  # bytes below which no archive grows, at any ratio
_ROOM = 1 << 30  # bytes to leave on the disk, or a twentieth of it
_CHUNK = 1 << 20
_STEP = 64 << 20  # bytes between two looks at the disk
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".parquet")
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))

OUTSIDE = ("[name that leads|names that lead] out of the archive", "rename them")
LINKS = ("[link or device|links or devices]", "put the pictures themselves into the archive")
ENCRYPTED = ("encrypted [file|files]", "unpack it with its password, and add the folder")
DAMAGED = ("damaged [file|files]", "get the archive again")
_NESTED = (
    "[archive inside the archive, which is|archives inside the archive, which are] not opened",
    "unpack them, and add the folder",
)
_SYSTEM = ("[file|files] of system folders, recycle bins or caches", "move them to add them")
_TWICE = ("[name that is|names that are] there twice, of which the first counts", "rename the others")
_UNWRITABLE = ("[name|names] that cannot be written here", "shorten or change them")
_LARGE = ("[file that is|files that are] too large", "save pictures with less than 200 MB")


class Target:
    """Where the members of one archive go."""

    def __init__(self, folder: str, source: str) -> None:
        """folder: made if it is missing; source: the archive."""
        self.folder, self.source = folder, printable_path(source)
        self.name = printable_path(os.path.basename(source))
        self.most = max(_FREE, RATIO * os.path.getsize(source))
        self.written = self.unlooked = self.members = 0
        self.names: set[str] = set()
        self._kept: set[str] = set()
        self._folded: dict[str, str] = {}
        self.whole = True
        """False if the archive ends early: then files of a former run stay."""
        self.lines: Problems = []
        self._refused: dict[tuple[str, str], tuple[int, str]] = {}
        os.makedirs(folder, exist_ok=True)
        self.temporary = os.path.join(folder, f".part-{os.getpid()}")

    def refuse(self, reason: tuple[str, str], name: str) -> None:
        """Count a member that is left out; one line tells of all with this reason."""
        count, first = self._refused.get(reason, (0, name))
        self._refused[reason] = count + 1, first

    def unread(self, reason: tuple[str, str], path: str) -> None:
        """Count a member that cannot be read. It is still in the archive: a good copy of a former run stays."""
        self.refuse(reason, path)
        self._kept.add(path)

    def problem(self, line: str) -> None:
        """Report something about the whole archive."""
        self.lines.append((self.source, line))

    def counted(self) -> None:
        """Count a member, read or not. Raises BadInput beyond MOST_MEMBERS."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise BadInput(f"{self.name} has more than {MOST_MEMBERS:,} files: divide it.")

    def grew(self, size: int) -> None:
        """Check bytes that came out of the archive in all. Raises BadInput for a bomb."""
        if size > self.most:
            raise BadInput(
                f"{self.name} unpacks to more than {RATIO} times its size, as a bomb does: nothing of it is added. If "
                "it is sound, unpack it and add the folder."
            )

    def place(self, name: str) -> str | None:
        """The path, within the folder, of a member that belongs into a library; None, and mostly a line, for others."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if name.startswith(("/", "\\")) or ".." in parts or re.match("[A-Za-z]:", name):
            self.refuse(OUTSIDE, name)
        elif not parts or any(part.startswith(".") for part in parts):
            return None
        elif any(map(is_system, parts[:-1])):
            self.refuse(_SYSTEM, name)
        elif parts[-1].lower().endswith(_ARCHIVES):
            self.refuse(_NESTED, name)
        elif _most(parts[-1]):
            path = "/".join(parts)
            if path not in self.names and not self._is_other(path):
                return path
            self.refuse(_TWICE, name)
        return None

    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write a member to a path of `place`. Raises LibraryError if the disk is full, BadInput for a bomb."""
        final = os.path.join(self.folder, path)
        try:
            os.makedirs(os.path.dirname(final), exist_ok=True)
            fits = self._write(data, _most(os.path.basename(path)))
            if not fits:
                self.refuse(_LARGE, path)
            elif not _same(self.temporary, final):
                os.replace(self.temporary, final)
            if fits:
                self.names.add(path)
                self._folded.setdefault(folded(path), path)
        except (UnicodeEncodeError, ValueError):
            self.refuse(_UNWRITABLE, path)
        except OSError as error:
            if error.errno in _FULL:
                raise self._full() from error
            if error.errno not in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL):
                raise
            self.refuse(_UNWRITABLE, path)
        finally:
            if os.path.lexists(self.temporary):
                os.unlink(self.temporary)

    def _write(self, data: Iterable[bytes], most: int) -> bool:
        """Whether the data fits the limit of its kind."""
        size = 0
        with open(self.temporary, "wb") as file:
            for chunk in data:
                size += len(chunk)
                self.written += len(chunk)
                self.unlooked += len(chunk)
                self.grew(self.written)
                if size > most:
                    return False
                if self.unlooked >= _STEP:
                    self.look()
                file.write(chunk)
        return True

    def look(self) -> None:
        """Raises LibraryError if the disk has no room left."""
        self.unlooked = 0
        disk = shutil.disk_usage(self.folder)
        if disk.free < min(_ROOM, disk.total // 20):
            raise self._full()

    def _full(self) -> LibraryError:
        size = os.path.getsize(os.path.join(self.source)) if os.path.exists(self.source) else 0
        need = f"about {max(size, self.written) / 1e6:,.0f} MB"
        return LibraryError(
            f"The disk is full while the pictures of {self.name} are copied ({need}): free some room, then run the "
            "same command; it continues."
        )

    def _is_other(self, path: str) -> bool:
        """Whether the disk takes the path for that of another member of this run, as A.jpg for a.jpg."""
        other = self._folded.get(folded(path), path)
        with suppress(OSError):
            return other != path and os.path.samefile(os.path.join(self.folder, other), os.path.join(self.folder, path))
        return False

    def finish(self) -> tuple[Problems, Problems, list[str]]:
        """Lines about (refused, skipped) members, and the files that the archive no longer has.

        These stay until the library has forgotten them: what ends its run must not cost it pictures.
        """
        stale = []
        for here, folders, names in os.walk(self.folder, topdown=False):
            for name in names:
                path = os.path.relpath(os.path.join(here, name), self.folder).replace(os.sep, "/")
                if name.startswith(".part-"):
                    os.unlink(os.path.join(here, name))
                elif self.whole and path not in self.names and path not in self._kept and not self._is_other(path):
                    stale.append(path)
            if here != self.folder and not os.listdir(here):
                os.rmdir(here)
            del folders
        refused, skipped = list(self.lines), []
        for (what, advice), (count, first) in self._refused.items():
            line = f"{numbered(count, what)}, the first {printable_path(first)[:100]!r}: {advice}"
            (skipped if (what, advice) in (_NESTED, _SYSTEM) else refused).append((self.source, line))
        return refused, skipped, stale


def _most(name: str) -> int:
    """The most bytes of a file of this name; 0 for one that does not belong into a library."""
    if os.path.splitext(name)[1].lower() in SUFFIXES:
        return MAX_BYTES
    if TABLE.fullmatch(name):
        return TABLE_BYTES
    return SIDECAR_BYTES if name.lower().endswith(ENDINGS) else 0


def _same(one: str, other: str) -> bool:
    return os.path.isfile(other) and filecmp.cmp(one, other, shallow=False)


def chunks(file: object) -> Iterable[bytes]:
    """The bytes of an open file, in parts."""
    return iter(lambda: file.read(_CHUNK), b"")  # type: ignore[attr-defined]
