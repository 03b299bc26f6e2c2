"""InternLM-XComposer2: how published keys map to converted ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from limner.model_server.xcomposer.configuration import XComposer2Config
from limner.model_server.xcomposer.layout import Builder, Layout, Shape, decoder

_CLIP = {  # hard-coded by the published code: CLIP ViT-L/14
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_TOWER = "vit.vision_tower.vision_model"
POSITIONS = f"{_TOWER}.embeddings.position_embedding.weight"


def config(published: dict[str, Any], shapes: dict[str, Shape]) -> XComposer2Config:
    """The configuration of a published config.json and the shapes of its tensors.

    The image size is the config's `img_size`, else it follows from the position table.
    Raises KeyError naming a missing field.
    """
    given, plora = published.get("vision_config", {}), published.get("plora", {})
    vision = {key: given.get(key, default) for key, default in _CLIP.items()}
    rows = shapes.get(POSITIONS, (257,))[0]
    table_size = round((rows - 1) ** 0.5) * vision["patch_size"]
    scaling = published.get("rope_scaling") or {"factor": 1.0}
    if float(scaling.get("factor", 1.0)) != 1.0:
        raise ValueError(f"rope_scaling {scaling} is not the published models': this checkpoint needs other code.")
    text = {
        **decoder(published),
        "num_key_value_heads": published.get("num_key_value_heads", published["num_attention_heads"]),
        "max_position_embeddings": published.get("max_position_embeddings", 32768),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(published.get("rope_theta", 1e6))},
        "bos_token_id": published.get("bos_token_id", 1),
        "eos_token_id": published.get("eos_token_id", 2),
        "pad_token_id": published.get("pad_token_id", 2),
        "plora_rank": plora.get("r", 256),
        "plora_alpha": plora.get("alpha", 256),
    }
    return XComposer2Config(
        vision_config={**vision, "image_size": published.get("img_size", table_size)},
        text_config=text,
        bos_token_id=text["bos_token_id"],
        eos_token_id=text["eos_token_id"],
        pad_token_id=text["pad_token_id"],
    )


def layout(config: XComposer2Config, shapes: dict[str, Shape]) -> Layout:
    """Every tensor of the model. `shapes` shows whether the position table must be resized."""
    build = Builder()
    _vision(build, config, shapes)
    vision, text = config.vision_config, config.text_config
    build.affine("model.projector.0", "vision_proj.0", text.hidden_size, vision.hidden_size)
    build.affine("model.projector.2", "vision_proj.2", text.hidden_size, text.hidden_size)
    _language(build, config)
    # -vl-7b lacks this unused norm; newer copies may contain a buffer of position numbers.
    width = vision.hidden_size
    unused: dict[str, Shape] = {
        f"{_TOWER}.post_layernorm.weight": (width,),
        f"{_TOWER}.post_layernorm.bias": (width,),
        f"{_TOWER}.embeddings.position_ids": (1, shapes.get(POSITIONS, (0,))[0]),
    }
    for i in range(text.num_hidden_layers):
        unused[f"model.layers.{i}.attention.rotary_emb.inv_freq"] = (text.head_dim // 2,)
    return Layout(tuple(build.targets), unused)


def resize_position_table(table: Tensor, side: int) -> Tensor:
    """CLIP's position table for another image size, as published: bicubic, no antialiasing.

    table: (1 + n * n, D), class token first. Returns (1 + side * side, D); the table itself if it fits.
    """
    grid = round((table.shape[0] - 1) ** 0.5)
    if grid == side:
        return table
    patches = table[1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(patches, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([table[:1], resized.permute(0, 2, 3, 1).reshape(side * side, -1)])


def split_wqkv(wqkv: Tensor, part: str, kv_heads: int, head_dim: int) -> Tensor:
    """The rows of q, k or v from the fused weight, which groups them by key/value head.

    wqkv: (kv_heads * (g + 2) * head_dim, d_in), per group g query heads, one key head, one value head.
    Returns (heads * head_dim, d_in) of the part "q", "k" or "v".
    """
    grouped = wqkv.reshape(kv_heads, -1, head_dim, wqkv.shape[-1])
    rows = {"q": grouped[:, :-2], "k": grouped[:, -2:-1], "v": grouped[:, -1:]}[part]
    return rows.reshape(-1, wqkv.shape[-1])


def _vision(build: Builder, config: XComposer2Config, shapes: dict[str, Shape]) -> None:
    vision = config.vision_config
    width, inner, patch = vision.hidden_size, vision.intermediate_size, vision.patch_size
    side = vision.image_size // patch
    new, old = "model.vision_tower", _TOWER
    build.copy(f"{new}.embeddings.class_embedding", f"{old}.embeddings.class_embedding", width)
    build.copy(
        f"{new}.embeddings.patch_embedding.weight", f"{old}.embeddings.patch_embedding.weight", width, 3, patch, patch
    )
    rows = shapes.get(POSITIONS, (side * side + 1,))[0]
    if rows < 2 or round((rows - 1) ** 0.5) ** 2 + 1 != rows:
        rows = side * side + 1  # not a square of patches: the shape check names the key
    build.derived(
        f"{new}.embeddings.position_embedding.weight",
        (side * side + 1, width),
        {POSITIONS: (rows, width)},
        partial(resize_position_table, side=side),
    )
    build.affine(f"{new}.pre_layrnorm", f"{old}.pre_layrnorm", width)
    for i in range(vision.num_hidden_layers):
        layer, block = f"{new}.encoder.layers.{i}", f"{old}.encoder.layers.{i}"
        for p in ("q_proj", "k_proj", "v_proj", "out_proj"):
            build.affine(f"{layer}.self_attn.{p}", f"{block}.self_attn.{p}", width, width)
        build.affine(f"{layer}.layer_norm1", f"{block}.layer_norm1", width)
        build.affine(f"{layer}.layer_norm2", f"{block}.layer_norm2", width)
        build.affine(f"{layer}.mlp.fc1", f"{block}.mlp.fc1", inner, width)
        build.affine(f"{layer}.mlp.fc2", f"{block}.mlp.fc2", width, inner)
    # The stock tower has a final norm, used only by its unused pooled output.
    build.constant(f"{new}.post_layernorm.weight", torch.ones(width))
    build.constant(f"{new}.post_layernorm.bias", torch.zeros(width))


def _language(build: Builder, config: XComposer2Config) -> None:
    text = config.text_config
    width, inner, vocabulary = text.hidden_size, text.intermediate_size, text.vocab_size
    new, old = "model.language_model", "model"
    build.copy(f"{new}.embed_tokens.weight", f"{old}.tok_embeddings.weight", vocabulary, width)
    for i in range(text.num_hidden_layers):
        layer, block = f"{new}.layers.{i}", f"{old}.layers.{i}"
        _wqkv(build, config, f"{layer}.self_attn", f"{block}.attention.wqkv")
        for part, branch, key, d_out, d_in in (
            ("self_attn.o_proj", "self_attn.o_lora", "attention.wo", width, text.num_attention_heads * text.head_dim),
            ("mlp.gate_proj", "mlp.gate_lora", "feed_forward.w1", inner, width),
            ("mlp.up_proj", "mlp.up_lora", "feed_forward.w3", inner, width),
            ("mlp.down_proj", "mlp.down_lora", "feed_forward.w2", width, inner),
        ):
            build.copy(f"{layer}.{part}.weight", f"{block}.{key}.weight", d_out, d_in)
            build.copy(f"{layer}.{branch}.A.weight", f"{block}.{key}.Plora_A.weight", text.plora_rank, d_in)
            build.copy(f"{layer}.{branch}.B.weight", f"{block}.{key}.Plora_B.weight", d_out, text.plora_rank)
        build.copy(f"{layer}.input_layernorm.weight", f"{block}.attention_norm.weight", width)
        build.copy(f"{layer}.post_attention_layernorm.weight", f"{block}.ffn_norm.weight", width)
    build.copy(f"{new}.norm.weight", f"{old}.norm.weight", width)
    build.copy("lm_head.weight", "output.weight", vocabulary, width)


def _wqkv(build: Builder, config: XComposer2Config, name: str, key: str) -> None:
    """Split q, k and v from the fused weight; their branch keeps one A, with B's rows in the order q, k, v."""
    text = config.text_config
    kv, head, rank = text.num_key_value_heads, text.head_dim, text.plora_rank
    heads = {"q": text.num_attention_heads, "k": kv, "v": kv}
    rows, width = sum(heads.values()) * head, text.hidden_size
    for p, count in heads.items():
        split = partial(split_wqkv, part=p, kv_heads=kv, head_dim=head)
        build.derived(f"{name}.{p}_proj.weight", (count * head, width), {f"{key}.weight": (rows, width)}, split)
    build.copy(f"{name}.qkv_lora.A.weight", f"{key}.Plora_A.weight", rank, width)
    build.derived(
        f"{name}.qkv_lora.B.weight",
        (rows, rank),
        {f"{key}.Plora_B.weight": (rows, rank)},
        lambda b: torch.cat([split_wqkv(b, p, kv, head) for p in "qkv"]),
    )
