"""Vectors: those of MiniLM, those of BM25 against another implementation, those of CLIP where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from limner.errors import BadInput, NotInstalled
from limner.models.encoders import minilm as minilm_module
from limner.models.encoders.openclip import OpenClip
from limner.tools.bm25 import Words, words
from limner.tools.encoders import (
    Encoders,
    FolderEncoder,
    MiniLM,
    TextEncoder,
    default_encoders,
)

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


def test_batches_run_side_by_side_and_change_no_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two workers each must have a batch in work before either ends."""
    texts = [" ".join(["a heron at dawn"] * (3 + n)) for n in range(24)]
    expected = MiniLM(threads=1).encode_texts(texts)
    both, lock, pooled = threading.Event(), threading.Lock(), minilm_module._mean_pooled
    begun: list[int] = []
    met: list[bool] = []

    def slow(session: Any, tokens: Any) -> Any:
        with lock:
            begun.append(len(tokens))
            if len(begun) == 2:
                both.set()
        met.append(both.wait(20))
        return pooled(session, tokens)

    encoder = MiniLM(threads=2)
    encoder.load()
    monkeypatch.setattr(minilm_module, "_mean_pooled", slow)
    found = encoder.encode_texts(texts)
    assert met[0], "one batch waited for another to end"
    assert len(begun) > 2
    assert np.allclose(found, expected, atol=1e-6)


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


# --- another encoder, from a folder ----------------------------------------------------------------------------------


def folder_of(path: Path, **files: object) -> Path:
    """MiniLM's own weights, laid out as on the hub."""
    minilm = MiniLM(threads=1)
    (path / "onnx").mkdir(parents=True)
    (path / "onnx" / "model.onnx").symlink_to(minilm.model)
    (path / "tokenizer.json").symlink_to(minilm.tokenizer)
    for name, content in {"config": {"hidden_size": 384}, **files}.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


TEXTS = ["A heron at dawn", "a much longer text about the harvest, at dusk, with a tractor", ""]


def test_an_encoder_from_a_folder_gives_its_own_vectors(tmp_path: Path) -> None:
    ours = default_encoders(caption=str(folder_of(tmp_path / "sentences")), threads=1).caption
    assert np.allclose(ours.encode_texts(TEXTS), MiniLM(threads=1).encode_texts(TEXTS), atol=1e-6)
    assert ours.name.startswith("sentences ")
    assert (ours.size, ours.languages) == (384, ())  # type: ignore[attr-defined]


def test_the_prompt_goes_before_each_text_and_is_in_the_name(tmp_path: Path) -> None:
    minilm = MiniLM(threads=1)
    e5 = FolderEncoder(folder_of(tmp_path / "multilingual-e5-small"), threads=1)
    assert np.allclose(e5.encode_texts(["bees"]), minilm.encode_texts(["query: bees"]), atol=1e-6)
    said = {"config_sentence_transformers": {"prompts": {"query": "task: "}}}
    other = FolderEncoder(folder_of(tmp_path / "other-e5", **said), threads=1)
    assert np.allclose(other.encode_texts(["bees"]), minilm.encode_texts(["task: bees"]), atol=1e-6)
    assert e5.name.endswith("query:")


def test_a_folder_may_say_at_which_length_texts_are_cut(tmp_path: Path) -> None:
    short = FolderEncoder(folder_of(tmp_path / "short", sentence_bert_config={"max_seq_length": 8}), threads=1)
    long = " ".join(["heron"] * 50)
    assert np.allclose(short.encode_texts([long]), short.encode_texts([long + " and a tractor"]), atol=1e-6)
    assert not np.allclose(short.encode_texts([long]), MiniLM(threads=1).encode_texts([long]), atol=1e-2)


def test_a_folder_without_an_encoder_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no ONNX model\. Put .*multilingual-e5-small"):
        default_encoders(caption=f"{tmp_path}/nothing")
    bare = folder_of(tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"has no tokenizer.json"):
        FolderEncoder(bare)
    with pytest.raises(BadInput, match="hidden_size"):
        FolderEncoder(folder_of(tmp_path / "sizeless", config={}))
    broken = folder_of(tmp_path / "broken")
    (broken / "config.json").write_text("<html>")
    with pytest.raises(BadInput, match=r"config.json of broken cannot be read"):
        FolderEncoder(broken)
    pooled = folder_of(tmp_path / "pooled")
    (pooled / "1_Pooling").mkdir()
    (pooled / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(BadInput, match="does not use the mean"):
        FolderEncoder(pooled)
