"""InternLM-XComposer v1: how published keys map to converted ones."""

from __future__ import annotations

from typing import Any

import torch

from limner.model_server.xcomposer.configuration import XComposerConfig
from limner.model_server.xcomposer.layout import Builder, Layout, Shape, decoder

_VISION = {  # the published config is silent on what its code hard-codes
    "hidden_size": 1408,
    "intermediate_size": 6144,
    "num_hidden_layers": 39,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "layer_norm_eps": 1e-6,
}
_QFORMER = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "cross_attention_frequency": 2,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
}


def config(published: dict[str, Any]) -> XComposerConfig:
    """The configuration of a published config.json. Raises KeyError naming a missing field."""
    given_vision, given_qformer = published.get("vision_config", {}), published.get("qformer_config", {})
    vision = {key: given_vision.get(key, default) for key, default in _VISION.items()}
    qformer = {key: given_qformer.get(key, default) for key, default in _QFORMER.items()}
    text = {
        **decoder(published),
        "num_key_value_heads": published["num_attention_heads"],
        "max_position_embeddings": published.get("max_position_embeddings", 2048),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(published.get("rope_theta", 10_000.0))},
        "attention_bias": bool(published.get("kqvo_bias", published.get("bias", True))),
        "bos_token_id": published.get("bos_token_id", 1),
        "eos_token_id": published.get("eos_token_id", 2),
        # Published as -1, which would index the last row; the tokenizer pads with </s>.
        "pad_token_id": published.get("eos_token_id", 2),
    }
    return XComposerConfig(
        vision_config={**vision, "qkv_bias": True, "hidden_act": "gelu"},
        qformer_config={**qformer, "hidden_act": "gelu", "encoder_hidden_size": vision["hidden_size"]},
        text_config=text,
        num_query_tokens=published.get("num_query_token", 64),
        vision_norm_eps=given_vision.get("ln_vision_eps", 1e-5),
        bos_token_id=text["bos_token_id"],
        eos_token_id=text["eos_token_id"],
        pad_token_id=text["pad_token_id"],
    )


def layout(config: XComposerConfig, published: dict[str, Any]) -> Layout:
    """Every tensor of the model. LoRA comes from the published config; without an entry it is merged already."""
    build = Builder()
    _vision(build, config)
    _sampler(build, config)
    _language(build, config, published.get("internlm_lora") or {})
    unused: dict[str, Shape] = {
        "Qformer.bert.embeddings.position_ids": (1, config.qformer_config.max_position_embeddings)
    }
    half = config.text_config.head_dim // 2
    for i in range(config.text_config.num_hidden_layers):
        unused[f"internlm_model.model.layers.{i}.self_attn.rotary_emb.inv_freq"] = (half,)
    return Layout(tuple(build.targets), unused)


def _vision(build: Builder, config: XComposerConfig) -> None:
    vision = config.vision_config
    width, inner, patch = vision.hidden_size, vision.intermediate_size, vision.patch_size
    positions = (vision.image_size // patch) ** 2 + 1
    new, old = "model.vision_tower", "visual_encoder"
    build.copy(f"{new}.embeddings.class_embedding", f"{old}.cls_token", 1, 1, width)
    build.copy(f"{new}.embeddings.position_embedding", f"{old}.pos_embed", 1, positions, width)
    build.affine(f"{new}.embeddings.patch_embedding", f"{old}.patch_embed.proj", width, 3, patch, patch)
    for i in range(vision.num_hidden_layers):
        layer, block = f"{new}.encoder.layers.{i}", f"{old}.blocks.{i}"
        build.copy(f"{layer}.self_attn.qkv.weight", f"{block}.attn.qkv.weight", 3 * width, width)
        build.derived(
            f"{layer}.self_attn.qkv.bias",
            (3 * width,),
            {f"{block}.attn.q_bias": (width,), f"{block}.attn.v_bias": (width,)},
            lambda q, v: torch.cat([q, torch.zeros_like(q), v]),  # k has no bias
        )
        build.affine(f"{layer}.self_attn.projection", f"{block}.attn.proj", width, width)
        build.affine(f"{layer}.layer_norm1", f"{block}.norm1", width)
        build.affine(f"{layer}.layer_norm2", f"{block}.norm2", width)
        build.affine(f"{layer}.mlp.fc1", f"{block}.mlp.fc1", inner, width)
        build.affine(f"{layer}.mlp.fc2", f"{block}.mlp.fc2", width, inner)
    build.affine(f"{new}.post_layernorm", "ln_vision", width)


def _sampler(build: Builder, config: XComposerConfig) -> None:
    qformer, text = config.qformer_config, config.text_config
    width, inner = qformer.hidden_size, qformer.intermediate_size
    new, old = "model.perceive_sampler", "Qformer.bert"
    build.copy("model.query_tokens", "query_tokens", 1, config.num_query_tokens, width)
    build.affine(f"{new}.layernorm", f"{old}.embeddings.LayerNorm", width)
    for i in range(qformer.num_hidden_layers):
        kinds = {"attention": width}
        if i % qformer.cross_attention_frequency == 0:
            kinds["crossattention"] = qformer.encoder_hidden_size
        layer, block = f"{new}.encoder.layer.{i}", f"{old}.encoder.layer.{i}"
        for kind, seen in kinds.items():
            build.affine(f"{layer}.{kind}.attention.query", f"{block}.{kind}.self.query", width, width)
            build.affine(f"{layer}.{kind}.attention.key", f"{block}.{kind}.self.key", width, seen)
            build.affine(f"{layer}.{kind}.attention.value", f"{block}.{kind}.self.value", width, seen)
            build.affine(f"{layer}.{kind}.output.dense", f"{block}.{kind}.output.dense", width, width)
            build.affine(f"{layer}.{kind}.output.LayerNorm", f"{block}.{kind}.output.LayerNorm", width)
        build.affine(f"{layer}.intermediate_query.dense", f"{block}.intermediate_query.dense", inner, width)
        build.affine(f"{layer}.output_query.dense", f"{block}.output_query.dense", width, inner)
        build.affine(f"{layer}.output_query.LayerNorm", f"{block}.output_query.LayerNorm", width)
    build.affine("model.projection", "internlm_proj", text.hidden_size, width)
    for side in ("start", "end"):
        shape = (1, 1, text.hidden_size)
        sources = {f"flag_image_{side}": shape}
        build.derived(f"model.image_{side}", (text.hidden_size,), sources, torch.flatten)


def _language(build: Builder, config: XComposerConfig, lora: dict[str, Any]) -> None:
    text = config.text_config
    width, inner, vocabulary = text.hidden_size, text.intermediate_size, text.vocab_size
    learnt, rank = set(lora.get("learn_param", [])), lora.get("lora_r", 0)
    scaling = lora.get("lora_alpha", rank) / rank if rank else 0.0
    with_lora = {p for p in "qkvo" if p in learnt} | ({"up", "down"} if "ffn" in learnt else set())
    new, old = "model.language_model", "internlm_model.model"
    build.copy(f"{new}.embed_tokens.weight", f"{old}.embed_tokens.weight", vocabulary, width)
    for i in range(text.num_hidden_layers):
        layer, block = f"{new}.layers.{i}", f"{old}.layers.{i}"
        for p in "qkvo":
            name, key = f"{layer}.self_attn.{p}_proj", f"{block}.self_attn.{p}_proj"
            if p in with_lora:
                build.merged(name, key, width, width, rank, scaling)
            else:
                build.copy(f"{name}.weight", f"{key}.weight", width, width)
            if text.attention_bias:
                build.copy(f"{name}.bias", f"{key}.bias", width)
        for p, (d_out, d_in) in {"gate": (inner, width), "up": (inner, width), "down": (width, inner)}.items():
            name, key = f"{layer}.mlp.{p}_proj", f"{block}.mlp.{p}_proj"
            if p in with_lora:
                build.merged(name, key, d_out, d_in, rank, scaling)
            else:
                build.copy(f"{name}.weight", f"{key}.weight", d_out, d_in)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            build.copy(f"{layer}.{norm}.weight", f"{block}.{norm}.weight", width)
    build.copy(f"{new}.norm.weight", f"{old}.norm.weight", width)
    build.copy("lm_head.weight", "internlm_model.lm_head.weight", vocabulary, width)
