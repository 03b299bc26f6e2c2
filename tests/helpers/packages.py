"""Packages that are installed for a test: files of a module, and the dist-info that pip would write beside them."""

from __future__ import annotations

import importlib.util
import io
import re
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from limner.document import Article, Illustration

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


def in_own_environment(module: str, whose: str) -> list[pytest.MarkDecorator]:
    """Marks of tests with LangGraph's server or AG-UI, skipped where the module is not installed; see .ci/server."""
    absent = importlib.util.find_spec(module) is None
    return [pytest.mark.server, pytest.mark.skipif(absent, reason=f"{whose} has an environment of its own")]


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


# --- a package with generators of images ------------------------------------------------------------------------------

PAINTER = """
import io
from PIL import Image
CALLS = []
class Painter:
    def __call__(self, wanted):
        CALLS.append(wanted)
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x010E] = "a secret of the painter's"
        Image.new("RGB", (2400, 300), (40 * len(CALLS) % 256, 90, 160)).save(file, "JPEG", exif=exif)
        return file.getvalue()
def text(wanted): return "a picture"
def page(wanted): return b"<html>quota exceeded</html>"
def dot(wanted): return _png((8, 8))
def bomb(wanted): return _png((9000, 9000))
def fails(wanted): raise ConnectionError("no route to the painter \\x1b[31m")
def leaves(wanted): raise SystemExit(1)
def hangs(wanted):
    CALLS.append(wanted)
    import threading
    threading.Event().wait(30)
def clear(wanted):
    file = io.BytesIO()
    Image.new("RGBA", (100, 100), (0, 0, 0, 0)).save(file, "PNG")
    return file.getvalue()
class Claims:
    digital_source_type = "digitalCapture"
    def __call__(self, wanted): return _png((100, 100))
def _png(size):
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    return file.getvalue()
"""
_NAMES = ("text", "page", "dot", "bomb", "fails", "leaves", "hangs", "clear")


def install_painters(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a generator that works, "painter", and others that do not."""
    points = {"painter": "painting:Painter", "claims": "painting:Claims"} | {n: f"painting:{n}" for n in _NAMES}
    install(site, monkeypatch, "limner-painter", {"limner.generators": points}, {"painting": PAINTER}, "2.1")


def calls() -> list[Any]:
    """What the painter was asked; nothing if it was not even imported."""
    return sys.modules["painting"].CALLS if "painting" in sys.modules else []


def made(article: Article) -> list[Illustration]:
    return [i for i in article.illustrations if i.digital_source_type]


def source_type(data: bytes) -> str:
    """As a reader of XMP finds it: through Pillow, then as XML."""
    with Image.open(io.BytesIO(data)) as image:
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
        image.load()
    text = packet.decode() if isinstance(packet, bytes) else packet
    tree = ET.fromstring(text.strip("\ufeff"))
    return tree.findtext(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType", "")
