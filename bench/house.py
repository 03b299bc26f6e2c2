"""How large are the rooms, files and functions of limner? Prints a table.

    uv run bench/house.py

Reads the code as text. `tests/test_house.py` refuses arrows that run up and circles of imports.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

LONG_FILE, LONG_FUNCTION = 400, 40  # lines
HOUSE = Path(__file__).resolve().parents[1] / "limner"


def functions(tree: ast.AST) -> list[tuple[int, str]]:
    """(lines, name) of every function, its decorators left out."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [((n.end_lineno or n.lineno) - n.lineno + 1, n.name) for n in ast.walk(tree) if isinstance(n, kinds)]


def local_imports(tree: ast.AST) -> int:
    """Import statements inside functions."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    inside = (x for n in ast.walk(tree) if isinstance(n, kinds) for x in ast.walk(n))
    return len({x.lineno for x in inside if isinstance(x, ast.Import | ast.ImportFrom)})


def main() -> None:
    """Print the table."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(HOUSE.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    size = {path: len(text.splitlines()) for path, text in texts.items()}
    rooms: Counter[str] = Counter()
    for path, lines in size.items():
        rooms[path.relative_to(HOUSE).parts[0]] += lines
    room, most = rooms.most_common(1)[0]
    large = [f"{path.relative_to(HOUSE)} {n}" for path, n in size.items() if n > LONG_FILE]
    long = [
        f"{path.relative_to(HOUSE)}:{name} {n}"
        for path, tree in trees.items()
        for n, name in functions(tree)
        if n > LONG_FUNCTION
    ]
    total = sum(size.values())
    print("| measure | figure |\n|---|---|")
    print(f"| largest room's share of lines | {room} {most / total:.1%} |")
    print(f"| files over {LONG_FILE} lines | {len(large)}: {', '.join(large)} |")
    print(f"| functions over {LONG_FUNCTION} lines | {len(long)}: {', '.join(long)} |")
    print(f"| function-local imports | {sum(map(local_imports, trees.values()))} |")
    print(f"| lines of Python | {total} |")


if __name__ == "__main__":
    main()
