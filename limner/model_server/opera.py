"""OPERA: beam search that does not over-trust. Huang et al., "OPERA: Alleviating Hallucination in Multi-Modal Large
Language Models via Over-Trust Penalty and Retrospection-Allocation", arXiv 2311.17911.

A model that begins to make things up attends to one token of its own answer, a summary of what it said, instead of to
the images before it: a column of its last layer's attention. Two remedies, sections 3.2 and 3.3 of the paper. Each
candidate for the next token is scored down by how strong such a column is behind it. And where the columns of the
steps so far lie at the same place again and again, the search goes back to that place and takes another token.

Compared with the authors' code, `opera_beam_search` in https://github.com/shikiw/OPERA, commit 61426ef (July 2024),
whose results the paper reports: on small random models both give the same ids. From it, not from the paper, come

- the factor 1e-7 of a column's product, and the half precision it is kept in, in which weak columns are none;
- attention to images as the score of the first ten tokens, which also are never gone back to;
- candidates' scores made to sum to one, whatever share of the whole they had;
- the condition for going back: every beam's column, in its whole history and not its latest steps, more than
  `threshold` times at the place that most beams see now. Histories stay with a beam's rank when beams change ranks;
- what follows: every pair of beam and token that was taken there is barred, and all others are free, without penalty.

Different here: a penalty is finite; where fewer candidates than beams are left there are fewer beams, not random
tokens for the rest; several images count as one; without images the first ten tokens have no penalty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LARGEST = torch.finfo(torch.float16).max
"""Of a penalty: far beyond any difference of logits, and finite."""
UNIT = 1e-7
"""What a column's product is multiplied by."""


@dataclass(frozen=True)
class Opera:
    """The published settings."""

    candidates: int = 5
    """For the next token, of each beam."""
    scale: float = 50.0
    """What attention is multiplied by, so that a column of trust grows with its length and any other vanishes."""
    weight: float = 1.0
    """Of the penalty, on logits."""
    threshold: int = 15
    """More steps of every beam than that with their column at one place, and the search goes back."""
    early: int = 10
    """So many first tokens are judged by their attention to images, and never gone back to."""
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
    """Sequences of the same length, best first, and what is finished by then."""

    ids: Tensor
    """(B, T), the prompt in front."""
    scores: Tensor
    """(B,), sums of logprobs."""
    finished: tuple[tuple[float, list[int]], ...] = ()
    """Score and generated ids, best first."""


def over_trust(attention: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """How much the strongest column is trusted, and its place. attention: (B, k, k), rows are queries.

    Returns (B,), UNIT times the product down that column of scaled attention from its diagonal on, at most LARGEST;
    and (B,) int, 0 where no column is worth a half-precision number.
    """
    size = attention.shape[-1]
    lower = torch.ones(size, size, dtype=torch.bool, device=attention.device).tril()
    logs = torch.log((attention.float() * scale).clamp_min(1e-30)).masked_fill(~lower, 0.0)
    columns = (logs.sum(dim=1).exp() * UNIT).clamp_max(LARGEST).half()
    strongest, place = columns.max(dim=-1)
    return strongest.float(), place


def search(
    decoder: Attentive,
    prompt: Tensor,
    opera: Opera,
    *,
    num_beams: int,
    max_new_tokens: int,
    end_ids: list[int],
    images: Tensor | None = None,
    length_penalty: float = 1.0,
    processors: Callable[[Tensor, Tensor], Tensor] = lambda ids, scores: scores,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[int]:
    """The ids of the best answer, the one that ends it included; [] where `cancelled` said so.

    prompt: (1, T). images: places of image rows in it, (n,). processors: change logprobs (B, V), given ids (B, T).
    Answers are compared as the published code does from embeddings: sums of logprobs over BOS and generated tokens
    without the one that ends it, to the power of `length_penalty`.
    """
    searching = _Search(decoder, prompt, opera, num_beams, max_new_tokens, end_ids, length_penalty, processors)
    searching.images = images if images is not None and len(images) else None
    return searching.run(cancelled)


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
        self.images: Tensor | None = None
        self.beams = _Beams(prompt, torch.zeros(1, device=prompt.device))
        self.best_next = 0.0  # the sum of logprobs of the best candidate, one that ends included
        # By generated length: the beams, and then which (beam, token) pairs were taken and where columns were.
        self.history: list[_Beams] = []
        self.taken: list[list[tuple[int, int]]] = []
        self.columns: list[list[int]] = []
        self.barred: dict[int, list[tuple[int, int]]] = {}  # by generated length; of all returns to it
        self.returns: dict[int, int] = {}  # by generated length, how often the search went back to it
        self._read()

    @property
    def length(self) -> int:
        """Generated tokens."""
        return self.beams.ids.shape[1] - self.start

    def run(self, cancelled: Callable[[], bool]) -> list[int]:
        while self.length < self.longest and len(self.beams.ids) and not self._settled():
            if cancelled():
                return []
            self._step()
        finished = list(self.beams.finished)
        if not self._settled():
            for ids, score in zip(self.beams.ids, self.beams.scores.tolist(), strict=True):
                self._finish(finished, score, ids, ended=False)
        return max(finished)[1] if finished else []

    # -- a step

    def _step(self) -> None:
        """One more token for every beam, after going back if that is due."""
        opera, logits = self.opera, self.logits.float()
        known, vocabulary = logits.shape
        count = min(opera.candidates if known == self.num_beams else max(opera.candidates, self.num_beams), vocabulary)
        values, tokens = logits.topk(count)
        parents = torch.arange(known, device=values.device).repeat_interleave(count)
        next_logits, rows = self.decoder.go_on(parents, tokens.flatten())
        rows = rows / rows.sum(-1, keepdim=True)
        attention = self._grown(parents, rows)
        trust, places = over_trust(attention, opera.scale)
        if self.length < opera.early:
            trust = torch.zeros_like(trust) if self.images is None else -rows[:, self.images].sum(-1)
        offset = self.length + 1 - attention.shape[-1]
        columns = places.view_as(tokens).mode().values + offset
        self.history[self.length :] = [self.beams]
        self.columns[self.length :] = [columns.tolist()]
        back = self._length_to_return_to(int(columns.mode().values))
        if back is not None:
            self._return(back)
            return
        scores = torch.full_like(logits, float("-inf"))
        scores.scatter_(1, tokens, torch.log_softmax(values - opera.weight * trust.view_as(values), dim=-1))
        total = self.beams.scores[:, None] + self.processors(self.beams.ids, scores)
        chosen = self._choose(total)
        # Which of what `go_on` made those are.
        numbers = {(int(p), int(t)): n for n, (p, t) in enumerate(zip(parents, tokens.flatten(), strict=True))}
        made = torch.tensor([numbers[pair] for pair in chosen], dtype=torch.long, device=values.device)
        self.decoder.keep(made)
        self.logits, self.attention = next_logits[made], attention[made]

    def _choose(self, total: Tensor) -> list[tuple[int, int]]:
        """Go on with the best of all candidates, and finish those among them that end. total: (B, V).

        Returns (beam, token) of each that goes on.
        """
        width = total.shape[1]
        values, numbers = total.flatten().topk(min(2 * self.num_beams, total.numel()))
        self.best_next = float(values[0])
        beams, kept, finished = self.beams, [], list(self.beams.finished)
        for rank, (value, number) in enumerate(zip(values.tolist(), numbers.tolist(), strict=True)):
            if value == float("-inf") or len(kept) == self.num_beams:
                break
            parent, token = divmod(number, width)
            if token not in self.ends:
                kept.append((parent, token, value))
            elif rank < self.num_beams:
                ids = torch.cat([beams.ids[parent], beams.ids.new_tensor([token])])
                self._finish(finished, value, ids, ended=True)
        pairs = [(parent, token) for parent, token, _ in kept]
        self.taken[self.length :] = [pairs]
        parents = torch.tensor([p for p, _ in pairs], dtype=torch.long, device=beams.ids.device)
        tokens = beams.ids.new_tensor([t for _, t in pairs])
        ids = torch.cat([beams.ids[parents], tokens[:, None]], dim=1)
        self.beams = _Beams(ids, beams.scores.new_tensor([value for _, _, value in kept]), tuple(finished))
        return pairs

    def _grown(self, parents: Tensor, rows: Tensor) -> Tensor:
        """Attention among generated tokens with the newest row, (N, k, k)."""
        rows = rows[:, self.start :]
        old = self.attention[parents]
        new = torch.zeros(len(rows), old.shape[1] + 1, old.shape[1] + 1, device=rows.device)
        new[:, :-1, :-1] = old
        new[:, -1, :] = rows[:, -new.shape[-1] :]
        return new[:, -self.opera.window :, -self.opera.window :]

    def _finish(self, finished: list[tuple[float, list[int]]], score: float, ids: Tensor, *, ended: bool) -> None:
        generated = ids[self.start :].tolist()
        finished.append((score / (len(generated) + (not ended)) ** self.length_penalty, generated))
        finished.sort(reverse=True)
        del finished[self.num_beams :]

    def _settled(self) -> bool:
        """Whether no running sequence can become better than those that are finished."""
        finished = self.beams.finished
        if len(finished) < self.num_beams:
            return False
        return self.best_next / (self.length + 1) ** self.length_penalty <= finished[-1][0]

    # -- going back

    def _length_to_return_to(self, place: int) -> int | None:
        """How many generated tokens to keep, where every beam's columns were at `place` too often."""
        slots = range(len(self.columns[-1]))
        counts = [sum(step[min(slot, len(step) - 1)] == place for step in self.columns) for slot in slots]
        if min(counts) <= self.opera.threshold or place < self.opera.early:
            return None
        for length in (place + 1, place):
            if self.returns.get(length, 0) < self.opera.rollbacks:
                return length if length < self.length else None
        return None

    def _return(self, length: int) -> None:
        """Keep so many generated tokens, and go on with others than those that came next."""
        self.returns[length] = self.returns.get(length, 0) + 1
        self.barred[length] = self.barred.get(length, []) + self.taken[length]
        self.barred.pop(length + 1, None)
        self.beams = self.history[length]
        del self.history[length + 1 :], self.columns[length + 1 :]
        self._read()
        logits = self.logits.float()
        lowest = logits.min(dim=-1, keepdim=True).values
        logits = logits - lowest - 999.0
        for beam, token in self.barred[length]:
            logits[beam, token] = -999.0
        scores = self.processors(self.beams.ids, torch.log_softmax(logits, dim=-1))
        chosen = self._choose(self.beams.scores[:, None] + scores)
        parents, tokens = (self.beams.ids.new_tensor(part) for part in zip(*chosen, strict=True))
        self.logits, rows = self.decoder.go_on(parents, tokens)
        self.decoder.keep(torch.arange(len(parents), device=parents.device))
        self.attention = self._grown(parents, rows / rows.sum(-1, keepdim=True))

    def _read(self) -> None:
        self.logits, attention = self.decoder.read(self.beams.ids)
        attention = attention.float() / attention.float().sum(-1, keepdim=True)
        size = min(self.length, self.opera.window)
        first = attention.shape[-1] - size
        self.attention = attention[:, first:, first:]
