"""One more id than the checkpoint has: the placeholder's.

A placeholder's id is the first beyond the vocabulary. vLLM gathers the logprob of each of a prompt's ids and would end
its engine at that one; so vLLM gets a vocabulary with room for it, and its logit is minus infinity. All others
are, and it is not, where the model's logits are no numbers.
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
    """Let vLLM read these models' configurations so."""
    for model_type in model_types:
        MODEL_ARCH_CONFIG_CONVERTORS[model_type] = WithPlaceholder
