"""The captioner: describe a picture of a library in words, for search, readers and screen readers."""

from __future__ import annotations

from limner.agents.dialects import caption as dialect
from limner.agents.dialects.caption import Captioned, InLanguage, Known
from limner.agents.speaker import Speaker


def describe(image: str, known: Known, language: str, speaker: Speaker, in_language: InLanguage) -> Captioned:
    """Ask for a picture's caption and alternative text; an unusable answer is sent back once.

    image: data URL. known: what its file and folder say. language: BCP 47. in_language: checks the answer's language.
    Raises NoCaption after two unusable answers, BudgetReached, ModelError.
    """
    return speaker.ask(
        dialect.ask_caption(image, known, language),
        lambda reply: dialect.read_caption(reply, known, language, in_language),
        schema=dialect.caption_schema(),
        max_tokens=dialect.ANSWER,
    )
