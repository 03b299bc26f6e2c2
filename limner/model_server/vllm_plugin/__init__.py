"""XComposer v1 and v2 as vLLM models: continuous batching, paged and prefix-cached attention, tensor parallelism.

vLLM finds `register` by the entry point `vllm.general_plugins`, so `vllm serve FOLDER` and `vllm.LLM(FOLDER)` load the
output of `limner-model-server convert`. Nothing here is imported without vLLM.
"""

from __future__ import annotations

_MODELS = {"XComposerForConditionalGeneration": "modeling_v1", "XComposer2ForConditionalGeneration": "modeling_v2"}


def register() -> None:
    """Register both models with vLLM and transformers' Auto classes. vLLM calls it in each of its processes."""
    from vllm import ModelRegistry

    import limner.model_server.xcomposer  # noqa: F401 - registers configurations and processors
    from limner.model_server.vllm_plugin import vocabulary

    vocabulary.register(("xcomposer", "xcomposer2"))
    for architecture, module in _MODELS.items():
        if architecture not in ModelRegistry.get_supported_archs():
            ModelRegistry.register_model(architecture, f"{__name__}.{module}:{architecture}")
