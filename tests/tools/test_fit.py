"""One measure of fit: whatever is known of an image, in whatever band its encoders live."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.document import Candidate, Selection, Spot
from limner.tools.arrange import arrange, unfit
from limner.tools.chance import measured, unrelated_texts
from limner.tools.filenames import says_something
from limner.tools.fit import LEARNT, fits, log_odds, probability
from limner.tools.terms import language, terms

SIGNALS = ("words", "caption", "clip")


def image(image_id: str, says: str = "", **fits: float) -> Candidate:
    """An image with a caption, or a bare one, that lies so far above chance by these encoders."""
    words = {"caption": says or "DSC 0001", "described": bool(says)}
    about = {"library": "l", "score": 0.0, "width": 9, "height": 9, **words}
    return Candidate.model_validate({"image_id": image_id, "fits": fits, **about})


def option(*found: Candidate, search: str = "A swarm of bees hangs from a branch.") -> Selection:
    spot = Spot(id="s1", after="b1", caption="c", search=search)
    return Selection(spot=spot, candidates=found, by="similarity")


# --- any mixture of signals ------------------------------------------------------------------------------------------


def test_every_mixture_of_signals_has_its_weights() -> None:
    every = {frozenset(c) for n in (1, 2, 3) for c in combinations(SIGNALS, n)}
    assert set(LEARNT) == every
    assert all(weight > 0 for learnt in LEARNT.values() for weight in learnt.weights.values())


def test_a_signal_that_an_image_lacks_is_absent_and_not_zero() -> None:
    seen = fits([option(image("a", clip=6.0))])[0]["a"]
    assert seen.signals == {"clip": 6.0}
    contradicted = fits([option(image("b", "A ship in a port", clip=6.0, caption=0.0))])[0]["b"]
    assert set(contradicted.signals) == {"words", "caption", "clip"}
    assert seen.log_odds > contradicted.log_odds


def candidates_with(signals: tuple[str, ...]) -> tuple[Candidate, Candidate]:
    """One that fits by all of the signals, one by none."""
    dense = {name for name in signals if name != "words"}
    told = "words" in signals
    good = image("good", "A swarm of bees on a branch" if told else "", **dict.fromkeys(dense, 8.0))
    bad = image("bad", "A ship in a port" if told else "", **dict.fromkeys(dense, 0.3))
    return good, bad


@pytest.mark.parametrize("signals", [c for n in (1, 2, 3) for c in combinations(SIGNALS, n)], ids="+".join)
def test_the_right_image_is_likely_and_the_wrong_one_is_not(signals: tuple[str, ...]) -> None:
    row = fits([option(*candidates_with(signals))])[0]
    assert probability(row["good"].log_odds) > 0.5 > 0.1 > probability(row["bad"].log_odds)
    assert unfit([option(candidates_with(signals)[0])]) == frozenset()
    assert unfit([option(candidates_with(signals)[1])]) == {"s1"}


def test_a_signal_of_a_plug_in_counts_as_what_a_picture_shows() -> None:
    seen, depth = fits([option(image("a", clip=6.0), image("b", depth=6.0))])[0].values()
    assert depth.log_odds == pytest.approx(seen.log_odds)
    both = fits([option(image("c", clip=6.0, depth=6.0))])[0]["c"]
    assert both.log_odds == pytest.approx(seen.log_odds)  # they say the same, and it is not counted twice


def test_an_image_of_which_nothing_is_known_is_the_least_likely() -> None:
    unknown, poor = fits([option(image("a"), image("b", clip=-1.0))])[0].values()
    assert unknown.log_odds < poor.log_odds
    assert unknown.most == ""


def test_probability_and_log_odds_are_inverse() -> None:
    assert probability(log_odds(0.1)) == pytest.approx(0.1)
    assert probability(-1e6) == pytest.approx(0.0)


# --- any band --------------------------------------------------------------------------------------------------------


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(st.floats(0.0, 6.0), st.integers(0, 5))
def test_a_band_of_an_encoder_changes_no_fit(shift: float, seed: int) -> None:
    """A common part in all vectors, as e5 has one: cosines move from around 0 to around 0.97, fits hardly."""
    draw = np.random.default_rng(seed)
    pictures, queries, texts = (draw.normal(size=(n, 64)) for n in (60, 8, 30))
    queries[0] += 1.5 * pictures[0]

    def fit(common: float) -> np.ndarray:
        moved = [unit(np.hstack([unit(rows), np.full((len(rows), 1), common)])) for rows in (pictures, queries, texts)]
        base, spread = measured(moved[0], moved[2]).expected(moved[1])
        return (moved[1] @ moved[0].T - base[:, None]) / spread

    assert np.allclose(fit(0.0), fit(shift), atol=0.05)


def test_what_fits_lies_far_above_chance_and_the_rest_around_it() -> None:
    draw = np.random.default_rng(1)
    pictures, queries = draw.normal(size=(100, 64)), draw.normal(size=(10, 64))
    queries[:, :] += 1.2 * pictures[:10]
    sample, asked = unit(pictures), unit(queries)
    base, spread = measured(sample, unit(draw.normal(size=(30, 64)))).expected(asked)
    above = (asked @ sample.T - base[:, None]) / spread
    assert np.diag(above[:, :10]).min() > 3
    assert abs(float(np.median(above))) < 0.3


def test_in_a_library_of_one_picture_the_unrelated_texts_say_what_chance_is() -> None:
    draw = np.random.default_rng(2)
    picture = unit(draw.normal(size=(1, 64)))
    chance = measured(picture, unit(draw.normal(size=(40, 64))))
    base, spread = chance.expected(picture)
    assert (1.0 - base[0]) / spread > 4


def test_unrelated_texts_are_of_several_languages() -> None:
    texts = unrelated_texts()
    assert len(texts) == len(set(texts)) > 30
    assert any("面包" in text for text in texts)


def test_fits_of_one_library_and_of_another_are_compared_as_they_are() -> None:
    near, far = fits([option(image("a", clip=7.0), image("b", "Ships", caption=2.0))])[0].values()
    assert near.log_odds > far.log_odds


# --- names of files, words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("DSC 0001", False), ("IMG 20250612 WA0003", False), ("DSCN1234 edited", False), ("P1010023", False),
        ("PXL 20230101 123456789.PORTRAIT", False), ("Screenshot 2025-01-01 at 10.11.12", False), ("image", False),
        ("WhatsApp Image 2024-05-05 at 12.00.00", False), ("a3f9c2d1e8b74f60", False), ("IV", False), ("", False),
        ("crab nebula 2", True), ("DSC 0001 crab nebula", True), ("harvest at dusk 02", True), ("蜂蜜", True),
        ("Żubr", True),
    ],
)  # fmt: skip
def test_a_camera_file_name_says_nothing(name: str, says: bool) -> None:
    assert says_something(name) is says


def test_words_are_compared_by_their_stems() -> None:
    english = language(["The galaxies were observed through telescopes by many astronomers over the years."])
    assert english == "en"
    assert terms("observing galaxies", english).keys() & terms("the observed galaxy", english).keys() >= {"observ"}
    spanish = language(["Las corrientes eléctricas circulan por los conductores cuando se aplica un voltaje."])
    assert spanish == "es"
    assert set(terms("corrientes eléctricas", spanish)) == set(terms("corriente eléctrica", spanish))
    assert language(["蜜蜂在蜂箱入口扇动翅膀降温，另一些蜜蜂则把水和花蜜带回蜂巢。"]) == ""
    assert language(["1234", ""]) == ""


def test_a_note_says_why_in_the_same_terms() -> None:
    from limner.document import read_markdown

    text = read_markdown("A swarm hangs from a branch.\n\nTaxes are due.\n\nMore taxes.", title="Bees")
    spot = Spot(id="s1", after=text.paragraphs[0].id, caption="c", search="A swarm hangs from a branch.")
    given = [Selection(spot=spot, candidates=(image("a", clip=9.0),), by="similarity")]
    kept, why = arrange(text, given, "auto")
    assert kept["s1"].image_id == "a"
    assert why["s1"].code == "kept-best"
    assert why["s1"].params["by"].code == "by-clip"
    assert why["s1"].params["z"] == 9.0
    assert why["s1"].params["p"] > 50
    assert "what it shows (9.0 deviations above chance)" in why["s1"]
    _, why = arrange(text, [given[0].model_copy(update={"candidates": (image("a", clip=1.0),)})], "auto")
    assert why["s1"].code == "empty-unlikely"
