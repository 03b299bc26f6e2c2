"""The HTTP front: TGI's routes over one Service. Errors are TGI's flat form, with its statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.model_server.chat import chat_completions
from limner.model_server.errors import Refused, one_line
from limner.model_server.generate import generate, generate_stream
from limner.model_server.pictures import MAX_BYTES
from limner.model_server.protocol import (
    EXTRA_FIELDS,
    MAX_STOP_SEQUENCES,
    ChatRequest,
    CompatGenerateRequest,
    GenerateRequest,
    TokenizeRequest,
)
from limner.model_server.service import VERSION, Service

MAX_BODY = 3 * MAX_BYTES  # bytes of a request: a few pictures, in base64
MAX_BODIES = 16 * MAX_BODY  # bytes of all requests together
KEEP_ALIVE = 75  # seconds a connection may idle: far more than the 5 s for which httpx, and so openai, reuses one


def build_app(service: Service) -> FastAPI:
    """Build the application; its engine runs from startup to shutdown."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.engine.start()
        try:
            yield
        finally:
            await service.engine.close()

    app = FastAPI(title="limner-model-server", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(_Bounded)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    _model_routes(app, service)
    _other_routes(app, service)
    return app


def server_config(service: Service) -> uvicorn.Config:
    """uvicorn's configuration. Clients must close idle connections first: if both ends stop after the same time (5 s by
    default in uvicorn), a request can fail on a connection that is just closing."""
    return uvicorn.Config(
        build_app(service), log_level="warning", timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=10
    )


def _model_routes(app: FastAPI, service: Service) -> None:
    @app.post("/generate")
    async def generate_(request: Request, body: GenerateRequest) -> Response:
        return await generate(service, request, body)

    @app.post("/generate_stream")
    async def generate_stream_(request: Request, body: GenerateRequest) -> Response:
        return generate_stream(service, request, body)

    @app.post("/")
    async def compat_generate(request: Request, body: CompatGenerateRequest) -> Response:
        if body.stream:
            return generate_stream(service, request, body)
        return await generate(service, request, body, as_list=True)

    @app.post("/v1/chat/completions")
    async def chat_completions_(request: Request, body: ChatRequest) -> Response:
        return await chat_completions(service, request, body)

    @app.post("/tokenize")
    def tokenize(body: TokenizeRequest) -> Any:
        return service.prompts.tokens(body.inputs, add_special_tokens=body.add_special_tokens is not False)

    @app.post("/chat_tokenize")
    def chat_tokenize(body: ChatRequest) -> Any:
        text, tokens = service.prompts.templated(body.messages, body.chat_template_kwargs)
        return {"templated_text": text, "tokenize_response": tokens}


def _other_routes(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    @app.get("/ping")
    async def health() -> Response:
        if service.engine.healthy:
            return Response()
        raise Refused("unhealthy", "healthcheck")

    @app.get("/info")
    async def info() -> Any:
        return _info(service)

    @app.get("/v1/models")
    async def models() -> Any:
        owner = "limner-model-server"
        return {
            "object": "list",
            "data": [{"id": service.model_id, "object": "model", "created": 0, "owned_by": owner}],
        }

    @app.get("/metrics")
    async def metrics() -> Response:
        service.metrics.queue.set(service.waiting)
        service.metrics.batch.set(service.engine.running)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _info(service: Service) -> dict[str, Any]:
    return {
        "model_id": service.model_id,
        "model_sha": None,
        "model_pipeline_tag": "image-text-to-text",
        "max_concurrent_requests": service.max_concurrent,
        "max_best_of": 1,
        "max_stop_sequences": MAX_STOP_SEQUENCES,
        "max_input_tokens": service.max_total_tokens - 1,
        "max_total_tokens": service.max_total_tokens,
        "validation_workers": 1,
        "max_client_batch_size": 1,
        "router": "limner-model-server",
        "version": VERSION,
        "sha": None,
        "docker_label": None,
        # This server's own:
        "engine": service.engine.name,
        "model_device_type": service.engine.device,
        "model_dtype": service.engine.dtype,
        "rows_per_image": service.prompts.processor.rows_per_image,
        "decoding": service.engine.decoding,
        "extra_fields": EXTRA_FIELDS,
    }


# --- errors --------------------------------------------------------------------------------------------------------


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body, error.status)


async def _invalid(_request: Request, error: Exception) -> Response:
    """The first fault of a body, in one line with its field."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "extra_forbidden":
        problem = f"unknown field `{one_line(where, 200)}`: this server does not have it, leave it out"
    elif first["type"] == "json_invalid":
        problem = f"the body is not JSON ({first.get('ctx', {}).get('error', 'malformed')}): send an object"
    elif not where:
        problem = "the body must be a JSON object, sent with Content-Type: application/json"
    else:
        problem = f"`{one_line(where, 200)}`: {one_line(first['msg'], 200)}"
    return JSONResponse(Refused(f"{problem}.").body, 422)


async def _http(_request: Request, error: Exception) -> Response:
    """Answer unknown routes, other methods and bodies that cannot be parsed."""
    assert isinstance(error, HTTPException)
    if error.status_code == 400:
        return JSONResponse(Refused(f"{error.detail}.").body, 422)
    kind = {404: "not_found", 405: "not_found", 429: "overloaded"}.get(error.status_code, "validation")
    return JSONResponse({"error": str(error.detail), "error_type": kind}, error.status_code, headers=error.headers)


class _Bounded:
    """Refuses bodies over MAX_BODY with 413, also those without a declared length.

    The bodies of all requests together are limited, too: over MAX_BODIES it answers 429 before it reads more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            refusal = Refused(_TOO_LARGE, status=413)
            await JSONResponse(refusal.body, refusal.status)(scope, receive, send)
            return
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            more = len(message.get("body", b""))
            size += more
            self.held += more
            if size > MAX_BODY:
                raise HTTPException(413, _TOO_LARGE)
            if self.held > MAX_BODIES:
                raise HTTPException(429, "Model is overloaded")
            return message

        try:
            await self.app(scope, bounded, send)
        finally:
            self.held -= size


_TOO_LARGE = f"the body is over {MAX_BODY} bytes: send fewer or smaller images."
