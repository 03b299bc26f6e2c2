"""The checker: look at a chosen picture once more, and say whether it shows what its place wants."""

from __future__ import annotations

from limner.agents.dialects import check as dialect
from limner.agents.dialects.check import Checked
from limner.agents.speaker import Speaker


def check(image: str, title: str, caption: str, before: str, language: str, speaker: Speaker) -> Checked:
    """Ask about one picture; an unreadable answer is sent back once.

    image: data URL. title: the article's. caption: the place's. before: the text before it. language: BCP 47, of the
    reason. Raises UnreadableReply after two unreadable answers, BudgetReached, ModelError.
    """
    return speaker.ask(
        dialect.ask_check(image, title, caption, before, language),
        dialect.read_check,
        schema=dialect.check_schema(),
        max_tokens=dialect.ANSWER,
    )
