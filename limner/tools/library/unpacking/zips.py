"""Read the pictures of a zip file."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator

from limner.errors import BadInput
from limner.tools.library.unpacking.target import DAMAGED, ENCRYPTED, LINKS, Target, chunks

_HEADER = 30  # bytes of a member's local header, without its name
_BAD = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)
_LINK, _KIND, _REGULAR = 0o120000, 0o170000, (0, 0o100000)


def unpack(path: str, target: Target) -> Iterator[tuple[int, int]]:
    """Copy the members that belong into a library; yields (members done, of all). Raises BadInput."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise BadInput(f"{target.name} is damaged or cut short ({error}): get it again.") from error
    with archive:
        members = archive.infolist()
        _check_overlap(members, target)
        for done, member in enumerate(members, 1):
            target.counted()
            _member(archive, member, target)
            yield done, len(members)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Target) -> None:
    if member.is_dir() or (place := target.place(member.filename)) is None:
        return
    if member.create_system == 3 and (member.external_attr >> 16) & _KIND not in _REGULAR:  # 3: Unix
        target.refuse(LINKS, member.filename)
    elif member.flag_bits & 1:
        target.unread(ENCRYPTED, place)
    else:
        try:
            file = archive.open(member)
        except (*_BAD, NotImplementedError, struct.error):  # its local header, or a method unknown to Python
            target.unread(DAMAGED, place)
            return
        with file:
            try:
                target.write(place, _sound(chunks(file)))
            except _Damaged:
                target.unread(DAMAGED, place)


class _Damaged(Exception):
    """The bytes of a member cannot be read; told apart from errors of writing."""


def _sound(parts: object) -> Iterator[bytes]:
    try:
        yield from parts  # type: ignore[misc]
    except _BAD as error:
        raise _Damaged from error


def _check_overlap(members: list[zipfile.ZipInfo], target: Target) -> None:
    """Raises BadInput if members share bytes, which no program writes but that of a bomb."""
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise BadInput(f"{target.name} has overlapping files, as a bomb does: nothing of it is added.")
        end = member.header_offset + _HEADER + member.compress_size
