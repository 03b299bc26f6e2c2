"""The common part of both models: turn images into rows, put them in place of token embeddings, run the decoder."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import LongTensor, Tensor, nn
from transformers import Cache, LlamaModel, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast

from limner.model_server.xcomposer.decoding import PublishedGenerationMixin
from limner.model_server.xcomposer.splicing import splice

CACHE_NAME = "cache" if "cache" in inspect.signature(LlamaModel.forward).parameters else "past_key_values"
"""transformers' name for the cache of keys and values, in arguments and outputs: `cache` from 5.24 on."""


class ImageTextPreTrainedModel(PreTrainedModel):
    """Flags for both models."""

    base_model_prefix = "model"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = [CACHE_NAME]  # noqa: RUF012 - transformers' own shape
    _supports_sdpa = True
    _supports_attention_backend = True


class ImageTextModel(ImageTextPreTrainedModel):
    """A vision part and a decoder without its head. Subclasses set `language_model` and turn images into rows."""

    language_model: Any

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """pixel_values: (n_images, 3, H, W), normalised. `pooler_output` is (n_images, rows, D_text)."""
        raise NotImplementedError

    def decoder_kwargs(self, image_mask: Tensor | None) -> dict[str, Any]:
        """The decoder's arguments about image positions."""
        return {}

    def forward(
        self,
        input_ids: LongTensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: LongTensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        image_mask: Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> Any:
        """One pass over a prompt or over the newest token.

        input_ids: (B, T), image positions hold `config.image_token_id`; pixel_values: (n_images, 3, H, W), the images
        of the whole batch in reading order; or mm_encoder_outputs: {"image": what get_image_features returned}. With
        inputs_embeds, (B, T, D), whose image rows are already in place, image_mask, (B, T) bool, marks them.
        past_key_values, cache: earlier keys and values, under either name. Raises ValueError, stating both counts, if
        places and images do not match; RuntimeError if the decoder left its cache empty.
        """
        known = cache if cache is not None else past_key_values
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give input_ids or inputs_embeds, one of them.")
        images = (mm_encoder_outputs or {}).get("image")
        if images is None and pixel_values is not None:
            images = self.get_image_features(pixel_values)
        if input_ids is not None:
            inputs_embeds, image_mask = self._embed(input_ids, images, known)
        elif images is not None:
            raise ValueError("Images go with input_ids; inputs_embeds must hold the image rows already.")
        read = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **{CACHE_NAME: known},
            **self.decoder_kwargs(image_mask),
            **kwargs,
        )
        if inputs_embeds.shape[1] > 1:  # type: ignore[union-attr]
            _check_filled(read.get(CACHE_NAME))
        return read

    def _embed(
        self, input_ids: Tensor, images: BaseModelOutputWithPooling | None, known: Cache | None
    ) -> tuple[Tensor, Tensor | None]:
        """Embeddings (B, T, D) with image rows in place, and their mask, None if no image is possible."""
        embed = self.get_input_embeddings()
        if images is None and input_ids.shape[1] == 1 and known is not None:
            return embed(input_ids), None  # a decoding step: generated ids only
        mask = input_ids == self.config.image_token_id
        embeddings = embed(input_ids.masked_fill(mask, 0))  # placeholders lie outside the embedding table
        if images is not None:
            return splice(embeddings, images.pooler_output, mask), mask  # type: ignore[arg-type]
        if bool(mask.any()):
            raise ValueError(f"{int(mask.sum())} positions are kept for images, no image was given: pass pixel_values.")
        return embeddings, None


def _check_filled(cache: Cache | None) -> None:
    """Raises RuntimeError if the cache is empty after a prompt, because later steps would be wrong."""
    if cache is not None and cache.get_seq_length() == 0:
        raise RuntimeError(
            "This version of transformers hands the cache to a decoder's layers under another name than "
            f"{CACHE_NAME!r}: install one that pyproject.toml allows."
        )


class ImageTextForConditionalGeneration(ImageTextPreTrainedModel, PublishedGenerationMixin):
    """The model with its head, ready for `generate`."""

    model: ImageTextModel
    lm_head: nn.Linear

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings  # type: ignore[assignment]

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """pixel_values: (n_images, 3, H, W), normalised. `pooler_output` is (n_images, rows, D_text)."""
        return self.model.get_image_features(pixel_values, **kwargs)

    def forward(
        self,
        input_ids: LongTensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: LongTensor | None = None,
        past_key_values: Cache | None = None,
        cache: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        image_mask: Tensor | None = None,
        labels: LongTensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Like ImageTextModel.forward. labels: (B, T), -100 for positions to ignore. Logits are (B, T, V)."""
        kwargs.pop("return_dict", None)
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=cache if cache is not None else past_key_values,
            inputs_embeds=inputs_embeds,
            image_mask=image_mask,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, keep, :])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=logits.shape[-1])
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            **{CACHE_NAME: outputs.get(CACHE_NAME)},
        )

    def prepare_inputs_for_generation(self, *args: Any, image_mask: Tensor | None = None, **kwargs: Any) -> dict:
        """Drop an explicit image_mask after the prompt, because later steps contain only generated ids."""
        inputs = super().prepare_inputs_for_generation(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        if inputs.get("inputs_embeds") is not None:
            inputs["image_mask"] = image_mask
        return inputs


def normal_(parameter: Tensor, std: float) -> None:
    """Initialise a parameter that belongs to no stock layer."""
    with torch.no_grad():
        parameter.normal_(0.0, std)
