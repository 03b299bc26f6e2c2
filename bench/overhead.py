"""What does limner itself cost: beside the model's time, in prompt tokens, at start-up, and on the disk?

    uv run bench/overhead.py [--only composition|cache|startup|install ...] [--runs N] [--json]

composition   A model server that takes a fixed time per call (2 s to write, 1 s to spot, 0.25 s for each other call),
              the real graph with SQLite checkpoints over a real library of 12 photographs, by pixels and by captions.
              Wall time over the sum of the calls as the server timed them; they follow each other, so that sum is the
              critical path. In process it is the graph alone; for the shell it is the whole command, from the start of
              Python to the files.
cache         Spotting and selecting for fixed articles with the embedded model and the instruct dialect: which share
              of the prompt tokens llama.cpp took from its prefix cache, as it reports it.
startup       `limner --help` against `python -c "import langgraph.graph"`, bytecode warm.
install       The base install, without dependency groups, into an empty environment from a warm cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from scripted import (  # noqa: E402  # pyright: ignore[reportMissingImports]  # a test's helper, not a package
    ARTICLE,
    Asked,
    Delayed,
    ScriptedServer,
    article_answers,
    asking,
)

SECONDS = {"writer": 2.0, "spotter": 1.0}
OTHER_CALLS = 0.25
VERSIONS = ("langgraph", "langchain-core", "langchain-openai", "openai", "qdrant-edge-py", "onnxruntime", "xllamacpp")


@dataclass(frozen=True)
class Row:
    """One measurement. A bar of None is no promise, only a figure."""

    question: str
    measured: float
    unit: str
    bar: str = ""
    met: bool | None = None
    how: str = ""


# --- a composition -------------------------------------------------------------------------------------------------

CAPTIONS = [
    "A bee drinking nectar from a clover", "Bees at the entrance of a hive", "A worker bee fanning her wings",
    "Honeycomb cells filled with honey", "A cell being closed with wax", "A beekeeper lifting a frame",
    "A jar of honey on a table", "A field of sunflowers", "Pollen on the legs of a bee", "A row of white hives",
    "A queen among her workers", "Snow on a beehive",
]  # fmt: skip


def make_photographs(folder: Path) -> Path:
    """Twelve JPEG files of 1600 x 1200 px with captions: as large as decoding, scaling and sending should be tried."""
    from PIL import Image

    folder.mkdir()
    for n, caption in enumerate(CAPTIONS):
        noise = Image.effect_noise((100, 75), 90).resize((1600, 1200))  # detail of 16 px, as photographs have
        image = Image.merge("RGB", (noise, noise.point([v * (n + 1) // 12 for v in range(256)]), noise))
        image.save(folder / f"photo{n}.jpg", quality=88)
        (folder / f"photo{n}.txt").write_text(caption, encoding="utf-8")
    return folder


def slow_server(sees: bool) -> ScriptedServer:
    """A model that takes its time."""
    answers = article_answers(sees=sees)
    return ScriptedServer(lambda body: Delayed(answers(body), SECONDS.get(asking(body), OTHER_CALLS)))


def critical_path(log: list[Asked]) -> float:
    """Seconds that the server worked. The calls must follow each other, or their sum would not be the path."""
    overlaps = [b.at < a.at + a.took - 0.001 for a, b in pairwise(log)]
    if any(overlaps):
        raise RuntimeError("two calls overlapped: their sum is no longer the critical path")
    return sum(asked.took for asked in log)


def composition(runs: int) -> Iterator[Row]:
    """Wall time over critical path."""
    with tempfile.TemporaryDirectory() as folder:
        home, photos = Path(folder) / "home", make_photographs(Path(folder) / "photos")
        compose_in_process(home, photos, sees=True, run=0)  # imports, and indexes the library: not measured
        for sees, by in ((True, "pixels"), (False, "captions")):
            found = [compose_in_process(home, photos, sees, n) for n in range(1, runs + 1)]
            yield _ratio_row(f"composition by {by}, graph", found, bar=1.10)
        shell = [compose_in_shell(home, photos, n) for n in range(runs)]
        yield _ratio_row("composition by pixels, whole command", shell, bar=None)
        extra = statistics.median(run.wall - run.path for run in shell)
        yield Row("what the command adds to the calls", round(extra, 2), "s", how="start-up to export; median")


@dataclass(frozen=True)
class Run:
    """One composition: seconds in all, seconds of model calls, how many calls those were, and our CPU seconds."""

    wall: float
    path: float
    calls: int
    cpu: float = 0
    """Of the process, the model server's thread included; unlike `wall` it does not grow on a busy machine."""


def _ratio_row(question: str, runs: list[Run], bar: float | None) -> Row:
    ratios = [run.wall / run.path for run in runs]
    middle, worst = statistics.median(ratios), max(ratios)
    how = f"{runs[0].calls} calls of {runs[0].path:.2f} s; median of {len(runs)}, worst {worst:.3f}"
    if runs[0].cpu:
        how += f"; {statistics.median(run.cpu for run in runs):.2f} s CPU"
    return Row(question, round(middle, 3), "x", f"<= {bar}" if bar else "", middle <= bar if bar else None, how)


def compose_in_process(home: Path, photos: Path, sees: bool, run: int) -> Run:
    """From the brief to the illustrated article, with checkpoints as the shell keeps them."""
    from limner.settings import Settings
    from limner.workflows import context, inputs
    from limner.workflows import run as running

    with slow_server(sees) as server, running.checkpoints(home) as saver:
        settings = Settings(home=home, model_url=server.url, model="scripted-7b", threads=1)
        context = context.build_context(settings, library=photos)
        context.libraries[0].search(["a bee"], 1)  # opens the store and the encoder, which start-up includes
        start: Any = {"brief": inputs.make_brief("How bees make honey")}
        began, worked = time.perf_counter(), time.process_time()
        article = running.run(context, start, checkpointer=saver, job=f"bench-{sees}-{run}")
        wall, cpu = time.perf_counter() - began, time.process_time() - worked
    if not article.illustrations:
        raise RuntimeError("the composition placed no image: it was not the whole road")
    return Run(wall, critical_path(server.log), len(server.log), cpu)


def compose_in_shell(home: Path, photos: Path, run: int) -> Run:
    """The command as a reader would type it, in a process of its own."""
    with slow_server(sees=True) as server:
        out = home.parent / f"article{run}"
        command = ["limner", "compose", "How bees make honey", "--library", str(photos), "--out", str(out), "--quiet"]
        environment = _environment(LIMNER_HOME=str(home), LIMNER_MODEL_URL=server.url, LIMNER_MODEL="scripted-7b")
        began, worked = time.perf_counter(), _children_cpu()
        _call([sys.executable, "-c", "from limner.surfaces.cli.app import main; main()", *command[1:]], environment)
        wall, cpu = time.perf_counter() - began, _children_cpu() - worked
    if not (out / "article.html").is_file():
        raise RuntimeError("the command wrote no article")
    return Run(wall, critical_path(server.log), len(server.log), cpu)


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


# --- the prefix cache ----------------------------------------------------------------------------------------------


def cache(runs: int) -> Iterator[Row]:
    """Share of the spotter's and the selector's prompt tokens that came from the cache."""
    from limner.settings import Settings
    from limner.workflows.context import Context

    texts = {"of 850 words": (Path(__file__).parent / "honey.md").read_text(encoding="utf-8"), "of 170 words": ARTICLE}
    for length, text in texts.items():
        context = Context(Settings(dialect="instruct", vision=False), [])
        usage = spot_and_select(context, text)
        context.start_embedded().close()  # each article starts with an empty cache
        share = usage["cached"] / usage["prompt"]
        bar = 0.7 if length == "of 850 words" else None
        how = f"{usage['cached']} of {usage['prompt']} prompt tokens in {usage['calls']} calls; once, it is exact"
        yield Row(
            f"prompt tokens from the cache, article {length}",
            round(share, 3),
            "",
            f">= {bar}" if bar else "",
            share >= bar if bar else None,
            how,
        )


def spot_and_select(context: Any, text: str) -> dict[str, int]:
    """One spotting, then a choice for every second paragraph among four fixed candidates; returns tokens."""
    from limner.agents import selector, spotter
    from limner.document import Candidate, Spot, read_markdown
    from limner.errors import UnreadableReply

    article = read_markdown(text)
    try:
        spotter.spot(article, context.speaker("spotter"), "auto")
    except UnreadableReply:
        print("note: the spotter's answer could not be read; its tokens count all the same", file=sys.stderr)
    candidates = [
        Candidate(image_id=str(n), library="bench", score=0.5, caption=caption, width=1600, height=1200)
        for n, caption in enumerate(CAPTIONS)
    ]
    chosen: list[tuple[Spot, Candidate]] = []
    for n, paragraph in enumerate(article.paragraphs[::2]):
        spot = Spot(id=f"s{n}", after=paragraph.id, caption=CAPTIONS[n], search=CAPTIONS[n])
        four = candidates[n : n + 4]
        made = selector.select(article, spot, four, chosen, context.speaker("selector"), None)
        chosen += [(spot, c) for c in four if c.image_id == made.choice]
    roles = context.meter.roles
    if any(roles[role].estimated for role in ("spotter", "selector")):
        raise RuntimeError("the server did not count its tokens")
    return {key: sum(getattr(roles[r], key) for r in ("spotter", "selector")) for key in ("calls", "prompt", "cached")}


# --- start-up and install ------------------------------------------------------------------------------------------


def startup(runs: int) -> Iterator[Row]:
    """The first thing a shell user waits for."""
    with tempfile.TemporaryDirectory() as bytecode:
        environment = _environment(PYTHONPYCACHEPREFIX=bytecode)
        help_ = [sys.executable, "-c", "from limner.surfaces.cli.app import main; main()", "--help"]
        graph = [sys.executable, "-c", "import langgraph.graph"]
        for command in (help_, graph):  # compiles
            _call(command, environment)
        count = 2 * runs + 1
        pairs = [(_seconds(help_, environment), _seconds(graph, environment)) for _ in range(count)]  # in turn: fair
    ours, theirs = (statistics.median(p[n] for p in pairs) for n in (0, 1))
    how = f"{ours:.2f} s against {theirs:.2f} s; medians of {count}"
    yield Row("limner --help / import langgraph.graph", round(ours / theirs, 2), "x", "<= 2", ours / theirs <= 2, how)


def install(runs: int) -> Iterator[Row]:
    """What `pip install limner` brings, as the lock has it."""
    uv = os.environ.get("UV") or shutil.which("uv")  # the first is set by `uv run`
    if uv is None:
        raise RuntimeError("no uv here; run this as `bin/uv run bench/overhead.py`")
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        environment = _environment(UV_PROJECT_ENVIRONMENT=str(venv), VIRTUAL_ENV="")
        command = [uv, "sync", "--frozen", "--no-default-groups", "--quiet", "--project", str(ROOT)]
        _call(command, environment)  # fills the cache
        shutil.rmtree(venv)
        seconds = _seconds([*command, "--offline"], environment)
        size = sum(p.stat().st_size for p in venv.rglob("*") if p.is_file() and not p.is_symlink())
        packages = {p.name.partition("-")[0].lower() for p in venv.glob("lib/*/site-packages/*.dist-info")}
    heavy = sorted(packages & {"torch", "tensorflow", "jax", "transformers"})
    yield Row("base install, size", round(size / 1e6), "MB", how=f"{len(packages)} packages")
    yield Row("base install, heavy packages", len(heavy), "", "<= 0", not heavy, ", ".join(heavy) or "no torch in it")
    yield Row("base install, time from a warm cache", round(seconds, 1), "s", how="uv sync --no-default-groups; once")


# --- running -------------------------------------------------------------------------------------------------------


def _environment(**more: str) -> dict[str, str]:
    """This environment, with bytecode written (some machines turn it off) and no setting of limner's left in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **more}


def _call(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … failed:\n{done.stderr[-2000:]}")


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    _call(command, environment)
    return time.perf_counter() - began


PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "composition": composition,
    "cache": cache,
    "startup": startup,
    "install": install,
}


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    return {
        "date": date.today().isoformat(),
        "machine": f"{model or platform.machine()}, {os.cpu_count()} cores, {platform.system()}, load {load} before",
        "python": platform.python_version(),
        **{name: version(name) for name in VERSIONS},
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| question | measured | bar | met | how |", "|---|---|---|---|---|"]
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "**no**"
        lines.append(f"| {row.question} | {row.measured:g} {row.unit} | {row.bar} | {met} | {row.how} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print one table; exit code 1 where a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    about, rows = machine(), [row for name in chosen.only for row in PARTS[name](chosen.runs)]
    if chosen.json:
        print(json.dumps({**about, "rows": [asdict(row) for row in rows]}, indent=1))
    else:
        print(", ".join(f"{key} {value}" for key, value in about.items()), table(rows), sep="\n\n")
    sys.exit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
