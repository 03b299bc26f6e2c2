"""A library gets another encoder of pictures while somebody still has it open with the former one."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_siglip import COLOURS, make_siglip, painted

from limner.errors import EncoderSwitched, LibraryError
from limner.tools.bm25 import Sparse, Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Connect, Library, add, encoding, index
from limner.tools.stored import Vectors

ENCODERS = Encoders(MiniLM(threads=1), Words())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return painted(tmp_path / "photos")


def first_by_picture(library: Library, query: str) -> str:
    """The file whose picture is nearest to a query."""
    found = library.search([query], len(COLOURS))[0]
    assert len(found) == len(COLOURS)
    assert all("clip" in c.scores for c in found)
    return Path(library.record(max(found, key=lambda c: c.scores["clip"]).image_id).path).stem


@pytest.mark.parametrize("former", [False, True], ids=["first-encoder", "same-sizes"])
def test_who_has_the_former_encoder_searches_by_the_new_one_and_changes_nothing(
    home: Path, photos: Path, tmp_path: Path, connect: Connect | None, former: bool
) -> None:
    a, b = (str(make_siglip(tmp_path / name, seed=n)) for n, name in enumerate("ab"))
    stale, _ = index(home, "photos", [photos], ENCODERS, connect=connect, encoder=a if former else "")
    assert stale.is_current()
    index(home, "photos", [photos], ENCODERS, connect=connect, encoder=b)
    Image.new("RGB", (64, 48), "pink").save(photos / "new.png")
    assert not stale.is_current()
    red = next(record for record in stale.records() if record.path.endswith("red.png"))
    stale.write({red.id: {"caption": "A tomato"}})  # words are the same with any encoder
    assert stale.search(["tomato"], 1)[0][0].caption == "A tomato"
    assert all("clip" in c.scores for c in stale.search(["a red thing"], 3)[0])
    asked = encoding.queries(stale.encoders, ["a red thing"])
    with pytest.raises(EncoderSwitched, match="photos was given other encoders meanwhile: try again"):
        stale.nearest(asked, 3)
    with pytest.raises(EncoderSwitched):
        add(stale, [photos])
    assert stale.current() is stale.current() is not stale
    (photos / "new.png").unlink()
    library = Library.open(home, "photos", ENCODERS, connect=connect)
    assert library.is_current()
    with library.vectors() as store:
        assert store.ids() == {record.id for record in library.records()}
    assert first_by_picture(library, "a purple thing") == "purple"
    assert library.search(["tomato"], 1)[0][0].caption == "A tomato"


def test_a_store_that_was_made_for_other_encoders_is_made_again(
    home: Path, photos: Path, tmp_path: Path, connect: Connect | None
) -> None:
    """As a process with the former encoders left it, or an older limner."""
    library, _ = index(home, "photos", [photos], ENCODERS, connect=connect, encoder=str(make_siglip(tmp_path / "a")))
    with library.vectors() as store:
        assert store.fits()
        store.drop()
    ids = [record.id for record in library.records()]
    former = Library(home, "photos", ENCODERS, connect, 5.0)
    encoders = library.meta("encoders")
    former.set_meta("encoders", json.dumps(ENCODERS.names))
    with former.vectors() as store:
        store.upsert((i, Vectors(np.full(384, 384**-0.5, np.float32), Sparse([1], [1.0]))) for i in ids)
        assert store.fits()
    library.set_meta("encoders", encoders)
    with library.vectors() as store:
        assert not store.fits()
    add(library, [photos])
    assert first_by_picture(library, "a yellow thing") == "yellow"


def test_a_library_of_an_older_limner_keeps_its_vectors_where_it_cannot_be_switched(
    home: Path, photos: Path, tmp_path: Path
) -> None:
    """Its records lacked the tables of chance; the switch dropped the vectors before it met that."""
    library, _ = index(home, "photos", [photos], ENCODERS)
    with library.transaction() as records:
        records.executescript("DROP TABLE sample; DROP TABLE chance; ALTER TABLE file DROP COLUMN limits")
    index(home, "photos", [photos], ENCODERS, encoder=str(make_siglip(tmp_path / "a")))
    assert first_by_picture(Library.open(home, "photos", ENCODERS), "a purple thing") == "purple"
    with library.transaction() as records:
        records.execute("UPDATE meta SET value = '0' WHERE key = 'format'")
    with pytest.raises(LibraryError, match="made by another version of limner"):
        index(home, "photos", [photos], ENCODERS, encoder=str(make_siglip(tmp_path / "b", seed=1)))
    where = Library(home, "photos", ENCODERS, None, 5.0)
    where.encoders = library.encoders
    assert where.meta("pictures").endswith("/a")


def test_many_processes_open_a_library_of_an_older_limner_at_once(home: Path, photos: Path) -> None:
    library, _ = index(home, "photos", [photos], ENCODERS)
    for _ in range(10):
        with library.transaction() as records:
            records.executescript("ALTER TABLE file DROP COLUMN limits")
        with ThreadPoolExecutor(8) as threads:  # each has a connection of its own, as processes have
            opened = list(threads.map(lambda _: Library.open(home, "photos", ENCODERS), range(8)))
        assert {len(one) for one in opened} == {len(library)}
