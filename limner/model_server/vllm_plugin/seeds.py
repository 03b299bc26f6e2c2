"""Seeded answers on a CPU, where vLLM 0.32 dies at the first whose prompt is read in chunks.

After each chunk vLLM draws a token, discards it, and moves the request's generator back by one draw, by its offset. CPU
generators have no offset, so `set_offset` raises and ends the engine with all its answers. One long prompt beside
others is enough. Here such a generator restarts at its seed instead, which is the same as long as no draw counted. Only
an answer that was preempted for lack of memory and read again then draws differently.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np


def mend() -> None:
    """Install the fix in a process that computes on a CPU; elsewhere do nothing. Safe to call again."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    whole = CPUModelRunner._bookkeeping_sync
    if getattr(whole, "_mended", False):
        return

    @functools.wraps(whole)
    def bookkeeping(self: Any, *args: Any, **kwargs: Any) -> Any:
        known = self.input_batch.generators
        discarded = np.nonzero(self.discard_request_mask.np[: self.input_batch.num_reqs])[0]
        set_back = {int(place): known.pop(int(place)) for place in discarded if int(place) in known}
        try:
            return whole(self, *args, **kwargs)
        finally:
            for generator in set_back.values():
                generator.manual_seed(generator.initial_seed())
            known |= set_back

    bookkeeping._mended = True  # type: ignore[attr-defined]
    CPUModelRunner._bookkeeping_sync = bookkeeping  # type: ignore[method-assign]
