"""TGI's own routes: `/generate`, `/generate_stream`, and `/` for either."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from limner.model_server.engine import Finished, Token
from limner.model_server.errors import Refused
from limner.model_server.prompts import Prompt
from limner.model_server.protocol import GenerateRequest
from limner.model_server.sampling import Sampling
from limner.model_server.service import Answer, Service
from limner.model_server.sse import HEADERS, kept_alive, sse


async def generate(service: Service, request: Request, body: GenerateRequest, *, as_list: bool = False) -> Response:
    """The whole answer; `/` answers with a list of one. Raises Refused."""
    details = bool(body.options.details)
    answer = await service.answer(request, lambda: _prepare(service, body, tells_tokens=details))
    try:
        tokens, finished = await answer.whole()
        fields: dict[str, Any] = {"generated_text": _full_text(body, finished)}
        if details:
            fields["details"] = _details(answer, tokens, finished)
        return JSONResponse([fields] if as_list else fields, headers=answer.headers(finished))
    finally:
        answer.close()


def generate_stream(service: Service, request: Request, body: GenerateRequest) -> Response:
    """Server-sent events, one per token. Errors are events, too, under status 200, as in TGI."""
    headers = {"x-compute-type": service.engine.device, **HEADERS}
    return StreamingResponse(
        kept_alive(_events(service, request, body)), media_type="text/event-stream", headers=headers
    )


async def _events(service: Service, request: Request, body: GenerateRequest) -> AsyncGenerator[str, None]:
    answer = None
    try:
        if body.options.decoder_input_details:
            raise Refused("`decoder_input_details` == true is not supported when streaming tokens. Leave it out.")
        answer = await service.answer(request, lambda: _prepare(service, body, tells_tokens=True))
        async for line in _lines(answer, body):
            yield line
    except Refused as refused:
        yield sse(refused.body)
    finally:
        if answer:
            answer.close()


async def _lines(answer: Answer, body: GenerateRequest) -> AsyncIterator[str]:
    """Yield every token's event; the last one waits for the end, because it carries the whole text and the details."""
    index, last = 0, None
    async for event in answer:
        if isinstance(event, Token):
            if last:
                yield sse(_stream_event(index, last, body))
            index, last = index + 1, event
        elif last:
            end = {"generated_text": _full_text(body, event)}
            if body.options.details:
                end["details"] = {**_summary(answer, event), "input_length": len(answer.job.prompt)}
            yield sse({**_stream_event(index, last, body), **end})


def _stream_event(index: int, token: Token, body: GenerateRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {"index": index, "token": _token(token)}
    if body.options.top_n_tokens:
        fields["top_tokens"] = [_token(t) for t in token.top]
    return {**fields, "generated_text": None, "details": None}


def _prepare(service: Service, body: GenerateRequest, *, tells_tokens: bool) -> tuple[Prompt, Sampling]:
    prompt = service.prompts.of_text(body.inputs, body.options.truncate)
    return prompt, service.generate_sampling(body.options, prompt, tells_tokens=tells_tokens)


def _full_text(body: GenerateRequest, finished: Finished) -> str:
    """TGI leaves the stop sequence in the text."""
    return (body.inputs if body.options.return_full_text else "") + finished.text + finished.stop


def _details(answer: Answer, tokens: list[Token], finished: Finished) -> dict[str, Any]:
    fields = {
        **_summary(answer, finished),
        "prefill": [{"id": t.id, "text": t.text, "logprob": t.logprob} for t in finished.prefill],
        "tokens": [_token(t) for t in tokens],
    }
    if answer.job.sampling.top_n:
        fields["top_tokens"] = [[_token(top) for top in t.top] for t in tokens]
    return fields


def _summary(answer: Answer, finished: Finished) -> dict[str, Any]:
    sampling = answer.job.sampling
    return {
        "finish_reason": finished.reason,
        "generated_tokens": finished.generated,
        "seed": sampling.seed if sampling.do_sample else None,
    }


def _token(token: Token) -> dict[str, Any]:
    return {"id": token.id, "text": token.text, "logprob": token.logprob, "special": token.special}
