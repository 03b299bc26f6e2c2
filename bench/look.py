"""Do searches by example find what belongs together? Pictures of one textbook chapter, among those of all.

    uv run bench/look.py DIR [--library caption+alt|alt|bare] [--pictures caption|alt] [--keep HOME]

DIR as for bench/illustrate.py. For every chapter with six figures or more, two random ones are the examples. Of the
other chapters, the one with most figures among the first ten is what the searcher does not want: its two best become
counter-examples. Printed, for several weights of them: the share of wanted and of unwanted figures among the first
ten, and by the chapter's title alone, and by both. Then for variety: pairs of look-alikes among the first ten.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import illustrate  # beside this file
import numpy as np

from limner.tools import look as looking
from limner.tools.alike import LOOK_ALIKE, likeness
from limner.tools.library import Library
from limner.tools.look import Look, look

FIRST, FIGURES = 10, 6
WEIGHTS = (0.0, 0.15, 0.25, 0.5, 0.75, 1.0)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--library", choices=["caption+alt", "alt", "bare"], default="caption+alt")
    parser.add_argument("--pictures", choices=["caption", "alt"])
    parser.add_argument("--keep", type=Path)
    given = argparse.Namespace(**vars(parser.parse_args()), encoder="minilm", english=False)
    given.dir = given.dir.resolve()
    with illustrate._home(given.keep) as home:
        library, ids = illustrate._library(given, home)
        image_of = {file: image for image, file in ids.items()}
        chapters: dict[str, list[str]] = {}
        for row in illustrate._rows(given.dir / "articles.jsonl"):
            figures = {image for images in illustrate._true(row).values() for image in images}
            shown = sorted(image_of[f] for f in figures if f in image_of)
            if len(shown) >= FIGURES:
                chapters[row["title"]] = shown
        _examples(library, chapters)
        _variety(library, list(chapters))
    return 0


def _examples(library: Library, chapters: dict[str, list[str]]) -> None:
    draw = random.Random(0)
    of = {image: title for title, images in chapters.items() for image in images}
    rows: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, wanted: Look, title: str, other: str, but: Sequence[str]) -> list[str]:
        found = [c.image_id for c in look([library], wanted, FIRST + len(but)).images if c.image_id not in but][:FIRST]
        share = [sum(of.get(i) == one for i in found) / FIRST for one in (title, other)]
        rows.setdefault(name, []).append((share[0], share[1]))
        return found

    for title, images in chapters.items():
        like = tuple(draw.sample(images, 2))
        first = [c.image_id for c in look([library], Look(like=like), FIRST).images]
        others = Counter(of[i] for i in first if i in of and of[i] != title)
        if not others:
            continue
        other = max(others, key=lambda one: (others[one], one))
        unlike = tuple([i for i in first if of.get(i) == other][:2])
        but = (*like, *unlike)
        note("title", Look(words=title), title, other, but)
        note("two examples", Look(like=like), title, other, but)
        note("title and two examples", Look(words=title, like=like), title, other, but)
        for weight in WEIGHTS:
            looking.UNLIKE = weight
            note(f"two examples, two others by -{weight}", Look(like=like, unlike=unlike), title, other, but)
            mixed = Look(words=title, like=like, unlike=unlike)
            note(f"title, examples, others by -{weight}", mixed, title, other, but)
    print(f"{len(next(iter(rows.values())))} chapters of {len(chapters)}; shares among the first {FIRST}")
    for name, shares in sorted(rows.items()):
        wanted, unwanted = np.mean(shares, axis=0)
        print(f"{name:<42} wanted {wanted:.3f}  unwanted {unwanted:.3f}")


def _variety(library: Library, titles: Sequence[str]) -> None:
    for diverse in (False, True):
        pairs, fits = [], []
        for title in titles:
            found = look([library], Look(words=title, diverse=diverse), FIRST).images
            alike = likeness([library], found)[np.triu_indices(len(found), 1)]
            pairs.append((alike.mean(), (alike >= LOOK_ALIKE).sum()))
            fits.append(np.mean([sum(c.fits.values()) for c in found]))
        mean, doubles = np.mean(pairs, axis=0)
        name = "diverse" if diverse else "as they fit"
        measures = f"likeness {mean:.3f}  look-alike pairs {doubles:.2f}"
        print(f"{name:<42} {measures}  deviations above chance {np.mean(fits):.2f}")


if __name__ == "__main__":
    sys.exit(main())
