"""Revising over HTTP: edits, versions, two tabs, other images, own images, instructions."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from connected import connected_to
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lives import bearer, finish, serving, submit, take
from PIL import Image
from scripted import ScriptedServer
from servers import until

from limner.agents.meter import Usage
from limner.jobs.service import Jobs
from limner.surfaces.http.app import create_app
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, facts


@pytest.fixture
def library(bees: Path, home: Path) -> Library:
    """The library "bees" of this test's home."""
    return Library.open(home, "bees", default_encoders())


@pytest.fixture
def job(client: TestClient, jobs: Jobs, library: Library) -> str:
    """A finished job: b1 # Honey, b2 with i0, b3 with i1, b4."""
    made = submit(client, {"brief": "Honey", "library": ["bees"]})
    finish(jobs, take(jobs, made), library)
    return made


def edit(client: TestClient, job: str, version: int, *edits: dict[str, Any], **more: Any) -> Any:
    """Send edits."""
    headers = more.pop("headers", {})
    return client.post(f"/v1/jobs/{job}/edits", json={"version": version, "edits": edits, **more}, headers=headers)


def png(size: tuple[int, int] = (300, 200), colour: str = "red") -> bytes:
    """An image that no library has."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


# --- the article ---------------------------------------------------------------------------------------------------


def test_the_article_as_blocks(client: TestClient, job: str, library: Library) -> None:
    shown = client.get(f"/v1/jobs/{job}/revision").json()
    assert [b["id"] for b in shown["blocks"]] == ["b1", "b2", "i0", "b3", "i1", "b4"]
    assert (shown["version"], shown["head"], shown["can_undo"], shown["can_redo"]) == (1, 1, False, False)
    assert shown["blocks"][0] == {
        "type": "text", "id": "b1", "kind": "heading", "level": 1, "text": "# Honey", "html": "<h1>Honey</h1>\n",
        "locked": False,
    }  # fmt: skip
    image = shown["blocks"][2]
    assert (image["type"], image["after"], image["library"], image["crop"]) == ("image", "b2", "bees", None)
    for address in (image["src"], image["thumbnail"]):
        assert Image.open(io.BytesIO(client.get(address).content)).format == "WEBP"


def test_while_there_is_no_article_the_reason_is_told(client: TestClient) -> None:
    answer = client.get(f"/v1/jobs/{submit(client)}/revision")
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert "is queued" in answer.json()["detail"]


def test_every_edit_is_made_and_undone(client: TestClient, job: str, library: Library) -> None:
    used = {b["image_id"] for b in client.get(f"/v1/jobs/{job}/revision").json()["blocks"] if b["type"] == "image"}
    spare = [r.id for r in library.records() if r.id not in used]
    edits: list[dict[str, Any]] = [
        {"do": "set_title", "title": "All about honey"},
        {"do": "set_language", "language": "de"},
        {"do": "set_text", "block": "b2", "text": "Bees *drink* nectar."},
        {"do": "insert_text", "after": "b1", "text": "New."},
        {"do": "delete_block", "block": "b4"},
        {"do": "move_block", "block": "b2", "after": "b3"},
        {"do": "merge_blocks", "block": "b3"},
        {"do": "split_block", "block": "b3", "at": 6},
        {"do": "place_image", "after": "b4", "image_id": spare[0], "library": "bees"},
        {"do": "swap_image", "image": "i0", "image_id": spare[1], "library": "bees"},
        {"do": "move_image", "image": "i0", "after": "b4"},
        {"do": "remove_image", "image": "i1"},
        {"do": "describe_image", "image": "i0", "caption": "A hive", "alt": "hive", "credit": "me"},
        {"do": "crop_image", "image": "i0", "crop": [0.1, 0.1, 0.5, 0.5]},
        {"do": "lock", "ids": ["b2", "i0"]},
        {"do": "unlock", "ids": ["b2"]},
    ]
    first = client.get(f"/v1/jobs/{job}/revision").json()
    for one in edits:
        at = client.get(f"/v1/jobs/{job}/revision").json()["version"]
        before = [{"do": "lock", "ids": ["b2", "b3"]}] if one["do"] == "unlock" else []
        changed = edit(client, job, at, *before, one)
        assert changed.status_code == 200, (one, changed.text)
        assert changed.json()["blocks"] != first["blocks"] or one["do"] == "set_language", one
        back = client.post(f"/v1/jobs/{job}/undo", json={"version": changed.json()["version"]}).json()
        assert {k: back[k] for k in ("title", "language", "blocks")} == {
            k: first[k] for k in ("title", "language", "blocks")
        }, one
    assert len(client.get(f"/v1/jobs/{job}/versions").json()["versions"]) == len(edits) + 1


def test_what_exports_read_is_what_was_edited_last(client: TestClient, job: str) -> None:
    edit(client, job, 1, {"do": "set_text", "block": "b2", "text": "Bees *drink* nectar."})
    assert "Bees *drink* nectar." in client.get(f"/v1/jobs/{job}/article?format=md").text
    assert client.get(f"/v1/jobs/{job}/article").json()["article"]["body"][1]["text"] == "Bees *drink* nectar."


def test_versions_are_shown_compared_and_gone_back_to(client: TestClient, job: str) -> None:
    edit(client, job, 1, {"do": "set_text", "block": "b2", "text": "Bees drink nectar."}, what="Drinking")
    edit(client, job, 2, {"do": "remove_image", "image": "i0"})
    listed = client.get(f"/v1/jobs/{job}/versions").json()
    assert listed["head"] == 3
    assert [(v["number"], v["parent"], v["who"], v["by"], v["what"]) for v in listed["versions"]] == [
        (1, None, "limner", "model", "Composed"),
        (2, 1, "local", "person", "Drinking"),
        (3, 2, "local", "person", "Removed image 1"),
    ]
    then = client.get(f"/v1/jobs/{job}/versions/1").json()
    assert (then["version"], then["head"], then["blocks"][2]["id"]) == (1, 3, "i0")
    assert then["blocks"][2]["src"].startswith("/v1/libraries/bees/")  # the article has it no more
    assert client.get(then["blocks"][2]["src"]).status_code == 200
    found = client.get(f"/v1/jobs/{job}/compare", params={"a": 1, "b": 3}).json()
    assert [(i["id"], i["change"]) for i in found["images"]] == [("i1", "same"), ("i0", "removed")]
    assert {"op": "added", "text": "drink"} in found["blocks"][1]["words"]
    back = client.post(f"/v1/jobs/{job}/go", json={"version": 3, "to": 1}).json()
    assert (back["version"], back["can_undo"], back["can_redo"]) == (1, False, True)
    assert client.post(f"/v1/jobs/{job}/redo", json={"version": 1}).json()["version"] == 2
    for path in ("versions/9", "compare?a=1&b=9"):
        assert client.get(f"/v1/jobs/{job}/{path}").status_code == 422
    assert client.post(f"/v1/jobs/{job}/undo", json={"version": 1}).status_code == 409


def test_the_last_edit_of_another_tab_is_told_and_can_be_merged(client: TestClient, job: str) -> None:
    edit(client, job, 1, {"do": "set_text", "block": "b2", "text": "First tab."})
    second = edit(client, job, 1, {"do": "set_text", "block": "b3", "text": "Second tab."})
    assert second.status_code == 409
    assert second.json()["type"] == "urn:limner:problem:version-conflict"
    assert second.json()["head"] == 2
    changed = [{"block": "b2", "kind": "paragraph", "who": "local", "what": "Edited paragraph 1"}]
    part = {"code": "part-paragraph", "params": {"n": 1}, "text": "paragraph 1"}
    changed[0] |= {"code": "did-set-text-of", "params": {"part": part}}
    assert second.json()["changed"] == changed
    merged = edit(client, job, 1, {"do": "set_text", "block": "b3", "text": "Second tab."}, merge=True)
    assert [b["text"] for b in merged.json()["blocks"] if b["type"] == "text"] == [
        "# Honey", "First tab.", "Second tab.", "It dries to honey.",
    ]  # fmt: skip
    refused = edit(client, job, 1, {"do": "set_text", "block": "b2", "text": "Second tab."}, merge=True)
    assert (refused.status_code, refused.json()["conflicts"]) == (409, changed)


def test_both_tabs_at_once_one_wins(app: FastAPI, job: str) -> None:
    """Over real connections."""
    together = threading.Barrier(2)
    with serving(app) as url:

        def save(n: int) -> int:
            body = {"version": 1, "edits": [{"do": "set_text", "block": "b2", "text": f"Tab {n}."}]}
            together.wait()
            return httpx.post(f"{url}/v1/jobs/{job}/edits", json=body, timeout=60).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(save, range(2))) == [200, 409]


def test_tabs_learn_of_an_edit(app: FastAPI, client: TestClient, job: str) -> None:
    """Who stays on the stream of an ended job, until it is deleted."""
    seen: list[dict[str, Any]] = []
    with serving(app) as url:

        def watch() -> None:
            with httpx.stream("GET", f"{url}/v1/jobs/{job}/events?stay=true", timeout=60) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        seen.append(json.loads(line[6:]))

        thread = threading.Thread(target=watch)
        thread.start()
        until(lambda: any(e["kind"] == "done" for e in seen), "the stream")
        httpx.post(
            f"{url}/v1/jobs/{job}/edits",
            json={"version": 1, "edits": [{"do": "set_text", "block": "b2", "text": "Other."}]},
            timeout=60,
        ).raise_for_status()
        until(lambda: seen[-1]["kind"] == "edited", "the edit")
        assert seen[-1]["data"] == {
            "version": 2, "title": "Honey", "who": "local", "by": "person", "what": "Edited paragraph 1",
            "code": "did-set-text-of",
            "params": {"part": {"code": "part-paragraph", "params": {"n": 1}, "text": "paragraph 1"}},
        }  # fmt: skip
        httpx.delete(f"{url}/v1/jobs/{job}", timeout=60).raise_for_status()
        thread.join(60)
        assert not thread.is_alive()


def test_who_is_the_person_behind_the_token(client: TestClient, jobs: Jobs, library: Library) -> None:
    ann = bearer(jobs.owners.add_token("team", "Ann", ["bees"]))
    ben = bearer(jobs.owners.add_token("team", "Ben", ["bees"]))
    job = submit(client, {"brief": "Honey"}, **ann)
    finish(jobs, take(jobs, job), library)
    edit(client, job, 1, {"do": "set_text", "block": "b2", "text": "Ann's."}, headers=ann)
    answer = edit(client, job, 1, {"do": "set_text", "block": "b2", "text": "Ben's."}, headers=ben)
    assert answer.json()["changed"][0]["who"] == "Ann"


SECRET_ROUTES = [
    ("GET", "revision"), ("GET", "versions"), ("GET", "versions/1"), ("GET", "compare?a=1&b=1"),
    ("GET", "candidates?caption=hive"), ("POST", "edits"), ("POST", "undo"), ("POST", "redo"), ("POST", "go"),
    ("POST", "proposals"), ("POST", "images"),
]  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "edits": {"version": 1, "edits": [{"do": "remove_image", "image": "i0"}]},
    "undo": {"version": 1},
    "redo": {"version": 1},
    "go": {"version": 1, "to": 1},
    "proposals": {"version": 1, "instruction": {"do": "instruct", "text": "Shorter"}},
}


@pytest.mark.parametrize(("method", "path"), SECRET_ROUTES, ids=lambda x: x)
def test_another_owner_s_article_is_not_there(
    client: TestClient, jobs: Jobs, job: str, tokens: dict[str, str], method: str, path: str
) -> None:
    sent: dict[str, Any] = {"json": BODIES[path]} if path in BODIES else {}
    if path == "images":
        sent = {"files": {"file": ("a.png", png())}}
    for headers, status in (({}, 401), (bearer(tokens["alice"]), 404)):
        answer = client.request(method, f"/v1/jobs/{job}/{path}", headers=headers, **sent)
        assert answer.status_code == status, answer.text
    assert jobs.ledger.events(job)[-1].kind == "done"


def test_an_image_of_a_library_that_is_not_one_s_own_cannot_be_placed(
    client: TestClient, jobs: Jobs, library: Library, tokens: dict[str, str]
) -> None:
    bob = bearer(tokens["bob"])
    job = submit(client, {"brief": "Honey"}, **bob)
    finish(jobs, take(jobs, job))
    placed = {"do": "place_image", "after": "b2", "image_id": library.records()[0].id, "library": "bees"}
    answer = edit(client, job, 1, placed, headers=bob)
    assert (answer.status_code, "no library 'bees' for you" in answer.json()["detail"]) == (404, True)
    assert client.get(f"/v1/jobs/{job}/candidates?caption=x&library=bees", headers=bob).status_code == 404


def test_a_picture_before_the_end_of_its_embargo_is_placed_with_a_note(
    client: TestClient, job: str, library: Library
) -> None:
    shown = client.get(f"/v1/jobs/{job}/revision").json()
    used = {b["image_id"] for b in shown["blocks"] if b["type"] == "image"}
    image = next(r.id for r in library.records() if r.id not in used)
    with library.transaction() as records:
        facts.keep(records, {image: {"embargo": ["2999-01-01"]}})
    made = edit(client, job, 1, {"do": "place_image", "after": "b4", "image_id": image, "library": "bees"}).json()
    assert [b.get("image_id") for b in made["blocks"]][-1] == image
    assert [one["code"] for one in made["notes"]] == ["placed-outside-time"]
    assert client.get(f"/v1/jobs/{job}/revision").json()["notes"] == made["notes"]
    back = client.post(f"/v1/jobs/{job}/undo", json={"version": 2}).json()
    assert back["notes"] == shown["notes"] == []


NASTY = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "![a](http://evil.example/x.png)",
    "<svg><style><img src=x onerror=alert(1)>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "`<b>`<a href='x' onclick=y>",
    "| a |\n|:-:|\n| <i onmouseover=x>b</i> |",
    '```"><script>\ncode\n```',
]


@pytest.mark.parametrize("words", NASTY)
def test_no_text_becomes_html_that_runs(client: TestClient, job: str, words: str) -> None:
    from html.parser import HTMLParser

    answer = edit(client, job, 1, {"do": "set_text", "block": "b2", "text": f"Text.\n\n{words}\n\nEnd."})
    found: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    for block in answer.json()["blocks"]:
        if block["type"] == "text":
            Reader().feed(block["html"])
    assert {tag for tag, _ in found} <= {"h1", "p", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    assert {name for _, attrs in found for name in attrs} <= {"class", "rel"}


# --- other images --------------------------------------------------------------------------------------------------


def test_candidates_by_caption_by_example_and_by_record(client: TestClient, job: str, library: Library) -> None:
    def files(**asked: str) -> list[str]:
        found = client.get(f"/v1/jobs/{job}/candidates", params=asked).json()["candidates"]
        assert all(client.get(c["thumbnail"]).status_code == 200 for c in found[:2])
        return [c["file"] for c in found]

    assert files(caption="a ship in the harbour")[0] == "ship.png"
    jar = next(r for r in library.records() if r.path.endswith("jar.png"))
    like = files(like=jar.id)
    assert "jar.png" not in like
    assert files(like=jar.id, but="a tax form with a pencil")[0] == "tax.png"
    assert len(files(image="i0")) == 7  # a person placed it: searched by its caption
    shown = client.get(f"/v1/jobs/{job}/candidates", params={"caption": "bees", "limit": 7}).json()["candidates"]
    in_article = {b["image_id"] for b in client.get(f"/v1/jobs/{job}/revision").json()["blocks"] if "image_id" in b}
    assert {c["image_id"] for c in shown if c["chosen"]} == in_article


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "Ask by one of"),
        ("caption=a&image=i0", "Ask by one of"),
        ("caption=a&but=b", "`but` describes a difference"),
        ("image=i9", "no image 'i9'"),
        ("spot=s9", "Unknown spot 's9'"),
        ("like=ffff", "None of the libraries has the image"),
        ("caption=%20", "The caption is empty"),
    ],
)
def test_what_cannot_be_asked_for(client: TestClient, job: str, query: str, reason: str) -> None:
    answer = client.get(f"/v1/jobs/{job}/candidates?{query}")
    assert (answer.status_code, reason in answer.json()["detail"]) == (422, True), answer.text


def test_an_image_of_one_s_own(client: TestClient, jobs: Jobs, library: Library, tokens: dict[str, str]) -> None:
    alice, bob = bearer(tokens["alice"]), bearer(tokens["bob"])
    job = submit(client, {"brief": "Honey", "library": ["bees"]}, **alice)
    finish(jobs, take(jobs, job), library)
    sent = {"files": {"file": ("my_red-wall.png", png())}, "headers": alice}
    answer = client.post(f"/v1/jobs/{job}/images", **sent)
    assert answer.status_code == 201, answer.text
    own = answer.json()
    assert (own["caption"], own["width"], own["height"]) == ("my red wall", 300, 200)
    named = client.post(f"/v1/jobs/{job}/images", data={"caption": "A  wall\n"}, **sent).json()
    assert (named["image_id"], named["caption"]) == (own["image_id"], "A wall")
    placed = {"do": "place_image", "after": "b4", "image_id": own["image_id"], "library": own["library"]}
    block = edit(client, job, 1, placed, headers=alice).json()["blocks"][-1]
    assert block["caption"] == "A wall"
    assert client.get(block["src"], headers=alice).status_code == 200
    assert client.get(f"/v1/jobs/{job}/article?format=zip", headers=alice).status_code == 200
    assert own["library"] in [x["name"] for x in client.get("/v1/libraries", headers=alice).json()["libraries"]]
    # It is nobody else's, whatever libraries they may use.
    everything = bearer(jobs.owners.add_token("carol", libraries=None))
    for other in (bob, everything):
        assert client.get(own["thumbnail"], headers=other).status_code == 404
        assert own["library"] not in client.get("/v1/libraries", headers=other).text
    theirs = submit(client, {"brief": "Honey"}, **bob)
    finish(jobs, take(jobs, theirs))
    assert edit(client, theirs, 1, {**placed, "after": "b2"}, headers=bob).status_code == 404


def test_a_caption_in_the_file_is_kept(client: TestClient, job: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    words, out = PngInfo(), io.BytesIO()
    words.add_text("Description", "A hive in the snow")
    Image.new("RGB", (60, 40)).save(out, "PNG", pnginfo=words)
    answer = client.post(f"/v1/jobs/{job}/images", files={"file": ("x.png", out.getvalue())})
    assert answer.json()["caption"] == "A hive in the snow"


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("x.png", b"nonsense", 422),
        ("x.png", b"", 422),
        ("x.png", png()[:200], 422),
        ("../../etc/passwd.png", png(), 201),
        ("x.php", png(), 201),
        ("big.png", b"x" * 9_000_000, 413),
    ],
    ids=["no image", "empty", "cut short", "a path", "another suffix", "too large"],
)
def test_files_are_not_trusted(client: TestClient, job: str, home: Path, name: str, data: bytes, status: int) -> None:
    answer = client.post(f"/v1/jobs/{job}/images", files={"file": (name, data)})
    assert answer.status_code == status, answer.text
    kept = [p for p in (home / "uploads").rglob("*") if p.is_file()] if (home / "uploads").exists() else []
    assert all(p.suffix in (".png", ".json") and p.parent.parent == home / "uploads" for p in kept)
    assert bool(kept) == (status == 201)


def test_a_bomb_is_refused(app: FastAPI, jobs: Jobs, client: TestClient, job: str) -> None:
    with TestClient(
        create_app(jobs.settings.model_copy(update={"max_pixels": 1000}), jobs), base_url="http://localhost:8642"
    ) as small:
        answer = small.post(f"/v1/jobs/{job}/images", files={"file": ("x.png", png())})
    assert (answer.status_code, "pixels" in answer.json()["detail"]) == (422, True)


# --- instructions --------------------------------------------------------------------------------------------------


@pytest.fixture
def writer(app: FastAPI) -> Iterator[ScriptedServer]:
    """A model that shortens every block to one word."""
    with connected_to(app, lambda _asked: "Short.") as server:
        yield server


def test_a_wish_is_shown_and_then_applied(client: TestClient, jobs: Jobs, job: str, writer: ScriptedServer) -> None:
    instruction = {"do": "shorten", "block": "b2", "instruction": "one word"}
    answer = client.post(f"/v1/jobs/{job}/proposals", json={"version": 1, "instruction": instruction})
    proposal = answer.json()
    assert answer.status_code == 200, answer.text
    assert proposal["spent"] > 0
    assert [b["text"] for b in proposal["preview"]["blocks"] if b["id"] == "b2"] == ["Short."]
    assert client.get(f"/v1/jobs/{job}/revision").json()["version"] == 1
    assert len(writer.requests) == 1
    applied = edit(client, job, 1, *proposal["edits"], by="model", what="Shorter")
    assert applied.json()["version"] == 2
    last = client.get(f"/v1/jobs/{job}/versions").json()["versions"][-1]
    assert (last["who"], last["by"], last["what"]) == ("local", "model", "Shorter")
    assert jobs.ledger.job(job).spent == jobs.ledger.spent_today("local")[0] == proposal["spent"]


def test_a_wish_on_an_old_version_asks_nobody(client: TestClient, job: str, writer: ScriptedServer) -> None:
    edit(client, job, 1, {"do": "remove_image", "image": "i0"})
    instruction = {"do": "instruct", "text": "Shorter"}
    assert client.post(f"/v1/jobs/{job}/proposals", json={"version": 1, "instruction": instruction}).status_code == 409
    assert writer.requests == []


def test_who_spent_the_day_s_tokens_asks_nobody(
    client: TestClient, jobs: Jobs, job: str, writer: ScriptedServer
) -> None:
    jobs.owners.limit("local", tokens_a_day=1)
    jobs.ledger.paid(job, "revise", {"reviser": Usage(1, 100, 20)})
    body = {"version": 1, "instruction": {"do": "shorten", "block": "b2"}}
    refused = client.post(f"/v1/jobs/{job}/proposals", json=body)
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert writer.requests == []


def test_a_model_that_is_not_there(client: TestClient, job: str, app: FastAPI, writer: ScriptedServer) -> None:
    gone = app.state.parts.shelf.settings.model_copy(update={"model_url": "http://127.0.0.1:9/v1"})
    app.state.parts.shelf.settings = gone
    body = {"version": 1, "instruction": {"do": "shorten", "block": "b2"}}
    answer = client.post(f"/v1/jobs/{job}/proposals", json=body)
    assert (answer.status_code, "127.0.0.1:9" in answer.json()["detail"]) == (503, True)


def test_a_plan_before_the_job(client: TestClient, jobs: Jobs, library: Library) -> None:
    body = {"brief": "How bees make honey", "images": 3, "library": ["bees"]}
    plan = client.post("/v1/plan", json=body).json()
    assert [s["name"] for s in plan["steps"]] == ["write", "spot", "retrieve", "select", "arrange"]
    assert plan["tokens"] == sum(s["tokens"] for s in plan["steps"]) > 0
    assert plan["seconds"] is None
    for step in ("write", "spot", "retrieve", "select", "arrange"):
        job = submit(client)
        jobs.ledger.append(take(jobs, job), [], finished=(step, 2.0))
    assert client.post("/v1/plan", json=body).json()["seconds"] >= 10
    assert client.post("/v1/plan", json={**body, "library": ["secret"]}).status_code == 404
    jobs.owners.limit("local", tokens_a_day=5000)
    assert client.post("/v1/plan", json=body).json()["left_today"] == 5000
    assert client.get("/v1/jobs").json()["jobs"] != []


def test_saves_of_one_typing_are_one_version_and_others_are_not(client: TestClient, job: str) -> None:
    for n, words in enumerate(("Bees", "Bees fly", "Bees fly home."), 1):
        text = {"do": "set_text", "block": "b2", "text": words}
        assert edit(client, job, n, text, typing=True).json()["version"] == n + 1
    assert [v["number"] for v in client.get(f"/v1/jobs/{job}/versions").json()["versions"]] == [1, 4]
    assert client.get(f"/v1/jobs/{job}/versions/2").json()["blocks"][1]["text"] == "Bees"
    edit(client, job, 4, {"do": "set_text", "block": "b2", "text": "Bees rest."})
    assert [v["number"] for v in client.get(f"/v1/jobs/{job}/versions").json()["versions"]] == [1, 4, 5]
    assert client.post(f"/v1/jobs/{job}/undo", json={"version": 5}).json()["version"] == 4
    assert client.post(f"/v1/jobs/{job}/undo", json={"version": 4}).json()["version"] == 1
