"""Turn token ids into text, one token at a time: whole characters only, and stop sequences found as they appear."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a token of byte fallback


class Detokenizer:
    """Gives the text that each further token adds; "" while a character's bytes are incomplete.

    For tokenizers in which a token's text does not depend on its neighbours, except for the bytes of one character,
    like those that sentencepiece.py builds.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token_id: int) -> str:
        """The text that this token completes; invalid bytes become U+FFFD."""
        byte = _BYTE.fullmatch(self._tokenizer.convert_ids_to_tokens(token_id) or "")
        if byte:
            return self._bytes.decode(bytes([int(byte[1], 16)]))
        return self.rest() + self._tokenizer.decode([token_id], skip_special_tokens=True)

    def rest(self) -> str:
        """The rest at the end: U+FFFD for an incomplete character."""
        left = self._bytes.decode(b"", final=True)
        self._bytes.reset()
        return left


class Stops:
    """Finds the first stop sequence in text that arrives in pieces."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(sequences)
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """Add a piece. Returns the text that is certainly before any stop sequence, and the sequence found or ""."""
        text = self._held + piece
        found = min(((text.find(s), s) for s in self._sequences if s in text), default=None)
        if found:
            self._held = ""
            return text[: found[0]], found[1]
        keep = max((_overlap(text, s) for s in self._sequences), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], ""

    def rest(self) -> str:
        """The text held back, once no more follows."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, sequence: str) -> int:
    """Length of the longest suffix of `text` that is a prefix of `sequence`."""
    return next((n for n in range(min(len(text), len(sequence) - 1), 0, -1) if text.endswith(sequence[:n])), 0)
