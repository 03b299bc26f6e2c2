"""What limner keeps is its user's alone: tokens' digests, webhooks' secrets, articles, captions."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.tools.encoders import default_encoders
from limner.tools.library import Library
from limner.workflows.run import checkpoints


@pytest.fixture(autouse=True)
def _open_handed() -> object:
    """The umask of most systems."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(home: Path) -> dict[str, int]:
    """Rights of others and the group, of the home and all databases below it."""
    found = [home, *(p for end in ("", "-wal", "-shm") for p in home.rglob(f"*.sqlite{end}"))]
    return {str(p.relative_to(home)): p.stat().st_mode & 0o077 for p in found}


def test_home_and_databases(home: Path) -> None:
    new = home / "deep" / "er"
    with closing(Jobs(Settings(home=new))) as jobs:
        jobs.ledger.list()
    Library.create(new, "bees", default_encoders())
    assert set(modes(new).values()) == {0}
    assert len(modes(new)) >= 3
    assert (home / "deep").stat().st_mode & 0o077, "only the home itself is closed"


def test_the_shell_s_checkpoints(home: Path) -> None:
    with checkpoints(home) as saver:
        saver.setup()
    assert set(modes(home).values()) == {0}


def test_a_database_of_before_is_closed_to_strangers_and_a_home_stays_as_it_is(home: Path) -> None:
    home.mkdir(mode=0o755)
    path = home / "jobs.sqlite"
    path.touch(0o664)
    path.chmod(0o664)
    with closing(Jobs(Settings(home=home))) as jobs:
        jobs.ledger.list()
    assert path.stat().st_mode & 0o777 == 0o660, "its group may be meant to read it"
    assert home.stat().st_mode & 0o777 == 0o755
