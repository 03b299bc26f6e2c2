"""InternLM-XComposer (arXiv 2309.15112) and InternLM-XComposer2 (arXiv 2401.16420) as transformers models.

Importing this package registers both with the Auto classes, so that `AutoModelForImageTextToText.from_pretrained` and
`AutoProcessor.from_pretrained` load the output of `limner-model-server convert`. No code is loaded from a checkpoint.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
)

from limner.model_server.xcomposer.configuration import XComposer2Config, XComposer2TextConfig, XComposerConfig
from limner.model_server.xcomposer.modeling_v1 import XComposerForConditionalGeneration, XComposerModel
from limner.model_server.xcomposer.modeling_v2 import (
    XComposer2ForConditionalGeneration,
    XComposer2Model,
    XComposer2TextModel,
)
from limner.model_server.xcomposer.processing import XComposerImageProcessor, XComposerProcessor

__all__ = [
    "XComposer2Config",
    "XComposer2ForConditionalGeneration",
    "XComposer2Model",
    "XComposer2TextConfig",
    "XComposer2TextModel",
    "XComposerConfig",
    "XComposerForConditionalGeneration",
    "XComposerImageProcessor",
    "XComposerModel",
    "XComposerProcessor",
    "register",
]


def register() -> None:
    """Register both models with transformers' Auto classes. Safe to call again."""
    models = (
        (XComposerConfig, XComposerModel, XComposerForConditionalGeneration),
        (XComposer2Config, XComposer2Model, XComposer2ForConditionalGeneration),
    )
    for config, base, whole in models:
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, base, exist_ok=True)
        AutoModelForImageTextToText.register(config, whole, exist_ok=True)
        AutoModelForCausalLM.register(config, whole, exist_ok=True)  # text works without images, too
        AutoImageProcessor.register(config, image_processor_classes={"pil": XComposerImageProcessor}, exist_ok=True)
        AutoProcessor.register(config, XComposerProcessor, exist_ok=True)
    AutoConfig.register(XComposer2TextConfig.model_type, XComposer2TextConfig, exist_ok=True)
    AutoModel.register(XComposer2TextConfig, XComposer2TextModel, exist_ok=True)


register()
