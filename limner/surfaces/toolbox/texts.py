"""The tools' answers: a text for the model, a value for the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from limner.document import Article
from limner.surfaces.toolbox.background import Running
from limner.workflows.ask import LONGEST_ANSWER, Answer
from limner.workflows.listing import QUOTED, numbered, outline, question_text, quoted

LONGEST_WAIT = 60  # seconds that a model may wait for a job in one call; its own callers have timeouts, too


class ToolResult(NamedTuple):
    """The result of a tool."""

    text: str
    """For the model."""
    value: Any
    """For the program: an Article, Candidates, paths …"""
    article: str = ""
    """Id of its article."""


def shown(name: str, article: Article, start: int = 1) -> str:
    """An article block by block, from block `start` on."""
    head = f"Article {name}: {outline(article)}."
    return "\n".join([head, numbered(article, start), *notes_of(article.notes), QUOTED])


def asked(name: str, question: dict[str, Any]) -> ToolResult:
    """An article's question."""
    return ToolResult(question_text(name, question), question, name)


def answered(name: str, answer: Answer) -> ToolResult:
    """An answer to a question about an article, and what it rests on."""
    lines = [f"The answer: {quoted(answer.text, LONGEST_ANSWER)}"]
    lines += [f"It rests on block [{cited.block}]: {quoted(cited.quote, 500)}" for cited in answer.blocks]
    if answer.pictures:
        lines.append(f"Pictures that were looked at: {', '.join(str(p.number) for p in answer.pictures)}.")
    return ToolResult("\n".join([*lines, *notes_of(answer.notes), QUOTED]), answer, name)


def accepted(name: str) -> str:
    """That an article is on its way."""
    return (
        f"Accepted as article {name}; it is being written and this takes a while. Tell the user that it is on its "
        f"way. get_article with article={name} shows how far it is, and the article once it is done."
    )


def doing(running: Running) -> str:
    """How far a composition is, as the rest of a sentence."""
    event = running.doing
    of = f", {event.get('done', 0)} of {event.get('of')}" if event.get("of") else ""
    return f"is not done yet; its step is: {event.get('step') or 'begin'}{of}. Call get_article again in a while."


def notes_of(notes: Sequence[str]) -> list[str]:
    """An article's notes, a line each."""
    return [f"Note: {quoted(note, 400)}" for note in notes if note]
