"""Photographs without words: two commands from a folder to an illustrated text, with a hub on the loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hub_server import Hub, hub_of, weights_of
from PIL import Image
from shell import Shell
from tiny_siglip import COLOURS, break_siglip, make_siglip

from limner.exports import read_json
from limner.models.encoders.known import known
from limner.models.encoders.onnx import OnnxPictures
from limner.settings import Settings
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, libraries, written_in

TEXT = """# Notes

The ripe tomato was red all over.

The committee elected a new treasurer and adjourned.

Value added tax is due each quarter.

The sea lay blue under the cliffs.

The contract may be ended in writing.

The lease was signed by both parties.
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose siglip2 is tiny."""
    folder = make_siglip(tmp_path / "repository")
    with hub_of("maker/tiny", folder) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        monkeypatch.setitem(
            known(), "siglip2", replace(known()["siglip2"], repository="maker/tiny", files=weights_of(folder))
        )
        yield served


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty-four pictures as a camera names them: a colour each, and many without one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(24):
        colour = [*COLOURS.values()][n] if n < 8 else (120 + n, 110 + n, 100 + n)
        Image.new("RGB", (64, 48), colour).save(folder / f"DSC_{n:04}.png")
    return folder


def test_two_commands_illustrate_a_text_with_bare_photographs(
    shell: Shell, hub: Hub, photos: Path, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "notes.md").write_text(TEXT)
    added = shell("library", "add", "photos", str(photos), "--encoder", "siglip2")
    assert added.code == 0, added.err
    assert f"from {hub.url}/maker/tiny, licence Apache-2.0, to {home / 'models' / 'siglip2'}" in added.err
    assert "24 added" in added.out
    done = shell("illustrate", str(tmp_path / "notes.md"), "--library", "photos", "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    article = read_json(tmp_path / "out" / "article.json")
    library = Library.open(home, "photos", default_encoders(threads=1))
    after = {i.after: Path(library.record(i.image_id).path).name for i in article.illustrations}
    text = {p.id: p.text[:12] for p in article.paragraphs}
    assert {text[p]: name for p, name in after.items()} == {
        "The ripe tom": "DSC_0000.png",
        "The sea lay ": "DSC_0002.png",
    }


def test_retrieval_follows_the_order_of_the_vectors(shell: Shell, hub: Hub, photos: Path, home: Path) -> None:
    shell("library", "add", "photos", str(photos), "--encoder", "siglip2")
    library = Library.open(home, "photos", default_encoders(threads=1))
    encoder = OnnxPictures(home / "models" / "siglip2", threads=1)
    query = "a purple flower"
    found = library.search([query], 24)[0]
    pictures = [Image.open(library.record(c.image_id).path) for c in found]
    expected = (encoder.encode_texts([query]) @ encoder.encode_images(pictures).T)[0]
    assert [c.scores["clip"] for c in found] == pytest.approx(expected, abs=1e-4)
    assert expected[0] > 0.9 > 0.5 > expected[1]
    assert (np.diff(expected) < 1e-4).all()  # falling; the greys are alike
    assert Path(library.record(found[0].image_id).path).name == "DSC_0006.png"


def test_pictures_without_words_are_offered_an_encoder_and_nothing_is_fetched(
    shell: Shell, hub: Hub, photos: Path, home: Path
) -> None:
    (photos / "DSC_0003.txt").write_text("A yellow bus")
    lines = shell("library", "add", "photos", str(photos)).out.splitlines()
    offer = [line for line in lines if "--encoder" in line]
    assert len(offer) == 1
    assert offer[0].startswith("23 pictures have no words and are found by file name only. To search them by what they")
    assert re.search(
        r"`limner library add photos --encoder siglip2` \(downloads \d+ MB once, licence Apache-2.0\)", offer[0]
    )
    assert not hub.asked
    again = shell("library", "add", "photos", "--encoder", "siglip2")
    assert again.code == 0, again.err
    assert "--encoder" not in again.out
    listed = shell("library", "show", "photos").out
    assert "siglip2 " in listed.splitlines()[1]


def test_another_encoder_keeps_words_and_encodes_every_picture_once(
    shell: Shell, hub: Hub, photos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("library", "add", "photos", str(photos))
    shell("library", "edit", "photos", "DSC_0001.png", "--caption", "A meadow")
    counted: list[int] = []
    encode = OnnxPictures.encode_images
    monkeypatch.setattr(
        OnnxPictures, "encode_images", lambda self, some: (counted.append(len(some)), encode(self, some))[1]
    )
    shell("library", "add", "photos", "--encoder", "siglip2")
    assert sum(counted) == 25  # and the one that a new encoder is tried with
    shell("library", "add", "photos", "--encoder", "siglip2")
    shell("library", "add", "photos", str(photos))
    assert sum(counted) == 25  # nothing changed, nothing is encoded again
    assert [words["caption"] for words in written_in(home, "photos").values()] == ["A meadow"]
    found = Library.open(home, "photos", default_encoders(threads=1)).search(["A meadow"], 3)[0]
    assert found[0].caption == "A meadow"
    assert set(found[0].scores) == {"caption", "words", "clip"}


def test_a_switch_that_is_killed_is_finished_by_the_same_command(
    shell: Shell, hub: Hub, photos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("library", "add", "photos", str(photos))
    monkeypatch.setattr("limner.tools.library.sources.Folders.batch", 8)
    encode, seen = OnnxPictures.encode_images, []

    def killed(self: OnnxPictures, some: list[Image.Image]) -> object:
        if len(seen) == 2:  # the picture that the encoder is tried with, and a batch
            raise KeyboardInterrupt
        seen.append(len(some))
        return encode(self, some)

    monkeypatch.setattr(OnnxPictures, "encode_images", killed)
    assert shell("library", "add", "photos", "--encoder", "siglip2").code != 0
    monkeypatch.setattr(
        OnnxPictures, "encode_images", lambda self, some: (seen.append(len(some)), encode(self, some))[1]
    )
    assert shell("library", "add", "photos", "--encoder", "siglip2").code == 0
    assert sum(seen) == 25  # those of the first batch were not encoded again


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "vision_model.onnx of onnx cannot be loaded"),
        ("towers", "9 numbers for a picture and 48 for a text"),
        ("input", "the vision tower asks for pixel_mask"),
        ("side", "cannot encode ("),
    ],
)
def test_an_encoder_that_does_not_run_leaves_a_library_as_it_is(
    shell: Shell, photos: Path, home: Path, tmp_path: Path, how: str, says: str
) -> None:
    folder = break_siglip(make_siglip(tmp_path / "tiny"), how)
    shell("library", "add", "photos", str(photos))
    library = Library.open(home, "photos", default_encoders(threads=1))
    before = library.meta("encoders")
    for name in ("photos", "others"):
        said = shell("library", "add", name, str(photos), "--encoder", str(folder))
        assert said.code == 2
        assert says in said.err.splitlines()[-1]
        assert "Traceback" not in said.err
    assert libraries(home) == ["photos"]
    assert (library.meta("encoders"), library.meta("pictures")) == (before, "")
    with library.vectors() as store:
        assert store.count() == 24
    assert len(Library.open(home, "photos", default_encoders(threads=1)).search(["DSC 0003"], 3)[0]) == 3


def test_a_library_whose_encoder_is_gone_says_how_to_get_it(shell: Shell, hub: Hub, photos: Path, home: Path) -> None:
    shell("library", "add", "photos", str(photos), "--encoder", "siglip2")
    (home / "models" / "siglip2").rename(home / "gone")
    said = shell("library", "search", "photos", "red")
    assert said.code == 2
    assert said.err.strip().splitlines()[-1].startswith("limner: The encoder siglip2 is not on this machine")
    hub.faults.status = 429
    said = shell("library", "add", "photos", "--encoder", "siglip2")
    assert said.code == 2
    assert "asks to wait (429, too many requests)" in said.err


def test_an_encoder_from_a_folder_needs_no_hub(shell: Shell, photos: Path, home: Path, tmp_path: Path) -> None:
    folder = make_siglip(tmp_path / "tiny")
    added = shell("library", "add", "photos", str(photos), "--encoder", str(folder))
    assert added.code == 0, added.err
    found = shell("library", "search", "photos", "blue", "--out", str(tmp_path / "sheet.html"))
    assert "DSC_0002" in found.out.splitlines()[0] or "DSC 0002" in found.out.splitlines()[0]


def test_doctor_loads_every_encoder_of_pictures(shell: Shell, hub: Hub, photos: Path, home: Path) -> None:
    shell("library", "add", "photos", str(photos), "--encoder", "siglip2")
    said = [line for line in shell("doctor").out.splitlines() if " pictures " in line]
    assert said == [
        line for line in said if re.search(r"ok +pictures +siglip2 \w{8} tells a red picture from a blue", line)
    ]
    assert len(said) == 1
    (home / "models" / "siglip2" / "onnx" / "vision_model.onnx").unlink()
    said = [line for line in shell("doctor").out.splitlines() if " pictures " in line]
    assert said[0].startswith("FAIL  pictures   The encoder siglip2 is not on this machine")


def test_doctor_notices_weights_that_see_nothing(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_siglip(tmp_path / "tiny")
    config = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**config, "image_std": [1e9] * 3}))
    monkeypatch.setenv("LIMNER_CLIP_MODEL", str(folder))
    assert Settings().clip_model == str(folder)
    said = [line for line in shell("doctor").out.splitlines() if " pictures " in line]
    assert len(said) == 1
    assert said[0].startswith("FAIL")
    assert "cannot tell a red picture from a blue one. Use other weights" in said[0]
