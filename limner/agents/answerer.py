"""The answerer: answer a question about an article and its pictures."""

from __future__ import annotations

from limner.agents.dialects import question as dialect
from limner.agents.dialects.question import Material, Said
from limner.agents.speaker import Speaker
from limner.errors import UnreadableReply


def answer(question: str, material: Material, blocks: int, speaker: Speaker) -> Said:
    """Ask a question; an unreadable answer is sent back once, and a second one in plain sentences is taken as it is.

    blocks: of the whole article. Raises UnreadableReply, BudgetReached, ModelError.
    """
    last = ""

    def read(reply: str) -> Said:
        nonlocal last
        last = reply
        return dialect.read_answer(reply, material.blocks)

    messages, schema = dialect.ask_question(question, material), dialect.answer_schema(blocks)
    try:
        return speaker.ask(messages, read, schema=schema, max_tokens=dialect.ANSWER)
    except UnreadableReply:
        return dialect.read_prose(last)
