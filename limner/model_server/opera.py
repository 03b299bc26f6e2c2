"""OPERA: beam search that does not over-trust. Huang et al., "OPERA: Alleviating Hallucination in Multi-Modal Large
Language Models via Over-Trust Penalty and Retrospection-Allocation", arXiv 2311.17911.

A model that begins to make things up attends to one token of its own answer, a summary of what it said, instead of to
the images before it: a column of its last layer's attention. Two remedies, sections 3.2 and 3.3 of the paper. Each
candidate for the next token is scored down by how strong such a column is behind it. And where the columns of the
latest tokens lie at the same place again and again, the search goes back to that place and takes another token.

Written after the paper's description and not compared with the authors' code. Chosen here: how many of the latest
tokens are looked at (`recent`), that attention is not normalised again after the maximum over heads, the bound of a
penalty, and that a group of candidates keeps its probability.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

LARGEST = 1e4  # of a penalty: far beyond any difference of logits, and finite


@dataclass(frozen=True)
class Opera:
    """The paper's settings, sections 3 and 4.1."""

    candidates: int = 5
    """For the next token, of each beam."""
    scale: float = 50.0
    """What attention is multiplied by, so that a column of trust grows with its length and any other vanishes."""
    weight: float = 1.0
    """Of the penalty, on logits."""
    threshold: int = 15
    """So many of the recent columns at one place, and the search goes back."""
    recent: int = 20
    """Tokens whose columns are looked at."""
    rollbacks: int = 5
    """To one place; from then on to the one before it."""
    window: int = 512
    """Generated tokens among which attention is looked at."""


class Attentive(Protocol):
    """A decoder that shows its last layer's attention, the largest over the heads."""

    def read(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Read sequences from the start and keep them. ids: (B, T).

        Returns logits for the next token (B, V) and attention (B, T, T), of each token (rows) to those before it.
        """
        ...

    def go_on(self, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Kept sequences number `parents` (N,), each with one more of `tokens` (N,). Returns (N, V) and (N, T + 1)."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Of what `go_on` made, keep these, (B,)."""
        ...


@dataclass(frozen=True)
class _Beams:
    """Sequences of the same length, best first."""

    ids: Tensor
    """(B, T), the prompt in front."""
    scores: Tensor
    """(B,), sums of logprobs."""
    columns: tuple[tuple[int, ...], ...]
    """For each sequence and generated token, the place of the strongest column; places count generated tokens."""


def over_trust(attention: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """How much the strongest column is trusted, and its place. attention: (B, k, k), rows are queries.

    Returns (B,), the product down that column of scaled attention from its diagonal on, at most LARGEST; and (B,) int.
    """
    size = attention.shape[-1]
    lower = torch.ones(size, size, dtype=torch.bool, device=attention.device).tril()
    logs = torch.log((attention.float() * scale).clamp_min(1e-12)).masked_fill(~lower, 0.0)
    strongest, place = logs.sum(dim=1).max(dim=-1)
    return strongest.exp().clamp_max(LARGEST), place


def search(
    decoder: Attentive,
    prompt: Tensor,
    opera: Opera,
    *,
    num_beams: int,
    max_new_tokens: int,
    end_ids: list[int],
    length_penalty: float = 1.0,
    processors: Callable[[Tensor, Tensor], Tensor] = lambda ids, scores: scores,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[int]:
    """The ids of the best answer, the one that ends it included; [] where `cancelled` said so.

    prompt: (1, T). processors: change logprobs (B, V), given ids (B, T). Answers are compared as xcomposer/decoding.py
    says: sums of logprobs over the length plus one to the power of `length_penalty`.
    """
    return _Search(decoder, prompt, opera, num_beams, max_new_tokens, end_ids, length_penalty, processors).run(
        cancelled
    )


class _Search:
    def __init__(
        self,
        decoder: Attentive,
        prompt: Tensor,
        opera: Opera,
        num_beams: int,
        max_new_tokens: int,
        end_ids: list[int],
        length_penalty: float,
        processors: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        self.decoder, self.opera, self.processors = decoder, opera, processors
        self.start, self.num_beams, self.longest = prompt.shape[1], num_beams, max_new_tokens
        self.ends = torch.tensor(end_ids, device=prompt.device)
        self.length_penalty = length_penalty
        self.beams = _Beams(prompt, torch.zeros(1, device=prompt.device), ((),))
        self.finished: list[tuple[float, list[int]]] = []
        self.history: list[_Beams] = []  # by generated length
        self.banned: dict[int, set[int]] = {}  # place -> tokens that were tried there
        self.returns: dict[int, int] = {}  # place -> how often the search went back to it
        self.latest_return = 0
        self._read()

    @property
    def length(self) -> int:
        """Generated tokens."""
        return self.beams.ids.shape[1] - self.start

    def run(self, cancelled: Callable[[], bool]) -> list[int]:
        while self.length < self.longest and not self._settled():
            if cancelled():
                return []
            self.history[self.length :] = [self.beams]
            if not self._step():
                break
            place = self._place_to_return_to()
            if place is not None:
                self._return(place)
        for ids, score in zip(self.beams.ids, self.beams.scores.tolist(), strict=True):
            self._finish(score, ids)
        return max(self.finished)[1] if self.finished else []

    # -- a step

    def _step(self) -> bool:
        """One more token for every beam. False where no candidate is left."""
        beams, opera = self.beams, self.opera
        known = len(beams.scores)
        logprobs = self.processors(beams.ids, torch.log_softmax(self.logits.float(), dim=-1))
        for token in self.banned.get(self.length, ()):
            logprobs[:, token] = float("-inf")
        count = min(opera.candidates if known == self.num_beams else 2 * self.num_beams, logprobs.shape[-1])
        values, tokens = logprobs.topk(count)
        parents = torch.arange(known, device=values.device).repeat_interleave(count)
        next_logits, rows = self.decoder.go_on(parents, tokens.flatten())
        attention = self._grown(parents, rows)
        trust, places = over_trust(attention, opera.scale)
        penalised = values - opera.weight * trust.view_as(values)
        # The penalty moves probability among a beam's candidates; together they keep what they had.
        penalised += values.logsumexp(1, keepdim=True) - penalised.logsumexp(1, keepdim=True)
        total = (beams.scores[:, None] + penalised).flatten()
        kept = self._kept(total, tokens.flatten(), parents)
        if not len(kept):
            return False
        self.decoder.keep(kept)
        offset = self.length + 1 - attention.shape[-1]
        columns = tuple((*beams.columns[int(parents[i])], offset + int(places[i])) for i in kept)
        ids = torch.cat([beams.ids[parents[kept]], tokens.flatten()[kept, None]], dim=1)
        self.beams = _Beams(ids, total[kept], columns)
        self.logits, self.attention = next_logits[kept], attention[kept]
        return True

    def _kept(self, total: Tensor, tokens: Tensor, parents: Tensor) -> Tensor:
        """Numbers of the candidates that go on, best first; those among the best that end are finished."""
        kept: list[int] = []
        ends = torch.isin(tokens, self.ends)
        for rank, n in enumerate(total.argsort(descending=True).tolist()):
            if not torch.isfinite(total[n]) or len(kept) == self.num_beams:
                break
            if not ends[n]:
                kept.append(n)
            elif rank < self.num_beams:
                self._finish(float(total[n]), torch.cat([self.beams.ids[parents[n]], tokens[n : n + 1]]))
        return torch.tensor(kept, dtype=torch.long, device=total.device)

    def _grown(self, parents: Tensor, rows: Tensor) -> Tensor:
        """Attention among generated tokens with the newest row, (N, k, k)."""
        rows = rows[:, self.start :]
        old = self.attention[parents]
        new = torch.zeros(len(rows), old.shape[1] + 1, old.shape[1] + 1, device=rows.device)
        new[:, :-1, :-1] = old
        new[:, -1, :] = rows[:, -new.shape[-1] :]
        return new[:, -self.opera.window :, -self.opera.window :]

    def _finish(self, score: float, ids: Tensor) -> None:
        generated = ids[self.start :].tolist()
        self.finished.append((score / (len(generated) + 1) ** self.length_penalty, generated))
        self.finished = sorted(self.finished, reverse=True)[: self.num_beams]

    def _settled(self) -> bool:
        """Whether no running sequence can become better than those that are finished."""
        if len(self.finished) < self.num_beams:
            return False
        best = float(self.beams.scores[0]) / (self.length + 1) ** self.length_penalty
        return best <= self.finished[-1][0]

    # -- going back

    def _place_to_return_to(self) -> int | None:
        """Where the best sequence's recent columns overlap, if enough do and there is another way from there."""
        recent = self.beams.columns[0][-self.opera.recent :]
        place = max(set(recent), key=recent.count)
        if recent.count(place) < self.opera.threshold:
            return None
        if self.returns.get(place, 0) >= self.opera.rollbacks:
            place -= 1
        known = 0 <= place < self.length - 1 and self.returns.get(place, 0) < self.opera.rollbacks
        return place if known and place >= self.latest_return - 1 else None

    def _return(self, place: int) -> None:
        """Keep the tokens up to `place`; what came next is not taken again there."""
        self.returns[place] = self.returns.get(place, 0) + 1
        self.latest_return = max(place, self.latest_return)
        tried = {int(ids[self.start + place + 1]) for ids in self.beams.ids[:1]}
        self.banned = {p: tokens for p, tokens in self.banned.items() if p <= place + 1}
        self.banned[place + 1] = self.banned.get(place + 1, set()) | tried
        self.beams = replace(self.history[place + 1])
        self.finished = [f for f in self.finished if len(f[1]) <= place + 1]
        self._read()

    def _read(self) -> None:
        self.logits, attention = self.decoder.read(self.beams.ids)
        size = min(self.length, self.opera.window)
        first = attention.shape[-1] - size
        self.attention = attention[:, first:, first:].float()
