"""Read which picture encoder a folder holds: two ONNX towers, laid out as on the hub.

Two layouts are known. Transformers.js: `onnx/vision_model.onnx`, `onnx/text_model.onnx`, `preprocessor_config.json`,
`tokenizer.json`, `config.json`. Immich: `visual/model.onnx`, `visual/preprocess_cfg.json`, `textual/model.onnx`,
`textual/tokenizer.json`, `config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from limner.errors import BadInput
from limner.text import printable_path

# Best first: a vision tower of 8 bits loses what tells pictures apart (docs/libraries.md), so it comes last.
_WEIGHTS = ("", "_fp16", "_q4f16", "_q4", "_bnb4", "_quantized", "_int8", "_uint8")
_BILINEAR, _BICUBIC = 2, 3  # Pillow's numbers, which preprocessor_config.json uses
_RESAMPLING = {"nearest": 0, "lanczos": 1, "bilinear": _BILINEAR, "bicubic": _BICUBIC}
_MOST_SIDE, _MOST_WINDOW = 1024, 512
_OPENAI_MEAN, _OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Preparation(NamedTuple):
    """How pictures become the numbers that the vision tower reads."""

    height: int
    """px"""
    width: int
    squash: bool
    """Whether the sides are scaled on their own; else the shorter side is scaled, and the middle cut out."""
    resample: int
    """Pillow's number of the filter."""
    mean: tuple[float, ...]
    """Per channel, of samples from 0 to 1."""
    std: tuple[float, ...]


class Layout(NamedTuple):
    """A picture encoder in a folder."""

    folder: Path
    vision: Path
    text: Path
    tokenizer: Path
    preparation: Preparation
    window: int
    """Tokens at which texts are cut, and to which shorter ones are padded."""
    pad: str
    """The token to pad with where tokenizer.json does not say; "" if unknown."""
    lower: bool
    """Whether texts are read in lower case, as SigLIP's were in training."""


def is_pictures(folder: Path) -> bool:
    """Whether a folder looks like one of a picture encoder."""
    return _towers(folder) is not None


def read_layout(folder: Path) -> Layout:
    """Read an encoder's folder. Raises BadInput, naming the file that is missing or damaged."""
    folder = folder.expanduser().resolve()
    towers = _towers(folder)
    if towers is None:
        raise BadInput(
            f"{printable_path(str(folder))[:200]} holds no picture encoder. Put onnx/vision_model.onnx, "
            "onnx/text_model.onnx, tokenizer.json, config.json and preprocessor_config.json there, for example of "
            "onnx-community/siglip2-base-patch16-256-ONNX."
        )
    vision, text = towers
    tokenizer = _first(folder, ("tokenizer.json", "textual/tokenizer.json"))
    given = _first(folder, ("preprocessor_config.json", "visual/preprocess_cfg.json"))
    if tokenizer is None or given is None:
        lacks = "tokenizer.json" if tokenizer is None else "preprocessor_config.json"
        raise BadInput(f"{printable_path(str(folder))[:200]} has no {lacks}. Copy it from where the model came from.")
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    siglip = isinstance(kind, str) and kind.startswith("siglip")
    clean = _inner(_inner(config, "text_cfg"), "tokenizer_kwargs").get("clean")
    return Layout(
        folder=folder,
        vision=vision,
        text=text,
        tokenizer=tokenizer,
        preparation=_preparation(_json(given), given),
        window=_window(config, 64 if siglip else 77),
        pad=_token(_json(tokenizer.with_name("tokenizer_config.json")).get("pad_token")),
        lower=siglip or clean in ("canonicalize", "lower"),
    )


def _towers(folder: Path) -> tuple[Path, Path] | None:
    """The files of the vision tower and the text tower, each with the best weights there; None if one is missing."""
    vision = _first(folder, [f"{at}vision_model{w}.onnx" for w in _WEIGHTS for at in ("onnx/", "")])
    text = _first(folder, [f"{at}text_model{w}.onnx" for w in _WEIGHTS for at in ("onnx/", "")])
    vision = vision or _first(folder, ("visual/model.onnx",))
    text = text or _first(folder, ("textual/model.onnx",))
    return (vision, text) if vision and text else None


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _preparation(given: Mapping[str, Any], file: Path) -> Preparation:
    """From Transformers' preprocessor_config.json or open_clip's preprocess_cfg.json. Raises BadInput."""
    theirs = "image_mean" not in given and "mean" in given  # open_clip
    try:
        if theirs:
            height, width = _sides(given.get("size"))
            squash = given.get("resize_mode") == "squash"
            resample = _RESAMPLING[given.get("interpolation", "bicubic")]
            mean, std = given["mean"], given["std"]
        else:
            size = given.get("size")
            squash = isinstance(size, dict) and "height" in size
            cut = given.get("crop_size") if given.get("do_center_crop") and not squash else None
            height, width = _sides(cut or size)
            resample = given.get("resample", _BICUBIC)
            mean, std = given.get("image_mean", _OPENAI_MEAN), given.get("image_std", _OPENAI_STD)
            if given.get("do_normalize") is False:
                mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        made = Preparation(height, width, squash, int(resample), _three(mean), _three(std))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise BadInput(f"{file.name} of {file.parent.name} does not say how pictures are scaled. Copy it again.") from (
            error
        )
    if not all(0 < side <= _MOST_SIDE for side in made[:2]) or min(made.std) <= 0:
        raise BadInput(f"{file.name} of {file.parent.name} has sizes that no model has. Copy it again.")
    return made


def _sides(size: Any) -> tuple[int, int]:
    """Height and width in px of `224`, `[224, 224]`, `{"height": …, "width": …}` or `{"shortest_edge": …}`."""
    if isinstance(size, dict):
        height = size["height"] if "height" in size else size["shortest_edge"]
        return int(height), int(size.get("width", height))
    if isinstance(size, (list, tuple)):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def _three(values: Any) -> tuple[float, ...]:
    made = tuple(float(value) for value in values)
    if len(made) != 3:
        raise ValueError(f"{len(made)} channels")
    return made


def _window(config: Mapping[str, Any], usual: int) -> int:
    """Tokens per text, by config.json of Transformers or of open_clip."""
    for part, name in (("text_config", "max_position_embeddings"), ("text_cfg", "context_length")):
        found = _inner(config, part).get(name)
        if isinstance(found, int) and 0 < found <= _MOST_WINDOW:
            return found
    return usual


def _inner(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _token(given: Any) -> str:
    """A token of tokenizer_config.json: a text, or a text with properties."""
    given = given.get("content") if isinstance(given, dict) else given
    return given if isinstance(given, str) else ""


def _json(path: Path) -> dict[str, Any]:
    """A file's object; {} if it is missing. Raises BadInput if it cannot be read."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} of {path.parent.name} cannot be read. Copy it again.") from error
    return found if isinstance(found, dict) else {}
