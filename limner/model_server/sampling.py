"""Choose the next token from logits (1, V): penalties, grammar, truncation, and a draw that a seed makes repeatable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import LongTensor, Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from limner.model_server.grammar import Grammar
from limner.model_server.xcomposer.decoding import PromptAsPublished

NOT_FINITE = "the model's logits are not finite; serve it with --dtype float32 or bfloat16"


@dataclass(frozen=True)
class Sampling:
    """How an answer is decoded."""

    max_new_tokens: int
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    """0 is off."""
    top_p: float = 1.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for each of its occurrences in the answer."""
    presence_penalty: float = 0.0
    """Subtracted once from the logit of a token that occurs in the answer."""
    seed: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    top_n: int | None = None
    """Number of likeliest tokens to report with each token and its logprob. None reports neither and computes
    neither."""
    prompt_logprobs: bool = False
    """Report the prompt's tokens too."""
    grammar: Grammar | None = None


class CountPenalties(LogitsProcessor):
    """OpenAI's frequency and presence penalties, over generated tokens."""

    def __init__(self, frequency: float, presence: float, prompt_length: int) -> None:
        self.frequency, self.presence, self.prompt_length = frequency, presence, prompt_length

    def __call__(self, input_ids: LongTensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        """input_ids: (B, T); scores: (B, V). Returns (B, V)."""
        generated = input_ids[:, self.prompt_length :]
        counts = torch.zeros_like(scores).scatter_add_(1, generated, torch.ones_like(generated, dtype=scores.dtype))
        return scores - self.frequency * counts - self.presence * (counts > 0).to(scores.dtype)


@dataclass(frozen=True)
class Chosen:
    """A chosen token with logprobs of the model's own distribution, before any rule of this module."""

    id: int
    logprob: float | None = None
    """None if not requested."""
    top: tuple[tuple[int, float], ...] = ()
    """(id, logprob) of the likeliest tokens, best first."""


class Chooser:
    """Chooses the tokens of one answer, in order."""

    def __init__(self, sampling: Sampling, prompt_length: int, model: Any) -> None:
        """model: defines its rules of decoding, see xcomposer/decoding.py."""
        self.sampling = sampling
        self._generator = torch.Generator(device=model.device).manual_seed(sampling.seed % 2**63)
        self._processors = processors(sampling, prompt_length, model)

    def __call__(self, ids: Tensor, logits: Tensor) -> Chosen:
        """ids: (1, T), the prompt and the chosen tokens; logits: (1, V), float32.

        Raises RuntimeError for logits that are no numbers.
        """
        if not bool(logits.amax().isfinite()):
            raise RuntimeError(NOT_FINITE)
        scores = self._processors(ids, logits.clone())  # type: ignore[arg-type]
        if self.sampling.do_sample:
            probabilities = torch.softmax(scores, dim=-1)
            token = int(torch.multinomial(probabilities, 1, generator=self._generator))
        else:
            token = int(scores.argmax(dim=-1))
        return reported(token, logits[0], self.sampling.top_n)


def reported(token: int, logits: Tensor, top_n: int | None) -> Chosen:
    """A token with its logprob and the likeliest tokens at its place. logits: (V,).

    Raises RuntimeError for logits that are no numbers.
    """
    logprobs = torch.log_softmax(logits, dim=-1)
    if not bool(torch.isfinite(logprobs[token])):
        raise RuntimeError(NOT_FINITE)
    best = logprobs.topk(min(top_n or 0, logprobs.shape[-1]))
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return Chosen(token, float(logprobs[token]), top)


def processors(sampling: Sampling, prompt_length: int, model: Any) -> LogitsProcessorList:
    """The rules of one answer, in transformers' order. Rules that use the prompt see the same ids as in the published
    code."""
    s, rules = sampling, LogitsProcessorList()
    if s.repetition_penalty != 1:
        rules.append(RepetitionPenaltyLogitsProcessor(s.repetition_penalty))
    if s.frequency_penalty or s.presence_penalty:
        rules.append(CountPenalties(s.frequency_penalty, s.presence_penalty, prompt_length))
    if s.grammar:
        rules.append(s.grammar.processor(prompt_length))
    if s.do_sample:
        narrowing: list[tuple[bool, Any]] = [
            (s.temperature != 1, lambda: TemperatureLogitsWarper(s.temperature)),
            (s.top_k > 0, lambda: TopKLogitsWarper(s.top_k)),
            (s.top_p < 1, lambda: TopPLogitsWarper(s.top_p)),
            (s.typical_p < 1, lambda: TypicalLogitsWarper(s.typical_p)),
        ]
        rules.extend(make() for wanted, make in narrowing if wanted)
    return PromptAsPublished(
        rules,
        prompt_length=prompt_length,
        image_token_id=model.config.image_token_id,
        bos_token_id=model.config.bos_token_id,
        pad_token_id=model.config.pad_token_id,
        shows_text_only_prompts=model.shows_text_only_prompts,
    )
