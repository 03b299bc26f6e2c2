"""Both models against what the published code computes on the same tiny weights. Tolerances: golden/*/README.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from PIL import Image  # noqa: E402
from tiny import BEAMS, Golden, gap, generated  # noqa: E402

from limner.model_server.xcomposer import XComposerImageProcessor  # noqa: E402
from limner.model_server.xcomposer.layout_v2 import resize_position_table  # noqa: E402

pytestmark = pytest.mark.torch
CASES = ["text_only", "one_image", "multi_image"]


def raw_images(golden: Golden) -> list[np.ndarray]:
    return [golden.io[f"raw_image_{n}"].numpy() for n in range(len(golden.io["pixel_values"]))]


@pytest.mark.parametrize("as_pil", [True, False])
def test_pictures_become_the_published_pixels(golden: Golden, as_pil: bool) -> None:
    side = golden.io["pixel_values"].shape[-1]
    processor = XComposerImageProcessor(size={"height": side, "width": side})
    images = [Image.fromarray(i) if as_pil else i for i in raw_images(golden)]
    pixel_values = processor(images, return_tensors="pt")["pixel_values"]
    assert gap(pixel_values, golden.io["pixel_values"]) <= 1e-6


@torch.no_grad()
def test_images_become_the_published_rows(golden: Golden, model: Any) -> None:
    features = model.get_image_features(golden.io["pixel_values"])
    assert gap(features.pooler_output, golden.io["image_embeds"]) <= 2e-6
    tower = model.model.vision_tower(golden.io["pixel_values"], output_hidden_states=True)
    if golden.version == 1:
        assert gap(tower.hidden_states[-1], golden.io["vision_tower_output"]) <= 2e-5
        assert gap(features.last_hidden_state, golden.io["ln_vision_output"]) <= 2e-5
        queries = model.model.query_tokens.expand(len(features.pooler_output), -1, -1)
        sampled = model.model.perceive_sampler(
            query_embeds=queries, encoder_hidden_states=golden.io["ln_vision_output"]
        ).last_hidden_state
        assert gap(sampled, golden.io["qformer_output"]) <= 2e-5
    else:
        assert gap(features.last_hidden_state, golden.io["vision_hidden_last"]) <= 2e-5
        assert gap(features.last_hidden_state[:, 1:], golden.io["vision_tower_output"]) <= 2e-5


def test_position_table_is_resized_as_published() -> None:
    io = Golden(2).io
    side = round((len(io["position_embedding_resized"]) - 1) ** 0.5)
    resized = resize_position_table(io["position_embedding_original"], side)
    assert gap(resized, io["position_embedding_resized"]) <= 1e-6
    assert resize_position_table(resized, side) is resized


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_logits(golden: Golden, model: Any, case: str) -> None:
    out = model(**golden.prompt(case, model.config.image_token_id))
    assert gap(out.logits, golden.io[f"{case}.logits"]) <= 1e-4


@torch.no_grad()
def test_hidden_states_and_loss(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("one_image", model.config.image_token_id)
    out = model(**inputs, labels=golden.io["one_image.labels"], output_hidden_states=True)
    assert len(out.hidden_states) == 3
    for n, hidden in enumerate(out.hidden_states):
        assert gap(hidden, golden.io[f"one_image.hidden_{n}"]) <= 5e-5
    assert gap(out.loss.reshape(1), golden.io["one_image.loss"]) <= 1e-5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cache", [True, False], ids=["cached", "uncached"])
def test_greedy(golden: Golden, model: Any, case: str, cache: bool) -> None:
    ids = generated(model, golden.prompt(case, model.config.image_token_id), use_cache=cache)
    assert ids.tolist() == golden.io[f"{case}.greedy_ids"].tolist()


@pytest.mark.parametrize("case", ["one_image", "multi_image"])
def test_repetition_penalty_never_sees_the_prompt(golden: Golden, model: Any, case: str) -> None:
    ids = generated(model, golden.prompt(case, model.config.image_token_id), repetition_penalty=1.3)
    assert ids.tolist() == golden.io[f"{case}.greedy_rp_ids"].tolist()


@pytest.mark.parametrize("case", ["one_image", "multi_image"])
def test_beams(golden: Golden, model: Any, case: str) -> None:
    name, options = BEAMS[golden.version]
    inputs = golden.prompt(case, model.config.image_token_id)
    out = model.generate(
        **inputs, max_new_tokens=12, do_sample=False, return_dict_in_generate=True, output_scores=True, **options
    )
    assert out.sequences[:, inputs["input_ids"].shape[1] :].tolist() == golden.io[f"{case}.{name}_ids"].tolist()
    assert gap(out.sequences_scores, golden.io[f"{case}.{name}_score"]) <= 1e-4


@torch.no_grad()
def test_batch_padded_on_the_left(golden: Golden, model: Any) -> None:
    inputs = golden.prompt("batch", model.config.image_token_id)
    out = model(**inputs)
    real = inputs["attention_mask"].bool()
    assert gap(out.logits[real], golden.io["batch.logits"][real]) <= 1e-4
    assert generated(model, inputs).tolist() == golden.io["batch.greedy_ids"].tolist()
