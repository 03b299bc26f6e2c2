"""Routes: limner as a model of the OpenAI API, so that any chat client can talk to it.

The first message is a brief; the answer is the article as Markdown, with its progress as the model's "reasoning". Later
messages change the article. Each article is an ordinary job with an owner and limits, and continues when the client
leaves; the same conversation sent again finds it.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from limner.errors import JobConflict, LimnerError
from limner.jobs.owners import Owner
from limner.notes import note
from limner.surfaces.http.deps import Asker, Has, Parts
from limner.surfaces.http.event_streams import Stream
from limner.surfaces.http.jobs import Trace
from limner.surfaces.http.openai.conversation import meant, picture
from limner.surfaces.http.openai.errors import as_openai, openai_error
from limner.surfaces.http.openai.request import ChatRequest
from limner.surfaces.http.openai.talk import Talk
from limner.surfaces.http.problems import Missing, _invalid_line, documented, of_error, problem
from limner.surfaces.http.views import View

MODEL = "limner"


class OpenAIRoute(APIRoute):
    """Errors for clients of the OpenAI API: limner's problem, with an additional `error`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as e:
                return as_openai(problem(422, "invalid", _invalid_line(request, e.errors())))
            except LimnerError as e:
                return as_openai(of_error(e))

        return handled


routes = APIRouter(prefix="/v1", tags=["chat"], route_class=OpenAIRoute)


class ModelView(View):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "limner"


class ModelList(View):
    """Models."""

    object: Literal["list"] = "list"
    data: list[ModelView]


@routes.get("/models", summary="List models", responses=documented())
def list_models(has: Has, asker: Asker) -> ModelList:
    """List limner's models: one with the starter library, and one for each of your libraries."""
    return ModelList(data=[ModelView(id=name) for name in (MODEL, *(f"{MODEL}/{n}" for n in has.shelf.names(asker)))])


COMPLETION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A chat completion; with `stream`, chunks as server-sent events. Progress comes as "
        "`reasoning_content`.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
}


@routes.post(
    "/chat/completions",
    summary="Talk to limner as to a model",
    response_class=Response,
    responses={**documented(404, 409, 429), **COMPLETION},
)
async def complete(has: Has, asker: Asker, request: ChatRequest, http: Request, trace: Trace = None) -> Response:
    """The first message is a brief, later ones change the article; /new, /undo, /redo and /show are commands.

    With `review`, or `/review draft,images BRIEF`, it stops and asks: the next message is the answer, in words, or as
    /accept, /ignore, /edit, /answer.
    """
    library = _library(has, asker, request.model)
    meaning = meant(request.messages)
    for n, url in enumerate(meaning.images, 1):
        picture(url, n)
    talk = Talk(has, asker, request, meaning, library, str(http.base_url).rstrip("/"), trace)
    # Refusals come before the first byte; from here on a job exists.
    talk.job = await (
        has.pools["pictures"].run(asker.name, talk.begin) if meaning.images else anyio.to_thread.run_sync(talk.begin)
    )
    if request.stream:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return Stream(_streamed(talk), media_type="text/event-stream", headers=headers)
    return await _whole(talk)


def _library(has: Parts, asker: Owner, model: str) -> str:
    """The library of a model's name, "" for the starter. Raises Missing."""
    name, _, library = model.partition("/")
    if name == MODEL and (not library or library in has.shelf.names(asker)):
        return library
    known = ", ".join((MODEL, *(f"{MODEL}/{n}" for n in has.shelf.names(asker)[:5])))
    raise Missing(note("no-model", model=model[:80], models=known))


# --- the wire ------------------------------------------------------------------------------------------------------


def _head(talk: Talk, kind: str) -> dict[str, Any]:
    made = int(time.time())
    name = f"chatcmpl-{talk.job or 'chore'}"
    return {"id": name, "object": kind, "created": made, "model": talk.request.model}


async def _streamed(talk: Talk) -> AsyncIterator[bytes]:
    head = _head(talk, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    async with aclosing(talk.say()) as pieces:
        async for piece in pieces:
            if piece.kind == "error":
                yield _event({"error": openai_error(piece.text, "limner_error")})
                return
            if piece.kind == "ping":
                yield b": still there\n\n"
            else:
                yield chunk({"reasoning_content" if piece.kind == "reasoning" else "content": piece.text})
    yield chunk({}, "stop")
    if (talk.request.stream_options or {}).get("include_usage"):
        yield _event({**head, "choices": [], "usage": await anyio.to_thread.run_sync(talk.usage)})
    yield b"data: [DONE]\n\n"


async def _whole(talk: Talk) -> Response:
    parts = {"reasoning": "", "content": ""}
    async with aclosing(talk.say()) as pieces:
        async for piece in pieces:
            if piece.kind == "error":
                return as_openai(of_error(JobConflict(piece.text)))
            if piece.kind != "ping":
                parts[piece.kind] += piece.text
    message = {"role": "assistant", "content": parts["content"], "reasoning_content": parts["reasoning"]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = await anyio.to_thread.run_sync(talk.usage)
    return JSONResponse({**_head(talk, "chat.completion"), "choices": [choice], "usage": usage})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
