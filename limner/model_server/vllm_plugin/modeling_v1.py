"""InternLM-XComposer v1 in vLLM: BLIP-2's tower and Q-Former in front of vLLM's own LLaMA."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerModel, Blip2VisionModel
from vllm.config import VllmConfig
from vllm.model_executor.models.interfaces import SupportsPP
from vllm.model_executor.models.llama import LlamaForCausalLM
from vllm.model_executor.models.utils import maybe_prefix
from vllm.multimodal import MULTIMODAL_REGISTRY

from limner.model_server.vllm_plugin.attention import DecoderLayer
from limner.model_server.vllm_plugin.modeling import ImageTextForVLLM
from limner.model_server.vllm_plugin.processing import (
    XComposerDummyInputs,
    XComposerMultiModalProcessor,
    XComposerProcessingInfo,
)


@MULTIMODAL_REGISTRY.register_processor(
    XComposerMultiModalProcessor, info=XComposerProcessingInfo, dummy_inputs=XComposerDummyInputs
)
class XComposerForConditionalGeneration(ImageTextForVLLM, SupportsPP):
    """The modules of xcomposer/modeling_v1.py under the same names; only the decoder is vLLM's."""

    connector = ["perceive_sampler", "projection"]  # noqa: RUF012

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config)
        vision, qformer, text = self.config.vision_config, self.config.qformer_config, self.config.text_config
        with self._mark_tower_model(vllm_config, "image"):
            self.vision_tower = Blip2VisionModel._from_config(vision)
            self.vision_tower.post_layernorm.eps = self.config.vision_norm_eps
            self.perceive_sampler = Blip2QFormerModel._from_config(qformer)
            self.projection = nn.Linear(qformer.hidden_size, text.hidden_size)
        self.query_tokens = nn.Parameter(torch.zeros(1, self.config.num_query_tokens, qformer.hidden_size))
        self.image_start = nn.Parameter(torch.zeros(text.hidden_size))
        self.image_end = nn.Parameter(torch.zeros(text.hidden_size))
        with self._mark_language_model(vllm_config):
            self.language_model = LlamaForCausalLM(
                vllm_config=vllm_config.with_hf_config(text, architectures=["LlamaForCausalLM"]),
                prefix=maybe_prefix(prefix, "language_model"),
                layer_type=DecoderLayer,
            )
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors

    def image_rows(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: (n, 3, H, W). Returns (n, 66, D_text): start flag, projected sampler rows, end flag."""
        patches = self.vision_tower(pixel_values).last_hidden_state
        queries = self.query_tokens.expand(len(patches), -1, -1)
        condensed = self.perceive_sampler(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        rows = self.projection(condensed.to(self.projection.weight.dtype))
        start, end = (flag.expand(len(rows), 1, -1) for flag in (self.image_start, self.image_end))
        return torch.cat([start, rows, end], dim=1)
