"""Real images with captions, made on the spot: small enough to index in a test, different enough to be found."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw
from scripted import ARTICLE

CAPTIONS = {
    "hive.png": ("A wooden beehive in an orchard", "Four white boxes under apple trees"),
    "flower.png": ("A honeybee collecting nectar from a flower", "A bee on a purple blossom"),
    "comb.png": ("Honeycomb cells filled with honey", "Hexagonal wax cells, some capped"),
    "jar.png": ("A jar of honey on a kitchen table", "Golden honey in a glass jar"),
    "keeper.png": ("A beekeeper in a veil lifting a frame", "A person in white holding a frame"),
    "ship.png": ("A container ship leaving the harbour", "A long ship with stacked containers"),
    "tax.png": ("A tax form with a pencil", "A printed form and a yellow pencil"),
}


def make_folder(folder: Path, names: list[str] | None = None) -> Path:
    """A folder of PNG files with a metadata.jsonl beside them, as editors and datasets have it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for n, (name, (caption, alt)) in enumerate(CAPTIONS.items()):
        if names is not None and name not in names:
            continue
        picture = Image.new("RGB", (320, 200), (40 * n % 256, 255 - 30 * n, 90))
        ImageDraw.Draw(picture).ellipse((20 + 10 * n, 30, 180, 160), fill=(255, 30 * n % 256, 0))
        picture.save(folder / name)
        rows.append({"file_name": name, "caption": caption, "alt": alt, "credit": f"Photo {n}", "licence": "CC0"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


# Some 1 500 tokens long: writing and spotting fit the budget, and selecting soon does not.
LONG = ARTICLE + "\n\n" + "\n\n".join(f"Day {n}. " + "The bees fly out and come home. " * 8 for n in range(20))
BUDGET = 9000


def bare_folder(folder: Path, count: int, step: int) -> Path:
    """A new folder of photographs without words, "DSC_0000.png" and so on, each in a red that is `step` brighter."""
    folder.mkdir()
    for n in range(count):
        Image.new("RGB", (64, 48), (step * n, 0, 0)).save(folder / f"DSC_{n:04}.png")
    return folder
