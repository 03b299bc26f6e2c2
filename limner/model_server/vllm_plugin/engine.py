"""The vllm engine: many answers at once, over vLLM's AsyncLLM, whose model runs in a separate process.

Beams are vLLM requests, too: search.py. If the process dies, its answers fail and it is restarted.

LIMNER_VLLM, a JSON object, sets vLLM's own engine arguments, e.g. {"gpu_memory_utilization": 0.8}. On a CPU the
variable VLLM_CPU_KVCACHE_SPACE limits the cache of keys and values, in GiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import time
from collections.abc import AsyncGenerator
from importlib import metadata
from pathlib import Path
from typing import Any

from limner.model_server.engine import Finished, Job, Token
from limner.model_server.errors import Refused, ServingError, reason
from limner.model_server.reply import Reply, Vocabulary
from limner.model_server.transformers_engine import read_config
from limner.model_server.vllm_plugin.requests import Requests, chosen
from limner.model_server.vllm_plugin.search import Beams

log = logging.getLogger(__name__)

ARGUMENTS = "LIMNER_VLLM"
PLUGIN = "limner_xcomposer"
MAX_AT_ONCE = 64
"""Answers in one batch, unless LIMNER_VLLM says otherwise."""
ON_A_CPU = {
    # Return a step's memory when it ends; malloc would keep every tensor under 32 MiB that any step ever needed. Huge
    # pages recover most of the cost of allocating it again. Source: the GNU C Library's manual, "Memory Allocation
    # Tunables".
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4194304",
    # oneDNN compiles a program per shape and keeps 1 024 of them, some 270 MB; every layer also keeps its last 32.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}
"""Variables for vLLM's processes that keep their memory from growing; the environment's own values win. Savings and
costs are in bench/model_server.md.
"""
WATCH_SECONDS = 0.5
"""Seconds between two checks of the process."""
RETRY_SECONDS = (1.0, 5.0, 30.0)
"""Seconds before each further try to restart it; the last one repeats."""


def build(
    folder: Path, tokenizer: Any, *, max_total_tokens: int | None, dtype: str, device: str, gpus: int = 1
) -> VLLM:
    """Build the engine of a converted checkpoint and start its process. Raises ServingError."""
    engine = VLLM(folder, tokenizer, engine_arguments(folder, max_total_tokens, dtype, device, gpus))
    try:
        engine.load()
    except (RuntimeError, ValueError, OSError) as error:
        raise ServingError(f"vLLM does not start ({reason(error)}): what it wrote above says why.") from None
    return engine


def engine_arguments(
    folder: Path, max_total_tokens: int | None, dtype: str, device: str, gpus: int = 1
) -> dict[str, Any]:
    """vLLM's engine arguments for a checkpoint. max_total_tokens: None for as many as fit beside the weights.

    Raises ServingError for an unsuitable machine or setting.
    """
    here = prepared(device)
    from limner.model_server.vllm_plugin.rules import PROCESSORS

    config = read_config(folder)
    longest = max_total_tokens or config.text_config.max_position_embeddings
    arguments: dict[str, Any] = {
        "model": str(folder),
        "dtype": "float32" if dtype == "auto" and here == "cpu" else dtype,
        "max_model_len": max_total_tokens or -1,  # -1 lets vLLM measure what fits
        "tensor_parallel_size": gpus,
        "max_num_seqs": MAX_AT_ONCE,
        "max_logprobs": -1,  # beams may need all of them; the front limits what clients may request
        "limit_mm_per_prompt": {"image": max(longest // config.rows_per_image, 1)},
        # Images arrive as prepared pixels. vLLM would cache 4 GiB of them; it caches their features and prefixes by
        # hash in any case.
        "mm_processor_cache_gb": 0,
        "enforce_eager": here == "cpu",
        "enable_prefix_caching": True,
        "logits_processors": PROCESSORS,
        "disable_log_stats": True,
    }
    return arguments | _own_arguments()


def prepared(device: str) -> str:
    """Set vLLM's variables for this machine; returns vLLM's type of device.

    Raises ServingError if vLLM or limner's plug-in is missing, or vLLM uses another device.
    """
    if not metadata.entry_points(group="vllm.general_plugins", name=PLUGIN):
        raise ServingError("vLLM cannot find limner's models: install limner (pip install -e .) beside vLLM.")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_WORKER_MULTIPROCESSING_METHOD", "spawn")  # forking threads of torch can hang
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise ServingError(f"vLLM is not installed ({error}): install it, or use --engine transformers.") from None
    here = str(current_platform.device_type)
    if here == "cpu":
        for name, value in ON_A_CPU.items():
            os.environ.setdefault(name, value)
    if device not in ("auto", here):
        raise ServingError(f"This vLLM computes on {here or 'nothing'}, not on {device}: leave --device out.")
    return here


def _own_arguments() -> dict[str, Any]:
    text = os.environ.get(ARGUMENTS, "").strip() or "{}"
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ServingError(f"{ARGUMENTS} is not JSON ({error}): set it to an object, or to nothing.") from None
    if not isinstance(given, dict):
        raise ServingError(f"{ARGUMENTS} must be a JSON object of vLLM's engine arguments.")
    return given


class VLLM:
    """An Engine with continuous batching and a prefix cache."""

    name = "vllm"

    def __init__(self, folder: Path, tokenizer: Any, arguments: dict[str, Any]) -> None:
        """arguments: vLLM's engine arguments. Call `load` before anything else."""
        config = read_config(folder)
        ends = config.eos_token_id
        with contextlib.suppress(OSError):
            from transformers import GenerationConfig

            ends = GenerationConfig.from_pretrained(folder).eos_token_id
        self.end_ids: list[int] = list(ends) if isinstance(ends, list) else [ends]
        self._arguments = arguments
        self._vocabulary = Vocabulary(tokenizer, self.end_ids, config.image_token_id)
        self._requests = Requests(config, self._vocabulary, self.end_ids)
        self._llm: Any = None
        self._closed = False
        self._numbers = itertools.count()
        self._slots = asyncio.Semaphore(arguments["max_num_seqs"])
        self._running = 0
        self._watcher: asyncio.Task[None] | None = None

    def load(self) -> None:
        """Start vLLM's process; blocks until the model is loaded. Raises RuntimeError, ValueError, OSError."""
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**self._arguments))

    # -- properties

    @property
    def device(self) -> str:
        return str(self.vllm_config.device_config.device_type)

    @property
    def dtype(self) -> str:
        return str(self._llm.model_config.dtype).removeprefix("torch.")

    @property
    def vllm_config(self) -> Any:
        """vLLM's configuration, from its arguments."""
        return self._llm.vllm_config

    @property
    def max_total_tokens(self) -> int:
        return self._llm.model_config.max_model_len

    @property
    def decoding(self) -> dict[str, str]:
        return dict.fromkeys(("greedy", "sampling", "grammar", "beams", "beams_with_images"), self.name)

    @property
    def healthy(self) -> bool:
        return self._watcher is not None and not self._closed and not self._llm.errored

    @property
    def running(self) -> int:
        return self._running

    # -- start and end

    async def start(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        self._closed = True
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._llm.output_handler:  # else it reports the end of the process as a failure
            self._llm.output_handler.cancel()
        await asyncio.to_thread(self._llm.shutdown)

    async def _watch(self) -> None:
        """Restart the process whenever it has died."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._llm.errored:
                await self._restart()

    async def _restart(self) -> None:
        for pause in itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1])):
            log.error("vLLM's process has died; starting it again")
            dead = self._llm
            try:
                await asyncio.to_thread(dead.shutdown)
                await asyncio.to_thread(self.load)
                log.error("vLLM is back")
                return
            except (RuntimeError, ValueError, OSError):
                log.exception("vLLM did not start; again in %s seconds", pause)
                await asyncio.sleep(pause)

    # -- answers

    async def answer(self, job: Job) -> AsyncGenerator[Token | Finished, None]:
        if not self.healthy:
            raise Refused("unhealthy: the engine is not there. Try again later.", "healthcheck")
        async with self._slots:
            job.started = time.perf_counter()
            self._running += 1
            try:
                beams = Beams(self._generate, self._requests, self._vocabulary, job)
                made = beams.answer() if job.sampling.num_beams > 1 else self._stream(job)
                async with contextlib.aclosing(made) as events:
                    async for event in events:
                        yield event
            finally:
                self._running -= 1

    async def _generate(self, prompt: dict[str, Any], params: Any) -> AsyncGenerator[Any, None]:
        """vLLM's outputs for one request. Raises Refused if its process died or it refuses the request."""
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        outputs = self._llm.generate(prompt, params, f"limner-{next(self._numbers)}")
        try:
            async with contextlib.aclosing(outputs):
                async for output in outputs:
                    yield output
        except EngineDeadError:
            raise Refused(
                "Incomplete generation: the engine's process died and is being started again. Try again.",
                "incomplete_generation",
            ) from None
        except VLLMClientError as error:
            raise Refused(reason(error)) from None

    async def _stream(self, job: Job) -> AsyncGenerator[Token | Finished, None]:
        """Yield vLLM's output as tokens; at the first token that ends the answer, stop and end the work."""
        reply, prefill, cached = Reply(self._vocabulary, job.sampling), (), 0
        outputs = self._generate(self._requests.prompt(job.prompt), self._requests.params(job))
        async with contextlib.aclosing(outputs):
            async for output in outputs:
                cached = output.num_cached_tokens or cached
                if output.prompt_logprobs and not prefill:
                    prefill = self._requests.prefill(job.prompt, output.prompt_logprobs)
                made = output.outputs[0]
                with_logprobs = job.sampling.top_n is not None
                places = made.logprobs if with_logprobs else itertools.repeat(None, len(made.token_ids))
                for token, place in zip(made.token_ids, places, strict=True):
                    self._requests.check(token)
                    yield reply.add(chosen(token, place, job.sampling.top_n or 0))
                    if reply.ended:
                        yield reply.finished(prefill, cached)
                        return
        yield reply.finished(prefill, cached)
