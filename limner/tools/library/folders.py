"""The folders of libraries: `home/libraries/NAME`, a lock beside it, its vectors inside or on a Qdrant server."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

from limner.errors import BadInput, EncoderMismatch, LibraryBusy, LibraryError, LibraryMissing
from limner.models.encoders.known import Kind
from limner.notes import note
from limner.settings import private_file, private_folder
from limner.text import printable_path
from limner.tools.library import captions, places
from limner.tools.library.records import RECORDS, meta
from limner.tools.store import PATIENCE, EdgeStore, Store, rows_folder

UNPACKED = "unpacked"
"""In a library's folder: the copied pictures of archives."""
OWN: Sequence[Kind] = ("captions", "pictures")
"""In the table `meta`: the names of the encoders of these that were chosen for this library."""
REENCODING = "~reencode"
"""Names the lock of whoever makes vectors beside those of a library; taken before that of all writers."""
_LEFT = 3600.0  # seconds after which nobody goes on with a hidden folder: that takes a few
_NAME = re.compile(r"\w[\w.-]{0,63}")

Connect = Callable[[Path, str, dict[str, int]], Store]
"""(folder, collection name, size per dense vector) -> an open Store."""


def libraries(home: Path) -> list[str]:
    """Names of the existing libraries, sorted."""
    folder = home / "libraries"
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and (p / RECORDS).is_file())


def check_name(name: str) -> None:
    """Raises BadInput unless a name is letters, digits, - _ and dots, starts with no - or dot and ends with no dot."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise BadInput(
            f"{printable_path(name)[:80]!r} cannot name a library: use letters, digits, - and _ (at most 64)."
        )


def library_path(home: Path, name: str) -> Path:
    """The folder of a library, existing or not."""
    return home / "libraries" / name


def hidden_folder(home: Path, name: str, uid: str) -> Path:
    """A folder in which a library is built, with an empty file for its records. It is renamed when complete, so that a
    kill leaves no partial library. Raises LibraryError where `home` cannot be written."""
    folder = library_path(home, f".{name}.{uid}")
    try:
        private_folder(home)
        sweep(home, name)
        folder.mkdir(parents=True)
        private_file(folder / RECORDS)
    except OSError as error:
        reason = error.strerror or error
        line = f"Cannot write {home} ({reason}): set LIMNER_HOME to a folder you may write."
        afar = f"The library {name} cannot be written ({reason}): ask whoever runs limner."
        raise LibraryError(line, afar=afar) from error
    return folder


def sweep(home: Path, name: str) -> None:
    """Delete what killed processes left of this library's creations and removals; newer ones may still go on."""
    for path in (home / "libraries").glob(f".{glob.escape(name)}.*"):
        left = re.fullmatch(r"[0-9a-f]{12}", path.name.removeprefix(f".{name}.")) and path.is_dir()
        if left and time.time() - path.stat().st_mtime > _LEFT:
            shutil.rmtree(path, ignore_errors=True)


def missing(home: Path, name: str) -> LibraryMissing:
    """The error for a library that does not exist; it lists the existing ones."""
    there = ", ".join(libraries(home)) or "none yet"
    return LibraryMissing(f"No library {name} (libraries: {there}). Make it: `limner library add {name} FOLDER`.")


def root_of(library: Path, source: str | Path) -> Path:
    """The folder for the pictures of an archive. library: the library's folder."""
    return library / UNPACKED / folder_library(Path(source))


def folder_library(root: Path) -> str:
    """The name of a folder's own library: the folder's name and a digest of its absolute path."""
    whole = root.resolve()
    words = re.sub(r"[^\w-]+", "-", whole.name.encode("utf-8", "replace").decode()).strip("-_")[:40] or "folder"
    return f"{words}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]}"


@contextmanager
def locked(home: Path, name: str, patience: float, what: str = "") -> Iterator[None]:
    """Exclude other processes that change the library. The lock lies beside it, so that the library can be removed.

    what: names another lock than that of all writers, by a word that starts with a sign that no library's name has.
    Raises LibraryBusy after `patience` seconds.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(library_path(home, f".{name}{what}.lock"), timeout=patience, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise LibraryBusy(note("library-being-written", name=name)) from error
    try:
        yield
    finally:
        lock.release()


def edge(patience: float, path: Path, _collection: str, sizes: dict[str, int]) -> Store:
    """The default `Connect`: vectors in the library's own folder."""
    return EdgeStore(path, sizes, patience=patience)


def remove(home: Path, name: str, *, connect: Connect | None = None, patience: float = PATIENCE) -> None:
    """Delete a library made with any encoders: records, vectors and its copies of archives' pictures, never another
    image file. Ask before if `only_copies` names some. Raises LibraryMissing."""
    check_name(name)
    if name not in libraries(home):
        raise missing(home, name)
    with locked(home, name, patience, REENCODING), locked(home, name, patience):
        with closing(sqlite3.connect(library_path(home, name) / RECORDS)) as records:
            there = _places(records, library_path(home, name), name)
        for place in there:
            with closing((connect or partial(edge, patience))(*place)) as store:
                store.drop()
        # Renamed in one step, so that a kill leaves no partial library; with a new time, for `sweep`.
        os.utime(library_path(home, name))
        shutil.rmtree(library_path(home, name).rename(library_path(home, f".{name}.{uuid4().hex[:12]}")))
        sweep(home, name)


def written_in(home: Path, name: str) -> dict[str, dict[str, str]]:
    """Captions written in a library made with any encoders, by image id. Raises LibraryMissing."""
    check_name(name)
    if name not in libraries(home):
        raise missing(home, name)
    return captions.of_library(library_path(home, name) / RECORDS)


def own_encoders(home: Path, name: str) -> dict[Kind, str]:
    """The names of the encoders that a library brings along; {} if they cannot be read."""
    with closing(sqlite3.connect(library_path(home, name) / RECORDS)) as records:
        try:
            return {kind: found for kind in OWN if (found := meta(records, kind))}
        except sqlite3.DatabaseError:
            return {}  # opening the library says what is wrong with it


def only_copies(home: Path, name: str) -> list[str]:
    """The archives among a library's sources that are not there, so that it has the only copies of their pictures."""
    folder = library_path(home, name)
    if not (folder / RECORDS).is_file():
        return []
    try:
        with closing(sqlite3.connect(folder / RECORDS)) as records:
            sources = json.loads(meta(records, "folders") or "[]")
    except (sqlite3.DatabaseError, ValueError):
        return [str(folder / UNPACKED)] if (folder / UNPACKED).is_dir() else []  # it cannot say whose they are
    return [source for source in sources if root_of(folder, source).is_dir() and not os.path.isfile(source)]


def folders_of(home: Path, name: str) -> list[Path]:
    """The folders that were added to a library. Raises LibraryMissing, BadInput if there are none."""
    check_name(name)
    if name not in libraries(home):
        raise missing(home, name)
    with closing(sqlite3.connect(library_path(home, name) / RECORDS)) as records:
        found = [Path(folder) for folder in json.loads(meta(records, "folders") or "[]")]
    if not found:
        raise BadInput(f"The library {name} has no folder yet: `limner library add {name} FOLDER`.")
    return found


def mismatch(home: Path, name: str, made: dict[str, str], have: dict[str, str]) -> EncoderMismatch:
    """The error for a library that was made with other encoders. made, have: their names by encoder."""
    was, now = " + ".join(made.values()), " + ".join(have.values())
    return EncoderMismatch(
        f"The library {name} was made with {was}, but the encoders now are {now}: {rebuilding(home, name)}."
    )


def rebuilding(home: Path, name: str) -> str:
    """The commands that make a library again with other encoders."""
    with closing(sqlite3.connect(library_path(home, name) / RECORDS)) as records:
        folders = " ".join(json.loads(meta(records, "folders") or "[]")) or "FOLDER"
    again = f"then `limner library add {name} {printable_path(folders)}`"
    if written_in(home, name):
        again = f"{again} (save the captions written in it first: `limner library captions {name} FILE.jsonl`)"
    if lost := only_copies(home, name):
        again = f"{again}; put {printable_path(' '.join(lost))} back first, whose pictures only the library has"
    return f"rebuild it with `limner library remove {name}`, {again}"


def searched(home: Path, name: str) -> tuple[Path, list[Path]]:
    """(the folder of the vectors that are searched, folders of those that are being made beside them or deleted)."""
    library = library_path(home, name)
    with closing(sqlite3.connect(library / RECORDS)) as records:
        now, *others = _places(records, library, name)
    return now.folder, [folder for other in others for folder in (other.folder, rows_folder(other.folder))]


def _places(records: sqlite3.Connection, library: Path, name: str) -> list[places.Place]:
    """All places of a library's vectors, first that of those that are searched."""
    try:
        uid, tags = meta(records, "uid"), places.tags(records)
    except (sqlite3.DatabaseError, ValueError):
        uid, tags = "", [""]  # a damaged library must be removable
    return [places.place(library, name, uid, tag, {}) for tag in tags]
