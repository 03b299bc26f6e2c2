"""Pictures that only the library has, and sources that seem empty: nothing deletes them but who names them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packed import counts, laid, picture, samples, zipped

from limner.errors import BadInput, LibraryError
from limner.surfaces.cli import library_reports, library_sources
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, add, folders, index, resync
from limner.tools.library.unpacking.target import Target

ENCODERS = Encoders(MiniLM(threads=1), Words())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return zipped(tmp_path / "s.zip", samples(3))


@pytest.fixture
def library(home: Path, archive: Path) -> Library:
    return index(home, "birds", [archive], ENCODERS)[0]


def whole(library: Library, count: int) -> None:
    """Every picture can be read."""
    assert [bool(library.image(record.id)) for record in library.records()] == [True] * count


def spoilt(archive: Path, name: str) -> None:
    """Damage the bytes of a member of a zip file, behind its header."""
    with zipfile.ZipFile(archive) as opened:
        member = opened.getinfo(name)
    data = bytearray(archive.read_bytes())
    at = member.header_offset + 30 + len(name) + member.compress_size // 3
    data[at : at + 40] = bytes(40)
    archive.write_bytes(data)


def test_dropping_a_source_keeps_the_copies_of_another(library: Library, tmp_path: Path, archive: Path) -> None:
    add(library, [laid(tmp_path / "f", samples(2, 10))])
    archive.unlink()
    (tmp_path / "f").rename(tmp_path / "g")
    add(library, [tmp_path / "g"])
    assert counts(resync(library, drop=[str(tmp_path / "f")])[0]) == {"known": 5, "vanished": 2}
    whole(library, 5)


def test_only_a_source_that_is_away_or_empty_is_dropped(
    library: Library, tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="is there and has 3 pictures"):
        resync(library, drop=[str(archive)])
    with pytest.raises(BadInput, match="is no source of birds"):
        resync(library, drop=[str(tmp_path)])
    photos = laid(tmp_path / "photos", samples(1, 10))
    add(library, [photos])
    lstat = os.lstat

    def broken(path: str) -> os.stat_result:
        if str(path) == str(photos):
            raise OSError(5, "Input/output error", path)
        return lstat(path)

    monkeypatch.setattr(os, "lstat", broken)
    with pytest.raises(LibraryError, match="cannot be read, so nothing of birds is dropped"):
        resync(library, drop=[str(photos)])
    whole(library, 4)


def test_what_an_archive_no_longer_has_stays_until_the_library_forgot_it(library: Library, archive: Path) -> None:
    before = archive.read_bytes()
    zipped(archive, {"readme.md": b"Moved"})
    for _ in range(2):
        with pytest.raises(LibraryError, match=r"has no picture any more.*nothing is changed"):
            resync(library)
        whole(library, 3)
    archive.write_bytes(before)
    assert counts(resync(library)[0]) == {"known": 3}
    zipped(archive, {"readme.md": b"Moved"})
    assert counts(resync(library, drop=[str(archive)])[0]) == {"vanished": 3}
    assert list((library.path / "unpacked").iterdir()) == []


def test_a_second_archive_that_fails_costs_the_first_nothing(library: Library, tmp_path: Path, archive: Path) -> None:
    other = zipped(tmp_path / "t.zip", {"in/a.jpg": picture(60), "in/b.jpg": picture(61)})
    add(library, [other])
    zipped(archive, samples(1) | {"0001.jpg": picture(1)})  # a picture is gone, and a caption
    good = other.read_bytes()
    other.write_bytes(good[:200])
    report = resync(library)[0]
    assert counts(report) == {"known": 1, "changed": 1, "vanished": 1}
    assert [name for name, _ in report.broken] == [str(other)]
    whole(library, 4)
    zipped(other, {"b.jpg": picture(61)})
    assert counts(resync(library)[0]) == {"known": 2, "renamed": 1, "vanished": 1}
    whole(library, 3)
    copies = [path for path in (library.path / "unpacked").rglob("*") if path.suffix != ".json" or path.stem == "0001"]
    assert sorted(path.name for path in copies if path.is_file()) == ["0000.jpg", "0001.jpg", "b.jpg"]
    assert not any(path.name == "in" for path in copies)
    assert counts(resync(library)[0]) == {"known": 3}


def test_a_damaged_member_keeps_the_good_copy(library: Library, archive: Path) -> None:
    spoilt(archive, "0001.jpg")
    report = add(library, [archive])
    assert counts(report) == {"known": 3, "unreadable": 1}
    whole(library, 3)


def test_a_name_that_cannot_be_decoded_stops_nothing(home: Path, archive: Path) -> None:
    data = archive.read_bytes()
    at = data.index(b"0001.jpg")
    local = data[: at - 30 + 6] + b"\x00\x08" + data[at - 30 + 8 : at] + b"\xff\xfe01.jpg" + data[at + 8 :]
    archive.write_bytes(local)
    library, report = index(home, "birds", [archive], ENCODERS)
    assert counts(report) == {"added": 2, "unreadable": 1}
    assert "damaged file" in report.unreadable[0][1]
    whole(library, 2)


def test_an_emptied_folder_within_a_source_drops_nothing(home: Path, tmp_path: Path) -> None:
    photos = laid(tmp_path / "photos", {"a.jpg": picture(1), "disk/2020/b.jpg": picture(2), "disk/c.jpg": picture(3)})
    library, _ = index(home, "birds", [photos], ENCODERS)
    (photos / "disk").rename(tmp_path / "elsewhere")
    (photos / "disk").mkdir()  # where a disk was mounted
    for run in (lambda: resync(library), lambda: add(library, [photos])):
        with pytest.raises(LibraryError, match=r"disk is empty, and birds has 2 pictures of it: nothing is changed"):
            run()
    assert len(library) == 3
    (tmp_path / "elsewhere").rename(photos / "named-otherwise")  # moved within the source, and the old folder is empty
    assert counts(resync(library)[0]) == {"known": 1, "renamed": 2}
    (photos / "named-otherwise" / "c.jpg").unlink()
    (photos / "named-otherwise" / "2020" / "b.jpg").unlink()
    (photos / "named-otherwise" / "2020").rmdir()
    with pytest.raises(LibraryError, match="drop them with `limner library sync birds --drop-missing"):
        resync(library)
    (photos / "named-otherwise").rmdir()
    assert counts(resync(library)[0]) == {"known": 1, "vanished": 2}


def test_a_file_that_cannot_be_looked_at_stays(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = laid(tmp_path / "photos", samples(2))
    library, _ = index(home, "birds", [photos], ENCODERS)
    stat = os.stat

    def broken(path: Any, *rest: Any, **more: Any) -> os.stat_result:
        if str(path) == str(photos / "0001.jpg"):
            raise OSError(5, "Input/output error", str(path))
        return stat(path, *rest, **more)

    laid(photos, {"new.jpg": picture(9)})
    monkeypatch.setattr(os, "stat", broken)
    assert counts(resync(library)[0]) == {"added": 1, "known": 1, "unreadable": 1}
    monkeypatch.undo()
    whole(library, 3)


def test_a_copy_that_is_gone_is_made_again_by_the_command_that_is_named(library: Library) -> None:
    record = library.records()[0]
    os.unlink(record.path)
    with pytest.raises(LibraryError, match="or run `limner library sync birds`"):
        library.image(record.id)
    assert counts(resync(library)[0]) == {"known": 3}
    whole(library, 3)


def test_a_text_in_a_mount_point_is_no_presence(home: Path, tmp_path: Path) -> None:
    photos = laid(tmp_path / "photos", samples(2))
    library, _ = index(home, "birds", [photos], ENCODERS)
    photos.rename(tmp_path / "elsewhere")
    laid(photos, {"README.txt": b"Mount the disk here"})
    with pytest.raises(LibraryError, match="nothing is changed"):
        resync(library)
    assert len(library) == 2


def test_adding_without_a_source_reads_the_copies_of_an_archive_that_is_away(
    library: Library, home: Path, archive: Path
) -> None:
    archive.unlink()
    assert counts(index(home, "birds", folders.folders_of(home, "birds"), ENCODERS)[1]) == {"known": 3}
    lines = library_reports.add("birds", [])
    assert f"{archive} is not there; its 3 pictures stay, as copied into the library" in lines
    whole(library, 3)


def test_copies_are_found_in_a_home_that_moved(library: Library, home: Path, tmp_path: Path, archive: Path) -> None:
    archive.unlink()
    home.rename(tmp_path / "home2")
    here = Library.open(tmp_path / "home2", "birds", ENCODERS)
    assert counts(resync(here)[0]) == {"renamed": 3}
    whole(here, 3)


def test_removing_asks_before_it_deletes_the_only_copies(library: Library, home: Path, archive: Path) -> None:
    assert "put" not in folders.rebuilding(home, "birds")
    archive.unlink()
    assert f"put {archive} back first" in folders.rebuilding(home, "birds")
    with pytest.raises(BadInput, match=r"s\.zip: not there any more, .* the only copies .*--copies-too"):
        library_sources.remove("birds")
    whole(library, 3)
    said = library_sources.remove("birds", copies_too=True)
    assert said == ("birds is removed, and its copies of archives' pictures. Other image files stay.")
    assert not library.path.exists()


def test_names_with_the_separators_of_windows(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to = Target(str(tmp_path / "to"), str(archive))
    to.write("sub/a.jpg", [picture(1)])
    relpath = os.path.relpath
    monkeypatch.setattr(os.path, "relpath", lambda path, start: relpath(path, start).replace("/", "\\"))
    monkeypatch.setattr(os, "sep", "\\")
    assert to.finish() == ([], [], [])


def test_names_that_differ_in_case_on_a_disk_that_does_not_tell(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = Target(str(tmp_path / "to"), str(archive))
    to.write("A.jpg", [picture(1)])
    assert to.place("a.jpg") == "a.jpg"  # this disk tells them apart
    os.link(tmp_path / "to" / "A.jpg", tmp_path / "to" / "a.jpg")  # as if it did not
    assert to.place("a.jpg") is None
    refused, _, stale = to.finish()
    assert [line.partition(",")[0] for _, line in refused] == ["1 name that is there twice"]
    assert stale == []
