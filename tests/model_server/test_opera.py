"""OPERA, on a constructed model that over-trusts a summary token, and on the tiny checkpoints."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import httpx
import pytest

torch = pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from serving import build, data_url  # noqa: E402
from tiny import SEARCHES, generated, searched  # noqa: E402
from torch import Tensor  # noqa: E402

from limner.model_server.opera import LARGEST, UNIT, Opera, over_trust, search  # noqa: E402
from limner.model_server.sampling import Sampling, processors  # noqa: E402
from limner.model_server.transformers_engine import SeenAttention  # noqa: E402
from limner.model_server.xcomposer.modeling import CACHE_NAME  # noqa: E402

pytestmark = pytest.mark.torch

END, SAID, SUMMARY, INVENTED, SEEN = 0, 1, 2, 3, 4
PLAIN = Opera(weight=0.0, threshold=10**6, early=1)


class OverTrusting:
    """After SUMMARY a run of INVENTED is likelier than one of SEEN, and attends to SUMMARY alone; ends at length 12."""

    def __init__(self) -> None:
        self.kept: list[list[int]] = []
        self.made: list[list[int]] = []
        self.reads = 0

    def logits(self, ids: list[int]) -> Tensor:
        odds = dict.fromkeys(range(5), 1e-6)
        if len(ids) >= 12:
            odds[END] = 1.0
        elif len(ids) < 3:
            odds[SAID] = 1.0
        elif SUMMARY not in ids:
            odds[SUMMARY] = 1.0
        else:
            odds |= {INVENTED: 0.7, SEEN: 0.3} if ids[-1] == SUMMARY else {ids[-1]: 1.0}
        return torch.tensor([math.log(p) for p in odds.values()])

    def row(self, ids: list[int], at: int) -> Tensor:
        row = torch.full((len(ids),), 0.001)
        row[at + 1 :] = 0.0
        trusts = ids[at] == INVENTED and SUMMARY in ids[:at]
        row[ids.index(SUMMARY) if trusts else 0] = 0.9
        return row

    def read(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        self.reads += 1
        self.kept = ids.tolist()
        rows = [torch.stack([self.row(s, n) for n in range(len(s))]) for s in self.kept]
        return torch.stack([self.logits(s) for s in self.kept]), torch.stack(rows)

    def go_on(self, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        self.made = [[*self.kept[p], t] for p, t in zip(parents.tolist(), tokens.tolist(), strict=True)]
        rows = [self.row(s, len(s) - 1) for s in self.made]
        return torch.stack([self.logits(s) for s in self.made]), torch.stack(rows)

    def keep(self, rows: Tensor) -> None:
        self.kept = [self.made[n] for n in rows.tolist()]


def found(opera: Opera, num_beams: int = 2) -> tuple[list[int], OverTrusting]:
    model = OverTrusting()
    prompt = torch.tensor([[SAID]])
    return search(model, prompt, opera, num_beams=num_beams, max_new_tokens=20, end_ids=[END]), model


def test_plain_beams_trust_the_summary() -> None:
    ids, model = found(PLAIN)
    assert ids == [SAID, SAID, SUMMARY, *[INVENTED] * 8, END]
    assert model.reads == 1


def test_the_penalty_alone_keeps_from_it() -> None:
    ids, model = found(replace(PLAIN, weight=1.0))
    assert ids == [SAID, SAID, SUMMARY, *[SEEN] * 8, END]
    assert model.reads == 1


def test_going_back_alone_leads_out_of_it() -> None:
    # One beam, so that nothing else can lead out of it.
    ids, model = found(replace(PLAIN, threshold=4), num_beams=1)
    assert ids == [SAID, SAID, SUMMARY, *[SEEN] * 8, END]
    assert model.reads == 2


def test_it_goes_back_only_so_often() -> None:
    """Where every way is over-trusting, the search still ends."""

    class Hopeless(OverTrusting):
        def row(self, ids: list[int], at: int) -> Tensor:
            row = super().row(ids, at)
            if SUMMARY in ids[: at + 1]:
                row[:] = 0.001
                row[ids.index(SUMMARY)] = 0.9
            return row

    model = Hopeless()
    opera = replace(PLAIN, threshold=4, rollbacks=2)
    ids = search(model, torch.tensor([[SAID]]), opera, num_beams=1, max_new_tokens=20, end_ids=[END])
    assert 1 < model.reads <= 1 + 2 * 3
    assert len(ids) <= 20
    assert ids


class OneStep:
    """Two tokens, of which the likelier attends to the prompt's text and the other to its image."""

    def read(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tensor([[math.log(0.6), math.log(0.4)]]), torch.eye(ids.shape[1])[None]

    def go_on(self, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.tensor([[0.8, 0.0, 0.2], [0.0, 0.8, 0.2]])[tokens]
        return torch.zeros(len(tokens), 2), rows

    def keep(self, rows: Tensor) -> None:
        pass


@pytest.mark.parametrize(("images", "first"), [([], 0), ([1], 1)])
def test_the_first_tokens_are_judged_by_the_images_they_look_at(images: list[int], first: int) -> None:
    prompt, places = torch.tensor([[0, 1]]), torch.tensor(images, dtype=torch.long)
    assert search(OneStep(), prompt, Opera(), num_beams=2, max_new_tokens=1, end_ids=[9], images=places) == [first]


class StockLlama:
    """A stock LLaMA as Attentive."""

    def __init__(self, model: Any) -> None:
        self.model, self.cache = model, None

    def read(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        out = self.model(input_ids=ids, use_cache=True, output_attentions=True)
        self.cache = out[CACHE_NAME]
        return out.logits[:, -1], out.attentions[-1].amax(dim=1)

    def go_on(self, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        self.keep(parents)
        known = {CACHE_NAME: self.cache}
        out = self.model(input_ids=tokens[:, None], use_cache=True, output_attentions=True, **known)
        return out.logits[:, -1], out.attentions[-1].amax(dim=1)[:, 0]

    def keep(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", SEARCHES, ids=lambda case: f"{case['seed']}: {case['returns']} returns")
def test_the_ids_of_the_published_code(case: dict[str, Any]) -> None:
    """On a random LLaMA of two layers; the images are places 3 to 8 of a random prompt."""
    model, prompt = searched(case)
    opera = Opera(case["candidates"], case["scale"], case["weight"], case["threshold"], rollbacks=case["candidates"])
    with torch.inference_mode():
        ids = search(
            StockLlama(model),
            prompt,
            opera,
            num_beams=case["num_beams"],
            max_new_tokens=case["max_new_tokens"],
            end_ids=[2],
            images=torch.arange(3, 9),
        )
    assert ids == case["opera"]


def test_a_columns_product() -> None:
    attention = torch.tensor([[[0.5, 0.0, 0.0], [0.4, 0.1, 0.0], [0.3, 0.02, 0.01]]])
    trust, place = over_trust(attention, 10.0)
    assert (float(trust), int(place)) == (pytest.approx(5 * 4 * 3 * UNIT, rel=2**-8), 0)  # half precision
    weak = torch.tensor([[[0.01, 0.0], [0.01, 0.02]]])
    trust, place = over_trust(weak, 10.0)
    assert (float(trust), int(place)) == (0.0, 0)  # no column is worth a half-precision number
    trust, place = over_trust(attention, 1e9)
    assert float(trust) == LARGEST


@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_without_its_remedies_it_is_beam_search(golden: Any, model: Any, penalty: float) -> None:
    """On the real model, with images, its cache and its processors: the same ids as `generate`."""
    for case in ("text_only", "one_image", "multi_image"):
        inputs = golden.prompt(case, model.config.image_token_id)
        ids = inputs["input_ids"]
        sampling = Sampling(max_new_tokens=12, num_beams=3, repetition_penalty=penalty)
        pixels = inputs.get("pixel_values")
        with torch.inference_mode(), SeenAttention(model, pixels) as decoder:
            answer = search(
                decoder,
                ids,
                replace(PLAIN, candidates=170),
                num_beams=3,
                max_new_tokens=12,
                end_ids=[2],
                processors=processors(sampling, ids.shape[1], model),
            )
        expected = generated(model, inputs, num_beams=3, repetition_penalty=penalty, eos_token_id=2)[0].tolist()
        assert answer == expected[: len(answer)]
        assert model.config.text_config._attn_implementation == "sdpa"  # put back


def test_it_is_asked_for_over_http(served: str) -> None:
    ask = {"inputs": f"A ![]({data_url()})", "parameters": {"max_new_tokens": 6, "details": True}}
    ask["parameters"] |= {"num_beams": 3, "opera": True}
    answer = httpx.post(f"{served}/generate", json=ask, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["details"]["generated_tokens"] <= 6
    chat = {"messages": [{"role": "user", "content": "A"}], "max_tokens": 4, "num_beams": 2, "opera": True}
    assert httpx.post(f"{served}/v1/chat/completions", json=chat, timeout=60).status_code == 200
    assert httpx.get(f"{served}/info").json()["decoding"]["opera"] == "transformers"
    ask["parameters"]["num_beams"] = 1
    refused = httpx.post(f"{served}/generate", json=ask, timeout=60)
    assert refused.status_code == 422
    assert "`opera` is beam search" in refused.json()["error"]


def test_a_search_that_nobody_waits_for_ends(chatting: Any) -> None:
    service, model = build(chatting)
    prompt = service.prompts.of_text("A heron")
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    assert list(model.run(prompt, Sampling(max_new_tokens=50, num_beams=2, opera=True), cancelled)) == []
    assert len(asked) < 10
