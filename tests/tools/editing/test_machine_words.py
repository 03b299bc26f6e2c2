"""Marks of machine-made words: placed with an image, taken away by a person's change, kept by a translation."""

from __future__ import annotations

import pytest

from limner.document import Article, Candidate, Illustration, Selection, Spot, read_markdown
from limner.tools.editing.apply import edited
from limner.tools.editing.commands import DescribeImage, Edit, PlaceImage, SwapImage
from limner.tools.illustrate import illustrated
from limner.tools.library import Record

TEXT = read_markdown("# Boats\n\nTwo boats lie in the harbour.\n\nThe sea is calm.\n")
IMAGE, BOTH = "a" * 32, ("caption", "alt")
RECORD = Record(IMAGE, "/x/DSC_1.png", ".png", 9, 9, "Two boats with red sails.", "Two boats", machine_made=BOTH)


def candidate(**fields: object) -> Candidate:
    return RECORD.as_candidate("photos", 1.0, {}, {}).model_copy(update=fields)


def placed(image: Candidate, by: str = "similarity") -> Illustration:
    spot = Spot(id="s1", after=TEXT.paragraphs[0].id, caption="Boats in a harbour", search="boats")
    choice = Selection(spot=spot, candidates=(image,), by=by)  # type: ignore[arg-type]
    return illustrated(TEXT, [choice], {"s1": image}, {"s1": ""}).illustrations[0]


def test_a_librarys_record_gives_its_marks_to_the_candidate() -> None:
    assert candidate().machine_made == BOTH


@pytest.mark.parametrize(
    ("fields", "by", "marks"),
    [
        ({}, "similarity", BOTH),
        ({"machine_made": ()}, "similarity", ()),
        ({"machine_made": ("alt",)}, "pixels", ("alt",)),
        ({"alt": "", "machine_made": ("caption",)}, "pixels", BOTH),  # the caption is read out in its place
        ({"caption": "两艘红帆船"}, "pixels", ("alt",)),  # the article's own caption stands in for another script
    ],
)
def test_an_illustration_has_the_marks_of_the_words_it_takes(
    fields: dict[str, object], by: str, marks: tuple[str, ...]
) -> None:
    assert placed(candidate(**fields), by).machine_made == marks


def changed(*edits: Edit) -> Illustration:
    article: Article = TEXT.illustrated([placed(candidate())])
    return edited(article, edits, lambda _library, _image: RECORD).illustrations[0]


@pytest.mark.parametrize(
    ("edit", "marks"),
    [
        (DescribeImage(image="f-s1", caption="Regatta in Brest"), ("alt",)),
        (DescribeImage(image="f-s1", alt=""), ("caption",)),
        (DescribeImage(image="f-s1", credit="A. Huber"), BOTH),
        (DescribeImage(image="f-s1", caption="Two boats with red sails."), BOTH),
        (DescribeImage(image="f-s1", caption="Zwei Boote.", alt="Boote", translated=True), BOTH),
        (SwapImage(image="f-s1", library="photos", image_id=IMAGE), BOTH),
        (SwapImage(image="f-s1", library="photos", image_id=IMAGE, caption="Regatta"), ("alt",)),
    ],
)
def test_a_persons_words_take_the_mark_away(edit: Edit, marks: tuple[str, ...]) -> None:
    assert changed(edit).machine_made == marks


def test_a_placed_image_brings_its_marks() -> None:
    edit = PlaceImage(after=TEXT.paragraphs[0].id, library="photos", image_id=IMAGE)
    assert edited(TEXT, [edit], lambda _library, _image: RECORD).illustrations[0].machine_made == BOTH
