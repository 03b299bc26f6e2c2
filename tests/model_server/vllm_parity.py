"""One vLLM engine asked like the golden prompts, in a process of its own: engines do not share one well.

python vllm_parity.py FOLDER VERSION REQUEST ANSWER: REQUEST holds options for vllm.LLM and rounds of prompts; ANSWER
gets, per prompt, the ids it became, the logprobs at every place, and what was decoded.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # several test runs may share the machine
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "2",
}
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


def main(folder: Path, version: int, request: Path, answer: Path) -> None:
    from tiny import Golden
    from vllm import LLM, SamplingParams

    asked: dict[str, Any] = json.loads(request.read_text())
    golden = Golden(version)
    llm = LLM(str(folder), **OPTIONS | asked["options"])
    image = llm.model_config.hf_config.image_token_id
    known = asked["known_ids"]
    drawn = {"temperature": 0} if asked["seed"] is None else {"temperature": 2.0, "seed": asked["seed"]}
    params = SamplingParams(
        **drawn, max_tokens=12, logprobs=-1, ignore_eos=True, allowed_token_ids=list(range(known)),
        prompt_logprobs=-1 if asked["prompt_logprobs"] else None,
    )  # fmt: skip
    rounds = []
    for cases in asked["rounds"]:
        prompts: list[Any] = []
        for case in cases:
            inputs = golden.prompt(case, image)
            prompt: dict[str, Any] = {
                "prompt_token_ids": one_place_per_image(inputs["input_ids"][0].tolist(), image, golden.rows)
            }
            if "pixel_values" in inputs:
                prompt["multi_modal_data"] = {"image": [pixels.numpy() for pixels in inputs["pixel_values"]]}
            prompts.append(prompt)
        rounds.append([_told(out, known) for out in llm.generate(prompts, params, use_tqdm=False)])
    answer.write_text(json.dumps(rounds))


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
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
