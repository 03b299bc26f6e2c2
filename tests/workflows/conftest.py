"""A folder of pictures that is indexed once for all tests of the workflows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictures import make_folder


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(home, folder): a limner home in which the folder is the library "bees"."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    root = tmp_path_factory.mktemp("bees")
    folder = make_folder(root / "photos")
    index(root / "home", "bees", [folder], default_encoders())
    return root / "home", folder


@pytest.fixture
def bees(indexed: tuple[Path, Path], home: Path) -> Path:
    """This test's LIMNER_HOME with the library "bees" in it; returns the folder of pictures."""
    shutil.copytree(indexed[0], home, dirs_exist_ok=True)
    return indexed[1]
