"""Text to token ids, bounded: nobody waits behind another's prompt, and a prompt that cannot fit is refused early."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

from limner.model_server.errors import Refused

BOUNDARY = "\ufdd0"
"""Where text is cut before it is tokenised, although it is one string: a noncharacter, in no vocabulary."""
BLOCK = 8192
"""Characters that are tokenised between two looks at how many tokens there are."""
SLACK = 8
"""Tokens by which blocks on their own may come to more than the same text in one."""


class Tokenizing:
    """One checkpoint's tokenizer. Safe to use from several threads at once, without a lock.

    It goes to the `tokenizers` library directly: transformers' wrapper sets switches on it for each call, and holds
    Python's lock while it works.
    """

    def __init__(self, tokenizer: Any, chat_template: str) -> None:
        """tokenizer: transformers' fast one. chat_template: its marks are text in what people write."""
        self._backend = tokenizer.backend_tokenizer
        self.longest = max(map(len, tokenizer.get_vocab()))
        """Characters of the longest token."""
        added = tokenizer.added_tokens_decoder.values()
        marks = {t.content for t in added if t.special or t.content in chat_template}
        marks = {mark for mark in marks if not mark.isspace()}
        self._marks = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")

    def plain(self, text: str) -> str:
        """Text without marks: each is cut behind its first character, so that it is tokenised as text."""
        text = text.replace(BOUNDARY, "\N{REPLACEMENT CHARACTER}")
        return self._marks.sub(lambda found: found[0][0] + BOUNDARY + found[0][1:], text)

    def ids(self, text: str, limit: int, *, bos: bool) -> list[int]:
        """Token ids; boundaries cut and leave nothing. bos: whether BOS is put in front.

        Raises Refused for a text of `limit` tokens or more, before it is tokenised whole.
        """
        return [row[0] for row in self.rows(text, limit, bos=bos)]

    def rows(self, text: str, limit: int, *, bos: bool) -> list[tuple[int, int, int]]:
        """Id, start and stop of each token; start and stop count characters without boundaries. Raises as `ids`."""
        self.check(text, limit)
        encoded, cuts = self._encoded(text, bos), [found.start() for found in re.finditer(BOUNDARY, text)]
        rows = zip(encoded.ids, encoded.offsets, strict=True)
        if not cuts:
            return [(i, start, stop) for i, (start, stop) in rows]
        # A boundary is three tokens, its bytes, each with its offsets.
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
        """The last `count` tokens of a text, BOS in front where it is reached; no more is read than that needs."""
        size = 16 * count + BLOCK
        while True:
            whole = size >= len(text)
            ids = list(self._encoded(text if whole else text[-size:], whole).ids)
            if whole or len(ids) >= count + SLACK:
                return ids[-count:]
            size *= 2

    def _encoded(self, text: str, bos: bool) -> Any:
        [encoded] = self._backend.encode_batch([text], add_special_tokens=bos)  # `encode` would hold Python's lock
        return encoded


def too_long(given: int, limit: int, *, exact: bool = True) -> Refused:
    """The error of a prompt that leaves no room for an answer, with both lengths. exact: or `given` is the least."""
    more = "Shorten the prompt" if exact else "There may be more of them; shorten the prompt"
    return Refused(f"`inputs` must have less than {limit} tokens. Given: {given}. {more}.")
