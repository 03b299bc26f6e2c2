"""A folder appears whole or not at all: everything is written beside it and renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from limner.errors import ExportFailed
from limner.tools.export.words import line


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its name when the block ends, and is gone when the block fails."""
    stage = folder.parent / f".limner-{secrets.token_hex(4)}.part"
    made: list[Path] = []
    try:
        _make_parents(folder.parent, made)
        stage.mkdir()
        yield stage
        _publish(stage, folder)
    except BaseException as e:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in reversed(made):
            if not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(e, OSError):
            raise ExportFailed(_refusal(e, folder)) from e
        raise


def _make_parents(parent: Path, made: list[Path]) -> None:
    """Create a folder and those above it; `made` gets each one as it appears, so that a failure can be undone."""
    missing = [p for p in (parent, *parent.parents) if not p.exists()]
    for p in reversed(missing):
        p.mkdir()
        made.append(p)


def _publish(stage: Path, folder: Path) -> None:
    _sync(stage)
    if not folder.exists():
        stage.rename(folder)
    else:
        # Images first: at no moment does a text point at an image that is not there.
        for path in sorted(stage.rglob("*"), key=lambda p: p.parent == stage):
            if path.is_file():
                target = folder / path.relative_to(stage)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        shutil.rmtree(stage)
    _sync(folder)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Make names durable. Windows has no handle on a folder, and needs none."""
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
