"""Tokenise text within limits: prompts do not block each other, and one that cannot fit is refused early."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

from limner.model_server.errors import Refused

BOUNDARY = "\ufdd0"
"""Marks a place where text is cut before it is tokenised: a noncharacter that no vocabulary contains."""
BLOCK = 8192
"""Characters to tokenise between two checks of the number of tokens."""
SLACK = 8
"""Number of extra tokens that a text may get when it is tokenised in blocks."""


class Tokenizing:
    """One checkpoint's tokenizer. Safe to use from several threads at once, without a lock.

    It calls the `tokenizers` library directly, because transformers' wrapper changes its settings at each call and
    holds Python's lock meanwhile.
    """

    def __init__(self, tokenizer: Any, chat_template: str) -> None:
        """tokenizer: transformers' fast one. chat_template: its special tokens count as plain text in messages."""
        self._backend = tokenizer.backend_tokenizer
        self.longest = max(map(len, tokenizer.get_vocab()))
        """Length of the longest token in characters."""
        added = tokenizer.added_tokens_decoder.values()
        marks = {t.content for t in added if t.special or t.content in chat_template}
        marks = {mark for mark in marks if not mark.isspace()}
        self._marks = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")

    def plain(self, text: str) -> str:
        """Text in which special tokens are cut after their first character, so that they are tokenised as plain
        text."""
        text = text.replace(BOUNDARY, "\N{REPLACEMENT CHARACTER}")
        return self._marks.sub(lambda found: found[0][0] + BOUNDARY + found[0][1:], text)

    def ids(self, text: str, limit: int, *, bos: bool) -> list[int]:
        """Token ids of a text that is cut at boundaries. bos: whether to put BOS in front.

        Raises Refused for a text of `limit` tokens or more, before it is tokenised completely.
        """
        return [row[0] for row in self.rows(text, limit, bos=bos)]

    def rows(self, text: str, limit: int, *, bos: bool) -> list[tuple[int, int, int]]:
        """Id, start and stop of each token; start and stop count characters without boundaries. Raises as `ids`."""
        self.check(text, limit)
        encoded, cuts = self._encoded(text, bos), [found.start() for found in re.finditer(BOUNDARY, text)]
        rows = zip(encoded.ids, encoded.offsets, strict=True)
        if not cuts:
            return [(i, start, stop) for i, (start, stop) in rows]
        # A boundary becomes three tokens, its bytes, each with its own offsets.
        return [
            (i, start - bisect_left(cuts, start), stop - bisect_left(cuts, stop))
            for i, (start, stop) in rows
            if text[start:stop] != BOUNDARY
        ]

    def check(self, text: str, limit: int) -> None:
        """Raises Refused for a text that certainly has `limit` tokens or more."""
        if len(text) > limit * self.longest:
            raise too_long(-(-len(text) // self.longest), limit, exact=False)
        if len(text) <= 2 * BLOCK:
            return
        count = 0
        for at in range(0, len(text), BLOCK):
            count += max(len(self._encoded(text[at : at + BLOCK], False).ids) - SLACK, 0)
            if count > limit:
                raise too_long(count, limit, exact=False)

    def last(self, text: str, count: int) -> list[int]:
        """The last `count` tokens of a text, with BOS in front if they include the start; reads no more text than
        needed."""
        size = 16 * count + BLOCK
        while True:
            whole = size >= len(text)
            ids = list(self._encoded(text if whole else text[-size:], whole).ids)
            if whole or len(ids) >= count + SLACK:
                return ids[-count:]
            size *= 2

    def _encoded(self, text: str, bos: bool) -> Any:
        [encoded] = self._backend.encode_batch([text], add_special_tokens=bos)  # .encode holds Python's lock
        return encoded


def too_long(given: int, limit: int, *, exact: bool = True) -> Refused:
    """The error of a prompt that leaves no room for an answer, with both lengths. exact: False if `given` is a lower
    bound."""
    more = "Shorten the prompt" if exact else "There may be more of them; shorten the prompt"
    return Refused(f"`inputs` must have less than {limit} tokens. Given: {given}. {more}.")
