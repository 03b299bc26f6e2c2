"""A composition's Context: everything that the graph's nodes call, built from Settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from limner.agents import reranker
from limner.agents.meter import Meter, Usage
from limner.agents.speaker import Role
from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.errors import BadInput, LibraryError, LimnerError, PluginFailed
from limner.notes import Note, note
from limner.settings import Settings
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
from limner.workflows.roles import ROLES, Roles

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from limner.tools.encoders import Encoders
    from limner.tools.library import Connect, Record

CANDIDATES = 50  # images per spot for arrange; the selector sees the best four
PROMPT_SIDE = 512  # px of the longer side of an image in a prompt


class Context(Roles):
    """Everything that the graph's nodes call. Tests build one with other parts."""

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
        chosen = frozenset(r.image_id for r in brief.references)  # whatever their near-copies are
        found = retrieve(self.libraries, spots, CANDIDATES, only, used or (), chosen)
        for library in self.libraries:  # a library with references may also contain other images
            first = self.libraries[0].name  # for references from before their library was recorded
            handed = {r.image_id for r in brief.references if (r.library or first) == library.name}
            if not handed:
                continue
            for spot_id, own in retrieve([library], spots, len(library.records()), ANYTIME, (), chosen).items():
                kept = [c for c in found[spot_id] if c.library != library.name or c.image_id in handed]
                seen = {c.image_id for c in kept}
                found[spot_id] = kept + [c for c in own if c.image_id in handed - seen]
        return found

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

    # -- what a brief lets in

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

    # -- images

    def record(self, library: str, image_id: str) -> Record:
        """A library's record of an image. Raises LibraryError for an unknown image."""
        for one in self.libraries:
            if one.name == library and one.has(image_id):
                return one.record(image_id)
        raise LibraryError(
            f"The library {library[:64]!r} has no image {image_id[:64]!r} here. Take one that was found."
        )

    def image(self, image_id: str) -> tuple[bytes, str]:
        """An image's bytes for a page, and their file suffix. Raises LibraryError, ImageUnreadable."""
        return displayable(self._holder(image_id).image(image_id), max_pixels=self.settings.max_pixels)

    @cached_property
    def generated(self) -> Shelf:
        """The folder of generated images."""
        return Shelf(self.settings.home)

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
    def _urls(self) -> dict[str, str]:
        return {}

    def pixels(self, image_id: str) -> str:
        """An image for a prompt, as a data URL. Raises LibraryError, ImageUnreadable."""
        return self._data_url(image_id)

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

    # -- encoders, store and record

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


def _in_language(article: Article, brief: Brief) -> Article:
    """A composed article with its brief's language, else the one its text is found to be in, else the writer's."""
    if brief.language:
        return article.model_copy(update={"language": brief.language})
    code, confidence = language_of([b.plain for b in article.body])
    if code in (UNKNOWN, article.language.partition("-")[0]):
        return article
    made_with = {**article.made_with, "language": {"found": code, "confidence": confidence}}
    return article.model_copy(update={"language": code, "made_with": made_with})


def _counts(usage: Usage) -> dict[str, Any]:
    """Tokens, and US dollars if they cost any."""
    return {name: value for name, value in asdict(usage).items() if name != "cost" or value}
