"""Keep the copied pictures of archives: in `unpacked/NAME` within the library's folder, with a note about each.

An archive that has not changed is not read again, unless pictures are missing from its copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from limner.errors import BadInput, LibraryError
from limner.text import printable_path
from limner.tools.library import folder
from limner.tools.library.folders import root_of
from limner.tools.library.scanned import Scan
from limner.tools.library.sources import Located
from limner.tools.library.unpacking.child import ERRORS

_MEMORY = {"zip": 2 << 30, "tar": 2 << 30, "parquet": 6 << 30}
"""Address space of the process per kind, bytes; pyarrow reserves more than it uses."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from limner.tools.library.unpacking.child import main; main()"
)

Progress = Callable[[int, int], None]


class Copied(NamedTuple):
    """A note about the copy of an archive."""

    stamp: list[int]
    """Size in bytes and time of change in ns of the archive."""
    tally: list[int]
    """Number of copied files and their bytes."""
    refused: list[list[str]]
    skipped: list[list[str]]
    stale: Sequence[str] = ()
    """Copied files that the archive no longer has, relative to the copy; `settle` deletes them."""


def is_current(library: Path, source: Located) -> bool:
    """Whether the copy is that of the archive as it is now."""
    note, root = _read(root_of(library, source.path)), root_of(library, source.path)
    return note is not None and note.stamp == _stamp(source.path) and note.tally == _tally(root)


def unpack(library: Path, source: Located, on_progress: Progress | None = None) -> Scan:
    """Copy the archive's pictures unless that is done; returns a scan of the copy, with lines about the archive.

    Files that the archive no longer has are not in the scan, and stay in the copy until `settle`.
    Raises BadInput for a damaged archive or a bomb, LibraryError for a full disk, NotInstalled without pyarrow.
    """
    root = root_of(library, source.path)
    if not is_current(library, source):
        new = not root.exists()
        stamp = _stamp(source.path)
        _note(root).unlink(missing_ok=True)
        try:
            said = _run(source, root, on_progress or (lambda done, total: None))
        except BadInput:
            if new:
                shutil.rmtree(root, ignore_errors=True)
            raise
        _write(root, Copied(stamp, _tally(root), said["refused"], said["skipped"], said["stale"]))
    note = _read(root)
    assert note is not None
    found = Scan(refused=[(a, b) for a, b in note.refused], skipped=[(a, b) for a, b in note.skipped])
    found.add(folder.scan(root, {str(root / path) for path in note.stale}))
    return found


def settle(root: Path, needed: Collection[str]) -> None:
    """Delete copied files that the archive no longer has, after a run. Raises LibraryError if the disk refuses.

    root: of the copy. needed: paths that the library still has in its records, relative to the copy.
    """
    note = _read(root)
    if note is None or not note.stale:
        return
    for path in note.stale:
        if path not in needed:
            with suppress(FileNotFoundError, PermissionError):  # Windows keeps a file that is open
                (root / path).unlink()
            _tidy(root, (root / path).parent)
    left = [path for path in note.stale if (root / path).exists()]
    _write(root, note._replace(stale=left, tally=_tally(root)))


def _tidy(root: Path, empty: Path) -> None:
    """Delete a folder and its parents within the copy, as far as they are empty."""
    while empty != root and empty.is_relative_to(root):
        try:
            empty.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # not empty
            return
        empty = empty.parent


def _run(source: Located, root: Path, on_progress: Progress) -> dict[str, Any]:
    """Let a process unpack the archive; its last message."""
    command = [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)]
    request = {"path": str(source.path), "kind": source.kind, "folder": str(root), "memory": _MEMORY[source.kind]}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            message: dict[str, Any] = {}
            for line in child.stdout:
                message = json.loads(line)
                if "at" in message:
                    on_progress(*message["at"])
        except BaseException:  # Ctrl-C, or a broken pipe
            child.kill()
            raise
    if "error" in message:
        raise ERRORS[message["kind"]](message["error"])
    if "refused" not in message:
        name = printable_path(source.path.name)
        raise BadInput(f"{name} ends the program that reads it: unpack it with another one, and add the folder.")
    return message


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _tally(root: Path) -> list[int]:
    sizes = [os.stat(os.path.join(here, name)).st_size for here, _, names in os.walk(root) for name in names]
    return [len(sizes), sum(sizes)]


def _note(root: Path) -> Path:
    return root.parent / f"{root.name}.json"


def _read(root: Path) -> Copied | None:
    try:
        return Copied(**json.loads(_note(root).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(root: Path, note: Copied) -> None:
    part = root.parent / f".{root.name}.part"
    try:
        part.write_text(json.dumps(note._asdict()), encoding="utf-8")
        part.replace(_note(root))
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise LibraryError(f"{root.parent} cannot be written ({error.strerror}): check disk and rights.") from error
