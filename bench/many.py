"""Many pictures for bench/library.py: files that are cheap to make, and encoders that cost nothing."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from limner.models.encoders.vectors import unit
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM

ROOT = Path(__file__).resolve().parents[1]
CAPTION, PICTURE = 384, 768  # numbers in a vector of MiniLM, of SigLIP base
SUBJECTS = 200  # of which the pictures are
VOCABULARY, WORDS = 20_000, 15  # words in all, and in a caption


class Made:
    """An encoder that costs nothing: text number n, which ends in "no n", has row n of a table.

    The rows are near one of 200 centres, as those of pictures of 200 subjects are. A text that ends in "like n" is near
    row n. `encode_images` reads a picture's number from the colour of its first pixel.
    """

    languages: Sequence[str] = ()

    def __init__(self, name: str, count: int, size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.name, self.size, self.seed = name, size, seed
        centres = unit(rng.normal(size=(SUBJECTS, size)))
        noise = rng.normal(size=(count, size)).astype(np.float32) * (2.4 / size**0.5)
        self.table = unit(centres[rng.integers(SUBJECTS, size=count)].astype(np.float32) + noise)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        return np.stack([self._row(text) for text in texts]) if texts else np.empty((0, self.size), np.float32)

    def encode_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """(n, size) float32, rows of unit length."""
        numbers = [(r << 16) + (g << 8) + b for r, g, b in (picture.getpixel((0, 0)) for picture in pictures)]
        return self.table[numbers]

    def _row(self, text: str) -> np.ndarray:
        *_, kind, last = ["", *text.split()] if text.split() else ("", "")
        if kind == "no" and last.isdigit():
            return self.table[int(last)]
        rng = np.random.default_rng([self.seed, zlib.crc32(text.encode())])
        near = self.table[int(last)] if kind == "like" else 0
        return unit((near + rng.normal(size=self.size) / self.size**0.5).astype(np.float32)[None])[0]


def captions(count: int, seed: int = 1) -> list[str]:
    """Captions of 15 words, some of them frequent and most rare as in a language (Zipf), and the picture's number."""
    return [f"{_words(WORDS, row)} no {n}" for n, row in enumerate(_draws(count, WORDS, seed))]


def queries(count: int, images: int, seed: int = 2) -> list[str]:
    """Texts of 20 words, each near one picture."""
    near = np.random.default_rng(seed).integers(images, size=count)
    return [f"{_words(20, row)} like {n}" for n, row in zip(near, _draws(count, 20, seed), strict=True)]


def _draws(count: int, length: int, seed: int) -> np.ndarray:
    return np.minimum(np.random.default_rng(seed).zipf(1.3, size=(count, length)), VOCABULARY)


def _words(length: int, row: np.ndarray) -> str:
    return " ".join(f"w{n}x" for n in row[:length])


def encoders(count: int) -> Encoders:
    """Encoders that cost nothing. The one of captions has MiniLM's name, so the shell opens the library."""
    captions_ = Made(MiniLM().name, count, CAPTION, 3)
    return Encoders(captions_, Words(), Made("made pictures", count, PICTURE, 4))


def folder(where: Path, count: int) -> Path:
    """`count` PNG files of 8 x 8 px, each of a colour of its own, a thousand in a folder, and one table of captions."""
    where.mkdir(parents=True)
    said = captions(count)
    with (where / "metadata.csv").open("w", encoding="utf-8") as table:
        table.write("file_name,caption,credit,licence,date\n")
        for n in range(count):
            name = f"{n // 1000:03}/p{n:06}.png"
            if n % 1000 == 0:
                (where / name).parent.mkdir()
            (where / name).write_bytes(_png(n))
            table.write(f"{name},{said[n]},Somebody,{('CC BY 4.0', 'CC0 1.0')[n % 2]},{1980 + n % 40}-05-01\n")
    return where


def _png(number: int) -> bytes:
    row = b"\0" + number.to_bytes(3, "big") * 8

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(row * 8, 1)) + chunk(b"IEND", b"")


def photographs(where: Path, count: int) -> Path:
    """`count` JPEG files of 1024 x 768 px with captions of about 40 words."""
    from PIL import Image

    from limner.tools.chance import unrelated_texts

    where.mkdir(parents=True)
    texts = [text for text in unrelated_texts() if text.isascii()]
    for n in range(count):
        noise = Image.effect_noise((128, 96), 80).resize((1024, 768))
        shades = (noise, noise.point([v * (n % 50 + 1) // 50 for v in range(256)]), noise.rotate(n))
        Image.merge("RGB", shades).save(where / f"photo{n:04}.jpg", quality=85)
        words = f"Plate {n}: {texts[n % len(texts)]} {texts[(7 * n + 3) % len(texts)]}".split()
        (where / f"photo{n:04}.txt").write_text(" ".join(words[: 20 + n % 40]), encoding="utf-8")
    return where


def siglip(where: Path, layers: int) -> Path:
    """A picture encoder with the shape of SigLIP 2 base at 256 px and random weights: patches of 16 px, `layers` blocks
    of the size of its own (12 there), without attention, which has a twentieth of the work."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    import json

    import onnx
    import tiny_siglip  # pyright: ignore[reportMissingImports]  # a test's helper, not a package
    from onnx import TensorProto, helper, numpy_helper

    tiny_siglip.make_siglip(where)
    settings = where / "preprocessor_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "size": {"height": 256, "width": 256}}))
    rng, nodes = np.random.default_rng(0), []
    weights = {"patch": rng.normal(size=(PICTURE, 3, 16, 16)) * 0.02, "flat": np.array([0, PICTURE, -1])}
    nodes.append(helper.make_node("Conv", ["pixel_values", "patch"], ["conv"], strides=[16, 16]))
    nodes.append(helper.make_node("Reshape", ["conv", "flat"], ["rows"]))
    nodes.append(helper.make_node("Transpose", ["rows"], ["x0"], perm=[0, 2, 1]))  # (n, 256, 768)
    for n in range(layers):  # per token 12 x 768 x 768 products: 4 of attention's projections, 8 of the MLP
        steps = [("up", 6 * PICTURE, PICTURE), ("down", PICTURE, 6 * PICTURE)]
        weights |= {f"{name}{n}": rng.normal(size=(wide, out)) * 0.02 for name, out, wide in steps}
        nodes.append(helper.make_node("MatMul", [f"x{n}", f"up{n}"], [f"h{n}"]))
        nodes.append(helper.make_node("Tanh", [f"h{n}"], [f"a{n}"]))
        nodes.append(helper.make_node("MatMul", [f"a{n}", f"down{n}"], [f"x{n + 1}"]))
    weights["out"] = rng.normal(size=(PICTURE, tiny_siglip.SIZE))
    nodes.append(helper.make_node("ReduceMean", [f"x{layers}"], ["mean"], axes=[1], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["mean", "out"], ["pooler_output"]))
    kept = [
        numpy_helper.from_array(v.astype(np.int64 if v.dtype.kind == "i" else np.float32), name)
        for name, v in weights.items()
    ]
    taken = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 256, 256])
    given = helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["n", tiny_siglip.SIZE])
    graph = helper.make_graph(nodes, "siglip", [taken], [given], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, where / "onnx/vision_model.onnx")
    return where
