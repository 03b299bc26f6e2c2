"""Text in pictures: read when a library is indexed, searched as words, and no answer for what it names.

There are no weights of a CLIP model here: `lettering.Parrot` stands in for one. The text is read by the real models.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from lettering import NEWS, Gallery, gallery, png, write
from PIL import Image

from limner.document import Spot
from limner.errors import ImageUnreadable, NotInstalled
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders
from limner.tools.images import images, ocr
from limner.tools.images.images import TextIn, text_in
from limner.tools.images.sandbox import GIB, Child, Pool
from limner.tools.library import Library, index, unchanged
from limner.tools.library import text_in_pictures as texts
from limner.tools.library.reading import drawn
from limner.tools.library.sources import image_identity
from limner.tools.retrieve import retrieve


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each picture is read, by its id."""
    seen: Counter[str] = Counter()
    read = images.text_in

    def counting(data: bytes, **given: int) -> TextIn:
        if data != drawn():  # what limner tries first
            seen.update([image_identity(data)])
        return read(data, **given)

    monkeypatch.setattr(images, "text_in", counting)
    return seen


def ranking(library: Library, shown: Gallery, query: str) -> list[str]:
    return [shown.names[Path(library.record(c.image_id).path).name] for c in library.search([query], 10)[0]]


def test_a_picture_of_words_stands_behind_a_picture_of_the_thing(home: Path, shown: Gallery) -> None:
    named = ("a sunset over the sea", "sunset", "the sun goes down over the sea")
    library, _ = index(home, "a", [shown.folder], shown.encoders)
    assert {ranking(library, shown, query)[0] for query in named} == {"card"}, "the stand-in parrots no more"
    library, report = index(home, "a", [shown.folder], shown.encoders, read_text=True)
    assert (report.texts_read, report.texts_found) == (10, 3)
    assert [ranking(library, shown, query)[0] for query in named] == ["sunset"] * 3
    assert ranking(library, shown, "wheat harvest in a field")[0] == "field"
    # An article's candidates go by the same scores, also from several libraries at once.
    spot = Spot(id="s", after="", caption=named[0], search=named[0])
    other, _ = index(home, "b", [shown.folder], shown.encoders, read_text=True)
    for libraries in ([library], [library, other]):
        found = retrieve(libraries, [spot], 4)["s"]
        assert shown.names[Path(library.record(found[0].image_id).path).name] == "sunset"
        (card,) = [c for c in found if shown.names[Path(library.record(c.image_id).path).name] == "card"]
        assert card.fits["clip"] == 0


def test_pictures_of_words_are_found_by_their_words(home: Path, shown: Gallery) -> None:
    library, _ = index(home, "a", [shown.folder], shown.encoders, read_text=True)
    assert ranking(library, shown, "the miller Tobias Quent")[0] == "newspaper"
    assert ranking(library, shown, "bakery")[0] == "shop"
    words_only = Encoders(shown.encoders.caption, Words())  # without an encoder of pictures
    plain, _ = index(home, "b", [shown.folder], words_only, read_text=True)
    assert ranking(plain, shown, "the miller Tobias Quent")[0] == "newspaper"


def test_what_was_read_is_no_caption(home: Path, shown: Gallery) -> None:
    library, _ = index(home, "a", [shown.folder], shown.encoders, read_text=True)
    (page,) = [r for r in library.records() if shown.names[Path(r.path).name] == "newspaper"]
    assert "Tobias Quent" in page.text_in_picture.words
    assert 0.15 < page.text_in_picture.area < 0.6
    assert page.text_in_picture.detail > texts.MUCH
    assert page.bare
    assert "Tobias" not in page.text + page.words + page.caption + page.alt
    found = library.search(["the miller Tobias Quent"], 1)[0][0]
    assert "Tobias" not in found.model_dump_json()
    # Words of a caption keep their weight beside a page of text.
    words = shown.encoders.words
    alone, beside = words.document("Harvest festival"), words.document("Harvest festival", NEWS)
    assert {i: v for i, v in zip(*beside, strict=True) if i in alone.indices} == dict(zip(*alone, strict=True))


def test_each_picture_is_read_once(home: Path, tmp_path: Path, counted: Counter[str]) -> None:
    made = Gallery(tmp_path / "photos")
    made.card("one", "Lighthouse")
    made.thing("two", "a lighthouse on a rock")
    index(home, "a", [made.folder], made.encoders)
    assert not counted
    assert index(home, "a", [made.folder], made.encoders, read_text=True)[1].texts_read == 2  # what was there before
    made.card("three", "Railway station")
    (made.folder / "IMG_0001.png").rename(made.folder / "renamed.png")
    made.names["renamed.png"] = "one"
    (made.folder / "copy.png").write_bytes((made.folder / "renamed.png").read_bytes())
    library, report = index(home, "a", [made.folder], made.encoders)  # the library keeps to it
    assert report.texts_read == 1
    assert index(home, "a", [made.folder], made.encoders)[1].texts_read == 0
    assert sorted(counted.values()) == [1, 1, 1]
    assert library.search(["railway station"], 1)[0][0].caption == "IMG 0003"
    # A caption that is written, and vectors that are made again, keep the words.
    (station,) = [r for r in library.records() if r.text_in_picture.words == "Railway station"]
    library.write({station.id: {"caption": "A hall of glass"}})
    plain, _ = index(home, "a", [made.folder], made.encoders)
    assert {c.image_id for c in plain.search(["railway station"], 3)[0] if c.scores.get("words")} == {station.id}
    assert sum(counted.values()) == 3


def test_without_reading_what_was_read_is_gone(home: Path, shown: Gallery, counted: Counter[str]) -> None:
    library, _ = index(home, "a", [shown.folder], shown.encoders, read_text=True)
    library, report = index(home, "a", [shown.folder], shown.encoders, read_text=False)
    assert report.texts_read == 0
    assert not any(r.text_in_picture.words for r in library.records())
    assert ranking(library, shown, "sunset")[0] == "card"
    assert not any(c.scores.get("words") for c in library.search(["bakery"], 10)[0])
    index(home, "a", [shown.folder], shown.encoders)
    assert set(counted.values()) == {1}


def test_a_picture_that_ends_the_reader_harms_nobody(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Gallery(tmp_path / "photos")
    for word in ("Lighthouse", "Railway", "Cathedral"):
        made.card(word, word)
    deaths = {images._jpeg((made.folder / "IMG_0002.png").read_bytes(), ocr.SIDE, images.MAX_PIXELS): 1}

    class Deadly(Pool):
        def ask(self, name: str, data: bytes, **given: object) -> object:  # type: ignore[override]
            if deaths.pop(data, 0):
                child = Child()
                child.process.kill()
                child.process.wait()
                self._taken = lambda: (self.__dict__.pop("_taken"), child)[1]  # type: ignore[method-assign]
            return super().ask(name, data, **given)

    pool = Deadly(size=1, memory=4 * GIB, seconds=60)
    monkeypatch.setattr(images, "TEXTS", pool)
    try:
        library, report = index(home, "a", [made.folder], made.encoders, read_text=True)
        assert (report.added, report.texts_read, report.texts_found) == (3, 3, 2)
        ((path, reason),) = report.texts_unread
        assert (Path(path).name, "ends the program" in reason) == ("IMG_0002.png", True)
        assert index(home, "a", [made.folder], made.encoders)[1].texts_read == 0  # not tried at every run
        library, report = index(home, "a", [made.folder], made.encoders, read_text=True)  # but when it is asked for
        assert (report.texts_read, report.texts_found, report.texts_unread) == (1, 1, [])
        assert library.search(["railway"], 1)[0][0].caption == "IMG 0002"
    finally:
        pool.close()


def test_a_reader_that_does_not_run_is_one_line(
    home: Path, tmp_path: Path, shown: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"pip install 'limner\[ocr\]'"):
        index(home, "a", [shown.folder], shown.encoders, read_text=True)
    library, _ = index(home, "a", [shown.folder], shown.encoders)
    with pytest.raises(NotInstalled, match="limner"):
        index(home, "a", [shown.folder], shown.encoders, read_text=True)
    library.set_meta(texts.WANTED, "1")  # as on a machine that had it
    unchanged.begin(library)
    report = index(home, "a", [shown.folder], shown.encoders)[1]
    assert [name for name, _ in report.texts_unread] == ["a"]
    assert (report.known, report.texts_read) == (10, 0)
    monkeypatch.undo()
    broken = Pool(size=1, memory=GIB // 20, seconds=60)  # too little for the models
    monkeypatch.setenv("LIMNER_HOME", str(home))
    monkeypatch.setattr(images, "TEXTS", broken)
    with pytest.raises(NotInstalled, match="does not run"):
        index(home, "a", [shown.folder], shown.encoders, read_text=True)
    broken.close()


# --- what is read --------------------------------------------------------------------------------------------------


def test_shares_of_area_and_detail(shown: Gallery) -> None:
    by_name = {what: (shown.folder / name).read_bytes() for name, what in shown.names.items()}
    card, sign = text_in(by_name["card"]), text_in(by_name["shop"])
    assert (card.words, sign.words) == ("A sunset over the sea", "BAKERY")
    assert card.detail > 0.95  # although it covers little
    assert card.area < 0.2
    assert sign.detail < 0.3
    assert text_in(by_name["sunset"]) == texts.NONE
    assert (texts.trust(card), texts.trust(sign), texts.trust(texts.NONE)) == (0, 1, 1)


@pytest.mark.parametrize("size", [(1, 1), (4000, 20), (15, 900), (9000, 16)], ids=str)
def test_odd_sizes_are_pictures_without_text(size: tuple[int, int]) -> None:
    assert text_in(png(Image.new("RGB", size, "white"))) == texts.NONE


def test_a_round_thing_is_no_letter() -> None:
    from PIL import ImageDraw

    sun = Image.new("RGB", (600, 600), "black")
    ImageDraw.Draw(sun).ellipse((80, 80, 520, 520), outline="orange", width=40)
    assert text_in(png(sun)) == texts.NONE


def test_thousands_of_words_are_cut() -> None:
    picture = Image.new("RGB", (1500, 3000), "white")
    write(picture, "lorem ipsum dolor sit amet " * 2000, 22, (20, 20))
    read = text_in(png(picture))
    assert len(read.words) <= ocr.LONGEST
    assert len(read.words.split()) > 100
    assert read.area > 0.3


class Engine:
    """Gives lines that a picture cannot be made to give for sure."""

    def __init__(self, lines: list[tuple[str, float]]) -> None:
        import numpy as np

        self.lines = lines
        self.boxes = [np.array([[0, 9 * n], [90, 9 * n], [90, 9 * n + 8], [0, 9 * n + 8]]) for n in range(len(lines))]

    def __call__(self, _pixels: object, **_given: bool) -> Engine:
        return self

    def crop_text_regions(self, _pixels: object, boxes: list[object]) -> list[object]:
        return boxes

    def recognize_txt(self, crops: list[object]) -> Engine:
        self.txts, self.scores = zip(*self.lines[: len(crops)], strict=True)
        return self


def test_what_was_read_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [("mail\u202egpj.exe\u202c", 0.99), ("\x1b[31mred\x00\ud800", 0.99), ("unsure", 0.5), ("xy" * 4500, 0.99)]
    monkeypatch.setattr(ocr, "_engine", lambda: Engine(lines))
    words, area, _detail = ocr.text_in(png_as_jpeg(Image.new("RGB", (100, 100), "white")))
    assert words.startswith("mailgpj.exe [31mred xyx")
    assert len(words) == ocr.LONGEST
    assert 0 < area <= 1


def png_as_jpeg(picture: Image.Image) -> bytes:
    return images._jpeg(png(picture), 1600, images.MAX_PIXELS)


def test_a_file_that_is_no_picture_never_reaches_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr(images.TEXTS, "ask", lambda name, data: asked.append(data))
    with pytest.raises(ImageUnreadable):
        text_in(b"no picture")
    assert not asked


# --- killed --------------------------------------------------------------------------------------------------------

INDEXING = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.images import images
from limner.tools.library import Folders, index
from limner.tools.library.sources import image_identity
Folders.batch = 2
read = images.text_in
def told(data, **given):
    os.write(1, f"{image_identity(data)}\\n".encode())  # as one, from two threads
    return read(data, **given)
images.text_in = told
index(Path(sys.argv[1]), "a", [sys.argv[2]], Encoders(MiniLM(threads=1), Words()), read_text=True)
"""


def read_until(home: Path, folder: Path, most: int) -> list[str]:
    """Index in a process of its own, and kill it when it begins to read picture number `most`; the ids that it read."""
    command = [sys.executable, "-c", INDEXING, str(home), str(folder), str(Path(__file__).parents[2] / "helpers")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line.strip())
        if len(seen) >= most:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    return seen


@pytest.mark.real
@pytest.mark.parametrize("before", [False, True], ids=["new", "older-library"])
def test_a_killed_run_goes_on_without_reading_twice(home: Path, tmp_path: Path, before: bool) -> None:
    made = Gallery(tmp_path / "photos")
    names = ["Abbey", "Bridge", "Castle", "Dolphin", "Engine", "Forest", "Garden", "Harbour", "Island", "Jungle"]
    for name in names:
        made.card(name, name)
    plain = Encoders(made.encoders.caption, Words())
    if before:
        index(home, "a", [made.folder], plain)
    seen = Counter[str]()
    for most in (4, 5, 99):
        seen.update(set(read_until(home, made.folder, most)) - {image_identity(drawn())})
    assert len(seen) == len(names)
    assert sum(seen.values()) <= len(names) + 2 * 4, "a batch and the one that is read ahead, for each kill"
    library, report = index(home, "a", [made.folder], plain)
    assert report.texts_read == 0
    assert [ranking(library, made, name)[0] for name in names] == names
