"""Estimate from a checkpoint's configuration what fits on which GPUs: weights, cache, concurrent articles.

This is arithmetic, not measurement. vLLM leaves a tenth of a GPU's memory to the driver and others
(gpu_memory_utilization is 0.9). A composition makes its calls in sequence, so an article needs the cache of one prompt
and answer at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from limner.model_server.errors import ServingError
from limner.model_server.transformers_engine import read_config
from limner.model_server.xcomposer import XComposer2Config, XComposerConfig

USABLE = 0.9  # share of a GPU's memory that vLLM takes
ARTICLE_TOKENS = 4096  # v2's trained positions; v1 has 2048
PUBLISHED: dict[str, tuple[Any, int | None, int | None]] = {  # configuration, vocabulary size and image side
    "internlm-xcomposer-7b": (XComposerConfig, None, None),
    "internlm-xcomposer-vl-7b": (XComposerConfig, 103170, None),
    "internlm-xcomposer2-7b": (XComposer2Config, None, None),
    "internlm-xcomposer2-vl-7b": (XComposer2Config, None, 490),
}

STEP = 2**30
"""Bytes that a step over 2 048 tokens needs besides weights and cache: an estimate for the longest prompt alone."""
BLOCK = 16
"""Tokens per cache block on a GPU."""

# Bytes per parameter of the decoder's linear layers, and of all others, including partial LoRA.
PRECISIONS = {"float32": (4, 4), "bfloat16": (2, 2), "fp8": (1, 2)}
_UNITS = {"": 1, "GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}


@dataclass(frozen=True)
class Sizes:
    """Parameter counts and dimensions of one model."""

    linear: int
    """Parameters of the decoder's linear layers; split over GPUs."""
    branches: int
    """The part of `linear` in partial LoRA, which vLLM does not quantise."""
    tables: int
    """The decoder's embeddings and head; split over GPUs."""
    whole: int
    """Everything else, mainly the vision part; whole on every GPU."""
    layers: int
    key_value_heads: int
    heads: int
    head_size: int
    positions: int

    @property
    def parameters(self) -> int:
        """All."""
        return self.linear + self.tables + self.whole


@dataclass(frozen=True)
class Fit:
    """One precision on some GPUs. Sizes are bytes on each GPU."""

    precision: str
    weights: int
    cache: int
    """Bytes left for keys and values; negative if the weights do not fit."""
    articles: int
    """Number of concurrent articles."""
    longest: int
    """For --max-total-tokens: tokens of one prompt and its answer; 0 if the weights do not fit."""


def published(name: str) -> Any:
    """The configuration of a published model."""
    kind, vocabulary, side = PUBLISHED[name]
    config = kind()
    config.text_config.vocab_size = vocabulary or config.text_config.vocab_size
    config.vision_config.image_size = side or config.vision_config.image_size
    return config


def sizes(config: Any) -> Sizes:
    """The size of a configuration, by building the model without allocating memory."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    linear = branches = tables = whole = 0
    for name, parameter in model.named_parameters():
        if "language_model.layers." in name and parameter.dim() == 2:
            linear += parameter.numel()
            branches += parameter.numel() if "_lora." in name else 0
        elif "embed_tokens" in name or "lm_head" in name:
            tables += parameter.numel()
        else:
            whole += parameter.numel()
    text = config.text_config
    return Sizes(
        linear,
        branches,
        tables,
        whole,
        text.num_hidden_layers,
        text.num_key_value_heads or text.num_attention_heads,
        text.num_attention_heads,
        text.hidden_size // text.num_attention_heads,
        text.max_position_embeddings,
    )


def cache_per_token(model: Sizes, gpus: int, width: int = 2) -> int:
    """Bytes on each GPU for one token's keys and values of `width` bytes each; heads are never split."""
    return 2 * model.layers * max(model.key_value_heads // gpus, 1) * model.head_size * width


def fits(model: Sizes, gpus: int, memory: int, tokens: int) -> list[Fit]:
    """The fit of each precision. memory: bytes of one GPU. tokens: those of an article's longest prompt and answer.

    Raises ServingError if the heads cannot be split over that many GPUs.
    """
    if model.heads % gpus or (model.key_value_heads % gpus and gpus % model.key_value_heads):
        good = [n for n in (1, 2, 4, 8, 16, 32) if model.heads % n == 0]
        raise ServingError(f"{model.heads} attention heads cannot be split over {gpus} GPUs: use --gpus {good}.")
    found = []
    for name, (linear, other) in PRECISIONS.items():
        split = (model.linear - model.branches) * linear + (model.branches + model.tables) * other
        weights = round(split / gpus) + model.whole * other
        cache = round(memory * USABLE) - weights
        per_token = cache_per_token(model, gpus, 4 if name == "float32" else 2)
        longest = min(max((cache - STEP) // per_token, 0) // BLOCK * BLOCK, model.positions)
        found.append(Fit(name, weights, cache, max(cache // (tokens * per_token), 0), longest))
    return found


def report(name: str, gpus: int, memory: str, articles: int, tokens: int | None = None) -> list[str]:
    """The report as lines. name: a converted folder, or a published model's name. Raises ServingError."""
    key = name.rstrip("/").rsplit("/", 1)[-1]
    config = published(key) if key in PUBLISHED and not Path(name).is_dir() else read_config(Path(name))
    model, each = sizes(config), read_memory(memory)
    wanted = min(tokens or ARTICLE_TOKENS, model.positions)
    per_token = cache_per_token(model, gpus)
    lines = [
        f"{key}: {model.parameters / 1e9:.2f} G parameters, {model.whole / 1e9:.2f} G of them whole on every GPU; "
        f"{per_token * gpus / 1024:g} KiB of cache a token, {wanted} tokens an article.",
        f"{gpus} x {each / 2**30:.4g} GiB, of which {USABLE:.0%} are used:",
        f"{'precision':<10}{'weights a GPU':>15}{'cache a GPU':>14}{'--max-total-tokens':>20}{'articles at once':>18}"
        f"  {articles} at once",
    ]
    for fit in fits(model, gpus, each, wanted):
        cache = f"{fit.cache / 2**30:.1f} GiB" if fit.cache > 0 else "none"
        enough = "fits" if fit.articles >= articles else "does not fit" if not fit.articles else "waits in turn"
        lines.append(
            f"{fit.precision:<10}{f'{fit.weights / 2**30:.1f} GiB':>15}{cache:>14}{fit.longest or 'none':>20}"
            f"{fit.articles:>18}  {enough}"
        )
    return [
        *lines,
        "`serve --engine vllm` measures and takes as many tokens as fit, unless --max-total-tokens says how many.",
        """vLLM makes fp8 as it loads: LIMNER_VLLM='{"quantization": "fp8"}'. 4 bits are not supported.""",
    ]


def read_memory(text: str) -> int:
    """Bytes of "80GiB", "80 GB" or a plain number. Raises ServingError."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]{0,3})", text.strip())
    if not found or found[2].upper() not in _UNITS or not float(found[1]):
        raise ServingError(f"{text!r} is no amount of memory: write e.g. --memory 80GiB.")
    return round(float(found[1]) * _UNITS[found[2].upper()])
