"""The writer: a Brief becomes an Article."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limner.agents.dialects import instruct
from limner.agents.dialects import outline as outlines
from limner.agents.speaker import Speaker, sent_back
from limner.document import Article, Brief
from limner.errors import UnreadableReply
from limner.notes import note

MAX_TOKENS = 4096  # about 2 500 English words; an article, not a book


def write(
    brief: Brief, speaker: Speaker, emit: Callable[[str], None], *, reference_images: Sequence[str] = ()
) -> Article:
    """Write the article in one go, streaming its Markdown through `emit`.

    reference_images: data URLs, for a writer that sees. Raises UnreadableReply if two answers have no paragraph,
    BudgetReached before a call that would exceed the budget, ModelError.
    """
    messages = instruct.ask_article(brief, reference_images)
    reply = speaker.say(messages, on_text=emit, max_tokens=MAX_TOKENS, temperature=0.7, seed=brief.seed)
    try:
        article = instruct.read_article(reply, brief)
    except UnreadableReply as reason:
        again = [*messages, *sent_back(reply, reason)]
        reply = speaker.say(again, on_text=emit, max_tokens=MAX_TOKENS, temperature=0.7, seed=brief.seed)
        article = _read_again(reply, brief, speaker.name)
    whole = instruct.whole_sentences(article)
    if whole is not article:
        whole = whole.noted(note("broke-off"))
    return whole


def outline(brief: Brief, speaker: Speaker, before: str = "", instruction: str = "") -> str:
    """Make an outline of Markdown headings and lists, for a person to change before the article is written.

    before, instruction: an earlier outline, and the change to make. Raises UnreadableReply, BudgetReached, ModelError.
    """
    return speaker.ask(
        outlines.ask_outline(brief, before, instruction),
        outlines.read_outline,
        max_tokens=outlines.OUTLINE_TOKENS,
        temperature=0.7,
        seed=brief.seed,
    )


def _read_again(reply: str, brief: Brief, name: str) -> Article:
    """Read the second answer; its error is now for the user, no longer for the model."""
    try:
        return instruct.read_article(reply, brief)
    except UnreadableReply as e:
        start = " ".join("".join(c if c.isprintable() else " " for c in reply).split())[:80] or "nothing"
        raise UnreadableReply(
            f"{name or 'The model'} wrote no article, asked twice; it answered {start!r}. Use another model (--model), "
            "or say more in the brief."
        ) from e
