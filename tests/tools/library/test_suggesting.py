"""Words that a model suggests: whose words win, what is known of a picture, and libraries of older limners."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from limner.errors import BadInput
from limner.tools.encoders import default_encoders
from limner.tools.library import Library, index, suggesting
from limner.tools.library.machine import Suggestion
from limner.tools.library.records import RECORDS, Record

SAILS = Suggestion(
    "Two boats with red sails lie in a harbour. Gulls sit on the quay.", "Two sailing boats.", "en", "seer", 9
)
COLOURS = ("red", "green", "blue", "black")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photographs without words, one of them in a folder of its own."""
    inner = tmp_path / "pictures" / "Alps 2023" / "hut"
    inner.mkdir(parents=True)
    for n, colour in enumerate(COLOURS):
        Image.new("RGB", (48, 32), colour).save((inner if n == 3 else inner.parent) / f"DSC_{n:04}.png")
    return inner.parent


@pytest.fixture
def library(folder: Path, home: Path) -> Library:
    return index(home, "alps", [folder], default_encoders(threads=1))[0]


def again(library: Library, folder: Path) -> None:
    index(library.home, library.name, [folder], library.encoders)


def named(library: Library, name: str) -> Record:
    return library.find(name)


def suggest(library: Library, name: str, suggestion: Suggestion = SAILS) -> None:
    suggesting.suggest(library, {named(library, name).id: suggestion})
    library.freshen()


def test_a_suggestion_is_marked_shown_and_found(library: Library) -> None:
    suggest(library, "DSC_0001.png")
    record = named(library, "DSC_0001.png")
    assert (record.caption, record.alt, record.machine_made) == (SAILS.caption, SAILS.alt, ("caption", "alt"))
    assert record.described
    assert not record.bare
    best = library.search(["red sails in a harbour"], 4)[0][0]
    assert (best.image_id, best.machine_made) == (record.id, ("caption", "alt"))
    assert best.fits["caption"] > 3, "its caption is judged like any other"
    bare = [c for c in library.search(["red sails in a harbour"], 4)[0] if c.image_id != record.id]
    assert all("caption" not in c.fits for c in bare), "a camera's file name is still no caption"


def test_a_persons_words_win_field_by_field_and_are_theirs(library: Library) -> None:
    suggest(library, "DSC_0001.png")
    image = named(library, "DSC_0001.png").id
    record = library.write({image: {"caption": "Regatta in Brest"}})[0]
    assert (record.caption, record.alt) == ("Regatta in Brest", SAILS.alt)
    assert (record.machine_made, record.written) == (("alt",), ("caption",))
    suggest(library, "DSC_0001.png", SAILS._replace(caption="Something else is seen here."))
    assert named(library, "DSC_0001.png").caption == "Regatta in Brest"
    assert library.write({image: {"alt": ""}})[0].machine_made == ()
    assert library.write({image: {"caption": None, "alt": None}})[0].machine_made == ("caption", "alt")


def test_the_folders_words_win_too_whenever_they_come(library: Library, folder: Path) -> None:
    suggest(library, "DSC_0001.png")
    (folder / "DSC_0001.txt").write_text("Regatta in Brest")
    again(library, folder)
    record = named(library, "DSC_0001.png")
    assert (record.caption, record.alt, record.machine_made) == ("Regatta in Brest", SAILS.alt, ("alt",))
    assert library.search(["regatta in Brest"], 1)[0][0].image_id == record.id
    (folder / "DSC_0001.txt").unlink()
    again(library, folder)
    assert named(library, "DSC_0001.png").machine_made == ("caption", "alt")


def test_suggestions_outlive_renaming_reading_again_and_a_file_that_returns(library: Library, folder: Path) -> None:
    suggest(library, "DSC_0001.png")
    (folder / "DSC_0001.png").rename(folder / "DSC_9999.png")
    again(library, folder)
    assert named(library, "DSC_9999.png").caption == SAILS.caption
    data = (folder / "DSC_9999.png").read_bytes()
    (folder / "DSC_9999.png").unlink()
    again(library, folder)
    assert suggesting.suggested(library) == {}
    (folder / "DSC_9999.png").write_bytes(data)
    again(library, folder)
    best = library.search(["red sails in a harbour"], 1)[0][0]
    assert best.caption == SAILS.caption
    assert best.scores["caption"] > 0.5, "its vector is that of the suggestion"


def test_withdrawing_leaves_words_of_people_and_folder(library: Library, folder: Path) -> None:
    (folder / "DSC_0002.txt").write_text("A blue field at sea")
    again(library, folder)
    suggest(library, "DSC_0000.png")
    suggest(library, "DSC_0001.png")
    vain = Suggestion(language="en", model="seer", problem="uncaptioned-empty")
    suggesting.suggest(library, {named(library, "DSC_0003.png").id: vain})
    assert len(suggesting.in_vain(library, "seer", "en")) == 1
    library.write({named(library, "DSC_0001.png").id: {"caption": "Regatta in Brest", "alt": "Boats"}})
    assert suggesting.withdraw(library) == 1
    assert [r.caption for r in library.records()] == ["DSC 0000", "Regatta in Brest", "A blue field at sea", "DSC 0003"]
    assert named(library, "DSC_0000.png").bare
    assert suggesting.in_vain(library, "seer", "en") == frozenset()
    assert suggesting.withdraw(library) == 0
    found = library.search(["red sails in a harbour"], 4)[0]
    assert max(c.scores.get("caption", 0) for c in found if c.caption == "DSC 0000") < 0.5, "it was encoded again"


def test_a_later_answer_adds_what_is_lacking_and_takes_nothing(library: Library) -> None:
    suggest(library, "DSC_0001.png", SAILS._replace(caption=""))
    suggest(library, "DSC_0001.png", Suggestion(language="en", model="seer", problem="uncaptioned-refused"))
    record = named(library, "DSC_0001.png")
    assert (record.alt, record.machine_made) == (SAILS.alt, ("alt",)), "an answer in vain deletes no words"
    assert suggesting.in_vain(library, "seer", "en") == {record.id}
    suggest(library, "DSC_0001.png", Suggestion("A regatta off Brest. It rains.", "Other words.", "de", "better", 10))
    record = named(library, "DSC_0001.png")
    assert (record.caption, record.alt) == ("A regatta off Brest. It rains.", SAILS.alt)
    assert suggesting.suggested(library)[record.id].model == "seer, better"
    suggest(library, "DSC_0001.png", Suggestion("Third words are here.", "Third words.", "fr", "third", 11))
    assert named(library, "DSC_0001.png") == record
    assert suggesting.suggested(library)[record.id].model == "seer, better"


def test_words_of_the_time_when_questions_in_vain_stood_beside_them_are_kept(library: Library) -> None:
    suggest(library, "DSC_0001.png")
    with closing(sqlite3.connect(library.path / RECORDS)) as records, records:
        records.execute("ALTER TABLE machine ADD COLUMN problem TEXT NOT NULL DEFAULT ''")
        records.execute("INSERT INTO machine VALUES ('gone', '', '', 'en', 'seer', 9, 'uncaptioned-empty')")
    opened = Library.open(library.home, "alps", library.encoders)
    assert [s.caption for s in suggesting.suggested(opened).values()] == [SAILS.caption]
    suggest(opened, "DSC_0002.png")
    assert len(suggesting.suggested(opened)) == 2


def test_a_library_of_an_older_limner_is_upgraded_when_opened(library: Library) -> None:
    with closing(sqlite3.connect(library.path / RECORDS)) as records, records:
        records.execute("DROP TABLE machine")
    opened = Library.open(library.home, "alps", library.encoders)
    assert suggesting.suggested(opened) == {}
    suggest(opened, "DSC_0001.png")
    assert len(suggesting.suggested(opened)) == 1


# --- which images ---------------------------------------------------------------------------------------------------


def names(found: suggesting.Lacking) -> list[str]:
    return [os.path.basename(r.path) for r in found.images]


def test_the_images_to_ask_about(library: Library, folder: Path) -> None:
    (folder / "DSC_0001.txt").write_text("Regatta in Brest")
    Image.new("RGB", (9, 9), "white").save(folder / "harvest at dusk.png")
    again(library, folder)
    assert names(suggesting.lacking(library)) == ["DSC_0000.png", "DSC_0002.png", "DSC_0003.png"]
    assert "harvest at dusk.png" in names(suggesting.lacking(library, "caption"))
    assert "DSC_0001.png" in names(suggesting.lacking(library, "alt"))
    library.write({named(library, "DSC_0001.png").id: {"alt": ""}})
    assert "DSC_0001.png" not in names(suggesting.lacking(library, "alt")), "a person wants it without"
    vain = Suggestion(language="en", model="seer", problem="uncaptioned-refused")
    suggesting.suggest(library, {named(library, "DSC_0000.png").id: vain})
    found = suggesting.lacking(library, model="seer", language="en")
    assert (names(found), found.vain) == (["DSC_0002.png", "DSC_0003.png"], 1)
    for model, language in (("another", "en"), ("seer", "pl"), ("", "en")):
        found = suggesting.lacking(library, model=model, language=language)
        assert (names(found)[0], found.vain) == ("DSC_0000.png", 0), (model, language)
    suggesting.suggest(library, {named(library, "DSC_0000.png").id: vain._replace(language="pl")})
    assert suggesting.lacking(library, model="seer", language="en").vain == 1, "both are known"
    assert named(library, "DSC_0000.png").machine_made == ()
    with pytest.raises(BadInput, match="choose caption or alt"):
        suggesting.lacking(library, "credit")  # type: ignore[arg-type]


# --- what is known --------------------------------------------------------------------------------------------------


def test_what_folder_file_and_neighbours_say(library: Library, folder: Path) -> None:
    for n, words in ((0, "Start in Engelberg"), (2, "At the summit of the Titlis")):
        (folder / f"DSC_{n:04}.txt").write_text(words)
    Image.new("RGB", (9, 9), "white").save(folder / "hut" / "Rugghubelhütte.png")
    again(library, folder)
    around = suggesting.Surroundings(library, [str(folder)])
    known = around.known(named(library, "DSC_0001.png"))
    assert known == {"folder": "Alps 2023", "near": ["Start in Engelberg", "At the summit of the Titlis"]}
    hut = around.known(named(library, "Rugghubelhütte.png"))
    assert hut == {"folder": "Alps 2023/hut", "file": "Rugghubelhütte"}
    assert around.known(named(library, "DSC_0000.png"))["caption"] == "Start in Engelberg"
    suggest(library, "DSC_0001.png")
    near = suggesting.Surroundings(library, [str(folder)]).known(named(library, "DSC_0002.png"))["near"]
    assert near == ["Start in Engelberg"], "a model's words are not passed on as known"
    assert "caption" not in suggesting.Surroundings(library, []).known(named(library, "DSC_0001.png"))


def test_the_nearest_neighbours_are_told(library: Library, folder: Path) -> None:
    for n in range(10, 30):
        Image.new("RGB", (9, 9), (n, n, n)).save(folder / f"DSC_{n:04}.png")
        if n != 20:
            (folder / f"DSC_{n:04}.txt").write_text(f"Stage {n}")
    again(library, folder)
    near = suggesting.Surroundings(library, [str(folder)]).known(named(library, "DSC_0020.png"))["near"]
    assert set(near) == {"Stage 18", "Stage 19", "Stage 21", "Stage 22"}


def test_the_language_is_that_of_the_captions_that_people_wrote(library: Library, folder: Path) -> None:
    assert suggesting.language(library) == ""
    suggest(library, "DSC_0001.png")
    assert suggesting.language(library) == "", "a model's words do not count"
    (folder / "DSC_0000.txt").write_text("Der Aufstieg beginnt am frühen Morgen hinter der Kirche von Engelberg")
    (folder / "DSC_0002.txt").write_text(
        "Blick vom Gipfel über das Wolkenmeer nach Norden, im Vordergrund der Gletscher"
    )
    again(library, folder)
    assert suggesting.language(library) == "de"


@pytest.mark.parametrize(
    ("text", "language", "fits"),
    [
        ("Two cows.", "de", True),
        ("Two brown cows graze on a steep green meadow below a wooden hut in the mountains.", "en", True),
        ("Two brown cows graze on a steep green meadow below a wooden hut in the mountains.", "en-GB", True),
        ("Two brown cows graze on a steep green meadow below a wooden hut in the mountains.", "de", False),
        ("两头棕色的奶牛在木屋下方陡峭的绿色草地上吃草。", "zh-Hant", True),
        ("两头棕色的奶牛在木屋下方陡峭的绿色草地上吃草。", "en", False),
        ("To brune køer græsser på en stejl grøn eng under en træhytte højt oppe i bjergene.", "nb", True),
    ],
)
def test_a_texts_language(text: str, language: str, fits: bool) -> None:
    assert suggesting.is_in(text, language) is fits


def test_a_large_library_is_not_read_for_the_few_that_lack_words(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    for n in range(20):
        for where in (folder, folder / "sub"):
            file = where / f"DSC_1{n:03}.png"
            Image.new("RGB", (8, 8), (n, 9, 90 if where == folder else 0)).save(file)
            file.with_suffix(".txt").write_text(f"Boats of the regatta number {n} in {where.name}")
    again(library, folder)
    read: list[str] = []
    record = suggesting.as_record
    monkeypatch.setattr(suggesting, "as_record", lambda row: (read.append(row[1]), record(row))[1])
    monkeypatch.setattr(Library, "records", lambda _self: pytest.fail("the whole library was read"))
    found = suggesting.lacking(library).images
    assert len(read) == len(found) == 4
    assert suggesting.language(library) == "en"
    (folder / "DSC_1010.txt").unlink()
    monkeypatch.undo()
    again(library, folder)
    near = suggesting.Surroundings(library, [str(folder)]).known(named(library, str(folder / "DSC_1010.png")))["near"]
    assert near == [f"Boats of the regatta number {n} in {folder.name}" for n in (9, 11, 8, 12)]
