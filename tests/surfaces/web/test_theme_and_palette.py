"""The theme, from before the page is drawn; and the palette, which finds commands, pages, libraries and articles."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from studio import Studio, Up, watched

DARK, LIGHT = "rgb(20, 19, 18)", "rgb(246, 243, 236)"  # --desk


@pytest.fixture(scope="module")
def job(up: Up) -> str:
    return up.article(brief="How bees make honey in a glass hive")


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_chosen_remembered_and_there_before_the_page_is(browser: Browser, up: Up) -> None:
    context = browser.new_context(color_scheme="light", locale="en-GB", viewport={"width": 1200, "height": 800})
    page = context.new_page()
    trouble = watched(page)
    studio = Studio(page, up).listed("libraries")
    assert background(page) == LIGHT
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert background(page) == DARK
    studio.shot("theme-dark-on-a-light-system")
    page.route("**/app.js", lambda route: route.abort())  # what is drawn before any module runs
    page.reload()
    assert page.evaluate("document.documentElement.style.colorScheme") == "dark"
    assert background(page) == DARK
    page.unroute("**/app.js")
    page.reload()
    other = context.new_page()
    Studio(other, up).open("libraries")
    expect(other.get_by_role("button", name="Theme: dark")).to_be_visible()
    studio.command("theme system")
    expect(page.get_by_role("button", name="Theme: system")).to_be_visible()
    assert background(page) == LIGHT
    expect(other.get_by_role("button", name="Theme: system")).to_be_visible()  # in every tab
    page.emulate_media(color_scheme="dark")
    assert background(page) == DARK
    context.close()
    assert [line for line in trouble if "app.js" not in line] == []


def test_the_palette_finds_an_article_a_library_and_a_page(page: Page, up: Up, job: str) -> None:
    studio = Studio(page, up).listed("libraries")
    before = page.get_by_role("link", name="bees")
    before.focus()
    page.keyboard.press("ControlOrMeta+k")
    box = page.get_by_role("dialog").get_by_role("combobox")
    expect(box).to_be_focused()
    box.fill("glass hive")
    option = page.get_by_role("dialog").get_by_role("option", name="How bees make honey in a glass hive")
    expect(option).to_have_attribute("aria-selected", "true")
    studio.shot("palette-article")
    page.keyboard.press("Escape")
    expect(before).to_be_focused()
    page.keyboard.press("ControlOrMeta+k")
    box.fill("glass hive")
    expect(option).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{up.url}/#/job/{job}")
    page.get_by_role("button", name="Find anything").click()
    box.fill("bees library")
    expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(0)
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    box.fill("bees")
    page.get_by_role("dialog").get_by_role("option", name="bees Library").click()
    expect(page.get_by_role("heading", name="bees")).to_be_visible()
    studio.command("New article")
    expect(page).to_have_url(f"{up.url}/#/new")


def test_the_palette_in_chinese(browser: Browser, up: Up, job: str) -> None:
    context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 800})
    page = context.new_page()
    studio = Studio(page, up).listed("libraries")
    page.get_by_role("button", name="查找").click()
    page.get_by_role("dialog").get_by_role("combobox").fill("主题")
    expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(3)
    page.keyboard.press("ArrowUp")  # around to the last
    expect(page.get_by_role("dialog").get_by_role("option", name="深色")).to_have_attribute("aria-selected", "true")
    studio.shot("palette-chinese")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="主题：深色")).to_be_visible()
    assert background(page) == DARK
    context.close()
