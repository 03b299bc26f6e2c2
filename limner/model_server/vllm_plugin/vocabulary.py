"""Extend the vocabulary that vLLM sees by one id, the placeholder's.

A placeholder's id is the first beyond the vocabulary. vLLM gathers the logprob of each of a prompt's ids and would end
its engine at that one. So its vocabulary has room for the placeholder, with a logit of minus infinity. If the model's
logits are not finite, it is the other way round: only the placeholder is possible.
"""

from __future__ import annotations

from vllm.transformers_utils.model_arch_config_convertor import (
    MODEL_ARCH_CONFIG_CONVERTORS,
    ModelArchConfigConvertorBase,
)


class WithPlaceholder(ModelArchConfigConvertorBase):
    """Reads the configuration for vLLM and counts the placeholder."""

    def get_vocab_size(self) -> int:
        return super().get_vocab_size() + 1


def register(model_types: tuple[str, ...]) -> None:
    """Register this reader of the models' configurations with vLLM."""
    for model_type in model_types:
        MODEL_ARCH_CONFIG_CONVERTORS[model_type] = WithPlaceholder
