"""Moving blocks by finger, pen and keyboard; the mouse is in test_edits.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect
from studio import Studio, Up, watched


@pytest.fixture
def hand(browser: Browser, up: Up) -> Iterator[Studio]:
    """The editor on a tablet: a touch screen, nothing that hovers."""
    context = browser.new_context(
        viewport={"width": 820, "height": 1100}, has_touch=True, is_mobile=True, locale="en-GB", reduced_motion="reduce"
    )
    page = context.new_page()
    trouble = watched(page)
    yield Studio(page, up, up.article()).edit()
    context.close()
    assert trouble == []


def middle(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def dragged(chromium: CDPSession, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
    """A finger that is put down, moved and lifted: real touches, from which Chromium makes pointer events."""
    chromium.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": start[0], "y": start[1]}]})
    for n in range(1, steps + 1):
        at = {"x": start[0] + (end[0] - start[0]) * n / steps, "y": start[1] + (end[1] - start[1]) * n / steps}
        chromium.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    chromium.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def saves(page: Page) -> Any:
    return page.expect_response(lambda answer: answer.url.endswith("/edits"))


def test_a_finger_moves_a_paragraph_by_its_grip(hand: Studio) -> None:
    one, other = hand.paragraph(1), hand.paragraph(0)
    element = hand.block(one)
    element.tap(position={"x": 30, "y": 20})
    hand.page.keyboard.press("Escape")
    grip = element.locator(".grip")
    expect(grip).to_be_visible()
    x = middle(hand.block(other))[0]
    top = hand.block(other).bounding_box()
    assert top
    with saves(hand.page):
        dragged(hand.page.context.new_cdp_session(hand.page), middle(grip), (x, top["y"] + 3))
    hand.saved()
    texts = hand.texts()
    assert texts.index(one["text"]) + 1 == texts.index(other["text"])
    expect(hand.page.locator(".spoken")).to_have_text(f"Now 2 of {len(texts)}.")
    expect(hand.page.locator(".typing")).to_have_count(0)  # letting go was no tap


def test_a_finger_on_an_image_scrolls_and_its_grip_moves_it(hand: Studio) -> None:
    before = hand.images()[0]
    chromium = hand.page.context.new_cdp_session(hand.page)
    picture = hand.block(before).locator("img")
    picture.scroll_into_view_if_needed()
    x, y = middle(picture)
    start = hand.page.evaluate("scrollY")
    dragged(chromium, (x, y), (x, y - 300))
    hand.page.wait_for_function("(start) => scrollY !== start", arg=start)
    assert hand.images()[0]["after"] == before["after"]
    grip = hand.block(before).locator(".grip")
    target = next(p for p in map(hand.paragraph, (2, 1)) if p["id"] != before["after"])
    hand.block(target).scroll_into_view_if_needed()
    grip.scroll_into_view_if_needed()
    with saves(hand.page):
        dragged(chromium, middle(grip), (x, middle(hand.block(target))[1] + 8))
    hand.saved()
    assert next(i for i in hand.images() if i["id"] == before["id"])["after"] != before["after"]


def test_a_pen_moves_a_paragraph_and_escape_leaves_it(studio: Studio) -> None:
    one, other = studio.paragraph(2), studio.paragraph(0)
    chromium = studio.page.context.new_cdp_session(studio.page)
    studio.block(one).hover()
    before = studio.texts()

    def pen(kind: str, at: tuple[float, float]) -> None:
        given = {"type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": 1, "pointerType": "pen"}
        chromium.send("Input.dispatchMouseEvent", {**given, "clickCount": 1})

    start = middle(studio.block(one).locator(".grip"))
    top = studio.block(other).bounding_box()
    assert top
    end = (start[0], top["y"] + 3)
    pen("mousePressed", start)
    pen("mouseMoved", (start[0], start[1] - 30))
    pen("mouseMoved", end)
    expect(studio.block(other)).to_have_class("block paragraph drop-before")
    studio.page.keyboard.press("Escape")
    expect(studio.page.locator(".drop-before")).to_have_count(0)
    pen("mouseReleased", end)
    assert studio.texts() == before
    pen("mousePressed", start)
    pen("mouseMoved", (start[0], start[1] - 30))
    pen("mouseMoved", end)
    with saves(studio.page):
        pen("mouseReleased", end)
    studio.saved()
    texts = studio.texts()
    assert texts.index(one["text"]) + 1 == texts.index(other["text"])


def test_the_keyboard_lifts_moves_and_puts_down_and_says_so(studio: Studio) -> None:
    one = studio.paragraph(1)
    studio.choose(one)
    studio.page.keyboard.press("Escape")
    grip, spoken = studio.block(one).locator(".grip"), studio.page.locator(".spoken")
    grip.focus()
    studio.page.keyboard.press("Enter")
    expect(spoken).to_contain_text("picked up. Move it with the arrow keys")
    expect(grip).to_have_attribute("aria-pressed", "true")
    studio.page.keyboard.press("ArrowUp")
    expect(spoken).to_contain_text("after “")
    studio.page.keyboard.press("Home")
    expect(spoken).to_have_text(f"1 of {len(studio.texts())}, at the very start")
    studio.page.keyboard.press("Escape")
    expect(spoken).to_have_text("Not moved.")
    assert studio.paragraph(1) == one
    studio.page.keyboard.press("Space")
    studio.page.keyboard.press("End")
    with saves(studio.page):
        studio.page.keyboard.press("Space")
    studio.saved()
    assert studio.texts()[-1] == one["text"]
    expect(spoken).to_have_text(f"Now {len(studio.texts())} of {len(studio.texts())}.")
    expect(grip).to_be_focused()
    with saves(studio.page):
        studio.page.keyboard.press("Alt+ArrowUp")
    expect(spoken).to_have_text(f"Now {len(studio.texts()) - 1} of {len(studio.texts())}.")


def test_the_keyboard_moves_an_image(studio: Studio) -> None:
    before = studio.images()[0]
    studio.block(before).locator(".grip").focus()
    studio.page.keyboard.press("Enter")
    studio.page.keyboard.press("ArrowDown")
    with saves(studio.page):
        studio.page.keyboard.press("Enter")
    studio.saved()
    assert next(i for i in studio.images() if i["id"] == before["id"])["after"] != before["after"]
