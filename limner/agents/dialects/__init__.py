"""Word a task for a model family and read its answer: text in, document types out, no network."""

from __future__ import annotations

import re

# Version 2.5 and the 4KHD models are left out: they follow instructions.
_XCOMPOSER = re.compile(r"xcomposer(2?)(?![0-9d.])(?!.*(?:4khd|2\.5))", re.IGNORECASE)
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s?([mb])(?![a-z0-9])", re.IGNORECASE)


def dialect_for(model: str, size: float | None = None) -> str:
    """Name of the dialect that suits a model by its name: InternLM-XComposer's own, "small" under one billion
    parameters, else "instruct". See `agents/families/families.py` for each; a plug-in's dialect is never guessed.

    size: number of parameters, where something other than the name tells.

    >>> dialect_for("HuggingFaceTB/SmolLM2-135M-Instruct"), dialect_for("Qwen2.5-VL-7B"), dialect_for("gpt-5")
    ('small', 'instruct', 'instruct')
    >>> dialect_for("my-tune"), dialect_for("my-tune", 494e6)
    ('instruct', 'small')
    >>> dialect_for("internlm-xcomposer-7b"), dialect_for("internlm/internlm-xcomposer2-vl-7b")
    ('xcomposer', 'xcomposer2')
    >>> dialect_for("internlm-xcomposer2d5-7b"), dialect_for("internlm-xcomposer2-4khd-7b")
    ('instruct', 'instruct')
    """
    if trained := _XCOMPOSER.search(model):
        return "xcomposer2" if trained[1] else "xcomposer"
    size = size or parameters(model)
    return "small" if size and size < 1e9 else "instruct"


def parameters(model: str) -> float | None:
    """Number of parameters that a model's name states, None if it states none.

    >>> parameters("Qwen2.5-Coder-1.5B-Instruct"), parameters("qwen3-30b-a3b"), parameters("gpt-5")
    (1500000000.0, 30000000000.0, None)
    """
    sizes = [float(n) * (1e6 if unit.lower() == "m" else 1e9) for n, unit in _SIZE.findall(model)]
    return max(sizes) if sizes else None
