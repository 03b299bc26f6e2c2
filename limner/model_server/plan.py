"""What fits on which GPUs, from a checkpoint's configuration alone: weights, cache, articles at once.

Arithmetic, not measurement. Two numbers are taken from elsewhere: vLLM leaves a tenth of a GPU's memory to activations
and the driver (its gpu_memory_utilization is 0.9), and a composition makes its calls one after the other, so that an
article needs the cache of one prompt and answer at a time.
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

USABLE = 0.9  # of a GPU's memory, as vLLM takes it
ARTICLE_TOKENS = 4096  # v2 was trained on so many positions; v1 has 2048
PUBLISHED: dict[str, tuple[Any, int | None, int | None]] = {  # configuration, its vocabulary and image side
    "internlm-xcomposer-7b": (XComposerConfig, None, None),
    "internlm-xcomposer-vl-7b": (XComposerConfig, 103170, None),
    "internlm-xcomposer2-7b": (XComposer2Config, None, None),
    "internlm-xcomposer2-vl-7b": (XComposer2Config, None, 490),
}

# Bytes of a parameter of the decoder's linear layers, and of all others. int4 has a float16 scale per 128 weights.
PRECISIONS = {"float32": (4.0, 4.0), "bfloat16": (2.0, 2.0), "fp8": (1.0, 2.0), "int4": (0.5 + 2 / 128, 2.0)}
_UNITS = {"": 1, "GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}


@dataclass(frozen=True)
class Sizes:
    """Of one model. Counts are of parameters."""

    linear: int
    """In the decoder's layers; split over GPUs, and what quantisation makes smaller."""
    tables: int
    """The decoder's embeddings and head; split over GPUs."""
    whole: int
    """Everything else, the vision part above all: on every GPU."""
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
    """What is left for keys and values; negative where not even the weights fit."""
    articles: int
    """That can be at work at once."""


def published(name: str) -> Any:
    """The configuration of a published model."""
    kind, vocabulary, side = PUBLISHED[name]
    config = kind()
    config.text_config.vocab_size = vocabulary or config.text_config.vocab_size
    config.vision_config.image_size = side or config.vision_config.image_size
    return config


def sizes(config: Any) -> Sizes:
    """From a configuration, by building the model without memory."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    linear = tables = whole = 0
    for name, parameter in model.named_parameters():
        if "language_model.layers." in name and parameter.dim() == 2:
            linear += parameter.numel()
        elif "embed_tokens" in name or "lm_head" in name:
            tables += parameter.numel()
        else:
            whole += parameter.numel()
    text = config.text_config
    return Sizes(
        linear,
        tables,
        whole,
        text.num_hidden_layers,
        text.num_key_value_heads or text.num_attention_heads,
        text.num_attention_heads,
        text.hidden_size // text.num_attention_heads,
        text.max_position_embeddings,
    )


def cache_per_token(model: Sizes, gpus: int, width: int = 2) -> int:
    """Bytes on each GPU for one token's keys and values, of `width` bytes each; a head is never split."""
    return 2 * model.layers * max(model.key_value_heads // gpus, 1) * model.head_size * width


def fits(model: Sizes, gpus: int, memory: int, tokens: int) -> list[Fit]:
    """For each precision. memory: bytes of one GPU. tokens: of one article's longest prompt and answer.

    Raises ServingError where the heads cannot be split over so many GPUs.
    """
    if model.heads % gpus or (model.key_value_heads % gpus and gpus % model.key_value_heads):
        good = [n for n in (1, 2, 4, 8, 16, 32) if model.heads % n == 0]
        raise ServingError(f"{model.heads} attention heads cannot be split over {gpus} GPUs: use --gpus {good}.")
    found = []
    for name, (linear, other) in PRECISIONS.items():
        weights = round((model.linear * linear + model.tables * other) / gpus + model.whole * other)
        cache = round(memory * USABLE) - weights
        per_article = tokens * cache_per_token(model, gpus, 4 if name == "float32" else 2)
        found.append(Fit(name, weights, cache, max(cache // per_article, 0)))
    return found


def report(name: str, gpus: int, memory: str, articles: int, tokens: int | None = None) -> list[str]:
    """Lines for a person. name: a converted folder, or a published model's name. Raises ServingError."""
    key = name.rstrip("/").rsplit("/", 1)[-1]
    config = published(key) if key in PUBLISHED and not Path(name).is_dir() else read_config(Path(name))
    model, each = sizes(config), read_memory(memory)
    wanted = min(tokens or ARTICLE_TOKENS, model.positions)
    per_token = cache_per_token(model, gpus)
    lines = [
        f"{key}: {model.parameters / 1e9:.2f} G parameters, {model.whole / 1e9:.2f} G of them whole on every GPU; "
        f"{per_token * gpus / 1024:g} KiB of cache a token, {wanted} tokens an article.",
        f"{gpus} x {each / 2**30:.4g} GiB, of which {USABLE:.0%} are used:",
        f"{'precision':<10}{'weights a GPU':>15}{'cache a GPU':>14}{'articles at once':>18}  {articles} at once",
    ]
    for fit in fits(model, gpus, each, wanted):
        cache = f"{fit.cache / 2**30:.1f} GiB" if fit.cache > 0 else "none"
        enough = "fits" if fit.articles >= articles else "does not fit" if not fit.articles else "waits in turn"
        lines.append(
            f"{fit.precision:<10}{f'{fit.weights / 2**30:.1f} GiB':>15}{cache:>14}{fit.articles:>18}  {enough}"
        )
    return [
        *lines,
        "fp8 is done by vLLM as it loads; int4 wants a quantised checkpoint, which `convert` does not write.",
    ]


def read_memory(text: str) -> int:
    """Bytes of "80GiB", "80 GB" or a plain number. Raises ServingError."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]{0,3})", text.strip())
    if not found or found[2].upper() not in _UNITS or not float(found[1]):
        raise ServingError(f"{text!r} is no amount of memory: write e.g. --memory 80GiB.")
    return round(float(found[1]) * _UNITS[found[2].upper()])
