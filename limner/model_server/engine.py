"""The interface between the HTTP front and an engine, which answers as many prompts at once as it can.

There is no HTTP and no tensor here. transformers_engine.py is the plain engine, with one answer at a time; the front
treats an engine that batches alike.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from limner.model_server.prompts import Prompt
    from limner.model_server.sampling import Sampling

Reason = Literal["length", "eos_token", "stop_sequence"]


@dataclass(frozen=True)
class Token:
    """One token of an answer, or of a prompt."""

    id: int
    text: str
    """The text that it adds to the answer: "" for a part of a character; a special token's own spelling."""
    logprob: float | None
    """Natural logarithm of the model's own probability; None for a prompt's first token, for image places, and if not
    requested (Sampling.top_n).
    """
    special: bool
    top: tuple[Token, ...] = ()
    """The likeliest tokens at its position, best first, each with its own text."""


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    reason: Reason
    text: str
    """The whole answer, up to the stop sequence if one was found."""
    stop: str
    """The stop sequence that was found, or ""."""
    generated: int
    """Number of tokens, including the one that ended it."""
    prefill: tuple[Token, ...] = ()
    cached: int = 0
    """Prompt tokens that came from the cache, because an earlier prompt began with them."""


@dataclass
class Job:
    """A requested answer. The engine sets `started`."""

    prompt: Prompt
    sampling: Sampling
    queued: float = field(default_factory=time.perf_counter)
    """Seconds on the clock of perf_counter."""
    started: float = 0.0
    """On the same clock; 0 while it waits."""


class Engine(Protocol):
    """One model on one machine. Call every method on the event loop's thread."""

    @property
    def name(self) -> str:
        """Its name for `--engine`."""
        ...

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        ...

    @property
    def dtype(self) -> str:
        """ "float32", "bfloat16" or "float16"."""
        ...

    @property
    def end_ids(self) -> list[int]:
        """Tokens that end an answer."""
        ...

    @property
    def max_total_tokens(self) -> int | None:
        """Limit of the tokens of prompt and answer, None without a limit of its own."""
        ...

    @property
    def decoding(self) -> dict[str, str]:
        """The supported decoding methods, greedy, sampling, typical_p, grammar, beams, beams_with_images, each with the
        engine's name for it.

        Missing ones are refused.
        """
        ...

    @property
    def healthy(self) -> bool:
        """Whether it can answer now. While it cannot, requests get 503 and `/health` fails."""
        ...

    @property
    def running(self) -> int:
        """Number of running answers; others wait in the engine's queue."""
        ...

    async def start(self) -> None:
        """Start. Called once."""
        ...

    async def close(self) -> None:
        """Stop: break off running answers and start no others."""
        ...

    def answer(self, job: Job) -> AsyncGenerator[Token | Finished, None]:
        """Yield tokens as they come, then Finished; first come, first served.

        Closing the generator, or cancelling the task that waits in it, stops the work. Raises Refused (500 or 503) if
        the engine died or is closed; any other exception is the failure of this answer only.
        """
        ...
