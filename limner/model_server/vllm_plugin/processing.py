"""Prompts and pictures for vLLM: one placeholder per image in, one per image row out, several images per prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
    PromptReplacement,
)

from limner.model_server.xcomposer.processing import IMAGE_TOKEN


class XComposerProcessingInfo(BaseProcessingInfo):
    """Tells vLLM about image inputs before it sees a prompt; the same for both models."""

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """No limit of images besides the context."""
        return {"image": None}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """The number of positions, the same for every image."""
        return {"image": self.get_hf_config().rows_per_image}  # type: ignore[attr-defined]


class XComposerDummyInputs(BaseDummyInputsBuilder[XComposerProcessingInfo]):
    """The largest input, for vLLM to measure memory with."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        return IMAGE_TOKEN * mm_counts.get("image", 0)

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Any) -> Any:
        side = self.info.get_hf_config().vision_config.image_size
        images = self._get_dummy_images(
            width=side, height=side, num_images=mm_counts.get("image", 0), overrides=mm_options.get("image")
        )
        return {"image": images}


class XComposerMultiModalProcessor(BaseMultiModalProcessor[XComposerProcessingInfo]):
    """Accepts PIL images, uint8 arrays (H, W, 3), and prepared pixels: float32 arrays (3, side, side)."""

    def _call_hf_processor(self, hf_data: Mapping[str, Any], hf_kwargs: Mapping[str, Any]) -> BatchFeature:
        """Apply the checkpoint's image processor to images that are not pixels yet. Raises ValueError for other
        types."""
        side = self.info.get_hf_config().vision_config.image_size
        prepare = self.info.get_hf_processor().image_processor  # type: ignore[attr-defined]
        pixels = []
        for image in hf_data["images"]:
            if isinstance(image, np.ndarray) and image.dtype == np.float32:
                if image.shape != (3, side, side):
                    raise ValueError(f"Pixels must be (3, {side}, {side}), these are {image.shape}.")
                pixels.append(image)
            else:
                pixels.append(prepare(image, return_tensors="np")["pixel_values"][0])
        return BatchFeature({"pixel_values": np.stack(pixels)}, tensor_type="pt")

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> Mapping[str, MultiModalFieldConfig]:
        return {"pixel_values": MultiModalFieldConfig.batched("image")}

    def _get_prompt_updates(
        self, mm_items: Any, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> Sequence[PromptReplacement]:
        config: Any = self.info.get_hf_config()
        place = [config.image_token_id]
        return [PromptReplacement(modality="image", target=place, replacement=place * config.rows_per_image)]
