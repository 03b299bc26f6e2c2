"""The library page: looking through, filling in captions by hand and by keyboard, images of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.request import Request, urlopen

import pytest
from archive import make_archive, picture, with_iptc
from PIL import Image
from playwright.sync_api import Page, expect
from studio import Studio, Up


@pytest.fixture(scope="module")
def bare(up: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library of seven images that have no captions, and of one that has."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    folder = tmp_path_factory.mktemp("bare")
    for n in range(7):
        Image.new("RGB", (320, 200) if n % 2 else (200, 320), (30 * n, 120, 200 - 20 * n)).save(folder / f"DSC_{n}.png")
    Image.new("RGB", (320, 200), "green").save(folder / "meadow.png")
    (folder / "meadow.json").write_text(json.dumps({"caption": "A meadow in June", "credit": "Ann"}))
    index(up.home, "bare", [folder], default_encoders())
    return "bare"


@pytest.fixture(scope="module")
def archive(up: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five pictures whose programs wrote facts into them, and one whose embargo ends in 2099."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    folder = make_archive(tmp_path_factory.mktemp("pictures") / "archive")
    with_iptc(picture(folder / "vault.jpg", (50, 40), 1), (120, "The harvest in the vault"), (30, "20990101"))
    index(up.home, "archive", [folder], default_encoders())
    return "archive"


@pytest.fixture(autouse=True)
def _as_before(up: Up, bare: str) -> Iterator[None]:
    yield
    for image in images(up, bare):
        if image["written"]:
            patch(up, bare, image["image_id"], dict.fromkeys(image["written"]))


def images(up: Up, library: str, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{k}={v}" for k, v in query.items())
    return up.ask(f"/v1/libraries/{library}/images?{asked}")["images"]


def patch(up: Up, library: str, image: str, words: dict[str, Any]) -> None:
    address = f"{up.url}/v1/libraries/{library}/images/{image}/words"
    body = json.dumps(words).encode()
    urlopen(Request(address, body, {"Content-Type": "application/json"}, method="PATCH"), timeout=30).close()


def opened(page: Page, up: Up, library: str) -> Studio:
    studio = Studio(page, up).open("libraries", library)
    expect(page.locator(".contact li").first).to_be_visible()
    return studio


def test_captions_are_filled_in_one_after_the_other_by_keyboard(page: Page, up: Up, bare: str) -> None:
    studio = opened(page, up, bare)
    expect(page.locator(".contact li")).to_have_count(8)
    page.get_by_label("Filter").select_option("caption")
    expect(page.locator(".contact li")).to_have_count(7)
    expect(page.get_by_text("7 images to fill in")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator(".panel")).to_be_visible()
    page.keyboard.press("e")
    box = page.locator(".panel").get_by_label("Caption", exact=True)
    for n in range(3):
        expect(box).to_be_focused()
        expect(box).to_have_value(f"DSC {n}")
        with page.expect_response(lambda r: r.request.method == "PATCH"):
            box.fill(f"A painted board, number {n}")
            page.keyboard.press("Enter")
    expect(box).to_have_value("DSC 3")
    studio.shot("library-filling-in")
    left = images(up, bare, without="caption")
    assert [one["caption"] for one in left] == ["DSC 3", "DSC 4", "DSC 5", "DSC 6"]
    expect(page.get_by_text("8 images, 4 with a caption")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_have_count(0)
    page.get_by_label("Filter").select_option("")
    page.get_by_label("What should the image show?").fill("painted board number 2")
    expect(page.locator(".contact .caption").first).to_have_text("A painted board, number 2")


def test_a_library_is_limited_by_its_facts(page: Page, up: Up, archive: str) -> None:
    studio = opened(page, up, archive)
    shown, limits = page.locator(".contact li"), page.get_by_role("group", name="Only images with…")
    expect(shown).to_have_count(6)
    limits.get_by_label("Licence").fill("CC BY")  # not CC BY-SA
    expect(shown).to_have_count(2)
    expect(page.get_by_text("2 images", exact=True)).to_be_visible()
    limits.get_by_label("Taken from").fill("2020")
    expect(shown).to_have_count(1)
    page.get_by_label("What should the image show?").fill("a barn")  # the search has the same limits
    expect(page.locator(".contact .caption").first).to_have_text("A barn after the harvest")
    expect(shown).to_have_count(1)
    for label in ("Licence", "Taken from"):
        limits.get_by_label(label).fill("")
    page.get_by_label("What should the image show?").fill("")
    limits.get_by_label("Orientation").select_option("landscape")
    limits.get_by_label("Keyword").fill("harvest")
    expect(shown).to_have_count(2)
    limits.get_by_label("Folder").fill("2019")
    expect(shown).to_have_count(1)
    page.get_by_role("button", name="A harvest by the river").click()
    facts = page.locator(".panel .facts").last
    expect(facts).to_contain_text("People shownLovelace, Ada, Grace Hopper")
    expect(facts).to_contain_text("Rating5")
    studio.shot("library-facts")
    limits.get_by_label("Folder").fill("nowhere")
    expect(page.get_by_text("No images match these filters.")).to_be_visible()
    for label in ("Keyword", "Folder"):
        limits.get_by_label(label).fill("")
    page.get_by_role("button", name="The harvest in the vault").click()
    expect(page.locator(".panel")).to_contain_text("Articles don’t use this image")


def test_more_like_this(page: Page, up: Up, archive: str) -> None:
    opened(page, up, archive)
    shown, query = page.locator(".contact li"), page.get_by_label("What should the image show?")
    page.get_by_role("button", name="A harvest by the river").click()
    page.locator(".panel").get_by_role("button", name="More like this").click()
    expect(page.get_by_text("Like “A harvest by the river”")).to_be_visible()
    expect(shown).to_have_count(4)  # neither itself nor the one under embargo
    expect(page.locator(".panel")).to_have_count(0)
    query.fill("a barn")
    expect(page.locator(".contact .caption").first).to_have_text("A barn after the harvest")
    query.fill("")
    page.get_by_role("button", name="Show all").click()
    expect(shown).to_have_count(6)


def test_every_field_is_saved_when_it_is_left_and_given_up_again(page: Page, up: Up, bare: str) -> None:
    opened(page, up, bare)
    page.get_by_role("button", name="A meadow in June").click()
    panel = page.locator(".panel")
    for label, text in (("Caption", "A meadow in May"), ("Alternative text", "Grass"), ("Licence", "CC0")):
        with page.expect_response(lambda r: r.request.method == "PATCH"):
            panel.get_by_label(label, exact=True).fill(text)
            panel.get_by_label(label, exact=True).blur()
        expect(panel.locator(".saved")).to_have_text("Saved")
    [meadow] = [one for one in images(up, bare) if one["file"] == "meadow.png"]
    said = [meadow[name] for name in ("caption", "alt", "credit", "licence")]
    assert said == ["A meadow in May", "Grass", "Ann", "CC0"]
    with page.expect_response(lambda r: r.request.method == "PATCH"):
        panel.locator(".field", has=page.get_by_label("Caption", exact=True)).get_by_role("button").click()
    expect(panel.get_by_label("Caption", exact=True)).to_have_value("A meadow in June")


def test_what_is_typed_stays_while_it_cannot_be_saved(page: Page, up: Up, bare: str) -> None:
    opened(page, up, bare)
    page.get_by_role("button", name="A meadow in June").click()
    box = page.locator(".panel").get_by_label("Caption", exact=True)
    page.context.set_offline(True)
    box.fill("A meadow at night")
    box.blur()
    expect(page.locator(".panel .problem")).to_be_visible()
    expect(box).to_have_value("A meadow at night")
    with page.expect_response(lambda r: r.request.method == "PATCH"):
        page.context.set_offline(False)  # it is sent when the connection is back
    expect(page.locator(".panel .problem")).to_have_count(0)
    expect(box).to_have_value("A meadow at night")
    assert "A meadow at night" in [one["caption"] for one in images(up, bare)]


LEAVING = "!dispatchEvent(new Event('beforeunload', {cancelable: true}))"


def test_what_could_not_be_saved_is_kept_and_sent_after_the_panel_went_on(page: Page, up: Up, bare: str) -> None:
    """Enter saves and goes on: what could not be saved was gone then, and nothing said so."""
    studio = opened(page, up, bare)
    page.get_by_role("button", name="DSC 1", exact=True).click()
    box = page.locator(".panel").get_by_label("Caption", exact=True)
    page.context.set_offline(True)
    box.fill("A blue board")
    box.press("Enter")
    expect(box).to_have_value("DSC 2")
    mark = page.locator(".contact li", has_text="DSC 1").get_by_text("Not saved yet")
    expect(mark).to_be_visible()
    expect(page.locator(".toast")).to_contain_text("what you typed is there")
    expect(page.locator(".panel .problem")).to_have_count(0)  # of the other image
    studio.shot("library-unsaved")
    page.get_by_role("navigation").get_by_role("link", name="Articles").click()
    expect(page.locator(".library")).to_have_count(0)
    assert not page.evaluate(LEAVING)  # it is kept on this device: nothing to ask
    with page.expect_response(lambda r: r.request.method == "PATCH"):
        page.context.set_offline(False)
    page.go_back()
    expect(page.get_by_role("button", name="A blue board", exact=True)).to_be_visible()
    expect(page.get_by_text("Not saved yet")).to_have_count(0)
    assert not page.evaluate(LEAVING)


def test_what_was_refused_is_found_again_at_its_image(page: Page, up: Up, bare: str) -> None:
    opened(page, up, bare)
    page.get_by_role("button", name="DSC 1", exact=True).click()
    box = page.locator(".panel").get_by_label("Caption", exact=True)
    box.fill("x" * 2100)
    box.press("Enter")
    expect(box).to_have_value("DSC 2")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.get_by_role("button", name="DSC 1", exact=True).click()
    expect(box).to_have_value("x" * 2100)
    expect(page.locator(".panel .problem")).to_contain_text("2000")
    box.fill("A blue board")
    box.press("Enter")
    expect(page.get_by_text("Not saved yet")).to_have_count(0)
    assert "A blue board" in [one["caption"] for one in images(up, bare)]


def test_an_image_of_one_s_own_is_deleted_unless_an_article_has_it(page: Page, up: Up) -> None:
    job = up.article()
    studio = Studio(page, up, job).edit()
    data = BytesIO()
    Image.new("RGB", (300, 180), (200, 30, 90)).save(data, "PNG")
    studio.choose(studio.images()[0])
    own = {"name": "crimson board.png", "mimeType": "image/png", "buffer": data.getvalue()}
    page.locator(".upload input").set_input_files([own])
    expect(studio.block(studio.images()[0]).locator("img")).to_have_attribute("width", "300")
    studio.saved()
    library = next(one["library"] for one in up.ask("/v1/images")["images"])
    opened(page, up, library)
    expect(page.get_by_role("heading", name="Your own images")).to_be_visible()
    page.get_by_role("button", name="crimson board").click()
    page.get_by_role("button", name="Delete this image").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete permanently").click()
    expect(page.locator(".toast")).to_contain_text(job)
    urlopen(Request(f"{up.url}/v1/jobs/{job}", method="DELETE"), timeout=30).close()
    page.get_by_role("button", name="Delete this image").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_role("button", name="crimson board")).to_have_count(0)
    assert [one for one in up.ask("/v1/images")["images"] if one["caption"] == "crimson board"] == []
