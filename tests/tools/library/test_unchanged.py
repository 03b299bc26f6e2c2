"""A second indexing of unchanged folders opens no file; every change is seen all the same."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, add, unchanged

ENCODERS = Encoders(MiniLM(threads=1), Words())
_opened: list[str] | None = None


def _hear(event: str, args: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(args[0], str):
        _opened.append(args[0])


sys.addaudithook(_hear)  # for good: there is no way to take one away


def opened(folder: Path, work: Callable[[], object]) -> list[str]:
    """The files below a folder that were opened."""
    global _opened
    _opened = []
    try:
        work()
        return list(dict.fromkeys(path for path in _opened if path.startswith(str(folder))))
    finally:
        _opened = None


@pytest.fixture(autouse=True)
def fine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system of the tests tells times exactly."""
    monkeypatch.setattr(unchanged, "TICK", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n, name in enumerate(("a.png", "b.png", "sub/c.png", "sub/d.png", "@eaDir/e.png", "a-200x100.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * n, 7, 7)).save(folder / name)
    (folder / "a.txt").write_text("A heron at dawn")
    (folder / "sub/metadata.csv").write_text("file_name,caption\nc.png,A jar of honey\nnobody.png,Nothing\n")
    (folder / "broken.jpg").write_text("no image")
    return folder


@pytest.fixture
def library(home: Path, folder: Path) -> Library:
    library = Library.create(home, "photos", ENCODERS)
    add(library, [folder])
    return library


def test_nothing_is_opened_and_the_report_is_the_same(library: Library, folder: Path) -> None:
    assert opened(folder, lambda: unchanged.begin(library)) == []
    whole: list[object] = []
    assert str(folder / "a.txt") in opened(folder, lambda: whole.append(add(library, [folder])))
    done: list[tuple[int, int]] = []
    broken = [str(folder / "broken.jpg")]  # it is tried again
    short: list[object] = []
    assert opened(folder, lambda: short.append(add(library, [folder], lambda *n: done.append(n)))) == broken
    assert short == whole
    assert done == [(5, 5)]
    report = add(library, [folder])
    assert (report.known, report.added, len(report.unreadable), len(report.skipped)) == (4, 0, 1, 2)
    assert report.problems, "the row without an image is reported each time"


def rewrite(path: Path, text: str) -> None:
    """Other text of the same length at the same time."""
    status = path.stat()
    assert len(text) == status.st_size
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new image": lambda folder: Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "sub/new.png"),
    "a new folder": lambda folder: shutil.copytree(folder / "sub", folder / "other"),
    "gone": lambda folder: (folder / "b.png").unlink(),
    "renamed": lambda folder: (folder / "b.png").rename(folder / "z.png"),
    "other bytes": lambda folder: Image.new("RGB", (9, 9), (3, 2, 1)).save(folder / "b.png"),
    "a sidecar, size and time as before": lambda folder: rewrite(folder / "a.txt", "A tiger at dawn"),
    "a table, size and time as before": lambda folder: rewrite(
        folder / "sub/metadata.csv", "file_name,caption\nc.png,A jar of jelly\nnobody.png,Nothing\n"
    ),
    "a new sidecar": lambda folder: (folder / "b.txt").write_text("Bees"),
    "a link": lambda folder: (folder / "link.png").symlink_to(folder / "sub/c.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(library: Library, folder: Path, change: str) -> None:
    def state() -> list[tuple[str, str, str]]:
        return [(record.id, record.path, record.caption) for record in library.records()]

    CHANGES[change](folder)
    report = add(library, [folder])
    found = state()
    unchanged.begin(library)
    again = add(library, [folder])
    assert state() == found, "a whole run finds more"
    assert report.files == again.files
    assert report.again() == again.again()
    assert opened(folder, lambda: add(library, [folder])) == [str(folder / "broken.jpg")]


@pytest.mark.parametrize("lost", ["vectors", "vectors.rows", "one row"])
def test_lost_vectors_are_seen(library: Library, folder: Path, lost: str) -> None:
    if lost == "one row":
        with library.vectors() as store:
            store.delete([library.records()[0].id])
    else:
        shutil.rmtree(library.path / lost)
    add(library, [folder])
    assert {c.image_id for c in library.search(["heron"], 9)[0]} == {record.id for record in library.records()}
    with library.vectors() as store:
        assert store.count() == 4


def test_words_of_people_count_in_the_report(library: Library, folder: Path) -> None:
    heron = next(record for record in library.records() if record.path.endswith("a.png"))
    assert add(library, [folder]).written == 0
    library.write({heron.id: {"caption": "A heron at dusk"}})
    assert add(library, [folder]).written == 1
    library.write({heron.id: {"caption": None}})
    assert add(library, [folder]).written == 0


def test_a_run_over_some_of_the_folders_makes_the_others_forget(library: Library, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (8, 8), (9, 9, 200)).save(other / "z.png")
    add(library, [folder, other])
    away = tmp_path / "away.png"
    (other / "z.png").rename(away)
    Image.new("RGB", (8, 8), (9, 200, 9)).save(other / "y.png")
    add(library, [other])
    (other / "y.png").unlink()
    away.rename(other / "z.png")
    report = add(library, [folder, other])
    assert (report.added, report.vanished) == (1, 1)
    assert sorted(Path(record.path).name for record in library.records()) == [
        "a.png",
        "b.png",
        "c.png",
        "d.png",
        "z.png",
    ]


def test_a_run_that_is_cut_off_is_made_again(library: Library, folder: Path) -> None:
    Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "new.png")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(library, [folder], stop)
    assert add(library, [folder]).added == 1


@pytest.mark.parametrize("quick", [True, False])
def test_a_file_that_could_not_be_read_is_tried_again(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    """Nothing about the file changes when its reader is installed, a limit is raised or a disk recovers."""
    library = Library.create(home, "large", ENCODERS)
    Image.new("RGB", (60, 60), (1, 2, 3)).save(folder / "large.png")
    report = add(library, [folder], max_pixels=1000)
    assert sorted(Path(path).name for path, _ in report.unreadable) == ["broken.jpg", "large.png"]
    if not quick:
        unchanged.begin(library)
    report = add(library, [folder])
    assert report.added == 1
    assert [Path(path).name for path, _ in report.unreadable] == ["broken.jpg"]


def test_other_bytes_of_an_image_of_the_same_size_and_time_are_read(library: Library, folder: Path) -> None:
    path = folder / "b.png"
    status, before = path.stat(), library.find("b.png").id
    data = bytearray(path.read_bytes())
    Image.new("RGB", (8, 8), (41, 7, 7)).save(path)
    new = path.read_bytes()
    path.write_bytes(new.ljust(len(data), b"\0")[: len(data)] if len(new) <= len(data) else new)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = add(library, [folder])
    assert report.changed == 1
    after = library.find("b.png")
    assert after.id != before
    assert library.image(after.id) == path.read_bytes()


def test_folders_added_one_by_one_stay_known(library: Library, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (8, 8), (9, 9, 200)).save(other / "z.png")
    add(library, [other])
    add(library, [folder])
    for _ in range(2):
        assert opened(folder, lambda: add(library, [folder])) == [str(folder / "broken.jpg")]
        assert opened(other, lambda: add(library, [other])) == []


def test_no_fingerprint_is_kept_within_a_tick_of_a_change(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems of old cameras, sticks and servers give two changes within two seconds the same times."""
    monkeypatch.setattr(unchanged, "TICK", 3600 * 10**9)
    unchanged.begin(library)
    add(library, [folder])
    assert str(folder / "a.txt") in opened(folder, lambda: add(library, [folder]))
    monkeypatch.setattr(unchanged, "TICK", 0)
    add(library, [folder])
    assert opened(folder, lambda: add(library, [folder])) == [str(folder / "broken.jpg")]
