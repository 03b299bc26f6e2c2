"""How much context, and for how many requests at once, the memory has room for beside a model's weights."""

from __future__ import annotations

from typing import NamedTuple

from limner.errors import BadInput
from limner.models.gguf import Header
from limner.text import printable_path

WORKSPACE = 600_000_000  # bytes that llama.cpp takes beside weights and cache: its own code, and one batch's numbers
CHOICES = ((2, 16384), (2, 8192), (1, 8192), (1, 4096))
"""(requests at once, tokens of each), best first. A choice among four pictures takes some 3 000 tokens, a long article
8 000."""


class Capacity(NamedTuple):
    """What the engine is started with."""

    slots: int
    """Requests at once."""
    context: int
    """Tokens of prompt and answer, for each of them."""


def capacity(model: Header, projector: Header | None, total: int, available: int) -> Capacity:
    """The largest of CHOICES that fits, or the smallest if only the memory in all has room for it.

    total, available: bytes of memory, as `machine.memory` gives them; 0 where they are not known. Raises BadInput for a
    model that is bigger than the memory, before anything of it is loaded.
    """
    weights = sum(part.path.stat().st_size for part in (model, projector) if part)
    found = [Capacity(slots, min(tokens, model.context or tokens)) for slots, tokens in CHOICES]
    needs = [weights + WORKSPACE + c.slots * c.context * model.cache_per_token for c in found]
    if total and needs[-1] > total:
        raise BadInput(
            f"{printable_path(model.path.name)} needs {needs[-1] / 1e9:.1f} GB of memory, and this machine has "
            f"{total / 1e9:.1f}. Choose a smaller model: limner model list."
        )
    fitting = [c for c, need in zip(found, needs, strict=True) if not total or need <= available]
    return fitting[0] if fitting else found[-1]
