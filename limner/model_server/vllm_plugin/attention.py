"""Attention in which an answer that overflowed cannot spoil other answers.

vLLM keeps keys and values in blocks and passes a block from one answer to the next without clearing it. Kernels mask
the unwritten end of a block with probabilities of zero, but zero times NaN is NaN: one answer with NaN values would
spoil others for as long as its blocks circulate. Observed with the kernel for CPUs;
github.com/vllm-project/vllm/pull/35219 reports the same for GPU kernels (FlashAttention 3, FlashInfer), which were not
tried here, and mends it for hybrid models. So this layer never stores a NaN value and stores a NaN key instead: masked
keys are dropped before any sum, while an answer that shares the prefix, and so reads the same block, still sees the
failure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.model_executor.models.llama import LlamaAttention, LlamaDecoderLayer


def kept(k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """k, v: (tokens, heads * D) for the cache: if a token's v is not finite, v becomes 0 and k NaN."""
    finite = v.isfinite().all(dim=-1, keepdim=True)
    nan, zero = (torch.full((), number, dtype=v.dtype, device=v.device) for number in (float("nan"), 0.0))
    return torch.where(finite, k, nan), torch.where(finite, v, zero)


class Attention(LlamaAttention):
    """LLaMA's attention, which checks the values that it stores."""

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
