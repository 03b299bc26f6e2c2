"""The base of limner's own rules of decoding: one class serves both of vLLM's model runners.

vLLM uses model runner V2 if Triton is installed, else V1, and decides only after the engine's arguments are set. Each
runner refuses processors of the other's interface, so a rule here implements both:

- V1 (`update_state`, `apply(logits)`) passes the ids of prompt and answer as lists on the host;
- V2 (`add_request`, `apply(logits, context)`) keeps all ids on the device, in a row per slot.

Source: vllm/v1/sample/logits_processor/interface.py, vllm/v1/worker/gpu/sample/logits_processor/interface.py.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor as LogitsProcessorV1
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as LogitsProcessorV2

PROCESSORS = [
    "limner.model_server.vllm_plugin.penalties:PublishedPenalties",
    "limner.model_server.vllm_plugin.grammars:GrammarRule",
]
"""For vLLM's engine argument `logits_processors`, in the order in which the transformers engine applies its own."""


class Rule(LogitsProcessorV1, LogitsProcessorV2):
    """A rule for the requests whose `SamplingParams.extra_args` contain its key.

    Subclasses make a state for such a request and change the logits of all of them at once.
    """

    def __init__(self, vllm_config: Any, *place: Any) -> None:
        """place: device and whether memory is pinned, from V1; a LogitsProcRequestState, from V2.

        Raises ValueError for speculative decoding, because a rule never sees the ids of its drafts.
        """
        if vllm_config.speculative_config:
            raise ValueError("limner's rules do not know speculative decoding: leave speculative_config out.")
        self.config: Any = vllm_config.model_config.hf_config
        self.slots: LogitsProcRequestState | None = place[0] if len(place) == 1 else None
        self.states: dict[int, Any] = {}
        """States by row of the batch (V1) or by slot (V2)."""

    @abstractmethod
    def state(self, params: Any, prompt: list[int] | None, generated: list[int] | None) -> Any | None:
        """Make the rule's state for a request; None if the request does not use the rule.

        prompt, generated: the request's ids, from V1; `generated` grows with the answer. None from V2.
        """

    @abstractmethod
    def apply_listed(self, logits: Tensor, rows: list[int], states: list[Any]) -> None:
        """Change those rows of logits (n, V) in place; the ids are in the states (V1)."""

    @abstractmethod
    def apply_slotted(self, logits: Tensor, rows: np.ndarray, slots: np.ndarray, context: LogitsContext) -> None:
        """Change those rows of logits (n, V) in place; the ids of each row are in its slot (V2)."""

    # -- both runners

    def apply(self, logits: Tensor, ctx: LogitsContext | None = None) -> Tensor:  # type: ignore[override]
        """logits: (n, V), float32. Returns the same tensor, changed."""
        if not self.states:
            return logits
        if ctx is None:
            self.apply_listed(logits, list(self.states), list(self.states.values()))
            return logits
        rows = np.flatnonzero([slot in self.states for slot in ctx.idx_mapping_np.tolist()])
        if len(rows):
            self.apply_slotted(logits, rows, ctx.idx_mapping_np[rows], ctx)
        return logits

    # -- V1

    def is_argmax_invariant(self) -> bool:
        """False: these rules change the choices of greedy decoding."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Update the states after rows were added, removed or moved."""
        process_dict_updates(self.states, batch_update, self.state)

    # -- V2

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Add the state of a request in a slot. Returns whether the rule applies to it."""
        self.states.pop(req_idx, None)
        state = self.state(sampling_params, None, None)
        if state is not None:
            self.states[req_idx] = state
        return state is not None


def on_device(values: Any, device: torch.device) -> Tensor:
    """Copy a small array to the device without waiting for it."""
    tensor = torch.as_tensor(np.asarray(values))
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
