"""Whether an exported article is whole: the files open, every image is there, and the credits are."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image


def check_export(folder: Path, article: dict[str, Any]) -> list[str]:
    """Objections to a folder with md, html and json of an article, as the database has it."""
    wanted = article["illustrations"]
    found = [*_html(next(folder.glob("*.html")), wanted), *_markdown(next(folder.glob("*.md")), wanted)]
    written = json.loads(next(folder.glob("*.json")).read_text(encoding="utf-8"))
    ids = [i["image_id"] for i in written.get("illustrations", written.get("article", {}).get("illustrations", []))]
    if ids != [i["image_id"] for i in wanted]:
        found.append("article.json has other images")
    return [f"{folder.name}: {objection}" for objection in found]


def _html(path: Path, wanted: list[dict[str, Any]]) -> list[str]:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    found = list(_credits(path.name, " ".join("".join(page.text).split()), wanted))
    if len(page.images) != len(wanted):
        found.append(f"{path.name} has {len(page.images)} images and not {len(wanted)}")
    for source, alt in page.images:
        if not source.startswith("data:image/"):
            found.append(f"{path.name} has an image from elsewhere: {source[:60]}")
        else:
            found += _opens(path.name, base64.b64decode(source.partition(",")[2]))
        if not alt:
            found.append(f"{path.name} has an image without an alternative text")
    return found


def _markdown(path: Path, wanted: list[dict[str, Any]]) -> list[str]:
    text = path.read_text(encoding="utf-8")
    images = re.findall(r"!\[([^\]]*)\]\(<?([^)>]+)>?\)", text)
    found = list(_credits(path.name, text, wanted))
    if len(images) != len(wanted):
        found.append(f"{path.name} has {len(images)} images and not {len(wanted)}")
    for alt, file in images:
        there = path.parent / file
        found += _opens(file, there.read_bytes()) if there.is_file() else [f"{file} is not there"]
        if not alt:
            found.append(f"{file} has no alternative text")
    return found


def _credits(name: str, text: str, wanted: list[dict[str, Any]]) -> Iterator[str]:
    for illustration in wanted:
        if not illustration["credit"] or illustration["credit"] not in text:
            yield f"{name} does not credit {illustration['credit'] or illustration['image_id']!r}"


def _opens(name: str, data: bytes) -> list[str]:
    try:
        with Image.open(BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError) as e:
        return [f"{name} is no image: {e}"]
    return []


class _Page(HTMLParser):
    """The images and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            given = dict(attrs)
            self.images.append((given.get("src") or "", given.get("alt") or ""))

    def handle_data(self, data: str) -> None:
        self.text.append(data)
