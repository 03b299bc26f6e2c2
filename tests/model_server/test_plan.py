"""What fits, against sums done by hand from the published sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from limner.model_server.errors import ServingError
from limner.model_server.plan import cache_per_token, fits, published, read_memory, report, sizes

pytestmark = pytest.mark.torch

GIB = 2**30
# Per layer: q, k, v, o; gate, up, down. Then 32 layers.
V1_LINEAR = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
V2_LINEAR = 32 * (
    (4096 + 2 * 1024 + 4096) * 4096
    + 3 * 4096 * 14336
    + 256 * ((4096 + 6144) + (4096 + 4096) + 2 * (4096 + 14336) + (14336 + 4096))  # partial LoRA of rank 256
)


def test_parameters_of_v1() -> None:
    model = sizes(published("internlm-xcomposer-7b"))
    assert model.linear == V1_LINEAR == 6_476_005_376
    assert model.tables == 2 * 103168 * 4096
    # Published: 8.80 G with 381.7 M of LoRA, which conversion merges.
    assert model.parameters == pytest.approx(8.80e9 - 381.7e6, rel=1e-3)
    assert sizes(published("internlm-xcomposer-vl-7b")).parameters == model.parameters + 2 * 2 * 4096


def test_parameters_of_v2() -> None:
    model = sizes(published("internlm-xcomposer2-7b"))
    assert model.linear == V2_LINEAR
    assert model.tables == 2 * 92544 * 4096
    assert model.parameters == pytest.approx(8.67e9, rel=1e-3)  # published
    rows = 35 * 35 - 16 * 16  # of the larger picture's position table
    assert sizes(published("internlm-xcomposer2-vl-7b")).parameters == model.parameters + rows * 1024


@pytest.mark.parametrize(
    ("name", "per_token", "tokens", "articles"),
    [
        # v1: 2 (k and v) x 32 layers x 32 heads x 128 x 2 bytes = 512 KiB; 1 GiB an article; (72 - 15.68) GiB / 1 GiB
        ("internlm-xcomposer-7b", 512 * 1024, 2048, 56),
        # v2: 8 heads, 128 KiB; 4096 tokens are 0.5 GiB; (72 - 16.14) GiB / 0.5 GiB
        ("internlm-xcomposer2-7b", 128 * 1024, 4096, 111),
    ],
)
def test_articles_on_80_gib(name: str, per_token: int, tokens: int, articles: int) -> None:
    model = sizes(published(name))
    assert cache_per_token(model, 1) == per_token
    fit = {f.precision: f for f in fits(model, 1, 80 * GIB, tokens)}["bfloat16"]
    assert fit.weights == 2 * model.parameters
    assert fit.cache == round(0.9 * 80 * GIB) - fit.weights
    assert fit.articles == articles


def test_fp8_leaves_partial_lora_as_it_is() -> None:
    """vLLM quantises the layers that it knows; the branches beside them are limner's."""
    model = sizes(published("internlm-xcomposer2-7b"))
    branches = 32 * 256 * ((4096 + 6144) + (4096 + 4096) + 2 * (4096 + 14336) + (14336 + 4096))
    assert model.branches == branches
    assert branches == pytest.approx(604e6, rel=1e-3)  # published
    fit = {f.precision: f for f in fits(model, 1, 80 * GIB, 4096)}["fp8"]
    assert fit.weights == (V2_LINEAR - branches) + 2 * (branches + model.tables + model.whole)
    assert sizes(published("internlm-xcomposer-7b")).branches == 0  # merged


def test_the_longest_prompt_that_fits_is_told() -> None:
    """bfloat16 on a card of 24 GB: 21.6 GB less 17.34 GB of weights and 1 GiB for a step, by 128 KiB a token."""
    model = sizes(published("internlm-xcomposer2-7b"))
    fit = {f.precision: f for f in fits(model, 1, 24 * 10**9, 4096)}["bfloat16"]
    assert fit.longest == (21_600_000_000 - 2 * model.parameters - GIB) // (128 * 1024) // 16 * 16
    assert 4096 < fit.longest < model.positions == 32768
    lines = report("internlm-xcomposer2-7b", 1, "24GB", 1)
    assert f" {fit.longest} " in next(line for line in lines if line.startswith("bfloat16"))
    assert fits(model, 1, 12 * 10**9, 4096)[1].longest == 0
    assert fits(model, 1, 80 * 10**9, 4096)[1].longest == 32768


def test_no_precision_is_offered_that_nothing_makes() -> None:
    from limner.model_server.plan import PRECISIONS

    assert set(PRECISIONS) == {"float32", "bfloat16", "fp8"}
    assert "4 bits are not supported" in report("internlm-xcomposer2-7b", 1, "24GB", 1)[-1]


def test_two_gpus_share_the_decoder_and_not_the_eyes() -> None:
    model = sizes(published("internlm-xcomposer-7b"))
    one, two = (fits(model, n, 24 * GIB, 2048)[1] for n in (1, 2))
    assert two.weights == (2 * (model.linear + model.tables)) // 2 + 2 * model.whole
    assert one.articles < two.articles
    assert cache_per_token(model, 2) * 2 == cache_per_token(model, 1)
    assert cache_per_token(sizes(published("internlm-xcomposer2-7b")), 16) == 2 * 32 * 128 * 2  # 8 heads: one on each


def test_what_does_not_fit_is_said() -> None:
    lines = report("internlm/internlm-xcomposer-7b", 1, "12GiB", 4)
    assert next(line for line in lines if line.startswith("bfloat16")).split()[-3:] == ["does", "not", "fit"]
    lines = report("internlm-xcomposer-7b", 1, "24GiB", 16)
    assert next(line for line in lines if line.startswith("bfloat16")).endswith("waits in turn")


def test_a_converted_folder_is_read(chatting: Path) -> None:
    assert "parameters" in report(str(chatting), 1, "1GiB", 1)[0]


def test_amounts_of_memory() -> None:
    assert read_memory("80GiB") == read_memory("80 gib") == 80 * GIB
    assert read_memory("24GB") == 24 * 10**9
    for wrong in ("", "80 bees", "0GiB", "-1", "1e9"):
        with pytest.raises(ServingError, match="is no amount of memory"):
            read_memory(wrong)


def test_heads_that_cannot_be_split() -> None:
    with pytest.raises(ServingError, match=r"32 attention heads cannot be split over 3 GPUs: use --gpus \[1, 2, 4"):
        report("internlm-xcomposer-7b", 3, "80GiB", 1)
    with pytest.raises(ServingError, match="No checkpoint in"):
        report("internlm-xcomposer-8b", 1, "80GiB", 1)
