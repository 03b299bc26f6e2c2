"""How a task is worded for a model family, and how its answer is read: text in, document types out, no network."""

from __future__ import annotations

import re
from typing import Literal

Dialect = Literal["instruct", "small"]

_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s?([mb])(?![a-z0-9])", re.IGNORECASE)


def dialect_for(model: str) -> Dialect:
    """The dialect that suits a model by the size in its name: "small" under one billion parameters.

    >>> dialect_for("HuggingFaceTB/SmolLM2-135M-Instruct"), dialect_for("Qwen2.5-VL-7B"), dialect_for("gpt-5")
    ('small', 'instruct', 'instruct')
    """
    sizes = [float(n) * (1e6 if unit.lower() == "m" else 1e9) for n, unit in _SIZE.findall(model)]
    return "small" if sizes and max(sizes) < 1e9 else "instruct"
