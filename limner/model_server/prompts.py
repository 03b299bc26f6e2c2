"""From what a client sends to what the model reads: token ids with places for images, and the images' pixels."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from transformers import AutoProcessor

from limner.model_server.errors import Refused, ServingError
from limner.model_server.fetching import Fetcher
from limner.model_server.pictures import MARKDOWN, open_picture
from limner.model_server.protocol import Message, TextPart
from limner.model_server.xcomposer.processing import IMAGE_TOKEN
from limner.model_server.xcomposer.splicing import expand_placeholders


@dataclass(frozen=True)
class Prompt:
    """What the model reads."""

    ids: tuple[int, ...]
    """Every image's placeholder repeated once per row of the image."""
    pixels: tuple[np.ndarray, ...] = ()
    """(3, side, side) float32 per image, in reading order."""

    def __len__(self) -> int:
        return len(self.ids)


class Prompts:
    """Renders, tokenises and counts for one checkpoint. Safe to use from several threads."""

    def __init__(self, folder: Path, max_positions: int, fetcher: Fetcher | None = None) -> None:
        """max_positions: of prompt and answer together. fetcher: for images by address; refused without one.

        Raises ServingError for a folder without a processor.
        """
        try:
            self.processor: Any = AutoProcessor.from_pretrained(folder)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            advice = "convert the checkpoint again, with its tokenizer.model beside it"
            raise ServingError(f"{folder} has no processor ({reason}): {advice}.") from None
        self.tokenizer: Any = self.processor.tokenizer
        self.max_positions = max_positions
        self._fetcher = fetcher
        self._lock = threading.Lock()  # the tokenizer keeps switches of its own

    # -- from requests

    def of_text(self, inputs: str) -> Prompt:
        """A prompt already written out, as TGI's `/generate` takes it: marks count, Markdown images by data URL too."""
        urls = [found["url"] for found in MARKDOWN.finditer(inputs)]
        text = MARKDOWN.sub(lambda _: IMAGE_TOKEN, inputs)
        with self._lock:
            ids = self.tokenizer.encode(text)
        return self._with_pictures(ids, urls)

    def of_messages(self, messages: list[Message], *, raw: bool = False) -> Prompt:
        """A conversation in the model's own form; an assistant's last message is left open to be gone on with.

        Marks that stand in a message are text, so that nobody can play another role; with `raw` they are marks.
        """
        chat, urls = _conversation(messages)
        return self._with_pictures(self._render(chat, tokenize=True, raw=raw), urls)

    def templated(self, messages: list[Message], *, raw: bool = False) -> str:
        """The conversation as text."""
        return self._render(_conversation(messages)[0], tokenize=False, raw=raw)

    def tokens(self, text: str, *, add_special_tokens: bool = True) -> list[dict[str, Any]]:
        """Token ids with their text and place: start and stop count characters."""
        with self._lock:
            encoded = self.tokenizer(text, add_special_tokens=add_special_tokens, return_offsets_mapping=True)
        rows = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [{"id": i, "text": text[start:stop], "start": start, "stop": stop} for i, (start, stop) in rows]

    # -- how

    def _render(self, chat: list[dict[str, Any]], *, tokenize: bool, raw: bool) -> Any:
        goes_on = chat[-1]["role"] == "assistant"
        options: dict[str, Any] = {"add_generation_prompt": not goes_on, "continue_final_message": goes_on and not raw}
        if tokenize:
            options |= {"return_dict": False, "sanitize_control_tokens": not raw}
        try:
            with self._lock:
                return self.tokenizer.apply_chat_template(
                    chat, chat_template=self.processor.chat_template, tokenize=tokenize, raw=raw, **options
                )
        except (TemplateError, ValueError) as error:
            raise Refused(f"Template error: {' '.join(str(error).split())}", "template_error") from None

    def _with_pictures(self, ids: list[int], urls: list[str]) -> Prompt:
        image, rows = self.processor.image_token_id, self.processor.rows_per_image
        try:
            expanded = expand_placeholders(ids, image, rows, len(urls))
        except ValueError as error:
            raise Refused(f"invalid image: {error}") from None
        if len(expanded) >= self.max_positions:  # before any picture is decoded
            raise too_long(len(expanded), self.max_positions)
        return Prompt(tuple(expanded), tuple(self._pixels(url) for url in urls))

    def _pixels(self, url: str) -> np.ndarray:
        picture = open_picture(url, self._fetcher)
        return self.processor.image_processor(picture, return_tensors="np")["pixel_values"][0]


def too_long(given: int, limit: int) -> Refused:
    """The error of a prompt that leaves no room for an answer, with both lengths."""
    return Refused(f"`inputs` must have less than {limit} tokens. Given: {given}. Shorten the prompt.")


def _conversation(messages: list[Message]) -> tuple[list[dict[str, Any]], list[str]]:
    """Messages as the template reads them, and the addresses of their images in reading order."""
    chat, urls = [], []
    for message in messages:
        if message.tool_calls or message.role == "tool":
            raise Refused("Tool error: this model calls no tools. Send messages without tool calls.", "tool_error")
        content: Any = message.content or ""
        if not isinstance(content, str):
            urls += [part.image_url.url for part in content if not isinstance(part, TextPart)]
            content = [
                {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "image"}
                for part in content
            ]
        chat.append({"role": "system" if message.role == "developer" else message.role, "content": content})
    return chat, urls
