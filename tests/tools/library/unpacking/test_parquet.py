"""Parquet files as sources, as Hugging Face's datasets write them."""

from __future__ import annotations

import builtins
import os
import random
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from packed import counts, picture
from pyarrow import parquet

from limner.errors import BadInput, NotInstalled
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import add, index
from limner.tools.library.unpacking import parquet as module
from limner.tools.library.unpacking.target import Target

ENCODERS = Encoders(MiniLM(threads=1), Words())


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    parquet.write_table(arrow.Table.from_pylist(rows), path, row_group_size=7)
    return path


def test_a_dataset_of_the_hub(home: Path, tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": picture(n), "path": f"{n}.jpg"}, "text": f"Heron number{n}", "license": "CC0", "label": n}
        for n in range(40)
    ]
    file = written(tmp_path / "train.parquet", rows)
    library, report = index(home, "birds", [file], ENCODERS)
    assert counts(report) == {"added": 40}
    assert {r.caption for r in library.records()} == {f"Heron number{n}" for n in range(40)}
    assert {r.licence for r in library.records()} == {"CC0"}
    assert {library.image(r.id) for r in library.records()} == {picture(n) for n in range(40)}
    assert counts(add(library, [file])) == {"known": 40}
    written(file, [*rows[:10], {**rows[10], "text": "Other"}, *rows[11:30]])
    assert counts(add(library, [file])) == {"known": 29, "changed": 1, "vanished": 10}


def test_bytes_without_names_and_lists_of_captions(home: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"jpg": picture(1), "txt": "A heron"}, {"jpg": picture(2), "txt": None}]
    library, _ = index(home, "birds", [written(tmp_path / "a.parquet", rows)], ENCODERS)
    assert sorted((r.caption, r.described, r.bare) for r in library.records()) == [
        ("A heron", True, False),
        ("image 0000001", False, True),  # a number is no caption
    ]
    rows = [{"photo": picture(3), "caption": ["A boat", "A red boat"], "thumb": b"x"}]
    library, _ = index(home, "boats", [written(tmp_path / "b.parquet", rows)], ENCODERS)
    assert [r.caption for r in library.records()] == ["A boat, A red boat"]


def test_one_name_for_two_pictures_and_names_that_lead_out(home: Path, tmp_path: Path) -> None:
    names = ["same.jpg", "same.jpg", "../../evil.jpg", "/etc/x.jpg", "https://example.org/a.jpg", None, ".hidden.jpg"]
    rows = [{"image": {"bytes": picture(n), "path": name}} for n, name in enumerate(names)]
    library, report = index(home, "birds", [written(tmp_path / "a.parquet", rows)], ENCODERS)
    assert counts(report) == {"added": 7}
    assert all(Path(r.path).is_relative_to(library.path / "unpacked") for r in library.records())
    assert sum(os.path.basename(r.path) == "same.jpg" for r in library.records()) == 2


def test_pictures_that_are_elsewhere_are_counted(home: Path, tmp_path: Path) -> None:
    rows = [{"image": {"bytes": picture(n) if n < 2 else None, "path": f"{n}.jpg"}} for n in range(5)]
    _, report = index(home, "birds", [written(tmp_path / "a.parquet", rows)], ENCODERS)
    assert [reason for _, reason in report.unreadable] == [
        "3 rows whose picture is not in the file, the first '2.jpg': download the pictures, and add their folder"
    ]


def test_without_a_column_of_pictures_its_columns_are_named(home: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", [{"url": "https://example.org/a.jpg", "caption": "A heron"}])
    with pytest.raises(BadInput, match=r"no column of pictures \(columns: 'url', 'caption'\)"):
        index(home, "birds", [file], ENCODERS)
    assert not (home / "libraries" / "birds").exists()


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_a_damaged_one_is_one_line(home: Path, tmp_path: Path, keep: float) -> None:
    file = written(tmp_path / "a.parquet", [{"image": picture(n)} for n in range(20)])
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(BadInput, match="damaged or cut short"):
        index(home, "birds", [file], ENCODERS)
    middle = len(data) // 2  # a page in the middle, with a sound footer
    file.write_bytes(data[: middle - 400] + random.Random(1).randbytes(800) + data[middle + 400 :])
    with pytest.raises(BadInput, match=r"damaged or cut short|ends the program that reads it"):
        index(home, "birds", [file], ENCODERS)


def test_without_pyarrow_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a.parquet", [{"image": picture(1)}])
    real = builtins.__import__

    def lacking(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(NotInstalled, match=r"a\.parquet needs `pip install 'limner\[parquet\]'`"):
        list(module.unpack(str(file), Target(str(tmp_path / "to"), str(file))))
