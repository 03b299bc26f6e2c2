"""InternLM-XComposer2: stock CLIP vision tower, own projector, LLaMA layers with partial LoRA."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, CLIPVisionModel, LlamaModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaMLP,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    eager_attention_forward,
)

from limner.model_server.xcomposer.configuration import XComposer2Config, XComposer2TextConfig
from limner.model_server.xcomposer.modeling import (
    ImageTextForConditionalGeneration,
    ImageTextModel,
    ImageTextPreTrainedModel,
)
from limner.model_server.xcomposer.partial_lora import PartialLoRA


def _branch(config: XComposer2TextConfig, layer: nn.Linear, *others: nn.Linear) -> PartialLoRA:
    """A branch for one layer, or for several that share its A."""
    width = layer.out_features + sum(o.out_features for o in others)
    return PartialLoRA(layer.in_features, width, config.plora_rank, config.plora_scaling)


class XComposer2Attention(LlamaAttention):
    """LLaMA's attention; q, k, v share one branch, o has its own."""

    def __init__(self, config: XComposer2TextConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.qkv_lora = _branch(config, self.q_proj, self.k_proj, self.v_proj)
        self.o_lora = _branch(config, self.o_proj)

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        image_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """hidden_states: (B, T, D); image_mask: (B, T) bool or None. Returns (B, T, D) and the attention weights.

        past_key_values, cache: the same, named so up to transformers 5.23 and from 5.24 on.
        """
        shape = hidden_states.shape[:-1]
        parts = [self.q_proj(hidden_states), self.k_proj(hidden_states), self.v_proj(hidden_states)]
        if image_mask is not None:
            widths = [p.shape[-1] for p in parts]
            parts = self.qkv_lora(torch.cat(parts, dim=-1), hidden_states, image_mask).split(widths, dim=-1)
        q, k, v = (p.view(*shape, -1, self.head_dim).transpose(1, 2) for p in parts)
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        known = cache if cache is not None else past_key_values
        if known is not None:
            k, v = known.update(k, v, self.layer_idx)
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation or "eager", eager_attention_forward
        )
        dropout = self.attention_dropout if self.training else 0.0
        heads, weights = attend(self, q, k, v, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs)
        heads = heads.reshape(*shape, -1).contiguous()
        return self.o_lora(self.o_proj(heads), heads, image_mask), weights


class XComposer2MLP(LlamaMLP):
    """LLaMA's gated MLP with a branch on each of its three layers."""

    def __init__(self, config: XComposer2TextConfig) -> None:
        super().__init__(config)
        self.gate_lora = _branch(config, self.gate_proj)
        self.up_lora = _branch(config, self.up_proj)
        self.down_lora = _branch(config, self.down_proj)

    def forward(self, x: Tensor, image_mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """x: (B, T, D); image_mask: (B, T) bool or None."""
        gate = self.gate_lora(self.gate_proj(x), x, image_mask)
        up = self.up_lora(self.up_proj(x), x, image_mask)
        inner = self.act_fn(gate) * up
        return self.down_lora(self.down_proj(inner), inner, image_mask)


class XComposer2DecoderLayer(GradientCheckpointingLayer):
    """LLaMA's layer, which passes the image mask on."""

    def __init__(self, config: XComposer2TextConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn = XComposer2Attention(config, layer_idx)
        self.mlp = XComposer2MLP(config)
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, image_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """hidden_states: (B, T, D); image_mask: (B, T) bool or None."""
        attended, _ = self.self_attn(self.input_layernorm(hidden_states), image_mask=image_mask, **kwargs)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states), image_mask)


class XComposer2TextModel(LlamaModel):
    """LlamaModel over layers with partial LoRA; `forward` takes `image_mask` beside its stock arguments."""

    config: XComposer2TextConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    _no_split_modules = ["XComposer2DecoderLayer"]  # noqa: RUF012
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": XComposer2DecoderLayer,
        "attentions": XComposer2Attention,
    }

    def __init__(self, config: XComposer2TextConfig) -> None:
        LlamaPreTrainedModel.__init__(self, config)  # LlamaModel's own __init__ would build the stock layers first
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList([XComposer2DecoderLayer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config)
        self.gradient_checkpointing = False
        self.post_init()


class XComposer2PreTrainedModel(ImageTextPreTrainedModel):
    config: XComposer2Config
    _no_split_modules = ["CLIPEncoderLayer", "XComposer2DecoderLayer"]  # noqa: RUF012
    _supports_flash_attn = True


class XComposer2Model(XComposer2PreTrainedModel, ImageTextModel):
    """Source: InternLM-XComposer2, arXiv 2401.16420, section 3."""

    def __init__(self, config: XComposer2Config) -> None:
        super().__init__(config)
        vision, text = config.vision_config, config.text_config
        self.vision_tower = CLIPVisionModel._from_config(vision)
        self.projector = nn.Sequential(
            nn.Linear(vision.hidden_size, text.hidden_size), nn.GELU(), nn.Linear(text.hidden_size, text.hidden_size)
        )
        self.language_model = XComposer2TextModel._from_config(text)
        self.post_init()

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """The rows that replace each image in the prompt.

        pixel_values: (n, 3, H, W). `last_hidden_state` is (n, 1 + patches, D_vision), class token first, without
        CLIP's final norm; `pooler_output` is (n, patches, D_text).
        """
        hidden = self.vision_tower(pixel_values.to(self.vision_tower.dtype)).last_hidden_state
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=self.projector(hidden[:, 1:]))

    def decoder_kwargs(self, image_mask: Tensor | None) -> dict[str, Any]:
        """Partial LoRA applies where the mask is true."""
        return {} if image_mask is None else {"image_mask": image_mask}


class XComposer2ForConditionalGeneration(XComposer2PreTrainedModel, ImageTextForConditionalGeneration):
    """InternLM-XComposer2 with its language head."""

    shows_text_only_prompts = True

    def __init__(self, config: XComposer2Config) -> None:
        super().__init__(config)
        self.model = XComposer2Model(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
