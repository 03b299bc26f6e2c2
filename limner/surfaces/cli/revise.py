"""limner revise: change finished articles."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from limner.document import Article, Illustration
from limner.errors import BadInput
from limner.jobs.history.proposing import propose_for_job
from limner.jobs.history.revisions import Revisions
from limner.jobs.history.versions import Head
from limner.jobs.libraries import names_for, opener, record_of
from limner.jobs.owners import LOCAL
from limner.jobs.service import Jobs
from limner.surfaces.cli.opened import AsJson, JobId, open_jobs
from limner.text import one_line
from limner.tools.candidates import Wanted, usable
from limner.tools.candidates import candidates as find
from limner.tools.editing.apply import OUTSIDE, ImageOf
from limner.tools.editing.commands import Edit
from limner.tools.library import Library
from limner.workflows.context import Context
from limner.workflows.revise.graph import read_instruction

revise_app = typer.Typer(
    name="revise", help="Change a finished article; every step can be undone.", no_args_is_help=True
)

Merge = Annotated[bool, typer.Option("--merge", help="Apply even if others changed something else meanwhile.")]
Number = Annotated[int, typer.Argument(min=1, metavar="N")]
MAX_INPUT = 20_000_000  # bytes of edits to read


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    app.add_typer(revise_app)


# --- looking -------------------------------------------------------------------------------------------------------


@revise_app.command("show")
def show(
    job: JobId,
    version: Annotated[int | None, typer.Option(min=1, metavar="N", help="Show this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the article with the ids that edits name: one line per block, * if locked."""
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        head = revisions.show(job)
        known, article = (head.version, head.article) if version is None else revisions.at(job, version)
        if as_json:
            _print_json({"version": known.number, "head": head.version.number, "article": article.model_dump()})
            return
        typer.echo(_clean(f"{article.title} (version {known.number}, {known.who}: {known.what})"))
        for line in _lines(article):
            typer.echo(line)


@revise_app.command("versions")
def versions(job: JobId, as_json: AsJson = False) -> None:
    """Show who changed what, and the current version."""
    with open_jobs() as jobs:
        at, history = _revisions(jobs).history(job)
        if as_json:
            _print_json({"head": at, "versions": [v.model_dump() for v in history]})
            return
        for v in history:
            when = datetime.fromtimestamp(v.at).astimezone().strftime("%Y-%m-%d %H:%M")
            origin = f"from {v.parent}" if v.parent else ""
            typer.echo(
                f"{'>' if v.number == at else ' '} {v.number:>3} {origin:<8} {when}  {_clean(f'{v.who}: {v.what}')}"
            )


@revise_app.command("compare")
def compare(job: JobId, a: Number, b: Number, as_json: AsJson = False) -> None:
    """Compare version A with version B: [-removed words-] and {+added words+}."""
    with open_jobs() as jobs:
        found = _revisions(jobs).compare(job, a, b)
        if as_json:
            _print_json(found.model_dump())
            return
        marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
        for block in found.blocks:
            text = block.after if block.after is not None else block.before
            if block.change == "changed":
                text = "".join(marks[w.op].format(w.text) for w in block.words)
            elif block.change in ("added", "removed"):
                text = marks[block.change].format(text)
            if block.change != "same":
                typer.echo(f"{block.change:<8} {block.id}  {_clean(text or '')}")
        for image in found.images:
            shown = image.after or image.before
            if image.change != "same" and shown is not None:
                typer.echo(f"{image.change:<8} {image.id}  image: {_clean(shown.caption)}")


@revise_app.command("candidates")
def candidates(
    job: JobId,
    image: Annotated[str, typer.Option(help="An image of the article, to list candidates for its place.")] = "",
    spot: Annotated[str, typer.Option(help="A spot of the record.")] = "",
    caption: Annotated[str, typer.Option(help="A new search: what the image should show.")] = "",
    like: Annotated[str, typer.Option(metavar="IMAGE_ID", help="Images that resemble this one.")] = "",
    but: Annotated[str, typer.Option(help="With --like: what should differ.")] = "",
    library: Annotated[list[str] | None, typer.Option("--library", "-l", metavar="NAME")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=100)] = 12,
    as_json: AsJson = False,
) -> None:
    """List candidates for a place, best first; * if the article shows it."""
    with open_jobs() as jobs:
        article = _revisions(jobs).show(job).article
        wanted = Wanted(image=image, spot=spot, caption=caption, like=like, but=but, limit=limit)
        found = find(article, wanted, _libraries(jobs, job, article, library))
        if as_json:
            rows = [{**f.candidate.model_dump(), "chosen": f.chosen, "why": f.why, "file": f.file} for f in found]
            _print_json({"candidates": rows})
            return
        for f in found:
            c = f.candidate
            mark = "*" if f.chosen else " "
            typer.echo(f"{mark} {c.score:.2f} {c.library}:{c.image_id}  {_clean(c.caption)} ({_clean(f.file)})")


# --- changing ------------------------------------------------------------------------------------------------------

Pairs = list[str] | None


@revise_app.command("edit")
def edit(
    job: JobId,
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="Edits as JSON; - reads standard input.")] = None,
    title: Annotated[str | None, typer.Option()] = None,
    text: Annotated[Pairs, typer.Option("--text", metavar="BLOCK=MARKDOWN", help="New text.")] = None,
    insert: Annotated[
        Pairs, typer.Option("--insert", metavar="AFTER=MARKDOWN", help="New text; no AFTER: first.")
    ] = None,
    delete: Annotated[Pairs, typer.Option("--delete", metavar="ID", help="A block or an image.")] = None,
    move: Annotated[Pairs, typer.Option("--move", metavar="ID=AFTER", help="A block or an image.")] = None,
    swap: Annotated[Pairs, typer.Option("--swap", metavar="ID=LIBRARY:IMAGE", help="Another image.")] = None,
    place: Annotated[Pairs, typer.Option("--place", metavar="AFTER=LIBRARY:IMAGE", help="A new image.")] = None,
    caption: Annotated[Pairs, typer.Option("--caption", metavar="ID=TEXT")] = None,
    alt: Annotated[Pairs, typer.Option("--alt", metavar="ID=TEXT")] = None,
    credit: Annotated[Pairs, typer.Option("--credit", metavar="ID=TEXT")] = None,
    crop: Annotated[Pairs, typer.Option("--crop", metavar="ID=L,T,W,H", help="Fractions of the image.")] = None,
    lock: Annotated[Pairs, typer.Option("--lock", metavar="ID")] = None,
    unlock: Annotated[Pairs, typer.Option("--unlock", metavar="ID")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Version that they are for; default: the current one.")
    ] = None,
    merge: Merge = False,
    what: Annotated[str, typer.Option(help="Description for the history.")] = "",
) -> None:
    """Change the article by edits from a file or by options, all or none. `limner revise show` lists the ids."""
    commands: list[Any] = [*([{"do": "unlock", "ids": unlock}] if unlock else []), *(_read(file) if file else [])]
    commands += [{"do": "set_title", "title": title}] if title is not None else []
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        head = revisions.show(job)
        images = {i.id for i in head.article.illustrations}
        commands += _edits_of_text(text, insert, move, images)
        commands += _edits_of_images(swap, place, crop, {"caption": caption, "alt": alt, "credit": credit})
        commands += [{"do": "remove_image", "image": i} for i in delete or [] if i in images]
        commands += [{"do": "delete_block", "block": i} for i in delete or [] if i not in images]
        commands += [{"do": "lock", "ids": lock}] if lock else []
        if not commands:
            raise BadInput("There is nothing to change. Give edits as JSON, or options such as --text b2='New words.'")
        at = version or head.version.number
        _print_head(revisions.edit(job, _edits(commands), at, _who(), _image_of(jobs), merge=merge, what=what))


@revise_app.command("accept")
def accept(job: JobId) -> None:
    """Accept the article as it is; this counts in `limner stats agreement`."""
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        _print_head(revisions.edit(job, [], revisions.show(job).version.number, _who(), _image_of(jobs)))


@revise_app.command("ask")
def ask(
    job: JobId,
    instruction: Annotated[list[str], typer.Argument(metavar="INSTRUCTION", help='In words, or as JSON {"do": …}.')],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Apply the proposed edits.")] = False,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1)] = None,
) -> None:
    """Ask the model for edits that fulfil an instruction, and show them; --yes applies them."""
    given = " ".join(instruction)
    wanted = read_instruction(_json(given, "The instruction") if given.lstrip().startswith("{") else given)
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        head = revisions.show(job)
        context = Context(jobs.settings, [])
        proposal = propose_for_job(jobs, job, head.article, wanted, context, opener(context), max_tokens=max_tokens)
        typer.echo(f"{_clean(proposal.summary) or 'Proposed:'} ({proposal.spent:,} tokens)")
        for e in proposal.edits:
            typer.echo(json.dumps(e.model_dump(mode="json", exclude_none=True), ensure_ascii=False))
        if not proposal.edits:
            return
        if not yes:
            typer.echo("Nothing is changed yet: --yes applies it.", err=True)
            return
        what = " ".join(given.split())[:300]
        number = head.version.number
        _print_head(revisions.edit(job, proposal.edits, number, _who(), _image_of(jobs), what=what, by="model"))


@revise_app.command("undo")
def undo(job: JobId) -> None:
    """Go back to the version that this one was made from."""
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        _print_head(revisions.undo(job, revisions.show(job).version.number, _who()))


@revise_app.command("redo")
def redo(job: JobId) -> None:
    """Go forward again."""
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        _print_head(revisions.redo(job, revisions.show(job).version.number, _who()))


@revise_app.command("go")
def go(job: JobId, number: Number) -> None:
    """Go to any version; changes from there on form a branch."""
    with open_jobs() as jobs:
        revisions = _revisions(jobs)
        _print_head(revisions.go(job, revisions.show(job).version.number, number, _who()))


# --- parts ---------------------------------------------------------------------------------------------------------


def _revisions(jobs: Jobs) -> Revisions:
    return Revisions(jobs.ledger)


def _who() -> str:
    """The name of the shell's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return LOCAL


def _lines(article: Article) -> list[str]:
    ids = [b.id for b in article.blocks()]
    width = max(map(len, ids), default=0)
    lines = []
    for block in article.blocks():
        mark = "*" if block.id in article.locked else " "
        if isinstance(block, Illustration):
            part = f" crop {','.join(f'{c:g}' for c in block.crop)}" if block.crop else ""
            shown = f"[image {block.library}:{block.image_id}{part}] {_clean(block.caption)}"
        else:
            shown = _clean(block.text)
            shown = shown if len(shown) <= 100 else f"{shown[:99]}…"
        lines.append(f"{mark}{block.id:<{width}}  {shown}")
    return lines


def _print_head(head: Head) -> None:
    typer.echo(f"Version {head.version.number}: {_clean(head.version.what)}.")
    for one in head.article.notes:
        if one.code == OUTSIDE:
            typer.echo(_clean(one))


def _clean(text: str) -> str:
    """Text from outside as one line without control characters."""
    return one_line(text)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=True, indent=1, default=str))


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{what} is not JSON ({e}). Correct it.") from e


def _read(file: str) -> list[Any]:
    """Read edits from a file: a list, or {"edits": [...]} as in a proposal."""
    if file == "-":
        data = sys.stdin.buffer.read(MAX_INPUT)
    else:
        with Path(file).open("rb") as opened:
            data = opened.read(MAX_INPUT)
    found = _json(data.decode("utf-8", "replace"), "What holds the edits")
    found = found.get("edits") if isinstance(found, dict) else found
    if not isinstance(found, list):
        raise BadInput('Edits are a JSON list: [{"do": "set_text", "block": "b2", "text": "New words."}].')
    return found


def _edits(commands: Sequence[Any]) -> Any:
    try:
        return TypeAdapter(list[Edit]).validate_python(commands)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        number = int(first["loc"][0]) + 1 if first["loc"] else 1
        raise BadInput(f"Edit {number}{f', {where}' if where else ''}: {first['msg']}. docs/revise.md has them.") from e


def _edits_of_text(text: Pairs, insert: Pairs, move: Pairs, images: set[str]) -> Iterator[dict[str, Any]]:
    yield from ({"do": "set_text", "block": i, "text": t} for i, t in _pairs(text, "--text"))
    yield from ({"do": "insert_text", "after": i or None, "text": t} for i, t in _pairs(insert, "--insert"))
    for one, after in _pairs(move, "--move"):
        kind = "image" if one in images else "block"
        yield {"do": f"move_{kind}", kind: one, "after": after or None}


def _edits_of_images(swap: Pairs, place: Pairs, crop: Pairs, words: dict[str, Pairs]) -> Iterator[dict[str, Any]]:
    for one, library, image_id in _images(swap, "--swap"):
        yield {"do": "swap_image", "image": one, "library": library, "image_id": image_id}
    for after, library, image_id in _images(place, "--place"):
        yield {"do": "place_image", "after": after, "library": library, "image_id": image_id}
    for name, given in words.items():
        yield from ({"do": "describe_image", "image": i, name: t} for i, t in _pairs(given, f"--{name}"))
    for one, part in _pairs(crop, "--crop"):
        yield {"do": "crop_image", "image": one, "crop": part.split(",") if part else None}


def _pairs(given: Pairs, option: str) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in given or []]
    if bad := next((p for p in pairs if not p[1]), None):
        raise BadInput(f"{option} {bad[0][:40]!r} has no =. Write {option} ID=VALUE.")
    return [(before, after) for before, _, after in pairs]


def _images(given: Pairs, option: str) -> list[tuple[str, str, str]]:
    found = []
    for one, image in _pairs(given, option):
        library, colon, image_id = image.rpartition(":")
        if not colon:
            raise BadInput(f"{option} {image[:40]!r} names no library. Write LIBRARY:IMAGE, as `candidates` shows it.")
        found.append((one, library, image_id))
    return found


def _image_of(jobs: Jobs) -> ImageOf:
    """A function that looks up images in the libraries of this installation."""
    return record_of(opener(Context(jobs.settings, [])))


def _libraries(jobs: Jobs, job: str, article: Article, names: Sequence[str] | None) -> list[Library]:
    """The named libraries, or else all that the job may use, as far as they can be searched."""
    return usable(names or names_for(jobs, job, article), opener(Context(jobs.settings, [])))
