"""Which model plays each role of a composition, and what its answers are counted and remembered with."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from limner.agents import selector
from limner.agents.dialects import dialect_for, parameters
from limner.agents.families.families import BUILT_IN, Dialect
from limner.agents.meter import Meter
from limner.agents.reranker import Reranker
from limner.agents.speaker import Memory, Role, Speaker
from limner.errors import BadInput, LimnerError
from limner.models.language import is_local
from limner.models.local import NO_PROJECTOR, find
from limner.notes import Note, note
from limner.settings import Settings, is_chosen
from limner.tools import plugins
from limner.workflows.models import _chat_model, connect, connect_reranker, handed, speaker_for

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from limner.tools.library import Library
    from limner.workflows.embedded.server import EmbeddedServer

# parameters; of three wishes a model of 1.5 billion understood none in one answer (bench/wishes.md)
STEPWISE_BELOW = 4e9
ROLES: tuple[Role, ...] = ("selector", "spotter", "writer", "reviser")
Used = Callable[[int], Collection[str] | None]


@dataclass
class Roles:
    """The models of one piece of work, by role. Each starts, or is connected to, when it is first asked."""

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
    origin: Self | None = field(default=None, repr=False)
    """The context whose parts this one shares; see `derived`."""
    decisions: bool = False
    """Whether review points also ask in the shape of LangChain's middleware; see `review.questions.interrupting`."""
    _speakers: dict[Role, Speaker] = field(default_factory=dict, repr=False)
    _reranker: Reranker | None = field(default=None, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def derived(
        self,
        *,
        libraries: Sequence[Library] | None = None,
        meter: Meter | None = None,
        memory: Memory | None = None,
        enter: Callable[[str], None] | None = None,
        check: Callable[[], None] | None = None,
        used: Used | None = None,
    ) -> Self:
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

    # -- what a role can do

    def judges(self) -> bool:
        """Whether a model selects; under one billion parameters similarity decides (bench/small.md)."""
        return self.reranks or self.dialect("selector").judges

    def follows(self, role: Role) -> bool:
        """Whether the role's model takes free instructions."""
        return self.dialect(role).follows

    def stepwise(self) -> bool:
        """Whether the reviser's model is asked by small questions what a wish means."""
        if self.settings.wishes:
            return self.settings.wishes == "steps"
        writer = self.speaker("writer")
        size = writer.size or parameters(writer.name)
        return size is not None and size < STEPWISE_BELOW

    def looks(self) -> bool:
        """Whether the selector looks at images: a reranker reads captions."""
        return not self.reranks and self.sees("selector")

    def sees(self, role: Role) -> bool:
        """Whether the role's model sees images: by the settings, else tested once per context with two tiny
        pictures."""
        if self.settings.vision is not None:
            return self.settings.vision
        return self._vision(role)[0]

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

    # -- dialects

    def dialect(self, role: Role) -> Dialect:
        """The dialect of a role."""
        if self.settings.dialect:
            return self.dialect_of("")
        speaker = self.speaker(role)
        return self.dialect_of(speaker.name, speaker.size)

    def dialect_of(self, model: str, size: float | None = None) -> Dialect:
        """The dialect for a model, by its name and number of parameters, or by the settings. Raises BadInput,
        PluginFailed."""
        return BUILT_IN.get(self.settings.dialect or dialect_for(model, size)) or self._plugged_dialect

    @cached_property
    def _plugged_dialect(self) -> Dialect:
        return self.origin._plugged_dialect if self.origin else plugged_dialect(self.settings.dialect)

    # -- speakers

    def speaker(self, role: Role) -> Speaker:
        """The role's speaker; the embedded server starts when the first role without a server needs it."""
        with self._lock:
            if role not in self._speakers:
                self._speakers[role] = self._build_speaker(role)
                self._speakers[role].memory = self.memory
            return self._speakers[role]

    def reviser(self) -> Speaker:
        """The speaker for revisions: the writer's model, counted separately."""
        return dataclasses.replace(self.speaker("writer"), role="reviser")

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

    def check_prices(self, roles: Sequence[Role]) -> None:
        """Raises BadInput if money is limited and the price of a role's model is unknown: before the first is paid."""
        if self.meter.max_cost is not None:
            for role in roles:
                reranks = role == "selector" and self.reranks
                self.meter.allow(0, 0, self.reranker.price if reranks else self.speaker(role).price)

    def selector_name(self) -> str:
        """The name of the model that selects. Raises ModelUnreachable, ModelRefused."""
        return self.reranker.name if self.reranks else self.speaker("selector").name

    def known_name(self, role: Role) -> str:
        """The name of the role's model as far as it is known without asking its server; "" if it is not."""
        speakers = (self.origin or self)._speakers
        if role in self.models or role in speakers:
            return self.speaker(role).name
        own = getattr(self.settings, f"{role}_model") or self.settings.model_url
        name = self._model(role)
        return name if name and (own or not is_local(name)) and not self.embedded(role) else ""

    def known_size(self, role: Role) -> float | None:
        """Number of parameters of the role's model, by its file; None for a model that is elsewhere or not here yet."""
        if not self.embedded(role) or not self._model(role):
            return None
        with suppress(LimnerError):
            return find(self._model(role), self.settings.home, NO_PROJECTOR).model.parameters or None
        return None

    def _name(self, role: Role) -> str:
        if role == "selector":
            return self.selector_name()
        return self.speaker("writer" if role == "reviser" else role).name

    # -- connections

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
        speaker.llama_cpp, speaker.where, speaker.size = True, "the embedded model", server.parameters
        return speaker

    def _connected(self, url: str, name: str, role: Role) -> Speaker:
        """Roles with the same server and model share one client and one request for its list of models."""
        for known in self._speakers.values():
            if known.url == url and name in ("", known.name):
                return dataclasses.replace(known, role=role)
        return connect(url, name, role, self.meter, self.settings)

    def _model(self, role: Role) -> str:
        """The name of the role's model in the settings; "" if they name none."""
        return getattr(self.settings, f"{role}_model") or self.settings.model


def plugged_dialect(name: str) -> Dialect:
    """Load a plug-in's dialect. Raises BadInput, PluginFailed."""

    def shape(made: Any) -> Dialect | None:
        made = made() if isinstance(made, type) and issubclass(made, Dialect) else made
        return made if isinstance(made, Dialect) else None

    return plugins.load(plugins.find("dialect", name), shape, "a subclass of limner.agents.families.families.Dialect")


def models_for(model: BaseChatModel | None, selector_model: BaseChatModel | None) -> dict[Role, BaseChatModel]:
    """Models by role: one for all roles, another for the selector if given."""
    roles: dict[Role, BaseChatModel] = {}
    if model is not None:
        roles = {"writer": model, "spotter": model, "selector": model}
    if selector_model is not None:
        roles["selector"] = selector_model
    return roles
