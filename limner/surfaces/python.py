"""The Python API: the functions that `import limner` hands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.document import Article, Brief, Candidate, Point, Source
from limner.errors import BadInput
from limner.jobs.lately import lately
from limner.settings import Settings
from limner.workflows.context import Context
from limner.workflows.state import Event

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from limner.tools.editing.commands import Instruction
    from limner.workflows.ask import Answer, Image
    from limner.workflows.compose import Graph
    from limner.workflows.evaluate.report import Report
from limner.workflows.context import build_context
from limner.workflows.inputs import MAX_GENERATED, Images, Start, draft_state, make_brief
from limner.workflows.references import with_references
from limner.workflows.roles import models_for
from limner.workflows.run import Asks, run

FOLDER = "draft_folder"
"""Key of `made_with` for a draft's folder; exports and readers of article.json drop it."""


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
    max_cost: float | None = None,
    on_event: Callable[[Event], None] | None = None,
    review: Sequence[Point] = (),
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    generate: str = "",
    max_generated: int = MAX_GENERATED,
    check: bool | None = None,
    only: Sequence[str] = (),
) -> Article:
    """Write an article for a brief and illustrate it.

    library: name of a library, folder of images, `Library`, or a list of these; None takes the starter library. model:
    any LangChain chat model for all roles; None follows the settings, which default to the embedded model. images: how
    many, 0 to 100, or "auto". references: image files that the article should use. sources: files (or Source values)
    for the writer. max_tokens: limit of prompts and completions together. max_cost: limit in US dollars. on_event:
    called with the text as it grows and with each step. review: points at which `answer` gets a question and returns a
    person's answer: docs/review.md. generate: name of the plug-in that makes at most max_generated labelled images
    where nothing fits: docs/plugins.md. check: whether a model that sees says in notes which pictures do not show what
    their places want; None asks it about those that it chose by sight. only: filters that the images must pass, such as
    "licence=CC BY": docs/libraries.md. Raises LimnerError: BadInput, LibraryError, ModelError, BudgetReached; its
    message ends with what to do next.
    """
    settings, models = (settings or Settings()).allowing(generate), models_for(model, selector_model)
    context = build_context(settings, library=library, models=models, max_tokens=max_tokens, max_cost=max_cost)
    context.used = lately(settings)
    if not isinstance(brief, Brief):
        about: dict[str, Any] = {"images": images, "language": language, "seed": seed, "review": review}
        about |= {"generate": generate, "max_generated": max_generated, "check": check, "only": only}
        brief = make_brief(brief, **about, sources=sources)
    brief = with_references(brief, references, context)
    return _run_asking(context, {"brief": brief}, on_event, answer)


def illustrate(
    draft: str | Path,
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    images: Images = "auto",
    language: str | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    max_cost: float | None = None,
    on_event: Callable[[Event], None] | None = None,
    review: Sequence[Point] = (),
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    generate: str = "",
    max_generated: int = MAX_GENERATED,
    check: bool | None = None,
    only: Sequence[str] = (),
) -> Article:
    """Add images to a finished text and leave the text as it is, character for character.

    draft: Markdown or plain text; a `Path` is read as a file. language: a BCP 47 code; None takes the front matter's or
    detects it. The other arguments and errors are those of `compose`.
    """
    settings, models = (settings or Settings()).allowing(generate), models_for(model, None)
    context = build_context(settings, library=library, models=models, max_tokens=max_tokens, max_cost=max_cost)
    context.used = lately(settings)
    about: dict[str, Any] = {"images": images, "language": language, "seed": seed, "review": review}
    start = draft_state(draft, **about, generate=generate, max_generated=max_generated, check=check, only=only)
    article = _run_asking(context, start, on_event, answer)
    if not isinstance(draft, Path):
        return article
    folder = {FOLDER: str(draft.absolute().parent)}  # for `export`, which does not write it
    return article.model_copy(update={"made_with": {**article.made_with, **folder}})


def search(
    words: str = "",
    *,
    library: Any = None,
    like: Sequence[str | Path] = (),
    unlike: Sequence[str | Path] = (),
    diverse: bool = False,
    k: int = 12,
    only: Sequence[str] = (),
    settings: Settings | None = None,
) -> list[Candidate]:
    """The k images of one or more libraries that fit best: by words, by example pictures, or both.

    like: files of images, from anywhere, and images of the libraries by id or file name; unlike: images of the
    libraries that the result should not resemble. diverse: whether look-alikes give way. library, only: as for
    `compose`. Raises LimnerError; its message ends with what to do next.
    """
    from limner.tools.look import look, named

    settings = settings or Settings()
    context = build_context(settings, library=library)
    context.used = lately(settings)
    limit, used = context.limits(Brief(text=words, only=tuple(only)))
    wanted = named(context.libraries, list(map(str, like)), list(map(str, unlike)))
    wanted = replace(wanted, words=words, diverse=diverse)
    return look(context.libraries, wanted, k, limit, used or (), max_pixels=settings.max_pixels).images


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
    instruction: Instruction | dict[str, Any] | str,
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    brief: Brief | None = None,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    max_cost: float | None = None,
) -> Article:
    """The article after an instruction, e.g. "make the introduction shorter"; its notes say what could not be done.

    instruction: a text, or one of limner.tools.editing.commands, also as JSON. library: where to search other images;
    it must contain the article's images that a model should see. brief: the article's brief. Locked blocks stay. Raises
    LimnerError: BadInput, UnreadableReply, ModelError, BudgetReached, LibraryError.
    """
    from limner.workflows.revise.graph import revise as revised

    context = build_context(
        settings, library=library, models=models_for(model, None), max_tokens=max_tokens, max_cost=max_cost
    )
    return revised(context, article, instruction, brief)


def build_revise_graph(
    *,
    library: Any = None,
    model: BaseChatModel | None = None,
    settings: Settings | None = None,
    checkpointer: BaseCheckpointSaver | None = None,
    context: Context | None = None,
) -> Any:
    """The compiled LangGraph behind `revise`, which shows the proposed edits and waits for an answer.

    Invoke it with {"article": article, "instruction": "…"}, then with Command(resume={"type": "accept"}): see
    docs/review.md.
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
    beside: str | Path | None = None,
    image_side: int = 1600,
    keep_metadata: bool = False,
    settings: Settings | None = None,
) -> list[Path]:
    """Write an article and its images into a new folder and return the files; nothing half-written is left behind.

    formats: "md", "html", "json"; "docx", "epub" and "pdf" with limner[export]; and those of plug-ins. beside: folder
    of the draft, whose own images are shown and copied; None takes the folder of the file that `illustrate` got.
    image_side: limit in px of the longer side of images within a page or a document. keep_metadata: keep the private
    metadata of image files (place, camera, faces, preview). Raises ExportFailed, NotInstalled, LibraryError if an image
    has vanished, BadInput, PluginFailed.
    """
    from limner.exports import own_images, write_article

    settings = settings or Settings()
    names = sorted({i.library for i in article.illustrations if i.library})
    context = build_context(settings, library=names)
    drafts = beside or article.made_with.get(FOLDER)
    written = write_article(
        article,
        Path(folder),
        context.image,
        formats,
        beside=own_images(article, Path(drafts)) if drafts else None,
        side=image_side,
        keep_metadata=keep_metadata,
    )
    return list(written.files.values())


def evaluate(
    articles: str | Path | Sequence[str | Path],
    *,
    judge: BaseChatModel | None = None,
    runs: int = 3,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    page: str | Path | None = None,
) -> Report:
    """Measure finished articles; `means()`, `articles` and `json()` of the report have the figures.

    articles: folders that `export` wrote with "json", or folders of such folders. judge: a chat model that grades each
    article by the paper's rubric in `runs` runs; it is asked at once, without a question about the cost. max_tokens:
    its limit. page: file for a self-contained HTML page. The measures are explained in docs/evaluate.md. Raises
    BadInput if no article can be read, ModelError, BudgetReached.
    """
    from limner.workflows.evaluate import evaluation, judging
    from limner.workflows.evaluate.page import to_html
    from limner.workflows.evaluate.report import Report

    refs = [articles] if isinstance(articles, str | Path) else articles
    given, left_out = evaluation.read_all(refs)
    models = {"selector": judge} if judge is not None else {}
    context = build_context(settings, library=[], models=models, max_tokens=max_tokens)  # type: ignore[arg-type]
    sections, parts = [], {}
    if judge is not None:
        judged, name, sees = (
            judging.run(context, given, runs),
            context.speaker("selector").name,
            context.sees("selector"),
        )
        sections = judging.sections(judged, given, name, sees)
        parts = {"judge": judging.parts(judged, given, name, sees)}
    report = Report(evaluation.evaluate(given, context), left_out, sections=sections, parts=parts)
    if page is not None:
        Path(page).write_text(to_html(report), encoding="utf-8")
    return report


def ask(
    question: str,
    article: Article | str | Path | None = None,
    *,
    images: Sequence[Image] = (),
    library: Any = None,
    model: BaseChatModel | None = None,
    settings: Settings | None = None,
    max_tokens: int | None = None,
    max_cost: float | None = None,
) -> Answer:
    """Answer a question about an article and its pictures, in the question's language: docs/ask.md.

    article: an Article, or a folder that `export` wrote with "json". images: numbers of its pictures, from 1 in reading
    order, and image files; none takes the first 8 of the article. library: the one that has the pictures of an Article;
    None takes those that it names. model: any LangChain chat model; one that does not see answers from captions,
    credits and text, and a note of the answer says so. Raises LimnerError: BadInput, ImageUnreadable, LibraryError,
    UnreadableReply, ModelError, BudgetReached.
    """
    from limner.workflows.ask import ask as answered
    from limner.workflows.evaluate.reading import read_one

    data = None
    if isinstance(article, str | Path):
        given = read_one(article)
        article, data, library = given.article, given.data, library or []
    elif library is None:
        library = sorted({i.library for i in article.illustrations if i.library}) if article is not None else []
    models = {"selector": model} if model is not None else {}
    context = build_context(settings, library=library, models=models, max_tokens=max_tokens, max_cost=max_cost)  # type: ignore[arg-type]
    return answered(context, question, article, images, data)


def _run_asking(
    context: Context,
    start: Start,
    on_event: Callable[[Event], None] | None,
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None,
) -> Article:
    """Run to the end; each question goes to `answer`. Raises BadInput without one."""
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
