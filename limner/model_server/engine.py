"""The seam between the front and what computes: an engine answers prompts, as many at once as it can.

No HTTP and no tensors here. transformers_engine.py is the plain engine, one answer at a time; an engine that batches is
the same to the front.
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
    """The text that it adds to the answer: "" for a part of a character; for a special token, its own spelling."""
    logprob: float | None
    """Natural logarithm of the model's own probability; None for a prompt's first token, for image places, and where
    nobody asked (Sampling.top_n).
    """
    special: bool
    top: tuple[Token, ...] = ()
    """The likeliest tokens at its place, best first; their text is their own."""


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    reason: Reason
    text: str
    """The whole answer, before the stop sequence if one was found."""
    stop: str
    """The stop sequence that was found, or ""."""
    generated: int
    """Tokens, the one that ended it included."""
    prefill: tuple[Token, ...] = ()
    cached: int = 0
    """Tokens of the prompt that were not computed, because an earlier prompt began with them."""


@dataclass
class Job:
    """One answer that is wanted. The engine sets `started`."""

    prompt: Prompt
    sampling: Sampling
    queued: float = field(default_factory=time.perf_counter)
    """Seconds on the clock of perf_counter."""
    started: float = 0.0
    """On the same clock; 0 while it waits."""


class Engine(Protocol):
    """One model on one machine. Everything here is called on the event loop's thread."""

    @property
    def name(self) -> str:
        """As `--engine` takes it."""
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
        """Of prompt and answer, where it has a limit of its own."""
        ...

    @property
    def decoding(self) -> dict[str, str]:
        """Which engine does what: greedy, sampling, typical_p, grammar, beams, beams_with_images, each with its name.

        What is missing here is refused.
        """
        ...

    @property
    def healthy(self) -> bool:
        """Whether it can answer now. While it cannot, requests get 503 and `/health` is red."""
        ...

    @property
    def running(self) -> int:
        """Answers that are being made; others wait in the engine's queue."""
        ...

    async def start(self) -> None:
        """Begin to work. Called once."""
        ...

    async def close(self) -> None:
        """End: answers at work are broken off, nothing else is begun."""
        ...

    def answer(self, job: Job) -> AsyncGenerator[Token | Finished, None]:
        """Tokens as they come, then Finished; in its turn, first come, first served.

        Closing the generator, or cancelling the task that waits in it, ends the work: nobody wants it any more. Raises
        Refused (500 or 503) where the engine died or is closed; any other exception is this one answer's failure.
        """
        ...
