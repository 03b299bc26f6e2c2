"""The rooms of the house: who may import whom, and what an import may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import limner

ROOT = Path(limner.__file__).parent
LOW = {"document", "errors", "text", "settings", "version", "observe"}
ALLOWED = {
    "document": {"errors", "text"},
    "errors": set(),
    "text": set(),
    "version": set(),
    "settings": {"document", "errors"},
    "observe": {"document", "errors", "settings"},
    "agents": {*LOW, "agents"},
    "tools": {*LOW, "tools"},
    "workflows": {*LOW, "agents", "tools", "workflows", "surfaces"},
    "jobs": {*LOW, "agents", "tools", "workflows", "jobs"},
    "surfaces": {*LOW, "agents", "tools", "workflows", "jobs", "surfaces"},
    "model_server": {"model_server"},
}


def imports(file: Path) -> set[str]:
    """Rooms of limner that a file imports, also inside functions and under TYPE_CHECKING."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rooms |= {n.name.split(".")[1] for n in node.names if n.name.startswith("limner.")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "limner":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {n.name for n in node.names} & set(ALLOWED)
    return rooms


FILES = [f for f in sorted(ROOT.rglob("*.py")) if f != ROOT / "__init__.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(file: Path) -> None:
    room = file.relative_to(ROOT).parts[0].removesuffix(".py")
    assert imports(file) <= ALLOWED[room]


def test_only_settings_reads_the_environment() -> None:
    """The model server, a program of its own that imports nothing of limner's, tells vLLM things by its environment;
    a default that a library is given there is not read."""
    reads = re.compile(r"os\.environ(?!\.setdefault\()|getenv")
    readers = [f for f in FILES if reads.search(f.read_text(encoding="utf-8"))]
    assert [f.name for f in readers if f.name != "settings.py" and "model_server" not in f.parts] == []


@pytest.mark.parametrize("module", ["limner", "limner.surfaces.cli.app"])
def test_importing_costs_next_to_nothing(module: str) -> None:
    heavy = ("torch", "onnxruntime", "langgraph", "langchain_openai", "openai", "qdrant_edge", "xllamacpp", "PIL")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in limner.__all__:
        assert getattr(limner, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = limner.nonsense  # type: ignore[attr-defined]


def test_no_module_of_the_library_imports_the_one_above_it() -> None:
    """captions and folder below records, records below folders, then sources, library, indexing and the package."""
    order = ["folder", "captions", "records", "folders", "sources", "library", "indexing", "starter"]
    folder = ROOT / "tools" / "library"
    for n, name in enumerate(order):
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        above = [o for o in order[n + 1 :] if f"limner.tools.library.{o} " in text or f"library import {o}\n" in text]
        assert above == [], name
