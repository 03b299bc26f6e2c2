"""The compose graph against a served tiny checkpoint, in the sentences that the models were trained on.

Random weights answer nonsense, so one composition ends in an honest error. In the other a grammar holds the model to
the form of each answer, not to its content: it is the same model, its images and its tokens, over the same HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the model server has an environment of its own")
pytest.importorskip("transformers", reason="the model server has an environment of its own")

from serving import build, serving

import limner
from limner.model_server.engine import Finished, Token
from limner.model_server.grammar import Grammars
from limner.model_server.prompts import Prompt
from limner.model_server.sampling import Sampling
from limner.model_server.scheduler import OneAtATime
from limner.model_server.service import Service
from limner.model_server.transformers_engine import Transformers
from limner.settings import Settings

pytestmark = pytest.mark.torch

LINE = r"[A-Z][a-z]{2,9}( [a-z]{1,9}){3,9}\."
FORMS = [  # of answers, by how a prompt ends
    ("行是", r"<Seg0>, <Seg2>"),
    ('标题是"', r'[a-z]{3,8} [a-z]{3,8}"'),
    ("的图是", r"[A-D]"),
    (
        "",
        r"[A-Z][a-z]{2,9}( [a-z]{1,9}){3,9}\.\n[A-Z][a-z]{2,9}( [a-z]{1,9}){3,9}\.\n[A-Z][a-z]{2,9}( [a-z]{1,9}){3}\.",
    ),
]


class Formal(Transformers):
    """The engine, its answers held to a form. `heard` is every prompt: its end, its images, its beams."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        self.tokenizer, self.grammars = tokenizer, Grammars(tokenizer, self.end_ids)
        self.heard: list[tuple[str, int, int]] = []

    def run(self, prompt: Prompt, sampling: Sampling, cancelled: Callable[[], bool]) -> Iterator[Token | Finished]:
        text = self.tokenizer.decode([i for i in prompt.ids if i != self.model.config.image_token_id])
        form = next(f for end, f in FORMS if text.endswith(end))
        self.heard.append((text, len(prompt.pixels), sampling.num_beams))
        grammar = self.grammars.compile("regex", form)
        yield from super().run(
            prompt, replace(sampling, num_beams=1, repetition_penalty=1.0, grammar=grammar), cancelled
        )


def settings_for(url: str, version: int, home: Path, **extra: Any) -> Settings:
    return Settings(
        home=home, model_url=f"{url}/v1", dialect="xcomposer" if version == 1 else "xcomposer2", retries=0, **extra
    )


def test_an_article_is_composed_over_http(chatting: Path, version: int, bees: Path, home: Path) -> None:
    service, gated = build(chatting)
    formal = Formal(gated.model, service.prompts.tokenizer)
    with serving(Service(OneAtATime(formal), service.prompts, "tiny")) as url:
        article = limner.compose("Bees", library="bees", images=2, settings=settings_for(url, version, home))
    assert len(article.paragraphs) == 3
    assert [i.after for i in article.illustrations] == [article.paragraphs[0].id, article.paragraphs[2].id]
    assert [s.by for s in article.selections] == ["pixels", "pixels"]
    assert all(s.choice in {c.image_id for c in s.candidates} for s in article.selections)
    assert all(re.fullmatch("[a-z]{3,8} [a-z]{3,8}", s.spot.caption) for s in article.selections)
    chosen = [images for text, images, _ in formal.heard if text.endswith("的图是")]
    shown = [len(s.shown[0]) for s in article.selections]
    assert chosen == [shown[0], shown[1] + 1]  # the second sees the first's image too
    if version == 1:
        assert {beams for text, _, beams in formal.heard if not text.endswith('标题是"')} == {5}  # as published


def test_nonsense_is_told_as_such(served: str, version: int, bees: Path, home: Path) -> None:
    """An article, and a line for each thing that could not be read: the model's text, limner's places and choice."""
    article = limner.compose("Bees", library="bees", images=1, settings=settings_for(served, version, home))
    assert article.paragraphs
    assert len(article.illustrations) == 1
    assert [s.by for s in article.selections] == ["similarity"]
    assert any("spotter's answer could not be read twice" in note for note in article.notes)
    assert any("selector's answer could not be read twice" in note for note in article.notes)
