"""Every edit once, by hand: seen at once, the same on the server, and undone to the letter."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect
from revising import command, revising_answers
from scripted import Answer, Fault
from studio import Model, Studio

Do = Callable[[Studio], None]


def edited(studio: Studio) -> Any:
    """What is done inside sends an edit."""
    return studio.page.expect_response(lambda answer: answer.url.endswith("/edits"))


def apply(studio: Studio) -> None:
    """Take a proposal; until its edit is sent, the studio still says that all is saved."""
    with edited(studio):
        studio.page.get_by_role("dialog").get_by_role("button", name="Apply").click()


def type_over(studio: Studio) -> None:
    element = studio.choose(studio.paragraph())
    element.get_by_role("textbox").fill("Bees ")
    studio.page.keyboard.type("*fly*.")
    studio.page.keyboard.press("Escape")
    studio.saved()
    expect(element.locator("em")).to_have_text("fly")
    assert studio.paragraph()["text"] == "Bees *fly*."


def save_while_typing(studio: Studio) -> None:
    """After a pause, before the block is left."""
    element = studio.choose(studio.paragraph())
    with edited(studio):
        element.get_by_role("textbox").fill("Saved on its own.")
    studio.saved()
    expect(element.get_by_role("textbox")).to_be_focused()
    assert studio.paragraph()["text"] == "Saved on its own."


def type_several(studio: Studio) -> None:
    """A blank line makes two paragraphs of one, once it is left."""
    count = len(studio.texts())
    studio.choose(studio.paragraph())
    studio.command("Edit as Markdown")
    studio.page.get_by_label("Markdown of this block").fill("One.\n\nTwo.")
    studio.page.keyboard.press("Escape")
    studio.saved()
    assert len(studio.texts()) == count + 1
    expect(studio.page.locator(".sheet .block")).to_have_count(len(studio.blocks()))


def delete(studio: Studio) -> None:
    doomed = studio.paragraph(1)
    element = studio.choose(doomed)
    studio.tool("Delete")
    expect(element).to_have_count(0)
    studio.saved()
    assert doomed["text"] not in studio.texts()


def move_by_button(studio: Studio) -> None:
    moved = studio.paragraph(1)
    studio.choose(moved)
    studio.tool("Move down")
    studio.saved()
    assert studio.texts().index(moved["text"]) == 4


def move_by_drag(studio: Studio) -> None:
    one, other = studio.paragraph(2), studio.paragraph(0)
    studio.block(one).hover()
    with edited(studio):
        studio.block(one).locator(".grip").drag_to(studio.block(other), target_position={"x": 60, "y": 4}, steps=6)
    studio.saved()
    texts = studio.texts()
    assert texts.index(one["text"]) + 1 == texts.index(other["text"])


def merge(studio: Studio) -> None:
    one, other = studio.paragraph(1), studio.paragraph(2)
    studio.choose(one)
    studio.tool("Join with next")
    studio.saved()
    assert other["text"] not in studio.texts()
    assert all(part in studio.paragraph(1)["text"] for part in (one["text"], other["text"]))


def split(studio: Studio) -> None:
    one = studio.paragraph(1)
    box = studio.choose(one).get_by_role("textbox")
    at = one["text"].index(". ") + 1
    studio.select(box, one["text"][at:].strip()[:20], start=True)
    expect(studio.page.locator(".margin").get_by_role("button", name="Split", exact=True)).to_be_enabled()
    studio.tool("Split")
    studio.saved()
    assert studio.paragraph(1)["text"] == one["text"][:at]
    assert studio.paragraph(2)["text"] == one["text"][at:].strip()


def insert_by_hand(studio: Studio) -> None:
    one = studio.paragraph(1)
    studio.choose(one)
    studio.tool("Insert text before")
    studio.page.get_by_label("New text").fill("By hand.")
    studio.page.keyboard.press("Escape")
    studio.saved()
    texts = studio.texts()
    assert texts[texts.index(one["text"]) - 1] == "By hand."


def insert_by_instruction(studio: Studio) -> None:
    one = studio.paragraph(1)
    studio.choose(one)
    studio.page.get_by_label("Ask for a change").fill("wax")
    studio.tool("Write a paragraph after")
    expect(studio.page.get_by_role("dialog")).to_contain_text("New")
    apply(studio)
    studio.saved()
    texts = studio.texts()
    assert "wax" in texts[texts.index(one["text"]) + 1]


def rewrite(studio: Studio) -> None:
    one = studio.paragraph(1)
    studio.choose(one)
    studio.tool("Rewrite")
    expect(studio.page.locator("dialog ins").first).to_be_visible()
    apply(studio)
    studio.saved()
    assert studio.paragraph(1)["text"] == one["text"].upper()


def rewrite_a_selection(studio: Studio) -> None:
    one = studio.paragraph(1)
    word = one["text"].split()[1]
    box = studio.choose(one).get_by_role("textbox")
    studio.select(box, word)
    expect(studio.page.get_by_label(f"For “{word}”")).to_be_visible()
    studio.tool("Make shorter")
    apply(studio)
    studio.saved()
    assert studio.paragraph(1)["text"] == one["text"].replace(word, word.upper(), 1)


def ask_of_the_whole(studio: Studio, what: str, value: str) -> None:
    """Fill one of the fields about the whole article, and take what the model makes of it."""
    studio.page.get_by_text("Tone, language, title").click()
    studio.page.get_by_label(what).fill(value)
    studio.page.locator("form", has=studio.page.get_by_label(what)).get_by_role("button").click()
    apply(studio)
    studio.saved()


def change_the_tone(studio: Studio) -> None:
    ask_of_the_whole(studio, "Change the tone", "loud")
    assert studio.paragraph()["text"].isupper()


def translate(studio: Studio) -> None:
    ask_of_the_whole(studio, "Translate into", "de")
    assert studio.up.revision(studio.job)["language"] == "de"


def set_the_title(studio: Studio) -> None:
    studio.page.get_by_text("Tone, language, title").click()
    studio.page.get_by_label("Title", exact=True).fill("Honey & Wax")
    studio.page.get_by_label("Title", exact=True).blur()
    studio.saved()
    assert studio.up.revision(studio.job)["title"] == "Honey & Wax"


def regenerate(studio: Studio) -> None:
    studio.page.get_by_text("Tone, language, title").click()
    studio.page.locator(".margin").get_by_role("button", name="Text", exact=True).click()
    expect(studio.page.locator("dialog .changes, dialog .problem").first).to_be_visible(timeout=30_000)
    apply(studio)
    studio.saved()


def instruct(studio: Studio) -> None:
    studio.page.get_by_label("Ask for a change").fill("without the first image")
    studio.page.get_by_label("Ask for a change").press("Enter")
    apply(studio)
    studio.saved()


def swap(studio: Studio) -> None:
    before = studio.images()[0]
    element = studio.choose(before)
    studio.page.locator(".candidates button:enabled[aria-pressed=false]").first.click()
    studio.saved()
    after = studio.images()[0]
    assert after["image_id"] != before["image_id"]
    expect(element.locator("figcaption")).to_contain_text(after["caption"])


def search_by_caption(studio: Studio) -> None:
    studio.choose(studio.images()[0])
    studio.page.get_by_label("Search for an image").fill("container ship in a harbour")
    studio.page.get_by_label("Search for an image").press("Enter")
    expect(studio.page.locator(".candidates li").first).to_contain_text("ship")
    studio.page.locator(".candidates button:enabled").first.click()
    studio.saved()
    assert "ship" in studio.images()[0]["caption"]


def like_this_but(studio: Studio) -> None:
    before = studio.images()[0]
    studio.choose(before)
    expect(studio.page.locator(".candidates li").first).to_be_visible()
    studio.page.get_by_label("Like this, but …").fill("in a jar")
    with studio.page.expect_response(lambda r: "like=" in r.url and r.ok):
        studio.page.get_by_label("Like this, but …").press("Enter")
    expect(studio.page.locator(".margin .busy")).to_have_count(0)
    with edited(studio):
        studio.page.locator(".candidates button:enabled[aria-pressed=false]").first.click()
    studio.saved()
    assert studio.images()[0]["image_id"] != before["image_id"]


def upload(studio: Studio) -> None:
    data = BytesIO()
    Image.new("RGB", (300, 180), (10, 120, 200)).save(data, "PNG")
    before = studio.images()[0]
    studio.choose(before)
    own = {"name": "mine.png", "mimeType": "image/png", "buffer": data.getvalue()}
    studio.page.locator(".upload input").set_input_files([own])
    expect(studio.block(before).locator("img")).to_have_attribute("width", "300")
    studio.saved()
    after = studio.images()[0]
    assert (after["width"], after["height"]) == (300, 180)


def place(studio: Studio) -> None:
    count, one = len(studio.images()), studio.paragraph(3)
    studio.choose(one)
    studio.tool("Insert image after")
    studio.page.locator(".candidates button:enabled").first.click()
    studio.saved()
    assert len(studio.images()) == count + 1
    assert one["id"] in [image["after"] for image in studio.images()]


def move_an_image(studio: Studio) -> None:
    before = studio.images()[0]
    studio.choose(before)
    studio.tool("Move down")
    studio.saved()
    assert next(i for i in studio.images() if i["id"] == before["id"])["after"] != before["after"]


def drag_an_image(studio: Studio) -> None:
    before = studio.images()[0]
    target = next(p for p in map(studio.paragraph, (2, 1)) if p["id"] != before["after"])
    with edited(studio):
        studio.block(before).locator("img").drag_to(studio.block(target), target_position={"x": 60, "y": 62}, steps=6)
    studio.saved()
    assert next(i for i in studio.images() if i["id"] == before["id"])["after"] == target["id"]


def remove_an_image(studio: Studio) -> None:
    before = studio.images()[0]
    element = studio.choose(before)
    studio.tool("Remove")
    expect(element).to_have_count(0)
    studio.saved()
    assert before["id"] not in [i["id"] for i in studio.images()]


def describe(studio: Studio) -> None:
    before = studio.images()[0]
    studio.choose(before)
    for label, text in (("Caption", "A *new* caption"), ("Alternative text", "What is seen"), ("Credit", "Me")):
        studio.page.locator(".margin").get_by_label(label, exact=True).fill(text)
    studio.page.locator(".margin").get_by_label("Credit", exact=True).blur()
    studio.saved()
    after = studio.images()[0]
    assert (after["caption"], after["alt"], after["credit"]) == ("A *new* caption", "What is seen", "Me")


def crop(studio: Studio) -> None:
    before = studio.images()[0]
    studio.choose(before)
    studio.tool("Crop")
    dialog = studio.page.get_by_role("dialog")
    dialog.get_by_role("button", name="1:1").click()
    studio.shot("crop")
    dialog.get_by_role("button", name="Apply").click()
    expect(studio.block(before).locator(".crop")).to_be_visible()
    studio.saved()
    after = studio.images()[0]
    left, _, width, height = after["crop"]
    assert width * before["width"] == pytest.approx(height * before["height"], rel=0.02)
    assert left > 0


def lock(studio: Studio) -> None:
    one = studio.paragraph()
    studio.choose(one)
    studio.tool("Lock")
    expect(studio.block(one)).to_have_class(r"block paragraph chosen locked")
    studio.saved()
    assert studio.paragraph()["locked"]


EDITS: list[Do] = [
    *(type_over, save_while_typing, type_several, delete, move_by_button, move_by_drag, merge, split),
    *(insert_by_hand, insert_by_instruction, rewrite, rewrite_a_selection, change_the_tone, translate),
    *(set_the_title, regenerate, instruct, swap, search_by_caption, like_this_but, upload, place),
    *(move_an_image, drag_an_image, remove_an_image, describe, crop, lock),
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_an_edit_and_its_undo(studio: Studio, said: Model, edit: Do) -> None:
    def answer(body: dict[str, Any]) -> Answer | Fault:
        made = revising_answers([command("remove_image", image=1)])(body)
        return made.replace("A worker bee", "One worker bee") if isinstance(made, str) and edit is regenerate else made

    said.answer = answer
    before = studio.up.revision(studio.job)
    edit(studio)
    after = studio.up.revision(studio.job)
    assert (after["blocks"], after["title"]) != (before["blocks"], before["title"])
    shown = [b["id"] for b in after["blocks"]]
    assert studio.page.locator(".sheet .block").evaluate_all("all => all.map((one) => one.dataset.id)") == shown
    versions = 0
    while studio.up.revision(studio.job)["can_undo"]:
        studio.undo()
        studio.saved()
        versions += 1
        assert versions < 9
    undone = studio.up.revision(studio.job)
    assert (undone["blocks"], undone["title"], undone["language"]) == (
        before["blocks"],
        before["title"],
        before["language"],
    )
    shown = [b["id"] for b in undone["blocks"]]
    assert studio.page.locator(".sheet .block").evaluate_all("all => all.map((one) => one.dataset.id)") == shown
    studio.redo()
    studio.saved()
    assert studio.up.revision(studio.job)["version"] > 1


def test_what_is_typed_in_one_go_is_one_step(studio: Studio) -> None:
    """However often it was saved meanwhile."""
    one = studio.paragraph()
    box = studio.choose(one).get_by_role("textbox")
    for words in ("Bees", "Bees fly", "Bees fly home."):
        with edited(studio):
            box.fill(words)
    studio.page.keyboard.press("Escape")
    studio.saved()
    history = studio.up.ask(f"/v1/jobs/{studio.job}/versions")
    assert [v["parent"] for v in history["versions"]] == [None, 1]
    studio.undo()
    studio.saved()
    assert studio.paragraph() == one
