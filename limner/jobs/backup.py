"""Back up everything irreplaceable in one file, also while limner runs: the job database and limner's home.

The database is read in one transaction, SQLite by its own backup, so it is consistent; jobs that ran then continue from
their last step after a restore. The home is read afterwards, so files that the database names are included. Images of
libraries stay in the user's folders and are not included, nor are vectors on a Qdrant server.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy.engine import make_url

from limner.errors import BadInput, JobConflict
from limner.jobs.ledger.database import HEAD, SLOW, Database, database_url, migrate, schema_of
from limner.jobs.tables import dump, empty, load
from limner.settings import Settings, private_file, private_folder
from limner.tools.library import libraries
from limner.tools.library.folders import library_path, locked, searched
from limner.version import __version__

FORMAT = 1
MANIFEST, SQLITE, TABLES, HOME = "manifest.json", "database.sqlite", "tables/", "home/"
PATIENCE = 60.0  # seconds to wait for a library that is being written
LEFT_OUT = (".lock", ".part", ".gguf", ".sock", "-wal", "-shm", "-journal", ".migrating")


@dataclass(frozen=True)
class Kept:
    """The contents of a backup."""

    jobs: int
    files: int
    """Number of files of the home."""
    size: int
    """Bytes of the backup."""


def backup(settings: Settings, file: Path) -> Kept:
    """Write a backup to `file`, which must not exist; it appears when it is complete.

    Raises BadInput, LedgerError, LibraryBusy, OSError.
    """
    if file.exists():
        raise BadInput(f"{file} exists already. Give another name; a backup overwrites nothing.")
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with closing(Database(database_url(settings), answer=SLOW)) as database, ExitStack() as stack:
            migrate(database)
            out = stack.enter_context(open(private_file(part), "wb"))
            archive = stack.enter_context(tarfile.open(fileobj=out, mode="w:gz"))
            kind = "sqlite" if database.sqlite else "postgres"
            about = {"format": FORMAT, "limner": __version__, "schema": HEAD, "database": kind, "made": time.time()}
            _add(archive, MANIFEST, json.dumps(about).encode())
            jobs = _add_database(archive, database)
            files = _add_home(archive, settings.home, _path_of(database))
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.link(part, file)  # unlike a rename, it replaces nothing
    finally:
        part.unlink(missing_ok=True)
    return Kept(jobs, files, file.stat().st_size)


def restore(settings: Settings, file: Path) -> Kept:
    """Restore a backup into an empty home and a database without jobs.

    Raises BadInput for a file that is no backup, or of a newer limner or another kind of database; JobConflict if the
    target is not empty; LedgerError, OSError.
    """
    with _opened(file) as archive, closing(Database(database_url(settings), answer=SLOW)) as database:
        about = _manifest(archive, file)
        kind = "sqlite" if database.sqlite else "postgres"
        if about["database"] != kind:
            raise BadInput(f"{file} is of {about['database']}, DATABASE_URL of {kind}. Restore it into its own kind.")
        if about["schema"] > HEAD:
            raise BadInput(f"{file} was made by a newer limner, {about['limner']}. Update limner first.")
        _refuse_what_is_there(settings.home, database, file)
        files = _take_home(archive, private_folder(settings.home))
        jobs = _take_database(archive, database, about["schema"])
        return Kept(jobs, files, file.stat().st_size)


# --- the database --------------------------------------------------------------------------------------------------


def _path_of(database: Database) -> Path | None:
    return Path(make_url(database.url).database or "") if database.sqlite else None


def _add_database(archive: tarfile.TarFile, database: Database) -> int:
    """Returns how many jobs there are."""
    path = _path_of(database)
    with tempfile.TemporaryDirectory(prefix="limner-") as scratch:
        if path is not None:
            copy = _snapshot(path, Path(scratch) / SQLITE)
            archive.add(copy, SQLITE)
            with closing(sqlite3.connect(copy)) as read:
                return read.execute("SELECT count(*) FROM jobs").fetchone()[0]
        counts = dump(database, Path(scratch))
        for table in sorted(Path(scratch).iterdir()):
            archive.add(table, TABLES + table.name)
        return counts["jobs"]


def _snapshot(path: Path, copy: Path) -> Path:
    """A consistent copy of a SQLite database, even during writes."""
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file
    return copy


def _take_database(archive: tarfile.TarFile, database: Database, schema: str) -> int:
    """Returns how many jobs there are."""
    path = _path_of(database)
    if path is not None:
        database.close()
        for side in ("", "-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        with open(private_file(path), "wb") as out:
            for chunk in _chunks(archive, SQLITE):
                out.write(chunk)
        migrate(database)
        with database.read() as c:
            return c.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one()
    migrate(database, to=schema)
    names = [name.removeprefix(TABLES) for name in archive.getnames() if name.startswith(TABLES)]
    counts = load(database, {name: lambda name=name: _chunks(archive, TABLES + name) for name in names})
    migrate(database)
    return counts["jobs"]


def _refuse_what_is_there(home: Path, database: Database, file: Path) -> None:
    kept = [p for p in home.iterdir() if p.resolve() != file.resolve()] if home.is_dir() else []
    path = _path_of(database)
    beside = {path.name + side for side in ("", "-wal", "-shm", ".migrating")} if path is not None else set()
    if others := sorted(p.name for p in kept if p.name not in beside and not p.name.endswith(LEFT_OUT)):
        raise JobConflict(f"{home} is not empty ({', '.join(others)[:80]}). Set LIMNER_HOME to an empty folder.")
    if path is not None and not (path.exists() and path.stat().st_size):
        return
    if schema_of(database) and not empty(database):
        raise JobConflict("The job database has jobs or owners already. Give an empty one by DATABASE_URL.")


# --- the home ------------------------------------------------------------------------------------------------------


def _add_home(archive: tarfile.TarFile, home: Path, database: Path | None) -> int:
    """Returns how many files there are."""
    count = 0
    with tempfile.TemporaryDirectory(prefix="limner-") as scratch:
        for name in libraries(home):
            folder = library_path(home, name)
            with locked(home, name, PATIENCE):
                vectors, others = searched(home, name)
                with FileLock(f"{vectors}.lock", timeout=PATIENCE):
                    count += _add_folder(archive, home, folder, Path(scratch), None, others)
        skipped = {database, home / "libraries"}
        for path in sorted(home.iterdir()) if home.is_dir() else ():
            if path in skipped or path.name.endswith(LEFT_OUT):
                continue
            count += _add_folder(archive, home, path, Path(scratch), database)
    return count


def _add_folder(
    archive: tarfile.TarFile,
    home: Path,
    folder: Path,
    scratch: Path,
    database: Path | None,
    but: Collection[Path] = (),
) -> int:
    """Add a folder's files, or one file; returns how many. but: folders in it to leave out."""
    count = 0
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.name.endswith(LEFT_OUT) or path == database:
            continue
        if not {*path.parents}.isdisjoint(but):
            continue
        name = HOME + path.relative_to(home).as_posix()
        try:
            if path.suffix == ".sqlite":
                copy = _snapshot(path, scratch / secrets.token_hex(8))
                archive.add(copy, name)
                copy.unlink()
            else:
                _add(archive, name, path.read_bytes())
        except FileNotFoundError:  # deleted meanwhile
            continue
        count += 1
    return count


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
    archive.addfile(member, io.BytesIO(data))


def _take_home(archive: tarfile.TarFile, home: Path) -> int:
    """Returns how many files there were. Raises BadInput for a name that leads out of the home."""
    count = 0
    for member in archive:
        if not member.name.startswith(HOME) or not member.isfile():
            continue
        path = (home / member.name.removeprefix(HOME)).resolve()
        if not path.is_relative_to(home.resolve()):
            raise BadInput(f"{member.name[:80]!r} leads out of limner's home. This is no backup of limner's.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(private_file(path), "wb") as out:
            for chunk in _chunks(archive, member):
                out.write(chunk)
        count += 1
    return count


# --- the file ------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, "r:gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, OSError) as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise
        raise BadInput(f"{file} is no backup of limner's, or is not whole ({e}). Take another.") from e


def _manifest(archive: tarfile.TarFile, file: Path) -> dict[str, Any]:
    try:
        about = json.loads(b"".join(_chunks(archive, MANIFEST)))
        if about["format"] == FORMAT:
            return about
    except (KeyError, ValueError, TypeError):
        raise BadInput(f"{file} is no backup of limner's. Give a file that `limner backup` made.") from None
    raise BadInput(f"{file} has format {about['format']}, which this limner does not know. Update limner first.")


def _chunks(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> Iterator[bytes]:
    """A member's bytes. Raises KeyError if it is missing."""
    with archive.extractfile(member) as file:  # type: ignore[union-attr]  # of files alone
        while chunk := file.read(1 << 20):
            yield chunk
