"""Read the pictures of a tar file, also compressed with gzip: WebDataset's shards among others."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from limner.errors import BadInput
from limner.tools.library.unpacking.target import LINKS, Target, chunks

_BLOCK = 512
_BAD = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)


class _Damaged(Exception):
    """The archive cannot be read on; told apart from errors of writing."""


class _Counted:
    """A stream that counts its bytes, and ends a bomb."""

    def __init__(self, file: IO[bytes], target: Target) -> None:
        self.file, self.target, self.size, self.zeros = file, target, 0, False

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.size += len(data)
        self.target.grew(self.size)
        if data:
            self.zeros = not any(data[-_BLOCK:])
        return data


def unpack(path: str, target: Target) -> Iterator[tuple[int, int]]:
    """Copy the members that belong into a library; yields (members done, of as many). Raises BadInput.

    Members are read one after the other and never extracted by tarfile: only regular files, under names that
    `Target.place` allows. One that ends early gives what is before, with a line.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = _Counted(gzip.GzipFile(fileobj=file) if packed else file, target)  # type: ignore[arg-type]
        try:
            yield from _members(stream, target)
            if stream.zeros:
                return
            problem = "has no end mark, so it may be cut short: compare its size with the original's"
        except (*_BAD, _Damaged) as error:
            if not target.members:
                raise BadInput(f"{target.name} is no tar archive, or damaged ({error}): get it again.") from error
            problem = f"is damaged or cut short ({error}): get it again; the {target.members:,} files before are read"
        target.whole = False
        target.problem(problem)


def _members(stream: Any, target: Target) -> Iterator[tuple[int, int]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            target.counted()
            vars(archive)["members"] = []  # it would remember all, and memory would grow with the archive
            _member(archive, member, target)
            yield target.members, target.members


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Target) -> None:
    if member.isdir() or (place := target.place(member.name)) is None:
        return
    if not member.isreg() or member.issparse():
        target.refuse(LINKS, member.name)
    elif (file := archive.extractfile(member)) is not None:
        target.write(place, _sound(file))


def _sound(file: IO[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks(file)
    except (*_BAD, OSError) as error:
        raise _Damaged(str(error)) from error
