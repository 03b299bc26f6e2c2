"""Make a folder appear completely or not at all: write everything beside it, then rename."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from limner.errors import ExportFailed
from limner.exports.words import line


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, renamed to it when the block ends, and removed if the block fails.

    The remains of killed exports are removed first. A running export holds a lock and is left alone.
    """
    stage = folder.parent / f".limner-{secrets.token_hex(4)}.part"
    made: list[Path] = []
    lock = FileLock(stage.with_suffix(".lock"), timeout=60)  # another export may just be checking it
    try:
        _make_parents(folder.parent, made)
        _clear(folder.parent)
        lock.acquire()
        stage.mkdir()
        yield stage
        _publish(stage, folder)
    except BaseException as e:
        shutil.rmtree(stage, ignore_errors=True)
        _unlock(lock)
        for parent in reversed(made):
            if not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(e, OSError):
            raise ExportFailed(_refusal(e, folder)) from e
        raise
    _unlock(lock)


_LEFT = re.compile(r"\.limner-[0-9a-f]{8}\.lock")


def _clear(parent: Path) -> None:
    """Remove folders of killed exports, whose locks exist but nobody holds."""
    with suppress(OSError):  # an unreadable folder costs only disk space
        for path in [p for p in parent.iterdir() if _LEFT.fullmatch(p.name) and not p.is_symlink()]:
            lock, stage = FileLock(path, blocking=False), path.with_suffix(".part")
            with suppress(Timeout):  # its export is still running
                lock.acquire()
                if stage.is_dir() and not stage.is_symlink():
                    shutil.rmtree(stage)
                _unlock(lock)


def _unlock(lock: FileLock) -> None:
    """Release the lock and delete its file; export names are unique, so nobody waits for it."""
    if lock.is_locked:
        if os.name != "nt":  # which cannot remove open files
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _make_parents(parent: Path, made: list[Path]) -> None:
    """Create a folder and its parents; `made` gets each new one, so that a failure can be undone."""
    missing = [p for p in (parent, *parent.parents) if not p.exists()]
    for p in reversed(missing):
        p.mkdir()
        made.append(p)


def _publish(stage: Path, folder: Path) -> None:
    _sync(stage)
    if not folder.exists():
        stage.rename(folder)
    else:
        # Images first, so that a text never points at a missing image.
        for path in sorted(stage.rglob("*"), key=lambda p: p.parent == stage):
            if path.is_file():
                target = folder / path.relative_to(stage)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        shutil.rmtree(stage)
    _sync(folder)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Flush a folder's names to disk. Windows cannot open folders and does not need it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refusal(error: OSError, folder: Path) -> str:
    what = f"Cannot write {folder}: {error.strerror or line(str(error))}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{what} Nothing was kept; free some space, or choose another disk with --out."
    if error.errno == errno.ENAMETOOLONG:
        return f"{what} Choose a shorter name with --out."
    return f"{what} Choose a folder that you can write to with --out."
