"""A wish is read by rules where they are certain; a scripted model answers the small questions that are left."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted import ScriptedChatModel

from limner.agents.dialects.commands import Command
from limner.agents.meter import Meter
from limner.agents.wishes.parts import read_wish
from limner.agents.wishes.steps import Steps, contradicts
from limner.document import Article, Illustration, read_markdown
from limner.workflows.models import speaker_for

PORT = """# The harbour

Ships bring coffee and timber to the quay. Cranes lift the boxes.

Pilots climb aboard from small boats. They know every current.

## The lighthouse

A keeper once lit the lamp. Today a sensor does it.
"""
HAFEN = "# 港口\n\n轮船运来咖啡和木材。\n\n引航员登上大船。\n\n灯塔的灯由传感器点亮。\n"
QUESTION = "I could not tell which paragraph; name it by its number or its words"


def article(source: str = PORT, *captions: str) -> Article:
    made = read_markdown(source)
    captions = captions or ("A crane over the quay", "The lighthouse at dusk")
    size: dict[str, Any] = {"width": 4, "height": 3}
    images = [
        Illustration(id=f"f-{n}", after=made.paragraphs[n].id, image_id=str(n), library="l", caption=c, alt="", **size)
        for n, c in enumerate(captions)
    ]
    return made.illustrated(images)


def understood(wish: str, *lines: str, on: Article | None = None) -> tuple[list[Command], list[str]]:
    """What comes of a wish when the model answers with these lines, and no more."""
    model = ScriptedChatModel(lines=list(lines))
    return Steps(on or article(), speaker_for(model, "reviser", Meter())).understood(wish)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("Make the first paragraph shorter", [("shorten", "b2", "")]),
        ("The passage about pilots is too long; trim it.", [("shorten", "b3", "")]),
        ("Translate the last paragraph into Chinese", [("translate", "b5", "zh")]),
        ("Traduce el segundo párrafo al alemán", [("translate", "b3", "de")]),
        ("Übersetze den letzten Absatz ins Spanische", [("translate", "b5", "es")]),
        ("Kürze den ersten Absatz", [("shorten", "b2", "")]),
        ("Lösche den zweiten Absatz", [("delete", "b3", "")]),
        ("Elimina el párrafo 2", [("delete", "b3", "")]),
        ("Remove the second-to-last paragraph", [("delete", "b3", "")]),
        ("Delete the first and third paragraphs", [("delete", "b2", ""), ("delete", "b5", "")]),
        ("Delete the section “The lighthouse”", [("delete", "b4", ""), ("delete", "b5", "")]),
        ('Delete the paragraph with "know every current"', [("delete", "b3", "")]),
        ("Call the article “All hands”", [("set_title", "", "All hands")]),
        ("Move the first paragraph after the last one", [("move", "b2", "b5")]),
        ("Shorten the article", [("shorten", "b2", ""), ("shorten", "b3", ""), ("shorten", "b5", "")]),
        ("Translate everything into French", [("translate_all", "", "fr")]),
        (
            "Shorten the first paragraph and translate it into German",
            [("shorten", "b2", ""), ("translate", "b2", "de")],
        ),
        ("Don't touch the title. Delete paragraph 1.", [("delete", "b2", "")]),
    ],
)
def test_rules_alone_read_what_to_do_with_which_text(wish: str, expected: list[tuple[str, str, str]]) -> None:
    commands, says = understood(wish)
    assert [(c.do, c.block, c.text) for c in commands] == expected, says
    assert says == []


@pytest.mark.parametrize("wish", ["No sé, cámbialo un poco.", "Something catchier."])
@pytest.mark.parametrize(
    "lines",
    [
        ['{"edit": "change_title"}', "Another title"],
        ['{"edit": "change_caption"}', '{"number": 1}', '{"number": 2}', "Another caption"],
    ],
)
def test_a_vague_wish_is_no_other_title_whatever_a_small_model_says(wish: str, lines: list[str]) -> None:
    commands, says = understood(wish, *lines)
    assert commands == []
    assert says[0].startswith("Not done: ")


def test_a_title_that_is_spoken_of_can_become_another() -> None:
    commands, _ = understood("The headline could be catchier.", '{"edit": "change_title"}', "Salt and steel")
    assert [(c.do, c.text) for c in commands] == [("set_title", "Salt and steel")]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("Remove the picture of the crane", [("remove_image", "f-0", "")]),
        ("Quita la segunda foto", [("remove_image", "f-1", "")]),
        ("Entferne das letzte Bild", [("remove_image", "f-1", "")]),
        ("Change the caption of the lighthouse photo to “Dusk”", [("describe_image", "f-1", "Dusk")]),
        ("Move the crane picture to after the last paragraph", [("move_image", "f-0", "")]),
        ("Delete the crane photo and shorten the first paragraph", [("remove_image", "f-0", ""), ("shorten", "", "")]),
    ],
)
def test_rules_alone_read_what_to_do_with_which_picture(wish: str, expected: list[tuple[str, str, str]]) -> None:
    commands, says = understood(wish)
    assert [(c.do, c.image, c.text) for c in commands] == expected, says


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("把第一段缩短一些", ("shorten", "b2", "")),
        ("删掉讲引航员的段落", ("delete", "b3", "")),
        ("将最后一段翻译成英文", ("translate", "b4", "en")),
        ("倒数第二段太长了，请精简", ("shorten", "b3", "")),
        ("标题改成《海港》", ("set_title", "", "海港")),
        ("把第三段移到第一段前面", ("move", "b4", "b2")),
        ("删除灯塔的照片", ("remove_image", "", "")),
    ],
)
def test_rules_alone_read_chinese(wish: str, expected: tuple[str, str, str]) -> None:
    (command,), says = understood(wish, on=article(HAFEN, "起重机", "黄昏的灯塔"))
    assert (command.do, command.block, command.text) == expected, says
    assert command.image == ("f-1" if command.do == "remove_image" else "")


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ("Make it shorter", QUESTION),
        ("Delete paragraph 9", "there are only 3 of its kind"),
        ("Translate the first paragraph", "I could not tell into which language"),
        ("Move the first paragraph", "I could not tell where it should go"),
    ],
)
def test_what_is_missing_is_said_and_nothing_done(wish: str, line: str) -> None:
    commands, (said,) = understood(wish)
    assert commands == []
    assert said.startswith(f"Not done: “{wish}”")
    assert line in said


def test_of_several_edits_those_that_are_clear_are_done_and_the_rest_is_named() -> None:
    commands, (said,) = understood("Remove the crane photo and delete paragraph 7")
    assert [c.do for c in commands] == ["remove_image"]
    assert "“delete paragraph 7”" in said


def test_the_model_is_asked_for_the_edit_alone_if_the_rest_is_certain_and_what_it_took_it_for_is_said() -> None:
    commands, says = understood("Nobody misses the crane photo", json.dumps({"edit": "remove_picture"}))
    assert [(c.do, c.image) for c in commands] == [("remove_image", "f-0")], says
    assert says == ["“Nobody misses the crane photo” was taken as: remove picture “A crane over the quay”."]
    _, (said,) = understood("Nobody misses the crane photo", json.dumps({"edit": "none"}))
    assert "I could not tell what to change" in said


def test_a_wish_about_a_picture_can_become_no_edit_of_text() -> None:
    answers = [json.dumps({"edit": "delete_text"})] * 2
    commands, (said,) = understood("Nobody misses the crane photo", *answers)
    assert commands == []
    assert "could not be read" in said


def test_a_block_that_the_model_names_in_both_orders_is_taken() -> None:
    wish = "Shorten the paragraph on goods from overseas"
    commands, _ = understood(wish, '{"number": 1}', '{"number": 3}')
    assert [(c.do, c.block) for c in commands] == [("shorten", "b2")]
    for answers in (['{"number": 1}', '{"number": 1}'], ['{"number": 0}']):
        commands, (said,) = understood(wish, *answers)
        assert commands == []
        assert QUESTION in said


def test_a_title_is_written_by_the_model_and_is_another() -> None:
    commands, _ = understood("Improve the title", "The harbour", "“Where ships come home”")
    assert [(c.do, c.text) for c in commands] == [("set_title", "Where ships come home")]


def test_a_new_picture_is_wished_in_the_own_words_and_in_english() -> None:
    answer = json.dumps({"caption": "un barco", "english": "a ship"})
    (command,), _ = understood("Inserta una foto de un barco después del primer párrafo", answer)
    assert (command.do, command.block, command.where) == ("add_image", "b2", "after")
    assert (command.text, command.search) == ("un barco", "a ship")


@pytest.mark.parametrize(
    ("wish", "parts"),
    [
        ("Shorten the first paragraph, and remove the picture of bees and honey.", 2),
        ("Delete the paragraph about salt and pepper", 1),
        ("Acorta la introducción y quita la foto", 2),
        ("Kürze den ersten Absatz und entferne das Bild", 2),
        ("缩短第一段，然后删除图片", 2),
        ('Change the title to "Wait. And then delete"', 1),
        ("The text is fine, but the second picture should go", 1),
    ],
)
def test_a_wish_is_cut_where_another_edit_begins(wish: str, parts: int) -> None:
    assert len(read_wish(wish)) == parts, read_wish(wish)


def test_commands_that_change_what_was_not_named_are_recognised() -> None:
    text, picture = Command("delete", "b2", "", "after", ""), Command("remove_image", "", "f-0", "after", "")
    assert contradicts("Remove the picture of the crane", [text])
    assert contradicts("Shorten the first paragraph", [picture])
    assert not contradicts("Remove the picture of the crane", [picture])
    assert not contradicts("Remove the picture and shorten the first paragraph", [picture, text])
    assert not contradicts("Make it all livelier", [picture, text])
