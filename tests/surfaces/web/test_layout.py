"""Where things stand, at the widths of a laptop, a tablet and a phone; a picture of each is kept."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect
from studio import Studio, Up


@pytest.fixture(scope="module")
def job(up: Up) -> str:
    """An article that the tests here leave as it is."""
    return up.article()


def box(element: Locator) -> dict[str, float]:
    found = element.bounding_box()
    assert found
    return {**found, "bottom": found["y"] + found["height"], "right": found["x"] + found["width"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 375])
def test_candidates_stand_first_in_an_image_s_margin(
    browser: Browser, up: Up, job: str, width: int, scheme: Any
) -> None:
    """Scores and the reason are seen beside the image without scrolling; its words come after them."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en-GB", reduced_motion="reduce"
    )
    page = context.new_page()
    studio = Studio(page, up, job).edit()
    studio.shot(f"layout-article-{width}-{scheme}")
    studio.block(studio.images()[0]).click()
    first = page.locator(".candidates li").first
    expect(first.locator("img")).to_have_js_property("complete", True)
    margin, reason = page.locator(".margin"), page.locator(".margin .why-line")
    studio.shot(f"layout-image-{width}-{scheme}")
    assert box(reason)["bottom"] <= box(first)["y"]
    assert box(first.locator(".frame"))["bottom"] <= 800
    assert box(first)["bottom"] <= box(margin.get_by_label("Caption", exact=True))["y"]
    for score in page.locator(".candidates .score").all():
        assert re.search(r"\d\.\d\d$|^already used$", score.inner_text())
    image = box(studio.block(studio.images()[0]).locator("img"))
    if width > 1024:  # beside the image
        assert box(margin)["x"] >= image["right"]
    else:  # under it, and it is not hidden
        assert image["y"] < box(margin)["y"]
    assert box(margin)["right"] <= width
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    context.close()


@pytest.mark.parametrize("width", [1280, 768, 375])
def test_the_library_beside_its_panel(browser: Browser, up: Up, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    studio = Studio(page, up).open("libraries", "bees")
    page.locator(".contact button").first.click()
    panel = page.locator(".panel")
    expect(panel.locator("img")).to_have_js_property("complete", True)
    studio.shot(f"layout-library-{width}")
    chosen, beside = box(page.locator(".contact li.chosen .frame")), box(panel)
    assert chosen["right"] <= beside["x"] or chosen["bottom"] <= beside["y"]  # neither hides the other
    expect(panel.get_by_label("Caption", exact=True)).to_be_in_viewport()
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    context.close()


def test_a_picture_has_its_place_before_it_is_there(page: Page, up: Up, job: str) -> None:
    """Else the text jumps as pictures come, from under the hand that is about to move it."""
    late: list[Route] = []

    def hold_images(route: Route) -> None:
        if route.request.resource_type == "image":
            late.append(route)
        else:
            route.continue_()

    page.route("**/*", hold_images)
    studio = Studio(page, up, job).edit()
    picture = studio.block(studio.images()[0]).locator("img")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", False)
    before = box(picture)
    for route in late:
        route.continue_()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("(img) => img.naturalWidth") > 0
    after = box(picture)
    assert before["height"] > 100
    assert after == pytest.approx(before, abs=1)
