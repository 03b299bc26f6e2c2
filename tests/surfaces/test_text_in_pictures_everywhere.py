"""Text in pictures in the shell and over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from lettering import Gallery
from shell import Shell

from limner.jobs.service import Jobs
from limner.settings import Settings
from limner.surfaces.http.app import create_app
from limner.tools.images import ocr


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    made = Gallery(tmp_path / "photos")
    made.card("card", "Lighthouse keeper")
    made.thing("rock", "a rock in the sea")
    return made.folder


def test_the_shell_reads_shows_and_forgets(shell: Shell, photos: Path) -> None:
    plain = shell("library", "add", "coast", str(photos))
    assert "pictures read" not in plain.out
    added = shell("library", "add", "coast", "--read-text")
    assert added.code == 0, added.err
    assert "2 pictures read, 1 with text" in added.out
    shown = shell("library", "show", "coast").out
    assert "text in pictures: 2 read, 1 with text" in shown
    (card,) = [line for line in shown.splitlines() if "IMG_0001" in line]
    assert card.endswith('%: "Lighthouse keeper"]')
    assert "IMG 0001" in shell("library", "search", "coast", "lighthouse").out.splitlines()[0]
    forgotten = shell("library", "add", "coast", "--no-read-text")
    assert forgotten.code == 0, forgotten.err
    assert "Lighthouse" not in shell("library", "show", "coast").out


def test_without_the_extra_the_shell_names_it(
    shell: Shell, photos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_spec", lambda name: None)
    said = shell("library", "add", "coast", str(photos), "--read-text")
    assert said.code != 0
    assert "pip install 'limner[ocr]'" in said.err
    assert "Traceback" not in said.err
    assert "No library yet" in shell("library", "list").out


def test_http_gives_the_text_of_an_image(shell: Shell, photos: Path, home: Path) -> None:
    shell("library", "add", "coast", str(photos), "--read-text")
    jobs = Jobs(Settings())
    try:
        with TestClient(create_app(jobs.settings, jobs), base_url="http://localhost:8642") as client:
            images = client.get("/v1/libraries/coast/images").json()["images"]
            assert [one["text_in_picture"] for one in images] == ["Lighthouse keeper", ""]
            assert 0 < images[0]["text_area"] < 0.3
            assert images[1]["text_area"] == 0
            (found, *_) = client.get("/v1/libraries/coast/search", params={"q": "lighthouse"}).json()["images"]
            assert found["image_id"] == images[0]["image_id"]
            assert found["caption"] == "IMG 0001"
    finally:
        jobs.close()
