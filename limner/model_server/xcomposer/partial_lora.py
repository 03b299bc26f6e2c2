"""Partial LoRA (XComposer2, arXiv 2401.16420, section 3.2): a low-rank branch that only image positions take."""

from __future__ import annotations

from torch import Tensor, nn


def add_partial_lora(out: Tensor, x: Tensor, image_mask: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    """`out` plus scaling * B A x at image positions, `out` itself elsewhere.

    out: (..., D_out); x: (..., D_in); image_mask: (...) bool; a: (r, D_in); b: (D_out, r). The leading shape is
    arbitrary: (B, T) in transformers, (tokens,) in an engine that packs its batch. Returns a new tensor like out.
    """
    delta = nn.functional.linear(nn.functional.linear(x[image_mask], a), b) * scaling
    return out.index_put((image_mask,), delta.to(out.dtype), accumulate=True)


class PartialLoRA(nn.Module):
    """The branch beside one linear layer, or beside several that share their input and A, as q, k and v do."""

    def __init__(self, d_in: int, d_out: int, rank: int, scaling: float) -> None:
        super().__init__()
        self.A = nn.Linear(d_in, rank, bias=False)
        self.B = nn.Linear(rank, d_out, bias=False)
        self.scaling = scaling

    def forward(self, out: Tensor, x: Tensor, image_mask: Tensor | None) -> Tensor:
        """out: (..., D_out), the linear layer's output for x: (..., D_in). A mask of None means no image."""
        if image_mask is None:
            return out
        return add_partial_lora(out, x, image_mask, self.A.weight, self.B.weight, self.scaling)
