"""Implement the tools as functions that return a text for the model and a value for the program.

`Tools` belong to one tenant, for one call. With `jobs`, articles are jobs of the installation, with their history,
composed by its workers, or by this process if `workers` is False; without, the call composes them and stores them on
the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.config import get_stream_writer
from langgraph.types import Command

from limner.document import Article, Point, Spot
from limner.errors import BadInput, JobConflict, LimitReached
from limner.exports import fresh_folder, write_article
from limner.notes import note
from limner.surfaces.toolbox.articles import Articles
from limner.surfaces.toolbox.background import Background, Running
from limner.surfaces.toolbox.desk import Desk, Version, Work
from limner.surfaces.toolbox.texts import LONGEST_WAIT, ToolResult, accepted, asked, doing, notes_of, shown
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import Instruct
from limner.tools.library.filters import Filters
from limner.workflows import checking, steps
from limner.workflows.compose import build_graph
from limner.workflows.context import Context
from limner.workflows.inputs import Images, make_brief, read_words
from limner.workflows.listing import QUOTED, found, quoted
from limner.workflows.review import answers
from limner.workflows.revise.graph import propose
from limner.workflows.run import Asks, job_state, new_job, run
from limner.workflows.tenants import Scope, Tenant, Tenants

if TYPE_CHECKING:
    from limner.jobs.service import Jobs
    from limner.surfaces.toolbox.job_tools import JobTools
    from limner.workflows.state import Event


@dataclass
class Toolbox:
    """The parts that all calls share: limner's own, the jobs if any, and the export folder."""

    context: Context
    jobs: Jobs | None = None
    """With jobs, articles are jobs of the installation, with their history."""
    folder: Path | None = None
    """Where exports go; None is `exports` in limner's home."""
    background: Background | None = None
    """Where no workers compose: threads of this process do, so that a caller may go; None composes within the call."""
    workers: bool = True
    """With jobs: leave composing to the installation's workers. Otherwise this process composes."""
    afar: bool = False
    """Whether callers are on other machines: their answers then name no path of this one."""
    tenants: Tenants = field(init=False)

    def __post_init__(self) -> None:
        self.tenants = Tenants(self.context)

    @property
    def submits(self) -> bool:
        """Whether composing is left to workers."""
        return self.jobs is not None and self.workers

    def tools(
        self,
        tenant: Tenant,
        on_event: Callable[[Event], None] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Tools:
        """The tools of one tenant, for one call. check: called often while a model works; raises to end the work.

        Raises LibraryMissing for a library that does not exist.
        """
        made = Tools(self, self.tenants.scope(tenant, check), on_event)
        if (jobs := self.jobs) is not None:
            made.context.used = lambda n: jobs.ledger.shown_lately(n, tenant.owner)
        return made


@dataclass
class Tools:
    """The tools of one tenant."""

    toolbox: Toolbox
    scope: Scope
    on_event: Callable[[Event], None] | None = None

    @property
    def context(self) -> Context:
        """The tenant's libraries and models."""
        return self.scope.context

    @property
    def tenant(self) -> Tenant:
        """The tenant that the tools serve."""
        return self.scope.tenant

    @property
    def desk(self) -> Desk:
        """The store of working material, and of the tenant's articles where no ledger keeps them."""
        return Desk(self.context.settings.home, self.tenant.owner)

    @property
    def articles(self) -> Articles:
        """The tenant's articles."""
        return Articles(self.desk, self.tenant.owner, self.toolbox.jobs)

    @property
    def job_tools(self) -> JobTools | None:
        """The same for articles that are jobs; None without a ledger."""
        if self.toolbox.jobs is None:
            return None
        from limner.surfaces.toolbox.job_tools import JobTools  # needs another extra

        return JobTools(self.toolbox.jobs, self.scope, self.toolbox.tenants)

    # -- whole articles

    def compose(
        self,
        brief: str,
        images: Images = "auto",
        language: str | None = None,
        review: Sequence[Point] = (),
        wait_seconds: int = 0,
        only: Sequence[str] = (),
        check: bool | None = None,
    ) -> ToolResult:
        """Write and illustrate; with jobs, or in the background, come back at once with its id.

        review: points at which it stops; the value is then the question, and `answer` continues. only: filters that
        the images must pass. check: as in a brief.
        """
        made = make_brief(brief, images=images, language=language, review=review, only=only, check=check)
        if self.toolbox.submits:
            assert self.job_tools
            return self.job_tools.submit(brief, made, wait_seconds)
        self._check_tokens()
        if self.toolbox.background is not None:
            return self._in_background(new_job(made.text[:60]), {"brief": made}, wait_seconds)
        if made.review:
            return self._composed(new_job(made.text[:60]), {"brief": made})
        if self.on_event is None:  # within another graph, which gets its events and questions
            article = build_graph(self.context).invoke({"brief": made})["article"]  # type: ignore[typeddict-item]
        else:
            article = run(self.context, {"brief": made}, on_event=self.on_event)
        return self._kept(Work(brief=made, article=article, selections=article.selections, what="composed"))

    def answer(self, article: str, type: str, version: str, args: Any = None, wait_seconds: int = 0) -> ToolResult:
        """Answer an article's question, once, and continue to the next question or the end.

        Raises JobConflict for a late or second answer, and BadInput for one that does not fit the question.
        """
        given = {"type": type, "args": args, "version": version}
        if self.job_tools and self.articles.is_job(article):
            return self.job_tools.answer(article, given, wait_seconds)
        if not self.desk.waits(article):
            self.articles.latest(article)  # Raises JobUnknown if the article does not exist.
            raise JobConflict(f"The article {article} asks nothing: it was answered already. get_article shows it.")
        if self.toolbox.background is not None:
            return self._in_background(article, given, wait_seconds)
        return self._composed(article, given)

    def _in_background(self, name: str, given: Mapping[str, Any], wait_seconds: float) -> ToolResult:
        """Compose in a thread, wait for it as long as is wished, and say how far it is.

        Raises what can be said before the work begins; `get` reports whatever comes later.
        """
        background, owner = self.toolbox.background, self.tenant.owner
        assert background

        def work(running: Running) -> ToolResult:  # with a scope of its own: this call's ends when nobody waits
            alone = Tools(self.toolbox, self.toolbox.tenants.scope(self.tenant), running.on_event)
            return alone._composed(name, given, running.accept)

        found = background.get(owner, name)
        if found is not None and not found.ended and "brief" not in given:
            raise JobConflict(f"The article {name} was answered already and goes on. get_article shows how far it is.")
        running = background.start(owner, name, work, new="brief" in given)
        running.begun()
        return self._waited_for(name, running, wait_seconds) or ToolResult(accepted(name), None, name)

    def _waited_for(self, name: str, running: Running, seconds: float) -> ToolResult | None:
        """What came of it, None where it is still at work. Raises the error that it ended with."""
        hear = self.on_event or (lambda _event: None)
        if not running.wait(min(seconds, LONGEST_WAIT), hear, self.context.check):
            return None
        if running.error is not None:
            raise running.error
        assert running.result is not None
        return running.result

    def _composed(self, name: str, given: Mapping[str, Any], accept: Callable[[], None] = lambda: None) -> ToolResult:
        """A composition that stops to ask, from its beginning or from an answer to its next question or its end.

        accept: called once nothing is left that the caller should put right.
        """
        desk, begins = self.desk, "brief" in given
        desk.folder.mkdir(parents=True, exist_ok=True)
        on_event = self.on_event or _stream_writer()
        with desk.answering(name), desk.waiting() as saver:
            start: Any = given
            if not begins:
                state = build_graph(self.context, saver).get_state({"configurable": {"thread_id": name}})
                if state.interrupts:
                    answers.check(state.interrupts[0].value, given)
                    start = Command(resume=given)
                else:  # the last answer was taken, and something failed after it
                    start = None
            accept()
            try:
                article = _apart(
                    lambda: run(self.context, start, checkpointer=saver, job=name, on_event=on_event),
                )
            except Asks as asks:
                return asked(name, asks.questions[0]["value"])
            except BaseException:
                if begins:  # nobody knows its name yet
                    saver.delete_thread(name)
                raise
            brief = job_state(saver, name)["brief"]
            work = Work(brief=brief, article=article, selections=article.selections, what="composed")
            made = self._kept(work, name)
            saver.delete_thread(name)
        return made

    def _kept(self, work: Work, name: str = "") -> ToolResult:
        """Keep a new article, and show it."""
        libraries = [library.name for library in self.context.libraries]
        made = self.articles.begin(work, name, libraries=libraries, spent=self.context.meter.roles)
        return ToolResult(shown(made, work.article), work.article, made)

    def _check_tokens(self) -> None:
        """Raises LimitReached where the ledger says that the day's limit is reached."""
        jobs, owner = self.toolbox.jobs, self.tenant.owner
        if jobs and jobs.ledger.left_today(owner).spent:
            raise LimitReached(note("spent-today", who=owner))

    def revise(self, article: str, instruction: str) -> ToolResult:
        """Change an article by an instruction; locked parts stay."""
        if self.job_tools and self.articles.is_job(article):
            return self.job_tools.revise(article, instruction)
        version = self.articles.latest(article)
        old = version.work.article
        proposal = propose(self.scope.holding(old), old, Instruct(text=read_words(instruction)), version.work.brief)
        if not proposal.edits:
            return ToolResult(f"Nothing was changed. {quoted(proposal.summary, 500)}", old, article)
        new = edited(old, proposal.edits, self.scope.record_of(old))
        after = self.articles.go_on(version, article=new, what=instruction[:200])
        return self._made(after, f"Changed: {quoted(proposal.summary, 500)}\n")

    def get(self, article: str, start: int = 1, wait_seconds: int = 0) -> ToolResult:
        """Show an article block by block; if it is not done, its progress or its question."""
        if self.job_tools and self.articles.is_job(article):
            return self.job_tools.get(article, start, wait_seconds)
        running = self.toolbox.background and self.toolbox.background.get(self.tenant.owner, article)
        if running and (not running.ended or running.error is not None):
            waited = self._waited_for(article, running, wait_seconds)
            return waited or ToolResult(f"Article {article} {doing(running)}", None, article)
        if self.desk.waits(article):
            with self.desk.waiting() as saver:
                state = build_graph(self.context, saver).get_state({"configurable": {"thread_id": article}})
            if state.interrupts:
                return asked(article, state.interrupts[0].value)
            if self.toolbox.background is not None:  # the process that was at work on it is gone
                return self._in_background(article, {}, wait_seconds)
            says = f"Article {article} goes on after an answer. If nothing comes of it, answer again: it is taken up."
            return ToolResult(says, None, article)
        version = self.articles.latest(article)
        return ToolResult(shown(version.name, version.work.article, start), version.work.article, version.name)

    def export(self, article: str, format: str = "html") -> ToolResult:
        """Write an article's files into the export folder."""
        kept, found = self.article(article)
        parent = self.toolbox.folder or self.context.settings.home / "exports"
        parent = parent / self.desk.folder.name if self.tenant.owner != "local" else parent
        parent.mkdir(parents=True, exist_ok=True)
        holder = self.scope.holding(found)
        written = write_article(found, fresh_folder(parent, found.title), holder.image, (format,))
        paths = [str(path) for path in written.files.values()]
        if self.toolbox.afar:
            paths = [path.relative_to(parent).as_posix() for path in written.files.values()]
            says = f"Article {kept} is written to {', '.join(map(quoted, paths))} in the server's export folder."
            return ToolResult(says, paths, kept)
        return ToolResult(f"Article {kept} is written to {', '.join(map(quoted, paths))}.", paths, kept)

    # -- the four steps

    def write(self, brief: str, language: str | None = None) -> ToolResult:
        """Write only the text."""
        made = make_brief(brief, language=language)
        article = self.context.write(made, self._telling("write"))
        return self._kept(Work(brief=made, article=article, what="written"))

    def spot(self, article: str, images: Images = "auto", only: Sequence[str] = ()) -> ToolResult:
        """Propose places for images, and what each should show. only: filters that the images must pass."""
        version = self.articles.latest(article)
        limits = Filters.read(only).texts or version.work.brief.only
        brief = version.work.brief.model_copy(update={"images": images, "only": limits})
        text = steps.with_locked_images_only(version.work.article)
        spots, note = steps.spot(self.context, text, brief)
        made = version.work.article.noted(note)
        changes = {"article": made, "brief": brief, "spots": tuple(spots), "candidates": None, "selections": None}
        self.articles.go_on(version, **changes, what="spotted")
        lines = [f"{s.id} after [{s.after}]: {quoted(s.caption)}" for s in spots]
        head = [f"{len(spots)} places for images in article {article}. retrieve comes next."]
        return ToolResult("\n".join([*head, *notes_of([note]), *lines, QUOTED]), spots, article)

    def retrieve(self, article: str, shown: int = 3) -> ToolResult:
        """Find the library's candidates for every spot."""
        version = self.articles.latest(article)
        work = version.work
        spots = _needed(work.spots, article, "places for images", "spot")
        text = steps.with_locked_images_only(work.article)
        candidates = steps.retrieve(self.context, text, spots, work.brief)
        got = {spot_id: tuple(images) for spot_id, images in candidates.items()}
        self.articles.go_on(version, candidates=got, what="retrieved")
        lines = []
        for spot in spots:
            lines.append(f"{spot.id}: {quoted(spot.search)}")
            lines += [f"  {line}" for line in found(got.get(spot.id, ())[:shown])]
        return ToolResult(
            "\n".join([f"Candidates for article {article}. select comes next.", *lines, QUOTED]), got, article
        )

    def select(self, article: str) -> ToolResult:
        """Choose one image or none for every spot, and put the best set into the article."""
        version = self.articles.latest(article)
        work = version.work
        spots = _needed(work.spots, article, "places for images", "spot")
        if work.candidates is None:
            raise BadInput(f"The article {article} has no candidates yet. Call retrieve first.")
        text = steps.with_locked_images_only(work.article)
        selections = steps.select_all(
            self.context, text, spots, work.candidates, work.brief, lambda done: self._send("select", done, len(spots))
        )
        new = steps.arrange(self.context, text, selections, work.brief).article
        new = checking.check_all(self.context, new, work.brief)
        return self._made(self.articles.go_on(version, article=new, selections=tuple(selections), what="illustrated"))

    # -- inside

    def article(self, name: str) -> tuple[str, Article]:
        """(id, article). Raises JobUnknown, and JobConflict before a job has an article."""
        if self.toolbox.jobs is not None and self.articles.is_job(name):
            return name, self.toolbox.jobs.article(name, self.tenant.owner)
        version = self.articles.latest(name)
        return version.name, version.work.article

    def _made(self, version: Version, before: str = "") -> ToolResult:
        return ToolResult(before + shown(version.name, version.work.article), version.work.article, version.name)

    def _send(self, step: str, done: int, of: int) -> None:
        if self.on_event:
            self.on_event({"kind": "step", "step": step, "done": done, "of": of})

    def _telling(self, step: str) -> Callable[[str], None]:
        def emit(text: str) -> None:
            self.context.check()
            if self.on_event:
                self.on_event({"kind": "text", "step": step, "text": text})

        return emit


def _apart(work: Callable[[], Any]) -> Any:
    """Run a graph independently, even if a tool is called within another graph, so that its checkpoints and questions
    stay here."""
    within = copy_context()
    within.run(var_child_runnable_config.set, None)
    return within.run(work)


def _stream_writer() -> Callable[[Any], None] | None:
    """The stream of the graph in which a tool is called; None outside of a graph."""
    try:
        write, here = get_stream_writer(), copy_context()
    except (RuntimeError, KeyError):  # LangGraph's error outside of a graph
        return None
    return lambda event: here.run(write, event)  # the writer looks for its graph at each event


def _needed(spots: tuple[Spot, ...] | None, article: str, what: str, tool: str) -> tuple[Spot, ...]:
    if spots is None:
        raise BadInput(f"The article {article} has no {what} yet. Call {tool} first.")
    return spots
