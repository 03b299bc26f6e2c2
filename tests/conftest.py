"""What all tests share: a home of their own, a clean environment, and no way to a network."""

from __future__ import annotations

import io
import os
import shutil
import socket
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from offline import REACHED, check
from pictures import make_folder
from servers import Postgres, postgres_programs
from shell import Said, Shell

# Read when langgraph is imported: types that are not in the state's schema must fail here, not in someone's checkpoint.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

# Machines that run tests are slow and busy at times; what a test promises is a result, not a speed.
settings.register_profile("limner", deadline=None)
settings.load_profile("limner")


# --- how they are run -----------------------------------------------------------------------------------------------

REAL = {"browser", "nursery", "workers"}  # fixtures; other tests that kill processes say `pytest.mark.real`
LONG = ("jobs/chaos/test_workers.py", "jobs/chaos/", "surfaces/web/")


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Processes for `-n auto`: one a core for the whole suite, four at most (1 GB each); none for tests by name."""
    cores = yield
    return min(4, cores) if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is `real`; the files that take longest come first, so that all processes end at about the same time."""
    for item in items:
        if REAL.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)

    def rank(item: pytest.Item) -> int:
        where = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((n for n, start in enumerate(LONG) if where.startswith(start)), len(LONG))

    items.sort(key=rank)


# --- a home, and no network -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty LIMNER_HOME, and none of the variables that could lead limner or its parts elsewhere."""
    for name in list(os.environ):
        if name.startswith(("LIMNER_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "QDRANT_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("LIMNER_HOME", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuse to connect or to look a name up beyond the loopback, in every thread of the tests."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(socket.AF_INET, (host.decode() if isinstance(host, bytes) else host,))
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


@pytest.fixture(autouse=True)
def _no_network(_loopback_only: None) -> Iterator[None]:
    """Fail the test that was refused, even where the code under test caught the refusal."""
    yield
    reached, REACHED[:] = list(REACHED), []
    assert not reached, f"tried to reach {', '.join(reached)}; tests stay on the loopback"


# --- a library of pictures ------------------------------------------------------------------------------------------


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


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """Run `limner ARGS` in this process, in an empty folder."""
    from runners_logging import runners_logging

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*args: object, stdin: str = "") -> Said:
        from limner.surfaces.cli.app import main

        monkeypatch.setattr(sys, "argv", ["limner", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    with runners_logging():
        yield run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres of its own."""
    if postgres_programs() is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    with Postgres() as server:
        yield server
