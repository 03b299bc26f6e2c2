"""Tell without opening a file whether folders are as the last indexing left them.

A fingerprint covers name, size, and times of change of every file below the folders: images, sidecars and tables. While
it stays, every image has its vectors, and no file that could not be read can be read by now, an indexing has nothing to
do and reports what the last one found. Anything else leads to a whole run, which keeps a new fingerprint when it has
ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import ImageUnreadable
from limner.tools.library import captions, facts, near
from limner.tools.library.folder import is_entered
from limner.tools.library.records import meta, set_meta
from limner.tools.library.report import Report
from limner.tools.library.sources import Source, read_file
from limner.version import __version__

if TYPE_CHECKING:
    from limner.tools.library.library import Library

_KEY = "unchanged "  # begins the keys in the table `meta`; a key for each combination of folders
_PAUSED = "paused "  # begins them while a run may change what they tell of
TICK = 2_000_000_000  # ns; FAT and old file servers tell times of files no better


@dataclass(frozen=True)
class Seen:
    """The state of folders and library before a run."""

    key: str
    """"" if this source has no fingerprint."""
    now: str
    """The fingerprint; "" if a change just now could be missed by it."""
    last: dict[str, Any] | None
    """The fields of the report of the last run, if nothing has changed since."""
    state: str = ""
    """The library's files and their images before a whole run."""


def look(library: Library, source: Source, roots: Sequence[Path]) -> Seen:
    """Compare the folders with what the last run left. Call only within `alone`."""
    with library.transaction() as records:
        if not roots:
            return Seen("", "", None, _state(records))
        key = _KEY + hashlib.sha256("\0".join(map(str, roots)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        written = json.dumps(captions.of(records), sort_keys=True)
        kept = json.loads(meta(records, key) or "{}")
        images = {image for (image,) in records.execute("SELECT id FROM image")}
        complete = not (facts.unread(records) or near.unread(records))  # an older limner has none of some
        unread = [path for (path,) in records.execute("SELECT path FROM file WHERE problem IS NOT NULL")]
    now, recent = fingerprint(roots, written)
    same = kept.get("fingerprint") == now and bool(images) and complete and library.holds(images)
    if same and not any(source.covers(path) and _is_readable(library, source, path) for path in unread):
        return Seen(key, now, kept["report"])
    with library.transaction() as records:
        return Seen(key, "" if recent else now, None, _state(records))


def _is_readable(library: Library, source: Source, path: str) -> bool:
    """Whether a file can be read that could not: its reader is installed by now, or a limit was raised."""
    try:
        source.inspect(read_file(path), bool(library.encoders.clip))
    except (ImageUnreadable, OSError):
        return False
    return True


def _state(records: sqlite3.Connection) -> str:
    digest = hashlib.sha256()
    for row in records.execute("SELECT path, image, problem FROM file ORDER BY path"):
        digest.update(repr(row).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def begin(library: Library) -> None:
    """Suspend all fingerprints, because a whole run may change what the library knows."""
    with library.transaction() as records:
        records.execute("DELETE FROM meta WHERE substr(key, 1, ?) = ?", (len(_PAUSED), _PAUSED))  # of a killed run
        move = "UPDATE meta SET key = ? || key WHERE substr(key, 1, ?) = ?"
        records.execute(move, (_PAUSED, len(_KEY), _KEY))


def end(library: Library, seen: Seen, report: Report) -> None:
    """Keep the fingerprint from before the run: what changed during it shows in the next one. Those of other folders
    count again if the run has changed nothing."""
    with library.transaction() as records:
        if not report.changed and _state(records) == seen.state:
            move = "UPDATE meta SET key = substr(key, ?) WHERE substr(key, 1, ?) = ?"
            records.execute(move, (len(_PAUSED) + 1, len(_PAUSED), _PAUSED))
        records.execute("DELETE FROM meta WHERE key = ?", (seen.key,))
        if seen.now:
            set_meta(records, seen.key, json.dumps({"fingerprint": seen.now, "report": report.again()}))


def fingerprint(roots: Sequence[Path], written: str) -> tuple[str, bool]:
    """(a digest of all files below the folders, whether one has changed so recently that a change right behind this
    may give it the same times).

    written: words of people in the library, of which a report counts some. limner's version is in it: another one may
    read captions otherwise.
    """
    digest = hashlib.sha256(f"{__version__}\0{written}".encode("utf-8", "surrogateescape"))
    walk = _Walk()
    for root in roots:
        for line in walk.lines(str(root)):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), walk.recent


class _Walk:
    """A walk through folders."""

    def __init__(self) -> None:
        self._since = time.time_ns() - TICK
        self.recent = False

    def lines(self, root: str) -> Iterator[str]:
        """A text per folder, in an order that does not depend on the file system."""
        todo = [root]
        while todo:
            here = todo.pop()
            try:
                with os.scandir(here) as entries:
                    found = [
                        self._file(one) if one.is_file(follow_symlinks=False) else self._other(one, todo)
                        for one in entries
                    ]
            except OSError as error:
                found = [f"{error.errno}"]
            found.sort()
            todo.sort()
            yield "\n".join([here, *found, ""])

    def _file(self, entry: os.DirEntry[str]) -> str:
        """Name, size and times of a file."""
        try:
            status = entry.stat()
        except OSError as error:
            return f"{entry.name}\0{error.errno}"
        # The time of the entry's own change, too: programs that write metadata may set the other back.
        for at in (status.st_mtime_ns, status.st_ctime_ns):
            # A time far ahead is that of a camera with a wrong clock.
            self.recent = self.recent or self._since <= at <= time.time_ns() + TICK
        return f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"

    def _other(self, entry: os.DirEntry[str], todo: list[str]) -> str:
        """The same of a link, and its target. A folder gives its name, and is entered unless hidden or a cache."""
        if not entry.is_dir(follow_symlinks=False):
            return f"{self._file(entry)}\0{os.path.realpath(entry.path)}"
        if is_entered(entry.name):
            todo.append(entry.path)
        return entry.name
