"""The published configurations, weight indexes and tokenizers, as they are, from shared/real beside the repository.

Names, shapes and bytes of the 7B models at true size, built without memory; and the golden prompts, token by token.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from test_xcomposer_text import flat, transcripts  # noqa: E402
from transformers import AutoModelForImageTextToText  # noqa: E402

from limner.model_server.convert import (  # noqa: E402
    Plan,
    check_keys,
    convert,
    make_plan,
    refuse_unsupported,
    tokenizer_of,
    write_rest,
)
from limner.model_server.errors import ConversionError  # noqa: E402
from limner.model_server.prompts import Prompts  # noqa: E402
from limner.model_server.protocol import ChatTemplateKwargs, Message  # noqa: E402
from limner.model_server.xcomposer import XComposer2Config, layout_v2  # noqa: E402
from limner.model_server.xcomposer.layout import Layout  # noqa: E402

REAL = Path(__file__).parents[2].parent / "shared" / "real"
pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not REAL.is_dir(), reason="needs shared/real beside the repository"),
]
BYTES = {"xcomposer_v1": 18_577_196_288, "xcomposer_vl": 18_577_229_056}


def published(name: str) -> dict[str, Any]:
    return json.loads((REAL / name / "config.json").read_text("utf-8"))


def plan_of(version: int) -> Plan:
    """Of the published model; v2's configuration is ours, since its config.json is not at hand."""
    if version == 1:
        return make_plan(published("xcomposer_v1"), {})
    config = XComposer2Config()
    return Plan(config, layout_v2.layout(config, {}), "xcomposer2", "XComposer2ForConditionalGeneration")


def bytes_of(key: str, shape: tuple[int, ...]) -> int:
    """As published: float16 for the decoder and the tower's large weights, float32 for what was trained besides."""
    if key.endswith("position_ids"):
        width = 8
    elif key.startswith("internlm_model."):
        width = 4 if ".lora_" in key else 2
    else:
        halves = (".proj.weight", ".proj.bias", "qkv.weight", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
        width = 2 if key.startswith("visual_encoder.") and key.endswith(halves) else 4
    return math.prod(shape) * width


@pytest.mark.parametrize("name", BYTES)
def test_every_key_of_the_published_index_is_accounted_for(name: str) -> None:
    plan = make_plan(published(name), {})
    index = json.loads((REAL / name / "pytorch_model.bin.index.json").read_text("utf-8"))
    known = {**plan.layout.unused, **plan.layout.sources}
    assert set(index["weight_map"]) <= set(known)
    unused = check_keys(plan.layout, {key: known[key] for key in index["weight_map"]})
    assert (len(index["weight_map"]), len(plan.layout.sources), len(unused)) == (1480, 1447, 33)
    assert sum(bytes_of(key, known[key]) for key in index["weight_map"]) == BYTES[name]
    assert index["metadata"]["total_size"] == BYTES[name]


@pytest.mark.parametrize("version", [1, 2])
def test_the_models_of_true_size_have_what_a_conversion_writes(version: int) -> None:
    plan = plan_of(version)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(plan.config)
    built = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    written = {target.name: target.shape for target in plan.layout.targets}
    assert written == built
    assert len(written) == {1: 1152, 2: 1006}[version]


@pytest.fixture(scope="module", params=[1, 2])
def prompts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Prompts]:
    """Version and prompts with the published tokenizer, written as a conversion writes them."""
    plan, folder = plan_of(request.param), tmp_path_factory.mktemp("published")
    source = REAL / {1: "xcomposer_v1", 2: "tokenizer_v2"}[request.param]
    write_rest(plan, folder, torch.float16, tokenizer_of(source, plan))
    return request.param, Prompts(folder, 32768)


def with_places(prompts: Prompts, ids: Any) -> list[int | None]:
    """Ids with None in place of each image."""
    image = prompts.processor.image_token_id
    return [None if i == image else i for i in ids]


def test_prompts_that_are_written_out_have_the_published_ids(prompts: tuple[int, Prompts]) -> None:
    version, made = prompts
    names = set()
    for name, (text, sequence) in transcripts(version).items():
        ids = made._tokenizing.ids(text, 32768, bos=True)
        if name != "second_turn":  # the published method tokenises its parts apart: below
            assert with_places(made, ids) == flat(sequence), name
            names.add(name)
    assert len(names) >= 8


def test_a_chat_of_v1_tokenises_questions_apart_as_published(prompts: tuple[int, Prompts]) -> None:
    version, made = prompts
    if version != 1:
        pytest.skip("v2's marks are tokens of their own")
    text, sequence = transcripts(1)["second_turn"]
    question = text.rpartition("<|User|>:")[2].partition("\n<TOKENS")[0]
    assert question.endswith("?")
    tail = flat(sequence)[-len(made.of_messages([Message(role="user", content=question)])) + 1 :]
    assert list(made.of_messages([Message(role="user", content=question)]).ids[1:]) == tail
    tokenizer = made.tokenizer
    begin, end = " <|User|>:", "\n<TOKENS_UNUSED_0>"
    for word in ("What is it?", "A heron.", "Stop!", "(a heron)", 'the "heron"', "It is:", "herons", ":) no", "/x"):
        apart = [i for part in (begin, word, end) for i in tokenizer.encode(part, add_special_tokens=False)]
        ids = list(made.of_messages([Message(role="user", content=word)]).ids)
        assert ids[1 : 1 + len(apart)] == apart, word
        joined = made.of_messages([Message(role="user", content=word)], ChatTemplateKwargs(joined=True))
        whole = tokenizer.encode(begin + word + end, add_special_tokens=False)
        assert list(joined.ids[1 : 1 + len(whole)]) == whole, word


def test_composition_asked_as_messages_has_the_published_ids(prompts: tuple[int, Prompts]) -> None:
    """As limner's dialects ask: a question, and the beginning of the answer."""
    version, made = prompts
    before, after = {
        1: (" <|User|>:", "\n<TOKENS_UNUSED_0> <|Bot|>:"),
        2: ("[UNUSED_TOKEN_146]user\n", "[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\n"),
    }[version]
    seen = 0
    for name, (text, sequence) in transcripts(version).items():
        question, mark, answer = text.removeprefix(before).partition(after)
        if not name.startswith("composition") or "<ImageHere>" in text or not mark or "UNUSED" in question:
            continue
        messages = [Message(role="user", content=question)]
        messages += [Message(role="assistant", content=answer)] if answer else []
        assert list(made.of_messages(messages, ChatTemplateKwargs(joined=True)).ids) == flat(sequence), name
        seen += 1
    assert seen >= 4


def test_relatives_that_are_not_supported_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"quantised copy.*not supported: convert"):
        convert(REAL / "xcomposer_v1_4bit", tmp_path / "out")
    for given in ({"_name_or_path": "internlm/internlm-xcomposer2d5-7b"}, {"_name_or_path": "x/XComposer2-4KHD-7b"}):
        with pytest.raises(ConversionError, match=r"into tiles; that is not supported.*xcomposer2-7b"):
            refuse_unsupported(tmp_path, given)
    with pytest.raises(ConversionError, match=r"plora_glb_GN belongs to .*not supported"):
        check_keys(Layout(()), {"plora_glb_GN": (1, 1, 4096)})
