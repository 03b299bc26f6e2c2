"""Decoding as published, on top of GenerationMixin.

The published code decodes from embeddings with the transformers of 2023, which sees one invented BOS and no prompt ids.
This changes the output in two ways: a repetition penalty sees BOS and the generated ids, but not the prompt (v2 calls
without an image pass ids and do show it), and beam scores are divided by the number of generated tokens plus BOS,
without the end token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import LongTensor, Tensor
from transformers import GenerationMixin, LogitsProcessorList


class PromptAsPublished(LogitsProcessorList):
    """Logits processors that see BOS in place of every prompt id that the published code would hide.

    The length stays the same, so rules that count positions stay correct.
    """

    def __init__(
        self,
        processors: LogitsProcessorList,
        *,
        prompt_length: int,
        image_token_id: int,
        bos_token_id: int,
        pad_token_id: int,
        shows_text_only_prompts: bool,
    ) -> None:
        super().__init__(processors)
        self.prompt_length = prompt_length
        self.image_token_id = image_token_id
        self.bos_token_id = bos_token_id
        self.pad_token_id = pad_token_id
        self.shows_text_only_prompts = shows_text_only_prompts

    def visible(self, input_ids: Tensor) -> Tensor:
        """input_ids: (B, T). Returns (B, T) with hidden positions set to BOS."""
        prompt = input_ids[:, : self.prompt_length]
        hidden = torch.ones_like(prompt, dtype=torch.bool)
        if self.shows_text_only_prompts:
            padding = (prompt == self.pad_token_id).long().cumprod(dim=1).bool()
            hidden = (prompt == self.image_token_id).any(dim=1, keepdim=True) | padding
        shown = input_ids.clone()
        shown[:, : self.prompt_length] = prompt.masked_fill(hidden, self.bos_token_id)
        return shown

    def __call__(self, input_ids: LongTensor, scores: Tensor, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """input_ids: (B, T); scores: (B, V). Returns (B, V)."""
        return super().__call__(self.visible(input_ids), scores, **kwargs)  # type: ignore[arg-type]


class PublishedGenerationMixin(GenerationMixin):
    """GenerationMixin with the two rules above."""

    config: Any
    shows_text_only_prompts = False
    """Whether a penalty sees the prompt of a call without images."""

    def _get_logits_processor(  # type: ignore[override]
        self, generation_config: Any, input_ids_seq_length: int = 0, encoder_input_ids: Any = None, **kwargs: Any
    ) -> LogitsProcessorList:
        image_id = self.config.image_token_id
        bos = generation_config.bos_token_id if generation_config.bos_token_id is not None else 1
        pad = generation_config.pad_token_id if generation_config.pad_token_id is not None else 2
        if isinstance(encoder_input_ids, Tensor) and not encoder_input_ids.is_floating_point():
            # Placeholders lie beyond the logits; looking them up would be out of range.
            encoder_input_ids = encoder_input_ids.masked_fill(encoder_input_ids == image_id, bos)
        build: Any = super()._get_logits_processor  # pyright: ignore[reportAttributeAccessIssue]
        processors = build(generation_config, input_ids_seq_length, encoder_input_ids, **kwargs)
        return PromptAsPublished(
            processors,
            prompt_length=input_ids_seq_length,
            image_token_id=image_id,
            bos_token_id=int(bos),
            pad_token_id=int(pad),
            shows_text_only_prompts=self.shows_text_only_prompts,
        )

    def _check_early_stop_heuristic(self, *, decoder_prompt_len: int, **kwargs: Any) -> Any:  # type: ignore[override]
        return super()._check_early_stop_heuristic(decoder_prompt_len=decoder_prompt_len - 1, **kwargs)

    def _update_finished_beams(  # type: ignore[override]
        self, *, decoder_prompt_len: int, next_token_hits_stopping_criteria: Tensor, **kwargs: Any
    ) -> Any:
        # Candidates at the length limit are one longer because of BOS. Those that end by themselves are one longer by
        # BOS and one shorter by their end token.
        at_the_limit = bool(next_token_hits_stopping_criteria.all())
        return super()._update_finished_beams(
            decoder_prompt_len=decoder_prompt_len - at_the_limit,
            next_token_hits_stopping_criteria=next_token_hits_stopping_criteria,
            **kwargs,
        )
