"""A table as a source: the pictures that its rows name, in the table's own folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from limner.tools.library.folder import add_image, inside
from limner.tools.library.folders import folder_library
from limner.tools.library.scanned import Scan, counted, folded
from limner.tools.library.sidecars import ENDINGS
from limner.tools.library.tables import Table

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|data:)", re.IGNORECASE)


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
            if os.path.isfile(path):
                add_image(path, found)
        rows.rows = [row for row in rows.rows if not _ADDRESS.match(row[0]) and self._path(row[0]) is not None]
        found.rows.update(dict(reversed([*rows.match(found.files, found.problems)])))
        for folder in {os.path.dirname(path) for path in found.files}:
            for name in sorted(os.listdir(folder)):
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
        addresses, outside = [], []
        for name in dict.fromkeys(name for name, _ in rows.rows):
            if _ADDRESS.match(name):
                addresses.append(repr(name[:100]))
            elif (path := self._path(name)) is None:
                outside.append(repr(name[:100]))
            else:
                yield path
        found.problems += counted(
            str(self.table), addresses, "rows name an address, and limner fetches nothing", "download the pictures"
        )
        found.problems += counted(
            str(self.table), outside, "rows name files outside the table's folder", "add their folder instead"
        )

    def _path(self, name: str) -> str | None:
        """The absolute path of a row's file; None outside the table's folder."""
        try:
            spelled = name if os.path.lexists(self.root / name) else name.replace("\\", "/")
            path = os.path.normpath(self.root / spelled)
            return path if Path(path).is_relative_to(self.root) and inside(path, self.root) else None
        except ValueError:  # a null byte
            return None

    def _keep(self) -> None:
        """Keep the names before anything is indexed: what a later table leaves out is then known to be of this one."""
        self._kept.parent.mkdir(exist_ok=True)
        part = self._kept.with_suffix(".part")
        part.write_text(json.dumps({"paths": sorted(self.before | self.now)}), encoding="utf-8")
        part.replace(self._kept)
