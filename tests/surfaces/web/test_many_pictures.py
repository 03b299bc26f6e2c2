"""Many pictures of a library: selected together and changed in one go, or captioned one after the other."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect
from servers import until
from studio import Studio, Up

ALONE = True  # pictures that other tests upload would be selected with its own
PICTURES = 64  # more than a page


@pytest.fixture
def shoot(up: Up, tmp_path: Any, request: pytest.FixtureRequest) -> str:
    """A library of its own with pictures that say nothing, but for the first, which has a credit."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    name = f"shoot-{abs(hash(request.node.name)) % 10**8}"
    for n in range(PICTURES):
        size = ((48, 32), (32, 48), (96, 30))[n % 3]
        Image.new("RGB", size, (3 * n, 120, 200 - 3 * n)).save(tmp_path / f"DSC_{n:02}.png")
    (tmp_path / "DSC_00.json").write_text(json.dumps({"credit": "Bo"}))
    index(up.home, name, [tmp_path], default_encoders())
    return name


def images(up: Up, library: str) -> list[dict[str, Any]]:
    return up.ask(f"/v1/libraries/{library}/images?limit=200")["images"]


def opened(page: Page, up: Up, *route: str) -> Studio:
    studio = Studio(page, up).open("libraries", *route)
    expect(page.locator(".contact li, .easel").first).to_be_visible()
    return studio


def selected(page: Page) -> Any:
    return page.get_by_role("region", name="Selected images").get_by_role("status")


def test_pictures_are_selected_changed_together_and_changed_back(page: Page, up: Up, shoot: str) -> None:
    studio = opened(page, up, shoot)
    pictures = page.locator(".contact .frame")
    page.locator(".contact li").nth(1).hover()
    page.get_by_label("Select DSC 01").click()
    expect(selected(page)).to_have_text("1 image selected")
    pictures.nth(4).click(modifiers=["Shift"])
    expect(selected(page)).to_have_text("4 images selected")
    pictures.nth(2).click()  # where some are selected a click is no opening
    expect(selected(page)).to_have_text("3 images selected")
    expect(page.locator(".panel")).to_have_count(0)
    studio.shot("many-selected")
    page.keyboard.press("Escape")
    expect(page.locator(".selection")).to_have_count(0)
    page.keyboard.press("ControlOrMeta+a")
    expect(selected(page)).to_have_text("60 images selected")
    page.get_by_role("button", name="Select all 64").click()
    expect(selected(page)).to_have_text("64 images selected")
    page.locator(".selection").get_by_role("button", name="Caption & credit").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox", name="Credit")).to_have_attribute("placeholder", "Different values")
    dialog.get_by_role("textbox", name="Credit").fill("Ann Lee")
    dialog.get_by_role("textbox", name="Licence").fill("CC BY 4.0")
    dialog.get_by_label("Only fill empty fields").check()
    studio.shot("many-form")
    dialog.get_by_role("button", name="Change 64 images").click()
    expect(page.locator(".toast")).to_contain_text("64 images changed.", timeout=90_000)
    said = images(up, shoot)
    assert [one["credit"] for one in said] == ["Bo", *["Ann Lee"] * (PICTURES - 1)]
    assert {one["licence"] for one in said} == {"CC BY 4.0"}
    assert {tuple(one["written"]) for one in said[1:]} == {("credit", "licence")}
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("64 images are as they were.", timeout=90_000)
    assert [one["credit"] for one in images(up, shoot)] == ["Bo", *[""] * (PICTURES - 1)]
    assert {tuple(one["written"]) for one in images(up, shoot)} == {()}


def test_a_search_loses_the_selection_that_it_hides(page: Page, up: Up, shoot: str) -> None:
    opened(page, up, shoot)
    page.keyboard.press("ControlOrMeta+a")
    expect(selected(page)).to_be_visible()
    page.get_by_label("What should the image show?").fill("DSC 07")
    expect(page.locator(".selection")).to_have_count(0)


def test_what_is_refused_is_listed_and_a_lost_connection_goes_on_where_it_stopped(
    page: Page, up: Up, shoot: str
) -> None:
    studio = opened(page, up, shoot)
    page.locator(".contact .frame").first.focus()
    page.keyboard.press("x")
    page.locator(".contact .frame").nth(9).click(modifiers=["Shift"])
    expect(selected(page)).to_have_text("10 images selected")
    page.locator(".selection").get_by_role("button", name="Caption & credit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Caption").fill("x" * 2100)
    dialog.get_by_role("button", name="Change 10 images").click()
    expect(dialog.get_by_role("alert")).to_have_text("0 images changed. 10 images are left as they were.")
    expect(dialog.locator(".failed li")).to_have_count(10)
    expect(dialog.locator(".failed li").first).to_contain_text("2000")
    studio.shot("many-refused")
    dialog.get_by_role("button", name="Close").last.click()

    written = 0

    def lose(route: Route) -> None:
        nonlocal written
        written += route.request.method == "PATCH"
        if written > 3:
            route.abort()
        else:
            route.continue_()

    page.route("**/words", lose)
    page.locator(".selection").get_by_role("button", name="Caption & credit").click()
    dialog.get_by_role("textbox", name="Credit").fill("Ann Lee")
    dialog.get_by_role("button", name="Change 10 images").click()
    expect(dialog.get_by_role("alert")).to_have_text("3 images changed. 7 images are left as they were.")
    assert [one["credit"] for one in images(up, shoot)].count("Ann Lee") == 3
    page.unroute("**/words")
    dialog.get_by_role("button", name="Try again").click()
    expect(page.locator(".toast")).to_contain_text("7 images changed.")
    assert [one["credit"] for one in images(up, shoot)].count("Ann Lee") == 10
    page.locator(".toast").get_by_role("button", name="Undo").click()  # both tries
    expect(page.locator(".toast")).to_contain_text("10 images are as they were.")
    assert [one["credit"] for one in images(up, shoot)] == ["Bo", *[""] * (PICTURES - 1)]


def test_own_pictures_are_deleted_together_but_for_those_in_use(page: Page, up: Up) -> None:
    def hand_in(name: str, colour: tuple[int, int, int]) -> dict[str, Any]:
        data = BytesIO()
        Image.new("RGB", (300, 180), colour).save(data, "PNG")
        return httpx.post(f"{up.url}/v1/images", files={"file": (name, data.getvalue())}).json()

    own = [hand_in(f"board {n}.png", (200, 30 * n, 90)) for n in range(3)]
    job = up.article()
    revision = up.revision(job)
    image = next(b for b in revision["blocks"] if b["type"] == "image")
    swap = {"do": "swap_image", "image": image["id"], "image_id": own[1]["image_id"], "library": own[1]["library"]}
    up.ask(f"/v1/jobs/{job}/edits", {"version": revision["version"], "edits": [swap]})
    opened(page, up, own[0]["library"])
    page.keyboard.press("ControlOrMeta+a")
    expect(selected(page)).to_have_text("3 images selected")
    page.locator(".selection").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete permanently").click()
    refused = page.get_by_role("dialog").locator(".failed li")
    expect(refused).to_have_count(1)
    expect(refused).to_contain_text(job)
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    expect(page.locator(".contact li")).to_have_count(1)
    assert [one["image_id"] for one in up.ask("/v1/images")["images"]] == [own[1]["image_id"]]


def test_rows_are_justified_and_their_size_is_remembered(page: Page, up: Up, shoot: str) -> None:
    opened(page, up, shoot)
    slider = page.get_by_label("Size of the images")

    def rows() -> dict[float, list[dict[str, float]]]:
        found: dict[float, list[dict[str, float]]] = {}
        for box in page.locator(".contact .frame").evaluate_all(
            "(all) => all.map((one) => { const b = one.getBoundingClientRect();"
            " return {y: Math.round(b.y), height: b.height, right: b.right}; })"
        ):
            found.setdefault(box["y"], []).append(box)
        return found

    first, *between, _ = rows().values()
    assert between
    for row in (first, *between):
        assert max(b["height"] for b in row) - min(b["height"] for b in row) < 1.5
        assert abs(row[-1]["right"] - first[-1]["right"]) < 1.5
    slider.fill("290")
    page.reload()
    expect(slider).to_have_value("290")
    expect(page.locator(".contact .frame").first).to_be_visible()
    assert next(iter(rows().values()))[0]["height"] > first[0]["height"]


def test_captions_are_written_one_after_the_other_on_a_large_picture(page: Page, up: Up, shoot: str) -> None:
    opened(page, up, shoot)
    page.get_by_role("link", name="Write captions").click()
    caption, counter = page.get_by_label("Caption", exact=True), page.locator(".counter")
    expect(caption).to_be_focused()
    expect(counter).to_have_text("1 of 64 without a caption")
    expect(caption).to_have_value("")  # a file's name is none
    with page.expect_response(lambda r: r.request.method == "PATCH"):
        page.keyboard.type("A board at the pier")
        page.get_by_label("Credit", exact=True).fill("Ann Lee")
        page.get_by_label("Use this credit and licence for the next images").check()
        page.get_by_label("Credit", exact=True).press("Enter")
    expect(counter).to_have_text("2 of 64 without a caption")
    expect(page.get_by_label("Credit", exact=True)).to_have_value("Ann Lee")
    with page.expect_response(lambda r: r.request.method == "PATCH"):
        page.keyboard.type("A second board")
        page.keyboard.press("Enter")
    expect(counter).to_have_text("3 of 64 without a caption")
    Studio(page, up).shot("captioning")
    page.keyboard.press("Shift+Enter")
    expect(caption).to_have_value("A second board")
    expect(caption).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="A second board")).to_be_visible()
    said = {one["file"]: (one["caption"], one["credit"]) for one in images(up, shoot)}
    assert said["DSC_00.png"] == ("A board at the pier", "Ann Lee")
    assert said["DSC_01.png"] == ("A second board", "Ann Lee")
    assert said["DSC_02.png"] == ("DSC 02", "")  # only looked at
    page.get_by_role("link", name="Write captions").click()
    expect(counter).to_have_text("1 of 62 without a caption")


def test_nothing_that_was_typed_while_captioning_is_lost(page: Page, up: Up, shoot: str) -> None:
    opened(page, up, shoot, "captions")
    caption = page.get_by_label("Caption", exact=True)
    page.context.set_offline(True)
    for text in ("The first", "The second"):
        caption.fill(text)
        caption.press("Enter")
    expect(page.get_by_role("button", name="2 images not saved yet")).to_be_visible()
    caption.fill("The third")
    expect(page.locator(".captioning .saved")).to_contain_text("Kept on this device")
    assert [one["written"] for one in images(up, shoot)] == [[]] * PICTURES
    page.get_by_role("button", name="2 images not saved yet").click()
    expect(caption).to_have_value("The first")
    page.context.set_offline(False)  # what was typed is sent when the connection is back
    expect(page.get_by_text("not saved yet")).to_have_count(0)
    expect(page.locator(".captioning .saved")).to_have_text("Saved")
    for _ in range(3):
        caption.press("Enter")
    caption.fill("The fourth")
    expect(page.locator(".captioning .saved")).to_contain_text("Kept on this device")
    page.reload()  # in the middle of a word, as it were
    expect(page.locator(".easel")).to_be_visible()
    texts = ["The first", "The second", "The third", "The fourth"]
    until(lambda: [one["caption"] for one in images(up, shoot)][:4] == texts, "what was kept to be sent")
