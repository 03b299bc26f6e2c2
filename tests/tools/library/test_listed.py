"""Tables as sources: the files that their rows name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packed import counts, laid, picture

from limner.errors import LibraryError
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, add, index, resync
from limner.tools.library.listed import Listed

ENCODERS = Encoders(MiniLM(threads=1), Words())
ROWS = [
    {"file_name": "a.jpg", "caption": "A heron at dawn", "credit": "Ada", "licence": "CC0", "keywords": "bird"},
    {"file_name": "sub/b.jpg", "caption": "A boat"},
]


def table(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    """A table in the format of its suffix."""
    if name.endswith(".jsonl"):
        text = "\n".join(map(json.dumps, rows))
    else:
        sign = "\t" if name.endswith(".tsv") else ","
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
        text = "\n".join(sign.join(line) for line in lines)
    return laid(folder, {name: text.encode()}) / name


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return laid(tmp_path / "photos", {"a.jpg": picture(1), "sub/b.jpg": picture(2), "c.jpg": picture(3)})


@pytest.mark.parametrize("name", ["chosen.csv", "chosen.tsv", "chosen.jsonl"])
def test_the_files_of_its_rows_and_no_others(home: Path, photos: Path, name: str) -> None:
    laid(photos, {"sub/b.txt": b"A boat, said beside it"})
    library, report = index(home, "birds", [table(photos, name, ROWS)], ENCODERS)
    assert counts(report) == {"added": 2}
    heron, boat = library.records()
    assert (heron.caption, heron.credit, heron.licence, heron.facts["tag"]) == (
        "A heron at dawn",
        "Ada",
        "CC0",
        ["bird"],
    )
    assert boat.caption == "A boat, said beside it"  # by the rules of folders


def test_rows_that_come_and_go(home: Path, photos: Path) -> None:
    chosen = table(photos, "chosen.csv", ROWS)
    library, _ = index(home, "birds", [chosen], ENCODERS)
    table(photos, "chosen.csv", [{"file_name": "c.jpg", "caption": "A crane"}, ROWS[0]])
    assert counts(add(library, [chosen])) == {"added": 1, "known": 1, "vanished": 1}
    assert {r.caption for r in library.records()} == {"A heron at dawn", "A crane"}


def test_a_row_that_goes_leaves_the_picture_of_a_folder(home: Path, photos: Path) -> None:
    chosen = table(photos, "chosen.csv", ROWS)
    library, _ = index(home, "birds", [chosen, photos], ENCODERS)
    assert len(library) == 3
    table(photos, "chosen.csv", ROWS[:1])
    assert counts(add(library, [chosen])) == {"known": 1}
    assert len(library) == 3
    (photos / "c.jpg").unlink()
    assert counts(resync(library)[0]) == {"known": 1, "changed": 1, "vanished": 1}  # the boat has lost its row


def test_addresses_are_not_fetched_and_nothing_is_read_elsewhere(home: Path, photos: Path, tmp_path: Path) -> None:
    secret = laid(tmp_path / "secret", {"s.jpg": picture(9)}) / "s.jpg"
    os.symlink(secret, photos / "link.jpg")
    names = [
        "https://a.org/a.jpg",
        "data:image/png;base64,AA",
        "../secret/s.jpg",
        str(secret),
        "link.jpg",
        "no.jpg",
    ]
    rows = [ROWS[0], *({"file_name": name, "caption": "x"} for name in names)]
    library, report = index(home, "birds", [table(photos, "chosen.jsonl", rows)], ENCODERS)
    assert [os.path.basename(r.path) for r in library.records()] == ["a.jpg"]
    assert [reason for _, reason in report.problems] == [
        "2 rows name an address, and limner fetches nothing, the first 'https://a.org/a.jpg': download the pictures",
        "3 rows name files outside the table's folder, the first '../secret/s.jpg': add their folder instead",
        "1 row matches no image, the first 'no.jpg': correct the file names, or add the images",
    ]


def test_an_absolute_name_within_the_folder_counts(home: Path, photos: Path) -> None:
    rows = [{"file_name": str(photos / "a.jpg"), "caption": "A heron"}]
    library, _ = index(home, "birds", [table(photos, "chosen.jsonl", rows)], ENCODERS)
    assert [r.caption for r in library.records()] == ["A heron"]


def test_a_table_that_is_away_drops_nothing(home: Path, photos: Path) -> None:
    chosen = table(photos, "chosen.csv", ROWS)
    library, _ = index(home, "birds", [chosen], ENCODERS)
    chosen.rename(photos / "other.csv")
    with pytest.raises(LibraryError, match="has 2 pictures of it: nothing is changed"):
        resync(library)
    assert counts(resync(library, drop=[str(chosen)])[0]) == {"vanished": 2}


def test_a_row_names_no_file_that_a_folder_leaves_out(home: Path, photos: Path) -> None:
    laid(
        photos, {".private/x.jpg": picture(4), "#recycle/y.jpg": picture(5), "z.dat": picture(6), ".w.jpg": picture(7)}
    )
    os.symlink(photos / ".private", photos / "open")
    names = [".private/x.jpg", "#recycle/y.jpg", "z.dat", ".w.jpg", "open/x.jpg", "sub/../.private/x.jpg"]
    rows = [ROWS[0], *({"file_name": name, "caption": "x"} for name in names)]
    library, report = index(home, "birds", [table(photos, "chosen.jsonl", rows)], ENCODERS)
    assert [os.path.basename(r.path) for r in library.records()] == ["a.jpg"]
    (reason,) = (reason for _, reason in report.problems)
    assert reason.startswith("6 rows name no picture, or a hidden file or cache, the first '.private/x.jpg': ")


def test_nothing_outside_the_folder_is_looked_at(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows a look at a share asks the host that a row names."""
    looked: list[str] = []

    def noted(kept: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path, *rest, **more: (looked.append(os.fspath(path)), kept(path, *rest, **more))[1]

    rows = [{"file_name": name} for name in ("//host/share/x.jpg", "/elsewhere/x.jpg", "..\\x.jpg", "a.jpg")]
    listed = Listed(tmp_path / "library", table(photos, "chosen.jsonl", rows))
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, noted(getattr(os, name)))
    monkeypatch.setattr(os.path, "lexists", noted(os.path.lexists))
    assert list(listed.scan(keep=False).files) == [str(photos / "a.jpg")]
    # The folder's own parents are looked at to follow links.
    assert [path for path in looked if "host" in path or "elsewhere" in path] == []


def test_a_dry_run_keeps_no_names(home: Path, photos: Path) -> None:
    chosen = table(photos, "chosen.csv", ROWS)
    library, _ = index(home, "birds", [chosen], ENCODERS)
    (kept,) = (library.path / "unpacked").iterdir()
    before = kept.read_bytes()
    table(photos, "chosen.csv", [*ROWS, {"file_name": "c.jpg"}])
    assert counts(resync(library, dry_run=True)[0]) == {"added": 1, "known": 2}
    assert kept.read_bytes() == before


@pytest.mark.parametrize("what", ["stat", "listdir"])
def test_a_folder_that_cannot_be_read_drops_nothing(
    home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    chosen = table(photos, "chosen.csv", ROWS)
    library, _ = index(home, "birds", [chosen], ENCODERS)
    kept = getattr(os, what)

    def refused(path: Any, *rest: Any, **more: Any) -> Any:
        if str(path) == str(photos / "sub" / "b.jpg") or (what == "listdir" and str(path) == str(photos / "sub")):
            raise PermissionError(13, "Permission denied", str(path))
        return kept(path, *rest, **more)

    monkeypatch.setattr(os, what, refused)
    report, _ = resync(library)
    assert report.vanished == 0
    assert "Permission denied" in [*report.unreadable, *report.problems][0][1]
    monkeypatch.undo()
    assert counts(resync(library)[0]) == {"known": 2}


def test_a_library_that_cannot_be_written_is_one_line(
    home: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library: Library = index(home, "birds", [photos], ENCODERS)[0]
    replace = Path.replace

    def full(self: Path, to: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(28, "No space left on device")
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LibraryError, match=r"cannot be written .No space left on device.: check disk and rights"):
        add(library, [table(photos, "chosen.csv", ROWS)])
    assert len(library) == 3
