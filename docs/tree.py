"""Draw limner's tree from its docstrings into README.md and docs/how-it-works.md.

    uv run docs/tree.py           # rewrite what stands between the markers
    uv run docs/tree.py --check   # exit 1 if a page is out of date

Each line is the first sentence of a module's or a package's docstring, so the pages cannot say anything else.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "limner"
# From the top down, see test_house.py.
ROOMS = ("surfaces", "jobs", "workflows", "agents", "exports", "tools", "models", "markdown", "model_server")
PLAIN = {  # folders without Python
    "surfaces/web": "The studio: plain JavaScript modules that talk to the HTTP API alone.",
    "exports/templates": "Templates of the exported pages and documents.",
    "jobs/migrations": "The ledger's schema from release to release (Alembic).",
}
WIDTH = 26  # characters of a name in README's short tree
PAGES = {"README.md": False, "docs/how-it-works.md": True}  # page -> whether it shows every file


def sentence(path: Path) -> str:
    """First sentence of a module's or a package's docstring. Raises ValueError where there is none."""
    file = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else None
    text = text or PLAIN.get(path.relative_to(HOUSE).as_posix(), "")
    if not text:
        raise ValueError(f"{path.relative_to(ROOT)} has no docstring")
    whole = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", whole)[0].removesuffix(".")


def files(folder: Path) -> Iterator[Path]:
    """Modules of a folder by name, then its packages; private ones and __init__ are left out."""
    inside = sorted(folder.iterdir())
    yield from (p for p in inside if p.suffix == ".py" and not p.name.startswith("_"))
    for p in inside:
        if p.is_dir() and ((p / "__init__.py").is_file() or p.relative_to(HOUSE).as_posix() in PLAIN):
            yield p


def lines(folder: Path, depth: int, deep: bool) -> Iterator[str]:
    """The tree under a folder as lines of text; not deep: only its first level."""
    for path in files(folder):
        name = "  " * depth + path.name + ("/" if path.is_dir() else "")
        yield f"{name:<{WIDTH}} {sentence(path)}"
        if deep and path.is_dir() and path.relative_to(HOUSE).as_posix() not in PLAIN:
            yield from lines(path, depth + 1, deep)


def tree(deep: bool) -> str:
    """The drawing, as an indented block of Markdown."""
    drawn = ["limner/"]
    drawn += [line for line in lines(HOUSE, 1, False) if not line.split()[0].endswith("/")]
    for room in ROOMS:
        drawn.append(f"{'  ' + room + '/':<{WIDTH}} {sentence(HOUSE / room)}")
        if deep:
            drawn += lines(HOUSE / room, 2, True)
    return "".join(f"    {line.rstrip()}\n" for line in drawn)


def drawn(page: str, deep: bool) -> str:
    """A page's text with its tree drawn anew. Raises ValueError for a page without markers."""
    begin, end = "<!-- tree: drawn by docs/tree.py -->\n\n", "\n<!-- end of tree -->"
    before, found, rest = (ROOT / page).read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page} has no markers for the tree")
    return before + begin + tree(deep) + end + after


def main() -> int:
    """Rewrite the pages, or with --check only compare them."""
    stale = [p for p, deep in PAGES.items() if drawn(p, deep) != (ROOT / p).read_text(encoding="utf-8")]
    if "--check" in sys.argv:
        for page in stale:
            print(f"{page} is out of date: run `make tree`.")
        return 1 if stale else 0
    for page in stale:
        (ROOT / page).write_text(drawn(page, PAGES[page]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
