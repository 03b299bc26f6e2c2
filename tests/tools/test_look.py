"""Searches by example pictures, with encoders that see colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image
from tiny_siglip import COLOURS, make_siglip

from limner.document import Candidate, read_markdown
from limner.errors import BadInput, ImageUnreadable, LibraryEmpty, LibraryError
from limner.models.encoders.vectors import unit
from limner.tools.bm25 import Words
from limner.tools.candidates import Wanted, candidates
from limner.tools.chance import measured
from limner.tools.encoders import Encoders, MiniLM
from limner.tools.library import Library, index
from limner.tools.library.filters import Filters
from limner.tools.look import MOST, Look, Looked, _mixed, look, named

ENCODERS = Encoders(MiniLM(threads=1), Words())
CAPTIONS = {
    "tractor": "A red tractor ploughs a wheat field",
    "plough": "A plough drawn by two horses in a wheat field",
    "sheaf": "Sheaves of wheat in a field at harvest",
    "comet": "A comet with a long tail above a mountain",
    "galaxy": "The spiral galaxy M51 and its companion",
    "nebula": "A nebula of glowing hydrogen in the winter sky",
}


def shade(colour: str, n: int) -> Image.Image:
    """A picture near a colour: n, from 0, says how far from it."""
    return Image.new("RGB", (64, 48), tuple(c + 3 * n if c < 128 else c - 3 * n for c in COLOURS[colour]))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures of each of eight colours, as a camera names them."""
    folder = tmp_path / "photos"
    for colour in COLOURS:
        (folder / colour).mkdir(parents=True)
        for n in range(4):
            shade(colour, n).save(folder / colour / f"DSC_{n}.png")
    return folder


@pytest.fixture
def library(home: Path, photos: Path, tmp_path: Path) -> Library:
    return index(home, "photos", [photos], ENCODERS, encoder=str(make_siglip(tmp_path / "siglip")))[0]


@pytest.fixture
def captioned(home: Path, tmp_path: Path) -> Library:
    """A library without an encoder of pictures."""
    folder = tmp_path / "captioned"
    folder.mkdir()
    for n, (name, caption) in enumerate(CAPTIONS.items()):
        Image.new("RGB", (64, 48), (n, 100, 30)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(caption)
    Image.new("RGB", (64, 48), "pink").save(folder / "DSC_9.png")
    return index(home, "captioned", [folder], ENCODERS)[0]


def ids(library: Library, *refs: str) -> tuple[str, ...]:
    """Ids by the ends of their paths."""
    found = [next(r.id for r in library.records() if r.path.endswith(ref)) for ref in refs]
    return tuple(found)


def colours(library: Library, found: Looked | Sequence[Candidate]) -> list[str]:
    images = found.images if isinstance(found, Looked) else found
    return [PurePath(library.record(c.image_id).path).parent.name for c in images]


def stems(library: Library, found: Looked) -> list[str]:
    return [PurePath(library.record(c.image_id).path).stem for c in found.images]


def png(picture: Image.Image) -> bytes:
    made = io.BytesIO()
    picture.save(made, "PNG")
    return made.getvalue()


def test_more_like_this_finds_the_others_and_not_itself(library: Library) -> None:
    wanted = ids(library, "red/DSC_1.png")
    found = look([library], Look(like=wanted), 12)
    assert colours(library, found)[:3] == ["red"] * 3
    assert "red" not in colours(library, found)[3:]
    assert wanted[0] not in {c.image_id for c in found.images}
    assert found.notes == []
    above = [c.fits["clip"] for c in found.images]
    assert min(above[:3]) > 3 > 1 > max(above[3:])  # deviations above chance


def test_a_picture_from_anywhere_is_an_example(library: Library, photos: Path) -> None:
    found = look([library], Look(shown=(png(shade("green", 7)),)), 5)
    assert colours(library, found)[:4] == ["green"] * 4
    known = (photos / "green/DSC_2.png").read_bytes()  # a file that the library has is that image
    assert look([library], Look(shown=(known,)), 5) == look([library], Look(like=ids(library, "green/DSC_2.png")), 5)
    with pytest.raises(ImageUnreadable, match="An example is not a picture"):
        look([library], Look(shown=(b"no picture",)), 5)


@pytest.mark.parametrize(("word", "picture"), [("red", "blue"), ("blue", "red"), ("white", "green")])
def test_words_and_a_picture_go_together(library: Library, word: str, picture: str) -> None:
    wanted = Look(words=f"a plain {word} picture of a thing", like=ids(library, f"{picture}/DSC_0.png"))
    found = look([library], wanted, 7)
    assert sorted(colours(library, found)) == sorted([word] * 4 + [picture] * 3)


def test_words_and_a_picture_have_equal_say_in_an_encoder_with_a_gap() -> None:
    """A CLIP's texts have 0.25 with their pictures and 0.2 with all others, its pictures 0.6 with each other: a plain
    sum of unit vectors goes by the picture alone."""
    draw = np.random.default_rng(3)
    show, say = np.eye(128)[:2]  # what all pictures have in common, and all texts

    def about(n: int) -> np.ndarray:
        return unit(draw.normal(size=(n, 128)) * ([0, 0] + [1] * 126))

    of = about(200)  # what each picture and its text are about
    pictures = unit(1.2 * show + of)
    texts = unit(1.6 * say + 0.4 * show + 0.2 * of)
    unrelated = unit(1.6 * say + draw.normal(0.2, 0.03, size=(50, 1)) * show + 0.2 * about(50))
    chance = measured(pictures[:128], unrelated)

    def said(query: np.ndarray) -> tuple[float, float]:
        """How far above the others the picture of the text and the example are, in the others' deviations."""
        scores = pictures @ query
        others = np.delete(scores, [3, 7])
        return tuple((scores[n] - others.mean()) / others.std() for n in (3, 7))

    by_text, by_picture = said(unit(texts[3] + pictures[7]))
    assert by_text < by_picture / 3
    mixed = _mixed(chance, texts[3], [pictures[7]], [])
    assert mixed is not None
    by_text, by_picture = said(mixed)
    assert by_picture / 1.5 < by_text < 1.5 * by_picture


def test_several_examples_and_counter_examples(library: Library) -> None:
    both = ids(library, "red/DSC_0.png", "blue/DSC_0.png")
    found = look([library], Look(like=both), 6)
    assert sorted(colours(library, found)) == ["blue"] * 3 + ["red"] * 3
    all_of = look([library], Look(like=ids(library, "red/DSC_0.png"), unlike=ids(library, "blue/DSC_0.png")), 40)
    assert colours(library, all_of)[:3] == ["red"] * 3
    assert colours(library, all_of)[-3:] == ["blue"] * 3
    assert len(all_of.images) == 30  # without the examples


def test_look_alikes_give_way(library: Library) -> None:
    wanted = Look(words="a plain red picture")
    assert colours(library, look([library], wanted, 8))[:4] == ["red"] * 4
    varied = look([library], Look(words="a plain red picture", diverse=True), 8)
    assert colours(library, varied)[0] == "red"
    assert sorted(colours(library, varied)) == sorted(COLOURS)
    like = Look(like=ids(library, "red/DSC_0.png"), diverse=True)
    assert len(set(colours(library, look([library], like, 8)))) == 8


def test_filters_hold(library: Library) -> None:
    only = Filters.read(["folder!=red"])
    found = look([library], Look(like=ids(library, "red/DSC_0.png")), 40, only)
    assert len(found.images) == 28
    assert "red" not in colours(library, found)


def test_a_library_without_an_encoder_of_pictures_goes_by_captions(captioned: Library) -> None:
    found = look([captioned], Look(like=ids(captioned, "galaxy.png")), 2)
    assert set(stems(captioned, found)) == {"nebula", "comet"}
    assert [n.code for n in found.notes] == ["look-by-captions"]
    mixed = Look(words="harvest", like=ids(captioned, "tractor.png"), unlike=ids(captioned, "plough.png"))
    assert stems(captioned, look([captioned], mixed, 2))[0] == "sheaf"
    with pytest.raises(BadInput, match="has no picture encoder and cannot compare a picture from outside") as refused:
        look([captioned], Look(words="harvest", shown=(png(shade("red", 0)),)), 2)
    assert "\n" not in str(refused.value)
    with pytest.raises(BadInput, match="Nothing is said about the example"):
        look([captioned], Look(like=ids(captioned, "DSC_9.png")), 2)


def test_words_that_counter_examples_share_tell_nothing_apart(captioned: Library) -> None:
    """Field and wheat stand in both captions, so that they draw no third one."""
    mixed = Look(like=ids(captioned, "tractor.png"), unlike=ids(captioned, "plough.png"))
    scores = {PurePath(captioned.record(c.image_id).path).stem: c.scores for c in look([captioned], mixed, 9).images}
    assert scores["sheaf"]["words"] == 0


def test_libraries_with_other_encoders_are_searched_by_the_same_example(
    home: Path, library: Library, tmp_path: Path
) -> None:
    """Vectors of one encoder say nothing to another: the second library encodes the picture itself."""
    folder = tmp_path / "scans"
    for colour in COLOURS:
        (folder / colour).mkdir(parents=True)
        shade(colour, 5).save(folder / colour / "IMG_1.png")
    other = index(home, "scans", [folder], ENCODERS, encoder=str(make_siglip(tmp_path / "other", seed=5)))[0]
    assert other.encoders.names != library.encoders.names
    wanted = ids(library, "red/DSC_0.png")
    found = look([library, other], Look(like=wanted), 4).images
    assert {(c.library, colours(one, [c])[0]) for one in (library, other) for c in found if c.library == one.name} == {
        ("photos", "red"),
        ("scans", "red"),
    }
    article = read_markdown("# Notes\n\nOne.\n")
    shown = candidates(article, Wanted(like=wanted[0], but="a plain blue picture", limit=40), [library, other])
    first = [f.candidate for f in shown][:8]
    named_colours = {
        colour for one in (library, other) for colour in colours(one, [c for c in first if c.library == one.name])
    }
    assert named_colours == {"red", "blue"}


def test_a_library_that_cannot_compare_pictures_is_left_out_with_a_note(library: Library, captioned: Library) -> None:
    found = look([captioned, library], Look(shown=(png(shade("red", 6)),)), 3)
    assert colours(library, found) == ["red"] * 3
    assert [n.code for n in found.notes] == ["look-needs-encoder"]


def test_what_cannot_be_searched_by(library: Library) -> None:
    red = ids(library, "red/DSC_0.png")
    refused = {
        "Say what to look for": Look(words="  "),
        "needs something to look for": Look(unlike=red),
        "None of the libraries has the image 'f00'": Look(like=("f00",)),
        f"at most {MOST}": Look(words="red", unlike=red * (MOST + 1)),
    }
    for words, wanted in refused.items():
        with pytest.raises(BadInput, match=words):
            look([library], wanted, 3)
    with pytest.raises(LibraryEmpty):
        look([], Look(words="red"), 3)


def test_pictures_are_named_as_people_name_them(library: Library, photos: Path, tmp_path: Path) -> None:
    red, blue = ids(library, "red/DSC_0.png", "blue/DSC_1.png")
    outside = tmp_path / "outside.png"
    shade("white", 9).save(outside)
    by = named([library], [red[:8], str(outside)], [str(photos / "blue/DSC_1.png")])
    assert by == Look(like=(red,), unlike=(blue,), shown=(outside.read_bytes(),))
    with pytest.raises(LibraryError, match=r"DSC_0\.png is 8 images of photos"):
        named([library], ["DSC_0.png"], [])
    with pytest.raises(LibraryError, match=r"has no image nowhere\.png"):
        named([library], ["nowhere.png"], [])
