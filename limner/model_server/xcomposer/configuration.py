"""Configurations. Defaults are the published 7B models; stock sub-configurations wherever the part is stock."""

from __future__ import annotations

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import Blip2QFormerConfig, Blip2VisionConfig, CLIPVisionConfig, LlamaConfig
from transformers.configuration_utils import PreTrainedConfig

try:
    from transformers.configuration_utils import SubConfigSpec
except ImportError:  # before transformers 5.20, which vLLM 0.32 wants
    SubConfigSpec: Any = None

_V1_TEXT = {
    "vocab_size": 103168,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 2048,
    "attention_bias": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "pad_token_id": 2,
}
_V2_TEXT = {
    "vocab_size": 92544,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 32768,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "pad_token_id": 2,
}
_V2_VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 224,
    "hidden_act": "quick_gelu",
}


Parts = dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]]
"""Sub-configurations by name: their class, and default fields."""


def declared(parts: Parts) -> dict[str, Any]:
    """Sub-configurations in the form that transformers expects of a class."""
    if SubConfigSpec is None:
        return {name: kind for name, (kind, _) in parts.items()}
    return {name: SubConfigSpec(config_class=kind, init_kwargs=fields) for name, (kind, fields) in parts.items()}


def built(config: PreTrainedConfig, parts: Parts) -> None:
    """Make configurations of what may be dictionaries or None."""
    for name, (kind, fields) in parts.items():
        given = getattr(config, name)
        if not isinstance(given, PreTrainedConfig):
            setattr(config, name, kind(**(fields if given is None else given)))


_V1_PARTS: Parts = {
    "vision_config": (Blip2VisionConfig, {}),
    "qformer_config": (Blip2QFormerConfig, {}),
    "text_config": (LlamaConfig, _V1_TEXT),
}


@strict
class XComposerConfig(PreTrainedConfig):
    """InternLM-XComposer v1: BLIP-2's vision tower and Q-Former in front of LLaMA with attention biases.

    num_query_tokens: rows per image from the perceive sampler; two flag rows surround them.
    vision_norm_eps: of the LayerNorm behind the tower, which differs from the tower's own.
    image_token_id: marks an image row's place in `input_ids`. The default is the first id beyond the vocabulary,
    which no logit can produce and no text contains.
    """

    model_type = "xcomposer"
    if SubConfigSpec is None:
        sub_configs: ClassVar[dict[str, Any]] = declared(_V1_PARTS)  # type: ignore[reportIncompatibleMethodOverride]
    else:
        sub_configs_defaults: ClassVar[dict[str, Any]] = declared(_V1_PARTS)

    vision_config: Any = None
    qformer_config: Any = None
    text_config: Any = None
    num_query_tokens: int = 64
    vision_norm_eps: float = 1e-5
    image_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 2
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        built(self, _V1_PARTS)
        super().__post_init__(**kwargs)
        if self.image_token_id is None:
            self.image_token_id = self.text_config.vocab_size

    @property
    def rows_per_image(self) -> int:
        """Positions that one image takes in the prompt: start flag, sampler rows, end flag."""
        return self.num_query_tokens + 2


@strict
class XComposer2TextConfig(LlamaConfig):
    """InternLM2's decoder in LLaMA's layout, with a low-rank branch on every linear layer for image positions.

    plora_rank, plora_alpha: the branch adds (alpha / rank) B A x.
    """

    model_type = "xcomposer2_text"
    base_config_key = "text_config"

    plora_rank: int = 256
    plora_alpha: int | float = 256

    @property
    def plora_scaling(self) -> float:
        """The factor of B A x."""
        return self.plora_alpha / self.plora_rank


_V2_PARTS: Parts = {
    "vision_config": (CLIPVisionConfig, _V2_VISION),
    "text_config": (XComposer2TextConfig, _V2_TEXT),
}


@strict
class XComposer2Config(PreTrainedConfig):
    """InternLM-XComposer2: CLIP's vision tower, a two-layer projector, InternLM2 with partial LoRA.

    vision_config, text_config: the named configurations, or dictionaries of their fields. image_token_id: as in
    XComposerConfig.
    """

    model_type = "xcomposer2"
    if SubConfigSpec is None:
        sub_configs: ClassVar[dict[str, Any]] = declared(_V2_PARTS)  # type: ignore[reportIncompatibleMethodOverride]
    else:
        sub_configs_defaults: ClassVar[dict[str, Any]] = declared(_V2_PARTS)

    vision_config: Any = None
    text_config: Any = None
    image_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = 2
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        built(self, _V2_PARTS)
        super().__post_init__(**kwargs)
        if self.image_token_id is None:
            self.image_token_id = self.text_config.vocab_size

    @property
    def rows_per_image(self) -> int:
        """Positions that one image takes in the prompt: one per patch, no class token, no flags."""
        return (self.vision_config.image_size // self.vision_config.patch_size) ** 2
