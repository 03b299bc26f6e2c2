"""Vectors: those of MiniLM, those of BM25 against another implementation, those of CLIP where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rank_bm25 import BM25Okapi

from limner.errors import BadInput, NotInstalled
from limner.tools.encoders import Encoders, MiniLM, OpenClip, TextEncoder, Words, default_encoders, words

minilm = MiniLM(threads=1)


def test_similar_texts_have_similar_vectors() -> None:
    heron, egret, tax = minilm.encode_texts(["a heron in the reeds", "a wading bird at a lake", "how to file taxes"])
    assert heron @ egret > 0.4 > 0.15 > heron @ tax


def test_vectors_are_float32_rows_of_unit_length_in_the_order_of_the_texts() -> None:
    texts = ["short", "a much longer text about a heron " * 40, "", "中文 text", "short"]
    vectors = minilm.encode_texts(texts)
    assert (vectors.shape, vectors.dtype) == ((5, minilm.size), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    alone = np.concatenate([minilm.encode_texts([text]) for text in texts])
    # int8 weights with activations quantised per run: company shifts a vector by a little
    assert (vectors * alone).sum(1) == pytest.approx(np.ones(5), abs=0.01)
    assert minilm.encode_texts([]).shape == (0, minilm.size)


def test_nobody_is_told_of_this_machine(tmp_path: Path) -> None:
    """onnxruntime would leave an identity in the home folder and report to its maker."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    code = "from limner.tools.encoders import MiniLM; MiniLM(threads=1).load()"
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.rglob("*"))


def test_threads_share_one_model() -> None:
    encoder, found = MiniLM(threads=1), []
    pool = [threading.Thread(target=lambda: found.append(encoder.encode_texts(["a heron"]))) for _ in range(4)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    assert all((vector == found[0]).all() for vector in found)
    assert len(found) == 4


def test_the_name_tells_weights_apart(tmp_path: Path) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(b"other weights")
    assert MiniLM(model=other).name != minilm.name == MiniLM().name
    assert isinstance(minilm, TextEncoder)


def test_a_missing_model_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotInstalled, match="uv sync"):
        MiniLM(model=tmp_path / "none.onnx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"uv sync.*pip install"):
        MiniLM()
    with pytest.raises(NotInstalled, match=r"limner\[clip\]"):
        OpenClip("ViT-B-32", "openai")


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Galaxies, and their stars!", ["galaxy", "star"]),
        ("glass Venus analysis buses", ["glass", "venus", "analysis", "buse"]),
        ("IMG_2041 café", ["img", "2041", "café"]),
        ("银河系 and stars", ["银河", "河系", "star"]),
        ("Saturn环", ["saturn", "环"]),
        ("ﬁne １２", ["fine", "12"]),
        ("", []),
        ("?!", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_bm25_is_that_of_rank_bm25() -> None:
    documents = ["a heron at dawn", "heron, heron, heron", "harvest at dusk in a field of wheat", "wheat and honey"]
    counted = [words(text) for text in documents]
    reference = BM25Okapi(counted, k1=1.2, b=0.75)
    ours = Words(k1=1.2, b=0.75, average=reference.avgdl)
    for query in ("heron", "wheat heron wheat", "honey at dawn", "nothing of it"):
        asked = ours.query(query)
        for n, text in enumerate(documents):
            weights = dict(zip(*ours.document(text), strict=True))
            by_word = {w: (asked.indices[i], asked.values[i]) for i, w in enumerate(dict.fromkeys(words(query)))}
            score = sum(reference.idf.get(w, 0) * times * weights.get(d, 0) for w, (d, times) in by_word.items())
            assert score == pytest.approx(reference.get_scores(words(query))[n])


def test_sparse_vectors_are_what_qdrant_takes() -> None:
    for sparse in (Words().document("heron heron wheat"), Words().query("heron heron wheat")):
        assert len(set(sparse.indices)) == len(sparse.indices) == len(sparse.values) == 2
        assert all(0 <= index < 2**32 for index in sparse.indices)
    assert Words().document("the of and") == ([], [])


def test_the_name_has_every_number_that_is_in_the_vectors() -> None:
    names = {Words().name, Words(k1=2).name, Words(b=0.5).name, Words(average=40).name}
    assert len(names) == 4
    assert Encoders(minilm, Words()).names == {"caption": minilm.name, "words": Words().name}
    assert Encoders(minilm, Words()).sizes == {"caption": 384}


def test_a_clip_setting_has_model_and_weights() -> None:
    for setting in ("ViT-B-32", "/weights", "ViT-B-32/"):
        with pytest.raises(BadInput, match="MODEL/WEIGHTS"):
            default_encoders(clip_model=setting)


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_clip(tmp_path: Path) -> OpenClip:
    """The true architecture at toy size, with random weights."""
    open_clip = pytest.importorskip("open_clip")
    tower = {"width": 32, "heads": 2, "layers": 2}
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, **tower},
    }
    (tmp_path / "limner-tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    return OpenClip("limner-tiny", threads=1)


@pytest.mark.clip
def test_clip_puts_texts_and_pictures_into_one_space(tiny_clip: OpenClip) -> None:
    pictures = [Image.new("RGB", (50, 40), colour) for colour in ("red", "blue", "red")]
    texts = tiny_clip.encode_texts(["red", "blue"])
    seen = tiny_clip.encode_images(pictures)
    assert (texts.shape, seen.shape, tiny_clip.size) == ((2, 16), (3, 16), 16)
    assert texts.dtype == seen.dtype == np.float32
    assert np.linalg.norm(np.concatenate([texts, seen]), axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert seen[0] == pytest.approx(seen[2], abs=1e-5)
    assert seen[0] != pytest.approx(seen[1], abs=1e-3)
    assert tiny_clip.encode_images([]).shape == (0, 16)


@pytest.mark.clip
def test_clip_weights_that_are_not_there_are_named(tiny_clip: OpenClip) -> None:
    with pytest.raises(BadInput, match="no-such-weights"):
        OpenClip("limner-tiny", "no-such-weights").encode_texts(["red"])
    with pytest.raises(BadInput, match="no model"):
        _ = OpenClip("no-such-model", "x").size
