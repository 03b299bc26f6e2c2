"""LLaMA's layers of vLLM with a low-rank branch that only image positions take (PLoRA, arXiv 2401.16420, section 3.2).

The branch sees zeros at text positions, so it adds exactly zero there. It is computed for every position, so that
shapes depend only on the batch, as torch.compile and CUDA graphs need; it costs an eighth of the layer's own work.
Without either, a mask of None skips it for a batch without images. Its sharding follows the layer beside it: if that
layer splits its output, so does B; if its input, so does A.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    QKVParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)
from vllm.model_executor.models.llama import LlamaDecoderLayer, LlamaMLP

from limner.model_server.vllm_plugin.attention import Attention


class Branch(nn.Module):
    """Adds scaling * B A x at image positions. A and B carry the names of the converted checkpoint."""

    def __init__(self, a: nn.Module, b: nn.Module, scaling: float) -> None:
        super().__init__()
        self.A, self.B = a, b
        self.scaling = scaling

    def forward(self, out: Tensor, x: Tensor, image_mask: Tensor | None) -> Tensor:
        """out: (tokens, D_out or its shard), the adjacent layer's output for x: (tokens, D_in or its shard)."""
        if image_mask is None:
            return out
        seen = torch.where(image_mask.unsqueeze(-1), x, torch.zeros((), dtype=x.dtype, device=x.device))
        inner, _ = self.A(seen)
        added, _ = self.B(inner)
        return out + added * self.scaling


class PartialLoRAAttention(Attention):
    """q, k and v share one branch, o has its own."""

    def __init__(self, config: Any, hidden_size: int, *args: Any, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(config, hidden_size, *args, prefix=prefix, **kwargs)
        rank, scaling = config.plora_rank, config.plora_scaling
        heads = self.total_num_heads, self.total_num_kv_heads
        self.qkv_lora = Branch(
            ReplicatedLinear(hidden_size, rank, bias=False, prefix=f"{prefix}.qkv_lora.A"),
            QKVParallelLinear(rank, self.head_dim, *heads, bias=False, prefix=f"{prefix}.qkv_lora.B"),
            scaling,
        )
        self.o_lora = _row_branch(self.total_num_heads * self.head_dim, hidden_size, rank, scaling, f"{prefix}.o_lora")

    def forward(self, positions: Tensor, hidden_states: Tensor, image_mask: Tensor | None) -> Tensor:  # type: ignore[override]
        """positions, image_mask: (tokens,); hidden_states: (tokens, D)."""
        qkv, _ = self.qkv_proj(hidden_states)
        qkv = self.qkv_lora(qkv, hidden_states, image_mask)
        heads = self.heads(positions, qkv)
        out, _ = self.o_proj(heads)
        return self.o_lora(out, heads, image_mask)


class PartialLoRAMLP(LlamaMLP):
    """The gated MLP with a branch on each of its three layers."""

    def __init__(self, config: Any, prefix: str, quant_config: Any) -> None:
        width, inner, rank, scaling = (
            config.hidden_size,
            config.intermediate_size,
            config.plora_rank,
            config.plora_scaling,
        )
        super().__init__(width, inner, config.hidden_act, quant_config=quant_config, prefix=prefix)
        self.gate_lora = _column_branch(width, inner, rank, scaling, f"{prefix}.gate_lora")
        self.up_lora = _column_branch(width, inner, rank, scaling, f"{prefix}.up_lora")
        self.down_lora = _row_branch(inner, width, rank, scaling, f"{prefix}.down_lora")

    def forward(self, x: Tensor, image_mask: Tensor | None) -> Tensor:  # type: ignore[override]
        """x: (tokens, D); image_mask: (tokens,)."""
        gate_up, _ = self.gate_up_proj(x)
        if image_mask is not None:
            gate, up = gate_up.chunk(2, dim=-1)
            gate_up = torch.cat([self.gate_lora(gate, x, image_mask), self.up_lora(up, x, image_mask)], dim=-1)
        inner = self.act_fn(gate_up)
        out, _ = self.down_proj(inner)
        return self.down_lora(out, inner, image_mask)


class PartialLoRADecoderLayer(LlamaDecoderLayer):
    """LLaMA's layer, which passes the image mask on."""

    def __init__(self, vllm_config: Any, prefix: str = "", config: Any = None) -> None:
        super().__init__(vllm_config, prefix, config, attn_layer_type=PartialLoRAAttention)
        config = config or vllm_config.model_config.hf_config
        self.mlp = PartialLoRAMLP(config, f"{prefix}.mlp", self.get_quant_config(vllm_config))

    def forward(  # type: ignore[override]
        self, positions: Tensor, hidden_states: Tensor, residual: Tensor | None, image_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """All (tokens, ...). Returns the layer's output and the residual that is still to be added."""
        if residual is None:
            residual = hidden_states
            hidden_states = self.input_layernorm(hidden_states)
        else:
            hidden_states, residual = self.input_layernorm(hidden_states, residual)
        hidden_states = self.self_attn(positions=positions, hidden_states=hidden_states, image_mask=image_mask)
        hidden_states, residual = self.post_attention_layernorm(hidden_states, residual)
        return self.mlp(hidden_states, image_mask), residual


def _column_branch(d_in: int, d_out: int, rank: int, scaling: float, prefix: str) -> Branch:
    """The branch beside a layer that splits its output over the ranks."""
    a = ReplicatedLinear(d_in, rank, bias=False, prefix=f"{prefix}.A")
    return Branch(a, ColumnParallelLinear(rank, d_out, bias=False, prefix=f"{prefix}.B"), scaling)


def _row_branch(d_in: int, d_out: int, rank: int, scaling: float, prefix: str) -> Branch:
    """The branch beside a layer that splits its input over the ranks."""
    a = RowParallelLinear(d_in, rank, bias=False, prefix=f"{prefix}.A")
    return Branch(a, ReplicatedLinear(rank, d_out, bias=False, prefix=f"{prefix}.B"), scaling)
