"""Turn chosen token ids into the tokens and the end that clients see, for every engine."""

from __future__ import annotations

from typing import Any

from limner.model_server.engine import Finished, Reason, Token
from limner.model_server.sampling import Chosen, Sampling
from limner.model_server.text import Detokenizer, Stops


class Reply:
    """A growing answer: `add` the chosen tokens until `ended`, then call `finished`."""

    def __init__(self, vocabulary: Vocabulary, sampling: Sampling) -> None:
        self._vocabulary = vocabulary
        self._limit = sampling.max_new_tokens
        self._pieces, self._stops = Detokenizer(vocabulary.tokenizer), Stops(sampling.stop)
        self._text, self._stop, self._count = "", "", 0
        self._reason: Reason | None = None

    @property
    def ended(self) -> bool:
        """Whether the answer is complete."""
        return self._reason is not None

    def add(self, chosen: Chosen) -> Token:
        """Add a chosen token; returns it with the text that it adds."""
        self._count += 1
        ends = chosen.id in self._vocabulary.end_ids
        piece = "" if ends else self._pieces.add(chosen.id)
        if self._count == self._limit and not ends:
            piece += self._pieces.rest()
        sure, self._stop = self._stops.feed(piece)
        self._text += sure
        if self._stop:
            self._reason = "stop_sequence"
        elif ends:
            self._reason = "eos_token"
        elif self._count == self._limit:
            self._reason = "length"
        return self._vocabulary.token(chosen, piece)

    def finished(self, prefill: tuple[Token, ...] = (), cached: int = 0) -> Finished:
        """The end of the answer, also if the engine ended it for another reason."""
        if not self._stop:
            sure, self._stop = self._stops.feed(self._pieces.rest())
            self._text += sure if self._stop else sure + self._stops.rest()
        reason: Reason = "stop_sequence" if self._stop else self._reason or "length"
        return Finished(reason, self._text, self._stop, self._count, prefill, cached)


class Vocabulary:
    """Converts a checkpoint's token ids to the tokens that clients see."""

    def __init__(self, tokenizer: Any, end_ids: list[int], image_token_id: int) -> None:
        self.tokenizer = tokenizer
        self.end_ids = end_ids
        self.size = image_token_id + 1
        """Number of ids, including the placeholder, the first id beyond the checkpoint's."""
        self.special_ids = {*tokenizer.all_special_ids, *end_ids, image_token_id}

    def token(self, chosen: Chosen, text: str) -> Token:
        """text: the text that it adds to the answer."""
        top = tuple(self.alone(i, logprob) for i, logprob in chosen.top)
        special = chosen.id in self.special_ids
        return Token(chosen.id, self._own_text(chosen.id) if special else text, chosen.logprob, special, top)

    def alone(self, token_id: int, logprob: float | None) -> Token:
        """A token with its own text, for prompts and for likely tokens that were not chosen."""
        return Token(token_id, self._own_text(token_id), logprob, token_id in self.special_ids)

    def _own_text(self, token_id: int) -> str:
        return self.tokenizer.decode([token_id], skip_special_tokens=False)
