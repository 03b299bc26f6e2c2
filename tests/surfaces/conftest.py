"""What tests of several surfaces share: an article that the shell made."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import Shell

DRAFT = """# Honey

A honeybee collects nectar from the flower of a clover and carries it home to the hive in a second stomach.

In the hive the nectar is spread over honeycomb cells, where the wind of many wings takes its water away.

In late summer a beekeeper lifts each frame out and fills jars of honey for the kitchen table.
"""


@pytest.fixture
def made(tmp_path: Path, bees: Path, shell: Shell) -> Path:
    """An illustrated article, as limner leaves it."""
    (tmp_path / "draft.md").write_text(DRAFT)
    said = shell("illustrate", tmp_path / "draft.md", "-l", "bees", "-n", "2", "-o", tmp_path / "honey", "-q")
    assert said.code == 0, said.err
    return tmp_path / "honey"
