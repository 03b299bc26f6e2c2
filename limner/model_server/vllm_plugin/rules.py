"""Rules of one answer inside vLLM where its own are others: the published repetition penalty, and grammars.

vLLM's repetition penalty also penalises the prompt. Both models decode from embeddings, so theirs sees BOS and the
generated ids; v2 shows it the prompts of calls without images. See xcomposer/decoding.py.

vLLM's structured outputs end an answer with `</s>` only, and report logprobs of what the grammar left; both models end
a turn with a token of their own. Here llguidance gets all of a checkpoint's end ids, as in the transformers engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

PENALTY = "repetition_penalty"
"""Of `SamplingParams.extra_args`: the factor, over 0; 1 is no penalty."""
GRAMMAR = "grammar"
"""Of `SamplingParams.extra_args`: a compiled grammar, `Grammar.text`."""

Rule = Callable[[list[int], list[int], Tensor], Tensor]
"""Ids of the prompt, ids generated so far, logits (V,) to logits (V,)."""


class PublishedRepetitionPenalty(AdapterLogitsProcessor):
    """One factor per request."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        config = vllm_config.model_config.hf_config
        self._bos, self._image = config.bos_token_id, config.image_token_id
        self._shows_text_only_prompts = config.model_type == "xcomposer2"

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raises ValueError for a factor that is none."""
        factor = (sampling_params.extra_args or {}).get(PENALTY, 1.0)
        if not isinstance(factor, (int, float)) or not 0 < factor < float("inf"):
            raise ValueError(f"{PENALTY} must be a number over 0, not {factor!r}.")

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Rule | None:
        """None for a request without a penalty."""
        factor = (params.extra_args or {}).get(PENALTY, 1.0)
        if factor == 1:
            return None

        def penalise(prompt: list[int], generated: list[int], logits: Tensor) -> Tensor:
            shown = [self._bos]
            if self._shows_text_only_prompts and self._image not in prompt:
                shown = prompt
            return penalised(logits, {*shown, *generated}, factor)

        return penalise


def penalised(logits: Tensor, ids: set[int], factor: float) -> Tensor:
    """logits: (V,). Those of `ids` divided by the factor where they are positive, multiplied where negative."""
    places = torch.tensor(sorted(i for i in ids if 0 <= i < len(logits)), device=logits.device)
    seen = logits[places]
    return logits.index_put((places,), torch.where(seen < 0, seen * factor, seen / factor))


class GrammarRule(AdapterLogitsProcessor):
    """One grammar per request."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        super().__init__(vllm_config, device, is_pin_memory)
        import llguidance.hf
        from transformers import AutoTokenizer

        model = vllm_config.model_config
        tokenizer = AutoTokenizer.from_pretrained(model.tokenizer)
        ends = (model.try_get_generation_config() or {}).get("eos_token_id", model.hf_config.eos_token_id)
        ends = list(ends) if isinstance(ends, list) else [ends]
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=len(tokenizer), eos_token=ends)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raises ValueError for a grammar that llguidance does not read."""
        text = (sampling_params.extra_args or {}).get(GRAMMAR)
        if text is not None:
            from llguidance import LLMatcher

            wrong = LLMatcher.validate_grammar(text, None) if isinstance(text, str) else "it must be text"
            if wrong:
                raise ValueError(f"{GRAMMAR} is not valid: {' '.join(wrong.split())[:300]}")

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Rule | None:
        """None for a request without a grammar."""
        text = (params.extra_args or {}).get(GRAMMAR)
        return None if text is None else Matching(self._tokenizer, text).rule


class Matching:
    """One answer on its way through a grammar."""

    def __init__(self, tokenizer: Any, text: str) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(tokenizer, text)
        self._consumed = 0

    def rule(self, prompt: list[int], generated: list[int], logits: Tensor) -> Tensor:
        """Minus infinity for what would leave the grammar.

        Where that outgrows llguidance's limits, all but the end is: an error here would end everybody's answers.
        """
        if logits[-1] > float("-inf") or len(logits) - 1 in generated[self._consumed :]:
            return logits  # they are no numbers, and the answer fails of it: see modeling.py
        for token in generated[self._consumed :]:
            self._matcher.consume_token(token)
        self._consumed = len(generated)
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        known = np.unpackbits(bits, bitorder="little").astype(bool)[: len(logits)]
        allowed = torch.zeros(len(logits), dtype=torch.bool)
        allowed[: len(known)] = torch.from_numpy(known)
        return logits.masked_fill(~allowed.to(logits.device), float("-inf"))
