"""`limner library sync`: all sources again, none dropped because it is away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packed import counts, laid, picture, samples, zipped

from limner.errors import BadInput, LibraryError
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, add, index, resync

ENCODERS = Encoders(MiniLM(threads=1), Words())


@pytest.fixture
def library(home: Path, tmp_path: Path) -> Library:
    """Pictures of a folder and of an archive."""
    folder = laid(tmp_path / "photos", samples(4) | {"old/rings.jpg": picture(90)})
    archive = zipped(tmp_path / "shard.zip", samples(3, 10))
    return index(home, "birds", [folder, archive], ENCODERS)[0]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the images that are encoded from now on."""
    ids: list[str] = []
    put = Library.put

    def watched(self: Library, records: Any, pictures: Any) -> None:
        ids.extend(record.id for record in records)
        put(self, records, pictures)

    monkeypatch.setattr(Library, "put", watched)
    return ids


def change(folder: Path) -> None:
    """A new picture, a changed caption, a changed picture, a renamed one and one that is gone."""
    laid(folder, {"new.jpg": picture(50), "0000.json": b'{"caption": "A stork"}', "0001.jpg": picture(51)})
    (folder / "0002.jpg").rename(folder / "moved.jpg")
    (folder / "0003.jpg").unlink()


def test_it_adds_changes_and_drops_in_all_sources(library: Library, tmp_path: Path, encoded: list[str]) -> None:
    change(tmp_path / "photos")
    zipped(tmp_path / "shard.zip", samples(2, 11))
    report, lines = resync(library)
    assert counts(report) == {"added": 1, "known": 3, "renamed": 1, "changed": 2, "vanished": 2}
    assert lines == []
    assert {os.path.basename(record.path) for record in library.records()} == {
        *("0000.jpg", "0001.jpg", "moved.jpg", "rings.jpg", "new.jpg"),
        *("0011.jpg", "0012.jpg"),
    }
    assert len(set(encoded)) == 4  # the new one, the changed ones, and the renamed one without its caption


def test_a_dry_run_says_the_same_and_changes_nothing(library: Library, tmp_path: Path, encoded: list[str]) -> None:
    change(tmp_path / "photos")
    before = library.records()
    said, _ = resync(library, dry_run=True)
    assert library.records() == before
    assert encoded == []
    done, _ = resync(library)
    assert counts(said) == counts(done)
    assert encoded != []


def test_a_changed_archive_is_named_by_a_dry_run(library: Library, tmp_path: Path) -> None:
    zipped(tmp_path / "shard.zip", samples(1, 30))
    report, lines = resync(library, dry_run=True)
    assert lines == [f"{tmp_path / 'shard.zip'} has changed and would be read again"]
    assert counts(report) == {"known": 5}


@pytest.mark.parametrize("emptied", [False, True])
def test_a_source_that_is_away_drops_nothing(library: Library, tmp_path: Path, emptied: bool) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    if emptied:
        (tmp_path / "photos").mkdir()  # where a disk was mounted
    before = library.records()
    for dry_run in (True, False):
        with pytest.raises(LibraryError, match=r"birds has 5 pictures of it: nothing is changed.*--drop-missing"):
            resync(library, dry_run=dry_run)
    if emptied:
        with pytest.raises(LibraryError, match="nothing is changed"):
            add(library, [tmp_path / "photos"])
    assert library.records() == before
    report, _ = resync(library, drop=[str(tmp_path / "photos")])
    assert counts(report) == {"known": 3, "vanished": 5}
    assert counts(resync(library)[0]) == {"known": 3}


def test_a_folder_emptied_on_purpose_is_dropped_by_name(library: Library, tmp_path: Path) -> None:
    old = tmp_path / "photos" / "old"
    with pytest.raises(BadInput, match="is not empty"):
        resync(library, drop=[str(old)])
    (old / "rings.jpg").unlink()
    for dry_run in (True, False):
        with pytest.raises(LibraryError, match=rf"old is empty, and birds has 1 picture of it.*--drop-missing {old}"):
            resync(library, dry_run=dry_run)
    with pytest.raises(BadInput, match="no source of birds, nor in one"):
        resync(library, drop=[str(tmp_path / "other")])
    report, _ = resync(library, drop=[str(old)])
    assert counts(report) == {"known": 7, "vanished": 1}
    assert counts(resync(library)[0]) == {"known": 7}


def test_a_folder_whose_only_folder_vanished_is_dropped_by_name(library: Library, tmp_path: Path) -> None:
    deep = laid(tmp_path / "photos" / "deep", {"2023/spring/a.jpg": picture(91)}) / "2023"
    assert counts(resync(library)[0]) == {"added": 1, "known": 8}
    (deep / "spring" / "a.jpg").unlink()
    (deep / "spring").rmdir()
    with pytest.raises(LibraryError, match=rf"2023 is empty.*--drop-missing {deep}`"):
        resync(library)
    assert counts(resync(library, drop=[str(deep)])[0]) == {"known": 8, "vanished": 1}


@pytest.mark.parametrize("damage", ["cut short", "no archive"])
def test_a_broken_archive_stops_no_other_source(library: Library, tmp_path: Path, damage: str) -> None:
    archive = tmp_path / "shard.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2] if damage == "cut short" else b"<html>404</html>")
    laid(tmp_path / "photos", {"new.jpg": picture(50)})
    for _ in range(2):
        report, _ = resync(library)
        [(path, reason)] = report.broken
        assert path == str(archive)
        assert ("damaged or cut short" in reason) == (damage == "cut short")
        assert len(library) == 9
        assert all(library.image(record.id) for record in library.records())
    archive.write_bytes(whole)
    report, _ = resync(library)
    assert (counts(report), report.broken) == ({"known": 9}, [])


def test_an_archive_that_is_away_keeps_its_copies(library: Library, tmp_path: Path) -> None:
    (tmp_path / "shard.zip").unlink()
    report, lines = resync(library)
    assert lines == [f"{tmp_path / 'shard.zip'} is not there; its 3 pictures stay, as copied into the library"]
    assert counts(report) == {"known": 8}
    assert all(library.image(record.id) for record in library.records())
    report, _ = resync(library, drop=[str(tmp_path / "shard.zip")])
    assert counts(report) == {"known": 5, "vanished": 3}
    assert list((library.path / "unpacked").iterdir()) == []


def test_a_folder_that_cannot_be_listed_drops_nothing(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir, shut = os.scandir, str(tmp_path / "photos" / "old")

    def refused(path: Any = ".") -> Iterator[Any]:
        if str(path) == shut:
            raise PermissionError(13, "Permission denied", shut)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    report, _ = resync(library)
    assert counts(report) == {"known": 7, "unreadable": 1}
    monkeypatch.undo()
    assert counts(resync(library)[0]) == {"known": 8}


def test_a_library_that_comes_to_another_machine(
    library: Library, home: Path, tmp_path: Path, encoded: list[str]
) -> None:
    """Its home, its folders and its archives lie elsewhere there: nothing is encoded again."""
    library.path.parent.parent.rename(tmp_path / "home2")
    (tmp_path / "there").mkdir()
    (tmp_path / "photos").rename(tmp_path / "there" / "photos")
    here = Library.open(tmp_path / "home2", "birds", ENCODERS)
    with pytest.raises(LibraryError, match="nothing is changed"):
        resync(here)
    assert counts(add(here, [tmp_path / "there" / "photos"])) == {"known": 5}
    report, _ = resync(here, drop=[str(tmp_path / "photos")])
    assert counts(report) == {"known": 5, "renamed": 3, "vanished": 5}
    assert len(here.records()) == 8
    assert all(here.image(record.id) for record in here.records())
    assert encoded == []
    assert not home.exists()


def test_a_library_without_sources_says_what_to_do(home: Path) -> None:
    library = Library.create(home, "empty", ENCODERS)
    with pytest.raises(BadInput, match="limner library add empty FOLDER"):
        resync(library)


def test_removing_a_library_takes_the_copies_away(library: Library, tmp_path: Path) -> None:
    where = library.path
    library.remove()
    assert not where.exists()
    assert (tmp_path / "shard.zip").is_file()
