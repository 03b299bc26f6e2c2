"""A projector of pictures for llama.cpp, with random weights: images pass through the engine, and mean nothing.

It is laid out as LLaVA 1.5's (a vision transformer, and two linear layers), in miniature.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

SIDE, PATCH, WIDTH, HEADS, LAYERS = 64, 16, 32, 2, 2
SMOLLM2 = 576
"""Numbers per token of SmolLM2-135M."""
PICTURE_TOKENS = (SIDE // PATCH) ** 2
"""Tokens of a picture of any size: a patch each."""


def make_projector(path: Path, text_width: int = SMOLLM2, kind: str = "mlp") -> Path:
    """Write a projector for a language model with `text_width` numbers per token."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_string("general.type", "mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", kind)
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": 2 * WIDTH,
        "projection_dim": text_width,
        "block_count": LAYERS,
        "attention.head_count": HEADS,
    }
    for name, number in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for name in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{name}", [0.5, 0.5, 0.5])
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.patch_embd.bias": (WIDTH,),
        "v.position_embd.weight": ((SIDE // PATCH) ** 2, WIDTH),
        "v.post_ln.weight": (WIDTH,),
        "v.post_ln.bias": (WIDTH,),
        "v.pre_ln.weight": (WIDTH,),
        "v.pre_ln.bias": (WIDTH,),
        "mm.0.weight": (text_width, WIDTH),
        "mm.0.bias": (text_width,),
        "mm.2.weight": (text_width, text_width),
        "mm.2.bias": (text_width,),
    }
    for n in range(LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            shapes |= {f"v.blk.{n}.{part}.weight": (WIDTH, WIDTH), f"v.blk.{n}.{part}.bias": (WIDTH,)}
        for part in ("ln1", "ln2"):
            shapes |= {f"v.blk.{n}.{part}.weight": (WIDTH,), f"v.blk.{n}.{part}.bias": (WIDTH,)}
        shapes |= {
            f"v.blk.{n}.ffn_up.weight": (2 * WIDTH, WIDTH),
            f"v.blk.{n}.ffn_up.bias": (2 * WIDTH,),
            f"v.blk.{n}.ffn_down.weight": (WIDTH, 2 * WIDTH),
            f"v.blk.{n}.ffn_down.bias": (WIDTH,),
        }
    for name, shape in shapes.items():
        writer.add_tensor(name, (0.05 * random.standard_normal(shape)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
