"""Read the header of a GGUF file: which model it holds, and what its cache of keys and values costs.

Source of the layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import BadInput
from limner.text import printable, printable_path

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""struct's letter for each numeric type of GGUF."""
_STRING, _ARRAY = 8, 9
_MOST_KEYS = 100_000  # of a header, which has some dozens; and tensors, of which a model has some hundreds
_MOST_DIMENSIONS = 8  # of a tensor; ggml has four
_MOST_KEPT = 4096  # numbers of an array that are kept: a model's, one a layer; longer arrays are vocabularies
_MOST_WORDS = 2_000_000  # texts of an array; the largest vocabularies have a quarter of a million
_MOST_BYTES = 256_000_000  # of a header; one with such a vocabulary has some ten million
_F16 = 2  # bytes of a number in llama.cpp's cache


@dataclass(frozen=True)
class Header:
    """The header of a GGUF file."""

    path: Path
    architecture: str
    """As llama.cpp names it: "llama", "qwen3vl"; "clip" for a projector."""
    values: dict[str, Any]
    """Numbers, texts and short arrays of numbers, by their keys."""
    weights: int = 0
    """Number of parameters in this file, from the shapes of its tensors."""

    @property
    def is_projector(self) -> bool:
        """Whether it holds a projector of pictures (mmproj), not a language model."""
        return self.architecture == "clip"

    @property
    def has_template(self) -> bool:
        """Whether it says how a conversation is worded for the model."""
        return bool(self.values.get("tokenizer.chat_template"))

    @property
    def parameters(self) -> int:
        """Number of the model's parameters; 0 if this file is one of several that hold it."""
        return 0 if self._whole("split.count") > 1 else self.weights

    @property
    def context(self) -> int:
        """Tokens of the context that the model was trained for; 0 if the header does not say."""
        return self._number("context_length")

    @property
    def width(self) -> int:
        """Numbers per token: a language model's own, or those that a projector makes; 0 if the header does not say."""
        return self._whole("clip.vision.projection_dim") if self.is_projector else self._number("embedding_length")

    @property
    def cache_per_token(self) -> int:
        """Bytes that one token takes in the cache of keys and values, for all layers; an upper bound."""
        heads = self._number("attention.head_count")
        head = self._number("embedding_length") // heads if heads else 0
        key = self._number("attention.key_length") or head
        value = self._number("attention.value_length") or head
        return self._number("block_count") * (self._number("attention.head_count_kv") or heads) * (key + value) * _F16

    def _number(self, name: str) -> int:
        return self._whole(f"{self.architecture}.{name}")

    def _whole(self, key: str) -> int:
        """A number of the header; the largest where each layer has one."""
        value = self.values.get(key, 0)
        numbers = value if isinstance(value, list) else [value]
        return max((int(n) for n in numbers if isinstance(n, int | float) and 0 <= n < 2**53), default=0)


def read_header(path: Path) -> Header:
    """Read a header. Raises BadInput, in one line, for a file that cannot be read, is not GGUF or is cut off."""
    where = printable_path(str(path))
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise BadInput(f"{where} is not a GGUF file. Give one, or leave LIMNER_MODEL empty for SmolLM2.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                values, weights = _Reader(data).header()
    except OSError as error:
        raise BadInput(f"{where} cannot be read ({error.strerror}). Give a GGUF file that can be read.") from None
    except (struct.error, ValueError, OverflowError) as error:
        raise BadInput(f"{where} is cut off or damaged ({error}). Download or copy it again.") from None
    return Header(path, printable(str(values.get("general.architecture", "")))[:64], values, weights)


class _Reader:
    """A place in a file, and how to read on. Raises struct.error or ValueError where the file ends too early."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.end = data, 4, min(len(data), _MOST_BYTES)

    def header(self) -> tuple[dict[str, Any], int]:
        """(all values but long arrays, the number of parameters)."""
        version = self.number("I")
        if version not in (2, 3):
            raise ValueError(f"version {version}")
        tensors = self.number("Q")
        count = self.number("Q")
        if max(count, tensors) > _MOST_KEYS:
            raise ValueError(f"{count} keys and {tensors} tensors")
        values = {key: value for key, value in (self._pair() for _ in range(count)) if value is not None}
        return values, sum(self._elements() for _ in range(tensors))

    def _elements(self) -> int:
        """The number of elements of the next tensor that the header lists."""
        self._text()
        dimensions = self.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        shape = [self.number("Q") for _ in range(dimensions)]
        self.number("I")  # its type
        self.number("Q")  # where its data begins
        return math.prod(shape)

    def number(self, letter: str) -> Any:
        """The next number, of the type that struct calls `letter`."""
        (value,) = struct.unpack_from(f"<{letter}", self.data, self.at)
        self.at += struct.calcsize(f"<{letter}")
        return value

    def _pair(self) -> tuple[str, Any]:
        return self._text(), self._value(self.number("I"))

    def _text(self) -> str:
        return self._skip(self.number("Q")).decode("utf-8", "replace")

    def _skip(self, length: int) -> bytes:
        start, end = self.at, self.at + length
        if end > self.end:
            raise ValueError("its header goes on too long")
        self.at = end
        return self.data[start:end] if length <= 1 << 20 else b""

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _NUMBERS:
            raise ValueError(f"a value of type {kind}")
        return self.number(_NUMBERS[kind])

    def _array(self) -> list[Any] | None:
        """A short array of numbers; None for any other, which is skipped."""
        kind, count = self.number("I"), self.number("Q")
        if kind in _NUMBERS:
            size = struct.calcsize(f"<{_NUMBERS[kind]}")
            if count > _MOST_KEPT:
                self._skip(count * size)
                return None
            return [self.number(_NUMBERS[kind]) for _ in range(count)]
        if kind != _STRING:
            raise ValueError(f"an array of type {kind}")
        if count > _MOST_WORDS:
            raise ValueError(f"{count} texts")
        data, at, end, read = self.data, self.at, self.end, struct.Struct("<Q").unpack_from
        for _ in range(count):  # a quarter of a million words: no call per word
            at += 8 + read(data, at)[0]
            if at > end:
                raise ValueError("its header goes on too long")
        self.at = at
        return None
