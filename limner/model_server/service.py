"""The service behind all routes: one engine, a bounded queue, metrics; an answer stops when its client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from starlette.requests import Request

from limner.model_server.engine import Engine, Finished, Job, Token
from limner.model_server.errors import Refused, ServingError, reason
from limner.model_server.grammar import Grammar, Grammars
from limner.model_server.metrics import Metrics
from limner.model_server.prompts import Prompt, Prompts
from limner.model_server.protocol import ChatRequest, Constraint, GenerateParameters
from limner.model_server.sampling import Sampling
from limner.model_server.tokenizing import too_long
from limner.model_server.transformers_engine import read_config

DEFAULT_NEW_TOKENS = 1024
ENGINES = {
    "transformers": "limner.model_server.transformers_engine",
    "vllm": "limner.model_server.vllm_plugin.engine",
}
"""Modules with `build(folder, tokenizer, *, max_total_tokens, dtype, device, gpus) -> Engine`."""

log = logging.getLogger(__name__)

try:
    VERSION = metadata.version("limner")
except metadata.PackageNotFoundError:  # a source tree on the path
    VERSION = "0"


class Service:
    """One served model."""

    def __init__(self, engine: Engine, prompts: Prompts, model_id: str, max_concurrent: int = 128) -> None:
        """max_concurrent: limit of concurrent requests, waiting ones included; more are refused."""
        self.engine = engine
        self.prompts = prompts
        self.model_id = model_id
        self.metrics = Metrics()
        self.max_concurrent = max_concurrent
        self.admitted = 0
        self.grammars = Grammars(prompts.tokenizer, engine.end_ids)

    @property
    def max_total_tokens(self) -> int:
        """Limit of the tokens of prompt and answer together."""
        return self.prompts.max_positions

    # -- requests

    def generate_sampling(self, request: GenerateParameters, prompt: Prompt, *, tells_tokens: bool) -> Sampling:
        """The sampling of a request. Raises Refused for unsupported options and for more tokens than fit.

        tells_tokens: whether the client gets single tokens with their logprobs.
        """
        if request.best_of not in (None, 1):
            raise Refused(f"`best_of` must be > 0 and <= 1. Given: {request.best_of}. Ask again instead.")
        if request.watermark:
            raise Refused("watermark is not supported: leave `watermark` out.")
        if request.adapter_id:
            raise Refused("adapters are not supported: leave `adapter_id` out.")
        if (request.typical_p or 1) < 1 and "typical_p" not in self.engine.decoding:
            raise Refused("`typical_p` needs --engine transformers: leave it out, or use `top_p`.")
        self._check_beams(request, request.samples, request.grammar, request.frequency_penalty)
        return Sampling(
            max_new_tokens=self._room(request.max_new_tokens, prompt),
            **_shared(request),
            do_sample=request.samples,
            typical_p=request.typical_p or 1.0,
            top_n=(request.top_n_tokens or 0) if tells_tokens else None,
            prompt_logprobs=tells_tokens and bool(request.decoder_input_details),
            grammar=self._grammar(request.grammar),
        )

    def chat_sampling(self, request: ChatRequest, prompt: Prompt) -> Sampling:
        """Like `generate_sampling`, for chats. Beams do not sample; a temperature with beams is refused."""
        if request.tools:
            raise Refused("Tool error: this model calls no tools. Leave `tools` out.", "tool_error")
        if request.n not in (None, 1):
            raise Refused(f"`n` must be 1. Given: {request.n}. Ask again instead.")
        if request.logit_bias:
            raise Refused("logit_bias is not supported: leave it out.")
        if request.top_logprobs and not request.logprobs:
            raise Refused("`top_logprobs` needs `logprobs`: set it to true.")
        samples = request.temperature > 0 if request.temperature is not None else (request.num_beams or 1) == 1
        penalised = request.frequency_penalty or request.presence_penalty
        self._check_beams(request, samples, request.response_format, penalised)
        return Sampling(
            max_new_tokens=self._room(request.max_completion_tokens or request.max_tokens, prompt),
            **_shared(request),
            do_sample=samples,
            presence_penalty=request.presence_penalty or 0.0,
            top_n=(request.top_logprobs or 0) if request.logprobs else None,
            grammar=self._grammar(request.response_format),
        )

    def _room(self, wanted: int | None, prompt: Prompt) -> int:
        limit = self.max_total_tokens
        if len(prompt) >= limit:
            raise too_long(len(prompt), limit)
        if wanted is not None and len(prompt) + wanted > limit:
            raise Refused(
                f"`inputs` tokens + `max_new_tokens` must be <= {limit}. Given: {len(prompt)} `inputs` tokens and "
                f"{wanted} `max_new_tokens`. Shorten the prompt or ask for fewer."
            )
        return wanted if wanted is not None else min(DEFAULT_NEW_TOKENS, limit - len(prompt))

    def _grammar(self, constraint: Constraint | None) -> Grammar | None:
        wanted = constraint.wanted() if constraint else None
        return self.grammars.compile(*wanted) if wanted else None

    def _check_beams(
        self,
        request: GenerateParameters | ChatRequest,
        samples: bool,
        grammar: Constraint | None,
        penalty: float | None,
    ) -> None:
        if (request.num_beams or 1) == 1:
            return
        if samples:
            raise Refused("`num_beams` > 1 does not sample: leave temperature, top_p, top_k and do_sample out.")
        if (grammar and grammar.wanted()) or penalty:
            raise Refused("`num_beams` > 1 goes with no grammar and no frequency or presence penalty: leave one out.")

    # -- answers

    @property
    def waiting(self) -> int:
        """Number of requests that wait for the engine."""
        return max(self.admitted - self.engine.running, 0)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places; call it on the event loop's thread. Raises Refused (429) at once if all are taken."""
        if self.admitted >= self.max_concurrent:
            raise Refused("Model is overloaded", "overloaded")
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    async def answer(self, request: Request, prepare: Callable[[], tuple[Prompt, Sampling]]) -> Answer:
        """Take a place, prepare the prompt in a thread, and start the engine's work. Always close the answer.

        Raises Refused, which is counted, if there is no place or the request cannot be served.
        """
        begun = time.perf_counter()
        self.metrics.requests.inc()
        with contextlib.ExitStack() as held:
            try:
                if not self.engine.healthy:
                    raise Refused("unhealthy: the engine is not there. Try again later.", "healthcheck")
                held.enter_context(self.place())
                prompt, sampling = await asyncio.to_thread(prepare)
            except Refused as refused:
                self.metrics.failures.labels(err=refused.error_type).inc()
                raise
            return Answer(self, Job(prompt, sampling), request, begun, held.pop_all())


@dataclass
class Answer:
    """A running answer for one client: iterate over it, then close it."""

    service: Service
    job: Job
    request: Request
    begun: float
    held: contextlib.ExitStack
    finished: Finished | None = None

    def __post_init__(self) -> None:
        self._events: asyncio.Queue[Token | Finished | Refused] = asyncio.Queue()
        self._tasks = (asyncio.create_task(self._until_finished()), asyncio.create_task(self._until_gone()))

    async def __aiter__(self) -> AsyncIterator[Token | Finished]:
        """Yield tokens, then Finished. Raises Refused if the engine failed or the client has left."""
        while not isinstance(event := await self._events.get(), Refused):
            if isinstance(event, Finished):
                self.finished = event
            yield event
            if self.finished:
                return
        self.service.metrics.failures.labels(err=event.error_type).inc()
        try:
            raise event
        finally:
            del event  # break the cycle between an error and the frame that raised it: see `close`

    async def whole(self) -> tuple[list[Token], Finished]:
        """The whole answer at once."""
        tokens: list[Token] = []
        async for event in self:
            if isinstance(event, Finished):
                return tokens, event
            tokens.append(event)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Free the place and stop the remaining work. Safe to call again."""
        for task in self._tasks:
            task.cancel()
        # A cancelled task knows where it was, and through that this answer. Were the answer to go on knowing the task,
        # its pictures would stay until the garbage collector comes to the oldest objects: thousands of requests later.
        self._tasks = ()
        self.held.close()
        finished, self.finished = self.finished, None
        if finished:
            self._count(finished)

    async def _until_finished(self) -> None:
        """Pass on the engine's items, and end with Finished or Refused."""
        try:
            async with contextlib.aclosing(self.service.engine.answer(self.job)) as events:
                async for event in events:
                    self._events.put_nowait(event)
                    if isinstance(event, Finished):
                        return
            raise Refused("Incomplete generation: it was broken off.", "incomplete_generation")
        except Refused as refused:
            self._events.put_nowait(refused)
        except Exception as error:
            log.exception("an answer failed")
            self._events.put_nowait(Refused(f"Request failed during generation: {reason(error)}", "generation"))

    async def _until_gone(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass
        self._events.put_nowait(Refused("Incomplete generation: the client has gone.", "incomplete_generation"))

    def _count(self, finished: Finished) -> None:
        metrics, now = self.service.metrics, time.perf_counter()
        metrics.successes.inc()
        metrics.duration.observe(now - self.begun)
        metrics.queue_duration.observe(self.job.started - self.job.queued)
        metrics.inference_duration.observe(now - self.job.started)
        metrics.input_length.observe(len(self.job.prompt))
        metrics.generated.observe(finished.generated)

    def headers(self, finished: Finished) -> dict[str, str]:
        """TGI's headers of a whole answer; times in ms."""
        now, job = time.perf_counter(), self.job
        inference = now - job.started
        return {
            "x-compute-type": self.service.engine.device,
            "x-compute-time": f"{now - self.begun:.3f}",
            "x-prompt-tokens": str(len(job.prompt)),
            "x-generated-tokens": str(finished.generated),
            "x-total-time": str(round(1000 * (now - self.begun))),
            "x-validation-time": str(round(1000 * (job.queued - self.begun))),
            "x-queue-time": str(round(1000 * (job.started - job.queued))),
            "x-inference-time": str(round(1000 * inference)),
            "x-time-per-token": str(round(1000 * inference / max(finished.generated, 1))),
        }


def build_service(
    folder: Path,
    *,
    engine: str = "transformers",
    model_id: str = "",
    max_concurrent: int = 128,
    max_total_tokens: int | None = None,
    dtype: str = "auto",
    device: str = "auto",
    gpus: int = 1,
) -> Service:
    """Load a converted checkpoint. Raises ServingError.

    max_total_tokens: by default the model's positions, or as many as fit.
    """
    if engine not in ENGINES:
        raise ServingError(f"There is no engine {engine!r}: use --engine {' or '.join(ENGINES)}.")
    positions = read_config(folder).text_config.max_position_embeddings
    wanted = min(max_total_tokens, positions) if max_total_tokens else None
    build: Any = importlib.import_module(ENGINES[engine]).build
    prompts = Prompts(folder, wanted or positions)
    computing = build(folder, prompts.tokenizer, max_total_tokens=wanted, dtype=dtype, device=device, gpus=gpus)
    prompts.max_positions = min(prompts.max_positions, computing.max_total_tokens or positions)
    return Service(computing, prompts, model_id or folder.resolve().name, max_concurrent)


def _shared(request: GenerateParameters | ChatRequest) -> dict[str, Any]:
    """The fields of `Sampling` that both protocols have, with the values that stand for a missing one."""
    return {
        "temperature": request.temperature or 1.0,
        "top_k": request.top_k or 0,
        "top_p": request.top_p or 1.0,
        "repetition_penalty": request.repetition_penalty or 1.0,
        "frequency_penalty": request.frequency_penalty or 0.0,
        "seed": _seed(request.seed),
        "num_beams": request.num_beams or 1,
        "length_penalty": 1.0 if request.length_penalty is None else request.length_penalty,
        "stop": tuple(request.stop or ()),
    }


def _seed(given: int | None) -> int:
    return given if given is not None else secrets.randbits(63)
