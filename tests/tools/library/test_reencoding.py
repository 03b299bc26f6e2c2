"""A library gets another encoder while it is searched by the one that it has; and what a kill, or another program, does
in between."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_siglip import COLOURS, make_siglip, painted

from limner.errors import EncoderMismatch, LibraryBusy, LibraryError
from limner.models.encoders.onnx import OnnxPictures
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM, with_own
from limner.tools.library import Connect, Folders, Library, add, beside, chances, index, own_encoders, places, remove
from limner.tools.library.beside import Done
from limner.tools.library.reencoding import Reencoding, abandon, half_made
from limner.tools.server_store import ServerStore
from limner.tools.store import EdgeStore
from limner.tools.stored import Dense

ENCODERS = Encoders(MiniLM(threads=1), Words())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return painted(tmp_path / "photos", captioned=True)


@pytest.fixture
def a(tmp_path: Path) -> str:
    return str(make_siglip(tmp_path / "a"))


@pytest.fixture
def b(tmp_path: Path) -> str:
    return str(make_siglip(tmp_path / "b", seed=1))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two, so that there are several."""
    monkeypatch.setattr(Folders, "batch", 2)


class Encoded:
    """What was encoded, apart from queries and trials."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.pictures, self.texts = 0, list[str]()
        see, read = OnnxPictures.encode_images, MiniLM.encode_texts

        def images(encoder: OnnxPictures, shown: Any) -> np.ndarray:
            self.pictures += len(shown)
            return see(encoder, shown)

        def texts(encoder: MiniLM, given: Any) -> np.ndarray:
            self.texts += [text for text in given if text.startswith("A wall")]
            return read(encoder, given)

        patch.setattr(OnnxPictures, "encode_images", images)
        patch.setattr(MiniLM, "encode_texts", texts)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Encoded:
    return Encoded(monkeypatch)


def to(home: Path, encoder: str, connect: Connect | None = None, patience: float = 5.0) -> Reencoding:
    chosen = with_own(ENCODERS, {**own_encoders(home, "photos"), "pictures": encoder}, home)
    return Reencoding(home, "photos", chosen, ("pictures", encoder), connect=connect, patience=patience)


def opened(home: Path, connect: Connect | None = None) -> Library:
    return Library.open(home, "photos", ENCODERS, connect=connect, patience=5.0)


def vectors(library: Library) -> dict[str, Dense]:
    return library.dense([record.id for record in library.records()])


def leftovers(home: Path, connect: Connect | None) -> list[str]:
    """The places of vectors beyond the one that is searched."""
    library = home / "libraries" / "photos"
    with sqlite3.connect(library / "records.sqlite") as records:
        now = places.place(library, "photos", "", places.now(records), {})
    records.close()
    if connect:
        names = [one.name for one in connect.client.get_collections().collections]  # type: ignore[attr-defined]
        assert not now.folder.exists()
        return names[1:]
    mine = {now.folder.name, f"{now.folder.name}.rows", f"{now.folder.name}.lock"}
    return sorted(path.name for path in library.glob("vectors*") if path.name not in mine)


def whole(home: Path, connect: Connect | None, encoder: str) -> Library:
    """Check that the library is complete, by this encoder of pictures, and that nothing is left over."""
    library = opened(home, connect)
    assert library.meta("pictures") == encoder
    records = library.records()
    assert vectors(library).keys() == {record.id for record in records}
    with library.vectors() as store:
        assert store.ids() == {record.id for record in records}
    for record in records:
        shown = Image.open(record.path).convert("RGB")
        assert library.encoders.clip is not None
        expected = {
            "clip": library.encoders.clip.encode_images([shown])[0],
            "caption": ENCODERS.caption.encode_texts([record.text])[0],
        }
        for name, vector in vectors(library)[record.id].items():
            assert vector == pytest.approx(expected[name], abs=1e-3)
    for record in records:
        [found] = library.search([record.text], len(records))
        assert found[0].image_id == record.id or not record.described
        assert {c.image_id for c in found} == {r.id for r in records}
    assert half_made(library) is None
    assert leftovers(home, connect) == []
    return library


def test_only_what_the_new_encoder_makes_is_computed(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, encoded: Encoded
) -> None:
    library, _ = index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    before, chance = vectors(library), library.chances()
    encoded.pictures, encoded.texts = 0, []
    done = to(home, b, connect).run()
    assert (done.encoded, done.images, done.without) == (8, 8, [])
    assert encoded.pictures == 9  # and the one that the encoder is tried with
    assert encoded.texts == []
    library = whole(home, connect, b)
    for image, known in vectors(library).items():
        assert known["caption"] == pytest.approx(before[image]["caption"], abs=1e-6)
    assert library.chances()["caption"].base == chance["caption"].base
    encoded.pictures = 0
    assert to(home, b, connect).is_done
    to(home, b, connect).run()
    assert encoded.pictures == 0


def test_captions_are_encoded_anew_and_pictures_copied(
    home: Path, photos: Path, a: str, tmp_path: Path, connect: Connect | None, encoded: Encoded
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    folder = tmp_path / "minilm"
    folder.mkdir()
    shutil.copy(ENCODERS.caption.model, folder / "model.onnx")  # type: ignore[attr-defined]
    shutil.copy(ENCODERS.caption.tokenizer, folder / "tokenizer.json")  # type: ignore[attr-defined]
    (folder / "config.json").write_text(json.dumps({"hidden_size": 384}))
    encoded.pictures = 0
    chosen = with_own(ENCODERS, {"pictures": a, "captions": str(folder)}, home)
    way = Reencoding(home, "photos", chosen, ("captions", str(folder)), connect=connect)
    assert way.run().encoded == 8
    assert encoded.pictures == 0
    library = opened(home, connect)
    assert library.encoders.caption.name == chosen.caption.name != ENCODERS.caption.name
    assert len(library.search(["A wall painted red"], 8)[0]) == 8
    assert leftovers(home, connect) == []


def test_the_first_encoder_of_pictures(home: Path, photos: Path, a: str, connect: Connect | None) -> None:
    (photos / "red.txt").unlink()
    (photos / "red.png").rename(photos / "DSC_0001.png")  # its name is its caption until it can be seen
    library, _ = index(home, "photos", [photos], ENCODERS, connect=connect)
    assert all("caption" in known for known in vectors(library).values())
    assert to(home, a, connect).run().encoded == 8
    library = opened(home, connect)
    bare = library.find("DSC_0001.png")
    assert bare.bare
    assert {image: set(known) for image, known in vectors(library).items()} == {
        record.id: {"clip"} if record.id == bare.id else {"clip", "caption"} for record in library.records()
    }


def test_what_is_chance_is_switched_too(home: Path, photos: Path, a: str, b: str, connect: Connect | None) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    fresh, _ = index(home, "fresh", [photos], ENCODERS, encoder=b)
    to(home, b, connect).run()
    library = opened(home, connect)
    with library.transaction() as records:
        known = {row[0]: row[1:] for row in records.execute("SELECT * FROM chance")}
    assert set(known) == {"caption", "clip"}, "measured before the switch"
    for name, chance in fresh.chances().items():
        assert known[name] == pytest.approx((chance.base, chance.spread, chance.apart), abs=1e-5)
        with library.transaction() as records:
            sample = chances.sampled(records, name)
        assert np.stack([*sample.values()]) == pytest.approx(chance.sample, abs=1e-5)


def test_searches_use_the_former_vectors_until_the_new_ones_are_complete(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, small: None
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    reader = opened(home, connect)
    seen: list[int] = []

    def scores(library: Library) -> dict[str, float]:
        return {c.image_id: c.scores["clip"] for c in library.search(["a purple wall"], 8)[0]}

    before = scores(reader)

    def search(done: int, of: int) -> None:
        assert of == 8
        other = opened(home, connect)
        assert half_made(other) is not None
        for library in (reader, other):
            assert scores(library) == pytest.approx(before, abs=1e-5)
        seen.append(done)

    to(home, b, connect).run(search)
    assert len(set(seen)) > 3
    assert scores(reader).keys() == before.keys()
    assert scores(reader) != pytest.approx(before, abs=1e-3)
    whole(home, connect, b)


@pytest.mark.real
def test_searches_in_other_threads_never_fail_nor_lack_an_image(
    home: Path, photos: Path, a: str, b: str, small: None
) -> None:
    index(home, "photos", [photos], ENCODERS, encoder=a)
    failed: list[Exception] = []
    stop = threading.Event()

    def search() -> None:
        library = opened(home)
        while not stop.is_set():
            try:
                assert len(library.search(["a purple wall"], 8)[0]) == 8
            except Exception as error:  # noqa: BLE001
                failed.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for encoder in (b, a, b, a, b):
        to(home, encoder).run()
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    whole(home, None, b)


# --- other programs --------------------------------------------------------------------------------------------------


def test_what_others_add_remove_and_write_meanwhile_is_in_the_new_vectors(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, small: None
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    acts: list[Callable[[Library], object]] = [
        lambda other: (
            Image.new("RGB", (64, 48), (90, 60, 30)).save(photos / "brown.png"),
            (photos / "brown.txt").write_text("A wall painted brown"),
            add(other, [photos]),
        ),
        lambda other: (
            (photos / "black.png").unlink(),  # the first to be encoded
            (photos / "yellow.png").unlink(),
            add(other, [photos]),
        ),
        lambda other: other.write({other.find("blue.png").id: {"caption": "A wall of lapis lazuli"}}),
        lambda other: ((photos / "green.txt").write_text("A wall of moss"), add(other, [photos])),
    ]
    seen: list[int] = []

    def act(done: int, _of: int) -> None:
        seen.append(done)
        if len(seen) > 1 and acts:
            acts.pop(0)(opened(home, connect))

    to(home, b, connect).run(act)
    assert acts == []
    library = whole(home, connect, b)
    names = {Path(record.path).stem for record in library.records()}
    assert names == {*COLOURS, "brown"} - {"black", "yellow"}
    assert library.search(["lapis lazuli"], 1)[0][0].caption == "A wall of lapis lazuli"
    assert library.search(["moss"], 1)[0][0].caption == "A wall of moss"


def test_a_caption_that_is_written_in_the_last_moment_is_encoded_at_the_next_search(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, _ = index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    switch = beside.Run._switch

    def write_first(run: beside.Run) -> None:
        with sqlite3.connect(library.path / "records.sqlite") as records:  # as `Library.write` does, which waits
            image = library.find("red.png").id
            records.execute("INSERT INTO written (image, caption) VALUES (?, 'A wall of poppies')", (image,))
            records.execute("INSERT INTO stale VALUES (?, 'x')", (image,))
        records.close()
        switch(run)

    monkeypatch.setattr(beside.Run, "_switch", write_first)
    to(home, b, connect).run()
    assert opened(home, connect).search(["poppies"], 1)[0][0].caption == "A wall of poppies"
    whole(home, connect, b)


def test_a_writer_is_waited_for(home: Path, photos: Path, a: str, b: str) -> None:
    index(home, "photos", [photos], ENCODERS, encoder=a)
    other, waited = opened(home), threading.Event()
    begun, free = threading.Event(), threading.Event()

    def write() -> None:
        with other.alone():
            begun.set()
            free.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    assert begun.wait(60)

    def wait() -> None:
        waited.set()
        free.set()

    to(home, b, patience=0.05).run(wait=wait)
    writer.join()
    assert waited.is_set()
    whole(home, None, b)


def test_one_reencodes_at_a_time(home: Path, photos: Path, a: str, b: str) -> None:
    index(home, "photos", [photos], ENCODERS, encoder=a)
    refused: list[str] = []

    def another(_done: int, _of: int) -> None:
        for attempt in (to(home, b).run, lambda: abandon(opened(home))):
            with pytest.raises(LibraryBusy) as error:
                attempt()
            refused.append(str(error.value))

    to(home, b).run(another)
    assert set(refused) == {"Another limner is reencoding photos: wait for its end, or stop it."}
    whole(home, None, b)


def test_a_library_that_is_removed_leaves_nothing(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, small: None
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    stopped(home, b, connect)
    remove(home, "photos", connect=connect)
    assert not (home / "libraries" / "photos").exists()
    if connect:
        assert connect.client.get_collections().collections == []  # type: ignore[attr-defined]


# --- interrupted -----------------------------------------------------------------------------------------------------


class Stop(BaseException):
    """As Ctrl-C."""


def stopped(home: Path, encoder: str, connect: Connect | None = None, after: int = 4) -> None:
    """Begin to reencode, and stop after so many images."""

    def stop(done: int, _of: int) -> None:
        if done >= after:
            raise Stop

    with pytest.raises(Stop):
        to(home, encoder, connect).run(stop)


def test_a_stopped_run_goes_on(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, small: None, encoded: Encoded
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    encoded.pictures = 0
    stopped(home, b, connect)
    assert encoded.pictures == 1 + 4
    half = half_made(opened(home, connect))
    assert half is not None
    assert (half[0].named, half[1]) == (b, 4)
    costs = to(home, b, connect).costs()
    assert (costs.images, costs.done) == (8, 4)
    assert (costs.needed > 0) == (connect is None)
    done = to(home, b, connect).run()
    assert (done.encoded, done.images) == (4, 8)
    assert encoded.pictures == 1 + 8
    whole(home, connect, b)


def test_another_encoder_starts_over_and_clears_what_is_half_made(
    home: Path, photos: Path, a: str, b: str, tmp_path: Path, connect: Connect | None, small: None, encoded: Encoded
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    stopped(home, b, connect)
    c = str(make_siglip(tmp_path / "c", seed=2))
    encoded.pictures = 0
    done = to(home, c, connect).run()
    assert (done.encoded, done.dropped) == (8, b)
    assert encoded.pictures == 9
    whole(home, connect, c)
    stopped(home, b, connect)
    done = to(home, c, connect).run()
    assert (done.encoded, done.dropped) == (0, b)
    whole(home, connect, c)
    stopped(home, b, connect)
    dropped = abandon(opened(home, connect))
    assert dropped is not None
    assert dropped.named == b
    assert abandon(opened(home, connect)) is None
    whole(home, connect, c)


class Writes:
    """Counts writes, and stops at one as if the program were gone: before it, or right behind it."""

    def __init__(self, moment: int) -> None:
        self.moment, self.count = moment, 0

    def point(self) -> None:
        self.count += 1
        if self.count > self.moment:
            raise Stop

    def wrapped(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.point()
            value = write(*args, **kwargs)
            self.point()
            return value

        return call

    def committed(self, transaction: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def counted(library: Library) -> Iterator[sqlite3.Connection]:
            with transaction(library) as records:
                before = records.total_changes
                yield records
                changes = records.total_changes > before
                if changes:
                    self.point()
            if changes:
                self.point()

        return counted


@contextmanager
def failing_at(moment: int) -> Iterator[None]:
    """Every write from this one on fails."""
    writes = Writes(moment)
    with pytest.MonkeyPatch.context() as patch:
        for store in (EdgeStore, ServerStore):
            for name in ("upsert", "delete", "drop"):
                patch.setattr(store, name, writes.wrapped(getattr(store, name)))
        patch.setattr(Library, "transaction", writes.committed(Library.transaction))
        yield


def test_an_end_between_any_two_writes_loses_nothing(
    home: Path, photos: Path, a: str, b: str, tmp_path: Path, connect: Connect | None, small: None, encoded: Encoded
) -> None:
    for name in [*COLOURS][4:]:
        (photos / f"{name}.png").unlink()
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    c, moment, ended = str(make_siglip(tmp_path / "c", seed=2)), 0, False
    while not ended:
        to(home, a, connect).run()
        stopped(home, c, connect, after=2)  # whose vectors are to be cleared
        encoded.pictures = 0
        try:
            with failing_at(moment):
                to(home, b, connect).run()
            ended = True
        except Stop:
            pass
        library = opened(home, connect)
        assert len(library.search(["a wall"], 8)[0]) == 4, moment
        to(home, b, connect).run()
        assert encoded.pictures <= 2 + 4 + 2, moment  # trials, images, and a batch in flight
        whole(home, connect, b)
        moment += 1
    assert moment > 20


REENCODING = """
import sys
from pathlib import Path
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM, with_own
from limner.tools.library import Folders
from limner.tools.library.reencoding import Reencoding
from limner.models.encoders.onnx import OnnxPictures
Folders.batch = 2
see = OnnxPictures.encode_images
def images(self, shown):
    print("encoded", len(shown), flush=True)
    return see(self, shown)
OnnxPictures.encode_images = images
home, b = Path(sys.argv[1]), sys.argv[2]
encoders = with_own(Encoders(MiniLM(threads=1), Words()), {"pictures": b}, home)
way = Reencoding(home, "photos", encoders, ("pictures", b))
print("begun", flush=True)
way.run(lambda done, of: print("done", done, flush=True))
"""


@pytest.mark.real
def test_a_run_that_is_killed_goes_on_and_encodes_only_the_rest(home: Path, photos: Path, a: str, b: str) -> None:
    for n in range(40):
        Image.new("RGB", (64, 48), (n, 5 * n, 3)).save(photos / f"{n}.png")
    index(home, "photos", [photos], ENCODERS, encoder=a)
    counted, kills, ended = 0, 0, False
    while not ended:
        command = [sys.executable, "-c", REENCODING, str(home), b]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        lines, begun = 0, False
        for line in process.stdout:
            begun = begun or line == "begun\n"
            counted += int(line.split()[1]) if begun and line.startswith("encoded") else 0
            lines += begun
            if lines == 7 + 3 * kills:  # anywhere in a batch
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
        counted += sum(int(line.split()[1]) for line in process.stdout if line.startswith("encoded"))
        ended = process.wait() == 0
        process.stdout.close()
        library = opened(home)
        assert len(library.search(["a wall"], 48)[0]) == 48
    assert kills >= 3
    assert 48 <= counted <= 48 + 2 * kills
    whole(home, None, b)


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    home: Path, photos: Path, a: str, b: str, small: None, encoded: Encoded
) -> None:
    index(home, "photos", [photos], ENCODERS, encoder=a)
    real, way = sqlite3.connect, to(home, b)

    def full(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = real(*args, **kwargs)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite's own way to a disk that is full: no page more
        return connection

    def fill(done: int, _of: int) -> None:
        if done == 4:
            patch.setattr(sqlite3, "connect", full)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limner.tools.library.beside.said", lambda _record: "x" * 200_000)
        with pytest.raises(LibraryError, match=r"The disk is full. \d images more are encoded: make room"):
            way.run(fill)
    to(home, b).run()
    whole(home, None, b)


def test_half_made_vectors_that_cannot_be_read_are_made_again(
    home: Path, photos: Path, a: str, b: str, small: None
) -> None:
    library, _ = index(home, "photos", [photos], ENCODERS, encoder=a)
    stopped(home, b)
    [half] = [path for path in library.path.glob("vectors-*") if path.suffix == ""]
    for path in half.rglob("*.json"):
        path.write_text("{")
    assert to(home, b).run().encoded == 8
    whole(home, None, b)
    stopped(home, a)
    [half] = [path for path in library.path.glob("vectors-*.rows") if not library.store.is_local or path.is_dir()][-1:]
    for path in library.path.glob("vectors-*"):
        if path.suffix == "" and path.name != f"vectors-{library.meta('vectors')}":
            shutil.rmtree(path)
    assert to(home, a).run().encoded == 8
    whole(home, None, a)


# --- what is refused, and what is odd -------------------------------------------------------------------------------


def test_pictures_that_are_away_are_named_before_anything_is_encoded(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None, small: None, encoded: Encoded
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    (photos / "red.png").rename(photos.parent / "red.png")
    encoded.pictures = 0
    with pytest.raises(
        LibraryError, match=r"^1 picture is not where photos read it, such as .*red.png: bring the file"
    ):
        to(home, b, connect).run()
    assert encoded.pictures == 1

    def move(done: int, _of: int) -> None:
        if done == 4:
            (photos / "yellow.png").rename(photos.parent / "yellow.png")

    (photos.parent / "red.png").rename(photos / "red.png")
    with pytest.raises(LibraryError, match=r"^1 picture is not where .*yellow.png"):
        to(home, b, connect).run(move)
    assert encoded.pictures == 1 + 7
    assert len(opened(home, connect).search(["a wall"], 8)[0]) == 8
    done = to(home, b, connect).run(skip=True)
    assert (done.encoded, [Path(path).name for path in done.without]) == (1, ["yellow.png"])
    library = opened(home, connect)
    lost = library.find("yellow.png").id
    assert set(vectors(library)[lost]) == {"caption"}
    with library.vectors() as store:
        assert store.ids() == {record.id for record in library.records()}


def test_an_empty_library(home: Path, a: str, connect: Connect | None) -> None:
    Library.create(home, "photos", ENCODERS, connect=connect)
    assert to(home, a, connect).run() == Done()
    library = opened(home, connect)
    assert library.encoders.clip is not None
    assert leftovers(home, connect) == []


def test_indexing_goes_on_behind_the_switch(home: Path, photos: Path, a: str, b: str, connect: Connect | None) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    to(home, b, connect).run()
    library = opened(home, connect)
    assert add(library, [photos]).known == 8
    Image.new("RGB", (64, 48), (90, 60, 30)).save(photos / "brown.png")
    (photos / "brown.txt").write_text("A wall painted brown")
    (photos / "red.png").unlink()
    report = add(library, [photos])
    assert (report.added, report.vanished) == (1, 1)
    whole(home, connect, b)


def test_a_former_encoder_that_is_gone_is_not_needed(
    home: Path, photos: Path, a: str, b: str, connect: Connect | None
) -> None:
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a)
    shutil.rmtree(a)
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=b)
    whole(home, connect, b)


def test_other_encoders_must_be_those_of_the_library(home: Path, photos: Path, a: str, b: str) -> None:
    library, _ = index(home, "photos", [photos], ENCODERS, encoder=a)
    library.set_meta("encoders", json.dumps(library.encoders.names | {"caption": "another"}))
    with pytest.raises(EncoderMismatch, match=r"made with another \(caption\).*set LIMNER_ENCODER as it was"):
        to(home, b)


def test_the_format_says_that_an_older_limner_must_not_write_it(home: Path, photos: Path, a: str, b: str) -> None:
    """It would look for the vectors in their first place, and make them there."""
    library, _ = index(home, "photos", [photos], ENCODERS, encoder=a)
    assert library.meta("format") == "2"
    stopped(home, b, after=0)
    assert library.meta("format") == "2", "half made, it may be read and written"
    to(home, b).run()
    assert library.meta("format") == "3"
