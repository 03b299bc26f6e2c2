"""Search libraries as people look for pictures: by words, by example pictures, by both, and away from others.

Words, examples and counter-examples become one query vector per encoder, as Rocchio's relevance feedback does
(Salton and Buckley 1990), with one difference: each is first divided by how much its scores with the library's
pictures spread. A CLIP's texts are far from all pictures and its pictures close to each other, so that a plain sum of
unit vectors would follow the picture alone. So scaled, a deviation above chance of one counts as much as of the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from limner.document import Candidate
from limner.errors import BadInput, ImageUnreadable, LibraryEmpty, LibraryError
from limner.lazy import lazy
from limner.models.encoders.vectors import unit
from limner.notes import Note, note
from limner.text import one_line, printable_path
from limner.tools import alike
from limner.tools.bm25 import Sparse
from limner.tools.chance import Chance
from limner.tools.images.images import MAX_PIXELS, for_clip
from limner.tools.library import Library, image_identity
from limner.tools.library.encoding import reads
from limner.tools.library.filters import ALL, Filters
from limner.tools.library.sources import read_file
from limner.tools.retrieve import merge
from limner.tools.stored import Dense, Vectors

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")

LIKE = 1.0
"""Weight of all examples together; the words have 1. Who gives both wants both."""
UNLIKE = 0.5
"""Weight of all counter-examples together: a picture is unlike what is wanted in one respect and like it in others, so
they weigh less. bench/fit.md has other values."""
MOST = 8
"""Pictures that a search may be like, and unlike."""


@dataclass(frozen=True)
class Look:
    """The words and pictures that a search goes by; at least words or an example."""

    words: str = ""
    like: tuple[str, ...] = ()
    """Ids of images of the libraries that the result should resemble; at most MOST."""
    unlike: tuple[str, ...] = ()
    """Ids of images that it should not resemble; at most MOST."""
    shown: tuple[bytes, ...] = ()
    """Image files, from anywhere, that it should resemble; at most MOST together with `like`."""
    diverse: bool = False
    """Whether look-alikes give way to pictures that fit less."""

    @property
    def by_examples(self) -> bool:
        """Whether the search goes by more than words."""
        return bool(self.like or self.unlike or self.shown)


class Looked(NamedTuple):
    """The answer to a Look."""

    images: list[Candidate]
    """Best first, without the examples themselves."""
    notes: list[Note]


class _Example(NamedTuple):
    """A picture as one library sees it."""

    text: str
    """What is said about it; "" for nothing."""
    picture: Callable[[], Any]
    """Decodes it; None if its file is gone."""
    known: Dense | None = None
    """Its vectors, if the library has it."""


def look(
    libraries: Sequence[Library],
    wanted: Look,
    k: int,
    only: Filters = ALL,
    used: Collection[str] = (),
    *,
    max_pixels: int = MAX_PIXELS,
) -> Looked:
    """The k images that fit best over all libraries.

    A fit is, as in all searches, how far an image's score lies above chance. A library that cannot be searched by these
    examples is left out, with a note. only, used: as for `Library.search`. Raises BadInput for nothing to go by, an
    unknown id, or if no library can be searched so; ImageUnreadable for an example that is no image; LibraryEmpty.
    """
    if not libraries:
        raise LibraryEmpty("No library to take images from: name one with --library DIR.")
    libraries = [library.current() for library in libraries]  # the examples are encoded as the pictures are now
    wanted = _resolved(libraries, _checked(wanted))
    pictures = [_decoder(data, max_pixels) for data in wanted.shown]
    away, many = {*used, *wanted.like, *wanted.unlike}, k
    if wanted.diverse:
        many = max(alike.LEAST, alike.POOL * k)
    rankings, notes, refused = [], [], []
    for library in libraries:
        answer, remark = _one(libraries, library, wanted, pictures, many, only, away)
        rankings += [] if answer is None else [answer]
        (refused if answer is None else notes).extend([remark] if remark else [])
    if not rankings:
        raise BadInput(refused[0])
    found = merge(rankings, many)
    return Looked(alike.varied(libraries, found, k) if wanted.diverse else found[:k], [*notes, *refused])


def named(libraries: Sequence[Library], like: Sequence[str], unlike: Sequence[str]) -> Look:
    """A Look by pictures as people name them: a path of an image file, or an image of the libraries by its id, the
    first digits of that, or its file's name. `unlike` takes images of the libraries.

    Raises BadInput for a file that cannot be read, LibraryError for an image that no library has, or several have.
    """
    shown = {ref: _file(ref) for ref in like if os.path.isfile(ref)}
    away = [_file(ref) if os.path.isfile(ref) else ref for ref in unlike]
    return Look(
        like=tuple(_found(libraries, ref) for ref in like if ref not in shown),
        unlike=tuple(_found(libraries, ref if isinstance(ref, str) else image_identity(ref)) for ref in away),
        shown=tuple(shown.values()),
    )


def _file(path: str) -> bytes:
    try:
        return read_file(path)
    except (OSError, ImageUnreadable) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"Cannot read {printable_path(path)} ({reason}): check the path.") from error


def _found(libraries: Sequence[Library], ref: str) -> str:
    """The id of the image that `ref` names in the first library that has one."""
    for library in libraries[:-1]:
        try:
            return library.find(ref).id
        except LibraryError:
            continue  # the last one says what is wrong
    return libraries[-1].find(ref).id


def _checked(wanted: Look) -> Look:
    words = one_line(wanted.words)
    if not words and not wanted.like and not wanted.shown:
        raise BadInput(note("look-unlike" if wanted.unlike else "look-empty"))
    if max(len(wanted.like) + len(wanted.shown), len(wanted.unlike)) > MOST:
        raise BadInput(note("look-many", most=MOST))
    return replace(wanted, words=words)


def _resolved(libraries: Sequence[Library], wanted: Look) -> Look:
    """A file that a library has becomes that image. Raises BadInput for an id that none has."""
    for image_id in (*wanted.like, *wanted.unlike):
        _holder(libraries, image_id)
    known = {data: image_identity(data) for data in wanted.shown}
    there = {i for i in known.values() if any(library.has(i) for library in libraries)}
    like = dict.fromkeys([*wanted.like, *(i for i in known.values() if i in there)])
    return replace(wanted, like=tuple(like), shown=tuple(data for data, i in known.items() if i not in there))


def _decoder(data: bytes, max_pixels: int) -> Any:
    """The picture for an encoder. Raises ImageUnreadable, which says which one."""
    try:
        return for_clip(data, max_pixels=max_pixels)
    except ImageUnreadable as error:
        raise ImageUnreadable(f"An example is not a picture that can be read ({error})") from error


def _holder(libraries: Sequence[Library], image_id: str) -> Library:
    for library in libraries:
        if library.has(image_id):
            return library
    raise BadInput(note("look-unknown", id=one_line(image_id)[:64]))


def _one(
    libraries: Sequence[Library],
    library: Library,
    wanted: Look,
    pictures: Sequence[Any],
    k: int,
    only: Filters,
    away: Collection[str],
) -> tuple[list[Candidate] | None, Note | None]:
    """(a library's answer, None if it cannot be searched so; a remark on how it was searched, or why not)."""
    if not wanted.by_examples:
        return library.search([wanted.words], k, only, away)[0], None
    if pictures and not library.encoders.clip:
        return None, note("look-needs-encoder", name=library.name)
    like = [_example(libraries, library, i) for i in wanted.like]
    like += [_Example("", lambda p=p: p) for p in pictures]
    unlike = [_example(libraries, library, i) for i in wanted.unlike]
    query = _query(library, wanted.words, like, unlike)
    if query is None:
        return None, note("look-says-nothing", name=library.name)
    # Words in a language that the encoder does not read are worth less; beside examples they are one voice of several.
    unread = not like and not reads(library.encoders.caption, [wanted.words])
    found = library.nearest([query], k, unread=unread, own=True, only=only, used=away)[0]
    return found, None if library.encoders.clip else note("look-by-captions", name=library.name)


def _example(libraries: Sequence[Library], library: Library, image_id: str) -> _Example:
    """An image of one of the libraries as `library` sees it, which may have other encoders."""
    holder = library if library.has(image_id) else _holder(libraries, image_id)
    record = holder.record(image_id)
    text = "" if record.bare else record.text
    if holder is not library:
        return _Example(text, lambda: holder.picture(image_id))
    return _Example(text, lambda: holder.picture(image_id), library.dense([image_id]).get(image_id))


# --- one vector per encoder -----------------------------------------------------------------------------------------


def _query(library: Library, words: str, like: Sequence[_Example], unlike: Sequence[_Example]) -> Vectors | None:
    """Vectors of the whole; None if nothing is known of what it goes by."""
    encoders, chances = library.encoders, library.chances()
    texts = {text: "" for text in (words, *(e.text for e in (*like, *unlike))) if text}
    named = dict(zip(texts, encoders.caption.encode_texts([*texts]), strict=True)) if texts else {}
    by_caption = _mixed(chances.get("caption"), named.get(words), _said(like, named), _said(unlike, named))
    by_picture = None
    if encoders.clip:
        asked = encoders.clip.encode_texts([words])[0] if words else None
        by_picture = _mixed(chances.get("clip"), asked, _seen(library, like), _seen(library, unlike))
    if by_caption is None and by_picture is None:
        return None
    return Vectors(by_caption, _terms(library, words, like, unlike), by_picture)


def _said(examples: Sequence[_Example], named: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [named[e.text] for e in examples if e.text]


def _seen(library: Library, examples: Sequence[_Example]) -> list[np.ndarray]:
    """The examples' vectors by what they show; by what is said about one whose file is gone."""
    clip, found = library.encoders.clip, []
    assert clip
    for example in examples:
        if example.known and "clip" in example.known:
            found.append(example.known["clip"])
        elif (picture := example.picture()) is not None:
            found.append(clip.encode_images([picture])[0])
        elif example.text:
            found.append(clip.encode_texts([example.text])[0])
    return found


def _mixed(
    chance: Chance | None, words: np.ndarray | None, like: Sequence[np.ndarray], unlike: Sequence[np.ndarray]
) -> np.ndarray | None:
    """Words, examples and counter-examples as one vector of unit length; None for neither words nor examples."""
    groups = [(1.0, [] if words is None else [words]), (LIKE, like), (-UNLIKE, unlike)]
    if not any(vectors for weight, vectors in groups if weight > 0):
        return None
    total = sum(
        (weight / len(vectors)) * vector / (chance.expected(vector[None], own=True)[1] if chance else 1.0)
        for weight, vectors in groups
        for vector in vectors
    )
    return unit(np.asarray(total, np.float32))


def _terms(library: Library, words: str, like: Sequence[_Example], unlike: Sequence[_Example]) -> Sparse:
    """The typed words, and those of the examples' captions that no counter-example's has: a word that both have does
    not tell them apart."""
    query = library.encoders.words.query
    weights = dict(zip(*query(words), strict=True))
    away = {term for e in unlike for term in query(e.text).indices}
    for example in (e for e in like if e.text):
        for term, count in zip(*query(example.text), strict=True):
            if term not in away:
                weights[term] = weights.get(term, 0.0) + LIKE * count / len(like)
    return Sparse(list(weights), list(weights.values()))
