"""Graphs for a LangGraph server, as `langgraph.json` names them: JSON in and out, parts from the settings.

The server has its own checkpoints, threads and streams; nothing starts before the first run.
"""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict  # pydantic accepts typing's TypedDict only from Python 3.12 on

from limner.document import Article, Brief
from limner.settings import Settings
from limner.workflows import chat as chats
from limner.workflows import compose as composing
from limner.workflows.context import Context, build_context
from limner.workflows.revise import graph as revising
from limner.workflows.tenants import Tenants, tenant_of

_made: dict[str, Tenants] = {}


class Composing(TypedDict):
    """brief: as `limner.Brief`, as JSON. article: as `limner.Article`, as JSON."""

    brief: dict[str, Any]
    article: dict[str, Any]


class Revising(TypedDict):
    """instruction: a text, or one of limner.tools.editing.commands as JSON."""

    article: dict[str, Any]
    instruction: Any


def compose(config: RunnableConfig) -> Any:
    """The graph of a composition: {"brief": {"text": …}} -> {"article": …}; review points interrupt."""

    def run(state: Composing, config: RunnableConfig) -> dict[str, Any]:
        graph = composing.build_graph(_context(config))
        start: Any = {"brief": Brief.model_validate(state["brief"])}
        if state.get("article"):
            start["article"] = Article.model_validate(state["article"])
        return {"article": graph.invoke(start)["article"].model_dump(mode="json")}

    return _alone(Composing, run)


def revise(config: RunnableConfig) -> Any:
    """The graph of a revision: {"article": …, "instruction": …} -> {"article": …}; it interrupts with its edits."""

    def run(state: Revising, config: RunnableConfig) -> dict[str, Any]:
        graph = revising.build_revise_graph(_context(config))
        start = {"article": Article.model_validate(state["article"]), "instruction": state["instruction"]}
        return {"article": graph.invoke(start)["article"].model_dump(mode="json")}

    return _alone(Revising, run)


def chat(config: RunnableConfig) -> Any:
    """The graph of a conversation: {"messages": […]}."""
    return chats.chat_graph(_tenants)  # make the parts in a node, because a server's event loop must not wait for files


def _alone(state: Any, run: Any) -> Any:
    graph = StateGraph(state)
    graph.add_node("run", run)
    graph.add_edge(START, "run")
    graph.add_edge("run", END)
    return graph.compile()


def _context(config: RunnableConfig) -> Context:
    return _tenants().scope(tenant_of(config.get("configurable") or {})).context


def _tenants() -> Tenants:
    """The parts, made once on first use."""
    if "" not in _made:
        context = build_context(Settings())
        context.decisions = True  # also ask in the shape of agent-chat-ui
        _made[""] = Tenants(context)
    return _made[""]
