"""limner compose, illustrate, export: write an article, illustrate it, and write its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.agents.meter import Meter
from limner.document import Article
from limner.errors import BadInput, BudgetReached, ExportFailed, LimnerError
from limner.exports import fresh_folder, images_beside, own_images, read_json, write_article
from limner.jobs.lately import lately
from limner.lazy import lazy
from limner.settings import Settings
from limner.surfaces.cli.options import (
    ALL_FORMATS,
    SIDE,
    Check,
    Generate,
    ImageCount,
    ImageSide,
    KeepMetadata,
    Library,
    MaxCost,
    MaxGenerated,
    MaxTokens,
    Model,
    ModelUrl,
    Only,
    Out,
    Plan,
    Quiet,
    Resume,
    Review,
    Seed,
    To,
    brief_text,
    empty_folder,
    image_count,
    job_options,
    read_formats,
    read_settings,
    review_points,
)
from limner.surfaces.cli.terminal import Terminal, leaving_at_once, summary
from limner.workflows import inputs
from limner.workflows.inputs import Start

# What LangChain and LangGraph run is imported when it is needed: a help text does without, and the embedded model loads
# while LangGraph is imported, which saves a second.
if TYPE_CHECKING:
    from limner.workflows import run
    from limner.workflows.context import Context
else:
    run = lazy("limner.workflows.run")


BriefWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="BRIEF", help="A title, keywords, an outline, long text; a file of it, or - for stdin."),
]
References = Annotated[
    list[Path] | None, typer.Option("--image", metavar="REF.jpg", help="Image to use; may be repeated.")
]
Sources = Annotated[list[Path] | None, typer.Option("--source", metavar="notes.md", help="Material; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Add these commands to limner's."""
    for command in (compose, illustrate, export):
        app.command()(command)


def compose(
    brief: BriefWords = None,
    library: Library = None,
    images: ImageCount = "auto",
    only: Only = None,
    language: Annotated[str | None, typer.Option(metavar="xx", help="Language code; default: the brief's.")] = None,
    out: Out = None,
    seed: Seed = 0,
    model: Model = None,
    model_url: ModelUrl = None,
    image: References = None,
    source: Sources = None,
    to: To = ALL_FORMATS,
    image_side: ImageSide = SIDE,
    keep_metadata: KeepMetadata = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    generate: Generate = "",
    max_generated: MaxGenerated = 4,
    check: Check = None,
    review: Review = None,
    plan: Plan = False,
    resume: Resume = None,
    quiet: Quiet = False,
) -> None:
    """Write an article for a brief and illustrate it."""
    options = job_options(library, out, model, model_url, to, max_tokens, max_cost, image_side, keep_metadata, generate)
    if resume and brief:
        raise BadInput("Give a brief or --resume, not both.")
    if resume:
        return _go_on(resume, options, quiet)
    asked = {"images": image_count(images), "language": language, "seed": seed, "review": review_points(review)}
    asked |= {"generate": generate, "max_generated": max_generated, "check": check, "only": only or []}
    made = inputs.make_brief(brief_text(brief), sources=list(source or []), **asked)
    if plan:
        return _print_plan({"brief": made}, options)
    return _start({"brief": made}, made.text, options, quiet, references=list(image or []))


def illustrate(
    draft: Annotated[Path, typer.Argument(metavar="DRAFT.md", help="Markdown or plain text; the text stays as it is.")],
    library: Library = None,
    images: ImageCount = "auto",
    only: Only = None,
    out: Out = None,
    language: Annotated[
        str | None, typer.Option(metavar="xx", help="Language code; default: the front matter's or the detected one.")
    ] = None,
    seed: Seed = 0,
    model: Model = None,
    model_url: ModelUrl = None,
    to: To = ALL_FORMATS,
    image_side: ImageSide = SIDE,
    keep_metadata: KeepMetadata = False,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    generate: Generate = "",
    max_generated: MaxGenerated = 4,
    check: Check = None,
    review: Review = None,
    plan: Plan = False,
    quiet: Quiet = False,
) -> None:
    """Add images to a finished text; the text stays as it is, byte for byte."""
    options = job_options(library, out, model, model_url, to, max_tokens, max_cost, image_side, keep_metadata, generate)
    about: dict[str, Any] = {"images": image_count(images), "seed": seed, "review": review_points(review)}
    about |= {"language": language, "check": check, "only": only or []}
    start = inputs.draft_state(draft, **about, generate=generate, max_generated=max_generated)
    options["draft"] = str(draft.absolute().parent)
    if plan:
        _print_plan(start, options)
        return
    _start(start, f"{draft.stem} illustrated", options, quiet)


def export(
    article: Annotated[Path, typer.Argument(metavar="ARTICLE.json")],
    to: To = "md,html",
    out: Out = None,
    image_side: ImageSide = SIDE,
    keep_metadata: KeepMetadata = False,
) -> None:
    """Write a finished article in other formats."""
    read = read_json(article)
    folder = empty_folder(out) if out else fresh_folder(Path.cwd(), read.title)
    written = write_article(
        read,
        folder,
        images_beside(read, article.parent),
        read_formats(to),
        beside=own_images(read, article.parent) if read.made_with.get("draft") else None,
        side=image_side,
        keep_metadata=keep_metadata,
    )
    for path in written.files.values():
        print(path)


def _start(
    start: Start, title: str, options: dict[str, Any], quiet: bool, references: list[Path] | None = None
) -> None:
    from limner.workflows.references import with_references

    folder = empty_folder(Path(options["out"])) if options["out"] else None
    settings = read_settings(options)
    with _context(settings, options, quiet) as (context, terminal):
        start["brief"] = with_references(start["brief"], references or [], context)
        options["libraries"] = [library.name for library in context.libraries]
        options["out"] = str(folder.absolute()) if folder else ""
        options["parent"] = str(Path.cwd())
        start["options"] = options
        _run(context, terminal, run.new_job(title), start, options)


def _go_on(job: str, given: dict[str, Any], quiet: bool) -> None:
    with run.checkpoints(Settings().home) as saver:
        state = run.job_state(saver, job)
    kept = state.get("options") or {}
    usual = {"formats": ALL_FORMATS, "image_side": SIDE}
    options = {**kept, **{k: v for k, v in given.items() if v and v != usual.get(k)}}
    settings = read_settings(options)
    with _context(settings, options, quiet) as (context, terminal):
        context.meter.resume(state.get("spent") or {})
        _run(context, terminal, job, None, options)


@contextmanager
def _context(settings: Settings, options: dict[str, Any], quiet: bool) -> Iterator[tuple[Context, Terminal]]:
    """The context and the terminal; the embedded model loads while the rest is imported."""
    from limner.workflows.context import Context, open_library

    context = Context(
        settings, [], {}, Meter(budget=options["max_tokens"], max_cost=options.get("max_cost")), used=lately(settings)
    )
    if context.embedded("writer"):
        context.start_embedded()
    terminal = Terminal(quiet=quiet)
    try:
        with terminal.counting("Reading the image library") as count:
            context.libraries = [open_library(context, ref, count) for ref in options["libraries"] or [None]]
        yield context, terminal
    finally:
        terminal.close()


def _run(context: Context, terminal: Terminal, job: str, start: Start | None, options: dict[str, Any]) -> None:
    """Run a job to its end and write the article; if anything stops it, say how to resume."""
    if context.demonstrates("writer") and not terminal.quiet and not (start and "article" in start):
        terminal.say(
            "Writing with the embedded SmolLM2-135M: quick, plain and not to be trusted with facts. "
            "For articles to publish, get a real model: limner setup, or LIMNER_MODEL_URL for one on a server.",
            style="dim",
        )
    again = f"limner compose --resume {job}"
    if not terminal.quiet:  # printed before anything can stop the run
        terminal.say(f"If this stops, resume it with: {again}", style="dim")
    with run.checkpoints(context.settings.home) as saver:
        try:
            with leaving_at_once(terminal, lambda: f"Stopped. Finished steps are kept; resume with: {again}"):
                article = _through_reviews(context, terminal, saver, job, start)
        except BudgetReached as e:
            written = run.job_state(saver, job).get("article")
            where = f" The text so far is in {_write(context, written, options)}." if written else ""
            raise BudgetReached(f"{e}{where} Resume with: {again} {_more(e)}") from e
        except LimnerError as e:
            raise type(e)(f"{e} Finished steps are kept; resume with: {again}") from e
        try:
            folder = _write(context, article, options)
        except ExportFailed as e:
            raise ExportFailed(f"{e} The article is kept; try again with: {again}") from e
    terminal.close()
    _report(article, context, terminal, folder)


def _more(reached: BudgetReached) -> str:
    """The option that raises the limit."""
    return "--max-cost USD" if getattr(reached.args[0], "code", "") == "cost-budget" else "--max-tokens N"


def _through_reviews(context: Context, terminal: Terminal, saver: Any, job: str, start: Start | None) -> Article:
    """Run to the end; at a review point, ask the person at the terminal."""
    from langgraph.types import Command

    begin: Any = start
    while True:
        try:
            return run.run(context, begin, checkpointer=saver, job=job, on_event=terminal.on_event)
        except run.Asks as asks:
            from limner.surfaces.cli.review import ask, editor

            begin = Command(resume=ask(asks.questions[0]["value"], terminal, editor(context.settings.editor)))


def _write(context: Context, article: Article, options: dict[str, Any]) -> Path:
    folder = Path(options["out"]) if options["out"] else fresh_folder(Path(options["parent"]), article.title)
    write_article(
        article,
        folder,
        context.image,
        read_formats(options["formats"]),
        beside=own_images(article, Path(options["draft"])) if options.get("draft") else None,
        side=options.get("image_side") or SIDE,
        keep_metadata=options.get("keep_metadata", False),
    )
    return folder


def _report(article: Article, context: Context, terminal: Terminal, folder: Path) -> None:
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


def _print_plan(start: Start, options: dict[str, Any]) -> None:
    from limner.workflows.estimate import plan

    for line in plan(start, read_settings(options), options["libraries"]):
        print(line)
