"""The rooms of the house: who may import whom, and what an import may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

import limner

ROOT = Path(limner.__file__).parent
LOW = {"children", "document", "errors", "lazy", "markdown", "notes", "text", "settings", "version", "observe"}
ALLOWED = {
    "document": {"errors", "markdown", "notes", "text"},
    "markdown": {"errors", "lazy", "markdown", "text"},
    "errors": {"notes"},
    "notes": {"catalogue"},
    "catalogue": set(),
    "children": set(),
    "lazy": set(),
    "text": set(),
    "version": set(),
    "settings": {"document", "errors"},
    "redact": {"settings"},
    "observe": {"otel", "redact", "settings"},
    "otel": set(),
    "agents": {*LOW, "agents"},
    "models": {*LOW, "models"},
    "tools": {*LOW, "models", "tools"},
    "exports": {*LOW, "tools", "exports"},
    "workflows": {*LOW, "agents", "models", "tools", "exports", "workflows"},
    "jobs": {*LOW, "agents", "models", "tools", "exports", "workflows", "jobs"},
    "surfaces": {*LOW, "agents", "models", "tools", "exports", "workflows", "jobs", "surfaces"},
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


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and under TYPE_CHECKING count: a circle that is put off is a circle."""
    modules = {_module(file): file for file in FILES}
    graph = {name: _modules_imported(file, modules) - {name} for name, file in modules.items()}
    assert circles(graph) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Rooms that stand side by side: limner/tools and limner/agents, jobs/ledger and jobs/worker."""
    modules = {_module(file): file for file in FILES}
    rooms: dict[Path, dict[str, set[str]]] = {}  # by the folder they stand in
    for file in FILES:
        for other in _modules_imported(file, modules):
            at, to = file.relative_to(ROOT).parts, modules[other].relative_to(ROOT).parts
            depth = next((i for i, (a, b) in enumerate(zip(at, to, strict=False)) if a != b), min(len(at), len(to)))
            if depth < len(at) - 1 and depth < len(to) - 1:
                graph = rooms.setdefault(Path(*at[:depth]), {})
                graph.setdefault(at[depth], set()).add(to[depth])
                graph.setdefault(to[depth], set())
    assert {str(folder): found for folder, graph in rooms.items() if (found := circles(graph))} == {}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [{"a", "b", "c"}]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d", "a"}, "d": {"c"}}, [{"a", "b"}, {"c", "d"}]),
    ],
)
def test_circles_of_a_graph_are_found(graph: dict[str, set[str]], expected: list[set[str]]) -> None:
    assert sorted(circles(graph), key=min) == expected


def circles(graph: Mapping[str, Set[str]]) -> list[set[str]]:
    """Nodes that reach each other, in sets of two or more."""
    reach = {node: _reachable(graph, node) for node in graph}
    found: list[set[str]] = []
    for node in graph:
        circle = {other for other in reach[node] if node in reach[other]}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def _reachable(graph: Mapping[str, Set[str]], node: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[node])
    while todo:
        if (other := todo.pop()) not in seen:
            seen.add(other)
            todo += graph[other]
    return seen


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules_imported(file: Path, known: Mapping[str, Path]) -> set[str]:
    """Modules of limner that a file names in imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {name.name: f"{node.module}.{name.name}" for name in node.names}
            found |= {full[name] if full[name] in known else node.module for name in full}
    return found & set(known)


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
