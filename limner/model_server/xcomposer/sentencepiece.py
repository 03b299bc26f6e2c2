"""Convert a SentencePiece model to a `tokenizers` pipeline, without SentencePiece at run time.

XComposer's tokenizers are plain byte-fallback BPE: identity normalisation, no space prepended, white space kept.
Anything else is refused, because it would tokenise differently from the training.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE

# Wire types and field numbers of sentencepiece_model.proto (google/sentencepiece, Apache-2.0).
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; its id is its position."""

    text: str
    score: float
    kind: int


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number does not end")


def _fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Field number, wire type and raw value of each field of a protobuf message. Raises ValueError or IndexError."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
        else:
            if wire == _BYTES:
                size, at = _varint(data, at)
            else:
                size = {_FIXED64: 8, _FIXED32: 4}.get(wire, -1)
            if size < 0 or at + size > len(data):
                raise ValueError(f"wire type {wire} or a length does not fit")
            value, at = data[at : at + size], at + size
        yield number, wire, value


def _message(data: bytes) -> dict[int, int | bytes]:
    return {number: value for number, _, value in _fields(data)}


def _piece(data: bytes) -> Piece:
    fields = _message(data)
    text, score = fields.get(1, b""), fields.get(2, b"\0\0\0\0")
    if not isinstance(text, bytes) or not isinstance(score, bytes) or len(score) != 4:
        raise ValueError("a piece has no text or no score")
    return Piece(text.decode("utf-8"), struct.unpack("<f", score)[0], int(fields.get(3, _NORMAL)))  # type: ignore[arg-type]


def read_pieces(data: bytes) -> list[Piece]:
    """The vocabulary of a SentencePiece model file.

    Raises ValueError, with the reason, for a damaged file and for one with other text handling than XComposer's.
    """
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    try:
        for number, wire, value in _fields(data):
            if wire != _BYTES or not isinstance(value, bytes):
                continue
            if number == _PIECES:
                pieces.append(_piece(value))
            elif number == _TRAINER:
                trainer = _message(value)
            elif number == _NORMALIZER:
                normalizer = _message(value)
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"it is damaged ({error})") from None
    _check(pieces, trainer, normalizer)
    return pieces


def _check(pieces: list[Piece], trainer: dict[int, int | bytes], normalizer: dict[int, int | bytes]) -> None:
    """Defaults are the proto's: model_type 1 (unigram), byte_fallback off, the three white space rules on."""
    reasons = {
        "it is no BPE model": trainer.get(3, 1) != 2,
        "it has no byte fallback": trainer.get(35, 0) != 1,
        "it normalises text": bool(normalizer.get(2)),
        "it puts a space in front of text": normalizer.get(3, 1) != 0,
        "it removes white space": normalizer.get(4, 1) != 0,
        "it does not escape white space": normalizer.get(5, 1) != 1,
        "it holds a piece twice": len({p.text for p in pieces}) != len(pieces),
        "its unknown piece is not the first": not pieces or pieces[0].kind != _UNKNOWN,
    }
    wrong = [reason for reason, is_so in reasons.items() if is_so]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}, unlike XComposer's")


def _merges(pieces: list[Piece]) -> list[tuple[str, str]]:
    """Pairs in BPE's merge order: best score of the joined piece first, then by the pair's ids."""
    ids = {p.text: n for n, p in enumerate(pieces) if p.kind == _NORMAL}
    ranked = []
    for text, n in ids.items():
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in ids and right in ids:
                ranked.append((-pieces[n].score, ids[left], ids[right]))
    ranked.sort()
    return [(pieces[left].text, pieces[right].text) for _, left, right in ranked]


def build_tokenizer(pieces: list[Piece], added: list[str]) -> Tokenizer:
    """A tokenizer with the same ids. It prepends BOS; `added` get the ids after the vocabulary, in this order."""
    vocabulary = {p.text: n for n, p in enumerate(pieces)}
    unknown = pieces[0].text
    tokenizer = Tokenizer(
        BPE(vocabulary, _merges(pieces), unk_token=unknown, fuse_unk=True, byte_fallback=True, dropout=None)
    )
    tokenizer.normalizer = normalizers.Replace(" ", _SPACE)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    control = [AddedToken(p.text, normalized=False, special=True) for p in pieces if p.kind in (_UNKNOWN, _CONTROL)]
    user = [AddedToken(p.text.replace(_SPACE, " "), normalized=False) for p in pieces if p.kind == _USER_DEFINED]
    tokenizer.add_special_tokens(control)
    tokenizer.add_tokens(user)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in added])
    bos = next((p.text for p in pieces if p.text == "<s>"), None)
    if bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, vocabulary[bos])]
        )
    return tokenizer
