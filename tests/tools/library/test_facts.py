"""Facts of a library's images: kept, shown, filtered by, on a disk and on a server; embargo and expiry."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest
from archive import make_archive, picture, with_iptc

from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.images import facts as images_facts
from limner.tools.library import Connect, Library, add, index
from limner.tools.library import facts as kept
from limner.tools.library.bundled import bundled_library
from limner.tools.library.filters import ALL, Filters
from limner.tools.library.resync import resync
from limner.tools.library.sources import Folders
from limner.tools.retrieve import remarks

ENCODERS = Encoders(MiniLM(threads=1), Words())
EVERYTHING = {"river", "tractor", "orchard", "barn", "mill"}
QUERY = "the harvest"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_archive(tmp_path / "archive")


@pytest.fixture
def library(connect: Connect | None, home: Path, folder: Path) -> Library:
    return index(home, "archive", [folder], ENCODERS, connect=connect)[0]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The time by which embargo and expiry are judged: 1 June 2026, 12:00."""
    moment = datetime(2026, 6, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(kept, "now", lambda: moment)
    monkeypatch.setattr(images_facts, "now", lambda: moment)
    return moment


def named(library: Library, ids: list[str]) -> set[str]:
    return {PurePath(library.record(i).path).stem for i in ids}


def found(library: Library, *only: str, k: int = 20) -> set[str]:
    """What a search finds; the page of the library agrees with it."""
    got = named(library, [c.image_id for c in library.search([QUERY], k, Filters.read(only))[0]])
    records, total = library.page(only=Filters.read(only), limit=-1)
    if not library.left_out(Filters.read(only)).held_back:
        assert {PurePath(r.path).stem for r in records} == got
        assert total == len(got)
    return got


def test_facts_are_read_from_every_program(library: Library) -> None:
    about = {PurePath(r.path).stem: r for r in library.records()}
    assert about["river"].facts == {
        "tag": ["harvest", "wheat"], "person": ["Lovelace, Ada", "Grace Hopper"], "city": ["Lisbon"],
        "country": ["Portugal"], "event": ["Harvest festival"], "date": ["2019-08-14"], "rating": ["5"],
    }  # fmt: skip
    assert about["tractor"].facts == {
        "tag": ["Harvest", "machines"], "city": ["Porto"], "country": ["Portugal"], "date": ["2023-05-01"],
    }  # fmt: skip
    assert about["orchard"].facts == {"date": ["2021-04-30"], "rating": ["3"]}
    assert about["barn"].facts == {"tag": ["places|Norway", "buildings"], "person": ["Ada Byron"], "date": ["2020"]}
    assert about["mill"].facts == {
        "tag": ["wheat", "buildings"], "person": ["Karl Marx"], "city": ["Oslo"], "rating": ["2"],
    }  # fmt: skip
    assert {r.added for r in about.values()} == {images_facts.today().isoformat()}


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("licence=CC BY*", {"river", "tractor", "barn"}),
        ("licence=CC BY 4.0", {"river", "barn"}),
        ("licence=CC BY", {"river", "barn"}),
        ("state=Oslo", set()),
        ("licence!=CC BY*", {"orchard", "mill"}),
        ("licence=", {"orchard"}),
        ("credit=Agency*", {"tractor"}),
        ("tag=harvest", {"river", "tractor"}),
        ("tag=norway|machines", {"barn", "tractor"}),
        ("tag!=", {"river", "tractor", "barn", "mill"}),
        ("person=*Ada*", {"river", "barn"}),
        ("person=Grace Hopper", {"river"}),
        ("place=Portugal", {"river", "tractor"}),
        ("city=Oslo", {"mill"}),
        ("country=portugal", {"river", "tractor"}),
        ("event=harvest*", {"river"}),
        ("folder=2023", {"tractor", "orchard"}),
        ("folder=2023/spring", {"orchard"}),
        ("folder=archive", EVERYTHING),
        ("folder!=north", {"river", "tractor", "orchard"}),
        ("date>=2021", {"tractor", "orchard"}),
        ("date=2021-04", {"orchard"}),
        ("date<2020-06", {"river", "barn"}),
        ("added>=2026", EVERYTHING),
        ("added<2026", set()),
        ("orientation=landscape", {"river", "tractor", "mill"}),
        ("orientation=portrait", {"orchard"}),
        ("orientation=square", {"barn"}),
        ("width>=400", {"river", "mill"}),
        ("height<=200", {"river", "tractor"}),
        ("size>=1600", {"mill"}),
        ("rating>=3", {"river", "orchard"}),
        ("rating<3", {"mill"}),
        ("embargo>=2000", set()),
    ],
)
def test_a_filter(library: Library, only: str, names: set[str]) -> None:
    assert found(library, only) == names


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (("tag=harvest", "date>=2020"), {"tractor"}),
        (("licence=CC BY*", "orientation=landscape"), {"river", "tractor"}),
        (("tag=harvest", "tag=wheat"), {"river"}),
        (("tag=wheat", "country=Norway"), set()),
        (("folder=2023", "width>=100", "rating>=1"), {"orchard"}),
    ],
)
def test_filters_together_must_all_hold(library: Library, only: tuple[str, ...], names: set[str]) -> None:
    assert found(library, *only) == names


def test_a_filter_restricts_the_search_and_leaves_the_scores(library: Library) -> None:
    every = {c.image_id: c for c in library.search([QUERY], 10)[0]}
    for only in (["tag=harvest"], ["licence!=CC0"], ["size>=1600"]):
        some = library.search([QUERY], 10, Filters.read(only))[0]
        assert some
        for candidate in some:
            assert candidate.scores == pytest.approx(every[candidate.image_id].scores, abs=1e-5)
            assert candidate.fits == pytest.approx(every[candidate.image_id].fits, abs=1e-4)
    [last] = library.search([QUERY], 1, Filters.read(["tag=norway"]))[0]  # though others fit better
    assert named(library, [last.image_id]) == {"barn"}


def test_what_is_written_in_the_library_counts(library: Library) -> None:
    orchard = next(r for r in library.records() if "orchard" in r.path)
    library.write({orchard.id: {"licence": "CC BY 2.0", "credit": "Ana"}})
    assert found(library, "licence=CC BY 2*") == {"orchard"}
    assert found(library, "credit=ana") == {"orchard"}
    library.write({orchard.id: {"licence": None}})
    assert found(library, "licence=CC BY 2*") == set()


def test_images_of_earlier_articles_are_left_out(library: Library) -> None:
    ids = {PurePath(r.path).stem: r.id for r in library.records()}
    used = {ids["river"], ids["mill"], "f" * 32}
    got = library.search([QUERY], 10, ALL, used)[0]
    assert named(library, [c.image_id for c in got]) == EVERYTHING - {"river", "mill"}
    got = library.search([QUERY], 10, Filters.read(["tag=wheat"]), used)[0]
    assert got == []
    assert library.page(limit=-1, used=used)[1] == 3
    assert remarks([library], Filters.read(["unused=3"]), None) == [
        "unused=3 had no effect: there is no record of earlier articles here."
    ]


# --- changes ---------------------------------------------------------------------------------------------------------


def test_changed_moved_and_vanished_files(library: Library, folder: Path) -> None:
    barn = folder / "north" / "barn.json"
    barn.write_text(json.dumps({"caption": "A barn after the harvest", "keywords": "snow", "rating": 4}))
    (folder / "2023" / "tractor.jpg").rename(folder / "2019" / "tractor.jpg")
    (folder / "north" / "mill.png").unlink()
    added = {r.id: r.added for r in library.records()}
    report = add(library, [folder])
    assert (report.changed, report.renamed, report.vanished) == (1, 1, 1)
    assert found(library, "tag=snow") == {"barn"}
    assert found(library, "tag=norway") == set()
    assert found(library, "folder=2019") == {"river", "tractor"}
    assert {r.id: r.added for r in library.records()}.items() <= added.items()
    with library.transaction() as records:
        left = {image for (image,) in records.execute("SELECT DISTINCT image FROM fact")}
    assert left == {r.id for r in library.records()}


def test_facts_alone_change_without_another_encoding(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = folder / "north" / "metadata.csv"
    table.write_text(table.read_text().replace('"2"', '"5"'))
    monkeypatch.setattr(Library, "put", lambda _self, records, _pictures: pytest.fail("encoded") if records else None)
    assert add(library, [folder]).changed == 1
    assert found(library, "rating=5") == {"river", "mill"}


def older(library: Library) -> None:
    """Make the records those of a limner that kept no facts."""
    with closing(sqlite3.connect(library.path / "records.sqlite")) as records, records:
        records.execute("DROP TABLE fact")
        for image, embedded in records.execute("SELECT id, embedded FROM image").fetchall():
            said = json.loads(embedded)
            del said["facts"]
            records.execute("UPDATE image SET embedded = ? WHERE id = ?", (json.dumps(said), image))


def test_an_older_library_opens_says_so_and_is_read_at_the_next_add(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(library)
    again = Library.open(library.home, "archive", ENCODERS, connect=library.store.connect)
    assert len(again.search([QUERY], 10)[0]) == 5
    assert found(again, "orientation=square") == {"barn"}
    assert found(again, "tag=harvest") == set()
    assert [note.code for note in remarks([again], Filters.read(["tag=harvest"]), ())] == [
        "facts-unread", "filters-nothing",
    ]  # fmt: skip
    assert [note.code for note in remarks([again], ALL, ())] == ["facts-unread"]
    assert remarks([again], Filters.read(["anytime=yes"]), ()) == []
    assert {r.added for r in again.records()} == {""}
    monkeypatch.setattr(Library, "put", lambda _self, records, _pictures: pytest.fail("encoded") if records else None)
    add(again, [folder])
    assert found(again, "tag=harvest") == {"river", "tractor"}
    assert found(again, "person=ada*") == {"barn"}
    assert remarks([again], Filters.read(["tag=harvest"]), ()) == []
    assert add(again, [folder]).changed == 0


# --- embargo and expiry ----------------------------------------------------------------------------------------------


def test_embargo_and_expiry_keep_images_back(home: Path, folder: Path, clock: datetime) -> None:
    with_iptc(picture(folder / "a.jpg", (50, 40), 1), (120, "The harvest tomorrow"), (30, "20260602"))
    with_iptc(picture(folder / "b.jpg", (50, 40), 2), (120, "The harvest yesterday"), (37, "20260531"))
    with_iptc(picture(folder / "c.jpg", (50, 40), 3), (120, "The harvest today"), (30, "20260601"), (37, "20260601"))
    for name in ("d", "e", "f"):
        picture(folder / f"{name}.png", (50, 40), ord(name))
    rows = ["d.png,The harvest at noon,2026-06-01T14:00:00+02:00,", "e.png,The harvest later,2026-06-01T12:00:01Z,"]
    rows += ["f.png,The harvest some day,when the paper is out,never"]
    (folder / "metadata.csv").write_text("\n".join(["file_name,caption,embargo,expires", *rows]))
    library, report = index(home, "archive", [folder], ENCODERS)
    assert [reason for path, reason in report.problems if path.endswith("f.png")] == [
        "embargo 'when the paper is out' is no date: write YYYY-MM-DD; until then no article gets the image"
    ]
    assert found(library) == {*EVERYTHING, "c", "d"}
    assert found(library, "anytime=yes") == {*EVERYTHING, *"abcdef"}
    assert found(library, "orientation=landscape") == {"river", "tractor", "mill", "c", "d"}
    assert library.left_out(ALL).held_back == 4
    assert remarks([library], ALL, ()) == [
        "4 pictures were left out: their embargo has not ended, or they have expired."
    ]
    assert remarks([library], Filters.read(["tag=harvest"]), ()) == []
    assert remarks([library], Filters.read(["embargo=2026-06-02"]), ())[-1].code == "filters-nothing"
    assert library.page(limit=-1)[1] == 11  # they are listed, because somebody has to look after them
    kept_back = library.page(limit=-1, only=Filters.read(["embargo>2026-06-01"]))[0]
    assert {PurePath(r.path).stem for r in kept_back} >= {"a"}


def copies_of(folder: Path, *names: str) -> list[Path]:
    """Copies of one picture, each in a folder of its own."""
    first = picture(folder / names[0] / "wheat.jpg", (60, 40), 5)
    for name in names[1:]:
        (folder / name).mkdir()
        (folder / name / "wheat.jpg").write_bytes(first.read_bytes())
    return [folder / name for name in names]


def says(folder: Path, **facts: str) -> None:
    (folder / "wheat.json").write_text(json.dumps(facts))


def test_a_second_copy_lifts_no_embargo(home: Path, tmp_path: Path, clock: datetime) -> None:
    a, b = copies_of(tmp_path, "a", "b")
    says(a, caption="Wheat before the harvest", embargo="2099-01-01")
    library, _ = index(home, "copies", [a], ENCODERS)
    (b / "wheat.txt").write_text("Wheat of the harvest")
    add(library, [b])
    assert found(library) == set()
    says(a, caption="Wheat before the harvest")  # the run over its own folder lifts it
    add(library, [b])
    assert found(library) == set()
    add(library, [a])
    assert found(library) == {"wheat"}


def test_an_embargo_beside_a_second_copy_counts_without_a_caption(home: Path, tmp_path: Path, clock: datetime) -> None:
    a, b = copies_of(tmp_path, "a", "b")
    says(a, caption="Wheat before the harvest", keywords="harvest")
    library, _ = index(home, "copies", [a], ENCODERS)
    says(b, embargo="2099-01-01", expires="2100")
    add(library, [b])
    assert found(library) == set()
    [record] = library.records()
    assert record.caption == "Wheat before the harvest"
    assert record.facts == {"tag": ["harvest"], "embargo": ["2099-01-01"], "expires": ["2100"]}
    assert add(library, [a, b]).changed == 0
    (b / "wheat.jpg").unlink()
    resync(library, drop=[str(b)])
    add(library, [a])
    assert found(library) == {"wheat"}


def test_every_embargo_of_sidecars_tables_and_the_file_counts(home: Path, tmp_path: Path) -> None:
    file = picture(tmp_path / "a" / "wheat.jpg", (60, 40), 5)
    with_iptc(file, (30, "20300101"))
    says(tmp_path / "a", caption="Wheat", embargo="2020-01-01", licenseStartDate="2021")
    (tmp_path / "a" / "metadata.csv").write_text("file_name,release date\nwheat.jpg,2031-01-01\n")
    library, _ = index(home, "sources", [tmp_path / "a"], ENCODERS)
    assert library.records()[0].facts == {"embargo": ["2020-01-01", "2021", "2030-01-01", "2031-01-01"]}


def test_an_older_library_is_read_by_any_copy_within_the_scan(home: Path, tmp_path: Path) -> None:
    a, b = copies_of(tmp_path, "a", "b")
    library, _ = index(home, "copies", [a, b], ENCODERS)
    older(library)
    add(Library.open(home, "copies", ENCODERS), [b])
    assert library.left_out(Filters.read(["tag=wheat"])).without_facts == 0


def test_a_bundled_library_of_an_older_limner_is_read_again(home: Path, tmp_path: Path) -> None:
    [a] = copies_of(tmp_path, "a")
    library = bundled_library(home, "limner-test", ENCODERS, Folders([a]), "1")
    older(library)
    library.set_meta("made_from", "1")  # as it was written then
    again = bundled_library(home, "limner-test", ENCODERS, Folders([a]), "1")
    assert again.left_out(Filters.read(["tag=wheat"])).without_facts == 0
