"""The end of CI: what is run a second time, what fails, and what the last lines say. Pytest is a real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import pathlib
import pytest

def nth():
    file = pathlib.Path(__file__).with_name("runs")
    runs = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(runs))
    return runs

def test_good():
    pass

"""
FLAKY = "@pytest.mark.real\ndef test_flaky():\n    assert nth() == 2\n"
BROKEN = "@pytest.mark.real\ndef test_broken():\n    assert nth() == 7\n"
WRONG = "def test_wrong():\n    assert nth() == 2\n"


class Ci:
    """A checkout with one block of tests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.logs = folder, folder / "logs"
        (folder / ".ci").mkdir()
        self.logs.mkdir()
        shutil.copy(ROOT / ".ci" / "again.py", folder / ".ci")
        script = folder / ".ci" / "torch"
        script.write_text(
            f'#!/bin/sh\ncd "{folder}" && PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 '
            f'exec "{sys.executable}" -m pytest -q -p xdist.plugin "$@"\n'
        )
        script.chmod(0o755)
        (folder / "pytest.ini").write_text("[pytest]\nmarkers = real: x\n")

    def block(self, tests: str) -> int:
        """The first run, as `.ci/run` keeps it; returns its exit status."""
        (self.folder / "test_it.py").write_text(TESTS + tests)
        command = [self.folder / ".ci" / "torch", "-o", f"cache_dir={self.folder / 'cache'}"]
        done = subprocess.run(command, capture_output=True, text=True)
        self.keep(done.stdout, done.returncode)
        return done.returncode

    def keep(self, printed: str, status: int) -> None:
        (self.logs / "torch").write_text(printed)
        (self.logs / "torch.status").write_text(f"{status}\n")
        (self.logs / "torch.seconds").write_text("61\n")

    def end(self) -> tuple[int, str]:
        """(exit status, what stands after the summary's head)."""
        command = [sys.executable, self.folder / ".ci" / "again.py", self.logs, f"torch={self.folder / 'cache'}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stderr == ""
        return done.returncode, done.stdout.partition("=== summary ===\n")[2]


@pytest.fixture
def ci(tmp_path: Path) -> Ci:
    return Ci(tmp_path)


def test_all_is_well(ci: Ci) -> None:
    assert ci.block("") == 0
    status, summary = ci.end()
    assert status == 0
    assert summary.startswith("torch: exit status 0, 1 min 1 s\n1 passed in ")
    assert not (ci.folder / "runs").exists()


def test_a_real_test_that_passes_alone_is_named_and_fails_nothing(ci: Ci) -> None:
    assert ci.block(FLAKY) == 1
    status, summary = ci.end()
    assert status == 0
    assert summary.endswith("FLAKY torch: test_it.py::test_flaky\n")
    assert "1 failed, 1 passed" in summary, "the first run's closing line"


def test_a_real_test_that_fails_twice_fails(ci: Ci) -> None:
    assert ci.block(BROKEN) == 1
    status, summary = ci.end()
    assert status == 1
    assert summary.endswith("FAILED torch: test_it.py::test_broken\n")
    assert (ci.folder / "runs").read_text() == "2"


def test_what_is_not_real_is_not_run_again(ci: Ci) -> None:
    assert ci.block(WRONG + FLAKY.replace("nth() == 2", "nth() == 3")) == 1
    status, summary = ci.end()
    assert status == 1
    assert summary.endswith("FLAKY torch: test_it.py::test_flaky\nFAILED torch: test_it.py::test_wrong\n")
    assert (ci.folder / "runs").read_text() == "3", "only the real one"


def test_a_block_that_breaks_off_fails(ci: Ci) -> None:
    ci.keep("error: no space left on device\n", 1)
    assert ci.end() == (1, "torch: exit status 1, 1 min 1 s\nFAILED torch: exit status 1, see its output above\n")
    assert ci.block("import nothing_of_that_name") == 2
    assert ci.end()[0] == 1


def test_a_block_that_ran_no_test_fails(ci: Ci) -> None:
    ci.keep("", 0)
    status, summary = ci.end()
    assert status == 1
    assert "FAILED torch: no test ran" in summary
