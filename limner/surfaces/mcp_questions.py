"""Ask the user of an MCP client: a question of a review as a form, and the filled form as an answer.

A client that cannot show forms gets the question as the tool's result, for its model to pass on.
"""

from __future__ import annotations

import json
from typing import Any

import mcp_types as types

from limner.workflows.listing import plainly
from limner.workflows.review import protocol

# From this version on a server asks by the result of a call, which the client repeats with the answer; before, by a
# request.
BY_RESULT = "2026-07-28"
ASKING = ("compose_article", "answer_review")


def asks_users(ctx: Any) -> bool:
    """Whether the client can show a form. A client that names no kind supports the first kind, which limner uses."""
    session = ctx.session
    able = session.client_capabilities and session.client_capabilities.elicitation
    reached = session.protocol_version >= BY_RESULT or session.can_send_request
    return reached and bool(able) and (able.form is not None or able.url is None)


def question_of(result: types.CallToolResult) -> tuple[str, dict[str, Any]] | None:
    """(article, question) if a call ended with a question."""
    made = result.structured_content or {}
    return (made["article"], made["question"]) if "question" in made else None


def form_for(article: str, question: dict[str, Any]) -> types.ElicitRequestFormParams:
    """The form for a person: the question and the possible answers. Edits need the tool."""
    choices = {"accept": "Go on with it"}
    properties: dict[str, Any] = {}
    if question["config"]["allow_respond"]:
        choices["response"] = "Change it as I say below"
        properties["say"] = {"type": "string", "title": "What should change?", "maxLength": protocol.MAX_SAID}
    choice = {"type": "string", "title": "Answer", "enum": [*choices], "enumNames": [*choices.values()]}
    properties = {"answer": {**choice, "default": "accept"}, **properties}
    shown = "\n".join([question["description"], "", *plainly(question)])
    schema = {"type": "object", "properties": properties, "required": ["answer"]}
    return types.ElicitRequestFormParams(message=shown, requested_schema=schema)


def answer_from(article: str, version: str, given: types.ElicitResult) -> dict[str, Any] | None:
    """The arguments of answer_review from a filled form; None if the user did not answer."""
    if given.action != "accept":
        return None
    content = given.content or {}
    reply = str(content.get("say") or "").strip()
    kind = "response" if reply else str(content.get("answer") or "accept")  # a written text counts as a change request
    return {"article": article, "type": kind, "version": version, **({"args": reply} if reply else {})}


def elicited(params: types.CallToolRequestParams) -> dict[str, Any] | types.CallToolResult:
    """Read a repeated call: arguments of answer_review, or a message for the model instead.

    The state comes back from the client. It names an article and a version, which are looked up and checked like any
    other.
    """
    try:
        state = json.loads(params.request_state or "")
        article, version = str(state["article"]), str(state["version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return mistake("The state of this request is not one that limner gave. Call the tool without it.")
    given = (params.input_responses or {}).get("answer")
    reply = answer_from(article, version, given) if isinstance(given, types.ElicitResult) else None
    if reply is None:
        line = (
            f"The user did not answer. Article {article[:80]} waits for it: get_article shows what is asked, "
            "answer_review answers."
        )
        return types.CallToolResult(content=[types.TextContent(type="text", text=line)])
    return reply


def mistake(line: str) -> types.CallToolResult:
    """A line for the model, marked as an error."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=line)], is_error=True)
