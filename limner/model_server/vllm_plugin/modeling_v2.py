"""InternLM-XComposer2 in vLLM: CLIP's tower and a projector in front of LLaMA's layers with partial LoRA."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import CLIPVisionModel
from vllm.compilation.decorators import support_torch_compile
from vllm.config import VllmConfig
from vllm.model_executor.models.llama import LlamaForCausalLM, LlamaModel
from vllm.model_executor.models.utils import maybe_prefix
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.platforms import current_platform
from vllm.sequence import IntermediateTensors

from limner.model_server.vllm_plugin.modeling import ImageTextForVLLM
from limner.model_server.vllm_plugin.partial_lora import PartialLoRADecoderLayer
from limner.model_server.vllm_plugin.processing import (
    XComposerDummyInputs,
    XComposerMultiModalProcessor,
    XComposerProcessingInfo,
)


@support_torch_compile(dynamic_arg_dims={"input_ids": 0, "positions": 0, "intermediate_tensors": 0, "inputs_embeds": 0})
class XComposer2TextModel(LlamaModel):
    """The decoder without its head.

    CUDA graphs replay captured addresses, so no tensor created within a step may enter here. The image mask is
    therefore computed inside, from `input_ids`, whose address vLLM keeps.
    """

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "", layer_type: Any = PartialLoRADecoderLayer) -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix, layer_type=layer_type)
        self.image_token_id = -1
        """Set by the whole model from its configuration."""
        # On a CPU, this check costs time in every step; a GPU would have to wait for it, and its graphs cannot check.
        self._asks_for_images = bool(vllm_config.model_config.enforce_eager) and current_platform.is_cpu()

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        positions: Tensor,
        intermediate_tensors: IntermediateTensors | None,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        """All (tokens, ...). Partial LoRA applies where input_ids holds the placeholder."""
        mask: Tensor | None = input_ids == self.image_token_id
        if self._asks_for_images and not mask.any():
            mask = None
        return super().forward(input_ids, positions, intermediate_tensors, inputs_embeds, image_mask=mask)


class XComposer2TextForCausalLM(LlamaForCausalLM):
    """The decoder with its head."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix, layer_type=PartialLoRADecoderLayer)

    def _init_model(self, vllm_config: VllmConfig, prefix: str = "", layer_type: Any = None) -> XComposer2TextModel:
        return XComposer2TextModel(vllm_config=vllm_config, prefix=prefix)


@MULTIMODAL_REGISTRY.register_processor(
    XComposerMultiModalProcessor, info=XComposerProcessingInfo, dummy_inputs=XComposerDummyInputs
)
class XComposer2ForConditionalGeneration(ImageTextForVLLM):
    """The modules of xcomposer/modeling_v2.py under the same names; only the decoder is vLLM's.

    Token ids tell where partial LoRA applies: a prompt has the placeholder's id at every image row, in any chunk, and
    no generated token can have it, because it lies outside the vocabulary. The model does not support pipeline
    parallelism, because model runner V2 passes token ids to the first rank only.
    """

    requires_raw_input_tokens = True
    connector = ["projector"]  # noqa: RUF012

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config)
        vision, text = self.config.vision_config, self.config.text_config
        with self._mark_tower_model(vllm_config, "image"):
            self.vision_tower = CLIPVisionModel._from_config(vision)
            self.projector = nn.Sequential(
                nn.Linear(vision.hidden_size, text.hidden_size),
                nn.GELU(),
                nn.Linear(text.hidden_size, text.hidden_size),
            )
        with self._mark_language_model(vllm_config):
            self.language_model = XComposer2TextForCausalLM(
                vllm_config=vllm_config.with_hf_config(text, architectures=["LlamaForCausalLM"]),
                prefix=maybe_prefix(prefix, "language_model"),
            )
        self.language_model.model.image_token_id = self.config.image_token_id

    def image_rows(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: (n, 3, H, W). Returns (n, patches, D_text): no class token, without CLIP's last norm."""
        return self.projector(self.vision_tower(pixel_values).last_hidden_state[:, 1:])
