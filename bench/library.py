"""What does a large library cost: indexing, looking for changes, searching, several processes, the start of an article?

    uv run bench/library.py [--images 2000] [--only index|rescan|search|sharing|start ...] [--home DIR]

index     `limner library add` against the encoder alone on the same captions (MiniLM) or pictures (a model with the
          shape of SigLIP 2 base and random weights), in batches.
rescan    The same command over unchanged files, against a walk with `os.scandir` and `stat`.
search    One article's 24 queries, the top 50 each, by words, captions and pictures, against numpy over the same
          vectors; opening, memory and disk for a thousand images, ten thousand and so on up to --images.
sharing   Four processes that search one library at once, with and without one that indexes.
start     `limner compose` up to its first request to a model, against a library of 300 images.

All but `index` use libraries of small PNG files and encoders that cost nothing. --images 100000 takes half an hour, and
2 GB of disk in --home, where a second run finds the libraries again. bench/library.md explains the figures.
"""

from __future__ import annotations

import argparse
import http.server
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import brute
import many
import numpy as np

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.images.images import for_clip
from limner.tools.library import Library, add
from limner.tools.library.filters import ALL, Filters
from limner.tools.library.records import RECORDS

QUERIES, K = 24, 50  # spots of an article, candidates for each
HALF = Filters.read(["licence=CC BY"])
PARTS = ("index", "rescan", "search", "sharing", "start")


class Row(NamedTuple):
    """A line of the table."""

    question: str
    limner: str
    other: str = ""
    bar: str = ""


def main() -> int:
    """Measure and print."""
    given = _arguments()
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load "
        f"{os.getloadavg()[0]:.1f}\n\n| question | limner | alternative | bar |\n|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as away:
        home = given.home or Path(away)
        for part in given.only or PARTS:
            for row in globals()[part](home, given):
                print("| " + " | ".join(row) + " |", flush=True)
    return 0


# --- indexing --------------------------------------------------------------------------------------------------------


def index(home: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Adding pictures against encoding them."""
    with tempfile.TemporaryDirectory() as away:
        photos = many.photographs(Path(away) / "photos", given.captions)
        minilm = MiniLM()
        minilm.encode_texts(["loads the weights"])
        said = [path.read_text(encoding="utf-8") for path in sorted(photos.glob("*.txt"))]
        yield _throughput("captions by MiniLM", Path(away) / "a", photos, Encoders(minilm, Words()), minilm, said)
        for path in sorted(photos.glob("*.jpg"))[given.pictures :]:
            path.unlink()
        from limner.models.encoders.onnx import OnnxPictures

        seen = OnnxPictures(many.siglip(Path(away) / "siglip", given.layers))
        shown = [for_clip(path.read_bytes()) for path in sorted(photos.glob("*.jpg"))]
        seen.encode_images(shown[:1])
        free = many.Made("free", 1, many.CAPTION, 0)
        what = f"pictures by a SigLIP of {given.layers} layers"
        yield _throughput(what, Path(away) / "b", photos, Encoders(free, Words(), seen), seen, shown)


def _throughput(what: str, home: Path, photos: Path, encoders: Encoders, encoder: Any, given: Sequence[Any]) -> Row:
    """The encoder alone before and after, so that a change of the machine's speed shows."""
    encode = encoder.encode_texts if isinstance(given[0], str) else encoder.encode_images
    library = Library.create(home, "photos", encoders)
    before = _seconds(lambda: encode(given))
    took = _seconds(lambda: add(library, [photos]))
    alone = (before + (after := _seconds(lambda: encode(given)))) / 2
    ratio = f"{alone / took:.2f} ({len(given) / took:.1f} a second)"
    other = f"encoder alone {len(given) / alone:.1f} a second ({before:.1f} and {after:.1f} s)"
    return Row(f"index {len(given)} {what}: share of the encoder's throughput", ratio, other, "0.95")


# --- unchanged files -------------------------------------------------------------------------------------------------


def rescan(home: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Adding what is there already against a walk."""
    library = built(home, given.images)
    photos = home / f"files-{given.images}"
    walks = [_seconds(lambda: _walk(str(photos)))]
    took = [_seconds(lambda: add(library, [photos])) for _ in range(3)]
    walks += [_seconds(lambda: _walk(str(photos))) for _ in range(4)]
    walk = statistics.median(walks)
    median = statistics.median(took)
    other = f"walk {walk:.2f} s"
    yield Row(f"rescan {given.images} unchanged files", f"{median:.2f} s, {median / walk:.1f} times", other, "3 times")


def _walk(path: str) -> int:
    count = 0
    with os.scandir(path) as entries:
        for entry in entries:
            count += _walk(entry.path) if entry.is_dir() else bool(entry.stat().st_size)
    return count


# --- searching -------------------------------------------------------------------------------------------------------


def search(home: Path, given: argparse.Namespace) -> Iterator[Row]:
    """An article's queries against numpy; what a library takes."""
    for count in _sizes(given.images):
        library = built(home, count)
        numpy = brute.Brute(library.encoders, [record.words for record in library.records()])
        yield _searched(library, numpy, count, ALL, None)
        yield _searched(library, numpy, count, HALF, np.arange(count) % 2 == 0)
        seen = _child("opened", home, count)
        times = f"{seen['open']:.0f} ms to open, {seen['first']:.0f} ms the first search"
        memory = f"{seen['rss']} MB resident, {seen['before']} before"
        yield Row(f"a process that opens and searches {count} images once", f"{times}, {memory}")
        disk, records = _megabytes(library.path), (library.path / RECORDS).stat().st_size / 1e6
        raw = count * 4 * (many.CAPTION + many.PICTURE) / 1e6
        yield Row(f"disk for {count} images", f"{disk:.0f} MB, of which records {records:.0f}", f"vectors {raw:.0f} MB")


def _searched(library: Library, numpy: brute.Brute, count: int, only: Filters, allowed: np.ndarray | None) -> Row:
    texts = many.queries(QUERIES, count)
    same = _agreement(library, texts, numpy.search(texts, K, allowed), only)
    took = [_seconds(lambda: library.search(texts, K, only)) for _ in range(7)]
    exact = [_seconds(lambda: numpy.search(texts, K, allowed)) for _ in range(7)]
    ratio = f"{_ms(took)} ms, {statistics.median(took) / statistics.median(exact):.2f} times"
    what = f"search {count} images{', half of them filtered out' * (only is not ALL)}: {QUERIES} queries, {K} each"
    bar = "0.5 times" if count == 100_000 else ""
    return Row(what, f"{ratio}, {same:.3f} of the same images", f"numpy {_ms(exact)} ms", bar)


def _agreement(library: Library, texts: Sequence[str], expected: Sequence[Sequence[int]], only: Filters) -> float:
    """Share of the images that numpy found, too."""
    found = [[int(c.caption.split()[-1]) for c in hits] for hits in library.search(texts, K, only)]
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected, strict=True)]))


def opened(home: Path, count: int) -> dict[str, float]:
    """In a process of its own: milliseconds to open and to search, megabytes of memory."""
    encoders, texts = many.encoders(count), many.queries(QUERIES, count)
    encoders.caption.encode_texts(texts)
    before = _resident()
    start = time.perf_counter()
    library = Library.open(home, f"made-{count}", encoders)
    ready = time.perf_counter()
    library.search(texts, K)
    done = time.perf_counter()
    return {"open": 1e3 * (ready - start), "first": 1e3 * (done - ready), "rss": _resident(), "before": before}


# --- several processes -----------------------------------------------------------------------------------------------


def sharing(home: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Four readers at once, and an indexer among them."""
    built(home, given.images)
    for readers, indexing in ((1, False), (4, False), (4, True)):
        found = _readers(home, given, readers, indexing)
        per = f"{statistics.median(found['ms']):.0f} ms each, {max(found['ms']):.0f} at most"
        also = f"; indexed {found['indexed']} images meanwhile" if indexing else ""
        what = f"{readers} process{'es' * (readers > 1)} search {given.images} images" + " while one indexes" * indexing
        yield Row(what, f"{found['rate']:.0f} searches a second, {per}{also}", "a query each, the top 50")


def _readers(home: Path, given: argparse.Namespace, readers: int, indexing: bool) -> dict[str, Any]:
    """Let processes search for some seconds. All start at one barrier."""
    make = multiprocessing.get_context("spawn")
    barrier, answers = make.Barrier(readers + 1), make.Queue()
    work = (home, given.images, given.seconds, barrier, answers)
    running = [make.Process(target=_reader, args=work) for _ in range(readers)]
    for process in running:
        process.start()
    barrier.wait()
    indexed = _index_for(home, given) if indexing else 0
    took = [one for _ in running for one in answers.get()]
    for process in running:
        process.join()
    return {"rate": len(took) / given.seconds, "ms": took, "indexed": indexed}


def _reader(home: Path, count: int, seconds: float, barrier: Any, answers: Any) -> None:
    library = Library.open(home, f"made-{count}", many.encoders(count))
    texts = many.queries(200, count)
    library.search(texts[:1], K)
    barrier.wait()
    took, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        library.search([texts[len(took) % len(texts)]], K)
        took.append(1e3 * (time.perf_counter() - start))
    answers.put(took)


def _index_for(home: Path, given: argparse.Namespace) -> int:
    """Add 256 images to the library and take them out again."""
    library = built(home, given.images)
    with tempfile.TemporaryDirectory() as away:
        photos = many.folder(Path(away) / "new", 256)
        for path in photos.rglob("*.png"):
            path.write_bytes(path.read_bytes() + b"new")  # other bytes are other images
        added = add(library, [photos]).added
        for path in photos.rglob("*.png"):
            path.unlink()
        add(library, [photos])
        with library.transaction() as records:
            records.execute("UPDATE meta SET value = '[]' WHERE key = 'folders'")
    return added


# --- the start of an article -----------------------------------------------------------------------------------------


def start(home: Path, given: argparse.Namespace) -> Iterator[Row]:
    """`limner compose` up to the first request."""
    took = {}
    for count in (300, given.images):
        library = built(home, count)
        where = home / f"start-{count}"
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(library.path, where / "libraries" / "big", ignore=shutil.ignore_patterns("vectors*"))
        kept = Library(where, "big", library.encoders, None, 5)
        kept.set_meta("encoders", json.dumps({"caption": MiniLM().name, "words": Words().name}))
        took[count] = [_first_request(where) for _ in range(6)][1:]
        shutil.rmtree(where)
    small, large = (statistics.median(took[count]) for count in (300, given.images))
    line = f"{large:.2f} s, {large - small:+.2f} s"
    yield Row(
        f"`limner compose` to its first request, {given.images} images", line, f"300 images {small:.2f} s", "+0.3"
    )


def _first_request(home: Path) -> float:
    """Seconds from the start of the command to the first request for an answer; then it is ended."""
    asked = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            asked.set()
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        command = [sys.executable, "-m", "limner.surfaces.cli.app", "compose", "Bees", "--library", "big"]
        command += ["--model-url", url, "--model", "scripted"]
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=home, env={**os.environ, "LIMNER_HOME": str(home)}, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        if not asked.wait(120):
            process.kill()
            raise RuntimeError(f"no request: {process.communicate()[1].decode()[-500:]}")
        took = time.perf_counter() - begun
        process.kill()
        process.communicate()
        server.shutdown()
    return took


# --- libraries and small things --------------------------------------------------------------------------------------


def built(home: Path, count: int) -> Library:
    """A library of `count` images, made if it is missing."""
    encoders, name = many.encoders(count), f"made-{count}"
    photos = home / f"files-{count}"
    if (home / f"{name}.ready").exists():
        return Library.open(home, name, encoders)
    if not photos.exists():
        many.folder(photos, count)
    begun = time.perf_counter()
    library = Library.open_or_create(home, name, encoders)
    add(library, [photos], lambda done, of: _told(done, of, begun))
    (home / f"{name}.ready").touch()
    print(f"\n{count} images indexed in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return library


def _told(done: int, of: int, begun: float) -> None:
    if done % 3200 < 32:
        print(f"\r{done} of {of}, {time.perf_counter() - begun:.0f} s", end="", file=sys.stderr, flush=True)


def _child(what: str, home: Path, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", what, "--home", str(home), "--images", str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _ms(took: Sequence[float]) -> str:
    return f"{1e3 * statistics.median(took):.0f}"


def _sizes(images: int) -> list[int]:
    return [*(n for n in (1000, 10_000, 100_000) if n < images), images]


def _resident() -> int:
    """MB in memory, files that are mapped included."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() // 1_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def _megabytes(folder: Path) -> float:
    """MB on the disk, holes not counted."""
    return sum(p.stat().st_blocks for p in folder.rglob("*") if p.is_file()) * 512 / 1e6


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=2000, help="images of the largest library (default: 2000)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure (default: all)")
    parser.add_argument("--home", type=Path, help="folder for the libraries, kept for a second run")
    parser.add_argument("--captions", type=int, default=200, help="pictures that are indexed by captions")
    parser.add_argument("--pictures", type=int, default=40, help="pictures that are indexed by what they show")
    parser.add_argument("--layers", type=int, default=12, help="layers of the picture encoder; SigLIP base has 12")
    parser.add_argument("--seconds", type=float, default=5, help="seconds that the processes search")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(opened(given.home, given.images)))
        sys.exit(0)
    return given


if __name__ == "__main__":
    sys.exit(main())
