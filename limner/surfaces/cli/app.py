"""The shell: the same calls as from Python, the same errors as one line and an exit code.

Exit codes: 0 done, 2 something the user can put right (one line says what), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from limner import __version__
from limner.errors import BadInput, BudgetReached, ExportFailed, LimnerError
from limner.surfaces.cli import jobs, mcp, revise

if TYPE_CHECKING:
    from limner.document import Article
    from limner.settings import Settings
    from limner.surfaces.cli.terminal import Terminal
    from limner.workflows.context import Context
    from limner.workflows.run import Images, Start

app = typer.Typer(
    name="limner",
    help="Compose illustrated articles: text and your own images interleaved, every image chosen for its place.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
library_app = typer.Typer(name="library", help="Libraries of your own images.", no_args_is_help=True)
app.add_typer(library_app)

Library = Annotated[
    list[str] | None,
    typer.Option("--library", "-l", metavar="DIR|NAME", help="Image library; may be repeated. Default: the starter."),
]
ImageCount = Annotated[str, typer.Option("--images", "-n", metavar="N|auto", help="How many images.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the article.")]
Seed = Annotated[int, typer.Option(help="Makes choices repeatable.")]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Model for all roles. [LIMNER_MODEL]")]
ModelUrl = Annotated[
    str | None,
    typer.Option("--model-url", metavar="URL", help="Server with the OpenAI Messages API. [LIMNER_MODEL_URL]"),
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="Stop before a call that goes over this.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be done, and stop.")]
Resume = Annotated[str | None, typer.Option("--resume", metavar="JOB", help="Go on with a job that was stopped.")]
Review = Annotated[
    list[str] | None,
    typer.Option("--review", metavar="POINT", help="Ask at outline, draft, spots, images or final; may be repeated."),
]
Generate = Annotated[
    str, typer.Option("--generate", metavar="PLUGIN", help="Have an image made, labelled as such, where nothing fits.")
]
MaxGenerated = Annotated[int, typer.Option("--max-generated", min=0, max=100, help="How many may be made.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the article's folder alone.")]
To = Annotated[str, typer.Option("--to", metavar="md,html,…", help="Formats: md, html, json, docx, epub, pdf.")]
ALL_FORMATS = "md,html,json"
ImageSide = Annotated[
    int, typer.Option("--image-side", min=100, max=10_000, metavar="PX", help="Largest side of images within a page.")
]
KeepMetadata = Annotated[
    bool, typer.Option("--keep-metadata", help="Leave place, camera, faces and previews in exported images.")
]
SIDE = 1600  # px, as `tools.export.SIDE`, which is not imported for a help text


def main() -> None:
    """Entry point: run a command, and turn what a user can put right into one line and an exit code."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn of what our own line says better
    try:
        sys.exit(app(standalone_mode=False))
    except LimnerError as e:
        _fail(str(e), e.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("Stopped.", 130)
    except BrokenPipeError:  # the reader of our output left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as e:
        _fail(f"{e.strerror or e}{f': {e.filename}' if e.filename else ''}. Check the disk and permissions.", 2)
    except TyperException as e:
        said = e.format_message() if isinstance(e, typer.BadParameter.__base__ or ()) else str(e)
        if said:  # a bare `limner` has shown its help already
            _fail(f"{said} See limner --help.", 2)
        sys.exit(2)


def _fail(line: str, code: int) -> None:
    sys.stdout.flush()
    print("limner: " + " ".join(line.split()), file=sys.stderr)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"limner {__version__}")
        raise typer.Exit


# --- composing -----------------------------------------------------------------------------------------------------


@app.command()
def compose(
    brief: Annotated[
        list[str] | None,
        typer.Argument(metavar="BRIEF", help="A title, keywords, an outline, long text; a file of it, or - for stdin."),
    ] = None,
    library: Library = None,
    images: ImageCount = "auto",
    language: Annotated[str | None, typer.Option(metavar="xx", help="Language code; default: the brief's.")] = None,
    out: Out = None,
    seed: Seed = 0,
    model: Model = None,
    model_url: ModelUrl = None,
    image: Annotated[
        list[Path] | None, typer.Option("--image", metavar="REF.jpg", help="Image to use; may be repeated.")
    ] = None,
    source: Annotated[
        list[Path] | None, typer.Option("--source", metavar="notes.md", help="Material; may be repeated.")
    ] = None,
    to: To = ALL_FORMATS,
    image_side: ImageSide = SIDE,
    keep_metadata: KeepMetadata = False,
    max_tokens: MaxTokens = None,
    generate: Generate = "",
    max_generated: MaxGenerated = 4,
    review: Review = None,
    plan: Plan = False,
    resume: Resume = None,
    quiet: Quiet = False,
) -> None:
    """Write an article for a brief and illustrate it."""
    from limner.workflows import run

    options = _options(library, out, model, model_url, to, max_tokens, image_side, keep_metadata)
    options["generate"] = generate
    if resume:
        if brief:
            raise BadInput("Give a brief or --resume, not both.")
        _go_on(resume, options, quiet)
        return
    made = run.make_brief(
        _brief_text(brief),
        images=_count(images),
        language=language,
        seed=seed,
        sources=list(source or []),
        review=_points(review),
        generate=generate,
        max_generated=max_generated,
    )
    if plan:
        _print_plan({"brief": made}, options)
        return
    _start({"brief": made}, made.text, options, quiet, references=list(image or []))


@app.command()
def illustrate(
    draft: Annotated[Path, typer.Argument(metavar="DRAFT.md", help="Markdown or plain text; it is left as it is.")],
    library: Library = None,
    images: ImageCount = "auto",
    out: Out = None,
    seed: Seed = 0,
    model: Model = None,
    model_url: ModelUrl = None,
    to: To = ALL_FORMATS,
    image_side: ImageSide = SIDE,
    keep_metadata: KeepMetadata = False,
    max_tokens: MaxTokens = None,
    generate: Generate = "",
    max_generated: MaxGenerated = 4,
    review: Review = None,
    plan: Plan = False,
    quiet: Quiet = False,
) -> None:
    """Add images to a finished text; the text stays as it is, byte for byte."""
    from limner.workflows import run

    options = _options(library, out, model, model_url, to, max_tokens, image_side, keep_metadata)
    options["generate"] = generate
    about: dict[str, Any] = {"images": _count(images), "seed": seed, "review": _points(review)}
    start = run.draft_state(draft, **about, generate=generate, max_generated=max_generated)
    options["draft"] = str(draft.absolute().parent)
    if plan:
        _print_plan(start, options)
        return
    _start(start, f"{draft.stem} illustrated", options, quiet)


@app.command()
def export(
    article: Annotated[Path, typer.Argument(metavar="ARTICLE.json")],
    to: To = "md,html",
    out: Out = None,
    image_side: ImageSide = SIDE,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Write a finished article in other formats."""
    from limner.tools.export import fresh_folder, images_beside, own_images, read_json, write_article

    read = read_json(article)
    folder = _empty(out) if out else fresh_folder(Path.cwd(), read.title)
    written = write_article(
        read,
        folder,
        images_beside(read, article.parent),
        _formats(to),
        beside=own_images(read, article.parent) if read.made_with.get("draft") else None,
        side=image_side,
        keep_metadata=keep_metadata,
    )
    for path in written.files.values():
        print(path)


def _start(
    start: Start, title: str, options: dict[str, Any], quiet: bool, references: list[Path] | None = None
) -> None:
    from limner.workflows import run

    folder = _empty(Path(options["out"])) if options["out"] else None
    settings = _settings(options)
    with _context(settings, options, quiet) as (context, terminal):
        start["brief"] = run.with_references(start["brief"], references or [], context)
        options["libraries"] = [library.name for library in context.libraries]
        options["out"] = str(folder.absolute()) if folder else ""
        options["parent"] = str(Path.cwd())
        start["options"] = options
        _run(context, terminal, run.new_job(title), start, options)


def _go_on(job: str, given: dict[str, Any], quiet: bool) -> None:
    from limner.settings import Settings
    from limner.workflows import run

    with run.checkpoints(Settings().home) as saver:
        state = run.job_state(saver, job)
    kept = state.get("options") or {}
    usual = {"formats": ALL_FORMATS, "image_side": SIDE}
    options = {**kept, **{k: v for k, v in given.items() if v and v != usual.get(k)}}
    settings = _settings(options)
    with _context(settings, options, quiet) as (context, terminal):
        for role, usage in (kept.get("tokens") or {}).items():
            context.meter.count(role, **usage)
        _run(context, terminal, job, None, options)


@contextmanager
def _context(settings: Settings, options: dict[str, Any], quiet: bool) -> Iterator[tuple[Context, Terminal]]:
    """The wired parts, and the terminal; the embedded model loads while the rest is imported."""
    from limner.agents.speaker import Meter
    from limner.surfaces.cli.terminal import Terminal
    from limner.workflows.context import Context

    context = Context(settings, [], {}, Meter(budget=options["max_tokens"]))
    if context.embedded("writer"):
        context.start_embedded()
    from limner.workflows.run import open_library

    terminal = Terminal(quiet=quiet)
    try:
        with terminal.counting("Reading the image library") as count:
            context.libraries = [open_library(context, ref, count) for ref in options["libraries"] or [None]]
        yield context, terminal
    finally:
        terminal.close()


def _run(context: Context, terminal: Terminal, job: str, start: Start | None, options: dict[str, Any]) -> None:
    """Run a job to its end and write the article; whatever stops it, say how to go on."""
    from limner.workflows import run

    if context.embedded("writer") and not terminal.quiet and not (start and "article" in start):
        terminal.say(
            "Writing with the embedded SmolLM2-135M: quick, plain and not to be trusted with facts. "
            "Set LIMNER_MODEL_URL to a real model's server for articles to publish.",
            style="dim",
        )
    again = f"limner compose --resume {job}"
    if not terminal.quiet:  # before anything can kill it
        terminal.say(f"If this is stopped, go on with: {again}", style="dim")
    with run.checkpoints(context.settings.home) as saver:
        try:
            with _leaving_at_once(terminal, f"Stopped. What is done is kept; go on with: {again}"):
                article = _through_reviews(context, terminal, saver, job, start)
        except BudgetReached as e:
            written = run.job_state(saver, job).get("article")
            where = f" The text so far is in {_write(context, written, options)}." if written else ""
            raise BudgetReached(f"{e}{where} Go on with: {again} --max-tokens N") from e
        except LimnerError as e:
            raise type(e)(f"{e} What is done is kept; go on with: {again}") from e
        try:
            folder = _write(context, article, options)
        except ExportFailed as e:
            raise ExportFailed(f"{e} The article is kept; try again with: {again}") from e
    terminal.close()
    _report(article, context, terminal, folder)


def _through_reviews(context: Context, terminal: Terminal, saver: Any, job: str, start: Start | None) -> Article:
    """Run to the end; at a review point, whoever sits at the terminal is asked."""
    from langgraph.types import Command

    from limner.workflows import run

    begin: Any = start
    while True:
        try:
            return run.run(context, begin, checkpointer=saver, job=job, on_event=terminal.on_event)
        except run.Asks as asks:
            from limner.surfaces.cli.review import ask, editor

            begin = Command(resume=ask(asks.questions[0]["value"], terminal, editor(context.settings.editor)))


@contextmanager
def _leaving_at_once(terminal: Terminal, line: str) -> Iterator[None]:
    """Ctrl-C ends the program here and now.

    LangGraph would first wait for the call that is under way, and a model may take minutes. Nothing is lost by leaving:
    each finished step is in the checkpoint before the next begins, and nothing else is open for writing.
    """

    def leave(_signal: int, _frame: object) -> None:
        terminal.close()
        print(f"limner: {line}", file=sys.stderr, flush=True)
        os._exit(130)

    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write(context: Context, article: Article, options: dict[str, Any]) -> Path:
    from limner.tools.export import fresh_folder, own_images, write_article

    folder = Path(options["out"]) if options["out"] else fresh_folder(Path(options["parent"]), article.title)
    write_article(
        article,
        folder,
        context.image,
        _formats(options["formats"]),
        beside=own_images(article, Path(options["draft"])) if options.get("draft") else None,
        side=options.get("image_side") or SIDE,
        keep_metadata=options.get("keep_metadata", False),
    )
    return folder


def _report(article: Article, context: Context, terminal: Terminal, folder: Path) -> None:
    from limner.surfaces.cli.terminal import summary

    if not terminal.quiet:
        for line in summary(article, context.meter):
            terminal.say(line)
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    if terminal.quiet:
        print(shown)
        return
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        print(shown / path.name)


# --- planning ------------------------------------------------------------------------------------------------------


def _print_plan(start: Start, options: dict[str, Any]) -> None:
    from limner.workflows.estimate import plan

    for line in plan(start, _settings(options), options["libraries"]):
        print(line)


# --- libraries -----------------------------------------------------------------------------------------------------


@library_app.command("add")
def library_add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...")],
) -> None:
    """Read folders of images into a library; run it again when they have changed."""
    from limner.surfaces.cli.library import add
    from limner.surfaces.cli.terminal import Terminal

    with Terminal().counting(f"Reading into {name}") as count:
        lines = add(name, folders, count)
    for line in lines:
        print(line)


@library_app.command("search")
def library_search(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    query: Annotated[list[str], typer.Argument(metavar="QUERY")],
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many to show.")] = 12,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Contact sheet; default NAME-search.html.")] = None,
) -> None:
    """Find images by what they should show; writes a contact sheet with thumbnails."""
    from limner.surfaces.cli.library import search

    for line in search(name, " ".join(query), k, out):
        print(line)


@library_app.command("list")
def library_list() -> None:
    """The libraries there are."""
    from limner.surfaces.cli.library import listing

    for line in listing():
        print(line)


@library_app.command("show")
def library_show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    without: Annotated[
        str, typer.Option(metavar="FIELD", help="Only images that lack it: caption, alt, credit, licence.")
    ] = "",
) -> None:
    """What a library holds: folders, images, captions, encoders."""
    from limner.surfaces.cli.library import show

    for line in show(name, without):
        print(line)


@library_app.command("edit")
def library_edit(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    image: Annotated[
        str | None, typer.Argument(metavar="IMAGE", help="Its id, the beginning of it, or its file's name.")
    ] = None,
    caption: Annotated[str | None, typer.Option(help="What it shows.")] = None,
    alt: Annotated[str | None, typer.Option(help="Alternative text.")] = None,
    credit: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    licence: Annotated[str | None, typer.Option(help="Its licence.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="What the folder says counts again.")] = False,
    given: Annotated[
        Path | None, typer.Option("--from", metavar="FILE.jsonl", help="Many at once, as `library captions` writes.")
    ] = None,
) -> None:
    """Write captions, credits and licences. They win over the folder's, also when that is read again."""
    from limner.surfaces.cli import library

    words = {"caption": caption, "alt": alt, "credit": credit, "licence": licence}
    for line in library.edit(name, image, {n: v for n, v in words.items() if v is not None}, reset, given):
        print(line)


@library_app.command("captions")
def library_captions(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    out: Annotated[Path, typer.Argument(metavar="FILE.jsonl")],
) -> None:
    """Save what people wrote in a library, for `limner library edit NAME --from FILE.jsonl`."""
    from limner.surfaces.cli.library import save_captions

    print(save_captions(name, out))


@library_app.command("remove")
def library_remove(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    captions_too: Annotated[bool, typer.Option("--captions-too", help="Also what people wrote in it.")] = False,
) -> None:
    """Forget a library. The image files themselves are left alone."""
    from limner.surfaces.cli.library import remove

    print(remove(name, captions_too=captions_too))


@app.command()
def doctor(model: Model = None, model_url: ModelUrl = None) -> None:
    """Try every part: a line each, and for what is wrong, how to put it right."""
    from limner.surfaces.cli.doctor import checkup

    settings = _settings({"model": model, "model_url": model_url})
    failed = 0
    for check in checkup(settings):
        print(check)
        failed += not check.ok
    if failed:
        raise typer.Exit(2)


jobs.register(app)
mcp.register(app)
revise.register(app)


# --- options -------------------------------------------------------------------------------------------------------


def _options(
    library: list[str] | None,
    out: Path | None,
    model: str | None,
    url: str | None,
    to: str,
    max_tokens: int | None,
    image_side: int,
    keep_metadata: bool,
) -> dict[str, Any]:
    """What a job needs again on resume, as JSON."""
    _formats(to)
    # A folder is remembered by its whole path, so that the job can go on from another directory.
    refs = [str(Path(ref).resolve()) if Path(ref).is_dir() else ref for ref in library or []]
    return {
        "libraries": refs,
        "out": str(out) if out else "",
        "model": model,
        "model_url": url,
        "formats": to,
        "max_tokens": max_tokens,
        "image_side": image_side,
        "keep_metadata": keep_metadata,
    }


def _settings(options: dict[str, Any]) -> Settings:
    from pydantic import ValidationError

    from limner.settings import Settings

    given = {k: options[k] for k in ("model", "model_url") if options.get(k)}
    try:
        return Settings(**given).allowing(options.get("generate") or "")
    except ValidationError as e:
        first = e.errors()[0]
        name = "LIMNER_" + "_".join(map(str, first["loc"])).upper().removeprefix("LIMNER_")
        raise BadInput(f"{name} is not usable: {first['msg']}. Correct it or unset it.") from e


def _formats(to: str) -> list[str]:
    from limner.tools.export import FORMATS

    formats = [f.strip().lower() for f in to.split(",") if f.strip()]
    if not formats:
        raise BadInput(f"--to {to!r}: there is no format named. Choose of: {', '.join(FORMATS)}.")
    for name in formats:
        if name not in FORMATS:
            from limner.tools.plugins import find

            find("exporter", name, FORMATS)
    return formats


def _points(given: list[str] | None) -> list[str]:
    return [point.strip() for points in given or [] for point in points.split(",") if point.strip()]


def _count(text: str) -> Images:
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdigit()):
        raise BadInput(f"--images {text[:20]!r} is not a number. Give one from 0 to 100, or auto.")
    return int(text[:6])


def _brief_text(words: list[str] | None) -> str:
    text = " ".join(words or [])
    if text == "-":
        return sys.stdin.buffer.read(1_000_000).decode("utf-8", "replace")
    if 0 < len(text) < 250 and "\n" not in text and Path(text).is_file():
        from limner.workflows.run import read_text

        return read_text(Path(text))
    return text


def _empty(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there already and not empty. Give another --out, or remove it.")
    return folder


if __name__ == "__main__":
    main()
