"""Filters on every surface: the shell, HTTP, jobs, Python, tools for agents; and what is no filter, on each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

import pytest
from archive import make_archive, picture, with_iptc
from fastapi.testclient import TestClient
from langchain_openai import ChatOpenAI
from lives import client_of, finish, submit, take
from pictures import BUDGET, LONG
from scripted import ARTICLE, ScriptedServer, article_answers
from shell import Shell

import limner
from limner.document import Article
from limner.errors import BadInput
from limner.exports import read_json
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, index

FIELDS = "licence, credit, tag, person, place"


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Library:
    """The archive, with a picture whose embargo ends in 2099."""
    folder = make_archive(tmp_path / "archive")
    with_iptc(picture(folder / "vault.jpg", (50, 40), 1), (120, "The harvest of honey bees"), (30, "20990101"))
    return index(home, "archive", [folder], default_encoders())[0]


@pytest.fixture
def jobs(archive: Library, home: Path) -> Iterator[Jobs]:
    with closing(Jobs(Settings(home=home))) as made:
        yield made


@pytest.fixture
def client(jobs: Jobs) -> Iterator[TestClient]:
    with client_of(jobs) as made:
        yield made


def stem(library: Library, image: str) -> str:
    return PurePath(library.record(image).path).stem


def placed(library: Library, article: Article) -> set[str]:
    return {stem(library, i.image_id) for i in article.illustrations}


def chat_model(server: ScriptedServer) -> ChatOpenAI:
    return ChatOpenAI(base_url=server.url, model="scripted-7b", api_key="none", max_retries=0)  # type: ignore[arg-type]


# --- the shell -------------------------------------------------------------------------------------------------------


def test_the_shell_searches_and_lists_with_filters(shell: Shell, archive: Library) -> None:
    said = shell("library", "search", "archive", "harvest", "--only", "licence=CC BY*", "--only", "date>=2020")
    assert said.code == 0, said.err
    assert ("tractor" in said.out, "barn" in said.out, "river" in said.out) == (True, True, False)
    said = shell("library", "search", "archive", "harvest")
    assert "1 pictures were left out: their embargo has not ended, or they have expired." in said.out
    said = shell("library", "show", "archive", "--only", "person=*Ada*")
    assert "person=*Ada*: 2 images" in said.out
    assert ("river.jpg" in said.out, "[rating=5, licence=CC BY 4.0, added=" in said.out) == (True, True)
    assert "embargo=2099-01-01" in shell("library", "show", "archive").out
    assert "unused=3 had no effect" in shell("library", "search", "archive", "x", "--only", "unused=3").out
    none = shell("library", "search", "archive", "harvest", "--only", "tag=snow")
    assert "No picture of archive passes the filters: tag=snow." in none.out


@pytest.mark.parametrize(
    "command",
    [
        ("library", "search", "archive", "harvest"),
        ("library", "show", "archive"),
        ("compose", "How bees make honey", "--library", "archive"),
        ("compose", "How bees make honey", "--plan"),
        ("illustrate", "draft.md", "--library", "archive"),
    ],
)
def test_the_shell_refuses_what_is_no_filter_in_one_line(
    shell: Shell, archive: Library, command: tuple[str, ...]
) -> None:
    Path("draft.md").write_text(ARTICLE)
    said = shell(*command, "--only", "colour=red")
    assert (said.code, said.err.count("\n"), said.out) == (2, 1, "")
    assert "'colour=red' is no filter" in said.err
    assert FIELDS in said.err


def test_the_shell_illustrates_with_filters(shell: Shell, archive: Library) -> None:
    with ScriptedServer(article_answers(sees=True)) as server:
        options = ("--library", "archive", "--model-url", server.url, "--images", "2", "--out", "out")
        said = shell("compose", "How bees make honey", *options, "--only", "country=Portugal")
    assert said.code == 0, said.err
    article = read_json(Path("out/article.json"))
    assert article.made_with["only"] == ["country=Portugal"]
    candidates = {c.image_id for s in article.selections for c in s.candidates}
    assert {stem(archive, i) for i in candidates} == {"river", "tractor"}
    assert placed(archive, article) <= {"river", "tractor"}


def test_a_resumed_command_keeps_its_filters(shell: Shell, archive: Library) -> None:
    with ScriptedServer(article_answers(article=LONG)) as server:
        options = ("--library", "archive", "--model-url", server.url, "--images", "6", "--out", "out")
        stopped = shell("compose", "Bees", *options, "--only", "country=Portugal", "--max-tokens", BUDGET)
        job = re.search(r"--resume (\S+)", stopped.err)
        assert stopped.code != 0
        assert job
        assert shell("compose", "--resume", job[1], "--max-tokens", 100_000, "--out", "whole").code == 0
    article = read_json(Path("whole/article.json"))
    candidates = {stem(archive, c.image_id) for s in article.selections for c in s.candidates}
    assert (article.only, candidates) == (("country=Portugal",), {"river", "tractor"})


# --- Python ----------------------------------------------------------------------------------------------------------


def test_python_composes_and_illustrates_with_filters(archive: Library) -> None:
    with ScriptedServer(article_answers(sees=True)) as server:
        model = chat_model(server)
        composed = limner.compose("Honey", library="archive", model=model, images=2, only=["tag=harvest"])
        illustrated = limner.illustrate(ARTICLE, library="archive", model=model, images=2, only=["tag=snow"])
    assert composed.only == ("tag=harvest",)
    assert {stem(archive, c.image_id) for s in composed.selections for c in s.candidates} == {"river", "tractor"}
    assert illustrated.illustrations == ()
    assert "No picture of archive passes the filters: tag=snow." in " ".join(illustrated.notes)


def test_an_image_outside_its_time_is_not_placed_and_a_note_says_so(archive: Library) -> None:
    with ScriptedServer(article_answers(sees=True)) as server:
        model = chat_model(server)
        article = limner.compose("Honey", library="archive", model=model, images=2)
        late = limner.compose("Honey", library="archive", model=model, images=2, only=["anytime=yes"])
    assert "vault" not in {stem(archive, c.image_id) for s in article.selections for c in s.candidates}
    assert [n.code for n in article.notes].count("outside-time") == 1
    assert "vault" in {stem(archive, c.image_id) for s in late.selections for c in s.candidates}
    assert "outside-time" not in [n.code for n in late.notes]


@pytest.mark.parametrize("call", [limner.compose, limner.illustrate])
def test_python_refuses_what_is_no_filter(archive: Library, call: Any) -> None:
    with pytest.raises(BadInput, match=FIELDS):
        call(ARTICLE, library="archive", only=["colour=red"])


# --- HTTP ------------------------------------------------------------------------------------------------------------


def test_http_searches_and_lists_with_filters(client: TestClient, archive: Library) -> None:
    asked = {"q": "harvest", "only": ["licence=CC BY*", "date>=2020"]}
    found = client.get("/v1/libraries/archive/search", params=asked).json()
    assert {stem(archive, c["image_id"]) for c in found["images"]} == {"tractor", "barn"}
    assert found["notes"] == []
    every = client.get("/v1/libraries/archive/search", params={"q": "harvest"}).json()
    assert [note["code"] for note in every["notes"]] == ["outside-time"]
    assert len(every["images"]) == 5
    page = client.get("/v1/libraries/archive/images", params={"only": ["tag=harvest"], "limit": 1}).json()
    assert page["total"] == 2
    [river] = page["images"]
    assert river["facts"]["person"] == ["Lovelace, Ada", "Grace Hopper"]
    assert (river["orientation"], river["in_time"]) == ("landscape", True)
    rest = client.get("/v1/libraries/archive/images", params={"only": ["tag=harvest"], "after": page["next"]}).json()
    assert [PurePath(one["file"]).stem for one in rest["images"]] == ["tractor"]
    [vault] = client.get("/v1/libraries/archive/images", params={"only": "embargo>=2099"}).json()["images"]
    assert (vault["in_time"], vault["facts"]) == (False, {"embargo": ["2099-01-01"]})


@pytest.mark.parametrize(
    ("method", "address", "given"),
    [
        ("GET", "/v1/libraries/archive/search", {"params": {"q": "x", "only": "colour=red"}}),
        ("GET", "/v1/libraries/archive/images", {"params": {"only": "colour=red"}}),
        ("POST", "/v1/jobs", {"json": {"brief": "Honey", "only": ["colour=red"]}}),
        ("POST", "/v1/jobs", {"json": {"draft": ARTICLE, "only": ["colour=red"]}}),
        ("POST", "/v1/batches", {"json": {"jobs": [{"brief": "Honey", "only": ["colour=red"]}]}}),
        ("POST", "/v1/plan", {"json": {"brief": "Honey", "only": ["colour=red"]}}),
    ],
)
def test_http_refuses_what_is_no_filter(client: TestClient, method: str, address: str, given: Any) -> None:
    answer = client.request(method, address, **given)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "filter-unknown"
    assert FIELDS in answer.json()["detail"]


def test_unused_leaves_out_the_images_of_the_last_articles(client: TestClient, jobs: Jobs, archive: Library) -> None:
    def shown(n: int) -> set[str]:
        page = client.get("/v1/libraries/archive/images", params={"only": f"unused={n}"}).json()
        return {PurePath(one["file"]).stem for one in page["images"]}

    everything = {PurePath(r.path).stem for r in archive.records()}
    assert shown(3) == everything
    finish(jobs, take(jobs, submit(client)), archive)
    first_two = {PurePath(r.path).stem for r in archive.records()[:2]}
    assert shown(1) == everything - first_two
    finish(jobs, take(jobs, submit(client)))  # an article without images
    assert shown(1) == everything
    assert shown(2) == everything - first_two
    found = client.get("/v1/libraries/archive/search", params={"q": "harvest", "only": "unused=2"}).json()
    assert {stem(archive, c["image_id"]) for c in found["images"]} == everything - first_two - {"vault"}
    assert jobs.ledger.shown_lately(9, "somebody else") == set()


def test_the_shell_and_python_ask_the_ledger(shell: Shell, client: TestClient, jobs: Jobs, archive: Library) -> None:
    finish(jobs, take(jobs, submit(client)), archive)
    said = shell("library", "show", "archive", "--only", "unused=5")
    assert "unused=5: 4 images" in said.out
    assert "had no effect" not in said.out


def test_other_images_for_a_place_pass_the_articles_filters(
    client: TestClient, jobs: Jobs, archive: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(archive.home))
    body = {"brief": "Honey", "library": ["archive"], "only": ["licence=CC BY*"]}
    job = submit(client, body)
    with ScriptedServer(article_answers(sees=True)) as server:
        model = chat_model(server)
        article = limner.compose("Honey", library="archive", model=model, images=1, only=body["only"])
    jobs.ledger.finish(take(jobs, job), article)

    def offered(**asked: Any) -> set[str]:
        answer = client.get(f"/v1/jobs/{job}/candidates", params=asked)
        assert answer.status_code == 200, answer.text
        return {PurePath(c["file"]).stem for c in answer.json()["candidates"]}

    free = {"river", "tractor", "barn"}
    spot = article.selections[0].spot.id
    assert offered(caption="harvest") == free
    assert offered(like=article.illustrations[0].image_id) == free - placed(archive, article)
    assert offered(spot=spot) == free
    assert offered(caption="harvest", only=["tag=harvest"]) == {"river", "tractor"}
    tractor = next(r for r in archive.records() if "tractor" in r.path)
    archive.write({tractor.id: {"licence": "All rights reserved"}})
    assert offered(spot=spot) >= free - {"tractor"}
    assert offered(spot=spot) - placed(archive, article) == free - {"tractor"} - placed(archive, article)
    refused = client.get(f"/v1/jobs/{job}/candidates", params={"caption": "x", "only": "colour=red"})
    assert (refused.status_code, refused.json()["code"]) == (422, "filter-unknown")


# --- tools for agents ------------------------------------------------------------------------------------------------


def test_tools_search_compose_and_spot_with_filters(archive: Library) -> None:
    with ScriptedServer(article_answers(sees=True)) as server:
        tools = {tool.name: tool for tool in limner.toolbox(library="archive", model=chat_model(server))}

        def call(name: str, **given: Any) -> Any:
            return tools[name].invoke({"name": name, "args": given, "id": "1", "type": "tool_call"})

        found = call("search_images", query="harvest", only=["tag=harvest"])
        assert {stem(archive, c.image_id) for c in found.artifact} == {"river", "tractor"}
        assert "1 pictures were left out" in call("search_images", query="harvest").text
        assert "unused=3 had no effect" in call("search_images", query="harvest", only=["unused=3"]).text
        composed = call("compose_article", brief="Honey", images=2, only=["country=Portugal"])
        assert composed.artifact.only == ("country=Portugal",)
        written = call("write", brief="Honey").text.split(":")[0].removeprefix("Article ")
        call("spot", article=written, images=2, only=["tag=buildings"])
        got = call("retrieve", article=written).artifact
        assert {stem(archive, c.image_id) for images in got.values() for c in images} == {"barn", "mill"}
        for name, given in (
            ("search_images", {"query": "x"}),
            ("compose_article", {"brief": "Honey"}),
            ("spot", {"article": written}),
        ):
            refused = call(name, **given, only=["colour=red"])
            assert (refused.status, FIELDS in refused.text) == ("error", True), refused.text


# --- jobs ------------------------------------------------------------------------------------------------------------


def test_a_job_keeps_its_filters(client: TestClient, jobs: Jobs) -> None:
    body = {"brief": "Honey", "only": [" License = CC0 ", "unused=4"]}
    job = submit(client, body)
    assert client.get(f"/v1/jobs/{job}").json()["request"]["only"] == body["only"]
    assert json.loads(json.dumps(jobs.ledger.request(job)))["only"] == body["only"]
