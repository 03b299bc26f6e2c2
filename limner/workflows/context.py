"""Wire the parts of a composition: from Settings to a Context."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from limner.agents import reranker, selector
from limner.agents.dialects import dialect_for, parameters
from limner.agents.families.families import BUILT_IN, Dialect
from limner.agents.meter import Meter, Usage
from limner.agents.reranker import Reranker
from limner.agents.speaker import Memory, Role, Speaker
from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.errors import BadInput, LibraryError, LimnerError, PluginFailed
from limner.models.language import is_local
from limner.notes import Note, note
from limner.settings import Settings, is_chosen
from limner.tools import generate, plugins
from limner.tools.chance import unrelated_texts
from limner.tools.encoders import default_encoders
from limner.tools.generate import Generator, Shelf
from limner.tools.images.images import data_url, displayable, size_of
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library import Library, open_or_index
from limner.tools.library.filters import ANYTIME, Filters
from limner.tools.retrieve import remarks, retrieve
from limner.tools.server_store import ServerStore, server
from limner.tools.spotting import spots_from_text
from limner.version import __version__
from limner.workflows.allowed import SAMPLE, STARTER
from limner.workflows.models import _chat_model, connect, connect_reranker, handed, speaker_for

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from limner.tools.encoders import Encoders
    from limner.tools.generate import Generator, Shelf
    from limner.tools.library import Connect, Library, Record
    from limner.workflows.embedded.server import EmbeddedServer

CANDIDATES = 50  # images per spot for arrange; the selector sees the best four
STEPWISE_BELOW = (
    4e9  # parameters; of three wishes a model of 1.5 billion understood none in one answer (bench/wishes.md)
)
ROLES: tuple[Role, ...] = ("selector", "spotter", "writer", "reviser")
Used = Callable[[int], Collection[str] | None]
PROMPT_SIDE = 512  # px of the longer side of an image in a prompt


@dataclass
class Context:
    """Everything that the graph's nodes call. Tests build one with other parts."""

    settings: Settings
    libraries: Sequence[Library]
    models: dict[Role, BaseChatModel] = field(default_factory=dict)
    """Chat models of the caller, by role; other roles follow the settings."""
    meter: Meter = field(default_factory=Meter)
    memory: Memory | None = None
    """Keeps model answers between attempts at a job."""
    enter: Callable[[str], None] = field(default=lambda _step: None, repr=False)
    """Called when a step begins: "write", "spot", "retrieve", "select/3" (the fourth spot), "arrange", "generate/2"
    (two are left)."""
    check: Callable[[], None] = field(default=lambda: None, repr=False)
    """Called often while a model works; raises to end the work."""
    used: Used = field(default=lambda _n: None, repr=False)
    """Gives the ids of the images in the last n articles, for the filter `unused=N`; None where nobody records
    articles."""
    origin: Context | None = field(default=None, repr=False)
    """The context whose parts this one shares; see `derived`."""
    decisions: bool = False
    """Whether review points also ask in the shape of LangChain's middleware; see `review.questions.interrupting`."""
    _speakers: dict[Role, Speaker] = field(default_factory=dict, repr=False)
    _reranker: Reranker | None = field(default=None, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    # -- the four roles, as the graph calls them

    def write(self, brief: Brief, emit: Callable[[str], None]) -> Article:
        """The writer, in its dialect."""
        dialect = self.dialect("writer")
        shown = dialect.shows_references and brief.references and self.sees("writer")
        images = [self._data_url(r.image_id) for r in brief.references if shown]
        article = dialect.write(brief, self.speaker("writer"), emit, images, self.similarity)
        return _in_language(article, brief)

    def outline(self, brief: Brief, before: str = "", instruction: str = "") -> str:
        """Make the writer's outline, for a person to change; "" from a writer without outlines.

        before, instruction: an earlier outline, and the change to make.
        """
        return self.dialect("writer").outline(brief, self.speaker("writer"), before, instruction, self.similarity)

    def outlines(self) -> bool:
        """Whether the writer makes an outline before the text."""
        return self.dialect("writer").outlines

    def outlined(self, brief: Brief, outline: str) -> Brief:
        """The brief with an outline to follow."""
        return self.dialect("writer").outlined(brief, outline)

    def follows(self, role: Role) -> bool:
        """Whether the role's model takes free instructions."""
        return self.dialect(role).follows

    def stepwise(self) -> bool:
        """Whether the reviser's model is asked by small questions what a wish means."""
        if self.settings.wishes:
            return self.settings.wishes == "steps"
        size = parameters(self.speaker("writer").name)
        return size is not None and size < STEPWISE_BELOW

    def reviser(self) -> Speaker:
        """The speaker for revisions: the writer's model, counted separately."""
        return dataclasses.replace(self.speaker("writer"), role="reviser")

    def record(self, library: str, image_id: str) -> Record:
        """A library's record of an image. Raises LibraryError for an unknown image."""
        for one in self.libraries:
            if one.name == library and one.has(image_id):
                return one.record(image_id)
        raise LibraryError(
            f"The library {library[:64]!r} has no image {image_id[:64]!r} here. Take one that was found."
        )

    def spot(self, article: Article, brief: Brief, instruction: str = "") -> list[Spot]:
        """The spotter: asks the model, or proposes places from the text if the model is too small to judge.

        instruction: a person's instruction about the spots, for a model that takes instructions.
        """
        dialect = self.dialect("spotter")
        if not dialect.judges:
            return self.spot_from_text(article)
        return dialect.spot(article, self.speaker("spotter"), brief, instruction)

    def spot_from_text(self, article: Article) -> list[Spot]:
        """Spotting with no language model."""
        return spots_from_text(article)

    def retrieve(self, spots: Sequence[Spot], brief: Brief) -> dict[str, list[Candidate]]:
        """The retriever: candidates of all spots by spot id, best first, always including the reference images."""
        if not spots:
            return {}
        only, used = self.limits(brief)
        found = retrieve(self.libraries, spots, CANDIDATES, only, used or ())
        for library in self.libraries:  # a library with references may also contain other images
            first = self.libraries[0].name  # for references from before their library was recorded
            handed = {r.image_id for r in brief.references if (r.library or first) == library.name}
            if not handed:
                continue
            for spot_id, own in retrieve([library], spots, len(library.records()), ANYTIME).items():
                kept = [c for c in found[spot_id] if c.library != library.name or c.image_id in handed]
                seen = {c.image_id for c in kept}
                found[spot_id] = kept + [c for c in own if c.image_id in handed - seen]
        return found

    def limits(self, brief: Brief) -> tuple[Filters, Collection[str] | None]:
        """(the filters of a brief, ids of images that `unused=N` excludes, None if it asks and nobody knows)."""
        only = Filters.read(brief.only)
        return only, self.used(only.unused) if only.unused else ()

    def remarks(self, brief: Brief) -> list[Note]:
        """Notes on what filters, embargo and expiry left out."""
        return remarks(self.libraries, *self.limits(brief), handed={r.image_id for r in brief.references})

    def outside(self, brief: Brief) -> set[tuple[str, str]]:
        """(library, image id) of all images outside their time; none if the brief's filters let them in."""
        if Filters.read(brief.only).anytime:
            return set()
        return {(library.name, image) for library in self.libraries for image in library.outside()}

    def select(
        self,
        article: Article,
        spot: Spot,
        candidates: Sequence[Candidate],
        chosen: Sequence[tuple[Spot, Candidate]],
        brief: Brief,
    ) -> Selection:
        """The selector, which looks at pixels if its model sees."""
        if not candidates:
            return Selection(spot=spot, candidates=(), by="similarity")
        if self.reranks:
            handed = {r.image_id for r in brief.references}
            ranked = sorted(candidates, key=lambda c: c.image_id not in handed)
            return reranker.select(article, spot, ranked, self.reranker, unrelated_texts("en"), brief.seed)
        pixels = (lambda c: self._data_url(c.image_id)) if self.sees("selector") else None
        # The model must see every reference image, whatever its rank.
        handed = {r.image_id for r in brief.references}
        ranked = sorted(candidates, key=lambda c: c.image_id not in handed)
        speaker = self.speaker("selector")
        selection = self.dialect("selector").select(article, spot, ranked, chosen, speaker, pixels, brief.seed)
        if pixels and selection.by == "captions":  # its server refused the images: do not send them at every spot
            self._probed["selector"] = (False, selection.fallback)
        return selection

    def generate(self, article: Article, spot_id: str, brief: Brief) -> tuple[Article, bool]:
        """The article with a generated image for a spot, or with a note on the failure; and whether to continue.

        An image from an earlier attempt at the job is not generated, and paid for, again. Raises BudgetReached.
        """
        try:
            by = self._generator(brief.generate)
        except LimnerError as e:
            return article.noted(note("not-generated", line=e.note)), False
        spot = next(s.spot for s in article.selections if s.spot.id == spot_id)
        wanted = generate.Wanted(spot.caption, spot.search, article.language, brief.seed)
        digest = hashlib.sha256(repr((str(by.plugin), spot_id, wanted)).encode("utf-8", "replace")).hexdigest()
        known = self.memory.recall(digest) if self.memory else None
        image_id = known if known and self.generated.has(known) else ""
        if not image_id:
            check = self.memory.check if self.memory else lambda: None
            seconds = self.settings.generator_timeout
            try:
                image_id = self.generated.put(by(wanted, seconds, check, self.settings.max_pixels))
            except PluginFailed as e:
                return article.noted(note("spot-empty", id=spot_id, line=e.note)), not isinstance(e, generate.TimedOut)
            finally:  # a failed try may have cost money, too
                self.meter.count("generator", 0, 0)
                if self.memory:
                    self.memory.keep("generator", digest, image_id or None, Usage(calls=1))
        if any(i.image_id == image_id for i in article.illustrations):
            again = plugins.failed(by.plugin, "it gave an image that the article has already", "making an image")
            return article.noted(note("spot-empty", id=spot_id, line=again.note)), True
        size = size_of(self.generated.image(image_id), max_pixels=self.settings.max_pixels)
        return generate.generated(article, spot_id, image_id, size, by), True

    def _generator(self, name: str) -> Generator:
        if self.origin:
            return self.origin._generator(name)
        if not self.settings.allows(name):
            raise BadInput(f"The generator {name[:64]!r} is not allowed here. Name it in LIMNER_GENERATORS.")
        if name not in self._generators:
            self._generators[name] = Generator.named(name)
        return self._generators[name]

    @cached_property
    def _generators(self) -> dict[str, Generator]:
        return {}

    @cached_property
    def generated(self) -> Shelf:
        """The folder of generated images."""
        return Shelf(self.settings.home)

    def derived(
        self,
        *,
        libraries: Sequence[Library] | None = None,
        meter: Meter | None = None,
        memory: Memory | None = None,
        enter: Callable[[str], None] | None = None,
        check: Callable[[], None] | None = None,
        used: Used | None = None,
    ) -> Context:
        """A context for one piece of work, which shares encoders, models and connections with this one.

        It has the same class, so a product's overrides apply to it, too. None keeps this context's value.
        """
        made = copy(self)
        for name in ("_urls", "_vectors"):  # else they would grow for as long as this context lives
            made.__dict__.pop(name, None)
        made.origin, made._speakers, made._reranker = self, {}, None
        made._lock = threading.RLock()
        made.libraries = list(self.libraries if libraries is None else libraries)
        made.meter = self.meter if meter is None else meter
        made.memory = self.memory if memory is None else memory
        made.enter = self.enter if enter is None else enter
        made.check = self.check if check is None else check
        made.used = self.used if used is None else used
        return made

    # -- the parts

    def judges(self) -> bool:
        """Whether a model selects; under one billion parameters similarity decides (bench/small.md)."""
        return self.reranks or self.dialect("selector").judges

    @property
    def reranks(self) -> bool:
        """Whether a reranker selects: the settings name one, and the caller brings no chat model for the selector."""
        return bool(self.settings.reranker_url) and "selector" not in self.models

    @property
    def reranker(self) -> Reranker:
        """The reranker that selects. Raises ModelUnreachable, ModelRefused, BadInput."""
        with self._lock:
            if self._reranker is None:
                made = self.origin.reranker if self.origin else connect_reranker(self.meter, self.settings)
                self._reranker = dataclasses.replace(made, meter=self.meter, memory=self.memory)
            return self._reranker

    def selector_name(self) -> str:
        """The name of the model that selects. Raises ModelUnreachable, ModelRefused."""
        return self.reranker.name if self.reranks else self.speaker("selector").name

    def looks(self) -> bool:
        """Whether the selector looks at images: a reranker reads captions."""
        return not self.reranks and self.sees("selector")

    def dialect(self, role: Role) -> Dialect:
        """The dialect of a role."""
        return self.dialect_of("" if self.settings.dialect else self.speaker(role).name)

    def dialect_of(self, model: str) -> Dialect:
        """The dialect for a model, by its name or the settings. Raises BadInput, PluginFailed."""
        return BUILT_IN.get(self.settings.dialect or dialect_for(model)) or self._plugged_dialect

    @cached_property
    def _plugged_dialect(self) -> Dialect:
        return self.origin._plugged_dialect if self.origin else plugged_dialect(self.settings.dialect)

    def sees(self, role: Role) -> bool:
        """Whether the role's model sees images: by the settings, else tested once per context with two tiny
        pictures."""
        if self.settings.vision is not None:
            return self.settings.vision
        return self._vision(role)[0]

    def notes(self, role: Role) -> list[Note]:
        """Notes for readers on how this role worked, one line each."""
        return [] if role == "selector" and self.reranks else self.model_notes(role)

    def model_notes(self, role: Role) -> list[Note]:
        """Notes on what the role's chat model cannot do, also while a reranker selects."""
        name = self.speaker(role).name or "the model"
        dialect = self.dialect(role)
        if not dialect.judges:
            if role == "selector":
                return [note("selector-small", model=name)]
            return []
        if role == "selector" and dialect.sees is not True and not self.sees("selector"):
            reason = self._vision("selector")[1] if self.settings.vision is None else "LIMNER_VISION is off"
            return [note("selector-sees-nothing", model=name, reason=reason)]
        return []

    def speaker(self, role: Role) -> Speaker:
        """The role's speaker; the embedded server starts when the first role without a server needs it."""
        with self._lock:
            if role not in self._speakers:
                self._speakers[role] = self._build_speaker(role)
                self._speakers[role].memory = self.memory
            return self._speakers[role]

    def check_prices(self, roles: Sequence[Role]) -> None:
        """Raises BadInput if money is limited and the price of a role's model is unknown: before the first is paid."""
        if self.meter.max_cost is not None:
            for role in roles:
                reranks = role == "selector" and self.reranks
                self.meter.allow(0, 0, self.reranker.price if reranks else self.speaker(role).price)

    def image(self, image_id: str) -> tuple[bytes, str]:
        """An image's bytes for a page, and their file suffix. Raises LibraryError, ImageUnreadable."""
        return displayable(self._holder(image_id).image(image_id), max_pixels=self.settings.max_pixels)

    def provenance(self, brief: Brief) -> dict[str, Any]:
        """The article's record of versions, models, tokens, seed and libraries."""
        return {
            "limner": __version__,
            # The models that were used, in this process or in an earlier one of the same job.
            "models": {role: self._name(role) for role in ROLES if role in self.meter.roles},
            "tokens": {role: _counts(usage) for role, usage in sorted(self.meter.roles.items())},
            **({"cost": {"usd": round(self.meter.cost, 6)}} if self.meter.cost else {}),
            "libraries": [library.name for library in self.libraries],
            "seed": brief.seed,
            **({"only": list(brief.only)} if brief.only else {}),
            **({"generator": brief.generate} if "generator" in self.meter.roles else {}),
        }

    def _name(self, role: Role) -> str:
        if role == "selector":
            return self.selector_name()
        return self.speaker("writer" if role == "reviser" else role).name

    def known_name(self, role: Role) -> str:
        """The name of the role's model as far as it is known without asking its server; "" if it is not."""
        speakers = (self.origin or self)._speakers
        if role in self.models or role in speakers:
            return self.speaker(role).name
        own = getattr(self.settings, f"{role}_model") or self.settings.model_url
        name = self._model(role)
        return name if name and (own or not is_local(name)) and not self.embedded(role) else ""

    # -- wiring

    def _build_speaker(self, role: Role) -> Speaker:
        if self.origin:
            return dataclasses.replace(self.origin.speaker(role), meter=self.meter)
        if role in self.models:
            return handed(self.models[role], role, self.meter, self.settings)
        settings = self.settings
        url, name = getattr(settings, f"{role}_url") or settings.model_url, self._model(role)
        if url:
            # A model of this machine names nothing on the server that a role has to itself.
            own = getattr(settings, f"{role}_model") or settings.model_url or not is_local(name)
            if not getattr(settings, f"{role}_model") and url != settings.model_url and is_chosen(settings):
                own = False  # nor does the name that was chosen with another server
            return self._connected(url, name if own else "", role)
        if not self.embedded(role):
            raise BadInput(
                f"The model {name} has no server. Give its address with --model-url or LIMNER_MODEL_URL, e.g. "
                "http://localhost:8000/v1."
            )
        server = self.start_embedded(role)
        model = _chat_model(server.url, server.model, SecretStr(server.api_key), settings)
        speaker = speaker_for(model, role, self.meter)
        speaker.llama_cpp, speaker.where = True, "the embedded model"
        return speaker

    def embedded(self, role: Role) -> bool:
        """Whether this role uses the embedded engine: no chat model, no server, and no name except of a local model."""
        served = self.settings.model_url or getattr(self.settings, f"{role}_url")
        name = self._model(role)
        return role not in self.models and not served and (not name or is_local(name))

    def demonstrates(self, role: Role) -> bool:
        """Whether this role uses SmolLM2, which writes plain English and sees nothing."""
        return self.embedded(role) and not self._model(role)

    def start_embedded(self, role: Role = "writer") -> EmbeddedServer:
        """This process's embedded server, which starts in the background and ends with the program."""
        from limner.workflows.embedded.server import embedded_server

        return embedded_server(self.settings, self._model(role))

    def _model(self, role: Role) -> str:
        """The name of the role's model in the settings; "" if they name none."""
        return getattr(self.settings, f"{role}_model") or self.settings.model

    def _connected(self, url: str, name: str, role: Role) -> Speaker:
        """Roles with the same server and model share one client and one request for its list of models."""
        for known in self._speakers.values():
            if known.url == url and name in ("", known.name):
                return dataclasses.replace(known, role=role)
        return connect(url, name, role, self.meter, self.settings)

    def _vision(self, role: Role) -> tuple[bool, str]:
        if (known := self.dialect(role).sees) is not None:
            return known, "" if known else "it is a text model"
        with self._lock:
            if role not in self._probed:
                self._probed[role] = selector.sees_images(self.speaker(role))
            return self._probed[role]

    @cached_property
    def _probed(self) -> dict[Role, tuple[bool, str]]:
        return self.origin._probed if self.origin else {}

    @cached_property
    def _urls(self) -> dict[str, str]:
        return {}

    def _data_url(self, image_id: str) -> str:
        if image_id not in self._urls:
            self._urls[image_id] = data_url(self._holder(image_id).image(image_id), side=PROMPT_SIDE)
        return self._urls[image_id]

    def _holder(self, image_id: str) -> Library | Shelf:
        for library in self.libraries:
            if library.has(image_id):
                return library
        if self.generated.has(image_id):
            return self.generated
        names = ", ".join(library.name for library in self.libraries)
        raise LibraryError(f"No library of {names} has the image {image_id[:64]}. Give the library that it came from.")

    def similarity(self, texts: Sequence[str], others: Sequence[str]) -> Any:
        """Cosine of each of `texts` with each of `others`: (n, m) float32 in [-1, 1]."""
        import numpy as np

        if not texts or not others:
            return np.zeros((len(texts), len(others)), dtype=np.float32)
        known = self._vectors
        new = [t for t in dict.fromkeys([*texts, *others]) if t not in known]
        known.update(zip(new, self.encoders.caption.encode_texts(new), strict=True))
        return np.stack([known[t] for t in texts]) @ np.stack([known[t] for t in others]).T

    @cached_property
    def _vectors(self) -> dict[str, Any]:
        """Vectors of earlier texts, because a writer compares each new sentence with all earlier ones."""
        return {}

    @cached_property
    def connect(self) -> Connect | None:
        """The connection to the vectors: a Qdrant server by its URL, None for a folder per library."""
        if self.origin:
            return self.origin.connect
        url, key = self.settings.qdrant_url, self.settings.qdrant_api_key.get_secret_value()
        if not url:
            return None
        client = server(url, key)
        return lambda _folder, collection, sizes: ServerStore(client, collection, sizes)

    @cached_property
    def encoders(self) -> Encoders:
        """The encoders that the libraries were made with."""
        if self.origin:
            return self.origin.encoders
        s = self.settings
        return default_encoders(caption=s.encoder, clip_model=s.clip_model, threads=s.threads, home=s.home)


def plugged_dialect(name: str) -> Dialect:
    """Load a plug-in's dialect. Raises BadInput, PluginFailed."""

    def shape(made: Any) -> Dialect | None:
        made = made() if isinstance(made, type) and issubclass(made, Dialect) else made
        return made if isinstance(made, Dialect) else None

    return plugins.load(plugins.find("dialect", name), shape, "a subclass of limner.agents.families.families.Dialect")


# --- reaching models -----------------------------------------------------------------------------------------------


def _counts(usage: Usage) -> dict[str, Any]:
    """Tokens, and US dollars if they cost any."""
    return {name: value for name, value in asdict(usage).items() if name != "cost" or value}


def build_context(
    settings: Settings | None = None,
    *,
    library: Any = None,
    models: dict[Role, BaseChatModel] | None = None,
    max_tokens: int | None = None,
    max_cost: float | None = None,
    encoders: Encoders | None = None,
) -> Context:
    """Build a Context. library: as for `compose`; folders are indexed now. max_cost: US dollars. encoders: loaded ones
    to use.

    Models and servers start on first use. Raises LibraryError, NotInstalled.
    """
    context = Context(settings or Settings(), [], dict(models or {}), Meter(budget=max_tokens, max_cost=max_cost))
    if encoders is not None:
        context.encoders = encoders
    refs = [library] if library is None or not isinstance(library, list | tuple) else library
    context.libraries = [open_library(context, ref) for ref in refs]
    return context


def open_library(context: Context, ref: Any, on_progress: Callable[[int, int], None] | None = None) -> Library:
    """A library by name, folder or itself; None means the starter. Makes those of limner on first use."""
    if isinstance(ref, Library):
        return ref
    settings = context.settings
    if ref is None or ref == STARTER:
        from limner.tools.library.starter import starter_library

        return starter_library(settings.home, context.encoders, on_progress, connect=context.connect)
    if ref == SAMPLE:
        from limner.tools.library.sample import sample_library

        return sample_library(settings.home, context.encoders, on_progress, connect=context.connect)
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
    """Models by role: one for all roles, another for the selector if given."""
    roles: dict[Role, BaseChatModel] = {}
    if model is not None:
        roles = {"writer": model, "spotter": model, "selector": model}
    if selector_model is not None:
        roles["selector"] = selector_model
    return roles


def _in_language(article: Article, brief: Brief) -> Article:
    """A composed article with its brief's language, else the one its text is found to be in, else the writer's."""
    if brief.language:
        return article.model_copy(update={"language": brief.language})
    code, confidence = language_of([b.plain for b in article.body])
    if code in (UNKNOWN, article.language.partition("-")[0]):
        return article
    made_with = {**article.made_with, "language": {"found": code, "confidence": confidence}}
    return article.model_copy(update={"language": code, "made_with": made_with})
