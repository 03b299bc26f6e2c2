"""What came of a job in each format, its images, the libraries they come from."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from lives import BRIEF, bearer, finish, submit, take
from pictures import CAPTIONS
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.document import Article
from limner.exports import FORMATS, images_beside, read_json
from limner.jobs.service import Jobs
from limner.tools.encoders import default_encoders
from limner.tools.images.publish import published
from limner.tools.library import Library, image_identity, index, remove


@pytest.fixture
def library(jobs: Jobs, bees: Path) -> Library:
    """The library "bees" in this test's home."""
    return Library.open(jobs.settings.home, "bees", default_encoders())


@pytest.fixture
def done(client: TestClient, jobs: Jobs, library: Library) -> str:
    """The address of a finished job whose article has two images."""
    job = submit(client)
    finish(jobs, take(jobs, job), library)
    return f"/v1/jobs/{job}"


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# --- the article ---------------------------------------------------------------------------------------------------


def test_the_article_as_json(client: TestClient, jobs: Jobs, done: str) -> None:
    answer = client.get(client.get(done).json()["links"]["article"])
    assert answer.headers["content-type"] == "application/json"
    article = Article.model_validate(answer.json()["article"])
    assert article == jobs.ledger.article(done.rpartition("/")[2])
    assert len(article.illustrations) == 2


def test_the_article_as_markdown_has_relative_images(client: TestClient, done: str) -> None:
    answer = client.get(f"{done}/article?format=md")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert "attachment; filename*=utf-8''honey.md" in answer.headers["content-disposition"]
    images = re.findall(r"!\[[^]]*\]\(([^)]+)\)", answer.text)
    assert len(images) == 2
    assert all(re.fullmatch(r"images/[\w-]+\.png", image) for image in images)


def test_the_article_as_a_page_shows_its_images_and_runs_nothing(client: TestClient, done: str) -> None:
    answer = client.get(f"{done}/article?format=html")
    assert answer.headers["content-type"].startswith("text/html")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.text.count('src="data:image/') == 2
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


def test_the_zip_is_what_the_shell_writes(client: TestClient, done: str, tmp_path: Path) -> None:
    answer = client.get(f"{done}/article?format=zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert all(re.fullmatch(r"honey/(images/)?[\w-]+(\.[a-z]+)?/?", name) for name in names), names
        archive.extractall(tmp_path)
    folder = tmp_path / "honey"
    article = read_json(folder / "article.json")
    for name in ("md", "html", "json"):
        FORMATS[name].check(article, folder / FORMATS[name].file)
    for i in article.illustrations:
        data, _ = images_beside(article, folder)(i.image_id)
        assert image_identity(published(data)) == image_identity(data)  # nothing private is left in it


@pytest.mark.parametrize("name", ["docx", "epub", "pdf"])
def test_documents_come_whole_and_as_attachments(client: TestClient, done: str, tmp_path: Path, name: str) -> None:
    answer = client.get(f"{done}/article?format={name}")
    assert answer.headers["content-type"] == FORMATS[name].media
    assert answer.headers["content-disposition"].startswith("attachment")
    (tmp_path / "x").write_bytes(answer.content)
    article = Article.model_validate(client.get(f"{done}/article").json()["article"])
    FORMATS[name].check(article, tmp_path / "x")


def test_nothing_is_left_behind(client: TestClient, done: str, nothing_left: Path) -> None:
    for name in ("md", "html", "zip", "json", "docx", "pdf"):
        client.get(f"{done}/article?format={name}")
    assert list(nothing_left.iterdir()) == []


def test_a_format_that_is_none_is_refused(client: TestClient, done: str) -> None:
    answer = client.get(f"{done}/article?format=odt")
    assert answer.status_code == 422
    assert "format" in answer.json()["detail"]
    assert "zip" in answer.json()["detail"]


def test_the_images_of_an_article_and_no_others(client: TestClient, done: str, library: Library) -> None:
    inside, outside = library.records()[0], library.records()[4]
    whole = client.get(f"{done}/images/{inside.id}")
    assert whole.headers["content-type"] == "image/png"
    assert "immutable" in whole.headers["cache-control"]
    assert whole.headers["cache-control"].startswith("private")
    with Image.open(io.BytesIO(whole.content)) as image, Image.open(inside.path) as kept:
        assert image.tobytes() == kept.tobytes()
    small = client.get(f"{done}/images/{inside.id}?side=100")
    assert small.headers["content-type"] == "image/webp"
    assert max(Image.open(io.BytesIO(small.content)).size) == 128
    assert client.get(f"{done}/images/{outside.id}").status_code == 404
    for wrong in ("x", "A" * 32, "..%2f..%2fetc%2fpasswd", "0" * 31):
        assert client.get(f"{done}/images/{wrong}").status_code in (404, 422)


def test_no_address_of_an_image_tells_what_its_file_says(
    client: TestClient, jobs: Jobs, done: str, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's file names a person: neither the image, nor its thumbnail, nor any format does."""
    from limner.surfaces.http.signed_urls import address

    record = library.records()[0]
    tagged, out = PngInfo(), io.BytesIO()
    tagged.add_text("parameters", "a portrait of Jane")
    with Image.open(record.path) as image:
        image.save(out, "PNG", pnginfo=tagged)
    before = Library.image
    given = {record.id: out.getvalue()}
    monkeypatch.setattr(Library, "image", lambda self, image_id: given.get(image_id) or before(self, image_id))
    article = jobs.article(done.rpartition("/")[2])
    (shown,) = [i for i in article.illustrations if i.image_id == record.id]
    asked = [f"{done}/images/{record.id}", f"{done}/images/{record.id}?side=200"]
    asked += [f"/v1/libraries/bees/images/{record.id}?side=200"]
    asked += [address(jobs.settings.home, done.rpartition("/")[2], shown)]
    for where in asked:
        answer = client.get(where)
        assert answer.status_code == 200, where
        assert b"Jane" not in answer.content, where
    assert shown.credit.encode() in client.get(asked[0]).content
    with zipfile.ZipFile(io.BytesIO(client.get(f"{done}/article?format=zip").content)) as archive:
        assert not any(b"Jane" in archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize("format", ["md", "html", "zip", "docx", "epub"])
def test_an_article_whose_library_is_gone_is_served_without_its_images(
    format: str, client: TestClient, jobs: Jobs, done: str, library: Library
) -> None:
    index(jobs.settings.home, "private", [Path(library.records()[0].path).parent], default_encoders())
    [image_id, *_] = [record.id for record in library.records()]
    remove(jobs.settings.home, "bees")
    answer = client.get(f"{done}/article?format={format}")
    assert answer.status_code == 200, answer.text
    assert b"private" not in answer.content
    if format in ("md", "html"):
        assert "Bees gather nectar" in answer.text
        assert "<img" not in answer.text
        assert "![" not in answer.text
    if format == "zip":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            [record] = [name for name in archive.namelist() if name.endswith("article.json")]
            assert "2 of its images are left out" in archive.read(record).decode()
    kept = client.get(f"{done}/article").json()["article"]
    assert len(kept["illustrations"]) == 2, "the record keeps what was said of them"
    assert client.get(f"{done}/images/{image_id}").status_code == 404


def test_an_image_file_that_is_gone_says_so(client: TestClient, done: str, library: Library, bees: Path) -> None:
    record = library.records()[0]
    data = Path(record.path).read_bytes()
    Path(record.path).unlink()
    try:
        answer = client.get(f"{done}/images/{record.id}")
    finally:
        Path(record.path).write_bytes(data)  # other tests have the same folder
    assert answer.status_code == 422
    assert "gone or has changed" in answer.json()["detail"]
    assert str(bees) not in answer.text, "where it lies on the server is nobody's business"
    assert str(Path(record.path).parent) not in answer.text


# --- libraries -----------------------------------------------------------------------------------------------------


def test_libraries_are_listed_and_shown(client: TestClient, library: Library) -> None:
    assert client.get("/v1/libraries").json() == {
        "libraries": [{"name": "bees", "images": len(CAPTIONS), "problem": "", "code": "", "params": {}}]
    }
    shown = client.get("/v1/libraries/bees").json()
    assert (shown["images"], shown["described"], shown["licensed"]) == (len(CAPTIONS),) * 3
    assert len(shown["encoders"]) >= 2


def test_a_library_is_searched_and_its_thumbnails_are_small(client: TestClient, library: Library) -> None:
    found = client.get("/v1/libraries/bees/search", params={"q": "a bee on a flower", "k": 3}).json()["images"]
    assert found[0]["caption"] == CAPTIONS["flower.png"][0]
    assert len(found) == 3
    answer = client.get(f"/v1/libraries/bees/images/{found[0]['image_id']}", params={"side": 64})
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    assert max(Image.open(io.BytesIO(answer.content)).size) == 64
    assert client.get(f"/v1/libraries/bees/images/{'0' * 32}").status_code == 404


@pytest.mark.parametrize("query", ["", "  ", "\x07", "x" * 2001])
def test_a_query_of_nothing_is_refused(client: TestClient, library: Library, query: str) -> None:
    assert client.get("/v1/libraries/bees/search", params={"q": query}).status_code == 422


@pytest.mark.parametrize("name", ["none", "..", "../..", "%2e%2e%2f", "a" * 65, "starter", ".bees.lock"])
def test_a_library_that_is_not_there_is_404(client: TestClient, library: Library, name: str) -> None:
    assert client.get(f"/v1/libraries/{name}/search?q=x").status_code in (404, 422)


def test_owners_see_their_libraries_alone(client: TestClient, library: Library, tokens: dict[str, str]) -> None:
    listed = {
        owner: [view["name"] for view in client.get("/v1/libraries", headers=bearer(token)).json()["libraries"]]
        for owner, token in tokens.items()
    }
    assert listed == {"alice": ["bees"], "bob": []}


def test_a_library_of_other_encoders_hides_no_other(client: TestClient, jobs: Jobs, library: Library) -> None:
    index(jobs.settings.home, "other", [Path(library.records()[0].path).parent], default_encoders())
    strange = Library.open(jobs.settings.home, "other", default_encoders())
    strange.set_meta("encoders", json.dumps({"caption": "another"}))
    by_name = {view["name"]: view for view in client.get("/v1/libraries").json()["libraries"]}
    assert by_name["bees"]["images"] == len(CAPTIONS)
    assert by_name["other"]["images"] is None
    assert "another" in by_name["other"]["problem"]
    assert client.get("/v1/libraries/other").status_code == 422


def test_a_job_may_use_only_the_owners_libraries(client: TestClient, library: Library, tokens: dict[str, str]) -> None:
    body = BRIEF | {"library": ["bees"]}
    assert client.post("/v1/jobs", json=body, headers=bearer(tokens["alice"])).status_code == 201
    assert client.post("/v1/jobs", json=body, headers=bearer(tokens["bob"])).status_code == 404
