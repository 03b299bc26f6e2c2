"""The starter library: the drawings that are in it, what they are found by, and that it is made once."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest
from PIL import Image

from limner.errors import NotInstalled
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.images.images import displayable
from limner.tools.library import Library, libraries
from limner.tools.library.starter import Drawings, is_wanted, starter_library

ENCODERS = Encoders(MiniLM(threads=1), Words())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return starter_library(tmp_path_factory.mktemp("starter"), ENCODERS)


def first(library: Library, query: str, k: int = 3) -> list[str]:
    return [c.caption for c in library.search([query], k)[0]]


def test_it_holds_drawings_with_their_credit(made: Library) -> None:
    records = made.records()
    assert 800 < len(records) == len(made) < 1200
    assert {(r.credit, r.licence, r.described) for r in records} == {("OpenMoji (openmoji.org)", "CC BY-SA 4.0", True)}
    bee = next(r for r in records if r.caption == "Honeybee")
    assert (bee.alt, bee.width, bee.height) == ("Drawing of honeybee, bee", 512, 512)


@pytest.mark.parametrize(
    ("query", "caption"),
    [
        ("bees collecting nectar from flowers", "Honeybee"),
        ("honey in a pot", "Honey pot"),
        ("a planet with rings", "Ringed planet"),
        ("a farmer at the harvest", "Farmer"),
        ("champagne", "Bottle with popping cork"),
        ("the eruption of a volcano", "Volcano"),
        ("looking at bacteria under a microscope", "Microscope"),
    ],
)
def test_drawings_are_found_by_what_they_show(made: Library, query: str, caption: str) -> None:
    assert caption in first(made, query)


def test_pixels_are_made_when_an_image_is_used(made: Library) -> None:
    [bee] = made.search(["honeybee"], 1)[0]
    shown, suffix = displayable(made.image(bee.image_id))
    drawn = Image.open(io.BytesIO(shown))
    assert (suffix, drawn.size) == (".png", (bee.width, bee.height))
    assert len(drawn.convert("RGB").getcolors(1 << 18) or []) > 3


@pytest.mark.parametrize(
    ("characters", "name", "wanted"),
    [
        ("🐝", ":honeybee:", True),
        ("🐱", ":cat_face:", True),
        ("🤝", ":handshake:", True),
        ("🧑\u200d🌾", ":farmer:", True),
        ("👨\u200d🌾", ":man_farmer:", False),
        ("🧑🏽\u200d🌾", ":farmer_medium_skin_tone:", False),
        ("🏃\u200d➡️", ":person_running_facing_right:", False),
        ("🇯🇵", ":Japan:", False),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", ":England:", False),
        ("😀", ":grinning_face:", False),
        ("👍", ":thumbs_up:", False),
        ("🕐", ":one_o’clock:", False),
        ("♈", ":Aries:", False),
        ("🆗", ":OK_button:", False),
        ("4️⃣", ":keycap_4:", False),
        ("➡️", ":right_arrow:", False),
    ],
)
def test_only_what_could_illustrate_an_article_is_kept(characters: str, name: str, wanted: bool) -> None:
    assert is_wanted(characters, name) is wanted


def test_it_is_made_once_and_again_when_the_packages_change(made: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    starter_library(made.home, ENCODERS, lambda done, total: seen.append((done, total)))
    assert seen == []
    monkeypatch.setattr(Drawings, "version", "another release")
    starter_library(made.home, ENCODERS, lambda done, total: seen.append((done, total)))
    assert seen == [(len(made), len(made))]  # looked through, and nothing was new
    monkeypatch.undo()
    starter_library(made.home, ENCODERS)


def test_it_is_made_again_for_other_encoders(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Drawings.scan

    def few(self: Drawings) -> object:
        found = whole(self)
        found.files = dict(list(found.files.items())[:20])
        return found

    monkeypatch.setattr(Drawings, "scan", few)
    starter_library(home, ENCODERS)
    library = starter_library(home, Encoders(ENCODERS.caption, Words(k1=2)))
    assert len(library) == 20
    assert "k1=2 " in library.meta("encoders")


def test_other_languages_have_a_library_of_their_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Drawings("zh").scan()
    bee = next(row for path, row in found.rows.items() if path.endswith("1F41D.svg"))
    assert bee.caption == "蜜蜂"
    with pytest.raises(NotInstalled, match="no names in 'tlh'"):
        starter_library(home, ENCODERS, language="tlh")
    assert libraries(home) == []


def test_missing_drawings_say_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"limner\[starter\]"):
        starter_library(home, ENCODERS)
    assert libraries(home) == []
