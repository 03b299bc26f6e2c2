"""Sources of a library's images, and how to read their files."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from limner.errors import BadInput, ImageUnreadable, LibraryError, LibraryMissing
from limner.text import printable_path
from limner.tools.images import images
from limner.tools.images.images import Described, Inspected
from limner.tools.library import folder
from limner.tools.library.scanned import Scan


class Source(Protocol):
    """Where a library's images come from."""

    @property
    def batch(self) -> int:
        """Images between two commits, which a kill can cost."""
        ...

    def scan(self) -> Scan:
        """The source's current files."""
        ...

    def covers(self, path: str) -> bool:
        """Whether the source covers a path, even if it does not exist."""
        ...

    def inspect(self, data: bytes, clip: bool) -> Inspected:
        """Size, embedded description and, for `clip`, the image. Raises ImageUnreadable. Called by two threads."""
        ...

    def said(self, data: bytes) -> Described:
        """A file's own metadata, without its pixels. Raises ImageUnreadable. Called by several threads."""
        ...

    def describe(self, path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
        """An image's description, and whether its caption is more than the file's name."""
        ...


class Folders:
    """Folders of a person's images."""

    batch = 32  # a few seconds of decoding and encoding

    def __init__(self, folders: Iterable[str | Path], *, max_pixels: int = images.MAX_PIXELS) -> None:
        """Raises LibraryMissing if one does not exist."""
        self.max_pixels = max_pixels
        self.roots = []
        for name in folders:
            root = directory(name)
            if root is None:
                raise LibraryMissing(f"No folder {printable_path(str(name))[:200]}: check the path.")
            self.roots.append(root)

    def scan(self) -> Scan:
        """All folders as one scan."""
        whole = Scan()
        for root in self.roots:
            whole.add(folder.scan(root))
        return whole

    def watched(self) -> list[Path]:
        """The folders whose files decide what a scan finds; none if anything else does, too."""
        return self.roots

    def covers(self, path: str) -> bool:
        """Whether the path lies in one of the folders."""
        return any(Path(path).is_relative_to(root) for root in self.roots)

    def inspect(self, data: bytes, clip: bool) -> Inspected:
        """Decode the whole file, so that a truncated image is noticed now. Raises ImageUnreadable."""
        return images.inspect(data, max_pixels=self.max_pixels, clip=clip)

    def said(self, data: bytes) -> Described:
        """A file's own metadata, from its header. Raises ImageUnreadable."""
        return images.metadata(data, max_pixels=self.max_pixels)

    def describe(self, path: str, embedded: Described, found: Scan) -> tuple[Described, bool]:
        """Description from the files beside the image, then from the image itself."""
        return folder.describe(path, embedded, found)


Kind = Literal["folder", "zip", "tar", "parquet", "table", "copy"]
"""copy: an archive that is not there, of which the library has the pictures."""
_TABLES = (".csv", ".tsv", ".jsonl")
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PAR1", "parquet"),
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b", "tar"),
)


class Located(NamedTuple):
    """A source as a person names it."""

    path: Path
    """Absolute, with links resolved."""
    kind: Kind


def located(name: str | Path) -> Located:
    """The folder, archive, Parquet file or table of that name; the content decides about its kind, except of tables.

    Raises LibraryMissing if nothing is there, BadInput for another file.
    """
    shown = printable_path(str(name))[:200]
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(name), re.IGNORECASE):
        raise BadInput(f"{shown} is an address, and limner fetches no pictures: download it and name the file.")
    if (root := directory(name)) is not None:
        return Located(root, "folder")
    try:
        path = Path(name).expanduser().resolve()
        if not path.is_file():
            raise LibraryMissing(f"No folder or file {shown}: check the path.")
        with path.open("rb") as file:
            head = file.read(512)
    except (OSError, RuntimeError, ValueError) as error:
        raise LibraryMissing(f"No folder or file {shown} that can be read ({error}): check the path.") from error
    if path.suffix.lower() in _TABLES:
        return Located(path, "table")
    for at, magic, kind in _MAGIC:
        if head.startswith(magic, at):
            return Located(path, kind)
    kinds = "a folder, .zip, .tar, .tar.gz, .parquet, .csv, .tsv or .jsonl"
    raise BadInput(f"{shown} is no source of pictures: name {kinds}; unpack other archives first.")


def image_identity(data: bytes) -> str:
    """An image's id: the first 32 hexadecimal digits of the SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def read_file(path: str) -> bytes:
    """The file's bytes. Raises OSError, and ImageUnreadable if it is too large or no regular file."""
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageUnreadable("not a regular file: put an image in its place")
        if status.st_size > images.MAX_BYTES:
            raise ImageUnreadable(f"more than {images.MAX_BYTES // 1_000_000} MB: save it smaller")
        return file.read(images.MAX_BYTES)


def intact(paths: Sequence[str], image_id: str, library: str) -> bytes:
    """The bytes of the first of these files that still has this identity. Raises LibraryError if none has.

    library: the name of theirs.
    """
    for path in paths:
        try:
            data = read_file(path)
        except (OSError, ImageUnreadable):
            continue  # there may be another copy
        if image_identity(data) == image_id:
            return data
    gone, folder = "is gone or has changed since it was indexed", printable_path(os.path.dirname(paths[0]))
    copied = f"{os.sep}{library}{os.sep}unpacked{os.sep}" in paths[0]  # a folder of limner's own is no source
    command = f"limner library sync {library}" if copied else f"limner library add {library} {folder}"
    line = f"{printable_path(paths[0])} {gone}: put it back, or run `{command}`."
    raise LibraryError(line, afar=f"Image {image_id} of {library} {gone}: ask whoever runs limner.")


def directory(name: str | Path) -> Path | None:
    """The folder of that name with links resolved, None if it does not exist or the name is impossible."""
    try:
        root = Path(name).expanduser()
        return root.resolve() if name != "" and root.is_dir() else None  # "" would be the current folder
    except (OSError, RuntimeError):  # a name too long, a ~user who does not exist
        return None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe in place of a file would block


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items in order, in batches of `size`, the last one smaller."""
    return (items[start : start + size] for start in range(0, len(items), size))
