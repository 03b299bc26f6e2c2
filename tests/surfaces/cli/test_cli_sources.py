"""`limner library add` of archives, and `limner library sync`, from a shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from packed import laid, picture, samples, zipped

from limner.surfaces.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["limner", "library", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, " ".join(err.split())


def test_add_and_sync(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, archive = laid(tmp_path / "photos", samples(3)), zipped(tmp_path / "a.zip", samples(2, 10))
    code, out, err = run(capsys, "add", "birds", photos, archive)
    assert (code, out.splitlines()[0]) == (0, "5 added")
    assert "The pictures of a.zip are copied into the library, about 0.1 MB of" in err
    laid(photos, {"new.jpg": picture(77)})
    (photos / "0000.jpg").unlink()
    assert run(capsys, "sync", "birds", "--dry-run")[1].splitlines() == [
        "birds would be: 1 added, 4 known, 1 vanished (5 images now)"
    ]
    code, out, err = run(capsys, "sync", "birds")
    assert (code, out.splitlines()) == (0, ["birds: 1 added, 4 known, 1 vanished (5 images)"])
    assert "copied" not in err
    photos.rename(tmp_path / "elsewhere")
    code, out, err = run(capsys, "sync", "birds")
    assert (code, out) == (2, "")
    assert "is not there, and birds has 3 pictures of it: nothing is changed." in err
    code, out, _ = run(capsys, "sync", "birds", "--drop-missing", photos)
    assert out.splitlines() == ["birds: 2 known, 3 vanished (2 images)"]
    assert run(capsys, "sync", "cranes")[0] == 2


def test_a_broken_archive_is_told_at_the_end(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, archive = laid(tmp_path / "photos", samples(3)), zipped(tmp_path / "a.zip", samples(2, 10))
    run(capsys, "add", "birds", photos, archive)
    archive.write_bytes(archive.read_bytes()[:300])
    laid(photos, {"new.jpg": picture(77)})
    code, out, err = run(capsys, "sync", "birds")
    assert (code, out.splitlines()) == (2, ["birds: 1 added, 3 known (6 images)"])
    assert f"A source of birds could not be read, and its pictures stay as they were: {archive}: " in err


def test_export(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "add", "birds", laid(tmp_path / "photos", samples(3)))
    code, out, _ = run(capsys, "export", "birds", tmp_path / "out")
    assert (code, out.splitlines()) == (0, [f"{tmp_path / 'out'}: 3 pictures of birds, 0.0 MB"])
    assert run(capsys, "add", "again", tmp_path / "out")[1].splitlines()[0] == "3 added"
    (tmp_path / "photos" / "0000.jpg").unlink()
    assert "left out: " in run(capsys, "export", "birds", tmp_path / "out")[1]
    code, out, err = run(capsys, "export", "birds", tmp_path / "photos")
    assert (code, out) == (2, "")
    assert "is not empty and not of an export: name a new or empty folder." in err
