"""Libraries on disk: what comes in, what stays, what is refused, and what a kill leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import (
    BadInput,
    EncoderMismatch,
    LibraryBusy,
    LibraryEmpty,
    LibraryError,
    LibraryMissing,
    LimnerError,
)
from limner.tools import library as module
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import (
    Library,
    Report,
    add,
    folder_library,
    index,
    indexing,
    libraries,
    open_or_index,
    remove,
    unchanged,
)
from limner.tools.server_store import ServerStore, server
from limner.tools.store import Store

ENCODERS = Encoders(MiniLM(threads=1), Words())
CAPTIONS = {
    "heron.jpg": "A heron at dawn in the reeds",
    "harvest.png": "Harvest at dusk: a red tractor in the wheat",
    "honey.webp": "A jar of honey on a kitchen table",
}


def paint(path: Path, colour: str | tuple[int, int, int] = "red", size: tuple[int, int] = (60, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three captioned images of three formats, and one that has only its name."""
    made = tmp_path / "pictures"
    for number, (name, caption) in enumerate(CAPTIONS.items()):
        paint(made / name, (60 * number, 90, 10)).with_suffix(".txt").write_text(caption)
    paint(made / "old" / "rings-of_saturn.gif", "black")
    return made


@pytest.fixture
def library(home: Path, folder: Path) -> Library:
    made, _ = index(home, "birds", [folder], ENCODERS)
    return made


def counts(report: Report) -> dict[str, int]:
    names = ("added", "known", "renamed", "changed", "vanished")
    found = {name: getattr(report, name) for name in names} | {"unreadable": len(report.unreadable)}
    return {name: count for name, count in found.items() if count}


def captions(library: Library) -> set[str]:
    return {record.caption for record in library.records()}


def best(library: Library, query: str) -> str:
    return library.search([query], 1)[0][0].caption


# --- coming in -------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_library(home: Path, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    library, report = index(home, "birds", [folder], ENCODERS, lambda done, total: seen.append((done, total)))
    assert counts(report) == {"added": 4}
    assert (len(library), libraries(home)) == (4, ["birds"])
    assert captions(library) == {*CAPTIONS.values(), "rings of saturn"}
    assert (seen[0], seen[-1]) == ((0, 4), (4, 4))
    heron = next(r for r in library.records() if r.path.endswith("heron.jpg"))
    assert (heron.width, heron.height, heron.suffix, heron.described) == (60, 40, ".jpg", True)
    assert library.record(heron.id) == heron
    assert library.image(heron.id) == (folder / "heron.jpg").read_bytes()
    assert next(r for r in library.records() if r.suffix == ".gif").described is False


def test_search_answers_each_query_with_scores_of_each_encoder(library: Library) -> None:
    heron, saturn = library.search(["a bird at the water", "a planet with rings"], 2)
    assert heron[0].caption == CAPTIONS["heron.jpg"]
    assert saturn[0].caption == "rings of saturn"
    assert [len(heron), len(saturn)] == [2, 2]
    top = saturn[0]
    assert (top.library, top.width, top.height, top.described) == ("birds", 60, 40, False)
    assert top.scores["caption"] > 0.4
    assert top.scores["words"] > 0
    texts = ["a planet with rings", "rings of saturn"]
    asked, there = ENCODERS.caption.encode_texts(texts[:1]), ENCODERS.caption.encode_texts(texts[1:])
    assert top.scores["caption"] == pytest.approx(float((asked @ there.T)[0, 0]), abs=0.01)


def test_alternative_texts_are_searched_too(home: Path, folder: Path) -> None:
    (folder / "honey.json").write_text(
        json.dumps({"alt": "A lighthouse in a storm", "credit": "Ada", "licence": "CC0"})
    )
    library, _ = index(home, "birds", [folder], ENCODERS)
    [found] = library.search(["lighthouse storm"], 1)[0]
    assert (found.caption, found.alt) == (CAPTIONS["honey.webp"], "A lighthouse in a storm")
    assert (found.credit, found.licence) == ("Ada", "CC0")


def test_the_folder_of_a_benchmark_with_its_table(home: Path, folder: Path) -> None:
    rows = [{"file": "heron.jpg", "caption": "From the table", "alt": "An alt", "credit": "C", "licence": "L"}]
    (folder / "library.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "heron.txt").unlink()
    library, report = open_or_index(home, str(folder), ENCODERS)
    assert report
    assert counts(report) == {"added": 4}
    record = next(r for r in library.records() if r.caption == "From the table")
    assert (record.alt, record.credit, record.licence) == ("An alt", "C", "L")


# --- coming again ----------------------------------------------------------------------------------------------------


class Counting:
    """MiniLM that remembers which texts it was given."""

    def __init__(self) -> None:
        self.inner, self.texts = ENCODERS.caption, list[str]()
        self.name, self.size = self.inner.name, self.inner.size

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        return self.inner.encode_texts(texts)


def again(library: Library, folder: Path) -> tuple[Report, list[str]]:
    """Index again; the report, and what had to be encoded for it."""
    counting = Counting()
    opened = Library.open(library.home, library.name, Encoders(counting, Words()))
    return add(opened, [folder]), counting.texts


def test_nothing_new_is_neither_read_nor_encoded(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unchanged.begin(library)  # a whole run
    monkeypatch.setattr(indexing, "read_file", lambda path: pytest.fail(f"{path} is read"))
    report, encoded = again(library, folder)
    assert (counts(report), encoded) == ({"known": 4}, [])


def test_a_renamed_file_keeps_its_vectors(library: Library, folder: Path) -> None:
    (folder / "heron.jpg").rename(folder / "old" / "reiher.jpg")
    (folder / "heron.txt").rename(folder / "old" / "reiher.txt")
    report, encoded = again(library, folder)
    assert (counts(report), encoded) == ({"renamed": 1, "known": 3}, [])
    assert library.record(library.search(["heron"], 1)[0][0].image_id).path.endswith("old/reiher.jpg")


def test_a_changed_file_is_another_image(library: Library, folder: Path) -> None:
    before = {r.id for r in library.records()}
    paint(folder / "heron.jpg", "white", (80, 80))
    report, encoded = again(library, folder)
    assert (counts(report), encoded) == ({"changed": 1, "known": 3}, [CAPTIONS["heron.jpg"]])
    assert len(before & {r.id for r in library.records()}) == 3
    assert len(library) == 4


def test_a_changed_caption_is_encoded_again(library: Library, folder: Path) -> None:
    (folder / "heron.txt").write_text("An astronaut repairs a satellite")
    report, encoded = again(library, folder)
    assert (counts(report), encoded) == ({"changed": 1, "known": 3}, ["An astronaut repairs a satellite"])
    assert best(library, "spacewalk") == "An astronaut repairs a satellite"


def test_a_changed_credit_is_noted_and_nothing_encoded(library: Library, folder: Path) -> None:
    (folder / "heron.json").write_text(json.dumps({"credit": "Ada"}))
    report, encoded = again(library, folder)
    assert (counts(report), encoded) == ({"changed": 1, "known": 3}, [])
    assert library.search(["heron"], 1)[0][0].credit == "Ada"


def test_a_vanished_file_is_dropped(library: Library, folder: Path) -> None:
    (folder / "heron.jpg").unlink()
    report, _ = again(library, folder)
    assert counts(report) == {"vanished": 1, "known": 3}
    assert CAPTIONS["heron.jpg"] not in {c.caption for c in library.search(["heron"], 4)[0]}


def test_a_copy_is_one_image_and_outlives_the_original(library: Library, folder: Path) -> None:
    shutil.copy(folder / "heron.jpg", folder / "copy.jpg")
    assert counts(add(library, [folder])) == {"known": 5}
    assert len(library) == 4
    (folder / "heron.jpg").unlink()
    assert counts(add(library, [folder])) == {"vanished": 1, "known": 3, "changed": 1}  # the copy has no caption
    assert "copy" in captions(library)


def test_another_folder_adds_and_takes_nothing_away(library: Library, folder: Path, tmp_path: Path) -> None:
    paint(tmp_path / "more" / "lighthouse.png", "yellow")
    shutil.copy(folder / "heron.jpg", tmp_path / "more" / "x.jpg")  # without its caption
    assert counts(add(library, [tmp_path / "more"])) == {"added": 1, "known": 1}
    assert captions(library) == {*CAPTIONS.values(), "rings of saturn", "lighthouse"}


def test_lost_vectors_are_made_again(library: Library, folder: Path) -> None:
    shutil.rmtree(library.path / "vectors")
    report, encoded = again(library, folder)
    assert counts(report) == {"known": 4}
    assert len(encoded) == 4
    assert best(library, "heron") == CAPTIONS["heron.jpg"]


# --- what cannot come in ---------------------------------------------------------------------------------------------


def test_unreadable_files_are_listed_and_stop_nothing(home: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "text.jpg").write_text("I am a text")
    (folder / "empty.png").touch()
    whole = paint(tmp_path / "noise.jpg")
    Image.effect_noise((300, 300), 90).save(whole)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:4000])
    (folder / "out.png").symlink_to(paint(tmp_path / "secret.png"))
    (folder / "bad.svg").write_text("<svg")
    library, report = index(home, "birds", [folder], ENCODERS)
    assert counts(report) == {"added": 4, "unreadable": 5}
    reasons = {Path(path).name: reason for path, reason in report.unreadable}
    assert "not an image" in reasons["text.jpg"]
    assert "empty" in reasons["empty.png"]
    assert "cut short" in reasons["cut.jpg"]
    assert "out of the folder" in reasons["out.png"]
    assert "not well-formed" in reasons["bad.svg"]
    assert counts(add(library, [folder])) == {"known": 4, "unreadable": 5}
    shutil.copy(whole, folder / "cut.jpg")
    assert counts(add(library, [folder])) == {"known": 4, "added": 1, "unreadable": 4}


def test_a_bound_on_pixels_is_kept(home: Path, folder: Path) -> None:
    paint(folder / "large.png", size=(100, 100))
    _, report = index(home, "birds", [folder], ENCODERS, max_pixels=2400)
    assert [(Path(p).name, "2,400" in reason) for p, reason in report.unreadable] == [("large.png", True)]


def test_a_folder_without_images_leaves_no_library(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LibraryEmpty, match=r"No usable images in .*empty: put"):
        index(home, "birds", [tmp_path / "empty"], ENCODERS)
    (tmp_path / "empty" / "text.jpg").write_text("I am a text")
    with pytest.raises(LibraryEmpty, match=r"1 unreadable, such as text.jpg: not an image"):
        open_or_index(home, str(tmp_path / "empty"), ENCODERS)
    with pytest.raises(LibraryMissing, match="No folder"):
        index(home, "birds", [tmp_path / "nowhere"], ENCODERS)
    assert libraries(home) == []


def test_hostile_names_and_captions_stay_text(home: Path, folder: Path) -> None:
    name = '"><img src=x onerror=alert(1)>\n../..jpg.png'.replace("/", "-")
    paint(folder / name, "green")
    (folder / "heron.txt").write_text("![x](http://evil) <script>alert(1)</script>\x07\u202e")
    library, _ = index(home, "birds", [folder], ENCODERS)
    assert "![x](http://evil) <script>alert(1)</script>" in captions(library)
    assert all(len(c.splitlines()) == 1 for c in captions(library))


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "-x", ".hidden", "a b", "x" * 65, "a\n", "x."])
def test_names_play_no_tricks_with_paths(home: Path, name: str) -> None:
    for use in (Library.create, Library.open):
        with pytest.raises(BadInput, match="cannot name a library"):
            use(home, name, ENCODERS)
    with pytest.raises(BadInput):
        remove(home, name)
    assert not home.exists()


def test_a_missing_library_names_those_there_are(library: Library) -> None:
    for use in (lambda: Library.open(library.home, "bird", ENCODERS), lambda: remove(library.home, "bird")):
        with pytest.raises(LibraryMissing, match=r"libraries: birds.*limner library add bird"):
            use()
    with pytest.raises(LibraryMissing, match=r"neither a folder nor a library \(libraries: birds\)"):
        open_or_index(library.home, "./bird", ENCODERS)
    with pytest.raises(BadInput, match="exists already"):
        Library.create(library.home, "birds", ENCODERS)


def test_a_folder_is_kept_for_next_time_and_a_name_is_opened(home: Path, folder: Path, tmp_path: Path) -> None:
    library, _ = open_or_index(home, str(folder), ENCODERS)
    assert library.name == folder_library(folder) == folder_library(folder / "old" / "..")
    _, report = open_or_index(home, str(folder), ENCODERS)
    assert report
    assert counts(report) == {"known": 4}
    assert open_or_index(home, library.name, ENCODERS)[1] is None
    assert folder_library(tmp_path / "other" / "pictures") != library.name
    assert folder_library(tmp_path / "été 蜂蜜!").startswith("été-蜂蜜-")
    module.check_name(folder_library(tmp_path / ("x" * 200)))


@pytest.mark.parametrize("ref", ["x" * 5000, "~nobody-of-that-name/pictures", "a\0b", ""])
def test_what_cannot_be_a_folder_is_simply_not_there(home: Path, ref: str) -> None:
    for use in (lambda: open_or_index(home, ref, ENCODERS), lambda: index(home, "birds", [ref or "//x"], ENCODERS)):
        with pytest.raises(LibraryMissing, match="check the path"):
            use()


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LibraryError, match="set LIMNER_HOME"):
        index(tmp_path / "file" / "home", "birds", [folder], ENCODERS)


def test_removing_deletes_the_library_and_no_image(library: Library, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    library.remove()
    assert (libraries(library.home), sorted(folder.rglob("*"))) == ([], before)
    with pytest.raises(LibraryMissing):
        library.remove()


def test_a_damaged_library_can_be_removed(library: Library) -> None:
    for file in library.path.rglob("*"):
        if file.is_file():
            file.write_bytes(b"damage")
    with pytest.raises(LibraryError, match="check disk and rights"):
        len(library)
    remove(library.home, library.name)
    assert libraries(library.home) == []


# --- encoders --------------------------------------------------------------------------------------------------------


def test_other_encoders_are_refused_with_both_names_and_the_way_out(library: Library, folder: Path) -> None:
    others = Encoders(ENCODERS.caption, Words(k1=2.0))
    with pytest.raises(EncoderMismatch) as caught:
        Library.open(library.home, "birds", others)
    message = str(caught.value)
    assert "k1=1.2" in message
    assert "k1=2 " in message
    assert f"limner library remove birds`, then `limner library add birds {folder.resolve()}`" in message
    remove(library.home, "birds")
    assert len(index(library.home, "birds", [folder], others)[0]) == 4


# --- images later ----------------------------------------------------------------------------------------------------


def test_an_image_that_changed_or_went_since_says_what_to_do(library: Library, folder: Path) -> None:
    heron = library.search(["heron"], 1)[0][0]
    paint(folder / "heron.jpg", "white")
    with pytest.raises(LibraryError, match=r"has changed since .*limner library add birds"):
        library.image(heron.image_id)
    (folder / "heron.jpg").unlink()
    (folder / "heron.jpg").symlink_to("/etc/passwd")
    with pytest.raises(LibraryError, match="is gone or has changed"):
        library.image(heron.image_id)
    with pytest.raises(LibraryError, match="has no image"):
        library.image("0" * 32)


# --- several at once -------------------------------------------------------------------------------------------------


def test_threads_search_while_another_adds(library: Library, folder: Path) -> None:
    found: list[str] = []
    failed: list[BaseException] = []

    def look() -> None:
        try:
            found.append(best(library, "heron at dawn"))
        except LimnerError as error:
            failed.append(error)

    for number in range(40):
        paint(folder / "new" / f"{number}.png", (number, 7, 7))
    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    add(library, [folder])
    for thread in threads:
        thread.join()
    assert (failed, found) == ([], [CAPTIONS["heron.jpg"]] * 4)
    assert len(library) == 44


def test_a_second_writer_waits_and_is_then_refused(library: Library, folder: Path) -> None:
    hurried = Library.open(library.home, "birds", ENCODERS, patience=0.05)
    with library.alone(), pytest.raises(LibraryBusy, match="try again"):
        add(hurried, [folder])
    assert counts(add(hurried, [folder])) == {"known": 4}


INDEXING = """
import sys
from pathlib import Path
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Folders, index
Folders.batch = 4  # many commits, so that there are many moments to be killed at
index(Path(sys.argv[1]), "birds", [sys.argv[2]], Encoders(MiniLM(threads=1), Words()),
      lambda done, total: print(done, flush=True))
"""


def index_and_kill(home: Path, folder: Path, after: int, delay: float) -> None:
    """Index in a process of its own and kill it `delay` seconds after it reported `after` files."""
    command = [sys.executable, "-c", INDEXING, str(home), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if int(line) >= after:
            break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


@pytest.mark.real
@pytest.mark.parametrize("kills", [[(0, 0.0), (4, 0.02), (8, 0.05)], [(0, 0.04), (0, 0.08), (12, 0.0)]])
def test_a_kill_at_any_moment_and_the_same_command_goes_on(home: Path, tmp_path: Path, kills: list[Any]) -> None:
    folder = tmp_path / "many"
    for number in range(24):
        path = paint(folder / f"{number:02}.png", (number, 0, 0), (8, 8))
        path.with_suffix(".txt").write_text(f"picture of number{number:02} things")
    for after, delay in kills:
        index_and_kill(home, folder, after, delay)
        if "birds" in libraries(home):
            consistent(Library.open(home, "birds", ENCODERS))
    library, report = index(home, "birds", [folder], ENCODERS)
    assert report.added + report.known == len(library) == 24
    assert report.known >= kills[-1][0]
    consistent(library)
    answers = library.search([f"number{n:02}" for n in range(24)], 1)
    assert [hits[0].caption for hits in answers] == [f"picture of number{n:02} things" for n in range(24)]


def consistent(library: Library) -> None:
    """Every record has its vectors; a search shows nothing without a record."""
    with library.vectors() as store:
        assert {r.id for r in library.records()} <= store.ids()
    if len(library):
        assert {c.image_id for c in library.search(["picture"], 50)[0]} == {r.id for r in library.records()}


# --- elsewhere -------------------------------------------------------------------------------------------------------


def test_a_qdrant_server_gives_the_same_library(home: Path, folder: Path) -> None:
    client = server(":memory:")

    def connect(_folder: Path, collection: str, sizes: dict[str, int]) -> Store:
        return ServerStore(client, collection, sizes)

    remote, report = index(home, "remote", [folder], ENCODERS, connect=connect)
    assert counts(report) == {"added": 4}
    local, _ = index(home, "local", [folder], ENCODERS)
    queries = ["a bird at the water", "rings", "wheat harvest"]
    for ours, theirs in zip(local.search(queries, 4), remote.search(queries, 4), strict=True):
        assert [c.image_id for c in ours] == [c.image_id for c in theirs]
        assert [c.score for c in ours] == pytest.approx([c.score for c in theirs], abs=1e-5)
    assert not (remote.path / "vectors").exists()
    remote.remove()
    assert client.get_collections().collections == []
    client.close()


def test_a_full_disk_is_one_line(library: Library, folder: Path) -> None:
    with sqlite3.connect(library.path / "records.sqlite") as records:
        pages = records.execute("PRAGMA page_count").fetchone()[0]
    records.close()
    connect = sqlite3.connect

    def full(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to a disk that is full
        return connection

    for number in range(40):
        words = json.dumps({"caption": f"picture {number}", "credit": "long " * 90})
        paint(folder / f"{number}.png", (number, 5, 5), (8, 8)).with_suffix(".json").write_text(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", full)
        with pytest.raises(LibraryError, match=r"disk is full.*check disk"):
            add(library, [folder])
    consistent(library)
    add(library, [folder])
    assert len(library) == 44


@pytest.mark.clip
def test_clip_finds_pictures_by_what_they_show(home: Path, folder: Path, tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    from limner.models.encoders.openclip import OpenClip

    vision = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / "limner-tiny-2.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    clip = OpenClip("limner-tiny-2", threads=1)
    library, _ = index(home, "birds", [folder], Encoders(ENCODERS.caption, Words(), clip))
    query = clip.encode_texts(["a heron"])[0]
    for found in library.search(["a heron"], 4)[0]:
        with Image.open(library.record(found.image_id).path) as picture:
            shown = picture.convert("RGB")
        assert found.scores["clip"] == pytest.approx(float(query @ clip.encode_images([shown])[0]), abs=1e-4)
    with pytest.raises(EncoderMismatch, match="limner-tiny-2"):
        Library.open(home, "birds", ENCODERS)


@pytest.mark.skipif(os.name == "nt", reason="file modes are not those of POSIX")
def test_a_file_that_may_not_be_read_is_listed(home: Path, folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    (folder / "heron.jpg").chmod(0)
    _, report = index(home, "birds", [folder], ENCODERS)
    assert [reason for _, reason in report.unreadable] == ["Permission denied"]


# --- what people write -----------------------------------------------------------------------------------------------


def named(library: Library, name: str) -> module.Record:
    return next(r for r in library.records() if r.path.endswith(name))


def test_what_a_person_writes_is_found_and_wins_over_the_folder(library: Library, folder: Path) -> None:
    heron = named(library, "heron.jpg")
    [after] = library.write({heron.id: {"caption": "An  osprey\nwith a fish", "credit": "Ann"}})
    assert (after.caption, after.credit, after.written) == ("An osprey with a fish", "Ann", ("caption", "credit"))
    assert library.record(heron.id) == after
    assert best(library, "osprey with a fish") == "An osprey with a fish"
    (folder / "heron.txt").write_text("A heron, as the folder has it now")
    report = add(library, [folder])
    assert (report.written, report.changed) == (1, 1)
    assert library.record(heron.id).caption == "An osprey with a fish"
    assert best(library, "osprey with a fish") == "An osprey with a fish"
    [back] = library.write({heron.id: {"caption": None}})
    assert (back.caption, back.credit, back.written) == ("A heron, as the folder has it now", "Ann", ("credit",))
    assert best(library, "heron") == "A heron, as the folder has it now"
    assert add(library, [folder]).written == 1  # the credit, where the folder has none


def test_details_are_searched_as_words(library: Library, folder: Path) -> None:
    words = {"caption": CAPTIONS["heron.jpg"], "keywords": ["Ria Formosa", "wader"], "city": "Faro"}
    (folder / "heron.json").write_text(json.dumps(words))
    report = add(library, [folder])
    assert report.changed == 1
    assert named(library, "heron.jpg").details == "Ria Formosa, wader; Faro"
    found = library.search(["Faro wader"], 4)[0]
    assert found[0].caption == CAPTIONS["heron.jpg"]
    assert found[0].scores["words"] > 0


def test_only_the_image_whose_words_changed_is_encoded_and_only_once(library: Library) -> None:
    counting = Counting()
    hearing = Library.open(library.home, "birds", Encoders(counting, Words()))
    heron = named(library, "heron.jpg")
    for _ in range(3):
        hearing.write({heron.id: {"caption": "An osprey", "alt": "A bird"}})
    hearing.write({heron.id: {"credit": "Ann", "licence": "CC0"}})
    assert counting.texts == ["An osprey A bird"]


def test_a_person_s_words_come_back_with_their_image(library: Library, folder: Path, tmp_path: Path) -> None:
    heron = named(library, "heron.jpg")
    library.write({heron.id: {"caption": "An osprey"}})
    (folder / "heron.jpg").rename(tmp_path / "kept.jpg")
    add(library, [folder])
    assert not library.has(heron.id)
    assert library.own_words() == {heron.id: {"caption": "An osprey"}}
    (tmp_path / "kept.jpg").rename(folder / "renamed.jpg")
    add(library, [folder])
    assert library.record(heron.id).caption == "An osprey"
    assert best(library, "osprey") == "An osprey"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"caption": " \n\u202e"}, "caption is empty"),
        ({"caption": "x" * 2001}, "2,001 characters, more than 2,000"),
        ({"licence": "x" * 501}, "more than 500"),
        ({"path": "/etc/passwd"}, "'path' is not among an image's words: caption, alt, credit, licence"),
    ],
)
def test_words_that_cannot_be_kept_are_refused_and_nothing_is_changed(
    library: Library, words: dict[str, str], says: str
) -> None:
    before = library.records()
    with pytest.raises(BadInput, match=says):
        library.write({before[0].id: {"caption": "good"}, before[1].id: words})
    with pytest.raises(LibraryError, match="no image ffff"):
        library.write({before[0].id: {"caption": "good"}, "ffff": {"caption": "bad"}})
    assert library.records() == before


def test_images_page_by_page_and_those_without_words(library: Library) -> None:
    every = library.records()
    assert library.page() == (every, 4)
    seen, after = [], ""
    while True:
        found, count = library.page(after=after, limit=3)
        assert count == 4
        if not found:
            break
        seen += found
        after = found[-1].id
    assert seen == every
    bare = named(library, "rings-of_saturn.gif")
    assert library.page(without="caption") == ([bare], 1)
    assert library.page(without="licence") == (every, 4)
    assert library.counts() == (4, 3, 0)
    library.write({bare.id: {"caption": "The rings of Saturn", "licence": "CC0"}})
    assert library.page(without="caption") == ([], 0)
    assert library.counts() == (4, 4, 1)
    with pytest.raises(BadInput, match="colour"):
        library.page(without="colour")


def test_an_image_is_meant_by_its_id_its_path_or_its_file_name(library: Library, folder: Path) -> None:
    heron = named(library, "heron.jpg")
    for ref in (heron.id, heron.id[:6], "heron.jpg", str(folder / "heron.jpg")):
        assert library.find(ref) == heron
    paint(folder / "old" / "heron.jpg", "blue")
    add(library, [folder])
    with pytest.raises(LibraryError, match=r"heron\.jpg is 2 images of birds: name one of"):
        library.find("heron.jpg")
    with pytest.raises(LibraryError, match=r"no image egret\.jpg"):
        library.find("egret.jpg")


WRITING = """
import os, sys
from pathlib import Path
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library
library = Library.open(Path(sys.argv[1]), "birds", Encoders(MiniLM(threads=1), Words()))
if sys.argv[3] == "before":
    Library.encode_marked = lambda self: os._exit(9)  # the words are written, and no vector yet
else:
    put = Library.put
    Library.put = lambda self, *given: (put(self, *given), os._exit(9))  # the vectors are, and still marked
library.write({sys.argv[2]: {"caption": "An osprey with a fish"}})
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_in_the_middle_of_writing_leaves_no_wrong_vector(library: Library, folder: Path, moment: str) -> None:
    heron = named(library, "heron.jpg")
    command = [sys.executable, "-c", WRITING, str(library.home), heron.id, moment]
    assert subprocess.run(command, timeout=120, check=False).returncode == 9
    assert library.record(heron.id).caption == "An osprey with a fish"
    assert best(library, "osprey with a fish") == "An osprey with a fish"
    scores = {c.image_id: c.scores["caption"] for c in library.search(["An osprey with a fish"], 4)[0]}
    assert scores[heron.id] == pytest.approx(1, abs=1e-2)
    assert library.freshen()
    consistent(library)


def test_words_are_written_while_the_library_is_and_searched_by_afterwards(library: Library) -> None:
    heron = named(library, "heron.jpg")
    hurried = Library.open(library.home, "birds", ENCODERS, patience=0.05)
    with library.alone():
        hurried.write({heron.id: {"caption": "An osprey"}})
        assert hurried.record(heron.id).caption == "An osprey"
        assert not hurried.freshen()
        assert best(hurried, "heron at dawn") == "An osprey"  # its vector is the one of before
    assert best(hurried, "osprey") == "An osprey"
    assert hurried.freshen()


def test_a_library_of_before_keeps_what_people_write(library: Library, folder: Path) -> None:
    with sqlite3.connect(library.path / "records.sqlite") as records:
        records.executescript("DROP TABLE written; DROP TABLE stale; ALTER TABLE image DROP COLUMN details")
    records.close()
    assert module.written_in(library.home, "birds") == {}
    older = Library.open(library.home, "birds", ENCODERS)
    heron = named(older, "heron.jpg")
    older.write({heron.id: {"caption": "An osprey"}})
    assert module.written_in(library.home, "birds") == {heron.id: {"caption": "An osprey"}}
