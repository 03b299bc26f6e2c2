"""Draw the tables of docs/evaluate.md from limner/tools/evaluation/measures.py.

uv run docs/measures.py           # rewrite what stands between the markers
uv run docs/measures.py --check   # exit 1 if the page is out of date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from limner.tools.evaluation.measures import GROUPS

PAGE = Path(__file__).resolve().parent / "evaluate.md"
MARKS = re.compile(r"(?<=<!-- measures: drawn by docs/measures.py -->\n).*?(?=<!-- end of measures -->)", re.DOTALL)


def tables() -> str:
    """A table per group."""
    parts = []
    for title, measures in GROUPS.items():
        rows = [f"| {m.title} | {m.what} | {m.source} | {m.limit} |" for m in measures.values()]
        parts.append(
            "\n".join([f"\n### {title}", "| measure | meaning | source | limit |", "|---|---|---|---|", *rows, ""])
        )
    return "".join(parts) + "\n"


def main() -> int:
    """Rewrite the page, or check it."""
    text = PAGE.read_text(encoding="utf-8")
    drawn = MARKS.sub(lambda _: tables(), text)
    if "--check" in sys.argv[1:]:
        if drawn != text:
            print("docs/evaluate.md is out of date: uv run docs/measures.py")
        return int(drawn != text)
    PAGE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
