"""Beam search like the published code's, over any engine that lists a sequence's likeliest next tokens.

The published code uses transformers 4.33's beam search from embeddings. The ids begin with an invented BOS, so scores
are divided by the number of generated tokens plus BOS, without the end token; penalties change logprobs. See
xcomposer/decoding.py, which makes transformers' own search do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FIRST_LISTED = 64
"""Tokens to list per beam at first: ten candidates, plus as many as a penalty may have moved down."""


@dataclass(frozen=True)
class Listed:
    """The likeliest next tokens of one sequence, with their logprobs, best first. Unlisted tokens are not likelier."""

    tokens: Sequence[int]
    logprobs: Sequence[float]
    whole: bool = False
    """Whether every token of the vocabulary is listed."""


@dataclass(frozen=True)
class Beam:
    """A partial answer."""

    ids: tuple[int, ...] = ()
    """Ids generated so far."""
    score: float = 0.0
    """Sum of logprobs, after penalties."""
    details: tuple[Any, ...] = ()
    """The caller's own record of each token."""


@dataclass
class BeamSearch:
    """One search: the caller lists the next tokens of every beam in `running` and passes them to `step` until it has
    `ended`."""

    num_beams: int
    max_new_tokens: int
    end_ids: frozenset[int]
    shown: frozenset[int]
    """Ids that the repetition penalty sees besides the generated ones."""
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    running: list[Beam] = field(default_factory=lambda: [Beam()])
    finished: list[tuple[float, Beam]] = field(default_factory=list)
    """Score by length, best first."""
    length: int = 0
    ended: bool = False

    def lacking(self, listed: Sequence[Listed]) -> list[int]:
        """Which beams must list more tokens, because one that is not listed could be among the best candidates."""
        known = sorted((score for score, *_ in self._candidates(listed)), reverse=True)
        wanted = 2 * self.num_beams
        bar = known[wanted - 1] if len(known) >= wanted else float("-inf")
        hidden = [  # upper bound of an unlisted token's score
            beam.score + one.logprobs[-1] * min(self.repetition_penalty, 1.0)
            for beam, one in zip(self.running, listed, strict=True)
        ]
        return [n for n, one in enumerate(listed) if not one.whole and hidden[n] > bar]

    def step(self, listed: Sequence[Listed], details: Any = None) -> None:
        """Continue with the best candidates, and finish those that end.

        listed: the list of each running beam, none of them in `lacking`. details: (beam, position in its list) -> the
        record of a token.
        """
        best = sorted(self._candidates(listed), key=lambda found: -found[0])[: 2 * self.num_beams]
        kept: list[Beam] = []
        for rank, (score, n, place) in enumerate(best):
            old, token = self.running[n], listed[n].tokens[place]
            extra = (details(n, place),) if details else ()
            beam = Beam((*old.ids, token), score, (*old.details, *extra))
            if token not in self.end_ids:
                kept.append(beam)
            elif rank < self.num_beams:
                self._finish(beam, len(beam.ids))
            if len(kept) == self.num_beams:
                break
        self.running = kept
        self.length += 1
        if not kept or self._settled(best[0][0]):
            self.ended = True
        elif self.length == self.max_new_tokens:
            self.ended = True
            for beam in kept:
                self._finish(beam, len(beam.ids) + 1)

    def best(self) -> Beam:
        """The answer."""
        return self.finished[0][1]

    def _candidates(self, listed: Sequence[Listed]) -> list[tuple[float, int, int]]:
        """Score, beam number and position in its list, for every listed and possible token."""
        found = []
        for n, (beam, one) in enumerate(zip(self.running, listed, strict=True)):
            seen = self.shown.union(beam.ids)
            for place, (token, logprob) in enumerate(zip(one.tokens, one.logprobs, strict=True)):
                if logprob == float("-inf"):
                    break
                penalty = self.repetition_penalty if token in seen else 1.0
                found.append((beam.score + logprob * penalty, n, place))
        return found

    def _finish(self, beam: Beam, length: int) -> None:
        """length: number of generated ids plus BOS, without the end token."""
        self.finished.append((beam.score / length**self.length_penalty, beam))
        self.finished.sort(key=lambda found: -found[0])
        del self.finished[self.num_beams :]

    def _settled(self, best: float) -> bool:
        """Whether no running beam can become better than the finished ones."""
        if len(self.finished) < self.num_beams:
            return False
        return best / (self.length + 1) ** self.length_penalty <= self.finished[-1][0]
