"""Near-copies of one picture count as one: the best copy stands for the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from copied import photograph, plot, saved
from PIL import Image

from limner.document import Candidate
from limner.tools.bm25 import Words
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, add, near, unchanged
from limner.tools.library.filters import Filters
from limner.tools.library.folding import Folding, counted
from limner.tools.library.sources import image_identity
from limner.tools.look import Look, look
from limner.tools.retrieve import retrieve

ENCODERS = Encoders(MiniLM(threads=1), Words())
WORDS = "The surface of another world"


def put(folder: Path, name: str, image: Image.Image, by: float, caption: str = "", **more: object) -> str:
    """A file, and its id."""
    folder.mkdir(exist_ok=True)
    data = saved(image, "JPEG", by=by, quality=85, **more)
    (folder / name).write_bytes(data)
    if caption:
        (folder / name).with_suffix(".txt").write_text(caption)
    return image_identity(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n in range(1, 5):
        put(folder, f"other-{n}.jpg", photograph(n), 1, f"Something else, number {n}")
    return folder


def library_of(home: Path, folder: Path) -> Library:
    library = Library.open_or_create(home, "photos", ENCODERS)
    add(library, [folder])
    return library


def first(library: Library, k: int = 3, **how: object) -> Candidate:
    return library.search([WORDS], k, **how)[0][0]  # type: ignore[arg-type]


def test_the_copy_with_a_persons_caption_stands_then_the_largest(home: Path, folder: Path) -> None:
    small = put(folder, "small.jpg", photograph(0), 0.5, WORDS)
    large = put(folder, "DSC_1.jpg", photograph(0), 1)
    tiny = put(folder, "DSC_2.jpg", photograph(0), 0.4)
    library = library_of(home, folder)
    assert counted(library) == (3, 1)
    found = library.search([WORDS], 10)[0]
    assert len(found) == 5, "three files are one picture"
    assert (found[0].image_id, found[0].copies) == (small, (large, tiny))
    assert found[0].ids == {small, large, tiny}
    assert all(not c.copies for c in found[1:])

    library.write({tiny: {"caption": WORDS}, large: {"caption": WORDS}})
    assert (first(library).image_id, first(library).copies) == (large, (small, tiny))
    library.write({tiny: {"caption": None}, large: {"caption": None}})
    assert first(library).image_id == small


def test_credit_and_licence_decide_between_equals(home: Path, folder: Path) -> None:
    plain = put(folder, "a.jpg", photograph(0), 1, WORDS)
    owed = put(folder, "b.jpg", photograph(0), 1, WORDS, comment=b"saved by another program")
    library = library_of(home, folder)
    for better, other in ((plain, owed), (owed, plain)):
        library.write({better: {"credit": "A. Person", "licence": "CC0"}, other: {"credit": None, "licence": None}})
        assert first(library).image_id == better


def test_a_copy_that_passes_stands_where_the_best_does_not(home: Path, folder: Path) -> None:
    small = put(folder, "small.jpg", photograph(0), 0.5, WORDS)
    large = put(folder, "large.jpg", photograph(0), 1, WORDS)
    library = library_of(home, folder)
    assert first(library).copies == (small,)
    library.write({small: {"licence": "CC0"}})
    found = first(library, only=Filters.read(["licence=CC0"]))
    assert (found.image_id, found.copies) == (small, ()), "a copy that does not pass is not offered either"
    assert first(library).image_id == large


def test_what_a_person_chose_stands(home: Path, folder: Path) -> None:
    small = put(folder, "small.jpg", photograph(0), 0.5)
    large = put(folder, "large.jpg", photograph(0), 1, WORDS)
    library = library_of(home, folder)
    assert first(library).image_id == large
    found = first(library, chosen={small})
    assert (found.image_id, found.copies) == (small, (large,))
    both = [c.image_id for c in library.search([WORDS], 10, chosen={small, large})[0]]
    assert {small, large} <= set(both)


def test_a_used_picture_is_used_in_every_copy(home: Path, folder: Path) -> None:
    small = put(folder, "small.jpg", photograph(0), 0.5)
    large = put(folder, "large.jpg", photograph(0), 1, WORDS)
    library = library_of(home, folder)
    found = library.search([WORDS], 10, used={small})[0]
    assert not {small, large} & {c.image_id for c in found}
    assert small not in {c.image_id for c in look([library], Look(like=(large,)), 10).images}, "the example itself"


def test_as_many_images_are_found_as_are_wanted(home: Path, folder: Path) -> None:
    for n in range(30):  # more than a search for three looks at
        put(folder, f"copy-{n}.jpg", photograph(0), 1 - n / 100, WORDS)
    library = library_of(home, folder)
    [found] = library.search([WORDS], 3)
    assert len(found) == 3
    assert len(found[0].copies) == 29


def test_a_candidate_names_some_of_many_copies(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "COPIES", 2)
    for n in range(5):
        put(folder, f"copy-{n}.jpg", photograph(0), 1 - n / 100, WORDS)
    assert len(first(library_of(home, folder)).copies) == 2


def test_drawings_of_one_layout_stay_apart(home: Path, folder: Path) -> None:
    for n in range(5):
        put(folder, f"plot-{n}.jpg", plot(shift=24 * n), 1, f"Plot number {n}")
    assert counted(library_of(home, folder)) == (0, 0)


def test_a_chain_of_small_differences_is_no_group(home: Path, folder: Path) -> None:
    """Each is compared with the one that the group began with."""
    image = photograph(0)
    for n in range(12):
        put(folder, f"frame-{n}.jpg", image.crop((n, 0, image.width - 12 + n, image.height)), 1)
    library = library_of(home, folder)
    images, groups = counted(library)
    assert groups != 1 or images < 12


def test_spots_of_an_article_share_no_copies(home: Path, folder: Path) -> None:
    from limner.document import Spot

    put(folder, "small.jpg", photograph(0), 0.5, "Craters of the Moon")
    put(folder, "large.jpg", photograph(0), 1, WORDS)
    library = library_of(home, folder)
    spots = [
        Spot(id=str(n), after="", caption=text, search=text) for n, text in enumerate((WORDS, "Craters of the Moon"))
    ]
    one, other = retrieve([library], spots, 3).values()
    assert one[0].image_id == other[0].image_id


# --- incremental, and older libraries ------------------------------------------------------------------------------


def test_copies_that_come_and_go(home: Path, folder: Path) -> None:
    small = put(folder, "small.jpg", photograph(0), 0.5, WORDS)
    library = library_of(home, folder)
    assert counted(library) == (0, 0)
    large = put(folder, "large.jpg", photograph(0), 1, WORDS)
    add(library, [folder])
    assert counted(library) == (2, 1)
    assert (first(library).image_id, first(library).copies) == (large, (small,))
    (folder / "large.jpg").unlink()
    add(library, [folder])
    assert counted(library) == (0, 0)
    assert (first(library).image_id, first(library).copies) == (small, ())
    put(folder, "large.jpg", photograph(0), 1, WORDS)
    third = put(folder, "third.jpg", photograph(0), 0.7, WORDS)
    add(library, [folder])
    assert (first(library).image_id, first(library).copies) == (large, (third, small))


def test_a_run_that_ends_before_the_comparison_leaves_it_to_the_next(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "small.jpg", photograph(0), 0.5, WORDS)
    put(folder, "large.jpg", photograph(0), 1, WORDS)
    library = Library.create(home, "photos", ENCODERS)

    def killed(_: Folding) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Folding, "group", killed)
        with pytest.raises(KeyboardInterrupt):
            add(library, [folder])
    assert len(library) == 6
    assert not first(library).copies
    add(library, [folder])
    assert counted(library) == (2, 1)


def test_a_library_of_an_older_limner_has_groups_after_the_next_run(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unchanged, "TICK", 0)
    put(folder, "small.jpg", photograph(0), 0.5, WORDS)
    large = put(folder, "large.jpg", photograph(0), 1, WORDS)
    library = library_of(home, folder)
    with library.transaction() as records:
        records.executescript("DROP TABLE sketch; DROP TABLE near;")
    library = Library.open(home, "photos", ENCODERS)
    assert not first(library).copies
    (folder / "other-1.jpg").unlink()
    (folder / "other-2.jpg").write_bytes(b"no picture any more")
    add(library, [folder])
    assert first(library).image_id == large
    assert len(first(library).copies) == 1
    with library.transaction() as records:
        assert near.unread(records) == []
    read: list[str] = []
    monkeypatch.setattr("limner.tools.library.folding.read_file", lambda path: read.append(path))
    add(library, [folder])
    assert read == []
