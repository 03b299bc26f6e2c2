"""Packages that are installed for a test: files of a module, and the dist-info that pip would write beside them."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"


def install(
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    points: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
    version: str = "1.0",
) -> None:
    """Put a distribution into a folder on sys.path. points: group -> name -> what it points at."""
    for module, text in modules.items():
        site.mkdir(parents=True, exist_ok=True)
        (site / f"{module}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    sections = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in some.items()) for group, some in points.items()]
    (info / "entry_points.txt").write_text("\n".join(sections), encoding="utf-8")
    if str(site) not in sys.path:
        monkeypatch.syspath_prepend(str(site))


def install_the_page(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of docs/plugins.md, as it stands there."""
    page = PAGE.read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    project = tomllib.loads(toml)["project"]
    module = "\n".join(re.findall(r"```python\n# limner_bees.py\n(.*?)```", page, re.DOTALL))
    install(site, monkeypatch, project["name"], project["entry-points"], {"limner_bees": module}, project["version"])
