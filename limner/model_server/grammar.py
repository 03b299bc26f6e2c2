"""Constrain answers to a JSON schema or a regular expression, with llguidance.

Why llguidance and not another library that masks logits (xgrammar, outlines-core): it needs neither a GPU nor triton,
computes masks step by step instead of an automaton in advance, and refuses by name whatever it cannot enforce (`not`,
`uniqueItems`, look-around), which others ignore. It fetches no `$ref`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import LongTensor, Tensor
from transformers import LogitsProcessor

from limner.model_server.errors import Refused, one_line

# Compact except for a space after commas and colons, as models write JSON; free white space lets answers run on.
_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True)
class Grammar:
    """A compiled constraint for one tokenizer."""

    text: str
    tokenizer: Any
    kind: Literal["json", "regex"]
    value: Any
    """The schema or expression itself, for engines with a grammar of their own."""

    def processor(self, prompt_length: int) -> GrammarProcessor:
        """A new matcher for one answer."""
        return GrammarProcessor(self, prompt_length)


class Grammars:
    """Compiles constraints for a tokenizer. end_ids: tokens that may end an answer."""

    def __init__(self, tokenizer: Any, end_ids: list[int]) -> None:
        import llguidance.hf

        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=len(tokenizer), eos_token=end_ids)

    def compile(self, kind: Literal["json", "regex"], value: Any) -> Grammar:
        """Compile a constraint. value: a JSON schema or an expression. Raises Refused, with the reason, if it cannot be
        enforced."""
        from llguidance import LLMatcher

        try:
            if kind == "regex":
                text = LLMatcher.grammar_from_regex(value)
            else:
                text = LLMatcher.grammar_from_json_schema(value, overrides=_STYLE)
            failed, reasons = LLMatcher.validate_grammar_with_warnings(text, self._tokenizer)
        except (ValueError, TypeError, RecursionError) as error:
            failed, reasons = True, [str(error)]
        if failed:
            raise Refused(f"grammar is not valid: {one_line(' '.join(reasons))}. Ask for something simpler.")
        return Grammar(text, self._tokenizer, kind, value)


class GrammarProcessor(LogitsProcessor):
    """Sets tokens that would leave the grammar to minus infinity. For one sequence; call it once per token, in
    order."""

    def __init__(self, grammar: Grammar, prompt_length: int) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(grammar.tokenizer, grammar.text)
        self._seen = prompt_length

    def __call__(self, input_ids: LongTensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        """input_ids: (1, T) with the tokens chosen so far; scores: (1, V). Returns (1, V).

        Raises RuntimeError if the grammar exceeds llguidance's limits.
        """
        for token in input_ids[0, self._seen :].tolist():
            self._matcher.consume_token(token)
        self._seen = input_ids.shape[1]
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise RuntimeError(f"the grammar cannot be followed further: {one_line(self._matcher.get_error())}")
        allowed = torch.from_numpy(np.unpackbits(bits, bitorder="little")[: scores.shape[1]].astype(bool))
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))
