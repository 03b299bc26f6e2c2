"""A scripted model that calls tools, over the wire of tests/scripted.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scripted import Answer, Fault, Wire, _chunk, article_answers, asking


@dataclass(frozen=True)
class Calls(Fault):
    """An answer that calls tools: (name, arguments) each; a str for arguments goes as it is."""

    calls: Sequence[tuple[str, dict[str, Any] | str]]
    stream: bool = False
    text: str = ""

    def serve(self, wire: Wire) -> None:
        made = [
            {
                "id": f"call_{n}_{abs(hash((name, str(arguments)))) % 10_000}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                },
            }
            for n, (name, arguments) in enumerate(self.calls)
        ]
        if not self.stream:
            message = {"role": "assistant", "content": self.text or None, "tool_calls": made}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            return wire.send_json(
                200, {"id": "1", "created": 0, "model": "m", "object": "chat.completion", "choices": [choice]}
            )
        wire.open_stream()
        first = _chunk(self.text)
        first["choices"][0]["delta"]["tool_calls"] = [{"index": n, **call} for n, call in enumerate(made)]
        wire.send_event(json.dumps(first))
        wire.send_event(json.dumps(_chunk("", finish="tool_calls")))
        wire.send_event("[DONE]")
        return wire.close_stream()


Turn = str | Sequence[tuple[str, Any]] | Callable[[dict[str, Any]], Any]
"""What the agent's model says: words, calls, or either of them made from the request."""


def agent_answers(*turns: Turn, **article: Any) -> Callable[[dict[str, Any]], Answer]:
    """Those turns one after the other to the agent; limner's own prompts are answered as by `article_answers`."""
    left = list(turns)
    write = article_answers(**{"sees": True, **article})

    def answer(body: dict[str, Any]) -> Answer:
        if asking(body) != "chat":
            return write(body)
        assert left, f"the agent was asked once too often: {body['messages'][-1]}"
        turn = left.pop(0)
        said = turn(body) if callable(turn) else turn
        return said if isinstance(said, str) else Calls(said, stream=bool(body.get("stream")))

    return answer


def last_tool(body: dict[str, Any]) -> str:
    """The text of the last tool message of a request."""
    return next(m["content"] for m in reversed(body["messages"]) if m["role"] == "tool")
