"""Other images for a place: from the record, from a new search, or like another image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from limner.document import Article, Candidate, Selection, Spot
from limner.errors import BadInput, LibraryEmpty, LibraryError
from limner.notes import Note, note
from limner.text import one_line, printable_path
from limner.tools.library import Library
from limner.tools.library.filters import Filters
from limner.tools.look import Look, look
from limner.tools.retrieve import retrieve

MOST = 100  # images per answer


@dataclass(frozen=True)
class Found:
    """A candidate for a place."""

    candidate: Candidate
    chosen: bool
    """Whether the article shows it, or a near-copy of it."""
    why: Note
    """The record's reason, "" if there is none."""
    file: str
    """Name of its file, "" if unknown."""


@dataclass(frozen=True)
class Wanted:
    """A request for candidates; give one of image, spot, caption and like."""

    image: str = ""
    """Id of an illustration, for the candidates of its place."""
    spot: str = ""
    """Id of a spot of the record."""
    caption: str = ""
    """Description of the wanted image."""
    like: str = ""
    """Id of an image that the candidates should resemble."""
    but: str = ""
    """With `like`: the difference you want."""
    limit: int = 24
    only: tuple[str, ...] | None = None
    """Filters that the images must pass; None takes the article's."""


@dataclass(frozen=True)
class _Shelf:
    """Where to search, and what may be found there."""

    libraries: Sequence[Library]
    only: Filters
    used: Collection[str]

    def allowed(self, found: Sequence[Candidate], but: Collection[str]) -> list[Candidate]:
        """The candidates of the record that may still be offered, because some may have expired since. but: ids of
        those that stay whatever the limits say."""
        limits = {library.name: library.within(self.only, self.used) for library in self.libraries}
        away = {c.image_id for c in found if (limit := limits.get(c.library)) and not limit.allows(c.image_id)}
        return [c for c in found if c.image_id in but or c.image_id not in away]


def candidates(
    article: Article,
    wanted: Wanted,
    libraries: Sequence[Library],
    used: Callable[[int], Collection[str] | None] = lambda _n: None,
) -> list[Found]:
    """Find candidates, best first. libraries: where to search, and to look up file names. used: as in `Context`.

    Raises BadInput for an unknown id, unless exactly one field is given, and for what is no filter; LibraryError.
    """
    only = Filters.read(article.only if wanted.only is None else wanted.only)
    shelf = _Shelf(libraries, only, (used(only.unused) or ()) if only.unused else ())
    given = [name for name in ("image", "spot", "caption", "like") if getattr(wanted, name)]
    if len(given) != 1:
        raise BadInput("Ask by one of: image (an id of the article), spot, caption, like (an image id).")
    if wanted.but and not wanted.like:
        raise BadInput("`but` describes a difference from an image. Name that image in `like`.")
    if wanted.caption:
        return _shown(article, _searched(shelf, wanted.caption, wanted.limit), libraries, {})
    if wanted.like:
        return _shown(article, _alike(shelf, wanted), libraries, {})
    selection = _by_image(article, wanted.image) if wanted.image else _by_spot(article, wanted.spot)
    if selection is None:  # a person placed it, without a record
        caption = next(i.caption for i in article.illustrations if i.id == wanted.image)
        return _shown(article, _searched(shelf, caption, wanted.limit), libraries, {})
    why = {selection.placed or selection.choice or "": selection.why}
    there = {i.image_id for i in article.illustrations}
    kept = shelf.allowed(selection.candidates, there)
    return _shown(article, kept[: wanted.limit], libraries, why)


def _by_image(article: Article, image: str) -> Selection | None:
    if all(i.id != image for i in article.illustrations):
        raise BadInput(note("no-image", id=image[:40]))
    return next((s for s in article.selections if f"f-{s.spot.id}" == image), None)


def _by_spot(article: Article, spot: str) -> Selection:
    for selection in article.selections:
        if selection.spot.id == spot:
            return selection
    raise BadInput(f"Unknown spot {spot[:40]!r}. The article's JSON lists its spots.")


def _searched(shelf: _Shelf, caption: str, k: int) -> list[Candidate]:
    query = one_line(caption)
    if not query:
        raise BadInput(note("search-empty"))
    spot = Spot(id="s", after="", caption=query, search=query)
    return retrieve(shelf.libraries, [spot], k, shelf.only, shelf.used)["s"]


def _alike(shelf: _Shelf, wanted: Wanted) -> list[Candidate]:
    asked = Look(words=one_line(wanted.but), like=(wanted.like,))
    return look(shelf.libraries, asked, wanted.limit, shelf.only, shelf.used).images


def _shown(
    article: Article, found: Sequence[Candidate], libraries: Sequence[Library], why: dict[str, Note]
) -> list[Found]:
    there = {i.image_id for i in article.illustrations}
    named = {library.name: library for library in libraries}
    return [Found(c, bool(there & c.ids), why.get(c.image_id, Note("")), _file(named.get(c.library), c)) for c in found]


def _file(library: Library | None, candidate: Candidate) -> str:
    if library is None or not library.has(candidate.image_id):
        return ""
    return printable_path(PurePath(library.record(candidate.image_id).path).name)


def usable(names: Sequence[str], open_: Callable[[str], Library]) -> list[Library]:
    """The libraries that can be searched now. If none can, raises the last one's error."""
    found: list[Library] = []
    refused: LibraryError | None = None
    for name in dict.fromkeys(names):
        try:
            library = open_(name)
            if not len(library):
                raise LibraryEmpty(note("library-without-images", name=name))
        except LibraryError as error:
            refused = error
        else:
            found.append(library)
    if not found:
        raise refused or LibraryEmpty("There is no library to search. Name one.")
    return found
