"""Run a composition from Python: the functions behind `import limner` and behind the shell."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from limner.agents.speaker import Meter, Role
from limner.document import (
    POINTS,
    Article,
    Brief,
    Candidate,
    Point,
    Reference,
    Selection,
    Source,
    Spot,
    read_markdown,
)
from limner.errors import BadInput, ExportFailed, JobUnknown
from limner.settings import Settings
from limner.workflows.context import Context
from limner.workflows.state import Event

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.runtime import RunControl
    from langgraph.types import Command

    from limner.tools.editing.commands import Wish
    from limner.tools.encoders import Encoders
    from limner.tools.library import Library
    from limner.workflows.compose import Graph

MAX_BRIEF = 200_000  # characters; about 50 000 tokens, more than servers' contexts take
MAX_IMAGES = 100  # in one article
MAX_GENERATED = Brief.model_fields["max_generated"].default  # of them made by a generator, where nothing else is said
CHECKPOINTS = "jobs.sqlite"  # a file in limner's home
STARTER = "starter"  # name of the library that comes with limner

Start = dict[str, Any]
"""The keys of `ComposeState` that a run begins with: a brief, and to illustrate, an article."""
Images = int | Literal["auto"]


def compose(
    brief: str | Brief,
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    selector_model: BaseChatModel | None = None,
    images: Images = "auto",
    language: str | None = None,
    seed: int = 0,
    sources: Sequence[str | Path | Source] = (),
    references: Sequence[str | Path] = (),
    settings: Settings | None = None,
    max_tokens: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    review: Sequence[Point] = (),
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    generate: str = "",
    max_generated: int = MAX_GENERATED,
) -> Article:
    """Write an article for a brief and illustrate it.

    library: name of a library, folder of images, `Library`, or a list of these; None takes the starter library.
    model: any LangChain chat model for all roles; None follows the settings, which default to the embedded model.
    images: how many, 0 to 100, or "auto". references: image files that the article should use. sources: files (or
    Source values) the writer may draw on. max_tokens: prompts and completions together. on_event: called with the
    text as it is written and with each step. review: points at which `answer` is called with the question, and
    returns what a person says to it: docs/review.md. generate: name of the plug-in that makes an image, labelled as
    such, where nothing fits, at most max_generated of them: docs/plugins.md; "" makes none.

    Raises LimnerError: BadInput, LibraryError, ModelError, BudgetReached; its message ends with what to do next.
    """
    settings, models = (settings or Settings()).allowing(generate), models_for(model, selector_model)
    context = build_context(settings, library=library, models=models, max_tokens=max_tokens)
    if not isinstance(brief, Brief):
        brief = make_brief(
            brief,
            images=images,
            language=language,
            seed=seed,
            sources=sources,
            review=review,
            generate=generate,
            max_generated=max_generated,
        )
    brief = with_references(brief, references, context)
    return _run_asking(context, {"brief": brief}, on_event, answer)


def illustrate(
    draft: str | Path,
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    images: Images = "auto",
    seed: int = 0,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    review: Sequence[Point] = (),
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    generate: str = "",
    max_generated: int = MAX_GENERATED,
) -> Article:
    """Add images to a finished text and leave the text as it is, character for character.

    draft: Markdown or plain text; a `Path` is read as a file. The other arguments and errors are those of `compose`.
    """
    settings, models = (settings or Settings()).allowing(generate), models_for(model, None)
    context = build_context(settings, library=library, models=models, max_tokens=max_tokens)
    about: dict[str, Any] = {"images": images, "seed": seed, "review": review}
    start = draft_state(draft, **about, generate=generate, max_generated=max_generated)
    return _run_asking(context, start, on_event, answer)


def build_graph(
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    selector_model: BaseChatModel | None = None,
    settings: Settings | None = None,
    checkpointer: BaseCheckpointSaver | None = None,
    context: Context | None = None,
) -> Graph:
    """The compiled LangGraph behind `compose` and `illustrate`, for your own program.

    Invoke it with {"brief": limner.Brief(text=...)}; the answer's "article" is the illustrated article. Compiled
    without a checkpointer it takes its parent graph's. Arguments as for `compose`, or a `context` of your own.
    """
    from limner.workflows import compose as graphs

    if context is None:
        context = build_context(settings, library=library, models=models_for(model, selector_model))
    return graphs.build_graph(context, checkpointer)


def revise(
    article: Article,
    wish: Wish | dict[str, Any] | str,
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    brief: Brief | None = None,
    settings: Settings | None = None,
    max_tokens: int | None = None,
) -> Article:
    """The article after a wish, e.g. "make the introduction shorter"; its notes say what could not be done.

    wish: a text, or one of limner.tools.editing.commands, also as JSON. library: where other images are looked for;
    it has to hold those of the article that are to be looked at. brief: what the article was written for.
    Locked blocks stay. Raises LimnerError: BadInput, UnreadableReply, ModelError, BudgetReached, LibraryError.
    """
    from limner.workflows.revise.graph import revise as revised

    context = build_context(settings, library=library, models=models_for(model, None), max_tokens=max_tokens)
    return revised(context, article, wish, brief)


def build_revise_graph(
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    settings: Settings | None = None,
    checkpointer: BaseCheckpointSaver | None = None,
    context: Context | None = None,
) -> Any:
    """The compiled LangGraph behind `revise`, which shows what it would do and waits for an answer.

    Invoke it with {"article": article, "wish": "…"}, then with Command(resume={"type": "accept"}): docs/review.md.
    Arguments as for `revise`, or a `context` of your own.
    """
    from limner.workflows.revise.graph import build_revise_graph as build

    if context is None:
        context = build_context(settings, library=library, models=models_for(model, None))
    return build(context, checkpointer)


def export(
    article: Article,
    folder: str | Path,
    *,
    formats: Sequence[str] = ("md", "html", "json"),
    image_side: int = 1600,
    keep_metadata: bool = False,
    settings: Settings | None = None,
) -> list[Path]:
    """Write an article and its images into a new folder and return the files; nothing half-written is left behind.

    formats: of "md", "html", "json"; "docx", "epub" and "pdf" with limner[export]; and those of plug-ins.
    image_side: px of the longer side that images within a page or a document have at most.
    keep_metadata: leave in the image files what they say beyond the picture (place, camera, faces, preview).
    Raises ExportFailed, NotInstalled, LibraryError where an image has vanished since, BadInput, PluginFailed.
    """
    from limner.tools.export import write_article

    settings = settings or Settings()
    names = sorted({i.library for i in article.illustrations if i.library})
    context = build_context(settings, library=names)
    written = write_article(article, Path(folder), context.image, formats, side=image_side, keep_metadata=keep_metadata)
    return list(written.files.values())


# --- what goes in --------------------------------------------------------------------------------------------------


def build_context(
    settings: Settings | None = None,
    *,
    library: Any = None,
    models: dict[Role, BaseChatModel] | None = None,
    max_tokens: int | None = None,
    encoders: Encoders | None = None,
) -> Context:
    """The parts of a composition, wired. library: as for `compose`; folders are indexed now. encoders: loaded ones.

    Nothing is started or asked until it is needed. Raises LibraryError, NotInstalled.
    """
    context = Context(settings or Settings(), [], dict(models or {}), Meter(budget=max_tokens))
    if encoders is not None:
        context.encoders = encoders
    refs = [library] if library is None or not isinstance(library, list | tuple) else library
    context.libraries = [open_library(context, ref) for ref in refs]
    return context


def open_library(context: Context, ref: Any, on_progress: Callable[[int, int], None] | None = None) -> Library:
    """A library by name, folder or itself; None and "starter" are the one that comes with limner."""
    from limner.tools.library import Library, open_or_index

    if isinstance(ref, Library):
        return ref
    settings = context.settings
    if ref is None or ref == STARTER:
        from limner.tools.library.starter import starter_library

        return starter_library(settings.home, context.encoders, on_progress, connect=context.connect)
    library, _report = open_or_index(
        settings.home,
        str(ref),
        context.encoders,
        on_progress,
        connect=context.connect,
        max_pixels=settings.max_pixels,
    )
    return library


def models_for(model: BaseChatModel | None, selector_model: BaseChatModel | None) -> dict[Role, BaseChatModel]:
    """One chat model for all roles, another for the selector if given."""
    roles: dict[Role, BaseChatModel] = {}
    if model is not None:
        roles = {"writer": model, "spotter": model, "selector": model}
    if selector_model is not None:
        roles["selector"] = selector_model
    return roles


def make_brief(
    text: str,
    *,
    images: Images = "auto",
    language: str | None = None,
    seed: int = 0,
    sources: Sequence[str | Path | Source] = (),
    review: Sequence[str] = (),
    generate: str = "",
    max_generated: int = MAX_GENERATED,
) -> Brief:
    """A checked Brief. Raises BadInput with one line for an empty or oversized one, or a count out of range."""
    text = printable(text).strip()
    if not any(c.isalnum() for c in text):
        raise BadInput('The brief is empty. Say what the article is about: limner compose "How bees make honey".')
    if len(text) > MAX_BRIEF:
        raise BadInput(
            f"The brief has {len(text):,} characters, more than {MAX_BRIEF:,}. Give long material with --source."
        )
    if images != "auto" and not 0 <= images <= MAX_IMAGES:
        raise BadInput(f"--images {images} is out of range. Give a number from 0 to {MAX_IMAGES}, or auto.")
    if not 0 <= max_generated <= MAX_IMAGES:
        raise BadInput(f"--max-generated {max_generated} is out of range. Give a number from 0 to {MAX_IMAGES}.")
    if generate:
        from limner.tools.plugins import find

        find("generator", generate)
    read = [s if isinstance(s, Source) else read_source(Path(s)) for s in sources]
    return Brief(
        text=text,
        images=images,
        language=_language(language),
        seed=seed,
        sources=tuple(read),
        review=read_points(review),
        generate=generate,
        max_generated=max_generated,
    )


def read_points(points: Sequence[str], known: Sequence[Point] = POINTS) -> tuple[Point, ...]:
    """Review points in the order in which they come. Raises BadInput for one that is not there."""
    if unknown := [p for p in points if p not in known]:
        raise BadInput(f"There is no review of {str(unknown[0])[:40]!r} here. Choose of: {', '.join(known)}.")
    return tuple(p for p in known if p in points)


def _language(code: str | None) -> str | None:
    if code is None or not code.strip():
        return None
    code = code.strip()
    parts = code.split("-")
    if not (2 <= len(parts[0]) <= 3 and all(p.isascii() and p.isalnum() and len(p) <= 8 for p in parts)):
        raise BadInput(f"{code[:40]!r} is not a language code. Write e.g. --language en, de or zh.")
    return code


def printable(text: str) -> str:
    """Text without control characters (they could rewrite a terminal) and with unpaired surrogates replaced."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in text if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f"))


def read_source(path: Path) -> Source:
    """A text file as material. Raises BadInput if it is missing, too long or not text."""
    return Source(name=path.name, text=printable(read_text(path).strip()))


def read_text(path: Path) -> str:
    """A text file with its line ends as they are. Raises BadInput if it is missing, too long or not UTF-8 text."""
    try:
        if path.stat().st_size > 4 * MAX_BRIEF:
            raise BadInput(f"{path} is larger than {4 * MAX_BRIEF:,} bytes. Give a shorter text.")
        data = path.read_bytes()
    except OSError as e:
        raise BadInput(f"{path} cannot be read ({e.strerror}). Check the name.") from e
    if b"\0" in data[:8192]:
        raise BadInput(f"{path} is not a text file. Give Markdown or plain text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise BadInput(
            f"{path} is not UTF-8 at byte {e.start}. Convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name}."
        ) from e


def draft_state(
    draft: str | Path,
    *,
    images: Images = "auto",
    seed: int = 0,
    review: Sequence[str] = (),
    generate: str = "",
    max_generated: int = MAX_GENERATED,
) -> Start:
    """The state that `illustrate` starts from. Raises BadInput for a draft without a paragraph."""
    text = read_text(draft) if isinstance(draft, Path) else draft
    named = f"Illustrate {draft.name if isinstance(draft, Path) else 'the text'}."
    points = read_points(review, [p for p in POINTS if p != "outline"])  # its text is there already
    about: dict[str, Any] = {"images": images, "seed": seed, "review": points}
    brief = make_brief(named, **about, generate=generate, max_generated=max_generated)
    article = read_markdown(text)
    if not article.paragraphs:
        raise BadInput("The draft has no paragraph that an image could stand after. Give a text with paragraphs.")
    from limner.agents.dialects.instruct import is_chinese

    title = article.title or (draft.stem if isinstance(draft, Path) else "")
    language = "zh" if is_chinese(text[:5000]) else "en"
    article = article.model_copy(update={"title": title, "language": language, "made_with": {"draft": True}})
    return {"brief": brief, "article": article}


def with_references(brief: Brief, files: Sequence[str | Path], context: Context) -> Brief:
    """The brief with image files that the article should use; they become a library of their own, searched first.

    The files are copied, so that a job can go on after they were moved. Raises BadInput, ImageUnreadable.
    """
    if not files:
        return brief
    from limner.tools.images.images import read_picture

    contents: dict[Path, bytes] = {}
    for path in map(Path, files):
        try:
            contents[path] = path.read_bytes()
        except OSError as e:
            raise BadInput(f"The image {path} cannot be read ({e.strerror}). Check the name.") from e
        read_picture(contents[path], max_pixels=context.settings.max_pixels)
    digest = hashlib.sha256(b"".join(hashlib.sha256(d).digest() for d in contents.values())).hexdigest()[:12]
    folder = context.settings.home / "references" / digest
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in contents.items():
        (folder / path.name).write_bytes(data)
        for sidecar in (path.with_suffix(".txt"), path.with_suffix(".json")):
            if sidecar.is_file():
                shutil.copyfile(sidecar, folder / sidecar.name)
    library = open_library(context, folder)
    context.libraries = [library, *context.libraries]
    references = tuple(Reference(image_id=r.id, caption=r.caption) for r in library.records())
    return brief.model_copy(update={"references": references})


class Asks(Exception):
    """The graph stopped to ask a person. `questions`: [{"id", "value"}], JSON."""

    def __init__(self, questions: list[dict[str, Any]]) -> None:
        super().__init__("the graph asks a person")
        self.questions = questions


# --- running -------------------------------------------------------------------------------------------------------


def run(
    context: Context,
    start: Start | Command | None,
    *,
    checkpointer: BaseCheckpointSaver | None = None,
    job: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    control: RunControl | None = None,
    graph: Any = None,
) -> Article:
    """Run the graph from `start`, or go on with `job` where start is None; returns the illustrated article.

    Raises Asks where the graph wants a person's answer; go on with start=Command(resume=answer).
    control: a way to have it stop at the next node; it then raises langgraph.errors.GraphDrained.
    graph: one of your own instead of the compose graph.
    """
    from limner.workflows import compose as graphs

    graph = graph or graphs.build_graph(context, checkpointer)
    config: Any = {"configurable": {"thread_id": job}} if job else {}
    # Saved before the next step begins: a step that was paid for must not be lost with the process.
    saving: Any = {"durability": "sync"} if checkpointer else {}
    article = start.get("article") if isinstance(start, dict) else None
    begin: Any = start
    for mode, event in graph.stream(begin, config, stream_mode=["custom", "updates"], control=control, **saving):
        if mode == "custom" and on_event:
            on_event(event)  # type: ignore[arg-type]
        elif mode == "updates":
            for update in event.values():  # type: ignore[union-attr]
                if isinstance(update, dict):  # a question to a person is none
                    article = update.get("article", article)
    if checkpointer is not None:
        state = graph.get_state(config)
        if state.interrupts:
            raise Asks([{"id": i.id, "value": i.value} for i in state.interrupts])
        article = state.values.get("article", article)
    if article is None:
        raise ExportFailed("The job ended without an article. Run the command again.")
    return article


def _run_asking(
    context: Context,
    start: Start,
    on_event: Callable[[Event], None] | None,
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None,
) -> Article:
    """Run to the end; each question goes to `answer`. Raises BadInput where there is nobody to answer."""
    if not start["brief"].review:
        return run(context, start, on_event=on_event)
    if answer is None:
        raise BadInput("A composition with review points asks questions. Give `answer`, a function that answers them.")
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    saver, given = InMemorySaver(), start
    while True:
        try:
            return run(context, given, checkpointer=saver, job="here", on_event=on_event)
        except Asks as asks:
            given = Command(resume=answer(asks.questions[0]["value"]))


@contextmanager
def checkpoints(home: Path) -> Iterator[BaseCheckpointSaver]:
    """The file that remembers how far each job got."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.checkpoint.sqlite import SqliteSaver

    home.mkdir(parents=True, exist_ok=True)
    # The graph's own checkpointer knows the types of its state; `job_state` reads without a graph.
    serde = JsonPlusSerializer(allowed_msgpack_modules=[Brief, Article, Spot, Candidate, Selection])
    with SqliteSaver.from_conn_string(str(home / CHECKPOINTS)) as saver:
        saver.serde = serde
        yield saver


def new_job(title: str) -> str:
    """A job's name: readable, and unlike any other."""
    from limner.tools.export import slug

    return f"{slug(title)[:40].strip('-')}-{secrets.token_hex(3)}"


def job_state(saver: BaseCheckpointSaver, job: str) -> dict[str, Any]:
    """What a job has done so far. Raises JobUnknown, naming the latest jobs."""
    found = saver.get_tuple({"configurable": {"thread_id": job}})
    if found is None:
        known = list(dict.fromkeys(_thread(t) for t in saver.list(None, limit=100)))
        names = f" The latest are: {', '.join(known[:5])}." if known else " There are none yet."
        raise JobUnknown(f"There is no job {job!r} to go on with.{names}")
    return found.checkpoint["channel_values"]


def _thread(checkpoint: CheckpointTuple) -> str:
    return checkpoint.config.get("configurable", {}).get("thread_id", "")
