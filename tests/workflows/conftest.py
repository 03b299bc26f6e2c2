"""Running limner's commands in the process of the tests."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from shell import Said, Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """Run `limner ARGS` in this process, in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*args: object, stdin: str = "") -> Said:
        from limner.workflows.cli import main

        monkeypatch.setattr(sys, "argv", ["limner", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run
