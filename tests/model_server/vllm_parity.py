"""vLLM engines asked like the golden prompts, each in a process of its own: engines do not share one well.

python vllm_parity.py FOLDER VERSION REQUEST...: each REQUEST holds options for vllm.LLM, rounds of prompts, each with
its settings, and the name of a file; that gets, per prompt, the ids it became, the logprobs at every place, and what
was decoded; and how many addresses each tensor had that entered the decoder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # several test runs may share the machine
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}
RUNNER_V2 = {
    "VLLM_USE_V2_MODEL_RUNNER": "1",
    "TRITON_INTERPRET": "1",
    "PYTHONPATH": str(Path(__file__).parent / "triton_interpreter"),
}
"""Model runner V2, which vLLM takes on GPUs, its kernels interpreted."""
OPTIONS = {
    "enforce_eager": True,
    "dtype": "float32",
    "max_model_len": 256,
    "max_num_seqs": 8,
    "max_logprobs": -1,
    "block_size": 32,
    "limit_mm_per_prompt": {"image": 8},
    "disable_log_stats": True,
}


def one_place_per_image(ids: list[int], image: int, rows: int) -> list[int]:
    """A prompt as a client writes it, from one whose places are repeated per row."""
    out, n = [], 0
    while n < len(ids):
        out.append(ids[n])
        n += rows if ids[n] == image else 1
    return out


class Addresses:
    """Where the tensors lie that enter the decoder: what CUDA graphs would replay."""

    def __init__(self) -> None:
        self.seen: dict[str, set[int]] = {}

    def watch(self, model: Any) -> None:
        """Look at every call of the decoder from here on."""
        kind = type(model.language_model.model)
        call: Callable[..., Any] = kind.__call__

        def watched(decoder: Any, *args: Any, **kwargs: Any) -> Any:
            for name, value in [*((str(n), v) for n, v in enumerate(args)), *kwargs.items()]:
                if hasattr(value, "data_ptr"):
                    self.seen.setdefault(name, set()).add(value.data_ptr())
            return call(decoder, *args, **kwargs)

        kind.__call__ = watched  # type: ignore[method-assign]


def main(folder: Path, version: int, requests: list[Path]) -> None:
    """Fork a process per request, when vLLM is imported: that takes as long as all that an engine is asked here."""
    import tiny  # noqa: F401
    import vllm.entrypoints.llm
    import vllm.v1.worker.cpu_worker  # noqa: F401

    for request in requests:
        if (child := os.fork()) == 0:
            answer(folder, version, json.loads(request.read_text()))
            return
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(f"{request.name}: exit code {code}")


def answer(folder: Path, version: int, asked: dict[str, Any]) -> None:
    from tiny import Golden
    from vllm import LLM, SamplingParams

    from limner.model_server.vllm_plugin.rules import PROCESSORS

    golden = Golden(version)
    llm = LLM(str(folder), **OPTIONS | {"logits_processors": PROCESSORS} | asked["options"])
    assert llm.llm_engine.vllm_config.use_v2_model_runner == ("VLLM_USE_V2_MODEL_RUNNER" in os.environ)
    addresses = Addresses()
    llm.apply_model(addresses.watch)
    image = llm.model_config.hf_config.image_token_id
    known = asked["known_ids"]

    def params(asked: dict[str, Any], penalty: float) -> Any:
        drawn = {"temperature": 0} if asked.get("seed") is None else {"temperature": 2.0, "seed": asked["seed"]}
        return SamplingParams(
            **drawn, max_tokens=12, logprobs=-1, ignore_eos=True,
            detokenize=False,  # else every logprob of every place gets its text: half of all the time
            allowed_token_ids=list(range(known)),
            prompt_logprobs=-1 if asked.get("prompt_logprobs", True) else None,
            extra_args={"repetition_penalty": penalty},
        )  # fmt: skip

    rounds = []
    for one in asked["rounds"]:
        if one.get("forgets"):
            assert llm.reset_prefix_cache()
        prompts, penalties = [], []
        for case in one["cases"]:
            case, _, penalty = case.partition(" x ")
            prompts.append(prompt_of(golden, case, image))
            penalties.append(params(one, float(penalty or 1)))
        rounds.append([_told(out, known) for out in llm.generate(prompts, penalties, use_tqdm=False)])
    counts = {name: len(found) for name, found in addresses.seen.items()}
    Path(asked["answer"]).write_text(json.dumps({"rounds": rounds, "addresses": counts}))


def prompt_of(golden: Any, case: str, image: int) -> dict[str, Any]:
    """A golden prompt as vLLM takes it."""
    inputs = golden.prompt(case, image)
    ids = one_place_per_image(inputs["input_ids"][0].tolist(), image, golden.rows)
    prompt: dict[str, Any] = {"prompt_token_ids": ids}
    if "pixel_values" in inputs:
        prompt["multi_modal_data"] = {"image": [pixels.numpy() for pixels in inputs["pixel_values"]]}
    return prompt


def _told(out: Any, known: int) -> dict[str, Any]:
    def row(place: Any) -> list[float]:
        return [place[i].logprob for i in range(known)]

    return {
        "ids": out.prompt_token_ids,
        "prompt": [row(place) for place in (out.prompt_logprobs or [])[1:]],
        "generated": list(out.outputs[0].token_ids),
        "steps": [row(place) for place in out.outputs[0].logprobs],
        "cached": out.num_cached_tokens,
    }


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
