"""Equalities that must hold for any weights: batches, caches, orders, chunks; and what happens to wrong input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
transformers = pytest.importorskip("transformers", reason="the model server has an environment of its own")

from packaging.version import Version  # noqa: E402
from tiny import BEAMS, SEARCHES, Golden, gap, generated, searched  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers import AutoModel, AutoModelForImageTextToText, LlamaForCausalLM, LogitsProcessorList  # noqa: E402

from limner.model_server.beams import BeamSearch, Listed  # noqa: E402
from limner.model_server.xcomposer.decoding import PromptAsPublished, PublishedGenerationMixin  # noqa: E402
from limner.model_server.xcomposer.modeling import CACHE_NAME  # noqa: E402
from limner.model_server.xcomposer.partial_lora import add_partial_lora  # noqa: E402
from limner.model_server.xcomposer.splicing import expand_placeholders, splice  # noqa: E402

pytestmark = pytest.mark.torch


def unpadded(golden: Golden, model: Any, row: int) -> dict[str, Tensor]:
    """One row of the golden batch on its own."""
    inputs = golden.prompt("batch", model.config.image_token_id)
    real = inputs["attention_mask"][row].bool()
    ids = inputs["input_ids"][row][real][None]
    images = [int((r == model.config.image_token_id).sum()) // golden.rows for r in inputs["input_ids"]]
    first = sum(images[:row])
    alone = {"input_ids": ids}
    if images[row]:
        alone["pixel_values"] = inputs["pixel_values"][first : first + images[row]]
    return alone


@torch.no_grad()
def test_any_order_of_images_reads_the_right_rows(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("multi_image", model.config.image_token_id)
    mask = inputs["input_ids"] == model.config.image_token_id
    seen = []
    for order in permutations(range(len(inputs["pixel_values"]))):
        out = model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"][list(order)]).logits
        rows = model.get_image_features(inputs["pixel_values"]).pooler_output[list(order)].flatten(0, 1)
        embeds = model.get_input_embeddings()(inputs["input_ids"].masked_fill(mask, 0))
        embeds[mask] = rows
        assert gap(out, model(inputs_embeds=embeds, image_mask=mask).logits) <= 1e-5
        seen.append(out)
    assert all(gap(seen[0], other) > 1e-2 for other in seen[1:])  # the order does matter


@torch.no_grad()
def test_each_step_from_the_cache_equals_the_whole_pass(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("multi_image", model.config.image_token_id)
    answer = golden.io["multi_image.greedy_ids"]
    whole = model(input_ids=torch.cat([inputs["input_ids"], answer], dim=1), pixel_values=inputs["pixel_values"]).logits
    step = model(**inputs, use_cache=True)
    start = inputs["input_ids"].shape[1]
    assert gap(step.logits, whole[:, :start]) <= 1e-5
    for n in range(answer.shape[1]):
        step = model(input_ids=answer[:, n : n + 1], past_key_values=step[CACHE_NAME], use_cache=True)
        assert gap(step.logits[:, -1], whole[:, start + n]) <= 1e-5
        assert step[CACHE_NAME].get_seq_length() == start + n + 1


def test_a_cache_that_the_layers_do_not_get_is_an_error(golden: Golden, model: Any, monkeypatch: Any) -> None:
    """As with a transformers that calls it another name: without its cache each step would see one token only."""
    for layer in model.model.language_model.layers:
        attend = layer.self_attn.forward

        def without(*args: Any, attend: Any = attend, **kwargs: Any) -> Any:
            return attend(*args, **{k: v for k, v in kwargs.items() if k != CACHE_NAME})

        monkeypatch.setattr(layer.self_attn, "forward", without)
    inputs = golden.prompt("one_image", model.config.image_token_id)
    with pytest.raises(RuntimeError, match="another name than"):
        model(**inputs, use_cache=True)
    with pytest.raises(RuntimeError, match="another name than"):
        generated(model, inputs)
    model(**inputs, use_cache=False)


@pytest.mark.parametrize("options", [{}, {"repetition_penalty": 1.3}, "beams"], ids=["greedy", "penalty", "beams"])
def test_a_row_of_a_batch_equals_that_row_alone(golden: Golden, model: Any, options: Any) -> None:
    options = BEAMS[golden.version][1] if options == "beams" else options
    batch = generated(model, golden.prompt("batch", model.config.image_token_id), **options)
    alone = [generated(model, unpadded(golden, model, row), **options) for row in range(len(batch))]
    assert batch.tolist() == torch.cat(alone).tolist()


class PublishedLlama(PublishedGenerationMixin, LlamaForCausalLM):
    """A stock LLaMA that decodes as XComposer was published to."""


@pytest.mark.parametrize("case", SEARCHES, ids=lambda case: str(case["seed"]))
def test_beams_that_end_are_weighed_as_published(case: dict[str, Any]) -> None:
    model, prompt = searched(case, PublishedLlama)
    options = {"num_beams": case["num_beams"], "max_new_tokens": case["max_new_tokens"], "do_sample": False}
    out = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), **options)
    assert out[0, prompt.shape[1] :].tolist() == case["beams"]


def listing(logits: Any, count: int) -> Listed:
    """The likeliest next tokens. logits: (V,)."""
    found = torch.log_softmax(logits.float(), dim=-1).topk(min(count, len(logits)))
    return Listed(found.indices.tolist(), found.values.tolist(), count >= len(logits))


def search(ask: Callable[[tuple[int, ...]], Any], beams: BeamSearch, count: int) -> list[int]:
    """Run a search. ask: generated ids to logits (V,). count: of tokens listed at first."""
    while not beams.ended:
        logits = [ask(beam.ids) for beam in beams.running]
        listed = [listing(row, count) for row in logits]
        for n in beams.lacking(listed):
            listed[n] = listing(logits[n], len(logits[n]))
        beams.step(listed)
    return list(beams.best().ids)


@pytest.mark.parametrize("case", SEARCHES, ids=lambda case: f"{case['seed']}-{case['num_beams']}")
def test_a_search_over_listed_tokens_gives_the_published_ids(case: dict[str, Any]) -> None:
    """Though few are listed at first."""
    model, prompt = searched(case)

    def ask(ids: tuple[int, ...]) -> Any:
        with torch.inference_mode():
            return model(torch.tensor([[*prompt[0].tolist(), *ids]])).logits[0, -1]

    beams = BeamSearch(case["num_beams"], case["max_new_tokens"], frozenset([2]), frozenset([1]))
    assert search(ask, beams, 4) == case["beams"]


@pytest.mark.parametrize("case", ["one_image", "multi_image"])
def test_a_search_over_listed_tokens_gives_the_golden_ids(golden: Golden, model: Any, case: str) -> None:
    name, options = BEAMS[golden.version]
    inputs = golden.prompt(case, model.config.image_token_id)

    def ask(ids: tuple[int, ...]) -> Any:
        whole = torch.cat([inputs["input_ids"], torch.tensor([ids], dtype=torch.long)], dim=1)
        with torch.inference_mode():
            return model(**inputs | {"input_ids": whole}).logits[0, -1]

    penalty = options.get("repetition_penalty", 1.0)
    beams = BeamSearch(options["num_beams"], 12, frozenset([2]), frozenset([1]), penalty)
    assert search(ask, beams, 12) == golden.io[f"{case}.{name}_ids"][0].tolist()
    assert beams.finished[0][0] == pytest.approx(float(golden.io[f"{case}.{name}_score"]), abs=1e-4)


def test_beams_give_every_beam_the_whole_group_of_images(golden: Golden, model: Any) -> None:
    """Two rows, one with several images: repeating images one by one would mix them up."""
    image_id = model.config.image_token_id
    many, one = (golden.prompt(case, image_id) for case in ("multi_image", "one_image"))
    width = many["input_ids"].shape[1]
    padding = width - one["input_ids"].shape[1]
    ids = torch.cat([many["input_ids"], torch.nn.functional.pad(one["input_ids"], (padding, 0), value=2)])
    mask = torch.ones_like(ids)
    mask[1, :padding] = 0
    inputs = {
        "input_ids": ids,
        "attention_mask": mask,
        "pixel_values": torch.cat([many["pixel_values"], one["pixel_values"]]),
    }
    name, options = BEAMS[golden.version]
    expected = [golden.io[f"{case}.{name}_ids"][0].tolist() for case in ("multi_image", "one_image")]
    assert generated(model, inputs, **options).tolist() == expected


@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.23"),
    reason="before, images went to the first chunk alone",
)
def test_a_prompt_read_in_chunks_gives_the_same_answer(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("multi_image", model.config.image_token_id)
    ids = generated(model, inputs, prefill_chunk_size=7)
    assert ids.tolist() == golden.io["multi_image.greedy_ids"].tolist()


def test_sampling_follows_its_seed_and_its_limits(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("one_image", model.config.image_token_id)
    draws = []
    for seed in (1, 1, 2, 3):
        torch.manual_seed(seed)
        draws.append(generated(model, inputs, do_sample=True, temperature=2.0).tolist())
    assert draws[0] == draws[1]
    assert len({str(d) for d in draws}) > 1
    only = generated(model, inputs, do_sample=True, top_k=1)
    assert only.tolist() == golden.io["one_image.greedy_ids"].tolist()


@pytest.mark.parametrize("options", [{"no_repeat_ngram_size": 2}, {"encoder_repetition_penalty": 1.2}])
def test_processors_that_look_ids_up_never_meet_a_placeholder(golden: Golden, model: Any, options: dict) -> None:
    inputs = golden.prompt("multi_image", model.config.image_token_id)
    assert generated(model, inputs, **options).shape == (1, 12)


@torch.no_grad()
def test_penalty_shows_a_text_only_prompt_to_v2_alone(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("text_only", model.config.image_token_id)
    prompt = inputs["input_ids"]
    expected, ids = [], prompt
    for _ in range(12):
        logits = model(input_ids=ids).logits[:, -1]
        seen = ids if golden.version == 2 else torch.cat([torch.tensor([[1]]), ids[:, prompt.shape[1] :]], dim=1)
        score = logits.gather(1, seen)
        logits = logits.scatter(1, seen, torch.where(score < 0, score * 1.8, score / 1.8))
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
        expected.append(int(ids[0, -1]))
    assert generated(model, inputs, repetition_penalty=1.8).tolist() == [expected]


def test_what_processors_see_of_a_padded_batch() -> None:
    rule = PromptAsPublished(
        LogitsProcessorList(),
        prompt_length=4,
        image_token_id=9,
        bos_token_id=1,
        pad_token_id=2,
        shows_text_only_prompts=True,
    )
    ids = torch.tensor([[2, 1, 5, 6, 7], [1, 9, 9, 6, 7]])
    assert rule.visible(ids).tolist() == [[1, 1, 5, 6, 7], [1, 1, 1, 1, 7]]
    rule.shows_text_only_prompts = False
    assert rule.visible(ids).tolist() == [[1, 1, 1, 1, 7], [1, 1, 1, 1, 7]]
    assert ids[0, 0] == 2  # what came in is untouched


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@torch.no_grad()
def test_half_precision_stays_near_float32(golden: Golden, model: Any, converted: Any, dtype: Any) -> None:
    half = AutoModelForImageTextToText.from_pretrained(converted, dtype=dtype).eval()
    assert {p.dtype for p in half.parameters()} == {dtype}
    inputs = golden.prompt("multi_image", model.config.image_token_id)
    exact = model(**inputs).logits
    near = half(**{**inputs, "pixel_values": inputs["pixel_values"].to(dtype)}).logits
    bits = {torch.float16: 10, torch.bfloat16: 7}[dtype]
    # The spread of rounding over two layers; a wrong norm or a lost branch is whole units away.
    assert gap(near, exact) <= 64 * 2.0**-bits * exact.std().item()
    assert generated(half, {**inputs, "pixel_values": inputs["pixel_values"].to(dtype)}).shape == (1, 12)


@torch.no_grad()
def test_eager_and_sdpa_attention_agree(golden: Golden, model: Any, converted: Any) -> None:
    eager = AutoModelForImageTextToText.from_pretrained(converted, dtype=torch.float32, attn_implementation="eager")
    inputs = golden.prompt("batch", model.config.image_token_id)
    real = inputs["attention_mask"].bool()
    assert gap(eager.eval()(**inputs).logits[real], model(**inputs).logits[real]) <= 1e-4


@torch.no_grad()
def test_the_model_without_its_head(golden: Golden, model: Any, converted: Any) -> None:
    base = AutoModel.from_pretrained(converted, dtype=torch.float32).eval()
    inputs = golden.prompt("one_image", model.config.image_token_id)
    assert gap(base(**inputs).last_hidden_state, golden.io["one_image.hidden_2"]) <= 5e-5


def test_training_reaches_every_weight_that_the_prompt_uses(golden: Golden, converted: Any) -> None:
    trained = AutoModelForImageTextToText.from_pretrained(converted, dtype=torch.float32).eval()
    inputs = golden.prompt("one_image", trained.config.image_token_id)
    trained(**inputs, labels=golden.io["one_image.labels"]).loss.backward()
    without = [n for n, p in trained.named_parameters() if p.grad is None]
    assert all("post_layernorm" in n for n in without)
    assert golden.version == 2 or not without


# --- wrong input


def test_images_and_places_that_do_not_match(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("multi_image", model.config.image_token_id)
    count, rows = len(inputs["pixel_values"]), golden.rows
    with pytest.raises(ValueError, match=f"{count * rows} positions .* {rows} rows came from 1 images"):
        model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"][:1])
    with pytest.raises(ValueError, match=f"{count * rows} positions .* no image was given"):
        model(input_ids=inputs["input_ids"])
    with pytest.raises(ValueError, match=f"0 positions .* {rows} rows"):
        model(**golden.prompt("text_only", model.config.image_token_id), pixel_values=inputs["pixel_values"][:1])


def test_one_of_ids_and_embeddings(golden: Golden, model: Any) -> None:
    with pytest.raises(ValueError, match="one of them"):
        model()
    embeds = torch.zeros(1, 3, model.config.text_config.hidden_size)
    with pytest.raises(ValueError, match="Images go with input_ids"):
        model(inputs_embeds=embeds, pixel_values=golden.io["pixel_values"])


# --- the pure parts, in the packed shape of other engines


def test_placeholders_expand() -> None:
    assert expand_placeholders([1, 9, 5, 9], 9, 3, images=2) == [1, 9, 9, 9, 5, 9, 9, 9]
    with pytest.raises(ValueError, match="2 image places in the prompt, 3 images"):
        expand_placeholders([1, 9, 5, 9], 9, 3, images=3)


def test_splicing_and_partial_lora_take_packed_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 4, generator=generator)
    mask = torch.tensor([0, 1, 1, 0, 1, 1, 0]).bool()
    rows = torch.randn(2, 2, 4, generator=generator)
    spliced = splice(x, rows, mask)
    assert torch.equal(spliced[mask], rows.reshape(4, 4))
    assert torch.equal(spliced[~mask], x[~mask])
    a, b, out = (torch.randn(s, generator=generator) for s in ((2, 4), (3, 2), (7, 3)))
    added = add_partial_lora(out, x, mask, a, b, 2.0)
    assert torch.equal(added[~mask], out[~mask])
    assert gap(added[mask], out[mask] + 2.0 * x[mask] @ a.T @ b.T) <= 1e-5
