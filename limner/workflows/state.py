"""The state of a composition: what the graph's nodes read and replace, and what a checkpoint holds."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic accepts typing's TypedDict only from Python 3.12 on

from limner.document import Article, Brief, Candidate, Selection, Spot
from limner.notes import Note


class ComposeState(TypedDict):
    """Nodes replace whole keys; a missing key means that the work is not done yet."""

    brief: Brief
    article: Article
    """The written article (or `illustrate`'s input), and at the end the illustrated one."""
    spots: list[Spot]
    candidates: dict[str, list[Candidate]]
    """Candidates by spot id, best first."""
    selections: list[Selection]
    """Selections in reading order, one more each time the select node runs."""
    options: dict[str, Any]
    """Values that the caller needs on resume: library names, output folder, model. No node reads them."""
    spent: dict[str, dict[str, Any]]
    """Fields of `Usage` by role, of all finished steps: a process that resumes begins with them."""
    lacking: list[str]
    """Ids of the spots that still need a generated image; only if the brief names a generator."""
    unchecked: list[str]
    """Ids of the spots whose pictures are still to be checked."""
    checked: list[int]
    """(how many pictures were checked, of how many placed ones); empty before the first."""
    stopped: str
    """Why the graph ended early, "" or missing otherwise."""
    outline: str
    """The outline, as Markdown headings and lists; only if a person reviews it."""
    answered: int
    """Number of a person's accepted answers."""
    wanted: str
    """A person's instruction instead of an acceptance; "" or missing if none is open."""
    reviewing: str
    """The review point of `wanted`."""
    said: Note
    """The result of the last answer, for the next question; one line."""


def typed(state: ComposeState) -> tuple[ComposeState, dict[str, Any]]:
    """The state with values of the types above, and the keys whose values were plain JSON.

    With LANGGRAPH_STRICT_MSGPACK, another graph's checkpointer that does not know these types silently returns dicts
    and lists.
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
    """An event that nodes send to `stream_mode="custom"`."""

    kind: str
    """"text" while writing, "again" after a person or a model changed the text (with all of it), "step" as a step
    advances, "note" for a fallback."""
    step: str
    text: str
    code: str
    """Code of a note, as in `limner.notes.Coded`."""
    params: dict[str, Any]
    done: int
    of: int
