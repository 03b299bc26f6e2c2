"""Read values out of a model's reply: JSON anywhere in it, numbers in any form, thoughts removed."""

from __future__ import annotations

import json
import re
from typing import Any

from limner.errors import UnreadableReply


def whole_number(value: object) -> int | None:
    """3 for 3, 3.0, "3" and "[3]"; None for True, NaN, 2.5 and words."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        found = re.fullmatch(r"\s*\[?(\d{1,4})\]?\s*", value)
        return int(found.group(1)) if found else None
    return value if isinstance(value, int) else None


_WORDS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}


def number_in(text: str) -> int | None:
    """The one candidate that a sentence names, 0 for "none"; None if it names several, or "none of the 4"."""
    found = re.findall(r"\b(\d{1,3})(?:st|nd|rd|th)?\b", text)
    if re.search(r"\b(?:none|neither)\b|都不", text.lower()):
        return None if found else 0  # "none of the 4", "none but 2": ask again
    if len(set(found)) == 1:
        return int(found[0])
    words = [w for w in re.findall(r"[a-z]+", text.lower()) if w in _WORDS]
    return _WORDS[words[0]] if not found and len(set(words)) == 1 else None


TRIES = 200  # brackets to try as the start of JSON; a reply of brackets alone must not take minutes


def read_json(reply: str) -> Any:
    """The first JSON object, or array of objects, anywhere in a reply; else the first array.

    A spotter may mention paragraph "[3]" before it answers, so a plain array counts only if there is nothing better.
    Raises UnreadableReply.
    """
    text, decoder, arrays = without_thinking(reply), json.JSONDecoder(), []
    end = tries = 0
    for opening in re.finditer(r"[{\[]", text):
        if opening.start() < end:
            continue
        if (tries := tries + 1) > TRIES:
            break
        try:
            value, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):  # ValueError: also an integer of more than 4 300 digits
            continue
        if isinstance(value, dict) or (value and all(isinstance(v, dict) for v in value)):
            return value
        arrays.append(value)
    if arrays:
        return arrays[0]
    raise UnreadableReply("That is not JSON. Answer with the JSON alone.")


def without_thinking(reply: str) -> str:
    """The reply after a reasoning model's thoughts, "" if they were cut off.

    Some models' templates put the opening <think> into the prompt, so the reply contains only the closing one; a reply
    that begins like an answer (JSON, a heading, a fence) merely mentions it.
    """
    _, closed, answer = reply.partition("</think>")
    if reply.lstrip().startswith("<think>"):
        return answer
    return answer if closed and not reply.lstrip().startswith(("{", "[", "#", "`")) else reply
