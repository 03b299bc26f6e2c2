"""The form of a new article."""

from __future__ import annotations

from pathlib import Path

from pictures import make_folder
from playwright.sync_api import Page, expect
from studio import Up


def test_pictures_of_ones_own_are_handed_in_with_the_brief(page: Page, up: Up, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, ["hive.png", "jar.png"])
    page.goto(f"{up.url}/#/new")
    page.get_by_label("What’s the article about?").fill("How bees make honey")
    page.get_by_label("bees").check()
    page.get_by_label("Reference images").set_input_files([folder / "hive.png", folder / "jar.png"])
    expect(page.locator(".chips li")).to_have_count(2)
    page.get_by_role("button", name="Remove jar").click()
    page.reload()  # what was handed in is not forgotten
    expect(page.locator(".chips li")).to_have_text(["hive×"])
    page.get_by_role("button", name="Estimate").click()
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/v1/jobs")) as sent:
        page.get_by_role("button", name="Start").click()
    assert len(sent.value.post_data_json["references"]) == 1
    expect(page.locator(".editor figure").first).to_be_visible(timeout=60_000)


def test_an_article_is_limited_to_some_pictures(page: Page, up: Up) -> None:
    page.goto(f"{up.url}/#/new")
    page.get_by_label("What’s the article about?").fill("How bees make honey")
    page.get_by_label("bees").check()
    page.get_by_text("Only images with…").click()
    limits = page.get_by_role("group", name="Only images with…")
    limits.get_by_label("Licence").fill("CC0")
    limits.get_by_label("Taken until").fill("2")  # not typed to its end: no limit yet
    limits.get_by_label("Orientation").select_option("landscape")
    page.reload()  # what was typed is not forgotten
    expect(limits.get_by_label("Licence")).to_have_value("CC0")
    limits.get_by_label("Taken until").fill("")
    page.get_by_role("button", name="Estimate").click()
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/v1/jobs")) as sent:
        page.get_by_role("button", name="Start").click()
    assert sent.value.post_data_json["only"] == ["licence=CC0", "orientation=landscape"]
    expect(page.locator(".editor figure").first).to_be_visible(timeout=60_000)
