"""A support bot that answers questions, and composes an illustrated guide when a guide is asked for.

    python examples/support_bot.py "Write a guide on how bees make honey"

limner's graph is one node of the bot's: it has a state of its own, the bot's checkpointer keeps it, its questions
surface in the bot, and its events pass through to whoever streams the bot.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

import limner


class Support(TypedDict):
    """The bot's own state; it knows nothing of limner's."""

    messages: Annotated[list[AnyMessage], add_messages]
    guide: dict[str, Any] | None
    """The last article, as JSON: it fits any checkpointer."""


def build_bot(model: BaseChatModel, checkpointer: Any = None, review: tuple[Any, ...] = (), **parts: Any) -> Any:
    """The bot. parts: those of `limner.build_graph`: library, settings, context.

    review: points at which the bot stops for an editor, of "outline", "draft", "spots", "images" and "final".
    """
    compose = limner.build_graph(model=model, **parts)

    def route(state: Support) -> Literal["answer", "guide"]:
        return "guide" if "guide" in state["messages"][-1].text.lower() else "answer"

    def answer(state: Support) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def guide(state: Support) -> dict[str, Any]:
        # The bot's state is mapped into a brief here, and the article out of limner's state below.
        brief = limner.Brief(text=state["messages"][-1].text, images=2, review=review)
        done = compose.invoke({"brief": brief})
        article = done["article"]
        said = f"I wrote “{article.title}” with {len(article.illustrations)} pictures."
        return {"messages": [AIMessage(said)], "guide": article.model_dump(mode="json")}

    bot = StateGraph(Support)
    bot.add_node("answer", answer)
    bot.add_node("guide", guide)
    bot.add_conditional_edges(START, route)
    bot.add_edge("answer", END)
    bot.add_edge("guide", END)
    return bot.compile(checkpointer=checkpointer or InMemorySaver())


def main() -> None:
    """One question from the command line, streamed."""
    from langchain_openai import ChatOpenAI

    settings = limner.Settings()
    model = ChatOpenAI(base_url=settings.model_url, model=settings.model, api_key=settings.api_key)
    question = " ".join(sys.argv[1:]) or "Write a guide on how bees make honey"
    config: Any = {"configurable": {"thread_id": "customer-1"}}
    start = {"messages": [("user", question)]}
    for _, mode, event in build_bot(model).stream(start, config, stream_mode=["custom", "updates"], subgraphs=True):
        if mode == "custom" and event["kind"] == "text":
            print(event["text"], end="", flush=True)
        elif mode == "updates":
            print(f"\n[{', '.join(event)}]")


if __name__ == "__main__":
    main()
