"""Let an encoder run once before a library relies on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from limner.errors import BadInput, LimnerError
from limner.lazy import lazy
from limner.models.encoders.known import Kind
from limner.tools.encoders import Encoders, PictureEncoder, TextEncoder

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")

T = TypeVar("T")


def likeness(
    clip: PictureEncoder, colours: Sequence[str] = ("red",), texts: Sequence[str] = ("a plain red picture",)
) -> np.ndarray:
    """(colours, texts) float32: how alike plain pictures in these colours and these texts are, -1 to 1.

    Raises BadInput in one line if the encoder fails or gives other vectors than its `size` says, and what the encoder
    itself raises of limner's errors.
    """
    from PIL import Image

    shown = [Image.new("RGB", (64, 64), colour) for colour in colours]
    seen, named = _tried(clip, lambda: (clip.encode_images(shown), clip.encode_texts(texts)))
    _check(clip, seen, len(colours))
    _check(clip, named, len(texts))
    return seen @ named.T


def kinship(captions: TextEncoder) -> np.ndarray:
    """(2,) float32: how alike the caption of a bee is to another of bees, and to one of taxes, -1 to 1.

    Raises as `likeness` does.
    """
    texts = ["a bee on a flower", "an insect visiting a blossom", "a tax return"]
    vectors = _tried(captions, lambda: captions.encode_texts(texts))
    _check(captions, vectors, len(texts))
    return vectors[1:] @ vectors[0]


def runs(encoders: Encoders, kind: Kind) -> None:
    """Try the encoder of that kind. Raises as `likeness` does if it does not run."""
    if kind == "captions":
        kinship(encoders.caption)
    elif encoders.clip:
        likeness(encoders.clip)


def _tried(encoder: TextEncoder, encode: Callable[[], T]) -> T:
    try:
        return encode()
    except LimnerError:
        raise
    except Exception as error:  # of onnxruntime or torch, whose classes differ between releases
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(f"{encoder.name} cannot encode ({words}). Use other weights.") from error


def _check(encoder: TextEncoder, vectors: np.ndarray, count: int) -> None:
    if vectors.shape != (count, encoder.size):
        made = f"vectors of {vectors.shape[-1]} numbers where {encoder.size} are due"
        raise BadInput(f"{encoder.name} gives {made}. Use other weights.")
    if not np.isfinite(vectors).all():
        raise BadInput(f"{encoder.name} gives no usable vectors. Use other weights.")
