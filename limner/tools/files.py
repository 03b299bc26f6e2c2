"""Write a file that readers see whole, and digest one without reading it where its package has done so."""

from __future__ import annotations

import base64
import csv
import hashlib
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside `path`, then rename it: readers see the old one or the new one. Raises OSError."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. For a file in an installed package it is the one of the package's RECORD
    (packaging.python.org, "Recording installed projects") if the file has that size and is no newer."""
    for record in path.parent.parent.glob(f"{path.parent.name}-*.dist-info/RECORD"):
        for name, digest, size in csv.reader(record.read_text(encoding="utf-8").splitlines()):
            if name == f"{path.parent.name}/{path.name}" and digest.startswith("sha256="):
                found = path.stat()
                if str(found.st_size) == size and found.st_mtime <= record.stat().st_mtime:
                    return base64.urlsafe_b64decode(f"{digest.removeprefix('sha256=')}=").hex()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
