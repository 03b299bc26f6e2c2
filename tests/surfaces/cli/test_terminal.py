"""What the shell shows while something is counted."""

from __future__ import annotations

import io
import time

from rich.console import Console

from limner.surfaces.cli.terminal import Terminal


def test_a_count_shows_its_rate_and_what_is_left() -> None:
    terminal = Terminal()
    terminal.console = Console(file=io.StringIO(), force_terminal=True, width=140, color_system=None)
    with terminal.counting("Reading into birds") as count:
        count(200, 323)  # known already: no part of the rate
        for done in (201, 202):
            time.sleep(0.05)
            count(done, 323)
    last = terminal.console.file.getvalue().rpartition("Reading into birds")[2]  # type: ignore[attr-defined]
    assert "202/323" in last
    rate = int(last.partition("/min")[0].split()[-1])
    assert 0 < rate < 200 * 60
    assert "left 0:0" in last
