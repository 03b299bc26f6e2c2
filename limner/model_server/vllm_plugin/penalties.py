"""Repetition, frequency and presence penalties as the published code applies them.

vLLM's own repetition penalty also sees the prompt. Both models decode from embeddings, so theirs sees BOS and the
generated ids; XComposer2 shows it the prompts of calls without images. See xcomposer/decoding.py. The other two are
here because they follow the repetition penalty, and vLLM's runners disagree on whether its own come first.

A step costs one gather and one scatter over the seen ids, not over the vocabulary, for all rows together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

from limner.model_server.vllm_plugin.rules import Rule, on_device

REPETITION = "repetition_penalty"
"""Key in `SamplingParams.extra_args`: the factor, above 0; 1 means no penalty."""
FREQUENCY = "frequency_penalty"
PRESENCE = "presence_penalty"
SHOWS_PROMPT = "penalises_prompt"
"""Key in `SamplingParams.extra_args`: whether the repetition penalty sees the prompt's ids, in place of BOS alone."""


@dataclass
class Asked:
    """One request's penalties, and under V1 the ids that they apply to."""

    repetition: float
    frequency: float
    presence: float
    shows_prompt: bool
    seen: Seen | None = None


class Seen:
    """Counts the ids that an answer has seen and generated, from step to step."""

    def __init__(self, shown: list[int], generated: list[int]) -> None:
        """shown: ids seen before the first step. generated: grows with the answer."""
        self._generated, self._read, self._size = generated, 0, 0
        self._ids, self._counts = np.empty(256, np.int64), np.zeros(256, np.float32)
        self._places: dict[int, int] = {}
        for token in shown:
            self._place(token)

    def _place(self, token: int) -> int:
        place = self._places.get(token)
        if place is None:
            place = self._places[token] = self._size
            self._size += 1
            if place == len(self._ids):
                self._ids = np.concatenate([self._ids, np.empty_like(self._ids)])
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._ids[place] = token
        return place

    def up_to_now(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct ids and their numbers of occurrences in the answer: int64 and float32, both (n,)."""
        for token in islice(self._generated, self._read, None):
            self._counts[self._place(token)] += 1
        self._read = len(self._generated)
        return self._ids[: self._size], self._counts[: self._size]


class PublishedPenalties(Rule):
    """Applies the three penalties of every request that has one."""

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Raises ValueError for a penalty that is not a number in its range."""
        extra = sampling_params.extra_args or {}
        factor = extra.get(REPETITION, 1.0)
        if not isinstance(factor, (int, float)) or not 0 < factor < float("inf"):
            raise ValueError(f"{REPETITION} must be a number over 0, not {factor!r}.")
        for name in (FREQUENCY, PRESENCE):
            if not isinstance(extra.get(name, 0.0), (int, float)) or not -2 <= extra.get(name, 0.0) <= 2:
                raise ValueError(f"{name} must be a number from -2 to 2, not {extra[name]!r}.")

    def state(self, params: Any, prompt: list[int] | None, generated: list[int] | None) -> Asked | None:
        """None for a request without a penalty."""
        extra = params.extra_args or {}
        asked = Asked(
            extra.get(REPETITION, 1.0), extra.get(FREQUENCY, 0.0), extra.get(PRESENCE, 0.0),
            bool(extra.get(SHOWS_PROMPT)),
        )  # fmt: skip
        if asked.repetition == 1 and not asked.frequency and not asked.presence:
            return None
        if generated is not None:
            shown = (prompt or []) if asked.shows_prompt else [self.config.bos_token_id]
            asked.seen = Seen(shown, generated)
        return asked

    def apply_listed(self, logits: Tensor, rows: list[int], states: list[Asked]) -> None:
        """One flat list of (row, id) pairs over all rows."""
        seen = [state.seen.up_to_now() for state in states if state.seen]
        sizes = [len(ids) for ids, _ in seen]
        penalties = np.array([(s.repetition, s.frequency, s.presence) for s in states], np.float32)
        repetition, frequency, presence = np.repeat(penalties, sizes, axis=0).T
        counts = np.concatenate([counts for _, counts in seen])
        taken = frequency * counts + presence * (counts > 0)
        at = np.repeat(np.array(rows, np.int64), sizes) * logits.shape[1] + np.concatenate([ids for ids, _ in seen])
        places = on_device(at, logits.device)
        flat = logits.view(-1)
        changed = penalised(flat[places], on_device(repetition, logits.device)) - on_device(taken, logits.device)
        flat[places] = changed

    def apply_slotted(self, logits: Tensor, rows: np.ndarray, slots: np.ndarray, context: LogitsContext) -> None:
        """Ids padded to a rectangle, one row per list; padding repeats one of the row's own ids."""
        assert self.slots is not None
        asked = [self.states[slot] for slot in slots.tolist()]
        prompts = self.slots.prompt_len.np[slots].astype(np.int64)
        begins = np.where([a.shows_prompt for a in asked], 0, prompts)
        ends = context.seq_lens_upper_bound_np[rows].astype(np.int64)
        width = max(int((ends - begins).max()), 1)
        packed = on_device(np.stack([rows, slots, begins, ends, prompts]).astype(np.int64), logits.device)
        row, slot, begin, end, prompt = packed.unsqueeze(-1)
        numbers = np.array([(a.repetition, a.frequency, a.presence) for a in asked], np.float32).T
        repetition, frequency, presence = on_device(numbers, logits.device).unsqueeze(-1)
        all_ids = self.slots.all_token_ids.gpu
        places = begin + torch.arange(width, device=logits.device)
        ids = all_ids[slot, places.clamp(max=all_ids.shape[1] - 1)].long()
        first = torch.where(begin == prompt, self.config.bos_token_id, all_ids[slot, begin].long())
        seen = torch.cat([first, torch.where(places < end, ids, first)], dim=1)
        logits[row, seen] = penalised(logits[row, seen], repetition)
        if numbers[1:].any():
            generated = (places >= prompt) & (places < end)
            _take_counts(logits, row, torch.where(generated, ids, -1), frequency, presence)


def penalised(logits: Tensor, factor: Tensor) -> Tensor:
    """Logits divided by the factor if positive, multiplied if negative. Both broadcast; factor is float32."""
    return torch.where(logits < 0, logits * factor, logits / factor)


def _take_counts(logits: Tensor, row: Tensor, ids: Tensor, frequency: Tensor, presence: Tensor) -> None:
    """Subtract from each generated id's logit `frequency` per occurrence and `presence` once.

    logits: (n, V), changed in place; ids: (m, L), padded with -1; row, frequency, presence: (m, 1).
    """
    ordered = ids.sort(dim=1).values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    amount = torch.where(ordered >= 0, frequency + presence * first, 0.0)
    logits.index_put_((row.expand_as(ordered), ordered.clamp(min=0)), -amount, accumulate=True)
