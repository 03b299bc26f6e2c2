"""A table as a source: the pictures that its rows name, in the table's own folder."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from limner.errors import LibraryError
from limner.text import printable_path
from limner.tools.library.folder import add_image, inside, is_entered, is_image
from limner.tools.library.folders import folder_library
from limner.tools.library.scanned import Scan, counted, folded
from limner.tools.library.sidecars import ENDINGS
from limner.tools.library.tables import Table

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|data:)", re.IGNORECASE)

_UNCERTAIN = (errno.EACCES, errno.EPERM, errno.EIO, errno.ETIMEDOUT, getattr(errno, "ESTALE", errno.EIO))


class Listed:
    """The pictures that a table names, now and in former runs."""

    def __init__(self, library: Path, table: Path) -> None:
        """library: the library's folder, where the names of a run are kept for the next."""
        self.table, self.root = table, table.parent
        self._kept = library / "unpacked" / f"{folder_library(table)}.json"
        self.before: set[str] = set()
        with suppress(OSError, ValueError, KeyError):
            self.before = set(json.loads(self._kept.read_text(encoding="utf-8"))["paths"])
        self.now: set[str] = set()

    def scan(self, keep: bool = True) -> Scan:
        """The pictures that the rows name, and the texts beside them. Nothing is fetched, or read elsewhere.

        keep: whether to keep the names for the next run. Raises LibraryError if the library cannot be written.
        """
        found = Scan()
        if not self.table.is_file():
            return found
        rows = Table(str(self.table), found.problems)
        for path in self._inside(rows, found):
            if self._is_there(path, found):
                add_image(path, found)
        rows.rows = [row for row in rows.rows if not _ADDRESS.match(row[0]) and _counts(self._path(row[0]), self.root)]
        found.rows.update(dict(reversed([*rows.match(found.files, found.problems)])))
        for folder in {os.path.dirname(path) for path in found.files}:
            for name in _listed(folder, found):
                if name.lower().endswith(ENDINGS) and not name.startswith("."):
                    path = os.path.join(folder, name)
                    found.sidecars.setdefault(folded(path), []).append(path)
        self.now = set(found.files)
        if keep:
            self._keep()
        return found

    def covers(self, path: str) -> bool:
        """Whether the table names a file, or named it in a former run."""
        return path in self.now or path in self.before

    def _inside(self, rows: Table, found: Scan) -> Iterator[str]:
        addresses, outside, others = [], [], []
        for name in dict.fromkeys(name for name, _ in rows.rows):
            if _ADDRESS.match(name):
                addresses.append(repr(name[:100]))
            elif (path := self._path(name)) is None:
                outside.append(repr(name[:100]))
            elif not _counts(path, self.root):
                others.append(repr(name[:100]))
            else:
                yield path
        found.problems += counted(
            str(self.table),
            addresses,
            "[row names|rows name] an address, and limner fetches nothing",
            "download the pictures",
        )
        found.problems += counted(
            str(self.table),
            outside,
            "[row names a file|rows name files] outside the table's folder",
            "add their folder instead",
        )
        found.problems += counted(
            str(self.table),
            others,
            "[row names|rows name] no picture, or a hidden file or cache",
            "name pictures in other folders",
        )

    def _path(self, name: str) -> str | None:
        """The absolute path of a row's file; None outside the table's folder."""
        within = []
        for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
            path = os.path.normpath(self.root / spelled)
            # Before a look at the disk: on Windows, a look at a name that begins with two \\ asks that host.
            if Path(path).is_relative_to(self.root):
                within.append(path)
        try:
            path = next((path for path in within if os.path.lexists(path)), within[-1] if within else None)
            return path if path is not None and inside(path, self.root) else None
        except ValueError:  # a null byte
            return None

    def _is_there(self, path: str, found: Scan) -> bool:
        """Whether a file is there. If that cannot be told, what the library has of its folder stays."""
        try:
            return stat.S_ISREG(os.stat(path).st_mode)
        except UnicodeEncodeError:
            return False
        except OSError as error:
            if error.errno not in _UNCERTAIN:  # nothing there, or no name of a file
                return False
            found.refused.append((printable_path(path), f"{error.strerror or error}: check that it may be read"))
            found.unlisted.append(os.path.dirname(path))
            return False

    def _keep(self) -> None:
        """Keep the names before anything is indexed: what a later table leaves out is then known to be of this one."""
        part = self._kept.with_suffix(".part")
        try:
            self._kept.parent.mkdir(exist_ok=True)
            part.write_text(json.dumps({"paths": sorted(self.before | self.now)}), encoding="utf-8")
            part.replace(self._kept)
        except OSError as error:
            line = f"{part.parent} cannot be written ({error.strerror}): check disk and rights."
            raise LibraryError(line) from error


def _counts(path: str | None, root: Path) -> bool:
    """Whether a folder as a source would have this file, too: a picture, and not in a hidden folder or a cache."""
    if path is None:
        return False
    for one in (path, os.path.realpath(path)):
        *folders, name = Path(one).relative_to(root).parts or ("",)
        if not is_image(name) or not all(map(is_entered, folders)):
            return False
    return True


def _listed(folder: str, found: Scan) -> list[str]:
    """The names in a folder, sorted."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        line = f"{error.strerror or error}, so texts beside the pictures are not read: check its rights"
        found.problems.append((printable_path(folder), line))
        return []
