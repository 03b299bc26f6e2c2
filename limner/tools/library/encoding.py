"""Encode a library's captions and pictures, and the queries it is searched with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limner.tools.encoders import Encoders, TextEncoder
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library.records import Record
from limner.tools.stored import Dense, Vectors

_ENOUGH = 200  # letters from which a language can be told for sure; a few words in a search box are left alone
Picture = Callable[[str], Any]
"""Image id -> the decoded picture, None where its file is gone."""


def made(
    encoders: Encoders, records: Sequence[Record], picture: Picture, known: Mapping[str, Dense] | None = None
) -> dict[str, Vectors]:
    """The vectors of images, by id. known: those that need not be made, by id and name."""
    known = known or {}
    seen = _rest(encoders, records, "clip", picture, known) if encoders.clip else {}
    # A name like DSC_0001 would only draw an image that can be found by what it shows to texts with numbers.
    captioned = [r for r in records if not (r.bare and r.id in seen)]
    said = _rest(encoders, captioned, "caption", picture, known)
    words = {r.id: encoders.words.document(r.words, r.text_in_picture.words) for r in records}
    return {r.id: Vectors(said.get(r.id), words[r.id], seen.get(r.id)) for r in records}


def sampled(records: Sequence[Record], made: Mapping[str, Vectors]) -> dict[str, Dense]:
    """The dense vectors that may say what is chance, by encoder and image id. DSC_0001 is no caption."""
    bare = {r.id for r in records if r.bare}
    said = {i: v.caption for i, v in made.items() if v.caption is not None and i not in bare}
    return {"caption": said, "clip": {i: v.clip for i, v in made.items() if v.clip is not None}}


def _rest(
    encoders: Encoders, records: Sequence[Record], name: str, picture: Picture, known: Mapping[str, Dense]
) -> Dense:
    """The vectors of one encoder by image id: known ones, and the others made now."""
    there = {r.id: known[r.id][name] for r in records if name in known.get(r.id, {})}
    return there | encoded(encoders, [r for r in records if r.id not in there], name, picture)


def encoded(encoders: Encoders, records: Sequence[Record], name: str, picture: Picture) -> dict[str, Any]:
    """Vectors of the dense encoder `name` by image id; for "clip" none of an image without a picture."""
    encode: Callable[[list[Any]], Any]
    given: dict[str, Any]
    if name == "caption":
        encode, given = encoders.caption.encode_texts, {r.id: r.text for r in records}
    elif encoders.clip:
        encode, seen = encoders.clip.encode_images, {r.id: picture(r.id) for r in records}
        given = {image_id: shown for image_id, shown in seen.items() if shown is not None}
    else:
        return {}
    return dict(zip(given, encode([*given.values()]), strict=True)) if given else {}


def queries(encoders: Encoders, texts: Sequence[str]) -> list[Vectors]:
    """What each text is searched by."""
    captions = encoders.caption.encode_texts(texts)
    clips = encoders.clip.encode_texts(texts) if encoders.clip else [None] * len(texts)
    return [Vectors(c, encoders.words.query(t), v) for c, t, v in zip(captions, texts, clips, strict=True)]


def reads(encoder: TextEncoder, texts: Sequence[str]) -> bool:
    """Whether an encoder reads the language of these texts; one that names none reads all."""
    languages = getattr(encoder, "languages", ())
    if not languages or sum(map(len, texts)) < _ENOUGH:
        return True
    return language_of(texts).code in (*languages, UNKNOWN)
