"""Let an encoder of pictures run once before a library relies on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limner.errors import BadInput, LimnerError
from limner.lazy import lazy
from limner.tools.encoders import PictureEncoder

if TYPE_CHECKING:
    import numpy as np
else:  # a graph over a library is built without it
    np = lazy("numpy")


def likeness(
    clip: PictureEncoder, colours: Sequence[str] = ("red",), texts: Sequence[str] = ("a plain red picture",)
) -> np.ndarray:
    """(colours, texts) float32: how alike plain pictures in these colours and these texts are, -1 to 1.

    Raises BadInput in one line if the encoder fails or gives other vectors than its `size` says, and what the encoder
    itself raises of limner's errors.
    """
    from PIL import Image

    shown = [Image.new("RGB", (64, 64), colour) for colour in colours]
    try:
        seen, told, size = clip.encode_images(shown), clip.encode_texts(texts), clip.size
    except LimnerError:
        raise
    except Exception as error:  # of onnxruntime or torch, whose classes differ between releases
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(f"{clip.name} cannot encode a picture and a text ({words}). Use other weights.") from error
    if seen.shape != (len(colours), size) or told.shape != (len(texts), size):
        raise BadInput(
            f"{clip.name} gives {seen.shape[-1]} numbers for a picture and {told.shape[-1]} for a text where {size} "
            "are due. Use other weights."
        )
    if not (np.isfinite(seen).all() and np.isfinite(told).all()):
        raise BadInput(f"{clip.name} gives no usable vectors. Use other weights.")
    return seen @ told.T
