"""Tenants: separate users of one process, the parts they share, and the limits of each.

    tenants = Tenants(build_context(library="photos"))
    desk = tenants.scope(Tenant("ada", max_tokens=50_000))
    desk.search("a heron at dawn")

The chat graph, the toolbox, MCP and the LangGraph server reach libraries and models only through a `Scope`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from limner.agents.meter import Meter
from limner.agents.prices import Price, free
from limner.document import Article, Brief, Candidate
from limner.errors import LibraryMissing
from limner.notes import Note
from limner.tools.library import Library, libraries
from limner.tools.look import Look, Looked, look
from limner.workflows.allowed import BUNDLED, may_use
from limner.workflows.context import Context, open_library
from limner.workflows.inputs import read_words

LONGEST_QUERY = 500  # characters


@dataclass(frozen=True)
class Tenant:
    """For whom limner works."""

    owner: str = "local"
    """The owner of the articles; one owner never sees another's."""
    libraries: tuple[str, ...] | None = None
    """Names of the libraries to use instead of those that `Tenants` was made with."""
    max_tokens: int | None = None
    """Tokens that this owner may spend while this process runs; with jobs: in each job, besides the ledger's limits."""
    max_cost: float | None = None
    """The same in US dollars, above 0."""


TenantOf = Callable[[Mapping[str, Any]], Tenant]
"""(a graph's `configurable`) -> the tenant."""


def tenant_of(configurable: Mapping[str, Any]) -> Tenant:
    """The tenant that a graph's `configurable` names: limner_owner, limner_libraries, limner_max_tokens,
    limner_max_cost.

    Behind a LangGraph server with authentication, its user replaces limner_owner. A product must set these keys itself,
    because whoever writes `configurable` chooses the owner.
    """
    owner = configurable.get("langgraph_auth_user_id") or configurable.get("limner_owner") or "local"
    libraries = configurable.get("limner_libraries")
    tokens = configurable.get("limner_max_tokens")
    cost = configurable.get("limner_max_cost")
    names = None if libraries is None else tuple(str(name) for name in libraries)
    return Tenant(str(owner), names, None if tokens is None else int(tokens), None if cost is None else float(cost))


@dataclass
class SharedMeter(Meter):
    """Counts tokens of one call, and adds them to its tenant's."""

    whole: Meter = field(default_factory=Meter)

    def allow(self, prompt: int, completion: int, price: Price | None = free) -> None:
        """Raises BudgetReached if the call's own budget or the tenant's does not allow it."""
        super().allow(prompt, completion, price)
        self.whole.allow(prompt, completion, price)

    def count(
        self, role: str, prompt: int, completion: int, cached: int = 0, estimated: bool = False, cost: float = 0.0
    ) -> None:
        """Add one call's tokens and US dollars to both."""
        super().count(role, prompt, completion, cached, estimated, cost)
        self.whole.count(role, prompt, completion, cached, estimated, cost)


@dataclass
class Tenants:
    """The parts that all tenants share (models, encoders, open libraries), and each tenant's tokens."""

    context: Context
    _meters: dict[str, Meter] = field(default_factory=dict)
    _opened: dict[str, Library] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def scope(self, tenant: Tenant, check: Callable[[], None] = lambda: None) -> Scope:
        """The scope of one tenant for one call. check: called often while a model works; raises to end the work.

        Raises LibraryMissing for a library that does not exist.
        """
        with self._lock:
            whole = self._meters.setdefault(tenant.owner, Meter())
            whole.budget, whole.max_cost = tenant.max_tokens, tenant.max_cost
            if tenant.libraries is None:
                libraries = self.context.libraries = [self._current(one) for one in self.context.libraries]
            else:
                libraries = [self._open(name) for name in tenant.libraries]
            meter = SharedMeter(whole=whole)
            context = self.context.derived(libraries=libraries, meter=meter, enter=lambda _step: check(), check=check)
        return Scope(self, context, tenant)

    def open(self, names: list[str]) -> list[Library]:
        """Libraries by name; each is opened once. Raises LibraryMissing."""
        with self._lock:
            return [self._open(name) for name in names]

    def _open(self, name: str) -> Library:
        # Only by name: a path would be indexed on the spot.
        if name not in BUNDLED and name not in libraries(self.context.settings.home):
            raise LibraryMissing(f"There is no library {name[:64]!r}. `limner library list` shows them.")
        known = self._opened.get(name)
        self._opened[name] = self._current(known) if known else open_library(self.context, name)
        return self._opened[name]

    def _current(self, library: Library) -> Library:
        """The library, opened anew if it was given another encoder since."""
        if library.is_current() or library.name not in libraries(library.home):
            return library  # what is gone says so when it is used
        if library.home == self.context.settings.home:
            return open_library(self.context, library.name)
        return Library.open(library.home, library.name, self.context.encoders, connect=self.context.connect)


@dataclass
class Scope:
    """The libraries and models of one tenant, for one call."""

    tenants: Tenants
    context: Context
    tenant: Tenant

    def holding(self, article: Article) -> Context:
        """A context that finds an article's images, also those of other libraries that the tenant may use.

        An article may come from its client (a LangGraph server takes one as state), so its word opens no library.
        """
        there = {*BUNDLED, *libraries(self.context.settings.home)} - {one.name for one in self.context.libraries}
        names = there & {i.library for i in article.illustrations}
        who = self.tenant
        more = self.tenants.open(sorted(name for name in names if may_use(who.owner, who.libraries, name)))
        if not more:
            return self.context
        return self.context.derived(libraries=[*self.context.libraries, *more])

    def record_of(self, article: Article) -> Callable[[str, str], Any]:
        """A function that looks up an image by (library, image id) in the tenant's libraries and the article's own."""
        libraries = {library.name: library for library in self.holding(article).libraries}

        def record(library: str, image_id: str) -> Any:
            if library not in libraries:
                raise LibraryMissing(f"There is no library {library[:64]!r} for you. Use an image that was found.")
            return libraries[library].record(image_id)

        return record

    def search(self, query: str, count: int = 6, only: Sequence[str] = ()) -> list[Candidate]:
        """Search images by a description, best first. Arguments and errors as for `look`."""
        return self.look(Look(words=query), count, only).images

    def look(self, wanted: Look, count: int = 6, only: Sequence[str] = ()) -> Looked:
        """Search images by a description, by images of the tenant's libraries, or both.

        only: filters that they must pass. Raises BadInput for nothing to go by and for what is no filter.
        """
        words = wanted.words if wanted.by_examples and not wanted.words.strip() else read_words(wanted.words)
        limit, used = self.context.limits(Brief(text=words, only=tuple(only)))
        return look(self.context.libraries, replace(wanted, words=words[:LONGEST_QUERY]), count, limit, used or ())

    def remarks(self, only: Sequence[str] = ()) -> list[Note]:
        """Notes on the images that filters, embargo and expiry leave out. Raises BadInput for what is no filter."""
        return self.context.remarks(Brief(text="", only=tuple(only)))
