"""What the tools do, as functions: a text that a model reads, and a value for the program.

A `Craft` belongs to one tenant for one call. With `jobs`, articles are jobs of the installation and composing is left
to its workers; without, they are made here and now and kept on the desk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.config import get_stream_writer

from limner.agents.meter import Meter
from limner.document import Article, Brief, Candidate, Point, Selection, Spot
from limner.errors import BadInput, JobConflict, JobUnknown, LibraryMissing, LimitReached, UnreadableReply
from limner.surfaces.toolbox.desk import Desk, Version, Work
from limner.tools.listing import QUOTED, asked, found, numbered, outline, quoted
from limner.workflows.compose import build_graph
from limner.workflows.context import Context, open_library
from limner.workflows.inputs import Images, make_brief
from limner.workflows.review import answers, questions
from limner.workflows.run import Asks, job_state, new_job, run

if TYPE_CHECKING:
    from limner.jobs.owners import Owner
    from limner.jobs.service import Jobs
    from limner.tools.library import Library
    from limner.workflows.state import Event

LONGEST_WAIT = 60  # seconds that a model may wait for a job in one call: its own callers have timeouts too


@dataclass(frozen=True)
class Tenant:
    """For whom a tool is called."""

    owner: str = "local"
    """Whose articles these are; one owner never sees another's."""
    libraries: tuple[str, ...] | None = None
    """Names of the libraries to use instead of those the toolbox was made with."""
    max_tokens: int | None = None
    """Tokens that this owner may spend while this process runs. With jobs: in each job, beside the ledger's limits."""


class Told(NamedTuple):
    """What came of it."""

    says: str
    """For the model."""
    value: Any
    """For the program: an Article, Candidates, paths …"""
    article: str = ""
    """Id of the article that it is about."""


@dataclass
class Shared(Meter):
    """Counts one call's tokens, and those of all calls of its tenant."""

    whole: Meter = field(default_factory=Meter)

    def allow(self, prompt: int, completion: int) -> None:
        """Raises BudgetReached if the tenant's budget does not allow this call."""
        self.whole.allow(prompt, completion)

    def count(self, role: str, prompt: int, completion: int, cached: int = 0, estimated: bool = False) -> None:
        """Add one call's tokens to both."""
        super().count(role, prompt, completion, cached, estimated)
        self.whole.count(role, prompt, completion, cached, estimated)


class Attended:
    """Added to a context's class: its work ends once nobody waits for it any more, also while the writer writes."""

    check: Callable[[], None]
    """Raises what ends it."""

    def write(self, brief: Brief, emit: Callable[[str], None]) -> Article:
        """As `Context.write`."""

        def heard(text: str) -> None:
            self.check()
            emit(text)

        return super().write(brief, heard)  # type: ignore[misc]


def _attended(context: Context, meter: Meter, check: Callable[[], None]) -> Context:
    """The same parts for one call: what a product overrode in a class of its own holds for it as well."""
    kind = type(context)
    made = copy(context)
    made.__class__ = type(kind.__name__, (Attended, kind), {})
    made.check = check  # type: ignore[attr-defined]
    made.meter, made.memory, made.origin = meter, None, context
    made.enter = lambda _step: check()
    made.libraries = list(context.libraries)
    made._speakers, made._lock = {}, threading.RLock()
    return made


@dataclass
class Shop:
    """What all calls share: the parts of limner, the articles, who may spend how much."""

    context: Context
    jobs: Jobs | None = None
    folder: Path | None = None
    """Where exports go; None is `exports` in limner's home."""
    _meters: dict[str, Meter] = field(default_factory=dict)
    _opened: dict[str, Library] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def craft(
        self,
        tenant: Tenant,
        on_event: Callable[[Event], None] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Craft:
        """The tools of one tenant. check: called often while a model works; what it raises ends the work.

        Raises LibraryMissing for a library that is not there.
        """
        with self._lock:
            whole = self._meters.setdefault(tenant.owner, Meter())
            whole.budget = tenant.max_tokens
            context = _attended(self.context, Shared(whole=whole), check)
            if tenant.libraries is not None:
                context.libraries = [self._open(name) for name in tenant.libraries]
        return Craft(self, context, tenant, on_event)

    def _open(self, name: str) -> Library:
        from limner.tools.library import libraries

        # By name alone: a tenant's library may not be a path, which would be indexed on the spot.
        if name != "starter" and name not in libraries(self.context.settings.home):
            raise LibraryMissing(f"There is no library {name[:64]!r}. `limner library list` shows them.")
        if name not in self._opened:
            self._opened[name] = open_library(self.context, name)
        return self._opened[name]


@dataclass
class Craft:
    """The ten tools, for one tenant."""

    shop: Shop
    context: Context
    tenant: Tenant
    on_event: Callable[[Event], None] | None = None

    @property
    def desk(self) -> Desk:
        return Desk(self.context.settings.home, self.tenant.owner)

    @property
    def owner(self) -> Owner:
        """Who this is to the ledger."""
        assert self.shop.jobs
        owner = self.shop.jobs.owners.get(self.tenant.owner)
        if self.tenant.libraries is not None:  # the product says which: never more than the ledger allows
            allowed = tuple(name for name in self.tenant.libraries if owner.may_use(name))
            owner = replace(owner, libraries=allowed)
        return owner

    # -- whole articles

    def compose(
        self,
        brief: str,
        images: Images = "auto",
        language: str | None = None,
        review: Sequence[Point] = (),
        wait_seconds: int = 0,
    ) -> Told:
        """Write and illustrate; with jobs, submit it and come back at once with its id.

        review: points at which it stops; what it asks is the value then, and `answer` goes on.
        """
        made = make_brief(brief, images=images, language=language, review=review)
        if self.shop.jobs is not None:
            return self._submit(brief, images, language, made.review, wait_seconds)
        if made.review:
            return self._composed(new_job(made.text[:60]), {"brief": made})
        if self.on_event is None:  # within somebody's graph: its events pass through, its questions surface there
            article = build_graph(self.context).invoke({"brief": made})["article"]  # type: ignore[typeddict-item]
        else:
            article = run(self.context, {"brief": made}, on_event=self.on_event)
        work = Work(brief=made, article=article, selections=article.selections, what="composed")
        return self._made(self.desk.begin(work))

    def answer(self, article: str, type: str, version: str, args: Any = None, wait_seconds: int = 0) -> Told:
        """Answer what an article asks, once, and go on to the next question or the end.

        Raises JobConflict for an answer that comes late or twice; BadInput for one that does not fit the question.
        """
        given = {"type": type, "args": args, "version": version}
        if self.shop.jobs is not None and self._is_job(article):
            self.shop.jobs.answer(article, given, self.tenant.owner)
            if wait_seconds:
                return self.get(article, wait_seconds=wait_seconds)
            says = f"The answer is taken and article {article} goes on. get_article shows how far it is."
            return Told(says, None, article)
        if not self.desk.waits(article):
            self.desk.latest(article)  # Raises JobUnknown where there is none at all.
            raise JobConflict(f"The article {article} asks nothing: it was answered already. get_article shows it.")
        return self._composed(article, given)

    def _composed(self, name: str, given: Mapping[str, Any]) -> Told:
        """A composition that stops to ask, from its beginning or from an answer to its next question or its end."""
        from langgraph.types import Command

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
                else:  # the answer before was taken, and something went wrong after it
                    start = None
            try:
                article = _apart(
                    lambda: run(self.context, start, checkpointer=saver, job=name, on_event=on_event),
                )
            except Asks as asks:
                return self._asked(name, asks.questions[0]["value"])
            except BaseException:
                if begins:  # nobody has heard its name
                    saver.delete_thread(name)
                raise
            brief = job_state(saver, name)["brief"]
            work = Work(brief=brief, article=article, selections=article.selections, what="composed")
            made = desk.begin(work, name)
            saver.delete_thread(name)
        return self._made(made)

    def _asked(self, name: str, question: dict[str, Any]) -> Told:
        return Told(asked(name, question), question, name)

    def _submit(self, brief: str, images: Images, language: str | None, points: tuple[Point, ...], wait: int) -> Told:
        from limner.jobs.request import JobRequest

        assert self.shop.jobs
        names = list(self.tenant.libraries or [library.name for library in self.context.libraries])
        request = JobRequest(
            brief=brief,
            images=images,
            language=language,
            review=list(points),
            library=names,
            max_tokens=self.tenant.max_tokens,
        )
        ((job, _new),) = self.shop.jobs.submit([request], self.owner)
        if wait:
            return self.get(job.id, wait_seconds=wait)
        says = (
            f"Accepted as article {job.id}; it is being written and this takes a while. Tell the user that it is on "
            f"its way. get_article with article={job.id} shows how far it is, and the article once it is done."
        )
        return Told(says, None, job.id)

    def revise(self, article: str, instruction: str) -> Told:
        """Change an article as it is told; locked parts stay."""
        from limner.tools.editing.commands import Instruct

        if self.shop.jobs is not None and self._is_job(article):
            return self._revise_job(article, instruction)
        from limner.tools.editing.apply import edited
        from limner.workflows.revise.graph import propose

        version = self.desk.latest(article)
        old = version.work.article
        proposal = propose(self.holding(old), old, Instruct(text=_text(instruction)), version.work.brief)
        if not proposal.edits:
            return Told(f"Nothing was changed. {quoted(proposal.says, 500)}", old, article)
        new = edited(old, proposal.edits, self.record_of(old))
        after = self.desk.go_on(version, article=new, what=instruction[:200])
        return self._made(after, f"Changed: {quoted(proposal.says, 500)}\n")

    def _revise_job(self, job: str, instruction: str) -> Told:
        from limner.jobs.history.revisions import Revisions
        from limner.jobs.request import read_request, start_of
        from limner.tools.editing.commands import Instruct
        from limner.workflows.revise.graph import propose

        assert self.shop.jobs
        ledger, owner = self.shop.jobs.ledger, self.tenant.owner
        revisions = Revisions(ledger)
        head = revisions.show(job, owner)
        left = ledger.left_today(owner)
        if left is not None and left <= 0:
            raise LimitReached(f"{owner} has spent today's tokens. Ask again after midnight UTC.", 3600)
        brief = start_of(read_request(ledger.request(job)))["brief"]
        context = self.holding(head.article)
        before = context.meter.total
        try:
            proposal = propose(context, head.article, Instruct(text=_text(instruction)), brief)
        finally:
            if context.meter.total > before:
                ledger.paid(job, "revise", context.meter.roles)
        if not proposal.edits:
            return Told(f"Nothing was changed. {quoted(proposal.says, 500)}", head.article, job)
        after = revisions.edit(
            job,
            proposal.edits,
            head.version.number,
            owner,
            self.record_of(head.article),
            owner=owner,
            what=instruction[:200],
            by="model",
        )
        return Told(f"Changed: {quoted(proposal.says, 500)}\n{self._shown(job, after.article)}", after.article, job)

    def get(self, article: str, start: int = 1, wait_seconds: int = 0) -> Told:
        """An article block by block; of one that is not done, how far it is, or what it asks."""
        if self.shop.jobs is not None and self._is_job(article):
            job = self._waited(article, min(wait_seconds, LONGEST_WAIT))
            if job.state == "waiting" and (question := questions.ours(job.question)) is not None:
                return self._asked(job.id, question)
            if job.state != "done":
                from limner.jobs.progress import progress

                line = progress(job, self.context.settings.stuck)
                return Told(f"Article {job.id} is {job.state.replace('_', ' ')}: {quoted(line, 500)}", None, job.id)
            found = self.shop.jobs.article(article, self.tenant.owner)
            return Told(self._shown(article, found, start), found, article)
        if self.desk.waits(article):
            with self.desk.waiting() as saver:
                state = build_graph(self.context, saver).get_state({"configurable": {"thread_id": article}})
            if state.interrupts:
                return self._asked(article, state.interrupts[0].value)
            says = f"Article {article} goes on after an answer. If nothing comes of it, answer again: it is taken up."
            return Told(says, None, article)
        version = self.desk.latest(article)
        return Told(self._shown(version.name, version.work.article, start), version.work.article, version.name)

    def export(self, article: str, format: str = "html") -> Told:
        """Write an article's files into the export folder."""
        from limner.tools.export import fresh_folder, write_article

        kept, found = self.article(article)
        parent = self.shop.folder or self.context.settings.home / "exports"
        parent = parent / self.desk.folder.name if self.tenant.owner != "local" else parent
        parent.mkdir(parents=True, exist_ok=True)
        holder = self.holding(found)
        written = write_article(found, fresh_folder(parent, found.title), holder.image, (format,))
        paths = [str(path) for path in written.files.values()]
        return Told(f"Article {kept} is written to {', '.join(map(quoted, paths))}.", paths, kept)

    # -- the four steps

    def write(self, brief: str, language: str | None = None) -> Told:
        """The text alone."""
        made = make_brief(brief, language=language)
        article = self.context.write(made, self._telling("write"))
        version = self.desk.begin(Work(brief=made, article=article, what="written"))
        return self._made(version)

    def spot(self, article: str, images: Images = "auto") -> Told:
        """Where images belong, and what each should show."""
        version = self.desk.latest(article)
        brief = version.work.brief.model_copy(update={"images": images})
        text = version.work.article
        try:
            spots = self.context.spot(text, brief) if images != 0 and text.paragraphs else []
        except UnreadableReply:
            spots = self.context.spot_from_text(text)
        self.desk.go_on(version, brief=brief, spots=tuple(spots), candidates=None, selections=None, what="spotted")
        lines = [f"{s.id} after [{s.after}]: {quoted(s.caption)}" for s in spots]
        head = f"{len(spots)} places for images in article {article}. retrieve comes next."
        return Told("\n".join([head, *lines, QUOTED]), spots, article)

    def retrieve(self, article: str, shown: int = 3) -> Told:
        """Candidates of the library for every spot."""
        version = self.desk.latest(article)
        spots = _needed(version.work.spots, article, "places for images", "spot")
        got = {k: tuple(v) for k, v in self.context.retrieve(spots, version.work.brief).items()}
        self.desk.go_on(version, candidates=got, what="retrieved")
        lines = []
        for spot in spots:
            lines.append(f"{spot.id}: {quoted(spot.search)}")
            lines += [f"  {line}" for line in found(got.get(spot.id, ())[:shown])]
        return Told("\n".join([f"Candidates for article {article}. select comes next.", *lines, QUOTED]), got, article)

    def select(self, article: str) -> Told:
        """One image or none for every spot, and the best set of them in the article."""
        from limner.tools.arrange import arrange, shortfall
        from limner.tools.illustrate import illustrated

        version = self.desk.latest(article)
        work = version.work
        spots = _needed(work.spots, article, "places for images", "spot")
        got = work.candidates
        if got is None:
            raise BadInput(f"The article {article} has no candidates yet. Call retrieve first.")
        selections = self._selections(work, spots, got)
        kept, why = arrange(work.article, selections, work.brief.images)
        new = illustrated(work.article, selections, kept, why).noted(shortfall(selections, work.brief.images, kept))
        new = new.model_copy(update={"made_with": {**new.made_with, **self.context.provenance(work.brief)}})
        return self._made(self.desk.go_on(version, article=new, selections=tuple(selections), what="illustrated"))

    def _selections(self, work: Work, spots: Sequence[Spot], got: Mapping[str, Sequence[Candidate]]) -> list[Selection]:
        if not self.context.judges():
            return [Selection(spot=s, candidates=tuple(got.get(s.id, ())), by="similarity") for s in spots]
        done: list[Selection] = []
        for spot in spots:
            chosen = [(s.spot, c) for s in done for c in s.candidates if c.image_id == s.choice]
            done.append(self.context.select(work.article, spot, got.get(spot.id, ()), chosen, work.brief))
            if self.on_event:
                self.on_event({"kind": "step", "step": "select", "done": len(done), "of": len(spots)})
        return done

    # -- images

    def search(self, query: str, count: int = 6) -> Told:
        """Images that show what a line says."""
        from limner.tools.retrieve import retrieve

        wanted = _text(query)[:500]
        spot = Spot(id="search", after="", caption=wanted, search=wanted)
        got = retrieve(self.context.libraries, [spot], count)["search"]
        lines = found(got)
        return Told("\n".join([f"{len(got)} images, best first:", *lines, QUOTED]), got)

    # -- inside

    def record_of(self, article: Article) -> Callable[[str, str], Any]:
        """What is known of an image that this article may take: of the tenant's libraries, or its own."""
        libraries = {library.name: library for library in self.holding(article).libraries}

        def record(library: str, image_id: str) -> Any:
            if library not in libraries:
                raise LibraryMissing(f"There is no library {library[:64]!r} for you. Use an image that was found.")
            return libraries[library].record(image_id)

        return record

    def holding(self, article: Article) -> Context:
        """A context that finds the images of an article: they may be of other libraries than those used now."""
        names = {i.library for i in article.illustrations if i.library}
        there = {library.name for library in self.context.libraries}
        with self.shop._lock:
            more = [self.shop._open(name) for name in sorted(names - there)]
        if not more:
            return self.context
        context = copy(self.context)
        context.libraries = [*self.context.libraries, *more]
        return context

    def article(self, name: str) -> tuple[str, Article]:
        """(its id, the article itself). Raises JobUnknown; JobConflict while a job has none."""
        if self.shop.jobs is not None and self._is_job(name):
            return name, self.shop.jobs.article(name, self.tenant.owner)
        version = self.desk.latest(name)
        return version.name, version.work.article

    def _is_job(self, name: str) -> bool:
        assert self.shop.jobs
        try:
            self.shop.jobs.ledger.job(name, self.tenant.owner)
        except JobUnknown:
            return False
        return True

    def _waited(self, name: str, seconds: float) -> Any:
        """The job, once it has ended or the seconds are over."""
        import time

        assert self.shop.jobs
        end = time.monotonic() + seconds
        while True:
            job = self.shop.jobs.ledger.job(name, self.tenant.owner)
            if job.ended or job.state == "waiting" or time.monotonic() >= end:
                return job
            time.sleep(0.2)

    def _made(self, version: Version, before: str = "") -> Told:
        return Told(before + self._shown(version.name, version.work.article), version.work.article, version.name)

    def _shown(self, name: str, article: Article, start: int = 1) -> str:
        notes = [f"Note: {quoted(note, 400)}" for note in article.notes]
        return "\n".join([f"Article {name}: {outline(article)}.", numbered(article, start), *notes, QUOTED])

    def _telling(self, step: str) -> Callable[[str], None]:
        if self.on_event is None:
            return lambda _text: None
        on_event = self.on_event
        return lambda text: on_event({"kind": "text", "step": step, "text": text})


def _apart(work: Callable[[], Any]) -> Any:
    """Run a graph as one of its own, though a tool is called within another: what it keeps and asks stays here."""
    within = copy_context()
    within.run(var_child_runnable_config.set, None)
    return within.run(work)


def _stream_writer() -> Callable[[Any], None] | None:
    """Where the events of a graph go that a tool is called in; None outside of one."""
    try:
        write, here = get_stream_writer(), copy_context()
    except (RuntimeError, KeyError):  # how LangGraph says that there is no graph around
        return None
    return lambda event: here.run(write, event)  # the writer looks for its graph at each event


def _needed(spots: tuple[Spot, ...] | None, article: str, what: str, tool: str) -> tuple[Spot, ...]:
    if spots is None:
        raise BadInput(f"The article {article} has no {what} yet. Call {tool} first.")
    return spots


def _text(words: str) -> str:
    from limner.text import printable

    text = printable(words).strip()
    if not text:
        raise BadInput("Nothing was said. Put what is wanted into words.")
    return text
