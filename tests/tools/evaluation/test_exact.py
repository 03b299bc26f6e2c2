"""The exact measures of an article, against values counted by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from limner.document import Article, Illustration, read_markdown
from limner.errors import BadInput
from limner.tools.evaluation.intervals import mean_of
from limner.tools.evaluation.measures import MEASURES
from limner.tools.evaluation.pictures import pictures, sharpness
from limner.tools.evaluation.positions import figures_of, positions
from limner.tools.evaluation.prose import prose
from limner.tools.evaluation.wording import is_file_name, links, wording, wrong_with

TEXT = """# Night and day

By A. Writer

The heron stands in the shallow water of the lake at dawn and waits for fish to come near its long grey legs.

A comet crosses the night sky with a bright tail of dust and ice behind its small dark head of frozen gas.

The miller grinds the wheat between two heavy stones that the river turns with a wheel of oak and iron.

Nobody knows how many sheep graze on the hills behind the village, for nobody has ever had to count them.
"""


def article(*figures: tuple[str, str], text: str = TEXT, language: str = "en") -> Article:
    """An article with figures after these blocks, each with a caption."""
    made = read_markdown(text, language=language)
    return made.illustrated(
        Illustration(
            id=f"f{n}", after=after, image_id=f"{n:032x}", caption=caption, alt=f"seen {n}", width=800, height=600
        )
        for n, (after, caption) in enumerate(figures)
    )


def test_places_are_counted_and_compared_with_the_text() -> None:
    made = article(
        ("b2", "A comet with a bright tail"),  # before 25 words, two paragraphs too early
        ("b3", "A heron in shallow water"),  # right after its text, next to the one before
        ("b6", "Two heavy stones of a miller"),  # one paragraph late
    )
    found = positions(made)
    assert found.values["paragraphs"] == 5
    assert found.values["figures"] == 3
    assert found.values["opening"] == pytest.approx(1 / 3)
    assert found.values["distance"] == 2.0
    assert found.values["clumps"] == 0.5
    assert found.values["longest_without"] == 3
    assert found.values["own_text"] == pytest.approx(1 / 3)
    assert found.values["before_text"] == pytest.approx(1 / 3)
    assert found.values["text_distance"] == pytest.approx((2 + 0 + 1) / 3)
    assert [(f.measure, f.figure) for f in found.findings] == [("opening", 1), ("clumps", 2), ("before_text", 1)]


def test_figures_are_numbered_as_they_are_read() -> None:
    made = article(("b5", "The wheel"), ("b3", "A heron"))
    made = made.model_copy(update={"illustrations": made.illustrations[::-1]})
    assert [f.caption for f in figures_of(made)] == ["A heron", "The wheel"]


def test_without_figures_each_measure_says_why() -> None:
    found = positions(article())
    found.add(pictures([], lambda _: b"", 10**8))
    found.add(wording([]))
    for name in ("distance", "own_text", "dpi", "no_alt", "near_copies"):
        assert found.missing[name], name
        assert name not in found.values
    assert found.values["longest_without"] == 5


# --- pictures --------------------------------------------------------------------------------------------------------


def photo(size: tuple[int, int] = (1890, 1260), seed: int = 0) -> Image.Image:
    """Blurred noise: something with structure, as a photograph has."""
    noise = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.NEAREST)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, quality=80)
    return out.getvalue()


def test_resolution_sharpness_and_copies_are_those_of_the_files() -> None:
    figures = figures_of(article(("b3", "one"), ("b4", "two"), ("b5", "three"), ("b6", "four")))
    data = {
        figures[0].image_id: encoded(photo()),  # 1890 px across 16 cm: 300 dpi
        figures[1].image_id: encoded(photo().resize((630, 420)), "JPEG"),  # a copy of a third
        figures[2].image_id: encoded(photo(seed=1).filter(ImageFilter.GaussianBlur(60))),
    }

    def read(figure: Illustration) -> bytes:
        if figure.image_id not in data:
            raise BadInput("the file is gone")
        return data[figure.image_id]

    found = pictures(figures, read, 10**8)
    assert found.values["opens"] == 0.75
    assert found.values["dpi"] == pytest.approx(300, abs=1)
    assert found.values["low_dpi"] == pytest.approx(1 / 3)
    assert found.values["blurred"] == pytest.approx(1 / 3)
    assert found.values["near_copies"] == 1
    said = {(f.measure, f.figure) for f in found.findings}
    assert said == {("opens", 4), ("low_dpi", 2), ("blurred", 3), ("near_copies", 2)}


def test_a_crop_has_fewer_dots_and_a_tall_picture_a_narrower_place() -> None:
    whole = figures_of(article(("b3", "one")))[0]
    half = whole.model_copy(update={"crop": (0.0, 0.0, 0.5, 0.5)})
    tall = encoded(photo((1000, 2300)))  # 11.5 cm high, so 5 cm wide: 508 dpi
    assert pictures([half], lambda _: encoded(photo()), 10**8).values["dpi"] == pytest.approx(150, abs=1)
    assert pictures([whole], lambda _: tall, 10**8).values["dpi"] == pytest.approx(508, abs=1)


def test_sharpness_falls_with_blur_and_not_with_the_size_of_the_file() -> None:
    sharp, soft = photo(), photo().filter(ImageFilter.GaussianBlur(8))
    assert sharpness(soft) < sharpness(sharp) / 4
    assert sharpness(photo((3780, 2520))) == pytest.approx(sharpness(sharp), rel=0.3)
    assert sharpness(Image.new("RGB", (2, 500))) == 0.0


def test_a_picture_beyond_the_limit_is_not_decoded() -> None:
    figures = figures_of(article(("b3", "one")))
    found = pictures(figures, lambda _: encoded(photo()), 1000)
    assert found.values == {"opens": 0.0}
    assert found.missing["sharpness"] == "no figure's file can be opened"


# --- words -----------------------------------------------------------------------------------------------------------


def test_words_beside_figures() -> None:
    made = article(("b3", "A heron."), ("b4", "A comet"), ("b5", ""), ("b6", "Sheep"))
    first, second, third, fourth = made.illustrations
    figures = [
        first.model_copy(update={"alt": "a  HERON", "credit": "Ann", "licence": "CC0"}),
        second.model_copy(update={"alt": "IMG_2044.jpg", "machine_made": ("caption",)}),
        third.model_copy(update={"alt": ""}),
        fourth.model_copy(update={"alt": "Sheep on a hill"}),
    ]
    found = wording(figures)
    assert found.values == {
        "no_caption": 0.25,
        "no_alt": 0.25,
        "alt_is_caption": pytest.approx(1 / 3),
        "alt_is_name": pytest.approx(1 / 3),
        "no_credit": 0.75,
        "no_licence": 0.75,
        "machine_made": 0.25,
    }


@pytest.mark.parametrize("words", ["heron.jpg", "IMG_2044", "DSC 0001", "heron_final_2", "grey-heron", "Scan 12.TIFF"])
def test_file_names_are_no_alternative_texts(words: str) -> None:
    assert is_file_name(words, "images/grey-heron-0a1b2c3d.webp")


@pytest.mark.parametrize("words", ["Heron", "A grey heron", "半夏", "Jean-Luc", "Цапля"])
def test_single_words_are_alternative_texts(words: str) -> None:
    assert not is_file_name(words, "images/heron-0a1b2c3d.webp")


@pytest.mark.parametrize(
    "target",
    [
        "https://example.org/a?b#c",
        "http://[::1]:8/",
        "mailto:a@b.org",
        "#heading",
        "https://例え.jp/",
        "https://a_b.org",
    ],
)
def test_addresses(target: str) -> None:
    assert wrong_with(target) == ""


@pytest.mark.parametrize(
    "target",
    [
        "",
        "#",
        "https://",
        "https:///path",
        "http://a:99999/",
        "http://[::1",
        "http://-a.org",
        "photos/a.html",
        "ftp://a",
        "mailto:x",
    ],
)
def test_what_is_no_address(target: str) -> None:
    assert wrong_with(target)


def test_links_of_a_text_are_counted_wherever_they_are_defined() -> None:
    text = "See [one](https://a.org), [two][2] and <https://b.org>.\n\n- [three](page.html)\n\n[2]: http://c:99999/\n"
    found = links(read_markdown(text))
    assert found.values == {"links": 4, "bad_links": 0.5}
    assert "'page.html'" in found.findings[1].says


# --- text ------------------------------------------------------------------------------------------------------------


def test_repetition_and_readability_are_counted() -> None:
    text = "The cat sat on the mat. The cat sat on the mat.\n\nExtraordinary elephants considered everything carefully."
    found = prose(read_markdown(text))
    # Runs of the first paragraph: 9, of which three stand there twice; of the second: 2.
    assert found.values["repeated_runs"] == pytest.approx(3 / 11)
    assert found.values["repeated_sentences"] == pytest.approx(1 / 3)
    assert found.values["lix"] == pytest.approx(17 / 3 + 100 * 5 / 17)


def test_readability_is_not_claimed_for_other_languages() -> None:
    found = prose(read_markdown("夜空中有许多星星，它们离我们非常遥远。" * 6, language="zh"))
    assert "lix" not in found.values
    assert "'zh'" in found.missing["lix"]
    assert found.values["language_named"] == 1.0
    assert found.values["repeated_sentences"] == pytest.approx(5 / 6)


def test_a_paragraph_in_another_language_shows() -> None:
    german = "Der Reiher steht im flachen Wasser und wartet, bis ein Fisch nahe genug an seine Beine kommt."
    found = prose(read_markdown(TEXT + "\n" + german, language="de"))
    assert 0.7 < found.values["one_language"] < 1
    assert found.values["language_named"] == 0.0
    assert [f.measure for f in found.findings] == ["one_language", "language_named"]


# --- intervals -------------------------------------------------------------------------------------------------------


def test_intervals_are_over_articles_and_repeatable() -> None:
    assert mean_of([]) is None
    one = mean_of([3.0])
    assert one is not None
    assert (one.mean, one.n, one.low, one.high) == (3.0, 1, None, None)
    four = mean_of([0.0, 0.0, 0.0, 1.0])
    assert four is not None
    assert (four.mean, four.n, four.low) == (0.25, 4, None), "percentiles of four articles are no interval"
    few, many = mean_of([0.0, 1.0] * 5), mean_of([0.0, 1.0] * 500)
    assert few is not None
    assert many is not None
    assert few == mean_of([0.0, 1.0] * 5)
    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert many.high is not None
    assert few.low < 0.5 < few.high
    # The spread of a mean falls with the root of the number: a tenth for a hundred times as many.
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(10, rel=0.35)


def test_every_measure_is_explained_and_on_its_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluate.md").read_text(encoding="utf-8")
    for name, one in MEASURES.items():
        assert one.what.endswith("."), name
        assert f"| {one.title} | {one.what} | {one.source} | {one.limit} |" in page, name
