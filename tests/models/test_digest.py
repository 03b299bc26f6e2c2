"""Digests that packages record."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from limner.models.digest import sha256_of
from limner.tools.encoders import MiniLM


def test_the_digest_of_the_installed_weights_is_that_of_their_bytes() -> None:
    model = MiniLM().model
    assert sha256_of(model) == hashlib.sha256(model.read_bytes()).hexdigest()


def package(folder: Path, content: bytes, recorded: bytes) -> Path:
    """A file in an installed package whose RECORD has the digest of `recorded`."""
    file = folder / "weights" / "model.onnx"
    file.parent.mkdir()
    file.write_bytes(content)
    digest = base64.urlsafe_b64encode(hashlib.sha256(recorded).digest()).rstrip(b"=").decode()
    about = folder / "weights-1.0.dist-info"
    about.mkdir()
    (about / "RECORD").write_text(
        f"weights/model.onnx,sha256={digest},{len(recorded)}\nweights-1.0.dist-info/RECORD,,\n"
    )
    at = (about / "RECORD").stat().st_mtime
    os.utime(file, (at, at))
    return file


def test_a_package_has_digested_its_file(tmp_path: Path) -> None:
    """The bytes differ only so that the test sees which digest is given."""
    file = package(tmp_path, b"abc", recorded=b"xyz")
    assert sha256_of(file) == hashlib.sha256(b"xyz").hexdigest()


def test_a_file_that_changed_after_the_installation_is_read(tmp_path: Path) -> None:
    file = package(tmp_path, b"abc", recorded=b"xyz")
    later = file.stat().st_mtime + 10
    os.utime(file, (later, later))
    assert sha256_of(file) == hashlib.sha256(b"abc").hexdigest()


def test_a_file_of_another_size_is_read(tmp_path: Path) -> None:
    file = package(tmp_path, b"abcd", recorded=b"xyz")
    assert sha256_of(file) == hashlib.sha256(b"abcd").hexdigest()


def test_a_file_of_no_package_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"abc")
    assert sha256_of(tmp_path / "model.onnx") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("damage", [b"\n\nweights/model.onnx\n", b"\xff\xfe", b"weights/model.onnx,sha256=?,3\n"])
def test_a_damaged_record_stops_nothing(damage: bytes, tmp_path: Path) -> None:
    file = package(tmp_path, b"abc", recorded=b"abc")
    (tmp_path / "weights-1.0.dist-info" / "RECORD").write_bytes(damage)
    assert sha256_of(file) == hashlib.sha256(b"abc").hexdigest()
