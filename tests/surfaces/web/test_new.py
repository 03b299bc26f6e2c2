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
