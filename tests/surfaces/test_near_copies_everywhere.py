"""Near-copies of a picture are one picture on every surface, and in an article."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from copied import photograph, saved
from fastapi.testclient import TestClient
from shell import Shell

import limner
from limner.document import Article, Brief, Candidate, Illustration, Reference, Spot, read_markdown
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.tools.candidates import Wanted, candidates
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, index
from limner.workflows import steps
from limner.workflows.context import build_context

WORDS = "A footprint in the dust of the Moon"
TEXT = f"# The Moon\n\n{WORDS}.\n\nThe dust of the Moon keeps a footprint for long.\n"


@pytest.fixture
def photos(home: Path, tmp_path: Path) -> Library:
    """One picture in three files and three other pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for by in (0.5, 0.7, 1):
        (folder / f"moon-{by}.jpg").write_bytes(saved(photograph(0), "JPEG", by=by, quality=85))
        (folder / f"moon-{by}.txt").write_text(WORDS)
    for n in range(1, 4):
        (folder / f"other-{n}.jpg").write_bytes(saved(photograph(n), "JPEG", quality=85))
        (folder / f"other-{n}.txt").write_text(f"Something else, number {n}")
    return index(home, "photos", [folder], default_encoders())[0]


@pytest.fixture
def ids(photos: Library) -> list[str]:
    """The copies, best first."""
    return [photos.find(f"moon-{by}.jpg").id for by in ("1", "0.7", "0.5")]


def test_the_shell(shell: Shell, photos: Library, ids: list[str]) -> None:
    lines = shell("library", "search", "photos", WORDS).out.splitlines()
    assert ids[0][:12] in lines[0]
    assert lines[1] == f"        copies of it: {ids[1][:12]}, {ids[2][:12]}"
    assert len(lines) == 6, "four pictures, a line on copies, the contact sheet"
    assert "near-copies: 3 images are 1; " in shell("library", "show", "photos").out


def test_python_http_and_agents(photos: Library, ids: list[str], home: Path) -> None:
    found = limner.search(WORDS, library="photos")
    assert (len(found), found[0].image_id, found[0].copies) == (4, ids[0], (ids[1], ids[2]))
    with closing(Jobs(Settings(home=home))) as jobs, TestClient(create_app(jobs.settings, jobs)) as client:
        client.base_url = "http://localhost:8642"
        [first, *_] = client.get("/v1/libraries/photos/search", params={"q": WORDS}).json()["images"]
    assert (first["image_id"], first["copies"]) == (ids[0], ids[1:])
    tool = next(t for t in limner.toolbox(library="photos") if t.name == "search_images")
    assert f"copies: {ids[1]} {ids[2]}" in tool.invoke({"query": WORDS})


def showing(image: str) -> Article:
    article = read_markdown(TEXT)
    size = {"width": 1, "height": 1}
    one = Illustration(
        id="f-1", after=article.paragraphs[0].id, image_id=image, library="photos", caption="", alt="", **size
    )
    return article.illustrated([one])


def retrieved(article: Article, brief: Brief) -> list[Candidate]:
    context = build_context(Settings(), library="photos")
    spot = Spot(id="s", after=article.paragraphs[1].id, caption=WORDS, search=WORDS)
    return steps.retrieve(context, article, [spot], brief)["s"]


def test_an_article_shows_one_of_them(photos: Library, ids: list[str]) -> None:
    made = limner.illustrate(TEXT, library="photos", images=2)
    assert len({i.image_id for i in made.illustrations} & {*ids}) == 1
    assert ids[0] in {i.image_id for i in made.illustrations}


@pytest.mark.parametrize("shown", range(3))
def test_a_picture_that_an_article_shows_is_not_placed_again_as_a_copy(
    photos: Library, ids: list[str], shown: int
) -> None:
    article = showing(ids[shown])
    assert not {*ids} & {c.image_id for c in retrieved(article, Brief(text="The Moon"))}
    suggested = candidates(article, Wanted(caption=WORDS), [photos])
    assert [one.chosen for one in suggested if one.candidate.image_id == ids[0]] == [True]


def test_a_picture_that_was_handed_in_stands_for_its_copies(photos: Library, ids: list[str]) -> None:
    brief = Brief(text="The Moon", references=(Reference(image_id=ids[2], caption=WORDS, library="photos"),))
    found = {c.image_id for c in retrieved(read_markdown(TEXT), brief)}
    assert ids[2] in found
    assert not {ids[0], ids[1]} & found
