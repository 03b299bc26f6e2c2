"""Find and read the text in a picture with RapidOCR, whose models come with its package. Runs in the processes of
`sandbox`; use `images.text_in`, which gives it pictures that limner has encoded itself.

Three figures are made of what is found: the words, the share of the picture's area that they cover, and the share of
its detail. The second alone misleads: the one word on an empty card covers 8 % of it, and is all that it shows.
"""

from __future__ import annotations

import io
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.lazy import lazy
from limner.text import one_line, shorten

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageDraw
else:  # most processes never read text
    np = lazy("numpy")
    Image = lazy("PIL.Image")
    ImageDraw = lazy("PIL.ImageDraw")

SIDE = 1600
"""px of the longer side of the pictures that are read: enough for a page of 26 lines with 110 letters each."""
FIND = 736  # px of the longer side when text is looked for; smaller letters cover little
LINES = 40
"""Lines that are read of a picture, those with the largest letters. Each costs 0.05 to 0.2 s; pages have more."""
LONGEST = 2000  # letters kept of a picture
SURE = 0.8
"""Confidence from which a line counts."""
_LETTERS = 2  # different letters or digits of a line; a round thing, such as the sun, is read as O, craters as 0000
_SLIM = 80  # how many times as wide as high a line may be: the models' memory grows with it
_SMALL = 16  # px; nothing can be read in pictures that are narrower
_SEEN = 256  # px of the longer side at which detail is measured, about that of CLIP models
_EVEN = 3  # of 255: steps that noise, paper and JPEG make of an even area


def installed() -> bool:
    """Whether limner[ocr] is."""
    return find_spec("rapidocr") is not None


def text_in(data: bytes) -> list[Any]:
    """[words, share of the area, share of the detail] of a small JPEG. words: from top to bottom, on one line; shares:
    0 to 1."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as file:
        picture = file.convert("RGB")
    if min(picture.size) < _SMALL:
        return ["", 0.0, 0.0]
    engine, pixels = _engine(), np.asarray(picture)[:, :, ::-1]  # as OpenCV has them
    boxes = engine(pixels, use_det=True, use_rec=False).boxes
    found = [] if boxes is None else [box for box in boxes if _shape(box)[1] <= _SLIM]
    largest = sorted(range(len(found)), key=lambda n: -_shape(found[n])[0])[:LINES]
    read = _read(engine, pixels, [found[n] for n in sorted(largest)])
    unread = [box for n, box in enumerate(found) if n not in largest] if read else []
    words = shorten(one_line(" ".join(text for text, _ in read)), LONGEST)
    return [words, *_shares(picture, [*(box for _, box in read), *unread])] if words else ["", 0.0, 0.0]


@lru_cache(maxsize=1)
def _engine() -> Any:
    """The models, from the files of the package: a path that is given is never downloaded."""
    import rapidocr

    models = Path(rapidocr.__file__).parent / "models"
    params: dict[str, Any] = {
        "Global.log_level": "critical",
        "Global.use_cls": False,  # pictures are upright; scans upside down are not read
        "Det.limit_type": "max",
        "Det.limit_side_len": FIND,
        "Det.model_path": str(next(models.glob("*_det_*.onnx"))),
        "Rec.model_path": str(next(models.glob("*_rec_*.onnx"))),
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,  # there is a process a core
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    return rapidocr.RapidOCR(params=params)


def _read(engine: Any, pixels: np.ndarray, boxes: list[Any]) -> list[tuple[str, Any]]:
    """The lines that could be read, each with its box. What looks like text and cannot be read is left out: leaves,
    windows and noise do."""
    if not boxes:
        return []
    lines = engine.recognize_txt(engine.crop_text_regions(pixels, boxes))
    sure = [(text, box) for text, score, box in zip(lines.txts, lines.scores, boxes, strict=True) if score >= SURE]
    return [(text, box) for text, box in sure if len(set(filter(str.isalnum, text))) >= _LETTERS]


def _shape(box: np.ndarray) -> tuple[float, float]:
    """(height of a line's letters in px, how many times as long as high it is). box: (4, 2), its corners in turn."""
    sides = np.linalg.norm(box - np.roll(box, -1, axis=0), axis=1)
    one, other = float(sides[[0, 2]].max()), float(sides[[1, 3]].max())
    return min(one, other), max(one, other) / max(1.0, min(one, other))


def _shares(picture: Image.Image, boxes: list[Any]) -> list[float]:
    """[share of the area, share of the detail] within the boxes; detail: the sum of all steps in brightness, as CLIP
    sees them, so that a soft photograph counts as much as a sharp one."""
    scale = _SEEN / max(picture.size)
    seen = picture.convert("L").resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BOX)
    mask = Image.new("1", seen.size)
    for box in boxes:
        ImageDraw.Draw(mask).polygon([(float(x) * scale, float(y) * scale) for x, y in box], fill=1)
    within, grey = np.asarray(mask), np.asarray(seen).astype(np.int32)
    across, down = np.abs(np.diff(grey, axis=1, append=grey[:, -1:])), np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    steps = np.where(across > _EVEN, across, 0) + np.where(down > _EVEN, down, 0)
    total = int(steps.sum())
    return [round(float(within.mean()), 4), round(int(steps[within].sum()) / total, 4) if total else 0.0]
