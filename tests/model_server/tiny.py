"""Tiny checkpoints with the true key layout. See golden/*/README.md for how their numbers were made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).parent / "golden"
TOKENIZER = FOLDER / "tokenizer.model"
BEAMS = {1: ("beam5_rp1.5", {"num_beams": 5, "repetition_penalty": 1.5}), 2: ("beam3", {"num_beams": 3})}


SEARCHES: list[dict[str, Any]] = json.loads((FOLDER / "searches.json").read_text("utf-8"))
"""Settings of searches over random LLaMAs, and the ids that the published code gives: transformers 4.29.2."""


def searched(search: dict[str, Any], kind: type = LlamaForCausalLM) -> tuple[Any, Tensor]:
    """The model of a search and its prompt, (1, T)."""
    config = LlamaConfig(
        vocab_size=50, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=512, rms_norm_eps=1e-5, pad_token_id=2, attn_implementation="eager",
    )  # fmt: skip
    config.image_token_id = 50
    model: Any = kind(config).eval()
    generator = torch.Generator().manual_seed(search["seed"])
    weights = {
        name: torch.ones_like(w) if "norm" in name else torch.randn(w.shape, generator=generator) * search["std"]
        for name, w in sorted(model.state_dict().items())
    }
    model.load_state_dict(weights)
    generator.manual_seed(1000 + search["seed"])
    return model, torch.randint(3, 50, (1, search["prompt"]), generator=generator)


class Golden:
    """One golden folder. `io` holds inputs and expected outputs by name."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.folder = FOLDER / f"xcomposer_v{version}"
        self.config: dict[str, Any] = json.loads((self.folder / "config.json").read_text("utf-8"))
        self.weights = load_file(self.folder / "state_dict.safetensors")
        self.io = load_file(self.folder / "io.safetensors")
        self.rows = 10 if version == 1 else 9

    def published(self, folder: Path) -> Path:
        """A folder as a hub would hand it out: config.json and weights."""
        folder.mkdir(parents=True)
        shutil.copy(self.folder / "config.json", folder)
        shutil.copy(self.folder / "state_dict.safetensors", folder / "model.safetensors")
        return folder

    def with_tokenizer(self, folder: Path) -> Path:
        """The same with a small tokenizer beside it, and as many (random) embeddings as that needs."""
        self.published(folder)
        size = 900
        generator = torch.Generator().manual_seed(0)
        weights = dict(self.weights)
        for key in [k for k in weights if k.endswith(("embed_tokens.weight", "tok_embeddings.weight"))] + [
            k for k in weights if k.endswith("lm_head.weight") or k == "output.weight"
        ]:
            old = weights[key]
            new = torch.randn(size, old.shape[1], generator=generator) * old.std()
            new[: len(old)] = old
            weights[key] = new
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(self.config | {"vocab_size": size}), "utf-8")
        shutil.copy(TOKENIZER, folder)
        return folder

    def prompt(self, case: str, image_token_id: int) -> dict[str, Tensor]:
        """Model inputs of a case: ids with placeholders, images in reading order, a mask if it is padded."""
        ids, index = self.io[f"{case}.input_ids"], self.io[f"{case}.image_index"]
        inputs = {"input_ids": ids.masked_fill(ids == -1, image_token_id)}
        order = index[index >= 0][:: self.rows]
        if len(order):
            inputs["pixel_values"] = self.io["pixel_values"][order]
        if f"{case}.attention_mask" in self.io:
            inputs["attention_mask"] = self.io[f"{case}.attention_mask"]
        return inputs


def generated(model: Any, inputs: dict[str, Tensor], **options: Any) -> Tensor:
    """The 12 ids after the prompt."""
    out = model.generate(**inputs, max_new_tokens=12, **{"do_sample": False, **options})
    ids = out if isinstance(out, Tensor) else out.sequences
    return ids[:, inputs["input_ids"].shape[1] :]


def gap(one: Tensor, other: Tensor) -> float:
    """Largest absolute difference."""
    assert one.shape == other.shape
    return (one.float() - other.float()).abs().max().item()
