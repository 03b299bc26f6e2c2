"""How fast this machine would run a larger model: the embedded one is measured, and scaled by the bytes of weights."""

from __future__ import annotations

from typing import NamedTuple

from limner.errors import LimnerError
from limner.workflows.embedded.server import EmbeddedServer

_READ, _WRITE = 300, 24  # tokens of the measured prompt, roughly, and of its answer
_SECONDS = 60


class Speed(NamedTuple):
    """Tokens a second, on the processor."""

    reads: float
    writes: float

    def __str__(self) -> str:
        return f"reads about {_round(self.reads)} tokens a second and writes about {_round(self.writes)}"


def expected(weights: int, threads: int = 0) -> Speed | None:
    """The speed to expect of a model with `weights` bytes; None where the embedded model does not run.

    Both kinds of work grow with the weights: each written token reads all of them, each read token multiplies by all of
    them. By how much other layers and other kinds of numbers differ was not measured, so it is a rough guide.
    """
    import httpx

    try:
        with EmbeddedServer(threads=threads) as server:
            body = {
                "messages": [{"role": "user", "content": "The bees fly home. " * (_READ // 5)}],
                "max_tokens": _WRITE,
                "logit_bias": [[2, False]],  # never the end-of-message token
            }
            headers = {"Authorization": f"Bearer {server.api_key}"}
            with httpx.Client(trust_env=False, timeout=_SECONDS) as client:
                timings = client.post(f"{server.url}/chat/completions", json=body, headers=headers).json()["timings"]
            scale = server.path.stat().st_size / max(1, weights)
        return Speed(timings["prompt_per_second"] * scale, timings["predicted_per_second"] * scale)
    except (LimnerError, httpx.HTTPError, KeyError, TypeError, ValueError):
        return None


def _round(number: float) -> str:
    return f"{number:.0f}" if number >= 2 else f"{number:.1f}"
