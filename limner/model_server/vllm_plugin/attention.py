"""Attention that an answer whose numbers overflowed cannot spoil for others.

vLLM keeps keys and values in blocks, and a block goes from one answer to the next as it is. The end of a block that is
not yet written is left out by probabilities of zero, and zero times NaN is NaN: one answer whose values were none would
make others so, for as long as its blocks go round. Seen here with the kernel for CPUs; for a GPU's (FlashAttention 3,
FlashInfer) github.com/vllm-project/vllm/pull/35219 says the same, and mends it for hybrid models. None was tried here.
So no value is kept that is none. Its key says so instead: where keys are left out it is before any sum, and whoever has
the same beginning and reads the same block is still told the truth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.model_executor.models.llama import LlamaAttention, LlamaDecoderLayer


def kept(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """k, v: (tokens, heads * D), as they go into the cache: where a token's v is not finite, v is 0 and k is NaN."""
    finite = v.isfinite().all(dim=-1, keepdim=True)
    nan, zero = (torch.full((), number, dtype=v.dtype, device=v.device) for number in (float("nan"), 0.0))
    return torch.where(finite, k, nan), torch.where(finite, v, zero)


class Attention(LlamaAttention):
    """LLaMA's, with what it keeps looked at."""

    def forward(self, positions: Tensor, hidden_states: Tensor) -> Tensor:
        """positions: (tokens,); hidden_states: (tokens, D)."""
        qkv, _ = self.qkv_proj(hidden_states)
        out, _ = self.o_proj(self.heads(positions, qkv))
        return out

    def heads(self, positions: Tensor, qkv: Tensor) -> Tensor:
        """positions: (tokens,); qkv: (tokens, D_q + 2 D_kv), this rank's. Returns (tokens, D_q)."""
        q, k, v = qkv.split([self.q_size, self.kv_size, self.kv_size], dim=-1)
        q, k = self.rotary_emb(positions, q, k)
        return self.attn(q, *kept(k, v))


class DecoderLayer(LlamaDecoderLayer):
    """LLaMA's layer with that attention."""

    def __init__(self, vllm_config: Any, prefix: str = "", config: Any = None) -> None:
        super().__init__(vllm_config, prefix, config, attn_layer_type=Attention)
