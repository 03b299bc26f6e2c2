"""Digest a file without reading it where its package has done so."""

from __future__ import annotations

import base64
import csv
import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. For a file in an installed package it is the one of the package's RECORD
    (packaging.python.org, "Recording installed projects") if the file has that size and is no newer; one replaced by
    another of its size and an older date is not noticed."""
    for record in path.parent.parent.glob(f"{path.parent.name}-*.dist-info/RECORD"):
        try:
            found = _recorded(path, record)
        except (OSError, ValueError, csv.Error):  # a damaged record saves no time, and stops nothing
            continue
        if found:
            return found
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(path: Path, record: Path) -> str:
    """The digest of a file in its package's RECORD, "" if the file is another one now."""
    at, made = path.stat(), record.stat()
    for row in csv.reader(record.read_text(encoding="utf-8").splitlines()):
        if len(row) == 3 and row[0] == f"{path.parent.name}/{path.name}" and row[1].startswith("sha256="):
            same = str(at.st_size) == row[2] and at.st_mtime <= made.st_mtime
            return base64.urlsafe_b64decode(f"{row[1].removeprefix('sha256=')}=").hex() if same else ""
    return ""
