"""How good is a real model at all of limner's tasks? One command, one row for docs/measured.md.

    uv run bench/real.py http://gpu:8000/v1 --limit 5         # a first look, in minutes
    uv run bench/real.py http://gpu:8000/v1 --model NAME --reranker http://gpu:8001/v1 --json row.json

For each split it has the model spot, select and arrange over articles without their figures, and measures the result
with score.py and `limner evaluate`; has the selector choose among four candidates by sight, by captions, and by a
reranker (`limner evaluate --agreement`); and has the wishes of bench/wishes.py understood. A split is a folder with
articles.jsonl, library.jsonl and images/. Prints a table of the parts and the row. Without URL: the model of the
settings. LIMNER_API_KEY is the servers' key.

Answers are kept in a folder: the same command goes on after any stop, and asks nothing that was answered. Of a call cut
short by the stop, neither its tokens nor its seconds are in the row.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import platform
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import evaluate as authors  # these three are beside this file
import illustrate
import wishes
from langchain_core.messages import HumanMessage

from limner.document import Article, Brief
from limner.errors import BadInput, BudgetReached, LimnerError, ModelRefused, ModelUnreachable
from limner.settings import Settings
from limner.workflows import steps
from limner.workflows.context import Context, build_context
from limner.workflows.evaluate import agreement
from limner.workflows.evaluate.answers import Answers
from limner.workflows.evaluate.split import Placed, read_split

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "bench"
TOO_LONG = (400, 413, 422)  # a server refuses this text, not all
Result = dict[str, Any]
Work = Callable[[Context, Callable[[], None]], Result]


class Run:
    """The parts of one run, each kept in a file when it is done."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.folder = given, given.answers
        config = _config(given)
        file = self.folder / "config.json"
        if file.exists() and json.loads(file.read_text()) != config:
            raise BadInput(f"{self.folder} was begun with other arguments. Name another folder with --answers.")
        self.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(config))
        self.parts: dict[str, Result] = {}

    def settings(self, **more: Any) -> Settings:
        """The settings of a part; no other model of the environment answers in the place of the measured one."""
        g = self.given
        named = {"reranker_url": ""}
        if g.url:
            named |= {"model_url": g.url, "model": g.model}
            named |= {f"{role}_{what}": "" for role in ("writer", "spotter", "selector") for what in ("model", "url")}
        return Settings(home=self.folder / "home", **{**named, **more})

    def context(self, name: str, settings: Settings, library: str) -> Context:
        """A context that keeps answers and counts within what --max-cost leaves."""
        most = self.given.max_cost
        if most is not None:
            most -= sum(p["cost"] for p in self.parts.values())
            if most <= 0:
                raise BadInput("--max-cost is used up by the parts before. Give a larger one: answers are kept.")
        made = build_context(settings, library=library, max_cost=most)
        made.memory = Answers(self.folder / "home" / f"{name}.jsonl")
        return made

    def part(self, name: str, settings: Settings, library: str, work: Work) -> Result:
        """A part's result, from its file if it is done."""
        file, spent = self.folder / f"{name}.json", self.folder / f"{name}.spent"
        if not file.exists():
            context = self.context(name, settings, library)
            before = json.loads(spent.read_text()) if spent.exists() else {"roles": {}, "seconds": 0.0}
            context.meter.resume(before["roles"])
            begun = time.monotonic()

            def tick() -> None:
                now = before["seconds"] + time.monotonic() - begun
                _write(spent, {"roles": context.meter.spent(), "seconds": now})

            print(f"{name} …", file=sys.stderr)
            try:
                result = work(context, tick)
            finally:
                tick()
            used = json.loads(spent.read_text())
            roles = used["roles"].values()
            result |= {
                "calls": sum(u["calls"] for u in roles),
                "tokens": sum(u["prompt"] + u["completion"] for u in roles),
                "cost": sum(u["cost"] for u in roles),
                "estimated": any(u["estimated"] for u in roles),
                "seconds": round(used["seconds"], 1),
            }
            _write(file, result)
        self.parts[name] = json.loads(file.read_text())
        return self.parts[name]


def _config(given: argparse.Namespace) -> Result:
    """What a folder of answers belongs to."""
    keys = ("url", "model", "reranker", "reranker_model", "limit")
    return {k: getattr(given, k) for k in keys} | {"splits": [str(s) for s in given.split]}


def _write(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    beside.replace(path)


# --- the parts -------------------------------------------------------------------------------------------------------


def first(context: Context, _tick: Callable[[], None]) -> Result:
    """Does the model answer, does it judge, does it see?"""
    speaker = context.speaker("writer")
    speaker.say([HumanMessage("Answer with one word: what colour is snow?")], max_tokens=16)
    if not context.dialect("selector").judges:
        return {"model": speaker.name, "judges": False, "sees": False, "reason": str(context.notes("selector")[0])}
    sees, reason = context._vision("selector") if context.settings.vision is None else (context.settings.vision, "set")
    return {"model": speaker.name, "judges": True, "sees": sees, "reason": "" if sees else str(reason)}


def articles(split: Path, given: argparse.Namespace) -> Work:
    """Spot, select and arrange over a split's articles with the authors' number of images; measure what comes."""

    def work(context: Context, tick: Callable[[], None]) -> Result:
        chosen = read_split(split, given.limit)
        made: list[tuple[Placed, Article]] = []
        counts, seconds = Counter[str](), defaultdict[str, float](float)
        for one in chosen:
            try:
                made.append((one, _illustrated(context, one, counts, seconds)))
            except ModelRefused as e:
                if e.status not in TOO_LONG:
                    raise
                counts["refused"] += 1
            tick()
        begun = time.monotonic()
        with_folder = context.settings.home.parent / f"articles-{split.name}"
        with_folder.mkdir(exist_ok=True)
        done = [a for _, a in made]
        means = authors._measured(_fresh(with_folder), done, context).means() if done else {}
        seconds["evaluate"] += round(time.monotonic() - begun, 1)
        return {
            "articles": len(chosen),
            "unread": counts["unread"],
            "refused": counts["refused"],
            "placed": sum(len(a.illustrations) for a in done),
            "scores": _scores(split, made, chosen, with_folder, given.score),
            "evaluate": {name: mean.mean for name, mean in means.items()},
            "seconds_of": {step: round(s, 1) for step, s in seconds.items()},
        }

    return work


def _illustrated(context: Context, one: Placed, counts: Counter[str], seconds: dict[str, float]) -> Article:
    """An article with images, through the steps that the compose graph takes."""
    brief = Brief(text=one.article.title or "An article", images=len(one.figures))

    def timed(step: str, work: Callable[[], Any]) -> Any:
        begun = time.monotonic()
        value = work()
        seconds[step] += time.monotonic() - begun
        return value

    spotted = timed("spot", lambda: steps.spot(context, one.article, brief))
    counts["unread"] += bool(spotted.note)
    found = timed("retrieve", lambda: steps.retrieve(context, one.article, spotted.spots, brief))
    chosen = timed("select", lambda: steps.select_all(context, one.article, spotted.spots, found, brief))
    counts["unread"] += sum(s.fallback.code in ("choice-unread", "reranker-unread") for s in chosen)
    return timed("arrange", lambda: steps.arrange(context, one.article, chosen, brief)).article


def _fresh(folder: Path) -> Path:
    """A folder's name that is not taken yet."""
    return next(p for n in range(10_000) if not (p := folder / f"run{n}").exists())


def _scores(
    split: Path, made: Sequence[tuple[Placed, Article]], chosen: Sequence[Placed], folder: Path, score: Path
) -> Result:
    """score.py's measures of these articles; {"reason"} without score.py."""
    try:
        module = illustrate._score(score)
    except BadInput as e:
        return {"reason": str(e)}
    names = {one.name for one in chosen}
    rows = [r for r in illustrate._rows(split / "articles.jsonl") if r["id"] in names]
    ids = {illustrate.image_identity((split / r["file"]).read_bytes()): r["id"] for r in reversed(_library(split))}
    (folder / "articles.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    (folder / "library.jsonl").write_bytes((split / "library.jsonl").read_bytes())
    predictions = [
        {
            "article_id": one.name,
            "placements": [{"after_block": int(i.after[1:]), "image": ids[i.image_id]} for i in article.illustrations],
        }
        for one, article in made
    ]
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(p) + "\n" for p in predictions), encoding="utf-8")
    return module.score(str(folder), str(path), 1000)


def _library(split: Path) -> list[Result]:
    return illustrate._rows(split / "library.jsonl")


def select(split: Path, given: argparse.Namespace) -> Work:
    """How often the selector chooses the author's image: the measure of `limner evaluate --agreement`."""

    def work(context: Context, tick: Callable[[], None]) -> Result:
        placed = read_split(split, given.limit)
        asked = agreement.questions(context, placed)
        if given.limit and len(asked.asked) > given.limit:
            count = len(asked.asked)
            some = [asked.asked[n * count // given.limit] for n in range(given.limit)]
            asked = asked._replace(asked=some)
        if not asked.asked:
            return {"reason": "no place of these articles can be asked about"}
        try:
            answers = agreement.run(context, asked.asked, lambda _done, _of: tick())
        except ModelRefused as e:
            if e.status not in TOO_LONG:
                raise
            return {"reason": str(e), "refused": 1}
        found = agreement.figures(asked.asked, answers, context.judges())
        return agreement.parts(found, asked, context.selector_name())

    return work


def _ends(summary: str) -> bool:
    """Whether a wish failed by an error that every other wish would meet too; `wishes.rows` writes it down."""
    refused = summary.startswith(ModelRefused.__name__) and not any(f"answered {s}" in summary for s in TOO_LONG)
    return refused or summary.startswith((ModelUnreachable.__name__, BudgetReached.__name__))


def revise(limit: int | None) -> Work:
    """Are wishes understood? The verdicts of bench/wishes.py."""

    def work(context: Context, tick: Callable[[], None]) -> Result:
        data = tomllib.loads((wishes.DATA / "wishes.toml").read_text(encoding="utf-8"))
        all_, n = data["wish"], limit or len(data["wish"])
        some = [all_[i * len(all_) // n] for i in range(min(n, len(all_)))]
        rows = []
        for row in wishes.rows(context, some, wishes.load(data, context), understand=False, way="steps"):
            if _ends(row.summary):
                raise LimnerError(row.summary.partition(": ")[2])
            rows.append(row)
            tick()
        counts = Counter(row.verdict for row in rows)
        return {
            "wishes": len(rows),
            **{verdict: counts[verdict] for verdict in ("right", "nothing", "rest", "else")},
            "refused": sum(r.summary.startswith(ModelRefused.__name__) for r in rows),
            "unread": sum(r.summary.startswith("UnreadableReply") for r in rows),
            "rows": [asdict(r) for r in rows],
        }

    return work


# --- the table -------------------------------------------------------------------------------------------------------

HEAD = (
    "| model | split | articles, places, wishes | by sight | by captions | by a reranker | other order, other choice "
    "| none of these, rightly | F1 exact | F1 within one | image in article | wishes right | something else "
    "| unreadable, refused | tokens | seconds |\n" + "|---" * 16 + "|"
)


def _mean(part: Result | None, key: str) -> str:
    value = (part or {}).get(key)
    return "–" if value is None else f"{value['mean']:.3f}"


def _row(model: str, split: str, of: dict[str, Result]) -> str:
    """A line of docs/measured.md. A dash stands for what could not be measured; the table says why."""
    scores, wished = of["articles"]["scores"], of["revise"]
    chosen = of.get("sight") or of.get("captions")
    parts = [p for p in of.values() if p]
    places = next((p["figures"] for p in parts if "figures" in p), 0)
    cells = [model, split, f"{of['articles']['articles']}, {places}, {wished['wishes']}"]
    cells += [_mean(of.get(way), "right") for way in ("sight", "captions", "reranker")]
    cells += [_mean(chosen, "flipped"), _mean(chosen, "refused")]
    cells += [
        f"{scores[k]:.3f}" if k in scores else "–"
        for k in ("place_exact_f1", "place_within1_f1", "image_in_article_f1")
    ]
    cells += [f"{wished['right']} of {wished['wishes']}", str(wished["else"])]
    # in a select part "refused" is a share: of answers, "none of these"
    unread, refused = (sum(p[k] for p in parts if isinstance(p.get(k), int)) for k in ("unread", "refused"))
    cells += [f"{unread}, {refused}", f"{sum(p['tokens'] for p in parts):,}"]
    return "| " + " | ".join([*cells, f"{sum(p['seconds'] for p in parts):.0f}"]) + " |"


def _lines(parts: dict[str, Result], dashes: dict[str, str]) -> list[str]:
    """What each part took, and why a dash is one."""
    lines = ["| part | calls | tokens | dollars | seconds |", "|---|---|---|---|---|"]
    for name, p in parts.items():
        about = "about " * p["estimated"]
        lines.append(f"| {name} | {p['calls']} | {about}{p['tokens']:,} | {p['cost']:.4f} | {p['seconds']:.1f} |")
    return [*lines, "", *(f"– {what}: {' '.join(why.split())}" for what, why in dashes.items())]


def measure(given: argparse.Namespace) -> tuple[list[str], Result]:
    """(the lines to print, all of it as JSON)."""
    run = Run(given)
    drawn = run.folder / "drawings"
    if not drawn.exists():
        drawn.mkdir()
        wishes.draw(tomllib.loads((wishes.DATA / "wishes.toml").read_text(encoding="utf-8")), drawn)
    known = run.part("first", run.settings(), str(drawn), first)
    sees, judges = known["sees"], known["judges"]
    revised = run.part("revise", run.settings(vision=False), str(drawn), revise(given.limit))
    dashes = {} if sees else {"by sight": known["reason"] or "the model does not see"}
    if not judges:
        dashes["by captions"] = known["reason"]
    if not given.reranker:
        dashes["by a reranker"] = "no --reranker is given"
    rows = []
    for split in given.split:
        of: dict[str, Result] = {}
        own = run.settings(vision=sees)
        of["articles"] = run.part(f"articles-{split.name}", own, str(split), articles(split, given))
        ways = {"sight": run.settings(vision=True)} if sees else {}
        ways |= {"captions": run.settings(vision=False)} if judges else {}
        if given.reranker:
            ranked = {"reranker_url": given.reranker, "reranker_model": given.reranker_model}
            ways["reranker"] = run.settings(vision=False, **ranked)
        for way, settings in ways.items():
            of[way] = run.part(f"select-{way}-{split.name}", settings, str(split), select(split, given))
            if "reason" in of[way]:
                dashes[f"{split.name}, {way}"] = of[way]["reason"]
        if "reason" in of["articles"]["scores"]:
            dashes[f"{split.name}, F1 and image in article"] = of["articles"]["scores"]["reason"]
        rows.append(_row(known["model"], split.name, of | {"revise": revised}))
    when = f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    everything = {"model": known["model"], "when": when, "parts": run.parts, "dashes": dashes, "rows": rows}
    return [when, "", *_lines(run.parts, dashes), "", HEAD, *rows], everything


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="", help="a server with the OpenAI API; default: the settings' model")
    parser.add_argument("--model", default="", help="its name there; default: the first that the server lists")
    parser.add_argument("--reranker", default="", metavar="URL", help="a server with /v1/rerank")
    parser.add_argument("--reranker-model", default="")
    parser.add_argument("--split", type=Path, action="append", help="folder; again for more (default: ../shared/bench)")
    parser.add_argument("--limit", type=int, help="at most so many articles, places and wishes, evenly spaced")
    parser.add_argument("--answers", type=Path, help="folder of the answers; default: one named by the arguments")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="prices.toml then lies in ANSWERS/home")
    parser.add_argument("--json", type=Path, help="write all of it here; default: in the folder of answers")
    parser.add_argument("--score", type=Path, default=BESIDE / "score.py", help="score.py (default: ../shared/bench)")
    given = parser.parse_args()
    if given.limit is not None and given.limit < 1:
        parser.error("--limit must be 1 or more")
    given.split = [s.resolve() for s in given.split or sorted(p.parent for p in BESIDE.glob("*/articles.jsonl"))]
    if not given.split:
        parser.error("no split: name a folder with --split")
    digest = hashlib.sha256(json.dumps(_config(given)).encode()).hexdigest()[:8]
    given.answers = (given.answers or Path(f"real-{digest}")).resolve()
    return given


def main() -> int:
    """Measure, print, write; 2 for what the user can put right."""
    given = _arguments()
    try:
        lines, everything = measure(given)
    except (LimnerError, OSError) as error:
        print(f"bench/real.py: {error} Answers so far are kept in {given.answers}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"bench/real.py: stopped. The same command goes on: answers are in {given.answers}.", file=sys.stderr)
        return 130
    _write(given.json or given.answers / "real.json", everything)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
