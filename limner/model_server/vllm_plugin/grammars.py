"""Answers that must match a grammar, inside vLLM.

vLLM's structured outputs end an answer only with `</s>` and report logprobs after masking; both models end a turn with
a token of their own. Here llguidance gets all of a checkpoint's end ids, as in the transformers engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

from limner.model_server.vllm_plugin.rules import Rule, on_device

GRAMMAR = "grammar"
"""Key in `SamplingParams.extra_args`: a compiled grammar, `Grammar.text`."""


class Matching:
    """The progress of one answer through a grammar."""

    def __init__(self, tokenizer: Any, text: str, end: int, generated: list[int] | None) -> None:
        """end: the first id beyond the vocabulary. generated: the growing list of the answer's ids; None from V2."""
        from llguidance import LLMatcher

        self.generated, self.consumed = generated, 0
        self._end, self._matcher, self._left = end, LLMatcher(tokenizer, text), False

    def follow(self, tokens: list[int]) -> None:
        """Advance by the tokens chosen since."""
        self.consumed += len(tokens)
        for token in tokens:
            # The placeholder is drawn if logits are not finite, and fails the answer: see modeling.py.
            self._left = self._left or token >= self._end
            if not self._left:
                self._matcher.consume_token(token)

    def bits(self, words: int) -> np.ndarray:
        """Allowed next ids, one bit each: (words,) int32. All are allowed once the answer has failed.

        If the answer exceeds llguidance's limits, only its end is allowed, because an error here would end all answers.
        """
        found = np.zeros(words, np.int32)
        if self._left:
            return ~found
        mask = np.frombuffer(self._matcher.compute_bitmask(), np.int32)[:words]
        found[: len(mask)] = mask
        return found


class GrammarRule(Rule):
    """Applies the grammar of every request that has one."""

    def __init__(self, vllm_config: Any, *place: Any) -> None:
        super().__init__(vllm_config, *place)
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

    def state(self, params: Any, prompt: list[int] | None, generated: list[int] | None) -> Matching | None:
        """None for a request without a grammar."""
        text = (params.extra_args or {}).get(GRAMMAR)
        return None if text is None else Matching(self._tokenizer, text, self.config.image_token_id, generated)

    def apply_listed(self, logits: Tensor, rows: list[int], states: list[Matching]) -> None:
        """Advance each answer by its list, then mask all rows at once."""
        for state in states:
            state.follow((state.generated or [])[state.consumed :])
        self._mask(logits, np.array(rows), states)

    def apply_slotted(self, logits: Tensor, rows: np.ndarray, slots: np.ndarray, context: LogitsContext) -> None:
        """Fetch the newest token of every row from the device, once, because grammars run on the host; then mask."""
        assert self.slots is not None
        states: list[Matching] = [self.states[slot] for slot in slots.tolist()]
        prompts = self.slots.prompt_len.np[slots]
        counts = context.seq_lens_upper_bound_np[rows] - prompts
        newest = context.input_ids[on_device(rows, logits.device)].tolist()
        for state, slot, begin, count, token in zip(states, slots, prompts, counts, newest, strict=True):
            if count == state.consumed + 1:
                state.follow([token])
            elif count > state.consumed:  # preempted for lack of memory, and read again
                ids = self.slots.all_token_ids.gpu[int(slot), int(begin) + state.consumed : int(begin + count)]
                state.follow(ids.tolist())
        self._mask(logits, rows, states)

    def _mask(self, logits: Tensor, rows: np.ndarray, states: list[Matching]) -> None:
        """Set tokens that would leave a row's grammar to minus infinity; rows without finite logits stay as they
        are."""
        width = logits.shape[1]
        bits = on_device(np.stack([state.bits(-(-width // 32)) for state in states]), logits.device)
        shifts = torch.arange(32, device=logits.device, dtype=torch.int32)
        allowed = ((bits.unsqueeze(-1) >> shifts) & 1).bool().flatten(1)[:, :width]
        row = on_device(rows.astype(np.int64), logits.device)
        old = logits[row]
        logits[row] = torch.where(allowed | (old[:, -1:] > float("-inf")), old, float("-inf"))
