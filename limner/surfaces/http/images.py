"""Open libraries and the images of articles for owners who may see them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from limner.document import Article
from limner.errors import LibraryMissing
from limner.jobs.owners import Owner
from limner.jobs.service import Jobs
from limner.notes import note
from limner.settings import Settings
from limner.surfaces.http.problems import Missing
from limner.tools.images.images import thumbnail
from limner.tools.library import Library, libraries
from limner.workflows.allowed import STARTER
from limner.workflows.context import Context

SIDES = (64, 128, 256, 512, 1024)  # px; few sizes, so that caches can reuse them


class Shelf:
    """Libraries and images for the routes. Safe to use from threads."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self.settings, self.jobs = settings, jobs
        self._context: Context | None = None
        self._lock = threading.Lock()

    @property
    def context(self) -> Context:
        """A context with encoders and the vector store, made on first use."""
        with self._lock:
            if self._context is None:
                self._context = Context(self.settings, [])
                _ = self._context.encoders, self._context.connect
            return self._context

    def names(self, owner: Owner) -> list[str]:
        """Names of the existing libraries that the owner may search."""
        return [name for name in libraries(self.settings.home) if owner.may_use(name)]

    def open(self, name: str, owner: Owner) -> Library:
        """Open a library. Raises EncoderMismatch, and LibraryMissing alike for an unknown library and another
        owner's."""
        self.jobs.check_library(name, owner)
        return self._open(name)

    def kept_of(self, article: Article) -> Article:
        """The article without the images whose library was deleted, and with a note that says so."""
        there = set(libraries(self.settings.home))
        kept = [i for i in article.illustrations if not i.library or i.library in there]
        lost = len(article.illustrations) - len(kept)
        if not lost:
            return article
        gone = sorted({i.library for i in article.illustrations} - {""} - there)
        return article.illustrated(kept).noted(note("libraries-gone", n=lost, names=", ".join(gone)[:200]))

    def images_of(self, article: Article) -> Context:
        """A context that finds an article's images. Raises LibraryMissing if a library was removed."""
        names = sorted({i.library for i in article.illustrations if i.library})
        return self.context.derived(libraries=[self._open(name) for name in names])

    def thumbnail(self, library: Library, image_id: str, side: int) -> bytes:
        """A WebP of an image. Raises Missing, ImageUnreadable, and LibraryError if its file is gone."""
        if not library.has(image_id):
            raise Missing(note("library-image", name=library.name, id=image_id[:64]))
        return thumbnail(library.image(image_id), fitting(side), max_pixels=self.settings.max_pixels)

    def _open(self, name: str) -> Library:
        if name not in libraries(self.settings.home):  # the error of `open` would name other owners' libraries
            raise LibraryMissing(note("starter-not-made" if name == STARTER else "library-removed", name=name[:64]))
        context = self.context
        return Library.open(self.settings.home, name, context.encoders, connect=context.connect)


def fitting(side: int, sides: Sequence[int] = SIDES) -> int:
    """The smallest available size that is at least `side`; the largest for more."""
    return next((s for s in sides if s >= side), sides[-1])
