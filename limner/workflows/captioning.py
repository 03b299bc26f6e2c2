"""Have a model that sees write captions for a library's pictures that have none.

Several pictures are asked about at once. Each answer is stored before its thread asks about another picture, so a run
that ends in any way is continued by the same call, and only the pictures in flight are asked about twice.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from limner.agents.dialects import caption as dialect
from limner.agents.dialects.caption import NoCaption
from limner.agents.prompts import estimate_tokens
from limner.errors import BadInput, ImageUnreadable, LibraryError, ModelRefused
from limner.notes import Note, note
from limner.text import one_line
from limner.tools.images.images import data_url
from limner.tools.library import suggesting
from limner.tools.library.folders import locked
from limner.tools.library.machine import Suggestion
from limner.tools.library.suggesting import Lacking, Surroundings, Without
from limner.workflows.context import PROMPT_SIDE, Context
from limner.workflows.inputs import language_code

if TYPE_CHECKING:
    from limner.agents.speaker import Speaker
    from limner.tools.library import Library, Record

ONE = "data:image/jpeg;base64,"  # stands for a picture in an estimate
WRITTEN = 110  # tokens of an answer: three sentences as JSON
SEVERAL = 4  # pictures that a server is asked about at once unless LIMNER_WORKERS says otherwise, as for jobs
ENCODED = 32  # captions after which vectors are brought up to date
REFUSALS = 3  # pictures in a row that a server refuses before the run ends
_HAS = {"caption": "described", "alt": "alt"}
"""Per field what tells that a record has it."""
_SAMPLE = 20  # questions whose tokens are estimated


class Plan(NamedTuple):
    """What a run would do, before anything is asked."""

    without: Without
    lacking: Lacking
    language: str
    """BCP 47."""
    tokens: int
    """Estimated tokens of prompts and answers."""
    around: Surroundings
    """What is known of the pictures."""
    again: bool = False
    """Whether pictures count about which this model was asked in vain."""

    def line(self, model: str, several: int) -> Note:
        """The cost, in one line."""
        n = len(self.lacking.images)
        code = "plan-captions" if n != 1 else "plan-caption"
        return note(code, n=n, model=model, tokens=self.tokens, language=self.language, several=several)


class LeftOut(NamedTuple):
    """An image without words, and the reason."""

    record: Record
    why: Note
    afar: Note
    """The same for callers on other machines: without paths of this one."""


@dataclass
class Outcome:
    """What a run did."""

    written: list[str] = field(default_factory=list)
    """Ids of the images that have machine-made words now."""
    left_out: list[LeftOut] = field(default_factory=list)
    """The others that were tried."""
    vain: int = 0
    """Planned ones about which this model, whose name its server told only now, was asked in vain before."""

    @property
    def reasons(self) -> dict[str, int]:
        """How many were left out, by reason."""
        return dict(Counter(str(left.why) for left in self.left_out).most_common())


def several(context: Context) -> int:
    """How many pictures are asked about at once."""
    return context.settings.workers or (1 if context.embedded("selector") else SEVERAL)


def model_of(context: Context) -> str:
    """The model's name as far as it is known without asking its server. Raises BadInput if there is none that sees."""
    if context.demonstrates("selector"):
        raise BadInput(note("captions-embedded"))
    settings = context.settings
    return context.known_name("selector") or settings.selector_model or settings.model or note("model-first")


def plan(
    context: Context,
    library: Library,
    without: Without = "",
    language: str | None = None,
    limit: int | None = None,
    after: str = "",
    again: bool = False,
) -> Plan:
    """The questions of a run, before it asks any server. limit: at most so many pictures; after: only those behind this
    one, by path; again: also those about which this model was asked in vain, as all are while its name is not known.

    language: of the captions, BCP 47; None takes that of the captions that the library has, else LIMNER_LANGUAGE.
    Raises BadInput.
    """
    usual = language_code(context.settings.language) or "en"
    spoken = language_code(language) or suggesting.language(library) or usual
    named = "" if again else context.known_name("selector")
    found = suggesting.lacking(library, without, named, spoken)
    start = (after and library.record(after).path, after)
    images = [record for record in found.images if (record.path, record.id) > start][:limit]
    if images:
        model_of(context)
    around = Surroundings(library, json.loads(library.meta("folders") or "[]"))
    some = images[:: max(1, len(images) // _SAMPLE)]
    each = [estimate_tokens(dialect.ask_caption(ONE, around.known(r), spoken)) + WRITTEN for r in some]
    tokens = round(sum(each) / len(each) * len(images), -2) if each else 0
    return Plan(without, found._replace(images=images), spoken, int(tokens), around, again)


def check(context: Context, language: str) -> None:
    """Raises BadInput, in one line with what to do, if the model does not see, or not write this language."""
    name, known = context.speaker("selector").name, list(context.dialect("selector").captions_in)
    if not context.sees("selector"):
        reasons = [n.params["reason"] for n in context.model_notes("selector") if "reason" in n.params]
        raise BadInput(note("captions-blind", model=name, reason=(reasons or ["it is a text model"])[0]))
    if known and language.lower().partition("-")[0] not in known:
        raise BadInput(note("captions-language", model=name, language=language, known=known))


def run(
    context: Context,
    library: Library,
    plan: Plan,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Ask about the planned images and store the answers. Call `check` first. outcome: grows as the run does.

    Images that got words since the plan are not asked about, nor those that this model was asked about in vain; its
    server has told its name by now. Unusable answers, unreadable files and pictures that the server refuses are left
    out, with the reason. Raises LibraryBusy while another run asks about the same library, BudgetReached, ModelError;
    what is stored stays, and the same call goes on with the rest.
    """
    outcome = outcome or Outcome()
    if not plan.lacking.images:
        return outcome
    with locked(library.home, library.name, 0, "~captions"):
        model = "" if plan.again else context.speaker("selector").name
        planned = [record.id for record in plan.lacking.images]
        lacking = suggesting.lacking(library, plan.without, model, plan.language, planned)
        outcome.vain = lacking.vain
        return _Run(context, library, plan, outcome).through(lacking.images, on_progress)


class _Run:
    def __init__(self, context: Context, library: Library, plan: Plan, outcome: Outcome) -> None:
        self.context, self.library, self.outcome = context, library, outcome
        self.language, self.around = plan.language, plan.around
        self.dialect = context.dialect("selector")
        self.speaker: Speaker = dataclasses.replace(context.speaker("selector"), role="captioner")
        self.refused = 0

    def through(self, images: Sequence[Record], on_progress: Callable[[int, int], None]) -> Outcome:
        done = 0
        try:
            for left in self._answered(images):
                done += 1
                if left is not None:
                    self.outcome.left_out.append(left)
                on_progress(done, len(images))
                if done % ENCODED == 0:
                    self.library.freshen(0)
        finally:
            self.library.freshen()
        return self.outcome

    def _answered(self, images: Sequence[Record]) -> Iterator[LeftOut | None]:
        """What `_one` says of each image as it is done. An error that ends the run waits for the pictures in flight."""
        left = iter(images)
        with ThreadPoolExecutor(several(self.context), "limner-captions") as threads:
            running: set[Future[LeftOut | None]] = set()
            while True:
                while len(running) < several(self.context) and (record := next(left, None)):
                    running.add(threads.submit(self._one, record))
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    running.remove(future)
                    yield future.result()

    def _one(self, record: Record) -> LeftOut | None:
        """Ask about an image and store the answer; None if that went well."""
        try:
            image = data_url(self.library.image(record.id), PROMPT_SIDE, max_pixels=self.context.settings.max_pixels)
        except (LibraryError, ImageUnreadable) as e:
            return LeftOut(record, e.note, e.afar)
        try:
            said = self.dialect.describe(image, self.around.known(record), self.language, self.speaker, self._is_in)
        except NoCaption as e:
            self.refused = 0
            self._keep(record, problem=e.why)
            return LeftOut(record, note(e.why), note(e.why))
        except ModelRefused as e:
            # Some servers refuse single pictures, for their content or size; one that takes none refuses all.
            self.refused += 1
            if e.status not in (400, 413, 422) or self.refused >= REFUSALS:
                raise
            self._keep(record, problem="uncaptioned-server")  # else each run would end at the same pictures
            line = note("uncaptioned-server", line=one_line(e.answer))
            return LeftOut(record, line, line)
        self.refused = 0
        self._keep(record, **{f: text for f, text in said._asdict().items() if not getattr(record, _HAS[f])})
        self.outcome.written.append(record.id)
        return None

    def _keep(self, record: Record, caption: str = "", alt: str = "", problem: str = "") -> None:
        made = Suggestion(caption, alt, self.language, self.speaker.name, time.time(), problem)
        suggesting.suggest(self.library, {record.id: made})

    def _is_in(self, text: str) -> bool:
        return suggesting.is_in(text, self.language)
