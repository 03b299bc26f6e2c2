"""Where do images go, and which, given a finished text and a library? Scored against what textbook authors did.

    uv run bench/illustrate.py DIR [--library caption+alt|alt] [--images gold|auto] [--out PRED.jsonl] [--keep HOME]

DIR is a folder with articles.jsonl, library.jsonl, images/ (the layout that score.py reads). The pipeline is the one
of `limner illustrate` with the embedded model: a spot after every paragraph, retrieval from a real library built from
DIR's images, arrangement. No model is asked. Articles are read without their figures; under `--images gold` their
number alone is looked at, and asked for.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from limner.document import Article, Heading, Paragraph, Selection
from limner.errors import BadInput, LimnerError
from limner.tools.arrange import arrange, relevance
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, add, image_identity
from limner.tools.retrieve import retrieve
from limner.tools.spotting import spots_from_text

CANDIDATES = 50  # per spot, as in workflows/context.py
SHOWN = 10  # candidates written to the predictions: score.py looks at the first ten

# Of astronomy-dev, k given: the best of the baselines in its README (MiniLM+BM25, joint assignment) and issue 2's bars.
ROWS = ("place_exact_f1", "place_within1_f1", "image_in_article_f1", "image_exact_slot", "image_within1")
BASELINE = {
    "caption+alt": dict(zip(ROWS, (0.515, 0.701, 0.636, 0.395, 0.526), strict=True)),
    "alt": dict(zip(ROWS, (0.436, 0.639, 0.488, 0.275, 0.378), strict=True)),
}
BARS: dict[str, dict[str, float]] = {
    "caption+alt": dict(zip(ROWS, (0.56, 0.75, 0.67, float("nan"), 0.58), strict=True)),
    "alt": {"image_within1": 0.43},
}


def main() -> int:
    """Run, write, score; 2 for what the user can put right."""
    given = _arguments()
    try:
        with _home(given.keep) as home:
            predictions = illustrate(given.dir, given.library, given.images, home)
        with tempfile.TemporaryDirectory() as folder:
            out = given.out or Path(folder) / "predictions.jsonl"
            out.write_text("".join(json.dumps(p) + "\n" for p in predictions), encoding="utf-8")
            print(_table(given, _score(given.score).score(str(given.dir), str(out), 1000)))
    except (LimnerError, OSError) as error:
        print(f"bench/illustrate.py: {error}", file=sys.stderr)
        return 2
    return 0


def illustrate(folder: Path, words: str, images: str, home: Path) -> list[dict[str, Any]]:
    """A prediction per article of the folder, in score.py's format."""
    begun = time.perf_counter()
    library, ids = _library(folder, words, home)
    built = time.perf_counter()
    predictions, spent = [], 0.0
    for row in _rows(folder / "articles.jsonl"):
        article, figures = _article(row), _figures(row)
        spots = spots_from_text(article)
        found = retrieve([library], spots, CANDIDATES)
        options = [Selection(spot=s, candidates=tuple(found[s.id]), by="similarity") for s in spots]
        start = time.process_time()
        kept, _ = arrange(article, options, figures if images == "gold" else "auto")
        spent += time.process_time() - start
        placements = []
        for option, fits in zip(options, relevance(options), strict=True):
            if image := kept.get(option.spot.id):
                ranked = sorted(fits, key=lambda i: -fits[i])[:SHOWN]
                candidates = [ids[i] for i in dict.fromkeys([*ranked, image.image_id])]
                after = int(option.spot.after[1:])
                placements.append({"after_block": after, "image": ids[image.image_id], "candidates": candidates})
        predictions.append({"article_id": row["id"], "placements": placements})
    ended = time.perf_counter()
    print(
        f"library of {len(ids)} images in {built - begun:.0f} s; {len(predictions)} articles in {ended - built:.0f} s, "
        f"of it arrange {spent / max(1, len(predictions)) * 1000:.0f} ms of CPU an article",
        file=sys.stderr,
    )
    return predictions


def _article(row: dict[str, Any]) -> Article:
    """The text alone; a block's id is "b" and its number among the text blocks."""
    blind = [(b["kind"], b["text"]) for b in row["blocks"] if b["kind"] != "figure"]
    body = tuple(
        Heading(id=f"b{n}", text=f"## {text}") if kind == "heading" else Paragraph(id=f"b{n}", text=text)
        for n, (kind, text) in enumerate(blind)
    )
    return Article(title=row["title"], body=body)


def _figures(row: dict[str, Any]) -> int:
    """How many figures the authors placed; those before the first paragraph are not scored and do not count."""
    kinds = [b["kind"] for b in row["blocks"]]
    return kinds[kinds.index("paragraph") :].count("figure") if "paragraph" in kinds else 0


def _library(folder: Path, words: str, home: Path) -> tuple[Library, dict[str, str]]:
    """The folder's images as a library with the words asked for; its image ids -> the folder's."""
    rows = _rows(folder / "library.jsonl")
    images = home / f"images-{words}"
    images.mkdir(exist_ok=True)
    ids: dict[str, str] = {}
    with (images / "metadata.jsonl").open("w", encoding="utf-8") as table:
        for row in rows:
            source = folder / row["file"]
            ids.setdefault(image_identity(source.read_bytes()), row["id"])
            copy = images / f"{row['id']}{source.suffix}"
            if not copy.exists():
                shutil.copy2(source, copy)
            said = {"alt": row["alt"]} | ({"caption": row["caption"]} if words == "caption+alt" else {})
            table.write(json.dumps({"file_name": copy.name, **said}) + "\n")
    library = Library.open_or_create(home, words.replace("+", "-"), default_encoders(threads=1))
    report = add(library, [images])
    for path, reason in [*report.unreadable, *report.problems]:
        print(f"{path}: {reason}", file=sys.stderr)
    return library, ids


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _score(path: Path) -> ModuleType:
    """score.py as a module. Raises BadInput where it is not there."""
    spec = importlib.util.spec_from_file_location("score", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise BadInput(f"No score.py at {path}: name it with --score PATH.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _table(given: argparse.Namespace, result: dict[str, Any]) -> str:
    """score.py's table, the baseline and bar beside what they are known for."""
    known = given.dir.name == "astronomy-dev" and given.images == "gold"
    baseline, bars = (BASELINE[given.library], BARS[given.library]) if known else ({}, {})
    lines = [
        f"{given.dir.name}, library {given.library}, images {given.images}; {datetime.date.today()}, "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        f"{'':<30}{'limner':<28}{'baseline':<10}bar" if known else "",
    ]
    for key, value in result.items():
        if key == "ci95":
            continue
        low, high = result["ci95"].get(key, (None, None))
        text = f"{value:.3f} [{low:.3f}, {high:.3f}]" if low is not None else str(value)
        beside = f"{baseline[key]:<10.3f}" if key in baseline else " " * 10
        bar = f"{bars[key]:.2f}" if key in bars and bars[key] == bars[key] else ""
        lines.append(f"{key:<30}{text:<28}{beside}{bar}".rstrip())
    return "\n".join(line for line in lines if line)


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """Where the libraries are: a folder that stays, or one that goes."""
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dir", type=Path, help="folder with articles.jsonl, library.jsonl and images/")
    parser.add_argument("--library", choices=["caption+alt", "alt"], default="caption+alt", help="words of an image")
    parser.add_argument("--images", choices=["gold", "auto"], default="gold", help="how many images an article gets")
    parser.add_argument("--out", type=Path, help="write the predictions here")
    beside = Path(__file__).resolve().parents[2] / "shared" / "bench" / "score.py"
    parser.add_argument("--score", type=Path, default=beside, help="score.py (default: ../shared/bench/score.py)")
    parser.add_argument("--keep", type=Path, help="folder for the libraries, so that a second run need not build them")
    given = parser.parse_args()
    given.dir = given.dir.resolve()
    return given


if __name__ == "__main__":
    sys.exit(main())
