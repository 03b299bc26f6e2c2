"""The result of a walk through a folder: image files and the texts beside them."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from limner.text import printable_path
from limner.tools.images.charset import decode
from limner.tools.images.metadata import Described

Problems = list[tuple[str, str]]
"""Printable path and reason; the reason ends with what to do."""

_FORMS = re.compile(r"\[(.*?)\|(.*?)\]")


class Stamp(NamedTuple):
    """A file's size in bytes and times in ns; while all stay, the file is not read again."""

    size: int
    changed: int
    """Time of change of its content; programs that write metadata may set it back."""
    touched: int = 0
    """Time of the last change of any kind, by the file system (ctime)."""


@dataclass
class Scan:
    """The result of a walk."""

    files: dict[str, Stamp] = field(default_factory=dict)
    """Absolute path of each image file, in order of the paths."""
    refused: Problems = field(default_factory=list)
    """Files that look like images but cannot be opened."""
    skipped: Problems = field(default_factory=list)
    """Folders and scaled copies left out on purpose."""
    problems: Problems = field(default_factory=list)
    """Unreadable captions; the image itself may be good."""
    rows: dict[str, Described] = field(default_factory=dict)
    """Rows of tables by absolute path of the image."""
    sidecars: dict[str, list[str]] = field(default_factory=dict)
    """Absolute paths of all .txt, .json and .xmp files, by `folded`."""

    unlisted: list[str] = field(default_factory=list)
    """Absolute paths of folders that could not be listed; what is in them now is not known."""

    def hides(self, path: str) -> bool:
        """Whether a path lies in a folder that could not be listed."""
        return any(path.startswith(folder + os.sep) for folder in self.unlisted)

    def add(self, other: Scan) -> None:
        """Take in another scan."""
        self.files |= other.files
        self.rows |= other.rows
        self.sidecars |= other.sidecars
        self.skipped += other.skipped
        self.refused += other.refused
        self.problems += other.problems
        self.unlisted += other.unlisted

    def sidecar(self, path: str) -> str | None:
        """The sidecar with this path, else one that differs only in case or Unicode form."""
        there = self.sidecars.get(folded(path), ())
        return path if path in there else there[0] if len(there) == 1 else None


def folded(path: str) -> str:
    """A path without differences of case and of composed or decomposed letters, which file systems treat
    differently."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def read_text(path: str, most: int, problems: Problems) -> str | None:
    """The text of a file in any encoding; None, with the reason in `problems`, if the encoding is uncertain."""
    data = read_bytes(path, most, problems)
    if data is None:
        return None
    text = decode(data)
    if text is None:
        problems.append((printable_path(path), "in an uncertain encoding: save it as UTF-8"))
    return text


def read_bytes(path: str, most: int, problems: Problems) -> bytes | None:
    """A regular file of at most `most` bytes; None, with the reason in `problems`, for another."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("not a regular file")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        problems.append((printable_path(path), f"{error.strerror or error}: check that it may be read"))
        return None
    if len(data) > most:
        problems.append((printable_path(path), f"more than {most // 1_000_000} MB: shorten it"))
        return None
    return data


def counted(path: str, items: Iterable[str], what: str, advice: str) -> Problems:
    """One line for many problems of a kind: their number and the first. what: as for `numbered`."""
    found = list(items)
    return [(printable_path(path), f"{numbered(len(found), what)}, the first {found[0]}: {advice}")] if found else []


def numbered(count: int, what: str) -> str:
    """A number with its words. what: with [one|many] where these differ: "[row matches|rows match] no image"."""
    return f"{count} {_FORMS.sub(lambda form: form[1 if count == 1 else 2], what)}"
