"""open_clip's models: what a setting names, and tiny random models of each kind of tokenizer, where torch is."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.errors import BadInput, NotInstalled
from limner.models.encoders.openclip import OpenClip
from limner.tools.encoders import default_encoders

VISION = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
TOWER = {"width": 32, "heads": 2, "layers": 2}
KINDS = ("clip", "siglip2", "xlm-roberta")


@pytest.mark.skipif(importlib.util.find_spec("open_clip") is not None, reason="open_clip is there")
def test_a_machine_without_open_clip_is_told_what_to_install() -> None:
    for name in ("ViT-B-32/laion2b_s34b_b79k", "hf-hub:timm/ViT-B-16-SigLIP2"):
        with pytest.raises(NotInstalled, match=r"pip install 'limner\[clip\]'"):
            default_encoders(clip_model=name)


def test_a_clip_setting_has_model_and_weights() -> None:
    for setting in ("ViT-B-32", "/weights", "ViT-B-32/", "hf-hub:", "hf-hub:/"):
        with pytest.raises(BadInput, match="MODEL/WEIGHTS"):
            default_encoders(clip_model=setting)


@pytest.mark.clip
@pytest.mark.parametrize(
    ("setting", "model", "pretrained"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B-32//weights/file.pt", "ViT-B-32", "/weights/file.pt"),
        ("hf-hub:timm/ViT-B-16-SigLIP2", "hf-hub:timm/ViT-B-16-SigLIP2", ""),
        ("local-dir:/models/tiny", "local-dir:/models/tiny", ""),
    ],
)
def test_a_hub_s_name_is_not_split_at_its_slash(setting: str, model: str, pretrained: str) -> None:
    pytest.importorskip("open_clip")
    made = OpenClip.of(setting)
    assert (made.model, made.pretrained) == (model, pretrained)


def tiny(folder: Path, kind: str) -> OpenClip:
    """The true architecture at toy size with random weights, and its kind of tokenizer, in a folder as on the hub."""
    open_clip = pytest.importorskip("open_clip")
    import torch

    folder.mkdir()
    text: dict[str, object] = {"context_length": 16, "vocab_size": 49408, **TOWER}
    if kind != "clip":
        _save_tokenizer(folder, kind)
        text |= {"vocab_size": 40, "hf_tokenizer_name": str(folder)}
    if kind == "siglip2":
        text |= {"no_causal_mask": True, "pool_type": "last", "tokenizer_kwargs": {"clean": "canonicalize"}}
    if kind == "xlm-roberta":
        text = {"hf_model_name": str(folder), "hf_tokenizer_name": str(folder), "hf_pooler_type": "mean_pooler",
                "hf_model_pretrained": False, "context_length": 16}  # fmt: skip
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": text, "custom_text": kind == "siglip2"}
    described = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return OpenClip.of(f"local-dir:{folder}", threads=1)


def _save_tokenizer(folder: Path, kind: str) -> None:
    """SigLIP 2's pieces end with <eos>; XLM-R's lie between <s> and </s>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig  # pyright: ignore[reportMissingImports]

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(models.WordLevel({piece: n for n, piece in enumerate(pieces)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    ends = "$A </s>" if kind == "siglip2" else "<s> $A </s>"
    made.post_processor = processors.TemplateProcessing(single=ends, special_tokens=[("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    if kind == "xlm-roberta":
        XLMRobertaConfig(
            vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=40, pad_token_id=1,
        ).save_pretrained(folder)  # fmt: skip


@pytest.mark.clip
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_tokenizer_puts_texts_and_pictures_into_one_space(tmp_path: Path, kind: str) -> None:
    encoder = tiny(tmp_path / "tiny", kind)
    pictures = [Image.new("RGB", (50, 40), colour) for colour in ("red", "blue", "red")]
    texts, seen = encoder.encode_texts(["red", "blue", "red"]), encoder.encode_images(pictures)
    assert (texts.shape, seen.shape, encoder.size) == ((3, 16), (3, 16), 16)
    assert texts.dtype == seen.dtype == np.float32
    assert np.linalg.norm(np.concatenate([texts, seen]), axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    for rows in (texts, seen):
        assert rows[0] == pytest.approx(rows[2], abs=1e-5)
        assert rows[0] != pytest.approx(rows[1], abs=1e-3)
    assert encoder.encode_images([]).shape == (0, 16)
    assert encoder.name == "open_clip local-dir:tiny"


@pytest.mark.clip
def test_clip_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    config = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": {"context_length": 77, "vocab_size": 49408, **TOWER}}
    (tmp_path / "limner-tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    with pytest.raises(BadInput, match="no-such-weights"):
        OpenClip("limner-tiny", "no-such-weights").encode_texts(["red"])
    with pytest.raises(BadInput, match="no model"):
        _ = OpenClip("no-such-model", "x").size
    for gone in ("local-dir:/no/such/folder",):
        with pytest.raises(BadInput, match="open_clip cannot load local-dir:/no/such/folder"):
            OpenClip.of(gone).encode_texts(["red"])


@pytest.mark.clip
def test_a_tokenizer_without_transformers_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny(tmp_path / "tiny", "siglip2")
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)  # as where it is not installed
    with pytest.raises(NotInstalled, match=r"needs transformers: pip install 'limner\[clip\]'"):
        encoder.encode_texts(["red"])
