"""Which copies of a picture the library takes for it, and which different pictures: uv run bench/copies.py BENCH

BENCH: a folder with splits, each a folder `images` of different pictures. Copies are made of every fifth one; every two
pictures of one split are different. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from limner.tools.images.images import inspect
from limner.tools.images.sketch import CLOSE, Sketch, gate, same, same_shape, sketch

Picture = Image.Image
Made = tuple[Sketch | None, tuple[int, int]]
_SIZES = (0.03, 0.05, 0.08)  # of the picture's height


def saved(picture: Picture, kind: str = "PNG", **options: int) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def scaled(picture: Picture, by: float) -> Picture:
    """The picture at another size."""
    return picture.resize((max(1, round(picture.width * by)), max(1, round(picture.height * by))))


COPIES: dict[str, Callable[[Picture], bytes]] = {
    "size 0.25": lambda p: saved(scaled(p, 0.25)),
    "size 0.5": lambda p: saved(scaled(p, 0.5)),
    "size 0.7": lambda p: saved(scaled(p, 0.7)),
    "size 1.5": lambda p: saved(scaled(p, 1.5)),
    "size 2": lambda p: saved(scaled(p, 2)),
    "JPEG 30": lambda p: saved(p, "JPEG", quality=30),
    "JPEG 60": lambda p: saved(p, "JPEG", quality=60),
    "JPEG 90": lambda p: saved(p, "JPEG", quality=90),
    "WebP 70": lambda p: saved(p, "WEBP", quality=70),
    "size 0.5, JPEG 85": lambda p: saved(scaled(p, 0.5), "JPEG", quality=85),
    "size 0.5, JPEG 30": lambda p: saved(scaled(p, 0.5), "JPEG", quality=30),
    "size 0.4, WebP 50": lambda p: saved(scaled(p, 0.4), "WEBP", quality=50),
    "size 0.25, JPEG 40": lambda p: saved(scaled(p, 0.25), "JPEG", quality=40),
    "grey": lambda p: saved(p.convert("L")),
    "brighter by 5 %": lambda p: saved(ImageEnhance.Brightness(p).enhance(1.05)),
    "darker by 7 %": lambda p: saved(ImageEnhance.Brightness(p).enhance(0.93)),
    "1 % cut off at two sides": lambda p: saved(p.crop((round(p.width * 0.01), 0, p.width, round(p.height * 0.99)))),
    "1.5 % cut off all around": lambda p: saved(
        p.crop((round(p.width * 0.015), round(p.height * 0.015), round(p.width * 0.985), round(p.height * 0.985)))
    ),
}
ENCODED = [name for name in COPIES if name.startswith(("size", "JPEG", "WebP"))]


def changed(picture: Picture, chance: random.Random) -> Iterator[tuple[str, Picture]]:
    """Other pictures: with a detail taken out or a label put in, moved by 1 %."""
    grey, (width, height) = np.asarray(picture.convert("L")).astype(float), picture.size
    for size in _SIZES:
        wide, high = max(4, int(width * size * 1.5)), max(4, int(height * size))
        spots = [(chance.randrange(width - wide), chance.randrange(height - high)) for _ in range(60)]
        there = [(x, y) for x, y in spots if grey[y : y + high, x : x + wide].std() > 30]
        if not there:
            continue
        x, y = there[0]
        part = np.asarray(picture)[y : y + high, x : x + wide]
        without, labelled = picture.copy(), picture.copy()
        without.paste(tuple(int(n) for n in np.median(part.reshape(-1, 3), axis=0)), (x, y, x + wide, y + high))
        ink = (0, 0, 0) if part.mean() > 128 else (255, 255, 255)
        ImageDraw.Draw(labelled).text((x, y), "42", fill=ink, font=ImageFont.load_default(size=max(8, high)))
        yield f"a detail of {size:.0%} taken out", without
        yield f"a label of {size:.0%} put in", labelled
    moved = Image.new("RGB", picture.size, "white")
    moved.paste(picture, (max(1, round(width * 0.01)), 0))
    yield "moved by 1 %", moved


def made(data: bytes) -> Made:
    """The sketch of a file, and its size in px."""
    found = inspect(data)
    return sketch(found.sketch), (found.width, found.height)


def folds(one: Made, other: Made) -> bool:
    """Whether the library takes two pictures for one."""
    (a, a_size), (b, b_size) = one, other
    if a is None or b is None or not same_shape(a_size, b_size) or float(gate(a) @ gate(b)) < CLOSE:
        return False
    return same(a, b, min(*a_size, *b_size))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", type=Path)
    chance, counts, wrong = random.Random(5), {}, []
    for split in sorted(path.parent for path in parser.parse_args().bench.glob("*/images")):
        files = sorted((split / "images").iterdir())
        here = {file.name: made(file.read_bytes()) for file in files}
        compared = [(a, b) for a, b in combinations(here, 2) if folds(here[a], here[b])]
        wrong.append((split.name, len(here), len(here) * (len(here) - 1) // 2, compared))
        for file in files[::5]:
            with Image.open(file) as image:
                picture = image.convert("RGB")
            others = {name: copy(picture) for name, copy in COPIES.items()}
            others |= {name: saved(other) for name, other in changed(picture, chance)}
            for name, data in others.items():
                counts.setdefault(name, []).append(folds(here[file.name], made(data)))
    print("| split | pictures | pairs | taken for one |\n|---|---|---|---|")
    for name, many, pairs, found in wrong:
        print(f"| {name} | {many} | {pairs} | {len(found)} {' '.join('='.join(pair) for pair in found)} |")
    print("\n| copy or change | of | taken for one |\n|---|---|---|")
    for name, found in counts.items():
        print(f"| {name} | {len(found)} | {np.mean(found):.3f} |")
    every = [one for name in ENCODED for one in counts[name]]
    print(f"| all scaled and encoded copies | {len(every)} | {np.mean(every):.3f} |")


if __name__ == "__main__":
    main()
