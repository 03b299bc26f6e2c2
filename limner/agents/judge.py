"""The judge: grade an illustrated article by the paper's rubric, or say which of two is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limner.agents.dialects import rubric
from limner.agents.speaker import Speaker
from limner.document import Article
from limner.errors import ModelRefused, UnreadableReply

REFUSED = (400, 413, 422)
"""HTTP statuses by which servers refuse one prompt, for its length or its pictures, and not all of them."""


@dataclass(frozen=True)
class Graded:
    """One run of a judge."""

    grade: rubric.Grade | None
    """None if it gave no readable answer."""
    unread: int = 0
    """Answers that could not be read: 1 where the second was readable, 2 where it was not."""
    refused: str = ""
    """The server's words if it refused the prompt."""


def grade(article: Article, shown: Sequence[rubric.Shown], names: Sequence[str], speaker: Speaker, seed: int) -> Graded:
    """Ask for the scores in these dimensions; an unreadable answer is sent back once.

    Raises BudgetReached, ModelError.
    """
    unread = 0

    def read(reply: str) -> rubric.Grade:
        nonlocal unread
        try:
            return rubric.read_scores(reply, names)
        except UnreadableReply:
            unread += 1
            raise

    try:
        question, schema = rubric.ask_scores(article, shown, names), rubric.scores_schema(names)
        found = speaker.ask(question, read, schema=schema, max_tokens=rubric.ANSWER, seed=seed)
    except UnreadableReply:
        return Graded(None, unread)
    except ModelRefused as e:
        if e.status not in REFUSED:
            raise
        return Graded(None, unread, e.answer)
    return Graded(found, unread)


def better(
    first: Article,
    one: Sequence[rubric.Shown],
    second: Article,
    other: Sequence[rubric.Shown],
    speaker: Speaker,
    seed: int,
) -> rubric.Better | None:
    """Ask which of two articles is better, the first being "A"; None without a readable answer.

    Raises BudgetReached, ModelError.
    """
    question = rubric.ask_pair(first, one, second, other)
    try:
        return speaker.ask(question, rubric.read_pair, schema=rubric.pair_schema(), max_tokens=200, seed=seed)
    except UnreadableReply:
        return None
    except ModelRefused as e:
        if e.status not in REFUSED:
            raise
        return None
