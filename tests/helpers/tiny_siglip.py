"""Tiny picture encoders as ONNX, laid out as on the hub. They see colours and read the names of colours.

A picture's vector is a projection of its mean colour, a text's the mean of its words' vectors; the words of colours
have the vectors of pictures in that colour, all other words random ones. So a search by these vectors has an order that
can be predicted, with weights of a few kilobytes.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

COLOURS = {
    "red": (220, 30, 30), "green": (30, 160, 40), "blue": (30, 40, 220), "yellow": (240, 230, 40),
    "white": (250, 250, 250), "black": (5, 5, 5), "purple": (140, 30, 160), "orange": (250, 140, 20),
}  # fmt: skip
SIDE, SIZE, WINDOW, SLOTS = 16, 48, 64, 9
_GREY = (130, 120, 110)  # the ninth slot, which no word has
_NEAR = 40.0  # the sharpness of the slots of colours


def painted(folder: Path, *, captioned: bool = False) -> Path:
    """A new folder with a picture of each colour, called by its name; captioned: a text file has its caption."""
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(folder / f"{name}.png")
        if captioned:
            (folder / f"{name}.txt").write_text(f"A wall painted {name}")
    return folder


def make_siglip(folder: Path, *, suffix: str = "", seed: int = 0, window: int | None = None) -> Path:
    """The layout of onnx-community's exports. suffix: as "_fp16". window: fixed in the graph, as some are."""
    rng = np.random.default_rng(seed)
    (folder / "onnx").mkdir(parents=True)
    vocabulary = _vocabulary()
    onnx.save(_vision("pixel_values", "pooler_output", 0.5), folder / f"onnx/vision_model{suffix}.onnx")
    onnx.save(_text("input_ids", "pooler_output", vocabulary, rng, window), folder / f"onnx/text_model{suffix}.onnx")
    tokenizer = _tokenizer(vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"pad_token": {"content": "<pad>"}, "tokenizer_class": "GemmaTokenizer"})
    _write(folder / "config.json", {"model_type": "siglip", "text_config": {"max_position_embeddings": WINDOW}})
    _write(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
            "resample": 2, "size": {"height": SIDE, "width": SIDE}, "rescale_factor": 1 / 255,
        },
    )  # fmt: skip
    return folder


def break_siglip(folder: Path, how: str) -> Path:
    """Make `make_siglip`'s model one that loads by name and cannot be used: truncated, towers, input or side."""
    vision = folder / "onnx/vision_model.onnx"
    if how == "truncated":
        vision.write_bytes(vision.read_bytes()[: vision.stat().st_size // 2])
    elif how == "towers":  # the vision tower lacks its projection
        nodes = [
            helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "to"], ["pooler_output"]),
        ]
        taken = _input("pixel_values", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
        made = _model(nodes, {"to": np.ones((3, SLOTS), np.float32)}, taken, "pooler_output", None)
        made.graph.output[0].type.tensor_type.shape.dim[1].dim_value = SLOTS
        onnx.save(made, vision)
    elif how == "input":
        onnx.save(_vision("pixel_mask", "pooler_output", 0.5), vision)
    else:
        assert how == "side"
        config = json.loads((folder / "preprocessor_config.json").read_text())
        _write(folder / "preprocessor_config.json", {**config, "size": {"height": SIDE + 4, "width": SIDE + 4}})
    return folder


def make_clip(folder: Path, *, seed: int = 0) -> Path:
    """The layout of Immich's exports of open_clip: one picture and one text in a run, texts as int32."""
    rng = np.random.default_rng(seed)
    for tower in ("visual", "textual"):
        (folder / tower).mkdir(parents=True)
    vocabulary = _vocabulary()
    onnx.save(_vision("image", "embedding", 0.5, batch=1), folder / "visual/model.onnx")
    onnx.save(
        _text("text", "embedding", vocabulary, rng, 77, TensorProto.INT32, batch=1), folder / "textual/model.onnx"
    )
    _tokenizer(vocabulary).save(str(folder / "textual/tokenizer.json"))
    _write(folder / "textual/tokenizer_config.json", {"pad_token": "<pad>"})
    _write(
        folder / "config.json",
        {"embed_dim": SIZE, "text_cfg": {"context_length": 77, "tokenizer_kwargs": {"clean": "canonicalize"}}},
    )
    _write(
        folder / "visual/preprocess_cfg.json",
        {
            "size": [SIDE, SIDE], "mode": "RGB", "mean": [0.5] * 3, "std": [0.5] * 3,
            "interpolation": "bicubic", "resize_mode": "shortest",
        },
    )  # fmt: skip
    return folder


def _vocabulary() -> list[str]:
    lines = (files("limner.tools") / "unrelated.txt").read_text(encoding="utf-8").lower()
    words = sorted(set(re.findall(r"\w+", lines)) - set(COLOURS))
    return ["<pad>", "<eos>", "<bos>", "<unk>", *COLOURS, *words]


def _tokenizer(vocabulary: list[str]) -> Tokenizer:
    """Words, case-sensitive as Gemma's tokenizer is: lower case is the caller's task."""
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def _slots() -> np.ndarray:
    """(9, SIZE): a direction per colour, the same for both towers of a seed."""
    return np.linalg.qr(np.random.default_rng(7).normal(size=(SIZE, SLOTS)))[0].T.astype(np.float32)


def _vision(name: str, output: str, mean: float, *, batch: int | None = None) -> onnx.ModelProto:
    """Mean colour -> how near it is to each colour (softmax) -> the colours' directions, and a random part."""
    centres = (np.array([*COLOURS.values(), _GREY], np.float32) / 255 - mean) / 0.5  # (9, 3)
    weights = {
        # softmax over -NEAR |x - c|^2 = NEAR (2 x.c - |c|^2) + a constant
        "to": (2 * _NEAR * centres.T).astype(np.float32),
        "offset": (-_NEAR * (centres**2).sum(1)).astype(np.float32),
        "slots": _slots(),
    }
    nodes = [
        helper.make_node("ReduceMean", [name], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "to"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["near"]),
        helper.make_node("Softmax", ["near"], ["share"], axis=1),
        helper.make_node("MatMul", ["share", "slots"], [output]),
    ]
    return _model(nodes, weights, _input(name, TensorProto.FLOAT, [batch or "n", 3, SIDE, SIDE]), output, batch)


def _text(
    name: str,
    output: str,
    vocabulary: list[str],
    rng: np.random.Generator,
    window: int | None,
    kind: int = TensorProto.INT64,
    *,
    batch: int | None = None,
) -> onnx.ModelProto:
    """The sum of the words' vectors; those of the special tokens are zero."""
    table = 0.15 * rng.normal(size=(len(vocabulary), SIZE)).astype(np.float32)
    table[:4] = 0
    table[4 : 4 + len(COLOURS)] = 3 * _slots()[:-1]
    nodes = [
        helper.make_node("Gather", ["table", name], ["words"]),
        helper.make_node("ReduceSum", ["words", "axis"], ["summed"], keepdims=0),
        helper.make_node("Add", ["summed", "common"], [output]),
    ]
    weights = {"table": table, "axis": np.array([1], np.int64), "common": np.full(SIZE, 0.05, np.float32)}
    return _model(nodes, weights, _input(name, kind, [batch or "n", window or "length"]), output, batch)


def _input(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    taken: onnx.ValueInfoProto,
    output: str,
    batch: int | None,
) -> onnx.ModelProto:
    given = helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch or "n", SIZE])
    kept = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "tiny", [taken], [given], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
