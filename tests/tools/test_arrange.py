"""The best set of images, compared with all sets there are; and what may not be in it."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.document import Article, Candidate, Selection, Spot, read_markdown
from limner.tools.arrange import ALIKE, LIKELY, PENALTY, Pair, _best_set, arrange, relevance, shortfall
from limner.tools.fit import image_words
from limner.tools.spotting import spots_from_text

HARVEST = "In August the keeper spins honey out of the combs in a drum."
SWARM = "A swarm hangs in a cluster from a branch while scouts look for a hollow tree."
MITES = "The varroa mite feeds on brood; acid treats it in winter."
TAXES = "Value added tax is due each quarter and is paid by bank transfer."

DRUM = "Honey spun out of combs in a drum"
CLUSTER = "A swarm of bees hanging in a cluster from a branch"
MITE = "A varroa mite on bee brood"
SHIP = "A container ship in the port of Rotterdam"


def candidate(caption: str, image_id: str = "", cosine: float = 0.0, **more: object) -> Candidate:
    given = {"library": "l", "score": 0.0, "scores": {"caption": cosine}, "width": 9, "height": 9, **more}
    return Candidate.model_validate({"image_id": image_id or caption, "caption": caption, **given})


def article(*paragraphs: str) -> Article:
    return read_markdown("\n\n".join(paragraphs), title="Bees")


def options(text: Article, *captions: str, **more: object) -> list[Selection]:
    found = tuple(candidate(c) for c in captions)
    return [
        Selection.model_validate({"spot": s, "candidates": found, "by": "similarity", **more})
        for s in spots_from_text(text)
    ]


def captions(kept: dict[str, Candidate]) -> dict[str, str]:
    return {spot: c.caption for spot, c in kept.items()}


# --- the set is the best there is ------------------------------------------------------------------------------------


def best_by_trying(gains: dict[tuple[int, int], float], places: int, images: int, count: int, exactly: bool, likeness):
    """Greatest total over all ways to give places different images; as many as can be, at most `count`, if exactly."""
    best: dict[int, float] = {0: 0.0}
    for row in permutations([*range(images), *[-1] * places], places):
        used = [(p, i) for p, i in enumerate(row) if i >= 0]
        if len(used) > count or any(pair not in gains for pair in used):
            continue
        total = sum(gains[pair] for pair in used)
        chosen = [i for _, i in used]
        total -= sum(PENALTY * s for (a, b), s in likeness.items() if a in chosen and b in chosen)
        best[len(used)] = max(best.get(len(used), total), total)
    return best[max(best)] if exactly else max(best.values())


@st.composite
def problems(draw):
    places, images = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    every = [(p, i) for p in range(places) for i in range(images)]
    edges = draw(st.lists(st.sampled_from(every), unique=True, min_size=1))
    gains = {e: draw(st.integers(-20, 100)) / 64 for e in edges}  # binary fractions: sums have no rounding
    words = [draw(st.sampled_from(["red barn", "blue lake", "old mill"])) for _ in range(images)]
    return gains, places, images, draw(st.integers(1, 4)), draw(st.booleans()), words


@settings(max_examples=150, deadline=None)
@given(problems())
def test_no_set_is_better(problem) -> None:
    gains, places, images, count, exactly, words = problem
    pairs = [Pair(f"s{p}", f"b{p}", candidate(words[i], f"i{i}"), gain) for (p, i), gain in gains.items()]
    # Equal captions have cosine 1 and these three share no word.
    likeness = {(a, b): 1.0 for a in range(images) for b in range(a) if words[a] == words[b]}
    best = _best_set(pairs, count, image_words([p.candidate for p in pairs])[0], exactly=exactly)

    assert len({p.place for p in best}) == len({p.candidate.image_id for p in best}) == len(best) <= count
    ids = [int(p.candidate.image_id[1:]) for p in best]
    total = sum(p.gain for p in best) - sum(PENALTY * s for (a, b), s in likeness.items() if a in ids and b in ids)
    assert total == pytest.approx(best_by_trying(gains, places, images, count, exactly, likeness), abs=1e-6)


def test_a_little_worse_here_frees_a_much_better_one_there() -> None:
    pairs = [
        Pair("s1", "b1", candidate("one"), 0.9),
        Pair("s1", "b1", candidate("two"), 0.8),
        Pair("s2", "b2", candidate("one"), 0.8),
    ]
    best = _best_set(pairs, 2, image_words([p.candidate for p in pairs])[0], exactly=True)
    assert {p.spot: p.candidate.caption for p in best} == {"s1": "two", "s2": "one"}


# --- relevance -------------------------------------------------------------------------------------------------------


def test_words_in_common_count_and_rare_ones_more() -> None:
    text = article(HARVEST, SWARM, MITES)
    rows = relevance(options(text, DRUM, CLUSTER, MITE, SHIP))
    assert [max(row, key=lambda i: row[i]) for row in rows] == [DRUM, CLUSTER, MITE]
    assert all(row[SHIP] == min(row.values()) for row in rows)


def test_a_long_paragraph_does_not_win_by_its_length() -> None:
    long = SWARM + " " + " ".join(f"Other matter number {n} follows." for n in range(20))
    short, padded = relevance(options(article(SWARM, long), CLUSTER, SHIP))
    assert short[CLUSTER] > padded[CLUSTER] > 0


def test_meaning_counts_where_no_word_is_shared() -> None:
    spot = Spot(id="s1", after="b1", caption="c", search="dusk")
    near, far = candidate("evening", cosine=0.6), candidate("engine", cosine=0.1)
    row = relevance([Selection(spot=spot, candidates=(far, near), by="similarity")])[0]
    assert row["evening"] > row["engine"] > 0


def test_clip_counts_too_on_the_scale_of_captions() -> None:
    spot = Spot(id="s1", after="b1", caption="c", search="dusk")
    found = tuple(
        candidate(name, scores={"caption": cosine, "clip": clip})
        for name, cosine, clip in [("IMG 1", 0.1, 0.20), ("IMG 2", 0.1, 0.29), ("IMG 3", 0.3, 0.21)]
    )
    row = relevance([Selection(spot=spot, candidates=found, by="similarity")])[0]
    assert row["IMG 2"] > row["IMG 1"]
    assert row["IMG 3"] > row["IMG 1"]
    assert max(row.values()) < 0.3


def test_relevance_of_nothing() -> None:
    assert relevance([]) == []
    spot = Spot(id="s1", after="b1", caption="c", search="")
    assert relevance([Selection(spot=spot, candidates=(), by="similarity")]) == [{}]


# --- arrange ---------------------------------------------------------------------------------------------------------


def test_each_image_goes_where_it_fits() -> None:
    text = article(HARVEST, TAXES, SWARM, MITES)
    kept, why = arrange(text, options(text, MITE, SHIP, CLUSTER, DRUM), 3)
    assert captions(kept) == {"s1": DRUM, "s3": CLUSTER, "s4": MITE}
    assert (why["s1"].code, why["s1"].params["by"].code) == ("kept-best", "by-words")
    assert why["s2"].code == "empty-elsewhere"


def test_auto_places_what_fits_and_nothing_where_nothing_does() -> None:
    text = article(HARVEST, TAXES, TAXES, SWARM)
    assert captions(arrange(text, options(text, SHIP, CLUSTER, DRUM), "auto")[0]) == {"s1": DRUM, "s4": CLUSTER}
    kept, why = arrange(text, options(text, SHIP), "auto")
    assert kept == {}
    assert (why["s1"].code, why["s1"].params["least"]) == ("empty-unlikely", round(100 * LIKELY))


def test_auto_keeps_two_paragraphs_of_three_free() -> None:
    text = article(HARVEST, SWARM, MITES)
    assert len(arrange(text, options(text, DRUM, CLUSTER, MITE), "auto")[0]) == 1


def test_as_many_as_asked_for_or_as_many_as_can_be() -> None:
    text = article(HARVEST, SWARM, MITES)
    given = options(text, DRUM, SHIP)
    for asked, placed in ((0, 0), (1, 1), (2, 2), (50, 2)):
        kept, _ = arrange(text, given, asked)
        assert len(kept) == placed
        assert bool(shortfall(given, asked, kept)) == (placed < asked)
    assert shortfall(given, 50, arrange(text, given, 50)[0]).startswith("2 of 50 images were placed: 3 paragraphs ")
    assert shortfall(given, "auto", {}) == ""


def test_two_spots_after_one_paragraph_get_one_image() -> None:
    text = article(HARVEST, SWARM)
    again = [
        o.model_copy(update={"spot": o.spot.model_copy(update={"id": o.spot.id + "x"})}) for o in options(text, DRUM)
    ]
    kept, why = arrange(text, [*options(text, DRUM, CLUSTER), *again], 4)
    assert len(kept) == 2
    assert sorted(why) == ["s1", "s1x", "s2", "s2x"]
    assert sum(w == "Empty: another spot has the image after this paragraph." for w in why.values()) == 2


@pytest.mark.parametrize("by", ["pixels", "person"])
def test_a_choice_outweighs_relevance_and_needs_no_threshold(by: str) -> None:
    text = article(HARVEST, TAXES, TAXES)
    given = options(text, DRUM, SHIP)
    given[1] = given[1].model_copy(update={"choice": SHIP, "by": by, "confidence": 1.0})
    kept, why = arrange(text, given, "auto")
    assert captions(kept) == {"s2": SHIP}
    assert why["s2"].code == "kept-chosen"


def test_pixels_outweigh_captions() -> None:
    text = article(TAXES, TAXES)
    given = options(text, SHIP)
    given[0] = given[0].model_copy(update={"choice": SHIP, "by": "captions", "confidence": 1.0})
    given[1] = given[1].model_copy(update={"choice": SHIP, "by": "pixels", "confidence": 1.0})
    assert list(arrange(text, given, 1)[0]) == ["s2"]


@pytest.mark.parametrize("by", ["pixels", "captions", "person"])
def test_nothing_fits_is_an_answer(by: str) -> None:
    text = article(HARVEST, SWARM)
    given = options(text, DRUM, CLUSTER)
    given[0] = given[0].model_copy(update={"choice": None, "by": by})
    kept, why = arrange(text, given, 2)
    assert captions(kept) == {"s2": CLUSTER}
    assert why["s1"].code == "empty-nothing"
    assert shortfall(given, 2, kept).params == {"placed": 1, "wanted": 2, "places": 1, "found": 2}


@pytest.mark.parametrize("images", [1, "auto"])
def test_an_image_handed_in_is_used(images) -> None:
    text = article(HARVEST, SWARM)
    kept, _ = arrange(text, options(text, DRUM, CLUSTER, SHIP), images, prefer=frozenset({SHIP}))
    assert list(captions(kept).values()) == [SHIP]


def test_a_strong_wish_decides_between_equals() -> None:
    text = article(TAXES, TAXES)
    given = options(text, SHIP)
    given[1] = given[1].model_copy(update={"spot": given[1].spot.model_copy(update={"strength": 0.9})})
    assert list(arrange(text, given, 1)[0]) == ["s2"]


def test_a_copy_is_left_out_where_something_else_fits_nearly_as_well() -> None:
    text = article(SWARM, SWARM + " It is loud.", MITES)
    spots = spots_from_text(text)
    found = (candidate(CLUSTER, "a"), candidate(CLUSTER, "b"), candidate(MITE, "m"))
    given = [Selection(spot=s, candidates=found, by="similarity") for s in spots]
    assert 0 < ALIKE < 1
    assert sorted(c.image_id for c in arrange(text, given, 2)[0].values())[1] == "m"
    assert len(arrange(text, given, 3)[0]) == 3  # but the number asked for is kept


def test_a_spot_without_candidates_says_so() -> None:
    text = article(HARVEST)
    kept, why = arrange(text, options(text), 1)
    assert (kept, why) == ({}, {"s1": "Empty: no candidates were found."})


def test_a_spot_after_no_paragraph_is_refused() -> None:
    spot = Spot(id="s1", after="gone", caption="c", search="c")
    with pytest.raises(KeyError):
        arrange(article(HARVEST), [Selection(spot=spot, candidates=(), by="similarity")], 1)


def test_the_same_again() -> None:
    text = article(HARVEST, TAXES, SWARM, MITES)
    given = options(text, MITE, SHIP, CLUSTER, DRUM)
    assert arrange(text, given, 3) == arrange(text, given, 3)
