"""Files written whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.tools.files import replace_file


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    replace_file(file, b"old")
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match="record"):
        replace_file(file / "below", b"")
