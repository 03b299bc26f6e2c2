"""Two minutes of random faults on SQLite and the bundled broker: nothing is lost or done twice (`bench/chaos.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).resolve().parents[3] / "bench" / "chaos.py"


@pytest.mark.real
@pytest.mark.timeout(900)
def test_a_short_storm() -> None:
    """The seed is fixed; what each fault hits depends on the moment. The checker reads all rows afterwards."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LIMNER_", "DATABASE_URL", "REDIS_URL"))}
    options = ["--jobs", "20", "--minutes", "2", "--seed", "15", "--sqlite"]
    run = subprocess.run([sys.executable, CHAOS, *options], env=env, capture_output=True, text=True)
    print(run.stdout)
    assert run.returncode == 0, (run.stdout + run.stderr)[-4000:]
    assert "| lost, doubled, or otherwise objected to | 0 |" in run.stdout
    assert "| jobs submitted, ended | 20, 20 |" in run.stdout
