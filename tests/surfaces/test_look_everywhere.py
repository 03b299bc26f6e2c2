"""Searches by example pictures on every surface: the shell, HTTP, Python, the tools for agents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from shell import Shell
from tiny_siglip import COLOURS, make_siglip

import limner
from limner.errors import BadInput
from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, index


def shade(colour: str, n: int) -> Image.Image:
    """A picture near a colour, with other bytes for each n from 0 on."""
    return Image.new("RGB", (64, 48), tuple(c + 3 * n if c < 128 else c - 3 * n for c in COLOURS[colour]))


@pytest.fixture
def photos(home: Path, tmp_path: Path) -> Library:
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in COLOURS:
        for n in range(2):
            shade(colour, n).save(folder / f"{colour * (n + 1)}.png")  # names that share no word
    return index(home, "photos", [folder], default_encoders(), encoder=str(make_siglip(tmp_path / "siglip")))[0]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    file = tmp_path / "outside.png"
    shade("green", 3).save(file)
    return file


@pytest.fixture
def client(photos: Library, home: Path) -> Iterator[TestClient]:
    with closing(Jobs(Settings(home=home))) as jobs, TestClient(create_app(jobs.settings, jobs)) as made:
        made.base_url = "http://localhost:8642"
        yield made


def stem(library: Library, image: str) -> str:
    return PurePath(library.record(image).path).stem


def colour(name: str) -> str:
    """The colour of a file."""
    return next(one for one in COLOURS if name.lower() in (one, one * 2))


def the(library: Library, name: str) -> str:
    return library.find(f"{name}.png").id


def test_the_shell(shell: Shell, photos: Library, outside: Path) -> None:
    said = shell("library", "search", "photos", "--like", "red.png", "--like", outside, "--unlike", "blue.png", "-k", 3)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert {line.split()[-1].lower() for line in lines[:3]} == {"redred", "green", "greengreen"}
    assert all("above chance" in line for line in lines[:3])
    assert lines[-1] == "photos-search.html"
    sheet = Path("photos-search.html").read_text()
    assert f"like red.png like {outside} unlike blue.png" in sheet
    varied = shell("library", "search", "photos", "red", "--diverse", "-k", "8", "--only", "orientation=landscape")
    assert len({colour(line.split()[-1]) for line in varied.out.splitlines()[:8]}) == 8
    bad = [
        (("--unlike", "red.png"), "Say what the images should show"),
        (("--like", "nothing.png"), "has no image nothing.png"),
        (("red", "--unlike", outside), "has no image"),
    ]
    for options, words in bad:
        refused = shell("library", "search", "photos", *options)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert words in refused.err


def test_a_library_without_an_encoder_says_how_it_compared(shell: Shell, bees: Path, outside: Path) -> None:
    image = next(file.name for file in sorted(bees.iterdir()) if file.suffix in {".jpg", ".png", ".webp"})
    said = shell("library", "search", "bees", "--like", image)
    assert said.code == 0, said.err
    assert "no picture encoder: pictures were compared by their captions" in said.out
    refused = shell("library", "search", "bees", "--like", outside)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "cannot compare a picture from outside" in refused.err


def test_python(photos: Library, outside: Path) -> None:
    found = limner.search(library="photos", like=["redred.png", outside], k=3)
    assert {stem(photos, c.image_id) for c in found} == {"red", "green", "greengreen"}
    assert "red" not in {stem(photos, c.image_id) for c in limner.search("red", library=photos, unlike=["red.png"])}
    assert len(limner.search("red", library="photos", diverse=True, only=["width>=60"], k=5)) == 5
    with pytest.raises(BadInput, match="Say what to look for"):
        limner.search(library="photos")


def test_http(client: TestClient, photos: Library, outside: Path) -> None:
    red, blue = the(photos, "red"), the(photos, "blue")
    address = "/v1/libraries/photos/search"
    asked = {"like": [red], "unlike": [blue], "k": 20}
    found = client.get(address, params=asked).json()["images"]
    assert stem(photos, found[0]["image_id"]) == "redred"
    assert stem(photos, found[-1]["image_id"]) == "blueblue"
    assert found[0]["fits"]["clip"] > 3
    varied = client.get(address, params={"q": "red", "diverse": "yes", "k": 8}).json()["images"]
    assert len({colour(stem(photos, c["image_id"])) for c in varied}) == 8
    given: dict[str, Any] = {"file": ("x.png", outside.read_bytes(), "image/png")}
    by_file = client.post(address, files=given, data={"k": 3, "like": [red], "only": ["width>=60"]})
    assert {stem(photos, c["image_id"]) for c in by_file.json()["images"]} == {"redred", "green", "greengreen"}
    refused = [
        (client.get(address), "query-empty"),
        (client.get(address, params={"unlike": red}), "look-unlike"),
        (client.get(address, params={"like": "0" * 32}), "look-unknown"),
        (client.post(address, files={"file": ("x.png", b"none")}), "image-unreadable"),
    ]
    for answer, code in refused:
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert client.get(address, params={"like": "../x"}).status_code == 422


def test_the_tools_for_agents(photos: Library) -> None:
    tool = next(t for t in limner.toolbox(library="photos") if t.name == "search_images")
    red, blue = the(photos, "red"), the(photos, "blue")
    said = tool.invoke({"like": [red], "unlike": [blue], "count": 1})
    assert the(photos, "redred") in said
    assert "Say in words what you want" in str(tool.invoke({"query": ""}))
    assert "None of the libraries has the image" in str(tool.invoke({"like": ["0" * 32]}))
    assert "like" in str(tool.invoke({"like": ["/etc/passwd"]}))
