"""From spots to candidates, over one library and over several."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from limner.document import Candidate, Spot
from limner.errors import LibraryEmpty
from limner.tools.encoders import Encoders, MiniLM, Words
from limner.tools.library import Library, index
from limner.tools.retrieve import fuse, merge, retrieve
from limner.tools.store import EdgeStore

ENCODERS = Encoders(MiniLM(threads=1), Words())
BIRDS = ["A heron at dawn in the reeds", "A gull over the harbour", "An owl in a barn"]
FIELDS = ["Harvest at dusk with a red tractor", "A scarecrow in the wheat", "Sheep on a hill"]


def make(home: Path, name: str, captions: list[str], shade: int) -> Library:
    folder = home.parent / name
    folder.mkdir()
    for number, caption in enumerate(captions):
        path = folder / f"{number}.png"
        Image.new("RGB", (8, 8), (shade, number, 0)).save(path)
        path.with_suffix(".txt").write_text(caption)
    return index(home, name, [folder], ENCODERS)[0]


@pytest.fixture
def birds(home: Path) -> Library:
    return make(home, "birds", BIRDS, 10)


@pytest.fixture
def fields(home: Path) -> Library:
    return make(home, "fields", FIELDS, 20)


def spot(number: int, search: str) -> Spot:
    return Spot(id=f"s{number}", after=f"b{number}", caption="", search=search)


SPOTS = [spot(1, "a wading bird at sunrise"), spot(2, "farm machine in the evening")]


def test_each_spot_gets_its_candidates_best_first(birds: Library) -> None:
    found = retrieve([birds], SPOTS, 2)
    assert list(found) == ["s1", "s2"]
    assert [len(candidates) for candidates in found.values()] == [2, 2]
    assert found["s1"][0].caption == BIRDS[0]
    assert found["s1"][0].score > found["s1"][1].score


def test_all_spots_go_in_one_search(birds: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    start = EdgeStore.__init__

    def counted(self: EdgeStore, folder: Path, *args: object, **options: object) -> None:
        opened.append(folder)
        start(self, folder, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(EdgeStore, "__init__", counted)
    retrieve([birds], SPOTS * 10, 2)
    assert opened == [birds.path / "vectors"]


def test_libraries_are_merged_by_how_well_an_image_fits(birds: Library, fields: Library) -> None:
    found = retrieve([birds, fields], SPOTS, 3)
    assert (found["s1"][0].library, found["s1"][0].caption) == ("birds", BIRDS[0])
    assert (found["s2"][0].library, found["s2"][0].caption) == ("fields", FIELDS[0])
    assert found == retrieve([fields, birds], SPOTS, 3)
    assert all(a.score >= b.score for hits in found.values() for a, b in pairwise(hits))


def test_an_image_in_two_libraries_comes_once_from_where_it_is_described_best(home: Path, birds: Library) -> None:
    copies = home.parent / "copies"
    copies.mkdir()
    shutil.copy(home.parent / "birds" / "0.png", copies / "IMG_1.png")
    other, _ = index(home, "copies", [copies], ENCODERS)
    for order in ([birds, other], [other, birds]):
        found = retrieve(order, SPOTS[:1], 10)["s1"]
        assert len(found) == len({c.image_id for c in found}) == 3
        assert (found[0].library, found[0].caption) == ("birds", BIRDS[0])


def test_without_spots_or_libraries(birds: Library) -> None:
    assert retrieve([birds], [], 4) == {}
    with pytest.raises(LibraryEmpty, match="--library"):
        retrieve([], SPOTS, 4)
    empty = Library.create(birds.home, "empty", ENCODERS)
    with pytest.raises(LibraryEmpty, match="limner library add empty FOLDER"):
        retrieve([birds, empty], SPOTS, 4)


def test_fusion_is_that_of_the_store(birds: Library) -> None:
    """One library ranked again from its raw scores comes out as Qdrant ranked it."""
    for query in ("a heron at the water", "barn owl", "harbour gull at dawn"):
        hits = birds.search([query], 3)[0]
        given = [{k: v for k, v in c.scores.items() if v} for c in hits]  # no shared word: not in that ranking
        assert fuse(given) == pytest.approx([c.score for c in hits], abs=1e-4)


def test_merging_one_ranking_leaves_it_alone() -> None:
    one = [Candidate(image_id="a", library="x", score=0.3, caption="a", width=1, height=1)]
    assert merge([one, []], 4) == one
    assert merge([], 4) == []
