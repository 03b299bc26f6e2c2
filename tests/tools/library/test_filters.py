"""Filters in their text form: read, written, refused."""

from __future__ import annotations

import time

import pytest

from limner.errors import BadInput
from limner.notes import Note
from limner.tools.library.filters import FIELDS, MOST, Filters, orientation


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("licence=CC BY*", "licence=CC BY*"),
        (" License = CC0 ", "licence=CC0"),
        ("date>=2020", "date>=2020"),
        ("keyword!=harvest", "tag!=harvest"),
        ("width >= 1600", "width>=1600"),
        ("rating>-1", "rating>-1"),
        ("unused=10", "unused=10"),
        ("licence=", "licence="),
        ("credit=a=b", "credit=a=b"),
    ],
)
def test_filters_are_read_and_written(text: str, kept: str) -> None:
    assert Filters.read([text]).texts == (kept,)
    assert Filters.read([kept]).texts == (kept,)
    assert Filters.model_validate_json(Filters.read([text]).model_dump_json()) == Filters.read([text])


def test_none_twice_and_empty_ones() -> None:
    assert Filters.read(["tag=a", "", "tag=a", " "]).texts == ("tag=a",)
    assert Filters.read(["unused=3", "unused=7", "anytime=yes"]).unused == 7
    assert Filters.read(["anytime=yes"]).anytime
    assert not Filters.read(["anytime=no"]).anytime


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour=red", "'colour=red' is no filter"),
        ("harvest", "'harvest' is no filter"),
        ("", None),
        ("date=yesterday", "date takes a date such as 2020"),
        ("date=2020-13", "date takes a date"),
        ("width>=wide", "width takes a whole number"),
        ("rating>=\u0663", "rating takes a whole number"),
        ("tag>a", "tag takes = or !="),
        ("orientation=tall", "one of landscape, portrait, square"),
        ("unused=0", "from 1 to 1000"),
        ("unused>=3", "from 1 to 1000"),
        ("anytime=maybe", "one of yes, no"),
        ("tag=" + "a" * 300, "at most 200 characters"),
    ],
)
def test_what_is_no_filter_is_one_line_that_lists_the_fields(text: str, says: str | None) -> None:
    if says is None:
        assert Filters.read([text]).each == ()
        return
    with pytest.raises(BadInput, match=says) as refused:
        Filters.read([text])
    assert ", ".join(FIELDS) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert isinstance(refused.value.note, Note)


def test_too_many_are_refused() -> None:
    with pytest.raises(BadInput, match=f"{MOST + 1} filters are more than {MOST}"):
        Filters.read([f"tag={n}" for n in range(MOST + 1)])


@pytest.mark.parametrize(
    ("text", "value", "fits"),
    [
        ("licence=CC BY*", "cc by-sa 4.0", True),
        ("licence=CC BY", "CC BY 4.0", True),
        ("licence=CC BY", "CC BY", True),
        ("licence=CC BY", "https://creativecommons.org/licenses/by/3.0/", True),
        ("licence=CC BY", "CC BY-NC-ND 4.0", False),
        ("licence=CC BY", "CC BY-SA", False),
        ("licence=cc by 4.0", "CC-BY 4.0", True),
        ("licence=CC-BY 4.0", "cc by 4.0", True),
        ("licence=CC-BY 4.0", "CC BY 3.0", False),
        ("licence=CC-BY-NC-SA", "CC BY NC SA v4.0", True),
        ("licence=CC0", "CC0 1.0", True),
        ("licence=CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/deed.pt", True),
        ("licence=CC BY*", "CC-BY-SA-4.0", True),
        ("licence=CC BY-NC", "CC BY-NC 3.0 de", True),
        ("licence=CC BY-SA", "cc-by-sa-3.0-de", True),
        ("licence=CC BY-NC", "CC BY-NC 4.0 International", True),
        ("licence=CC BY-NC", "(CC BY-NC 2.0)", True),
        ("licence=CC BY-NC", "© Ada, CC BY-NC 4.0.", True),
        ("licence=CC BY-NC", "https://www.creativecommons.org/licenses/by-nc/4.0/", True),
        ("licence=CC BY-NC", "Creativecommons.org/licenses/by-nc/4.0", True),
        ("licence=CC BY", "© Ada, CC BY-NC 4.0.", False),
        ("licence=CC BY", "CC BY 4.0 or CC BY-NC 4.0", False),
        ("licence=CC BY", "success by 4.0", False),
        ("licence=CC0*", "http://creativecommons.org/publicdomain/zero/1.0/", True),
        ("licence=CC0*|CC BY 4.0", "CC BY 4.0", True),
        ("tag=norway", "places|Norway", True),
        ("tag=places|norway", "places", True),
        ("tag=caf\u00e9", "Cafe\u0301", True),
        ("person=Ada*", "Ada Lovelace", True),
        ("person=Ada", "Ada Lovelace", False),
        ("credit=[a]", "[A]", True),
        ("date=2019", "2019-08-14", True),
        ("date>=2019-08", "2019-08-14", True),
        ("date<=2019", "2019-08-14", True),
        ("date>2019", "2019-08-14", False),
        ("date<2020", "2019", True),
        ("date>=2019-08", "2019", False),
        ("rating>=3", "3", True),
        ("rating>=3", "-1", False),
        ("width<1600", 1599, True),
    ],
)
def test_a_value_fits(text: str, value: str | int, fits: bool) -> None:
    [one] = Filters.read([text]).each
    assert one.matcher()(value) is fits


def test_a_pattern_takes_time_in_proportion_to_its_text() -> None:
    def seconds(length: int) -> float:
        fits = Filters.read(["tag=" + "*a" * 60 + "*b"]).each[0].matcher()
        began = time.perf_counter()
        assert fits("a" * length) is False
        return time.perf_counter() - began

    seconds(200)
    assert seconds(3200) < 300 * max(seconds(200), 1e-4)  # backtracking would never end


@pytest.mark.parametrize(
    ("size", "found"),
    [((300, 200), "landscape"), ((200, 300), "portrait"), ((300, 300), "square"), ((1010, 1000), "square")],
)
def test_orientation_is_by_the_sides(size: tuple[int, int], found: str) -> None:
    assert orientation(*size) == found
