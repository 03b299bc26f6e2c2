"""Draw docs/codes.md from limner/catalogue.py and limner/errors.py.

uv run docs/codes.py           # rewrite the page
uv run docs/codes.py --check   # exit 1 if it is out of date
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "codes.md"
HEAD = """# Codes
Programs read `code` and `params`; the sentence may be reworded. Both stand in problems of the HTTP API, beside a job's
`error`, an event's `why` or `text`, a version's `what`, a candidate's `why`, in the notes of an article, and on
every error in Python (`error.code`, `error.params`). This page is drawn from the code by `docs/codes.py`.
"""


def sentences() -> Iterator[tuple[str, dict[str, str]]]:
    """Each group of the catalogue: what it is about, and its sentences by code."""
    body = ast.parse((ROOT / "limner" / "catalogue.py").read_text(encoding="utf-8")).body
    for group, about in pairwise(body):
        match group, about:
            case ast.Assign(value=ast.Dict() as made), ast.Expr(value=ast.Constant(value=str(said))):
                yield said, ast.literal_eval(made)


def kinds() -> Iterator[tuple[str, str, str]]:
    """Each class of errors: its code, its name and the first sentence about it."""
    for node in ast.parse((ROOT / "limner" / "errors.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            code = next(
                ast.literal_eval(item.value)
                for item in node.body
                if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "code"
            )
            yield code, node.name, " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def drawn() -> str:
    """The page."""
    parts = [HEAD]
    for about, group in sentences():
        rows = [f"| `{code}` | {_cell(text)} |" for code, text in sorted(group.items())]
        parts.append("\n".join([f"## {about.rstrip('.')}", "| code | sentence |", "|---|---|", *rows]) + "\n")
    rows = [f"| `{code}` | `{name}` | {_cell(about)} |" for code, name, about in kinds()]
    head = ["## Errors without a code of their own", "Such an error carries the code of its class, and no parameters."]
    parts.append("\n".join([*head, "", "| code | class | what it is |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}").replace("|", "\\|")


def main(check: bool) -> int:
    """Rewrite the page, or say whether it is out of date."""
    there = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    if there == drawn():
        return 0
    if check:
        print("docs/codes.md is out of date: uv run docs/codes.py")
        return 1
    PAGE.write_text(drawn(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
