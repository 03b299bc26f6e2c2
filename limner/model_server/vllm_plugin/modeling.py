"""The common part of both models in vLLM: every rank holds the vision part; the decoder uses vLLM's parallel layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.model_executor.models.interfaces import SupportsMultiModal
from vllm.model_executor.models.module_mapping import MultiModelKeys
from vllm.model_executor.models.utils import AutoWeightsLoader, WeightsMapper
from vllm.sequence import IntermediateTensors

from limner.model_server.vllm_plugin import seeds
from limner.model_server.xcomposer.processing import IMAGE_TOKEN


class ImageTextForVLLM(nn.Module, SupportsMultiModal):
    """Turns images into rows, puts the rows in place of token embeddings, and runs the decoder.

    Subclasses build `language_model` and turn images into rows. The vision part is transformers' own, whole on
    every tensor-parallel rank: it is an eighth of v1's weights and a twentieth of v2's, and runs once per image.
    """

    hf_to_vllm_mapper = WeightsMapper(
        orig_to_new_prefix={"model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head."}
        | {"model.": ""}
    )
    packed_modules_mapping: ClassVar[dict[str, list[str]]] = {
        "qkv_proj": ["q_proj", "k_proj", "v_proj"],
        "gate_up_proj": ["gate_proj", "up_proj"],
    }
    tower: ClassVar[str] = "vision_tower"
    connector: ClassVar[list[str]]
    """Names of the modules between tower and decoder."""
    language_model: Any

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """The text in a prompt that marks an image's place."""
        if modality.startswith("image"):
            return IMAGE_TOKEN
        raise ValueError(f"XComposer reads images and text, no {modality}.")

    def __init__(self, vllm_config: VllmConfig) -> None:
        super().__init__()
        seeds.mend()  # here, because models are built on the device that computes
        self.config: Any = vllm_config.model_config.hf_config
        self.configure_mm_token_handling(self.config.text_config.vocab_size, [self.config.image_token_id])

    def image_rows(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: (n, 3, H, W). Returns (n, rows, D_text)."""
        raise NotImplementedError

    def embed_multimodal(self, **kwargs: Any) -> Any:
        """Rows of each image: (rows, D_text) tensors in the order of the images. pixel_values: (n, 3, H, W)."""
        pixel_values = kwargs.get("pixel_values")
        if pixel_values is None:
            return []
        return self.image_rows(pixel_values.to(self.dtype)).unbind()

    @property
    def dtype(self) -> torch.dtype:
        """The vision part's dtype."""
        return next(getattr(self, self.tower).parameters()).dtype

    def embed_input_ids(  # type: ignore[override]
        self, input_ids: Tensor, multimodal_embeddings: Any = None, *, is_multimodal: Tensor | None = None
    ) -> Tensor:
        """input_ids: (tokens,). Returns (tokens, D_text).

        Placeholders lie outside the table, also one that a client wrote without an image, so none is looked up.
        """
        known = input_ids.masked_fill(input_ids >= self.config.text_config.vocab_size, 0)
        return super().embed_input_ids(known, multimodal_embeddings, is_multimodal=is_multimodal)  # type: ignore[misc]

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor | IntermediateTensors:
        """One step over a packed batch of chunks. All (tokens, ...). Returns (tokens, D_text)."""
        if intermediate_tensors is not None:
            inputs_embeds = None
        return self.language_model.model(input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds)

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """hidden_states: (n, D_text). Returns (n, V + 1), with minus infinity for the placeholder, id V. See
        vocabulary.py.

        If logits are not finite, e.g. because float16 overflowed, only the placeholder is possible. vLLM would
        otherwise draw some token and continue; that id tells the engine of the failure without waiting for the device.
        """
        logits = self.language_model.compute_logits(hidden_states)
        if logits is None:
            return None
        broken = ~logits.amax(dim=-1, keepdim=True).isfinite()
        logits = nn.functional.pad(logits, (0, 1), value=float("-inf")).masked_fill_(broken, float("-inf"))
        logits[:, -1:].masked_fill_(broken, 0.0)
        return logits

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Load weights by the names of the converted checkpoint."""
        return AutoWeightsLoader(self).load_weights(weights, mapper=self.hf_to_vllm_mapper)

    def get_mm_mapping(self) -> MultiModelKeys:
        """Map the modules to the model's parts."""
        return MultiModelKeys.from_string_field(
            language_model="language_model", connector=self.connector, tower_model=self.tower
        )
