"""Captions by a model over HTTP: the cost first, some pictures at a time, marked, within the owner's tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from connected import connected_to
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import bearer
from pictures import bare_folder
from scripted import ScriptedServer, asking, by_colour, colour_of, images_of

from limner.jobs.service import Jobs
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, index

URL = "/v1/libraries/bees/captions"
PICTURES = 5


def number_of(body: dict[str, Any]) -> int:
    return round(colour_of(images_of(body)[0])[0] / 40)


def answer(body: dict[str, Any]) -> str:
    if asking(body) == "probe":
        return by_colour(body)
    if number_of(body) == 2:
        return "I cannot describe this."
    return json.dumps({"caption": f"A plain field in the red number {number_of(body)}. No bee.", "alt": "A red field."})


@pytest.fixture
def library(tmp_path: Path, home: Path) -> Library:
    """The library "bees" of pictures without words."""
    folder = bare_folder(tmp_path / "bare", PICTURES, 40)
    return index(home, "bees", [folder], default_encoders())[0]


@pytest.fixture
def model(app: FastAPI, library: Library) -> Iterator[ScriptedServer]:
    """A model that sees."""
    with connected_to(app, answer) as server:
        yield server


def asked(server: ScriptedServer) -> list[int]:
    return sorted(number_of(body) for body in server.requests if asking(body) == "chat")


def test_the_cost_is_told_and_nothing_asked(client: TestClient, model: ScriptedServer) -> None:
    plan = client.get(URL).json()
    assert (plan["images"], plan["vain"], plan["language"], plan["left_today"]) == (PICTURES, 0, "en", None)
    assert plan["line"].startswith("5 pictures: about 5 calls to scripted-7b, ")
    assert (plan["code"], plan["params"]["tokens"]) == ("plan-captions", plan["tokens"])
    assert model.requests == []
    assert client.get(URL, params={"language": "xx-klingonisch"}).status_code == 422
    assert client.get(URL, params={"without": "credit"}).status_code == 422


def test_a_large_library_is_counted_in_threads_that_hold_nobody_up(
    client: TestClient, model: ScriptedServer, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, owners = app.state.parts.pools["pictures"], []
    run = pool.run

    def counted(owner: str, work: Callable[[], Any]) -> Any:
        owners.append(owner)
        return run(owner, work)

    monkeypatch.setattr(pool, "run", counted)
    assert client.get(URL).json()["images"] == PICTURES
    assert owners == ["local"]


def test_pictures_are_described_some_at_a_time_and_marked(
    client: TestClient, model: ScriptedServer, library: Library
) -> None:
    first = client.post(URL, json={"limit": 3}).json()
    assert [image["caption"][:31] for image in sorted(first["images"], key=lambda i: i["file"])] == [
        "A plain field in the red number"
    ] * 2
    assert all(image["machine_made"] == ["caption", "alt"] for image in first["images"])
    [left_out] = first["left_out"]
    assert (left_out["code"], left_out["why"]) == ("uncaptioned-refused", "the model refused to describe it")
    assert (first["left"], first["spent"] > 0) == (2, True)
    second = client.post(URL, json={"limit": 3, "after": first["next"]}).json()
    assert (len(second["images"]), second["next"], second["left"]) == (2, None, 0)
    assert asked(model) == [0, 1, 2, 2, 3, 4]
    assert client.post(URL, json={}).json()["images"] == []
    assert asked(model) == [0, 1, 2, 2, 3, 4]
    whole = client.get("/v1/libraries/bees").json()
    assert (whole["described"], whole["machine_made"], whole["suggests"]) == (4, 4, True)
    [found] = client.get("/v1/libraries/bees/search", params={"q": "the red number 3", "k": 1}).json()["images"]
    assert found["machine_made"] == ["caption", "alt"]
    address = f"/v1/libraries/bees/images/{found['image_id']}/words"
    mine = client.patch(address, json={"caption": "Mine"}).json()
    assert (mine["caption"], mine["machine_made"], mine["written"]) == ("Mine", ["alt"], ["caption"])
    assert client.delete(URL).json() == {"images": 4}
    assert client.get(address).json()["machine_made"] == []
    assert client.get("/v1/libraries/bees").json()["machine_made"] == 0


def test_a_file_that_is_gone_is_left_out_without_the_servers_path(
    client: TestClient, model: ScriptedServer, library: Library, tmp_path: Path
) -> None:
    (tmp_path / "bare" / "DSC_0000.png").unlink()
    answered = client.post(URL, json={"limit": 1})
    [left_out] = answered.json()["left_out"]
    assert left_out["image_id"] == library.records()[0].id
    assert "is gone or has changed" in left_out["why"]
    assert str(tmp_path) not in answered.text


def test_tokens_are_counted_for_the_owner_and_end_with_the_days(
    client: TestClient, jobs: Jobs, model: ScriptedServer
) -> None:
    spent = client.post(URL, json={"limit": 1}).json()["spent"]
    assert client.get("/v1/me").json()["spent_today"] == spent > 0
    jobs.owners.limit("local", tokens_a_day=spent)
    refused = client.post(URL, json={"limit": 1})
    assert (refused.status_code, refused.json()["code"]) == (429, "spent-today")
    assert asked(model) == [0]


def test_a_model_that_does_not_see_is_named(client: TestClient, model: ScriptedServer, app: FastAPI) -> None:
    model.answer = lambda _body: '{"image": 1}'
    refused = client.post(URL, json={})
    assert refused.json()["code"] == "captions-blind"
    assert "scripted-7b does not see pictures" in refused.json()["detail"]


def test_without_a_model_nothing_is_offered(client: TestClient, library: Library) -> None:
    assert client.get("/v1/libraries/bees").json()["suggests"] is False
    assert client.get(URL).json()["code"] == client.post(URL, json={}).json()["code"] == "captions-embedded"


def test_a_local_model_that_may_see_is_offered(client: TestClient, library: Library, app: FastAPI) -> None:
    seer = library.home / "seer.gguf"
    seer.write_bytes(b"GGUF")
    shelf = app.state.parts.shelf
    shelf.settings = shelf.settings.model_copy(update={"model": str(seer)})
    assert client.get("/v1/libraries/bees").json()["suggests"] is True
    assert client.get(URL).json()["images"] == PICTURES


def test_only_owners_who_may_write_captions_have_them_written(
    client: TestClient, jobs: Jobs, model: ScriptedServer, tokens: dict[str, str]
) -> None:
    alice, bob = bearer(tokens["alice"]), bearer(tokens["bob"])
    assert client.post(URL, json={"limit": 1}, headers=bob).status_code == 404
    assert client.delete(URL, headers=bob).status_code == 404
    assert client.post(URL, json={"limit": 1}, headers=alice).status_code == 200
    for body in ({"limit": 0}, {"limit": 61}, {"after": "x"}, {"path": "/etc"}, {"without": "credit"}):
        assert client.post(URL, json=body, headers=alice).status_code == 422, body
    assert client.post(URL, json={"after": "0" * 32}, headers=alice).status_code == 404


def test_the_captions_that_everybody_uses_are_not_written_by_an_owner(
    client: TestClient, model: ScriptedServer, library: Library, home: Path, tokens: dict[str, str]
) -> None:
    (home / "libraries" / "bees").rename(home / "libraries" / "starter")
    shared, bob = URL.replace("bees", "starter"), bearer(tokens["bob"])
    assert client.get(shared, headers=bob).json()["images"] == PICTURES
    for refused in (client.post(shared, json={"limit": 1}, headers=bob), client.delete(shared, headers=bob)):
        assert (refused.status_code, refused.json()["code"]) == (403, "captions-shared")
    assert model.requests == []
