"""InternLM-XComposer v1: stock BLIP-2 vision tower and Q-Former, own projection and flags, stock LLaMA."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerModel, Blip2VisionModel, LlamaModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from limner.model_server.xcomposer.configuration import XComposerConfig
from limner.model_server.xcomposer.modeling import (
    ImageTextForConditionalGeneration,
    ImageTextModel,
    ImageTextPreTrainedModel,
    normal_,
)


class XComposerPreTrainedModel(ImageTextPreTrainedModel):
    config: XComposerConfig
    _no_split_modules = ["Blip2EncoderLayer", "Blip2QFormerLayer", "LlamaDecoderLayer"]  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, XComposerModel):
            for parameter in (module.query_tokens, module.image_start, module.image_end):
                normal_(parameter, std=0.02)


class XComposerModel(XComposerPreTrainedModel, ImageTextModel):
    """Source: InternLM-XComposer, arXiv 2309.15112, section 3.1."""

    def __init__(self, config: XComposerConfig) -> None:
        super().__init__(config)
        vision, qformer, text = config.vision_config, config.qformer_config, config.text_config
        self.vision_tower = Blip2VisionModel._from_config(vision)
        self.vision_tower.post_layernorm.eps = config.vision_norm_eps
        self.query_tokens = nn.Parameter(torch.zeros(1, config.num_query_tokens, qformer.hidden_size))
        self.perceive_sampler = Blip2QFormerModel._from_config(qformer)
        self.projection = nn.Linear(qformer.hidden_size, text.hidden_size)
        self.image_start = nn.Parameter(torch.zeros(text.hidden_size))
        self.image_end = nn.Parameter(torch.zeros(text.hidden_size))
        self.language_model = LlamaModel._from_config(text)
        self.post_init()

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """The rows that replace each image in the prompt.

        pixel_values: (n, 3, H, W). `last_hidden_state` is (n, 257, D_vision) after the vision LayerNorm, class token
        first; `pooler_output` is (n, 66, D_text): start flag, projected sampler rows, end flag.
        """
        patches = self.vision_tower(pixel_values).last_hidden_state
        queries = self.query_tokens.expand(len(patches), -1, -1)
        condensed = self.perceive_sampler(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        rows = self.projection(condensed.to(self.projection.weight.dtype))
        start, end = (flag.expand(len(rows), 1, -1) for flag in (self.image_start, self.image_end))
        return BaseModelOutputWithPooling(
            last_hidden_state=patches,
            pooler_output=torch.cat([start, rows, end], dim=1),  # type: ignore[arg-type]
        )


class XComposerForConditionalGeneration(XComposerPreTrainedModel, ImageTextForConditionalGeneration):
    """InternLM-XComposer v1 with its language head."""

    def __init__(self, config: XComposerConfig) -> None:
        super().__init__(config)
        self.model = XComposerModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()
