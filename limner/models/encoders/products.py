"""Multiply the rows of a large table with queries: a matrix product, exact in float32, on all cores.

onnxruntime makes it, which MiniLM brings anyway. One product of numpy keeps all cores busy waiting for each other when
other programs use them too: 100,000 rows and 24 queries took 130 ms of processor time on one core, 206 to 335 on two,
and 78 in blocks that fit the cache, one per core at a time (bench/library.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from limner.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
else:  # a graph is built without it
    np = lazy("numpy")

BLOCK = 1024  # rows at once: 3 MB of 768 numbers
_TASK = 8 * BLOCK  # rows that a core takes at once
_COPIED = 0.75  # share of the rows up to which those that count are copied out of each block first
_MODEL = bytes.fromhex(  # ONNX, opset 13, floats: y (n, m) = MatMul(a (n, k), b (k, m))
    "08083a5b0a110a01610a016212017922064d61744d756c1201675a150a016112100a0e0801120a0a0312016e0a0312016b5a150a016212100a"
    "0e0801120a0a0312016b0a0312016d62150a017912100a0e0801120a0a0312016e0a0312016d42040a00100d"
)
_Item = TypeVar("_Item")


def product(queries: np.ndarray, table: np.ndarray, among: np.ndarray | None) -> np.ndarray:
    """(queries, rows) float32: each query (size,) times each row (size,) of the table, or of those among it.

    among: numbers of rows, ascending; None for all.
    """
    copied = among is not None and len(among) <= _COPIED * len(table)
    count = len(among) if copied and among is not None else len(table)
    if count <= BLOCK:
        rows = table[among] if copied else table
        scores = queries @ rows.T
        return scores if among is None or copied else scores[:, among]
    scores = np.empty((len(queries), count), np.float32)
    multiply, turned = _session(), np.ascontiguousarray(queries.T)

    def several(first: int) -> None:
        for start in range(first, min(count, first + _TASK), BLOCK):
            these = slice(start, start + BLOCK)
            rows = table[among[these]] if copied and among is not None else table[these]
            scores[:, these] = multiply.run(None, {"a": rows, "b": turned})[0].T

    on_all_cores(several, range(0, count, _TASK))
    return scores if among is None or copied else scores[:, among]


def on_all_cores(work: Callable[[_Item], Any], items: Iterable[_Item]) -> list[Any]:
    """The results of work that lets go of the interpreter, in order. Threads are made for each call, because they do
    not outlive a fork."""
    if (workers := cores()) < 2:
        return list(map(work, items))
    with ThreadPoolExecutor(workers) as threads:
        return list(threads.map(work, items))


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _session() -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # see encoders.MiniLM
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(_MODEL, options, providers=["CPUExecutionProvider"])
