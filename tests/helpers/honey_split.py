"""Two made articles with their figures, in the layout of the bench: see limner.workflows.evaluate.split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pictures import CAPTIONS, make_folder

TEXTS = {  # a paragraph, and the picture that its author put after it
    "hive.png": "A beehive is a white wooden box that stands under the apple trees of an orchard.",
    "flower.png": "A honeybee collects the nectar of purple blossoms, flower after flower.",
    "comb.png": "The honeycomb is made of hexagonal wax cells, which the bees fill with honey and close with a cap.",
    "jar.png": "Spun honey goes into glass jars and onto the kitchen table, golden and clear.",
}


def make_split(folder: Path) -> Path:
    """Two articles of two figures each; the library has seven images."""
    make_folder(folder / "images")
    (folder / "images" / "metadata.jsonl").unlink()
    rows = [
        {"id": name, "file": f"images/{name}", "caption": caption, "alt": alt}
        for name, (caption, alt) in CAPTIONS.items()
    ]
    (folder / "library.jsonl").write_text("\n".join(map(json.dumps, rows)))
    names, articles = list(TEXTS), []
    for n in range(2):
        blocks: list[dict[str, Any]] = [{"kind": "heading", "text": "Honey"}]
        for name in names[2 * n : 2 * n + 2]:
            blocks += [{"kind": "paragraph", "text": TEXTS[name], "refs": []}, {"kind": "figure", "image": name}]
        articles.append({"id": f"a{n}", "title": "Honey", "blocks": blocks})
    (folder / "articles.jsonl").write_text("\n".join(map(json.dumps, articles)))
    return folder
