"""A picture encoder with ONNX weights, run by onnxruntime, without torch."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import BadInput
from limner.lazy import lazy
from limner.models.encoders.layout import Layout, Preparation, read_layout
from limner.models.encoders.vectors import unit

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
else:  # a graph over a library is built without it
    np = lazy("numpy")

_PICTURES, _TEXTS = 8, 16  # in one run of a tower: as many as stay in the CPU's cache with its weights
_BLOCK, _BLOCKS = 1 << 16, 64  # bytes in a sample of a weights file, and the number of samples
_VECTORS = {
    "vision": ("image_embeds", "pooler_output", "embedding", "image_features", "image_embedding"),
    "text": ("text_embeds", "pooler_output", "embedding", "text_features", "text_embedding"),
}
"""Names of the output with one vector per picture or text, best first; else the first output with two axes."""
_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64", "tensor(int32)": "int32"}


class OnnxPictures:
    """A CLIP or SigLIP model as two ONNX files in a folder; see `layout`. Loaded on first use, one tower at a time.

    Safe to use from several threads. Sources: Radford et al. 2021, arXiv 2103.00020; Zhai et al. 2023, arXiv
    2303.15343; Tschannen et al. 2025, arXiv 2502.14786 (SigLIP 2: lower case, 64 tokens).
    """

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """threads: CPU threads, 0 for all. Raises BadInput for a folder without such a model."""
        self.layout: Layout = read_layout(folder)
        self.threads = threads
        self._loading = threading.Lock()

    @property
    def name(self) -> str:
        """The folder's name and a digest of samples of both weights files, because others give other vectors."""
        return f"{self.layout.folder.name} {self._digest[:8]}"

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in (self.layout.vision, self.layout.text):
            size = path.stat().st_size
            digest.update(size.to_bytes(8, "big"))
            with path.open("rb") as file:
                for n in range(_BLOCKS):
                    file.seek(n * max(0, size - _BLOCK) // (_BLOCKS - 1))
                    digest.update(file.read(_BLOCK))
        return digest.hexdigest()

    @property
    def size(self) -> int:
        """Numbers in a vector. Loads the text tower, which every search needs."""
        return self._size

    @cached_property
    def _size(self) -> int:
        return int(self.encode_texts(["a"]).shape[1])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length. Raises BadInput if the model gives no such vectors."""
        if not texts:
            return np.empty((0, self.size), np.float32)
        session, tokenizer, window = self._text
        batch = _batch(session, _TEXTS)
        parts = []
        for start in range(0, len(texts), batch):
            some = [self._cleaned(text) for text in texts[start : start + batch]]
            tokens = tokenizer.encode_batch(some)
            given = {
                "input_ids": np.array([t.ids for t in tokens], np.int64),
                "attention_mask": np.array([t.attention_mask for t in tokens], np.int64),
                "position_ids": np.tile(np.arange(window), (len(some), 1)),
                "token_type_ids": np.zeros((len(some), window), np.int64),
            }
            given["text"] = given["input_ids"]  # as open_clip's exports call it
            parts.append(self._run(session, given, "text", len(some)))
        return unit(np.concatenate(parts))

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """(n, size) float32, rows of unit length. pictures: any size, RGB. Raises BadInput as `encode_texts` does."""
        if not pictures:
            return np.empty((0, self.size), np.float32)
        session = self._vision
        batch = _batch(session, _PICTURES)
        parts = []
        for start in range(0, len(pictures), batch):
            some = pictures[start : start + batch]
            pixels = np.stack([prepared(picture, self.layout.preparation) for picture in some])
            parts.append(self._run(session, {"pixel_values": pixels, "image": pixels}, "vision", len(some)))
        vectors = np.concatenate(parts)
        if vectors.shape[1] != self.size:
            raise BadInput(
                f"{self.layout.folder.name} gives {vectors.shape[1]} numbers for a picture and {self.size} for a text, "
                "so its towers do not belong together. Use an export with projection."
            )
        return unit(vectors)

    def _cleaned(self, text: str) -> str:
        text = " ".join(text.split())
        return text.lower() if self.layout.lower else text

    def _run(self, session: Any, given: dict[str, np.ndarray], tower: str, count: int) -> np.ndarray:
        """(count, size) float32. Raises BadInput if there is no output with a finite vector for each."""
        wanted = {i.name: i for i in session.get_inputs()}
        if missing := wanted.keys() - given.keys():
            raise BadInput(
                f"{self.layout.folder.name}: the {tower} tower asks for {', '.join(sorted(missing))[:80]}, which "
                "limner does not know. Use an export with one tower per file."
            )
        fed = {name: given[name].astype(_TYPES.get(i.type, "float32")) for name, i in wanted.items()}
        flat = [o.name for o in session.get_outputs() if len(o.shape or ()) == 2]
        named = next((n for n in (*_VECTORS[tower], *flat) if n in flat), None)
        if named is None:
            raise BadInput(f"{self.layout.folder.name}: the {tower} tower gives no vector. Use an export with pooling.")
        vectors = session.run([named], fed)[0].astype(np.float32)
        if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
            raise BadInput(f"{self.layout.folder.name}: the {tower} tower gives no usable vectors. Use other weights.")
        return vectors

    @property
    def _vision(self) -> Any:
        with self._loading:
            return self._vision_session

    @cached_property
    def _vision_session(self) -> Any:
        return _session(self.layout.vision, self.threads)

    @property
    def _text(self) -> tuple[Any, Any, int]:
        with self._loading:
            return self._text_parts

    @cached_property
    def _text_parts(self) -> tuple[Any, Any, int]:
        """The text tower, its tokenizer, and the number of tokens it reads."""
        session = _session(self.layout.text, self.threads)
        fixed = [i.shape[1] for i in session.get_inputs() if len(i.shape or ()) == 2]
        window = next((length for length in fixed if isinstance(length, int) and length > 0), self.layout.window)
        return session, _tokenizer(self.layout, window), window


def prepared(picture: Image.Image, how: Preparation) -> np.ndarray:
    """(3, height, width) float32: the picture as the vision tower reads it."""
    picture = picture.convert("RGB")
    if how.squash:
        picture = picture.resize((how.width, how.height), how.resample)
    else:
        scale = max(how.width / picture.width, how.height / picture.height)
        width, height = max(how.width, round(picture.width * scale)), max(how.height, round(picture.height * scale))
        left, top = (width - how.width) // 2, (height - how.height) // 2
        # Only the part that stays is scaled, so that a panorama does not become a picture of a million pixels.
        box = (left / scale, top / scale, (left + how.width) / scale, (top + how.height) / scale)
        box = (box[0], box[1], min(box[2], picture.width), min(box[3], picture.height))
        picture = picture.resize((how.width, how.height), how.resample, box=box)
    pixels = np.asarray(picture, np.float32) / 255
    pixels = (pixels - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    return pixels.transpose(2, 0, 1)


def _batch(session: Any, usual: int) -> int:
    """Pictures or texts in one run: as many as an export of fixed size takes, else `usual`."""
    first = session.get_inputs()[0].shape[0]
    return first if isinstance(first, int) and first > 0 else usual


def _session(path: Path, threads: int) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # see encoders.MiniLM
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes differ between releases
        words = " ".join(str(error).split())[:200]
        raise BadInput(f"{path.name} of {path.parent.name} cannot be loaded ({words}). Copy or fetch it again.") from (
            error
        )


def _tokenizer(layout: Layout, window: int) -> Any:
    """The tokenizer, which cuts and pads every text to `window` tokens. Raises BadInput."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(layout.tokenizer))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise BadInput(f"tokenizer.json of {layout.folder.name} cannot be read. Copy or fetch it again.") from error
    padding = tokenizer.padding or {}
    names = (padding.get("pad_token"), layout.pad, "<pad>", "[PAD]", "<|endoftext|>")
    pad = next((name for name in names if name and tokenizer.token_to_id(name) is not None), None)
    if pad is None:
        raise BadInput(f"{layout.folder.name} names no padding token. Copy its tokenizer_config.json, too.")
    tokenizer.enable_truncation(window)
    tokenizer.enable_padding(length=window, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
    return tokenizer
