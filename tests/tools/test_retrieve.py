"""From spots to candidates, over one library and over several."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.document import Candidate, Selection, Spot
from limner.errors import LibraryEmpty
from limner.tools import rows
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.fit import fits
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
    """The rows of a local library are ranked once, and its store is not opened at all."""
    asked: list[int] = []
    plain = rows.ranked

    def counted(table: Any, queries: Sequence[Any], *more: Any) -> Any:
        asked.append(len(queries))
        return plain(table, queries, *more)

    monkeypatch.setattr(rows, "ranked", counted)
    monkeypatch.setattr(EdgeStore, "__init__", None)
    retrieve([birds], SPOTS * 10, 2)
    assert len(asked) == 1
    assert asked[0] >= len(SPOTS)


def test_libraries_are_merged_by_how_well_an_image_fits(birds: Library, fields: Library) -> None:
    found = retrieve([birds, fields], SPOTS, 3)
    assert (found["s1"][0].library, found["s1"][0].caption) == ("birds", BIRDS[0])
    assert (found["s2"][0].library, found["s2"][0].caption) == ("fields", FIELDS[0])
    assert found == retrieve([fields, birds], SPOTS, 3)
    assert all(a.score >= b.score for hits in found.values() for a, b in pairwise(hits))


class Banded:
    """MiniLM with its cosines between 0.7 and 1, as those of multilingual e5 are."""

    name, size = "banded", 385

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        vectors = MiniLM(threads=1).encode_texts(texts)
        return np.hstack([np.full((len(vectors), 1), 0.7**0.5), vectors * 0.3**0.5]).astype(np.float32)


def test_a_library_with_an_encoder_of_its_own_has_no_advantage(home: Path, birds: Library, fields: Library) -> None:
    banded = replace(ENCODERS, caption=Banded())
    for name in ("birds", "fields"):
        index(home, f"{name}-banded", [home.parent / name], banded)
    mixed = [birds, Library.open(home, "fields-banded", banded)]
    for libraries in (mixed, [Library.open(home, "birds-banded", banded), fields]):
        found = retrieve(libraries, SPOTS, 3)
        assert [found[s.id][0].caption for s in SPOTS] == [BIRDS[0], FIELDS[0]]


SPANISH = [
    "Una garza al amanecer entre los juncos", "Cosecha al anochecer con tractor", "Un faro durante la tormenta",
    "El mercado de la plaza con frutas", "Una colmena abierta en el jardín", "Nieve sobre los tejados del pueblo",
]  # fmt: skip


def test_what_a_model_wrote_in_two_languages_is_searched_in_both(home: Path) -> None:
    """Captions in Spanish share no word with the English search caption; captions in English none with the other."""
    spanish, english = make(home, "campo", SPANISH, 30), make(home, "fields", FIELDS, 20)
    both = [
        Spot(id="s1", after="b1", caption="Una garza entre los juncos de la laguna", search="a bird in the reeds"),
        Spot(id="s2", after="b2", caption="La cosecha al anochecer en el campo", search="a farm machine at dusk"),
    ]
    only = [s.model_copy(update={"caption": s.search}) for s in both]

    def best(spots: list[Spot]) -> list[str]:
        found = retrieve([spanish], spots, 6)
        options = [Selection(spot=s, candidates=tuple(found[s.id]), by="similarity") for s in spots]
        rows = [max(row.items(), key=lambda item: item[1].log_odds) for row in fits(options)]
        assert [fit.signals["words"] > 0 for _, fit in rows] == [spots == both] * 2
        return [spanish.record(image).caption for image, _ in rows]

    assert best(both) == SPANISH[:2]
    assert best(only) != SPANISH[:2]
    assert retrieve([english], both, 1)["s2"][0].caption == FIELDS[0]


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
