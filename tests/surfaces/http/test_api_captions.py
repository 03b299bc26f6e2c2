"""Captions over HTTP, and the images that people hand in: whose they are, what changes, what is refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from lives import bearer, finish, submit, take
from PIL import Image

from limner.jobs.service import Jobs
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, add


@pytest.fixture
def library(bees: Path, home: Path) -> Library:
    return Library.open(home, "bees", default_encoders())


def words_of(image: str) -> str:
    return f"/v1/libraries/bees/images/{image}/words"


def png(colour: str) -> bytes:
    out = BytesIO()
    Image.new("RGB", (300, 200), colour).save(out, "PNG")
    return out.getvalue()


def test_a_caption_is_written_searched_by_and_given_up(client: TestClient, library: Library, bees: Path) -> None:
    record = library.records()[0]
    body = {"caption": "A zeppelin over\nthe orchard", "licence": "CC0"}
    once, made = (client.patch(words_of(record.id), json=body) for _ in range(2))
    assert (once.status_code, made.json()) == (200, once.json())
    assert made.json()["caption"] == "A zeppelin over the orchard"
    assert made.json()["written"] == ["caption", "licence"]
    assert client.get(words_of(record.id)).json() == made.json()
    found = client.get("/v1/libraries/bees/search", params={"q": "zeppelin over an orchard", "k": 1}).json()
    assert found["images"][0]["image_id"] == record.id
    add(library, [bees])
    assert client.get(words_of(record.id)).json()["caption"] == "A zeppelin over the orchard"
    back = client.patch(words_of(record.id), json={"caption": None, "licence": None}).json()
    assert (back["caption"], back["written"]) == (record.caption, [])
    assert client.patch(words_of(record.id), json={}).json() == back


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"caption": ""}, "caption is empty"),
        ({"caption": "x" * 2001}, "caption"),
        ({"alt": 3}, "alt"),
        ({"path": "/etc/passwd"}, "path"),
    ],
)
def test_what_cannot_be_a_caption_is_refused(client: TestClient, library: Library, body: dict, says: str) -> None:
    record = library.records()[0]
    answer = client.patch(words_of(record.id), json=body)
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.text
    assert library.record(record.id) == record
    assert client.patch(words_of("0" * 32), json={"caption": "x"}).status_code == 404


def test_a_library_page_by_page_and_what_is_to_fill_in(client: TestClient, library: Library) -> None:
    every = [r.id for r in library.records()]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get("/v1/libraries/bees/images", params={"after": after, "limit": 5}).json()
        assert page["total"] == len(every)
        seen += [image["image_id"] for image in page["images"]]
        after = page["next"]
    assert seen == every
    assert client.get("/v1/libraries/bees/images", params={"without": "licence"}).json()["total"] == 0
    client.patch(words_of(every[0]), json={"licence": ""})
    bare = client.get("/v1/libraries/bees/images", params={"without": "licence"}).json()
    assert [image["image_id"] for image in bare["images"]] == [every[0]]
    assert client.get("/v1/libraries/bees").json()["editable"] is True
    assert client.get("/v1/libraries/bees/images", params={"after": "0" * 32}).status_code == 404
    assert client.get("/v1/libraries/bees/images", params={"without": "path"}).status_code == 422
    image = client.get("/v1/libraries/bees/images").json()["images"][0]
    assert "/" not in image["file"]  # where files lie is nobody's business


def test_only_those_who_may_use_a_library_write_in_it(
    client: TestClient, library: Library, tokens: dict[str, str]
) -> None:
    alice, bob = bearer(tokens["alice"]), bearer(tokens["bob"])
    record = library.records()[0]
    assert client.patch(words_of(record.id), json={"caption": "Bob's"}, headers=bob).status_code == 404
    assert client.get("/v1/libraries/bees/images", headers=bob).status_code == 404
    assert client.patch(words_of(record.id), json={"caption": "Alice's"}, headers=alice).status_code == 200
    library.write({record.id: {"caption": None}})


def test_the_starter_s_captions_are_everybody_s(
    client: TestClient, library: Library, tokens: dict[str, str], home: Path
) -> None:
    (home / "libraries" / "bees").rename(home / "libraries" / "starter")
    image = client.get("/v1/libraries/starter/images", headers=bearer(tokens["bob"])).json()["images"][0]
    address = f"/v1/libraries/starter/images/{image['image_id']}/words"
    refused = client.patch(address, json={"caption": "Bob's"}, headers=bearer(tokens["bob"]))
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:limner:problem:forbidden")
    assert client.get("/v1/libraries/starter", headers=bearer(tokens["bob"])).json()["editable"] is False


def test_own_images_are_listed_and_deleted(client: TestClient, jobs: Jobs, tokens: dict[str, str]) -> None:
    alice, bob = bearer(tokens["alice"]), bearer(tokens["bob"])
    assert client.get("/v1/images", headers=alice).json() == {"images": [], "total": 0, "next": None}
    red, blue = (
        client.post("/v1/images", files={"file": (f"{c}.png", png(c))}, headers=alice).json()["image_id"]
        for c in ("red", "blue")
    )
    listed = client.get("/v1/images", headers=alice).json()
    assert {image["image_id"] for image in listed["images"]} == {red, blue}
    assert client.get("/v1/images", headers=bob).json()["total"] == 0
    assert client.delete(f"/v1/images/{red}", headers=bob).status_code == 404
    assert client.delete(f"/v1/images/{red}", headers=alice).status_code == 204
    assert client.delete(f"/v1/images/{red}", headers=alice).status_code == 404
    assert [image["image_id"] for image in client.get("/v1/images", headers=alice).json()["images"]] == [blue]
    assert client.delete(f"/v1/images/{blue}", headers=alice).status_code == 204
    assert client.get("/v1/images", headers=alice).json()["total"] == 0
    again = client.post("/v1/images", files={"file": ("red.png", png("red"))}, headers=alice)
    assert (again.status_code, again.json()["image_id"]) == (201, red)


def test_an_image_that_an_article_has_is_not_deleted(client: TestClient, jobs: Jobs, library: Library) -> None:
    image = client.post("/v1/images", files={"file": ("red.png", png("red"))}).json()
    waiting = submit(client, {"brief": "Honey", "references": [image["image_id"]]})
    refused = client.delete(f"/v1/images/{image['image_id']}")
    assert refused.status_code == 409
    assert waiting in refused.json()["detail"]
    client.delete(f"/v1/jobs/{waiting}")
    job = submit(client, {"brief": "Wax", "library": ["bees"]})
    finish(jobs, take(jobs, job), library)
    place = {"do": "place_image", "after": "b2", "image_id": image["image_id"], "library": image["library"]}
    head = client.post(f"/v1/jobs/{job}/edits", json={"version": 1, "edits": [place]}).json()
    shown = next(b["id"] for b in head["blocks"] if b.get("image_id") == image["image_id"])
    refused = client.delete(f"/v1/images/{image['image_id']}")
    assert (refused.status_code, "Remove it there first" in refused.json()["detail"]) == (409, True), refused.text
    remove = {"do": "remove_image", "image": shown}
    client.post(f"/v1/jobs/{job}/edits", json={"version": 2, "edits": [remove]})
    refused = client.delete(f"/v1/images/{image['image_id']}")  # undo would bring it back
    assert (refused.status_code, "version 2" in refused.json()["detail"]) == (409, True), refused.text
    client.delete(f"/v1/jobs/{job}")
    assert client.delete(f"/v1/images/{image['image_id']}").status_code == 204


def test_a_delete_that_was_cut_off_is_finished_by_the_next(client: TestClient, home: Path) -> None:
    image = client.post("/v1/images", files={"file": ("red.png", png("red"))}).json()["image_id"]
    for path in (home / "uploads").rglob(f"{image}.*"):
        path.unlink()  # and killed here
    assert client.delete(f"/v1/images/{image}").status_code == 204
    assert client.get("/v1/images").json()["total"] == 0
