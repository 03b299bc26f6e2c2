"""The layout of a converted checkpoint: which published tensors each tensor needs, and how they combine.

A layout is data plus pure functions, without files; `convert.py` reads, checks and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

Shape = tuple[int, ...]
Build = Callable[..., Tensor]
_DECODER = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
)


def decoder(published: Mapping[str, Any]) -> dict[str, Any]:
    """The decoder's fields that a published config.json names like ours. Raises KeyError naming a missing one."""
    return {name: published[name] for name in _DECODER}


@dataclass(frozen=True)
class Target:
    """One tensor of the converted checkpoint.

    sources: published key -> shape, in the order of `build`'s arguments. `build` is None for a copy.
    """

    name: str
    shape: Shape
    sources: Mapping[str, Shape]
    build: Build | None = None

    def make(self, *tensors: Tensor) -> Tensor:
        """The tensor itself, in float32 if anything had to be computed."""
        return tensors[0] if self.build is None else self.build(*(t.float() for t in tensors))


@dataclass(frozen=True)
class Layout:
    """All tensors of one model."""

    targets: tuple[Target, ...]
    unused: Mapping[str, Shape] = field(default_factory=dict)
    """Unused published keys, which may be missing."""

    @property
    def sources(self) -> dict[str, Shape]:
        """Every needed published key, with its shape."""
        return {key: shape for target in self.targets for key, shape in target.sources.items()}

    def text_only(self) -> Layout:
        """Only the language model, under a stock LLaMA's names; the other keys are known but not read."""
        prefix = "model.language_model."
        kept = tuple(
            replace(t, name=t.name.replace(prefix, "model."))
            for t in self.targets
            if (t.name.startswith(prefix) or t.name == "lm_head.weight") and "_lora." not in t.name
        )
        used = {key for t in kept for key in t.sources}
        left_out = {key: shape for key, shape in self.sources.items() if key not in used}
        return Layout(kept, {**self.unused, **left_out})


class Builder:
    """Collects targets; each method is one way to make a converted tensor from published ones."""

    def __init__(self) -> None:
        self.targets: list[Target] = []

    def copy(self, name: str, key: str, *shape: int) -> None:
        """The same tensor under another name."""
        self.targets.append(Target(name, shape, {key: shape}))

    def affine(self, name: str, key: str, *shape: int) -> None:
        """A weight of this shape and a bias as long as its first axis."""
        self.copy(f"{name}.weight", f"{key}.weight", *shape)
        self.copy(f"{name}.bias", f"{key}.bias", shape[0])

    def derived(self, name: str, shape: Shape, sources: Mapping[str, Shape], build: Build) -> None:
        """A tensor that has to be computed."""
        self.targets.append(Target(name, shape, sources, build))

    def constant(self, name: str, value: Tensor) -> None:
        """A tensor without a published source."""
        self.targets.append(Target(name, tuple(value.shape), {}, lambda: value))

    def merged(self, name: str, key: str, d_out: int, d_in: int, rank: int, scaling: float) -> None:
        """A weight with its LoRA branch added in: W + scaling * B A, exact for every input."""
        sources = {
            f"{key}.weight": (d_out, d_in),
            f"{key}.lora_A.weight": (rank, d_in),
            f"{key}.lora_B.weight": (d_out, rank),
        }
        self.derived(f"{name}.weight", (d_out, d_in), sources, lambda w, a, b: torch.addmm(w, b, a, alpha=scaling))
