"""Turn a client's request into the model's input: token ids with places for images, and the images' pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from transformers import AutoConfig, AutoProcessor

from limner.model_server.errors import Refused, ServingError, reason
from limner.model_server.pictures import MARKDOWN, open_picture
from limner.model_server.protocol import ChatTemplateKwargs, Message, TextPart
from limner.model_server.tokenizing import BOUNDARY, Tokenizing, too_long
from limner.model_server.xcomposer.processing import IMAGE_TOKEN
from limner.model_server.xcomposer.splicing import expand_placeholders


@dataclass(frozen=True)
class Prompt:
    """A prompt in the model's input form."""

    ids: tuple[int, ...]
    """Token ids, with each image's placeholder repeated once per row of the image."""
    pixels: tuple[np.ndarray, ...] = ()
    """(3, side, side) float32 per image, in reading order."""

    def __len__(self) -> int:
        return len(self.ids)


class Prompts:
    """Renders and tokenises prompts for one checkpoint, and counts their tokens. Safe to use from several threads."""

    def __init__(self, folder: Path, max_positions: int) -> None:
        """max_positions: limit of prompt and answer together.

        Raises ServingError for a folder without a processor.
        """
        try:
            self.processor: Any = AutoProcessor.from_pretrained(folder)
        except (OSError, ValueError) as error:
            advice = "convert the checkpoint again, with its tokenizer.model beside it"
            raise ServingError(f"{folder} has no processor ({reason(error)}): {advice}.") from None
        self.tokenizer: Any = self.processor.tokenizer
        self.max_positions = max_positions
        self._tokenizing = Tokenizing(self.tokenizer, self.processor.chat_template)
        # The published code tokenises a question of v1's chat apart from the marks around it. v2's marks are tokens.
        self._cuts_questions = AutoConfig.from_pretrained(folder).model_type == "xcomposer"

    # -- from requests

    def of_text(self, inputs: str, truncate: int | None = None) -> Prompt:
        """A finished prompt for TGI's `/generate`, with special tokens, and Markdown images with data URLs.

        truncate: number of last tokens to keep; refused if that would cut images.
        """
        urls = [found["url"] for found in MARKDOWN.finditer(inputs)]
        text = MARKDOWN.sub(lambda _: IMAGE_TOKEN, inputs)
        if truncate is not None and not urls:
            return self._with_pictures(self._tokenizing.last(text, truncate), urls)
        ids = self._tokenizing.ids(text, self.max_positions, bos=True)
        prompt = self._with_pictures(ids, urls)
        if truncate is not None and truncate < len(prompt):
            raise Refused("`truncate` would cut images: shorten the text, or leave `truncate` out.")
        return prompt

    def of_messages(self, messages: list[Message], how: ChatTemplateKwargs | None = None) -> Prompt:
        """A conversation in the model's own form; an assistant's last message stays open, so that the model continues
        it.

        Special tokens in a message are plain text, so that nobody can play another role, unless `how.raw`.
        """
        text, urls = self._render(messages, how or ChatTemplateKwargs())
        return self._with_pictures(self._tokenizing.ids(text, self.max_positions, bos=False), urls)

    def templated(
        self, messages: list[Message], how: ChatTemplateKwargs | None = None
    ) -> tuple[str, list[dict[str, Any]]]:
        """The conversation as text, and its tokens as from `tokens`."""
        text, _ = self._render(messages, how or ChatTemplateKwargs())
        return text.replace(BOUNDARY, ""), self.tokens(text, add_special_tokens=False)

    def tokens(self, text: str, *, add_special_tokens: bool = True) -> list[dict[str, Any]]:
        """Token ids with their text and position; start and stop count characters."""
        rows = self._tokenizing.rows(text, self.max_positions, bos=add_special_tokens)
        text = text.replace(BOUNDARY, "")
        return [{"id": i, "text": text[start:stop], "start": start, "stop": stop} for i, start, stop in rows]

    # -- how

    def _render(self, messages: list[Message], how: ChatTemplateKwargs) -> tuple[str, list[str]]:
        """The conversation as text, with boundaries where it is tokenised apart, and the addresses of its images."""
        length = sum(len(text) for message in messages for text in message.texts)
        if length > self.max_positions * self._tokenizing.longest:  # refused before any work
            raise too_long(-(-length // self._tokenizing.longest), self.max_positions, exact=False)
        chat, urls = _conversation(messages, self._worded(how))
        goes_on = chat[-1]["role"] == "assistant"
        try:
            text = self.tokenizer.apply_chat_template(
                chat, chat_template=self.processor.chat_template, tokenize=False, raw=how.raw,
                add_generation_prompt=not goes_on, continue_final_message=goes_on and not how.raw,
            )  # fmt: skip
        except (TemplateError, ValueError) as error:
            raise Refused(f"Template error: {reason(error)}", "template_error") from None
        return text, urls

    def _worded(self, how: ChatTemplateKwargs) -> Callable[[str, str], tuple[str, str, str]]:
        """A function from a message's role and text to its prefix, the text, and its suffix."""

        def worded(role: str, text: str) -> tuple[str, str, str]:
            if how.raw:
                return "", text, ""
            cut = BOUNDARY if self._cuts_questions and role == "user" and not how.joined else ""
            return cut, self._tokenizing.plain(text), cut

        return worded

    def _with_pictures(self, ids: list[int], urls: list[str]) -> Prompt:
        image, rows = self.processor.image_token_id, self.processor.rows_per_image
        try:
            expanded = expand_placeholders(ids, image, rows, len(urls))
        except ValueError as error:
            raise Refused(f"invalid image: {reason(error)}") from None
        if len(expanded) >= self.max_positions:  # refused before any image is decoded
            raise too_long(len(expanded), self.max_positions)
        return Prompt(tuple(expanded), tuple(self._pixels(url) for url in urls))

    def _pixels(self, url: str) -> np.ndarray:
        picture = open_picture(url)
        return self.processor.image_processor(picture, return_tensors="np")["pixel_values"][0]


def _conversation(
    messages: list[Message], worded: Callable[[str, str], tuple[str, str, str]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Messages in the template's form, and the addresses of their images in reading order."""
    chat, urls = [], []
    for message in messages:
        if message.tool_calls or message.role == "tool":
            raise Refused("Tool error: this model calls no tools. Send messages without tool calls.", "tool_error")
        role = "system" if message.role == "developer" else message.role
        before, _, behind = worded(role, "")
        content: Any = message.content or ""
        if isinstance(content, str):
            content = before + worded(role, content)[1] + behind
        else:
            urls += [part.image_url.url for part in content if not isinstance(part, TextPart)]
            parts = [
                {"type": "text", "text": worded(role, part.text)[1]}
                if isinstance(part, TextPart)
                else {"type": "image"}
                for part in content
            ]
            content = [{"type": "text", "text": before}, *parts, {"type": "text", "text": behind}]
        chat.append({"role": role, "content": content})
    return chat, urls
