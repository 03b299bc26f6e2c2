"""Archives as sources: their pictures and words, and what hostile and damaged ones do."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from packed import counts, laid, picture, samples, tarred, zipped

from limner.errors import BadInput, LibraryEmpty, LibraryError, LibraryMissing
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, Report, add, costs, index, resync
from limner.tools.library.filters import Filters
from limner.tools.library.sources import Located
from limner.tools.library.unpacking import target, tars, unpacked, zips
from limner.tools.library.unpacking.target import Target

ENCODERS = Encoders(MiniLM(threads=1), Words())


def words(library: Library) -> dict[str, tuple[str, ...]]:
    return {r.id: (r.caption, r.alt, r.credit, r.licence, r.details, str(r.facts)) for r in library.records()}


def read(home: Path, *sources: Path) -> tuple[Library, Report]:
    return index(home, "birds", sources, ENCODERS)


TABLE = b'file_name,caption,licence\nsub/a.jpg,"A crane, resting",CC0\n'


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_gives_what_its_folder_gives(home: Path, tmp_path: Path, kind: str) -> None:
    members = samples(3) | {
        "sub/a.jpg": picture(70),
        "metadata.csv": TABLE,
        "sub/red_kite.jpg": picture(71),
        "sub/red_kite.jpg.txt": b"A red kite",
        "notes.md": b"not a picture",
        "__MACOSX/._a.jpg": b"of a Mac",
    }
    path = tmp_path / f"birds.{kind}"
    made = zipped(path, members) if kind == "zip" else tarred(path, members, mode="w:gz" if "gz" in kind else "w")
    library, report = read(home, made)
    assert counts(report) == {"added": 5}
    assert [r.caption for r in library.records()][-2:] == ["A crane, resting", "A red kite"]
    folder, _ = index(home, "folder", [laid(tmp_path / "folder", members)], ENCODERS)
    assert words(library) == words(folder)
    assert {library.image(r.id) for r in library.records()} == {d for n, d in members.items() if n.endswith(".jpg")} - {
        b"of a Mac"
    }
    before = {r.path: os.stat(r.path).st_mtime_ns for r in library.records()}
    assert counts(add(library, [made])) == {"known": 5}
    made.touch()  # read again, and nothing in it has changed
    assert counts(add(library, [made])) == {"known": 5}
    assert {path: os.stat(path).st_mtime_ns for path in before} == before


def test_a_changed_archive_adds_changes_and_drops(home: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", samples(4))
    library, _ = read(home, archive)
    zipped(archive, samples(4, 1) | {"0001.jpg": picture(99), "0002.json": b'{"caption": "Other"}'})
    assert counts(add(library, [archive])) == {"added": 1, "known": 1, "changed": 2, "vanished": 1}


def test_a_lost_copy_is_made_again(home: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", samples(3))
    library, _ = read(home, archive)
    os.unlink(library.records()[0].path)
    assert counts(add(library, [archive])) == {"known": 3}
    assert all(library.image(record.id) for record in library.records())


def test_folders_of_an_archive_are_filtered_by(home: Path, tmp_path: Path) -> None:
    library, _ = read(home, zipped(tmp_path / "a.zip", {"2023/a.jpg": picture(1), "2024/b.jpg": picture(2)}))
    assert library.page(only=Filters.read(["folder=2023"]))[1] == 1
    assert library.page(only=Filters.read(["folder=libraries"]))[1] == 0


# --- hostile ones ----------------------------------------------------------------------------------------------------


def outside(tmp_path: Path) -> set[Path]:
    return {path for path in tmp_path.rglob("*") if "home" not in path.relative_to(tmp_path).parts}


def test_names_that_lead_out_are_refused(home: Path, tmp_path: Path) -> None:
    evil = [
        "../evil.jpg",
        "/tmp/limner-evil.jpg",
        "a/../../evil.jpg",
        "C:\\evil.jpg",
        "..\\evil.jpg",
        "\\\\host\\evil.jpg",
    ]
    members = dict.fromkeys(evil, picture(5)) | samples(1)
    for archive in (zipped(tmp_path / "a.zip", members), tarred(tmp_path / "a.tar", members)):
        before = outside(tmp_path)
        library, report = index(home, archive.suffix[1:], [archive], ENCODERS)
        assert len(library) == 1
        assert [line for _, line in report.unreadable] == [
            "6 names that lead out of the archive, the first '../evil.jpg': rename them"
        ]
        assert outside(tmp_path) == before
    assert not Path("/tmp/limner-evil.jpg").exists()


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_links_and_devices_are_not_followed(home: Path, tmp_path: Path) -> None:
    secret = laid(tmp_path / "secret", {"s.jpg": picture(7)}) / "s.jpg"
    odd = [
        member("link.jpg", tarfile.SYMTYPE, str(secret)),
        member("hard.jpg", tarfile.LNKTYPE, "0000.jpg"),
        member("device.jpg", tarfile.CHRTYPE),
        member("pipe.jpg", tarfile.FIFOTYPE),
        member("sub", tarfile.SYMTYPE, str(secret.parent)),  # a folder to write through
    ]
    members = samples(1) | {"sub/new.jpg": picture(8)}
    library, report = read(home, tarred(tmp_path / "a.tar", members, odd))
    assert len(library) == 2
    assert [line.partition(",")[0] for _, line in report.unreadable] == ["4 links or devices"]
    assert os.listdir(secret.parent) == ["s.jpg"]
    zip_link = zipfile.ZipInfo("link.jpg")
    zip_link.create_system, zip_link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(zipped(tmp_path / "a.zip", samples(1)), "a") as archive:
        archive.writestr(zip_link, str(secret))
    _, report = index(home, "zip", [tmp_path / "a.zip"], ENCODERS)
    assert [line.partition(",")[0] for _, line in report.unreadable] == ["1 link or device"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_adds_nothing(home: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_FREE", 1 << 20)
    path = tmp_path / f"bomb.{kind}"
    zeros = {f"{n}.bmp": bytes(20 << 20) for n in range(3)}
    zipped(path, zeros) if kind == "zip" else tarred(path, zeros, mode="w:gz")
    folder = tmp_path / "to"
    with pytest.raises(BadInput, match="more than 100 times its size"):
        for _ in (zips if kind == "zip" else tars).unpack(str(path), Target(str(folder), str(path))):
            pass
    assert sum(f.stat().st_size for f in folder.rglob("*")) <= max(1 << 20, 100 * path.stat().st_size)


def test_a_bomb_leaves_no_library(home: Path, tmp_path: Path) -> None:
    """1.1 GB of zeros in 5 MB, through the process that a library uses."""
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        info = tarfile.TarInfo("0.bmp")
        info.size = 1_100_000_000
        file.write(info.tobuf())
        for _ in range(1100):
            file.write(bytes(1_000_000))
    with pytest.raises((BadInput, LibraryEmpty)):
        read(home, bomb)
    assert not (home / "libraries" / "birds").exists()


def test_overlapping_files_are_a_bomb(home: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", samples(4))
    data = bytearray(archive.read_bytes())
    at = [n for n in range(len(data)) if data[n : n + 4] == b"PK\x01\x02"]
    first = data[at[0] + 42 : at[0] + 46]
    data[at[1] + 42 : at[1] + 46] = first  # the second entry's data are the first's, too
    archive.write_bytes(data)
    with pytest.raises(BadInput, match="overlapping files, as a bomb does"):
        read(home, archive)


def test_too_many_files(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "MOST_MEMBERS", 5)
    archive = zipped(tmp_path / "a.zip", samples(4))
    with pytest.raises(BadInput, match="more than 5 files: divide it"):
        list(zips.unpack(str(archive), Target(str(tmp_path / "to"), str(archive))))


def test_archives_inside_and_names_twice_are_told_in_one_line_each(home: Path, tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", samples(1)).read_bytes()
    archive = zipped(tmp_path / "a.zip", samples(1) | {f"in{n}.zip": inner for n in range(3)})
    with zipfile.ZipFile(archive, "a") as more, pytest.warns(UserWarning, match="Duplicate name"):
        more.writestr("0000.jpg", picture(9))
    library, report = read(home, archive)
    assert library.image(library.records()[0].id) == picture(0)
    assert [line.partition(",")[0] for _, line in report.skipped] == ["3 archives inside the archive"]
    assert [line.partition(",")[0] for _, line in report.unreadable] == ["1 name that is there twice"]


def test_encrypted_files_are_named(home: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", samples(2))
    data = bytearray(archive.read_bytes())
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(sign)
        data[at + flags] |= 1
    archive.write_bytes(data)
    library, report = read(home, archive)
    assert len(library) == 1
    assert report.unreadable[0][1] == (
        "1 encrypted file, the first '0000.jpg': unpack it with its password, and add the folder"
    )


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_truncated_archive_never_drops_pictures(home: Path, tmp_path: Path, kind: str, keep: float) -> None:
    path = tmp_path / f"a.{kind}"
    members = samples(40)
    made = zipped(path, members) if kind == "zip" else tarred(path, members, mode="w:gz" if "gz" in kind else "w")
    library, _ = read(home, made)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    if kind == "zip":  # its directory is at the end
        with pytest.raises(BadInput, match="damaged or cut short"):
            add(library, [path])
    elif keep == 0.999:  # behind the end mark
        assert counts(add(library, [path])) == {"known": 40}
    elif kind == "tar.gz" and keep == 0.2:  # before the first picture
        with pytest.raises(BadInput, match="no tar archive, or damaged"):
            add(library, [path])
    else:
        report = add(library, [path])
        assert "cut short" in report.unreadable[0][1]
    assert len(library) == 40
    assert all(library.image(record.id) for record in library.records())


def test_one_that_is_no_archive_is_refused_before_a_library_is_made(home: Path, tmp_path: Path) -> None:
    tests = {"a.7z": b"7z\xbc\xaf", "a.jpg": picture(1), "a.zip": b"", "b.tar.gz": b"\x1f\x8bnonsense"}
    for name, data in tests.items():
        with pytest.raises(BadInput):
            read(home, laid(tmp_path, {name: data}) / name)
    for name in ("https://example.org/a.zip", "http:/example.org/a.zip"):
        with pytest.raises(BadInput, match="an address, and limner fetches no pictures"):
            index(home, "birds", [name], ENCODERS)
    with pytest.raises(LibraryMissing, match="No folder or file"):
        read(home, tmp_path / "gone.zip")
    assert not (home / "libraries" / "birds").exists()


def test_damaged_members_stop_nothing(home: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", samples(2) | {"9.jpg": bytes(range(256)) * 20})
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        at = opened.getinfo("9.jpg").header_offset + 30 + 5 + 40
    archive.write_bytes(data[:at] + bytes(60) + data[at + 60 :])
    library, report = read(home, archive)
    assert len(library) == 2
    assert report.unreadable[0][1].startswith("1 damaged file, the first '9.jpg'")


def test_a_header_that_claims_much_takes_no_memory(home: Path, tmp_path: Path) -> None:
    """A pax header of 8 GB in a tar: tarfile would read it whole."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 7_000_000_000
    bomb = tmp_path / "a.tar.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(1100):
            file.write(bytes(1_000_000))
    with pytest.raises(BadInput):
        read(home, bomb)


def test_a_reader_that_dies_harms_nobody(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, _ = read(home, laid(tmp_path / "photos", samples(2)))
    monkeypatch.setattr(unpacked, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(BadInput, match="ends the program that reads it"):
        add(library, [zipped(tmp_path / "a.zip", samples(1))])
    assert len(library) == 2
    assert not (library.path / "unpacked").exists() or os.listdir(library.path / "unpacked") == []


# --- disks -----------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_is_one_line_and_the_same_command_goes_on(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, folder = zipped(tmp_path / "a.zip", samples(5)), tmp_path / "to"
    replace, count = os.replace, 0

    def full(*args: Any) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(*args)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(LibraryError, match=r"The disk is full while the pictures of a\.zip are copied"):
        list(zips.unpack(str(archive), Target(str(folder), str(archive))))
    assert sorted(os.listdir(folder)) == ["0000.jpg", "0000.json", "0001.jpg", "0001.json"]  # and no half file
    monkeypatch.undo()
    to = Target(str(folder), str(archive))
    list(zips.unpack(str(archive), to))
    assert to.finish() == ([], [], [])
    assert len(os.listdir(folder)) == 10


def test_little_room_is_noticed_before(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", samples(5))
    (line,) = costs(home / "libraries" / "birds", [archive, tmp_path])
    assert line.startswith("The pictures of a.zip are copied into the library, about 0.1 MB of ")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, 100))
    with pytest.raises(BadInput, match="free some room first"):
        list(costs(home / "libraries" / "birds", [archive]))
    with pytest.raises(LibraryError, match="The disk is full"):
        Target(str(tmp_path / "to"), str(archive)).look()


def test_a_copied_archive_costs_nothing_more(home: Path, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", samples(2))
    library, _ = read(home, archive)
    assert list(costs(library.path, [archive])) == []
    assert unpacked.is_current(library.path, Located(archive, "zip"))
    assert counts(resync(library)[0]) == {"known": 2}


def test_a_sparse_file_is_not_blown_up(home: Path, tmp_path: Path) -> None:
    """An old GNU sparse member: 100 GB from one block."""
    info = tarfile.TarInfo("sparse.bmp")
    info.size, info.type = 512, tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % 7_000_000_000
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, data in samples(1).items():
            one = tarfile.TarInfo(name)
            one.size = len(data)
            archive.addfile(one, io.BytesIO(data))
    path = laid(tmp_path, {"a.tar": bytes(header) + bytes(512) + plain.getvalue()}) / "a.tar"
    library, report = read(home, path)
    assert len(library) == 1
    assert [line.partition(",")[0] for _, line in report.unreadable] == ["1 link or device"]
