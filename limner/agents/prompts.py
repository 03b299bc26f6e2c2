"""Make the text of a prompt safe, and estimate its tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

CHARS_PER_TOKEN = 3.5  # English has about 4, code and other scripts less; used if the server does not count


IMAGE_TOKENS = 800  # a 512 px image costs 64 (XComposer) to about 1 000 (Qwen2-VL) tokens; for estimates only


def safe_text(text: str) -> str:
    """Text that cannot make a server load an image; TGI fetches every `![](url)` in a message."""
    return text.replace("![", "! [")


def safe_message(message: BaseMessage) -> BaseMessage:
    """The message with its text made safe. Raises ValueError for an image that is not a data URL."""
    if isinstance(message.content, str):
        return message.model_copy(update={"content": safe_text(message.content)})
    parts: list[Any] = []
    for part in message.content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": safe_text(part)})  # OpenAI servers accept no bare string as a part
        elif part.get("type") == "text":
            parts.append({**part, "text": safe_text(part["text"])})
        elif part.get("type") == "image_url" and part["image_url"]["url"].startswith("data:image/"):
            parts.append(part)
        else:
            raise ValueError(f"a prompt holds text and data-URL images only, not {part.get('type')!r}")
    return message.model_copy(update={"content": parts})


def estimate_tokens(messages: Sequence[BaseMessage]) -> int:
    """Estimated tokens of a prompt, without the model's tokenizer."""
    tokens = 0.0
    for message in messages:
        parts = [message.content] if isinstance(message.content, str) else message.content
        for part in parts:
            text = part if isinstance(part, str) else part.get("text")
            tokens += IMAGE_TOKENS if text is None else text_tokens(text)
        tokens += 4
    return round(tokens)


def text_tokens(text: str) -> float:
    """Estimated tokens of a text: one per CJK character, one per CHARS_PER_TOKEN other characters."""
    wide = sum(c >= "\u2e80" for c in text)
    return wide + (len(text) - wide) / CHARS_PER_TOKEN


_UNKEPT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def whole_characters(text: str) -> str:
    """Text that every database, file and checkpoint can store: surrogate pairs joined, lone surrogates replaced,
    control characters except tabs and line ends removed. Postgres refuses NUL, and XML refuses the others."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _UNKEPT.sub("", text)
