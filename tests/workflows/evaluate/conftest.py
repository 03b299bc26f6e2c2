"""A split of two articles."""

from __future__ import annotations

from pathlib import Path

import pytest
from honey_split import make_split


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return make_split(tmp_path / "honey")
