"""Tell without opening a file whether folders are as the last indexing left them.

A fingerprint covers name, size, and times of change of every file below the folders: images, sidecars and tables. While
it stays, and every image has its vectors, an indexing has nothing to do and reports what the last one found. Anything
else leads to a whole run, which keeps a new fingerprint when it has ended.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.tools.library import captions, facts
from limner.tools.library.folder import is_entered
from limner.tools.library.records import meta, set_meta
from limner.version import __version__

if TYPE_CHECKING:
    from limner.tools.library.library import Library

_KEY = "unchanged "  # begins the keys in the table `meta`; a key for each combination of folders


@dataclass(frozen=True)
class Seen:
    """The state of folders and library before a run."""

    key: str
    """"" if this source has no fingerprint."""
    now: str
    """The fingerprint."""
    last: dict[str, Any] | None
    """The fields of the report of the last run, if nothing has changed since."""


def look(library: Library, roots: Sequence[Path]) -> Seen:
    """Compare the folders with what the last run left. Call only within `alone`."""
    if not roots:
        return Seen("", "", None)
    key = _KEY + hashlib.sha256("\0".join(map(str, roots)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    with library.transaction() as records:
        written = json.dumps(captions.of(records), sort_keys=True)
        kept = json.loads(meta(records, key) or "{}")
        images = {image for (image,) in records.execute("SELECT id FROM image")}
        complete = not facts.unread(records)  # an older limner has no facts of some
    now = fingerprint(roots, written)
    same = kept.get("fingerprint") == now and bool(images) and complete and library.holds(images)
    return Seen(key, now, kept["report"] if same else None)


def begin(library: Library) -> None:
    """Forget all fingerprints, because a whole run changes what the library knows."""
    with library.transaction() as records:
        records.execute("DELETE FROM meta WHERE substr(key, 1, ?) = ?", (len(_KEY), _KEY))


def end(library: Library, seen: Seen, report: dict[str, Any]) -> None:
    """Keep the fingerprint from before the run: what changed during it shows in the next one."""
    if seen.key:
        with library.transaction() as records:
            set_meta(records, seen.key, json.dumps({"fingerprint": seen.now, "report": report}))


def fingerprint(roots: Sequence[Path], written: str) -> str:
    """A digest of all files below the folders. written: words of people in the library, of which a report counts some.

    limner's version is in it: another one may read captions otherwise.
    """
    digest = hashlib.sha256(f"{__version__}\0{written}".encode("utf-8", "surrogateescape"))
    for root in roots:
        for line in _lines(str(root)):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _lines(root: str) -> Iterator[str]:
    """A text per folder, in an order that does not depend on the file system."""
    todo = [root]
    while todo:
        here = todo.pop()
        try:
            with os.scandir(here) as entries:
                found = [
                    _file(entry) if entry.is_file(follow_symlinks=False) else _other(entry, todo) for entry in entries
                ]
        except OSError as error:
            found = [f"{error.errno}"]
        found.sort()
        todo.sort()
        yield "\n".join([here, *found, ""])


def _file(entry: os.DirEntry[str]) -> str:
    """Name, size and times of a file."""
    try:
        status = entry.stat()
    except OSError as error:
        return f"{entry.name}\0{error.errno}"
    # The time of the entry's own change, too: programs that write metadata may set the other back.
    return f"{entry.name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"


def _other(entry: os.DirEntry[str], todo: list[str]) -> str:
    """The same of a link, and its target. A folder is entered, unless it is hidden or a cache; its name is enough."""
    if not entry.is_dir(follow_symlinks=False):
        return f"{_file(entry)}\0{os.path.realpath(entry.path)}"
    if is_entered(entry.name):
        todo.append(entry.path)
    return entry.name
