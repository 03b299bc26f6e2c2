"""Encode a library's captions and pictures, and the queries it is searched with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from limner.tools.encoders import Encoders, TextEncoder
from limner.tools.language import UNKNOWN, language_of
from limner.tools.library.records import Record
from limner.tools.store import Vectors

_ENOUGH = 200  # letters from which a language can be told for sure; a few words in a search box are left alone
Picture = Callable[[str], Any]
"""Image id -> the decoded picture, None where its file is gone."""


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
