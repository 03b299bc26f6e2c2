"""Locks, two people at once, a connection that comes and goes, and history."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, Route, expect
from revising import command, revising_answers
from servers import until
from studio import Model, Studio, Up, watched


def type_over(studio: Studio, one: dict[str, Any], text: str) -> None:
    studio.choose(one).get_by_role("textbox").fill(text)
    studio.page.keyboard.press("Escape")


def test_what_is_locked_stays(studio: Studio, said: Model) -> None:
    one, image = studio.paragraph(), studio.images()[0]
    for thing in (one, image):
        studio.choose(thing)
        studio.tool("Lock")
        studio.saved()
    studio.choose(one)
    expect(studio.page.locator(".typing")).to_have_count(0)
    expect(studio.page.locator(".margin").get_by_role("button", name="Delete")).to_be_disabled()
    expect(studio.page.locator(".margin").get_by_role("button", name="Rewrite")).to_be_disabled()
    studio.page.keyboard.press("ControlOrMeta+Backspace")
    expect(studio.page.get_by_text("This block is locked. Unlock it first.")).to_be_visible()
    number = [b["id"] for b in studio.blocks() if b["type"] == "text"].index(one["id"]) + 1
    said.answer = revising_answers([command("restyle_all", text="loud"), command("delete", block=number)])
    studio.page.locator(".margin").get_by_role("button", name="Whole article").click()
    studio.page.get_by_label("Ask for a change").fill("all of it louder, without the opening")
    studio.page.get_by_role("button", name="Preview").first.click()
    with studio.page.expect_response(lambda answer: answer.url.endswith("/edits")):
        studio.page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    studio.saved()
    assert studio.paragraph()["text"] == one["text"]
    assert studio.paragraph(1)["text"].isupper()
    after = next(i for i in studio.images() if i["id"] == image["id"])
    assert (after["image_id"], after["caption"], after["after"]) == (
        image["image_id"],
        image["caption"],
        image["after"],
    )


def second(studio: Studio) -> tuple[Studio, list[str]]:
    """The same article in another tab."""
    page = studio.page.context.new_page()
    return Studio(page, studio.up, studio.job).edit(), watched(page)


def test_two_tabs_change_different_parts(studio: Studio) -> None:
    """Nobody is asked anything: both are there, in both tabs."""
    other, trouble = second(studio)
    one, two = studio.paragraph(0), studio.paragraph(1)
    box = other.choose(two).get_by_role("textbox")
    type_over(studio, one, "From the first tab.")
    studio.saved()
    box.fill("From the second tab.")
    other.page.keyboard.press("Escape")
    other.saved()
    assert [studio.paragraph(n)["text"] for n in (0, 1)] == ["From the first tab.", "From the second tab."]
    for tab in (studio, other):
        expect(tab.block(one)).to_contain_text("From the first tab.")
        expect(tab.block(two)).to_contain_text("From the second tab.")
        expect(tab.page.get_by_role("dialog")).to_have_count(0)
        expect(tab.page.locator(".beside")).to_have_count(0)
    assert trouble == []


def both_at_once(studio: Studio, other: Studio, one: dict[str, Any], first: str, then: str) -> Any:
    """The first tab types over a paragraph and saves; the second was at it before. Gives what the second shows."""
    other.page.route("**/edits", lambda route: route.abort())  # so that it comes second
    box = other.choose(one).get_by_role("textbox")
    box.fill(then)
    type_over(studio, one, first)
    studio.saved()
    other.page.unroute("**/edits")
    other.page.keyboard.press("Escape")
    beside = other.page.locator(".beside")
    expect(beside.locator(".theirs")).to_have_text(first)
    expect(beside).to_contain_text(then)
    expect(beside).to_contain_text("You changed this in another tab.")
    expect(other.page.get_by_role("dialog")).to_have_count(0)
    expect(other.page.locator(".saved")).to_have_attribute("data-state", "conflict")
    return beside


def test_two_tabs_change_the_same_part(studio: Studio) -> None:
    """Both versions are kept and stand side by side, over a reload too, until somebody decides."""
    other, trouble = second(studio)
    one = studio.paragraph(0)
    beside = both_at_once(studio, other, one, "First 1.", "Second 1.")
    other.shot("12-beside")
    other.page.reload()
    expect(beside).to_contain_text("Second 1.")
    beside.get_by_role("button", name="Keep both").click()
    other.saved()
    assert [studio.paragraph(n)["text"] for n in (0, 1)] == ["First 1.", "Second 1."]

    beside = both_at_once(studio, other, one, "First 2.", "Second 2.")
    beside.get_by_role("button", name="Use mine").click()
    other.saved()
    assert studio.paragraph(0)["text"] == "Second 2."
    expect(studio.block(one)).to_contain_text("Second 2.")  # the other tab sees it by itself

    beside = both_at_once(studio, other, one, "First 3.", "Second 3.")
    beside.get_by_role("button", name="Discard my change").click()
    expect(beside).to_have_count(0)
    other.page.locator(".toast").get_by_role("button", name="Undo").click()  # even that is not for good
    expect(beside).to_contain_text("Second 3.")
    beside.get_by_role("button", name="Discard my change").click()
    other.saved()
    assert studio.paragraph(0)["text"] == "First 3."
    expect(other.block(one)).to_contain_text("First 3.")
    assert trouble == []


def test_words_for_a_paragraph_that_is_gone_are_kept(studio: Studio) -> None:
    other, trouble = second(studio)
    one = studio.paragraph(1)
    box = other.choose(one).get_by_role("textbox")
    box.press_sequentially(" More.")  # where the click has put the caret
    studio.choose(one)
    studio.page.keyboard.press("Escape")
    studio.page.keyboard.press("ControlOrMeta+Backspace")
    studio.saved()
    other.page.keyboard.press("Escape")
    beside = other.page.locator(".beside")
    expect(beside).to_contain_text("You deleted this in another tab.")
    beside.get_by_role("button", name="Put it back").click()
    other.saved()
    text = studio.paragraph(1)["text"]
    assert (text.count(" More."), text.replace(" More.", "")) == (1, one["text"])
    assert trouble == []


def test_edits_without_a_connection_are_sent_once_it_is_back(studio: Studio) -> None:
    one, two, image = studio.paragraph(0), studio.paragraph(1), studio.images()[0]
    studio.page.context.set_offline(True)
    type_over(studio, one, "Written on a train.")
    studio.choose(image)
    studio.page.keyboard.press("ControlOrMeta+Backspace")
    studio.choose(two)
    studio.tool("Lock")
    expect(studio.page.locator(".saved")).to_have_attribute("data-state", "offline")
    expect(studio.page.get_by_text("No connection.")).to_be_visible()
    expect(studio.block(one)).to_contain_text("Written on a train.")
    expect(studio.block(image)).to_have_count(0)
    studio.shot("13-offline-edits")
    assert studio.up.revision(studio.job)["version"] == 1
    studio.page.context.set_offline(False)
    studio.saved()
    assert studio.paragraph(0)["text"] == "Written on a train."
    assert studio.paragraph(1)["locked"]
    assert image["id"] not in [i["id"] for i in studio.images()]
    assert studio.up.revision(studio.job)["version"] == 4


def test_edits_not_yet_sent_survive_a_reload(studio: Studio) -> None:
    one = studio.paragraph(0)
    studio.page.route("**/edits", lambda route: route.abort())
    type_over(studio, one, "Kept over a reload.")
    expect(studio.page.locator(".saved")).to_have_attribute("data-state", "offline")
    studio.page.unroute("**/edits")
    studio.page.reload()
    expect(studio.block(one)).to_contain_text("Kept over a reload.")
    studio.saved()
    until(lambda: studio.paragraph(0)["text"] == "Kept over a reload.", "the edit to be sent")


def test_an_answer_that_was_lost_is_no_conflict(studio: Studio) -> None:
    """The edit came through, its answer did not: sent again it is found done, and nobody is asked."""
    one = studio.paragraph(0)

    def swallow(route: Route) -> None:
        route.fetch()
        route.abort()

    studio.page.route("**/edits", swallow, times=1)
    type_over(studio, one, "Arrived all the same.")
    expect(studio.block(one)).to_contain_text("Arrived all the same.")
    studio.saved()
    expect(studio.page.get_by_role("dialog")).to_have_count(0)
    assert studio.up.revision(studio.job)["version"] == 2


def test_history_compared_gone_back_to_and_branched(studio: Studio) -> None:
    one = studio.paragraph(0)
    type_over(studio, one, "The second version.")
    studio.saved()
    studio.choose(studio.images()[0])
    studio.page.keyboard.press("ControlOrMeta+Backspace")
    studio.saved()
    studio.page.get_by_role("link", name="History").click()
    page = studio.page
    expect(page.locator(".versions li")).to_have_count(3)
    expect(page.locator(".changes")).to_contain_text("Removed")
    page.locator(".versions li").nth(1).get_by_role("button").first.click()
    expect(page.locator(".changes ins").first).to_contain_text("The second version")
    studio.shot("14-history")
    page.get_by_role("button", name="Restore version 1").click()
    expect(studio.block(one)).to_contain_text(one["text"].split("\n")[0])
    type_over(studio, one, "Another branch.")
    studio.saved()
    page.get_by_role("link", name="History").click()
    expect(page.locator(".versions li")).to_have_count(4)
    assert page.locator(".versions li").first.get_attribute("style") == "--column: 1;"
    page.get_by_label("From version").select_option("3")
    expect(page.locator(".changes ins").first).to_be_visible()
    assert studio.up.revision(studio.job)["version"] == 4


def test_everything_by_keys(studio: Studio) -> None:
    page, keys = studio.page, studio.page.keyboard
    first = studio.blocks()[0]
    keys.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Find anything")
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    keys.press("j")
    expect(studio.block(first)).to_be_focused()
    keys.press("j")
    one = studio.paragraph(0)
    expect(studio.block(one)).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_label("Text of this block")).to_be_focused()
    keys.press("ControlOrMeta+a")
    keys.type("By keys.")
    keys.press("Escape")
    studio.saved()
    assert studio.paragraph(0)["text"] == "By keys."
    studio.command("Lock or unlock")
    expect(studio.block(one)).to_have_class("block paragraph chosen locked")
    studio.command("Lock or unlock")
    expect(studio.block(one)).to_have_class(re.compile("block paragraph chosen ?$"))
    keys.press("Alt+ArrowDown")
    studio.saved()
    assert studio.texts()[2] == "By keys."
    keys.press("ControlOrMeta+z")
    studio.saved()
    assert studio.texts()[1] == "By keys."
    keys.press("ControlOrMeta+Shift+z")
    studio.saved()
    assert studio.texts()[2] == "By keys."
    keys.press("ControlOrMeta+Enter")
    keys.type("Below.")
    keys.press("ControlOrMeta+Enter")
    studio.saved()
    assert "Below." in studio.texts()
    keys.press("/")
    expect(page.get_by_label("Ask for a change")).to_be_focused()
    keys.press("Escape")
    image = studio.images()[0]
    while not studio.block(image).get_attribute("aria-current"):
        keys.press("j")
    expect(page.locator(".candidates li").first).to_be_visible()
    wanted = page.locator(".candidates button").evaluate_all(
        "all => all.findIndex((one) => one.matches(':enabled[aria-pressed=false]'))"
    )
    keys.press(f"Alt+{wanted + 1}")
    studio.saved()
    assert next(i for i in studio.images() if i["id"] == image["id"])["image_id"] != image["image_id"]
    studio.command("Export")
    expect(page.get_by_role("dialog")).to_contain_text("Export")
    keys.press("Escape")
    studio.command("History")
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def test_every_review_point_is_answered_in_the_page(page: Page, up: Up) -> None:
    points = ["outline", "draft", "spots", "images", "final"]
    job = up.ask("/v1/jobs", {"brief": "Honey", "library": ["bees"], "images": 2, "review": points})["id"]
    studio = Studio(page, up, job).open()
    page.get_by_label("Or ask for a change").fill("More about wax")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#outline")).to_have_value(re.compile("As wished\n- +More about wax"))
    page.get_by_role("button", name="Approve and continue").click()
    expect(page.get_by_text("Review the text")).to_be_visible()
    page.get_by_label("2. Paragraph").fill("An opening of mine.")
    studio.shot("15-review-draft")
    page.get_by_role("button", name="Continue with my changes").click()
    expect(page.get_by_text("Review the places for images")).to_be_visible()
    page.get_by_label("What the image should show").first.fill("A jar of honey")
    page.get_by_role("button", name="Continue with my changes").click()
    expect(page.get_by_text("Review the images")).to_be_visible()
    page.get_by_role("button", name="Approve and continue").click()
    expect(page.get_by_text("Review the article")).to_be_visible()
    page.get_by_label("Caption").first.fill("A caption of mine")
    studio.shot("16-review-final")
    page.get_by_role("button", name="Continue with my changes").click()
    expect(page.locator(".sheet .block").first).to_be_visible()
    expect(page.locator(".editor")).to_contain_text("An opening of mine.")
    assert "A caption of mine" in [i["caption"] for i in studio.images()]
