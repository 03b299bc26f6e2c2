"""`limner library export`: the same pictures and words come back, and no file is half-written."""

from __future__ import annotations

import csv
import errno
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packed import laid, picture, samples

from limner.errors import BadInput, LibraryEmpty
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, export, index, suggesting
from limner.tools.library.exporting import FORMATS, placed
from limner.tools.library.folder import scan
from limner.tools.library.machine import Suggestion

ENCODERS = Encoders(MiniLM(threads=1), Words())


def told(library: Library) -> dict[str, tuple[Any, ...]]:
    """All that a library says about its pictures."""
    return {
        r.id: (r.caption, r.alt, r.credit, r.licence, r.details, r.facts, r.described, r.machine_made, r.bare)
        for r in library.records()
    }


@pytest.fixture
def library(home: Path, tmp_path: Path) -> Library:
    """Pictures with words of folders, of people and of a model, and some without."""
    facts = {"keywords": ["a", "b, c"], "city": "Lisbon", "date": "2020-05", "rating": 4, "embargo": "2099-01-01"}
    one = samples(3) | {
        "0000.json": json.dumps({"caption": "A heron", "headline": "Birds", **facts}).encode(),
        "DSC_1.jpg": picture(20),
        "DSC_2.jpg": picture(21),
        "red_kite.jpg": picture(22),
        "crane.jpg": picture(23),
    }
    two = {"DSC_1.jpg": picture(30), "dsc_2.JPG": picture(31), "crane-768x480.jpg": picture(32)}
    made, _ = index(home, "birds", [laid(tmp_path / "one", one), laid(tmp_path / "two", two)], ENCODERS)
    ids = {os.path.basename(r.path): r.id for r in made.records()}
    made.write({ids["0001.jpg"]: {"caption": "Mine", "credit": ""}, ids["dsc_2.JPG"]: {"alt": "Two birds"}})
    words = Suggestion("A red kite in the wind", "A bird of prey", "en", "seer-1", 1.5e9)
    suggesting.suggest(made, {ids["red_kite.jpg"]: words, ids["0002.jpg"]: words})
    made.freshen()
    return made


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_words_and_bytes_come_back(library: Library, home: Path, tmp_path: Path, form: str) -> None:
    done = export(library, tmp_path / "out", form)
    assert (done.pictures, done.marked, done.missing) == (10, 2, [])
    sources = [*(tmp_path / "out").glob("*.tar")] if form == "webdataset" else [tmp_path / "out"]
    again, report = index(home, "again", sources, ENCODERS)
    assert report.problems == report.skipped == report.unreadable == []
    wanted = told(library)
    if form == "csv":  # a list is one cell, so a keyword with a comma becomes two
        first = next(i for i, row in wanted.items() if row[0] == "A heron")
        wanted[first][5]["tag"] = ["a", "b", "c"]
    assert told(again) == wanted
    made = suggesting.suggested(again)
    assert {s.model for s in made.values()} == {"seer-1"}
    assert {s.made for s in made.values()} == {1.5e9}
    for record in library.records():
        assert again.image(record.id) == library.image(record.id)
    with again.vectors() as store:
        assert store.ids() == set(wanted)


TEXT = st.text(max_size=30) | st.sampled_from(["=1+1", '"', "a;b", "-", "none", "\u202e", "0", "x" * 2100])
ROWS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("caption", "alt", "credit", "licence", "headline", "city", "event", "date"), TEXT),
        **dict.fromkeys(("keywords", "persons"), st.lists(TEXT, max_size=3)),
        **dict.fromkeys(
            ("embargo", "expires"), st.sampled_from(["2020", "2099-01-02T10:00:00+02:00", "after", "never"])
        ),
        "rating": st.integers(-2, 6),
    },
)
NAMES = st.sampled_from(["a.jpg", "A.jpg", "sub/a.jpg", "a-768x480.jpg", "sub/a-scaled.jpg", "DSC_1.JPG", "é.jpg"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, ROWS, min_size=1, max_size=4), st.sampled_from(["imagefolder", "webdataset"]))
def test_any_words_come_back(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Any], form: str) -> None:
    tmp = tmp_path_factory.mktemp("any")
    members = {name: picture(n) for n, name in enumerate(rows)}
    members |= {f"{name}.json": json.dumps(row).encode() for name, row in rows.items()}
    library, _ = index(tmp / "home", "a", [laid(tmp / "in", members)], ENCODERS)
    export(library, tmp / "out", form)
    sources = [*(tmp / "out").glob("*.tar")] if form == "webdataset" else [tmp / "out"]
    again, _ = index(tmp / "home", "b", sources, ENCODERS)
    assert told(again) == told(library)


@given(st.lists(st.sampled_from(["a.jpg", "A.jpg", "a.png", "a-768x480.jpg", "a-768x480-scaled.jpg", "b.jpg"])))
def test_no_place_is_taken_twice_or_looks_like_a_copy(names: list[str]) -> None:
    made = placed(names)
    assert [path.rpartition("/")[2] for path in made] == names
    assert len({path.casefold() for path in made}) == len(made)


def test_files_under_their_places_are_all_scanned(tmp_path: Path) -> None:
    names = ["a-768x480.jpg", "a.jpg", "a-768x480-scaled.jpg", "a-scaled.jpg", "a.jpg", "b.jpg"]
    laid(tmp_path, {path: picture(n) for n, path in enumerate(placed(names))})
    assert len(scan(tmp_path).files) == 6


def test_the_formats_are_those_of_others(library: Library, tmp_path: Path) -> None:
    export(library, tmp_path / "hf")
    rows = [json.loads(line) for line in (tmp_path / "hf" / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert all((tmp_path / "hf" / row["file_name"]).is_file() for row in rows)
    kite = next(row for row in rows if row["file_name"] == "red_kite.jpg")
    assert (kite["caption"], kite["machine_made"]) == ("A red kite in the wind", ["caption", "alt"])
    export(library, tmp_path / "csv", "csv")
    with (tmp_path / "csv" / "metadata.csv").open(newline="", encoding="utf-8") as file:
        assert {row["file_name"] for row in csv.DictReader(file)} == {row["file_name"] for row in rows}
    export(library, tmp_path / "shards", "webdataset")
    with tarfile.open(tmp_path / "shards" / "birds-000000.tar") as shard:
        names = shard.getnames()
    assert [name.partition(".")[2].lower() for name in names] == ["jpg", "json"] * 10
    assert all(a.partition(".")[0] == b.partition(".")[0] for a, b in zip(names[::2], names[1::2], strict=True))


def test_words_that_people_change_in_the_table_count(library: Library, home: Path, tmp_path: Path) -> None:
    export(library, tmp_path / "out")
    table = tmp_path / "out" / "metadata.jsonl"
    table.write_text(
        table.read_text("utf-8").replace('"A heron"', '"A grey heron"').replace('"Lisbon"', '"Porto"'), "utf-8"
    )
    again, _ = index(home, "again", [tmp_path / "out"], ENCODERS)
    (heron,) = (r for r in again.records() if r.caption == "A grey heron")
    assert heron.facts["city"] == ["Porto"]


@pytest.mark.parametrize(
    "mark", [3, "x", {"version": 2}, {"version": 1, "machine_made": {"a": 1}, "made": "x", "name": 3}]
)
def test_a_strange_mark_harms_nothing(home: Path, tmp_path: Path, mark: Any) -> None:
    row = {"file_name": "a.jpg", "caption": "A heron", "limner": mark}
    library, _ = index(
        home, "birds", [laid(tmp_path, {"a.jpg": picture(1), "metadata.jsonl": json.dumps(row).encode()})], ENCODERS
    )
    assert [r.caption for r in library.records()] == ["A heron"]


# --- folders ---------------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_only_a_new_an_empty_or_an_own_folder(library: Library, tmp_path: Path) -> None:
    full = laid(tmp_path / "full", {"notes.txt": b"mine"})
    with pytest.raises(BadInput, match="not empty and not of an export"):
        export(library, full)
    with pytest.raises(BadInput, match="is a file: name a folder"):
        export(library, full / "notes.txt")
    with pytest.raises(BadInput, match="choose imagefolder, csv, webdataset"):
        export(library, tmp_path / "out", "zip")
    assert contents(full) == {"notes.txt": b"mine"}
    (tmp_path / "empty").mkdir()
    export(library, tmp_path / "empty")
    laid(tmp_path / "empty", {"notes.txt": b"mine"})
    before = contents(tmp_path / "empty")
    export(library, tmp_path / "empty")
    assert contents(tmp_path / "empty") == before
    laid(tmp_path / "empty", {"metadata.csv": b"mine"})
    with pytest.raises(BadInput, match=r"metadata\.csv is not of an export: move it away first"):
        export(library, tmp_path / "empty", "csv")
    assert contents(tmp_path / "empty") == {**before, "metadata.csv": b"mine"}


def test_a_second_export_takes_away_what_is_gone(library: Library, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(library, out)
    laid(out, {"2/notes.txt": b"mine"})
    (tmp_path / "one" / "DSC_1.jpg").unlink()
    done = export(library, out)
    assert done.pictures == 9
    assert "is gone or has changed" in done.missing[0]
    export(library, out, "webdataset")
    assert sorted(contents(out)) == [".limner-export.json", "2/notes.txt", "birds-000000.tar"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_leaves_no_half_file_and_no_table(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Each write fails in turn, and the same command then ends the work."""
    out, replace, count, fail = tmp_path / "out", Path.replace, 0, 0

    def full(self: Path, target: Any) -> Path:
        nonlocal count
        count += 1
        if count == fail:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(self, target)

    export(library, tmp_path / "whole", form)
    whole = contents(tmp_path / "whole")
    monkeypatch.setattr(Path, "replace", full)
    for fail in (1, 2, 5):
        count = 0
        if form == "webdataset" and fail == 5:
            break
        with pytest.raises(BadInput, match=r"cannot be written \(No space left on device\)"):
            export(library, out, form)
        there = {name: data for name, data in contents(out).items() if name != ".limner-export.json"}
        assert all(whole[name] == data for name, data in there.items())
        assert not {"metadata.jsonl", "metadata.csv"} & set(there)
    fail = 0
    export(library, out, form)
    assert contents(out) == whole


def test_a_library_without_pictures(home: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryEmpty):
        export(Library.create(home, "empty", ENCODERS), tmp_path / "out")
    assert not (tmp_path / "out").exists()
