"""A golden checkpoint with heads as wide as vLLM's CPU kernels want: the same function in other numbers.

Their smallest head is 32 wide, the golden ones are 16. Rotary frequency 2j of a head of 32 is frequency j of a head of
16; so each of a head's numbers moves to the even place with its own frequency, the odd places stay zero, and q grows by
the square root of two because attention divides by the square root of the width.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

OLD, NEW = 16, 32


def widen(folder: Path, to: Path) -> Path:
    """Copy a converted checkpoint whose heads are 16 wide to one whose heads are 32 wide, in one shard."""
    to.mkdir(parents=True)
    for file in folder.iterdir():
        if "safetensors" not in file.name:
            shutil.copy(file, to)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    text = config["text_config"]
    assert text.get("head_dim", text["hidden_size"] // text["num_attention_heads"]) == OLD
    text["head_dim"] = NEW
    (to / "config.json").write_text(json.dumps(config), "utf-8")
    weights: dict[str, Tensor] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        weights |= load_file(shard)
    query_rows = text["num_attention_heads"] * OLD
    save_file({k: _widened(k, w, query_rows) for k, w in weights.items()}, to / "model.safetensors", {"format": "pt"})
    return to


def _widened(key: str, weight: Tensor, query_rows: int) -> Tensor:
    if "language_model" not in key:
        return weight
    if ".q_proj." in key:
        return _spread(weight) * 2**0.5
    if ".k_proj." in key or ".v_proj." in key:
        return _spread(weight)
    if ".qkv_lora.B." in key:
        return torch.cat([_spread(weight[:query_rows]) * 2**0.5, _spread(weight[query_rows:])])
    if ".o_proj.weight" in key or ".o_lora.A." in key:
        return _spread(weight.T).T.contiguous()
    return weight


def _spread(rows: Tensor) -> Tensor:
    """rows: (heads * 16, ...). Returns (heads * 32, ...)."""
    out = rows.new_zeros(len(rows) // OLD, NEW, *rows.shape[1:])
    out[:, ::2] = rows.reshape(-1, OLD, *rows.shape[1:])
    return out.reshape(-1, *rows.shape[1:])
