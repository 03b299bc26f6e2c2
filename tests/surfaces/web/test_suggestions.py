"""Captions by a model in the studio: the cost, the words as they come, the badge, making one's own, deleting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from scripted import asking, by_colour, text_of
from studio import Model, Studio, Up

ALONE = True  # whether the model sees is asked once, and here the answer is another
PICTURES = 10  # more than one request asks about


@pytest.fixture(scope="module")
def bare(up: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library of images of which nothing is said, and of one that has a caption."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    folder: Path = tmp_path_factory.mktemp("bare")
    for n in range(PICTURES):
        Image.new("RGB", (320, 200), (20 * n, 90, 90)).save(folder / f"DSC_{n:02}.png")
    Image.new("RGB", (320, 200), "green").save(folder / "meadow.png")
    (folder / "meadow.txt").write_text("A meadow in June")
    index(up.home, "bare", [folder], default_encoders())
    return "bare"


def test_captions_are_suggested_marked_made_ones_own_and_deleted(page: Page, up: Up, said: Model, bare: str) -> None:
    def answer(body: dict[str, Any]) -> Any:
        if asking(body) == "probe":
            return by_colour(body)
        if "Describe this picture" in text_of(body):
            return json.dumps({"caption": "A plain field without anything in it. A drawing.", "alt": "A plain field"})
        return said.usual(body)

    said.answer = answer
    studio = Studio(page, up).open("libraries", bare)
    items = page.locator(".contact li")
    expect(items).to_have_count(PICTURES + 1)
    page.get_by_role("button", name="Suggest captions").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("10 pictures: about 10 calls to scripted-7b")).to_be_visible()
    studio.shot("suggest-captions")
    dialog.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Captions written: 10. Left out: 0.")).to_be_visible()
    expect(items.locator(".badge")).to_have_count(PICTURES)
    expect(items.filter(has_text="A meadow in June").locator(".badge")).to_have_count(0)
    studio.shot("suggested-captions")

    items.first.locator("button").click()
    panel = page.locator(".panel")
    expect(panel.locator(".badge")).to_have_count(2)
    with page.expect_response(lambda r: r.request.method == "PATCH"):
        panel.get_by_role("button", name="Keep it as mine").first.click()
    expect(panel.locator(".badge")).to_have_count(1)
    expect(items.locator(".badge")).to_have_count(PICTURES - 1)

    page.get_by_role("button", name="Delete machine-made captions").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete permanently").click()
    expect(items.locator(".badge")).to_have_count(0)
    left = up.ask(f"/v1/libraries/{bare}/images")["images"]
    assert sorted(one["caption"] for one in left)[:3] == [
        "A meadow in June",
        "A plain field without anything in it. A drawing.",
        "DSC 01",
    ]
