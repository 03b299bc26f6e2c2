"""`/v1/chat/completions`, for clients of OpenAI and TGI."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from limner.model_server.engine import Finished, Token
from limner.model_server.errors import Refused
from limner.model_server.prompts import Prompt
from limner.model_server.protocol import ChatRequest
from limner.model_server.sampling import Sampling
from limner.model_server.service import VERSION, Answer, Service
from limner.model_server.sse import HEADERS, kept_alive, sse
from limner.model_server.text import Stops


async def chat_completions(service: Service, request: Request, body: ChatRequest) -> Response:
    """The answer, or its stream.

    Raises Refused, also for a stream, because a request's faults are known before the first token, and clients cannot
    tell an error event from a broken server. (TGI sends an event.)
    """
    answer = await service.answer(request, lambda: _prepare(service, body))
    if body.stream:
        return _Stream(service, body, answer)
    try:
        tokens, finished = await answer.whole()
        message = {"role": "assistant", "content": finished.text}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": _logprobs(tokens) if body.logprobs else None,
            "finish_reason": _reason(finished),
        }
        completion = {**_frame(service, "chat.completion"), "choices": [choice], "usage": _usage(answer, finished)}
        return JSONResponse(completion, headers=answer.headers(finished))
    finally:
        answer.close()


class _Stream(StreamingResponse):
    """Chunks as server-sent events. The answer is closed even if nobody reads any."""

    def __init__(self, service: Service, body: ChatRequest, answer: Answer) -> None:
        self.answer = answer
        headers = {"x-compute-type": service.engine.device, **HEADERS}
        lines = kept_alive(_chunks(service, body, answer))
        super().__init__(lines, media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.answer.close()


async def _chunks(service: Service, body: ChatRequest, answer: Answer) -> AsyncGenerator[str, None]:
    frame = _frame(service, "chat.completion.chunk")
    counted = bool(body.stream_options and body.stream_options.include_usage)
    extra = {"usage": None} if counted else {}

    def chunk(text: str, logprobs: Any = None, reason: str | None = None) -> str:
        delta = {"role": "assistant", "content": text}
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return sse({**frame, "choices": [choice], **extra})

    stops, sent = Stops(body.stop or ()), 0
    try:
        async for event in answer:
            if isinstance(event, Token):
                # Hold back text that may begin a stop sequence, and a token that ends the answer.
                text = "" if event.special else stops.feed(event.text)[0]
                sent += len(text)
                if text or body.logprobs:
                    yield chunk(text, _logprobs([event]) if body.logprobs else None)
            else:
                yield chunk(event.text[sent:], reason=_reason(event))
                if counted:
                    yield sse({**frame, "choices": [], "usage": _usage(answer, event)})
    except Refused as refused:
        error = {"message": refused.body["error"], "http_status_code": refused.status, "type": refused.error_type}
        yield sse({"error": error})
    yield sse("[DONE]")


def _prepare(service: Service, body: ChatRequest) -> tuple[Prompt, Sampling]:
    prompt = service.prompts.of_messages(body.messages, body.chat_template_kwargs)
    return prompt, service.chat_sampling(body, prompt)


def _frame(service: Service, kind: str) -> dict[str, Any]:
    return {
        "object": kind,
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": service.model_id,
        "system_fingerprint": f"limner-{VERSION}-{service.engine.name}",
    }


def _reason(finished: Finished) -> str:
    """OpenAI's finish reason, "stop" or "length"."""
    return "length" if finished.reason == "length" else "stop"


def _usage(answer: Answer, finished: Finished) -> dict[str, Any]:
    prompt = len(answer.job.prompt)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": finished.generated,
        "total_tokens": prompt + finished.generated,
        "prompt_tokens_details": {"cached_tokens": finished.cached},
    }


def _logprobs(tokens: list[Token]) -> dict[str, Any]:
    return {"content": [{**_logprob(t), "top_logprobs": [_logprob(top) for top in t.top]} for t in tokens]}


def _logprob(token: Token) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.text.encode())}
