"""The end of `.ci/run`: tests marked `real` that failed are run again, alone; then a summary and the verdict.

    python3 .ci/again.py LOGS NAME=CACHE...

LOGS has, of each block of tests, NAME (what it printed), NAME.status and NAME.seconds; CACHE is where its pytest keeps
what failed. Ends with 0 if all is well, or if all that failed was `real` and passed this time: it is named as flaky.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
FAILED = 1  # pytest's exit status where tests failed, and nothing else went wrong
CLOSING = re.compile(r"^.*\b(?:passed|failed|skipped|deselected|errors?)\b.* in [\d.]+s.*$", re.MULTILINE)


def failures(cache: Path) -> set[str]:
    """The tests that pytest remembers as failed."""
    file = cache / "v" / "cache" / "lastfailed"
    return set(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else set()


def again(command: Sequence[str], cache: Path) -> tuple[list[str], list[str]]:
    """Run what failed and is `real` once more; (what passes now, what does not or is not real)."""
    before = failures(cache)
    subprocess.run([*command, "-n", "0", "--last-failed", "-m", "real", "-o", f"cache_dir={cache}"], check=False)
    after = failures(cache)
    return sorted(before - after), sorted(after)


def command_of(name: str) -> list[str]:
    """What runs the tests of a block."""
    return [str(HERE / "readme"), "pytest"] if name == "default" else [str(HERE / name)]


def main(logs: Path, blocks: dict[str, Path]) -> int:
    """Print the summary; returns the exit status."""
    flaky: list[str] = []
    wrong: list[str] = []
    lines: list[str] = []
    for name, cache in blocks.items():
        status, seconds = (int((logs / f"{name}.{what}").read_text()) for what in ("status", "seconds"))
        closing = CLOSING.findall((logs / name).read_text(encoding="utf-8", errors="replace"))
        lines += [f"{name}: exit status {status}, {seconds // 60} min {seconds % 60} s", *closing[-1:]]
        if status == FAILED and failures(cache):
            print(f"\n=== {name}: real tests that failed, again ===", flush=True)
            passed, failed = again(command_of(name), cache)
            flaky += [f"{name}: {test}" for test in passed]
            wrong += [f"{name}: {test}" for test in failed]
        elif status:
            wrong.append(f"{name}: exit status {status}, see its output above")
        elif not closing:
            wrong.append(f"{name}: no test ran")
    print("\n=== summary ===")
    print(*lines, *(f"FLAKY {test}" for test in flaky), *(f"FAILED {test}" for test in wrong), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), {name: Path(cache) for name, cache in (a.split("=") for a in sys.argv[2:])}))
