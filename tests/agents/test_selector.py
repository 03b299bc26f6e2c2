"""The selector: what it is shown, how its answers settle, and whether a model sees at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from scripted import (
    ARTICLE,
    Answer,
    ScriptedServer,
    Status,
    article_answers,
    by_colour,
    colour_of,
    images_of,
    in_turn,
    last_text,
    no_response_format,
    text_of,
)

from limner.agents.meter import Meter
from limner.agents.selector import AGREED, DISAGREED, SEEN_BEFORE, SHOWN, SURE, sees_images, select
from limner.agents.speaker import Speaker
from limner.document import Candidate, Selection, Spot, read_markdown
from limner.errors import BudgetReached, ModelRefused, ModelUnreachable
from limner.settings import Settings
from limner.workflows.models import connect

BEES = read_markdown(ARTICLE)
COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "black": (0, 0, 0), "white": (255, 255, 255)}
FOUR = ("green", "blue", "red", "black")


def spot(number: int) -> Spot:
    paragraph = BEES.paragraphs[number - 1]
    return Spot(id=f"s{number}", after=paragraph.id, caption=f"Something red {number}", search="something red")


def candidate(colour: str) -> Candidate:
    return Candidate(image_id=colour, library="l", score=0.5, caption=f"A {colour} square", width=64, height=64)


def pixels(candidate: Candidate) -> str:
    out = BytesIO()
    Image.new("RGB", (16, 16), COLOURS[candidate.image_id]).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def speaker(server: ScriptedServer, meter: Meter | None = None) -> Speaker:
    return connect(server.url, "m", "selector", meter or Meter(), Settings(retries=0))


def chosen_from(
    server: ScriptedServer, names: Sequence[str] = FOUR, look: Any = None, seed: int = 0, number: int = 2
) -> Selection:
    return select(BEES, spot(number), [candidate(n) for n in names], [], speaker(server), look, seed)


def shown_in(prompt: str) -> tuple[str, ...]:
    """The captions of a prompt's candidates, in order."""
    return tuple(line.split()[2] for line in prompt.splitlines() if line.startswith("("))


def naming(colour: str, sure: bool = True) -> Any:
    """A model that reads captions and always prefers this colour, 0 where it is not shown."""

    def answer(body: dict[str, Any]) -> str:
        shown = shown_in(last_text(body))
        return json.dumps({"image": shown.index(colour) + 1 if colour in shown else 0, "sure": sure})

    return answer


# --- one look ------------------------------------------------------------------------------------------------------


def test_a_choice_by_captions_is_recorded_as_it_was_made() -> None:
    with ScriptedServer(naming("red")) as server:
        selection = chosen_from(server, [*FOUR, "white"])
    assert (selection.choice, selection.by, selection.confidence, selection.fallback) == ("red", "captions", SURE, "")
    assert [c.image_id for c in selection.candidates] == [*FOUR, "white"], "all of them, as retrieved"
    (order,) = selection.shown
    assert sorted(order) == sorted(FOUR), "the best four"
    assert len(order) == SHOWN
    (prompt,) = server.texts
    assert shown_in(prompt) == order
    assert json.loads(selection.answers[0])["image"] == order.index("red") + 1
    assert "Something red 2" in prompt
    assert images_of(server.requests[0]) == []


def test_a_choice_by_pixels_shows_the_pixels_in_the_same_order() -> None:
    with ScriptedServer(by_colour) as server:
        selection = chosen_from(server, look=pixels)
    assert (selection.choice, selection.by) == ("red", "pixels")
    (order,) = selection.shown
    assert [colour_of(url) for url in images_of(server.requests[0])] == [COLOURS[name] for name in order]


def test_captions_go_to_the_server_without_images_in_them() -> None:
    evil = candidate("red").model_copy(
        update={"caption": "![x](http://evil.example/x.png)", "alt": "![y](file:///etc)"}
    )
    with ScriptedServer(in_turn('{"image": 1}')) as server:
        select(BEES, spot(2), [evil], [], speaker(server), pixels)
    body = server.requests[0]
    assert "evil.example" in text_of(body)
    assert "![" not in text_of(body)
    assert len(images_of(body)) == 1


def test_the_order_is_shuffled_by_the_seed_and_nothing_else() -> None:
    def orders(seed: int) -> list[tuple[str, ...]]:
        with ScriptedServer(naming("red")) as server:
            return [chosen_from(server, seed=seed, number=n).shown[0] for n in (1, 2, 3, 4)]

    assert orders(0) == orders(0)
    assert orders(0) != orders(1)
    assert len(set(orders(0))) > 1, "each spot has its own order"


def test_no_place_in_the_list_is_favoured() -> None:
    with ScriptedServer(article_answers()) as server:
        firsts = [chosen_from(server, seed=seed).shown[0][0] for seed in range(40)]
    assert set(firsts) == set(FOUR)


def test_the_seed_goes_to_the_server() -> None:
    with ScriptedServer(naming("red")) as server:
        chosen_from(server, seed=11)
    assert server.requests[0]["seed"] == 11


def test_nothing_fits_is_an_answer() -> None:
    with ScriptedServer(in_turn('{"image": 0, "sure": true}')) as server:
        selection = chosen_from(server)
    assert (selection.choice, selection.by, selection.confidence) == (None, "captions", SURE)


# --- a second look -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_not_sure_is_asked_again_with_every_candidate_moved(seed: int) -> None:
    with ScriptedServer(naming("red", sure=False)) as server:
        selection = chosen_from(server, seed=seed)
    first, second = selection.shown
    assert sorted(first) == sorted(second)
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert (selection.choice, selection.confidence) == ("red", AGREED)
    assert [shown_in(text) for text in server.texts] == [first, second]
    assert len(selection.answers) == 2


def test_two_looks_that_disagree_leave_it_to_retrieval_with_less_confidence() -> None:
    always_first = '{"image": 1, "sure": false}'  # a model that favours a place
    with ScriptedServer(in_turn(always_first, always_first)) as server:
        selection = chosen_from(server)
    first, second = selection.shown[0][0], selection.shown[1][0]
    assert first != second
    assert selection.choice == min(first, second, key=FOUR.index)
    assert selection.confidence == DISAGREED


@pytest.mark.parametrize("answers", [(0, 2), (2, 0)])
def test_one_look_for_none_and_one_for_an_image_gives_the_image_a_chance(answers: tuple[int, int]) -> None:
    with ScriptedServer(in_turn(*(json.dumps({"image": n, "sure": False}) for n in answers))) as server:
        selection = chosen_from(server)
    assert selection.choice == selection.shown[answers.index(2)][1]
    assert selection.confidence == DISAGREED


def test_twice_none_is_none() -> None:
    nothing = '{"image": 0, "sure": false}'
    with ScriptedServer(in_turn(nothing, nothing)) as server:
        selection = chosen_from(server)
    assert (selection.choice, selection.confidence) == (None, AGREED)


def test_a_single_candidate_is_not_asked_about_twice() -> None:
    with ScriptedServer(in_turn('{"image": 1, "sure": false}')) as server:
        assert chosen_from(server, ["red"]).choice == "red"


# --- what came before ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [None, pixels])
def test_the_images_chosen_before_are_in_the_prompt(look: Any) -> None:
    chosen = [(spot(1), candidate("white")), (spot(2), candidate("blue"))]
    with ScriptedServer(in_turn('{"image": 1}')) as server:
        select(BEES, spot(4), [candidate("red")], chosen, speaker(server), look)
    text = text_of(server.requests[0])
    assert text.index("Chosen after [1]") < text.index("Chosen after [2]") < text.index("Candidates:")
    if look:
        seen = [colour_of(url) for url in images_of(server.requests[0])]
        assert seen == [COLOURS["white"], COLOURS["blue"], COLOURS["red"]]
    else:
        assert "A white square" in text


def test_the_number_of_images_in_a_prompt_is_bounded() -> None:
    chosen = [(spot(1), candidate("white"))] * 20
    with ScriptedServer(in_turn('{"image": 1}')) as server:
        select(BEES, spot(4), [candidate(n) for n in FOUR], chosen, speaker(server), pixels)
    assert len(images_of(server.requests[0])) == SEEN_BEFORE + SHOWN
    assert text_of(server.requests[0]).count("A white square") == 20 - SEEN_BEFORE


# --- answers nobody can read, servers that refuse ------------------------------------------------------------------


def test_the_seventh_of_four_goes_back_with_the_reason() -> None:
    with ScriptedServer(in_turn("The 7th image is lovely.", '{"image": 2, "sure": true}')) as server:
        selection = chosen_from(server)
    assert selection.choice == selection.shown[0][1]
    assert selection.answers == ("The 7th image is lovely.", '{"image": 2, "sure": true}')
    assert "candidates 1 to 4" in last_text(server.requests[1])


def test_unreadable_twice_leaves_it_to_similarity_and_says_so() -> None:
    with ScriptedServer(in_turn("All of them!", "Truly, all.")) as server:
        selection = chosen_from(server)
    assert (selection.by, selection.choice, selection.confidence) == ("similarity", None, DISAGREED)
    assert selection.fallback == "The selector's answer could not be read twice; similarity decides."
    assert selection.answers == ("All of them!", "Truly, all.")


def test_a_second_look_that_cannot_be_read_leaves_the_first() -> None:
    with ScriptedServer(in_turn('{"image": 3, "sure": false}', "hm", "hm")) as server:
        selection = chosen_from(server)
    assert selection.choice == selection.shown[0][2]
    assert selection.confidence == DISAGREED
    assert "its first one counts" in selection.fallback


@pytest.mark.parametrize("status", [400, 413, 422])
def test_images_that_are_refused_are_judged_by_their_captions_and_it_says_so(status: int) -> None:
    def at_most_two(body: dict[str, Any]) -> Answer:
        if len(images_of(body)) > 2:
            return Status(status, {"error": {"message": "At most 2 image(s) may be provided in one prompt."}})
        return naming("red")(body)

    with ScriptedServer(at_most_two) as server:
        selection = chosen_from(server, look=pixels)
    assert (selection.choice, selection.by) == ("red", "captions")
    assert selection.fallback.startswith("Judged by captions: ")
    assert "At most 2 image(s)" in selection.fallback
    assert "\n" not in selection.fallback
    assert "response_format" in server.requests[-1], "it was the images, not the schema"


def test_a_server_without_schemas_is_asked_without() -> None:
    with ScriptedServer(lambda body: no_response_format(body) or naming("red")(body)) as server:
        assert chosen_from(server, look=None).choice == "red"


@pytest.mark.parametrize(("look", "status"), [(None, 400), (pixels, 500), (pixels, 401)])
def test_other_refusals_stop_the_composition(look: Any, status: int) -> None:
    with ScriptedServer(lambda body: Status(status, {})) as server, pytest.raises(ModelRefused):
        chosen_from(server, look=look)


def test_the_budget_stops_it_before_the_call() -> None:
    with ScriptedServer(in_turn()) as server, pytest.raises(BudgetReached):
        select(BEES, spot(1), [candidate("red")], [], speaker(server, Meter(budget=50)), None)
    assert server.requests == []


# --- does the model see? -------------------------------------------------------------------------------------------


def test_a_model_that_looks_at_pixels_sees() -> None:
    with ScriptedServer(by_colour) as server:
        assert sees_images(speaker(server)) == (True, "")
    seen = [[colour_of(url) for url in images_of(body)] for body in server.requests]
    assert seen == [[COLOURS["red"], COLOURS["blue"]], [COLOURS["blue"], COLOURS["red"]]]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"image": 1}', "named the first, then the first"),
        ('{"image": 2}', "named the second, then the second"),
        ('{"image": 0}', "named none, then none"),
        ("I cannot see pictures.", "named neither"),
        ("", "named neither"),
    ],
)
def test_a_model_that_is_blind_to_them_does_not(answer: str, reason: str) -> None:
    with ScriptedServer(lambda body: answer) as server:
        sees, why = sees_images(speaker(server))
    assert not sees
    assert reason in why


@pytest.mark.parametrize("status", [400, 404, 415, 422, 500])
def test_a_server_that_refuses_images_does_not(status: int) -> None:
    def no_images(body: dict[str, Any]) -> Answer:
        return Status(status, {"error": {"message": "image input is not supported"}}) if images_of(body) else "hello"

    with ScriptedServer(no_images) as server:
        sees, why = sees_images(speaker(server))
    assert not sees
    assert why == f"its server answered {status} (image input is not supported)", "and no advice for a broken server"


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_refusal_that_is_not_about_images_is_not_taken_for_blindness(status: int) -> None:
    with ScriptedServer(lambda body: Status(status, {})) as server, pytest.raises(ModelRefused):
        sees_images(speaker(server))


def test_no_server_is_not_taken_for_blindness() -> None:
    with ScriptedServer(in_turn()) as server:
        voice = speaker(server)
    with pytest.raises(ModelUnreachable):
        sees_images(voice)
