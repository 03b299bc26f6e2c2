"""Measures by encoders: right figures above wrong ones, with the library's background or the article's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_siglip import COLOURS, make_siglip

from limner.document import Article, Illustration, read_markdown
from limner.settings import Settings
from limner.tools.encoders import default_encoders
from limner.tools.library import index
from limner.workflows.context import Context, build_context
from limner.workflows.evaluate.encoded import encoded
from limner.workflows.evaluate.reading import Given

TEXT = """# Honey

A honeybee collects the nectar of purple blossoms, flower after flower.

A beehive is a white wooden box under the apple trees of an orchard.

A container ship leaves the harbour with thousands of boxes on her deck.
"""
CAPTIONS = (
    "A honeybee collecting nectar from a flower",
    "A wooden beehive in an orchard",
    "A container ship leaving the harbour",
)


def given(order: tuple[int, ...], library: str = "", text: str = TEXT) -> Given:
    """Figures after the three paragraphs, with these captions."""
    figures = [
        Illustration(
            id=f"f{n}", after=f"b{n + 2}", image_id=f"{n:032x}", library=library, caption=CAPTIONS[which], alt="",
            width=9, height=9,
        )
        for n, which in enumerate(order)
    ]  # fmt: skip
    return Given("honey", read_markdown(text).illustrated(figures), Path())


@pytest.mark.parametrize("library", ["bees", "", "../../etc"])
def test_captions_at_their_places_lie_above_captions_at_others(bees: Path, library: str) -> None:
    context = build_context(Settings(), library=[])
    right, wrong = (encoded(given(order, library), context).values for order in ((0, 1, 2), (1, 2, 0)))
    assert right["captions_fit"] > wrong["captions_fit"] + 1
    assert right["coverage"] == wrong["coverage"]  # the same captions and the same text
    assert right["new_words"] == pytest.approx(2 / 11)  # of "wooden", "leaving", "collecting" and so on, by their stems


def test_what_cannot_be_measured_says_why(bees: Path) -> None:
    context = build_context(Settings(), library=[])
    found = encoded(given((0, 1, 2)), context)
    assert "no encoder of pictures here" in found.missing["pictures_fit"]
    assert encoded(given(()), context).missing["captions_fit"] == "the article has no figure"
    bare = given((0,))
    bare = Given(
        "x", bare.article.illustrated(i.model_copy(update={"caption": ""}) for i in bare.article.illustrations), Path()
    )
    assert encoded(bare, context).missing["captions_fit"] == "no figure has words"


# --- pictures --------------------------------------------------------------------------------------------------------

NAMES = list(COLOURS)


@pytest.fixture
def colours(tmp_path: Path, home: Path) -> Context:
    """A library "colours" of eight plain pictures, and an encoder that sees colours and reads their names."""
    encoder = make_siglip(tmp_path / "siglip")
    (tmp_path / "photos").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{name}.png")
    rows = [json.dumps({"file_name": f"{name}.png", "caption": f"A {name} field"}) for name in NAMES]
    (tmp_path / "photos" / "metadata.jsonl").write_text("\n".join(rows))
    settings = Settings(clip_model=str(encoder))
    index(home, "colours", [tmp_path / "photos"], default_encoders(clip_model=str(encoder), home=home))
    return build_context(settings, library=[])


def painted(folder: Path, pictures: tuple[str, ...], captions: tuple[str, ...]) -> Given:
    """An article on three colours, with these pictures and captions."""
    text = "".join(
        f"The paint is {name}, and so is all that the painter touches.\n\n" for name in ("red", "blue", "green")
    )
    (folder / "images").mkdir(parents=True)
    figures = []
    for n, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        Image.new("RGB", (64, 48), COLOURS[picture]).save(folder / "images" / f"{n}.png")
        figures.append(
            Illustration(
                id=f"f{n}", after=f"b{n + 1}", image_id=f"{n:032x}", library="colours", caption=caption, alt="",
                width=64, height=48, file=f"images/{n}.png",
            )
        )  # fmt: skip
    article: Article = read_markdown(text).illustrated(figures)
    return Given("paint", article, folder)


def test_pictures_are_measured_with_text_caption_and_each_other(tmp_path: Path, colours: Context) -> None:
    right = encoded(painted(tmp_path / "a", ("red", "blue", "green"), ("red", "blue", "green")), colours).values
    wrong = encoded(painted(tmp_path / "b", ("blue", "green", "red"), ("red", "blue", "green")), colours).values
    alike = encoded(painted(tmp_path / "c", ("red", "red", "red"), ("red", "blue", "green")), colours).values
    assert right["pictures_fit"] > wrong["pictures_fit"] + 1
    assert right["captions_true"] > wrong["captions_true"] + 1
    assert alike["pictures_agree"] > right["pictures_agree"] + 1


def test_a_missing_file_leaves_the_other_pictures(tmp_path: Path, colours: Context) -> None:
    article = painted(tmp_path / "a", ("red", "blue", "green"), ("red", "blue", "green"))
    (tmp_path / "a" / "images" / "0.png").unlink()
    (tmp_path / "a" / "images" / "1.png").write_text("no picture")
    found = encoded(article, colours)
    assert found.values["pictures_fit"] > 1
    assert found.missing["pictures_agree"] == "it takes two figures"
