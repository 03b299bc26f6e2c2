"""The state of a composition: what the graph's nodes read and replace, and what a checkpoint holds."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic describes typing's only from Python 3.12 on

from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.notes import Note


class ComposeState(TypedDict):
    """All keys are replaced whole by the node that made them; a key that is missing is work not done yet."""

    brief: Brief
    article: Article
    """Written (or handed in by `illustrate`), and at the end illustrated."""
    spots: list[Spot]
    candidates: dict[str, list[Candidate]]
    """By spot id, best first."""
    selections: list[Selection]
    """In reading order, one more each time the select node runs."""
    options: dict[str, Any]
    """What the caller wants to find again on resume: library names, output folder, model. Not read by any node."""
    lacking: list[str]
    """Ids of the spots that an image is still to be made for; only where the brief names a generator."""
    stopped: str
    """Why the graph ended early, "" or missing otherwise."""
    outline: str
    """The outline, as Markdown headings and lists; only where a person reviews it."""
    answered: int
    """How many answers of a person were taken."""
    wanted: str
    """What a person said instead of accepting; "" or missing where nothing is left to do."""
    reviewing: str
    """The review point that `wanted` was said at."""
    said: Note
    """What came of it, for the next question; one line."""


def typed(state: ComposeState) -> tuple[ComposeState, dict[str, Any]]:
    """The state with its values of the types above, and those of them that were plain JSON.

    A checkpointer of another graph that does not know these types gives them back as dicts and lists, without a word,
    where LANGGRAPH_STRICT_MSGPACK is set.
    """
    plain = {key: value for key, value in state.items() if key in _ADAPTERS and _is_plain(value)}
    restored = {key: _ADAPTERS[key].validate_python(value) for key, value in plain.items()}
    return ({**state, **restored} if restored else state), restored  # type: ignore[return-value]


_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "brief": TypeAdapter(Brief),
    "article": TypeAdapter(Article),
    "spots": TypeAdapter(list[Spot]),
    "candidates": TypeAdapter(dict[str, list[Candidate]]),
    "selections": TypeAdapter(list[Selection]),
}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        values = list(value.values())
        return not values or not isinstance(values[0], list) or any(_is_plain(v) for v in values)
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


class Event(TypedDict, total=False):
    """What nodes send to `stream_mode="custom"`."""

    kind: str
    """"text" while writing, "again" where a person or a model has changed the text (all of it follows), "step" as a
    step advances, "note" for a fallback."""
    step: str
    text: str
    code: str
    """Of a note, as in `limner.notes.Coded`."""
    params: dict[str, Any]
    done: int
    of: int
