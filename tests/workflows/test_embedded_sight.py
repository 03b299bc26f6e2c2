"""Pictures really pass through the embedded engine: SmolLM2's weights and a random projector, counted in tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from seeing import bytes_as_picture, picture, words
from tiny_llama import link, local
from tiny_projector import PICTURE_TOKENS, make_projector

from limner.agents.selector import sees_images
from limner.settings import Settings
from limner.workflows.context import Context
from limner.workflows.embedded.server import EmbeddedServer
from limner.workflows.estimate import steps
from limner.workflows.inputs import make_brief


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that sees nothing it understands, and its projector beside it."""
    folder = tmp_path_factory.mktemp("sight")
    link(folder / "sight.gguf")
    make_projector(folder / "mmproj-sight.gguf")
    return folder


@pytest.fixture(scope="module")
def server(files: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(local(files / "sight.gguf", files / "mmproj-sight.gguf"), threads=1) as server:
        yield server


def ask(server: EmbeddedServer, *parts: dict[str, Any]) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": list(parts)}], "max_tokens": 4, "temperature": 0}
    headers = {"Authorization": f"Bearer {server.api_key}"}
    return httpx.post(f"{server.url}/chat/completions", json=body, headers=headers, timeout=60)


def tokens(server: EmbeddedServer, *parts: dict[str, Any]) -> int:
    """Tokens of the prompt, as the engine counted them."""
    answer = ask(server, *parts)
    assert answer.status_code == 200, answer.text
    return answer.json()["usage"]["prompt_tokens"]


def test_each_picture_costs_its_tokens(server: EmbeddedServer) -> None:
    none = tokens(server, words("Look"))
    for count in (1, 2, 5):
        shown = [picture(colour) for colour in ("red", "blue", "green", "white", "black")[:count]]
        assert tokens(server, words("Look"), *shown) == none + count * PICTURE_TOKENS
    assert tokens(server, words("Look"), picture("red", (700, 300))) == none + PICTURE_TOKENS


def test_what_is_shown_changes_the_answer(server: EmbeddedServer) -> None:
    """The numbers behind the pictures reach the model, not only their places: other pictures, other likelihoods."""

    def likelihood(colour: str) -> float:
        content = [words("Look"), picture(colour)]
        body = {"messages": [{"role": "user", "content": content}], "max_tokens": 1, "logprobs": True, "temperature": 0}
        headers = {"Authorization": f"Bearer {server.api_key}"}
        answer = httpx.post(f"{server.url}/chat/completions", json=body, headers=headers, timeout=60).json()
        return answer["choices"][0]["logprobs"]["content"][0]["logprob"]

    assert likelihood("red") == pytest.approx(likelihood("red"), abs=1e-4)
    assert abs(likelihood("red") - likelihood("blue")) > 1e-3


def test_what_is_no_picture_is_refused_and_the_next_question_answered(server: EmbeddedServer) -> None:
    refused = ask(server, words("Look"), bytes_as_picture(b"no picture"))
    assert refused.status_code == 400
    assert "Failed to load image" in refused.json()["error"]["message"]
    assert tokens(server, words("Look"), picture("red")) > PICTURE_TOKENS


def test_the_selector_s_test_of_sight_shows_both_pictures_twice(files: Path) -> None:
    """A random projector shows nothing: the answer is no, for the right reason, after four pictures were read."""
    context = Context(Settings(model=str(files / "sight.gguf"), threads=1), [])
    speaker = context.speaker("selector")
    sees, reason = sees_images(speaker)
    assert not sees
    assert "asked which of two pictures is red it named" in reason
    assert context.meter.roles["selector"].calls == 2
    assert context.meter.roles["selector"].prompt > 4 * PICTURE_TOKENS
    assert context.start_embedded("selector").mmproj == files / "mmproj-sight.gguf"
    context.start_embedded("selector").close()


def test_a_text_model_that_is_asked_to_see_says_so(tmp_path: Path) -> None:
    context = Context(Settings(model=str(link(tmp_path / "text.gguf")), dialect="instruct", threads=1), [])
    server = context.start_embedded()
    assert server.mmproj is None
    assert ask(server, words("Look"), picture("red")).status_code == 500
    assert not context.sees("selector")
    assert "text does not see images (its server answered 500" in context.notes("selector")[0]
    assert "image input is not supported" in context.notes("selector")[0]
    server.close()


def test_a_model_s_size_is_its_file_s_and_not_its_name_s(tmp_path: Path) -> None:
    """SmolLM2-135M under any other name was asked to judge."""
    context = Context(Settings(model=str(link(tmp_path / "great-70b.gguf")), threads=1), [])
    assert context.known_size("writer") == 134_515_008
    plan = steps({"brief": make_brief("Bees", images=2)}, context.settings, [])
    assert [step.calls for step in plan if step.name == "select"] == [0]
    assert not context.dialect("selector").judges
    assert context.stepwise()
    context.start_embedded().close()
    absent = Context(Settings(model=str(tmp_path / "none.gguf")), [])
    assert absent.known_size("writer") is None
