"""Nothing that was typed is lost, and nothing is deleted by a slip: stray keys, double clicks, dialogs, killed tabs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, expect
from servers import until
from studio import Studio, Up, watched

KILLS = int(os.environ.get("STUDIO_KILLS", "8"))
"""How often a tab is killed; 200 for a long look."""


def typed(studio: Studio, one: dict[str, Any], text: str) -> None:
    """Type over a paragraph and leave it."""
    studio.choose(one).get_by_role("textbox").fill(text)
    studio.page.keyboard.press("Escape")


def unchanged(studio: Studio, before: dict[str, Any]) -> None:
    """The article is what it was, and the page still shows it."""
    assert studio.up.revision(studio.job) == before
    assert studio.page.url.endswith(f"#/job/{studio.job}")
    ids = studio.page.locator(".sheet .block").evaluate_all("all => all.map((one) => one.dataset.id)")
    assert ids == [block["id"] for block in before["blocks"]]


KEYS = [*"models n c d e u x h l i r p s 1 2 9 m d".replace(" ", ""), "Shift+u", "Shift+i", "Delete", "Backspace"]


def test_letters_over_selected_words_do_nothing(studio: Studio) -> None:
    before = studio.up.revision(studio.job)
    page = studio.page
    start = studio.block(studio.paragraph(0)).bounding_box()
    end = studio.block(studio.paragraph(2)).bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 40, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(end["x"] + 200, end["y"] + 20, steps=8)
    page.mouse.up()
    assert page.evaluate("getSelection().toString().length") > 20
    for key in KEYS:
        page.keyboard.press(key)
    unchanged(studio, before)


def test_letters_do_nothing_to_a_block_chosen_by_mouse(studio: Studio) -> None:
    before = studio.up.revision(studio.job)
    page = studio.page
    studio.choose(studio.images()[0])
    for key in KEYS:
        page.keyboard.press(key)
    unchanged(studio, before)
    studio.choose(studio.paragraph(1))
    page.keyboard.press("Escape")
    for key in [k for k in KEYS if k != "e"]:
        page.keyboard.press(key)
    expect(page.get_by_role("dialog")).to_have_count(0)
    unchanged(studio, before)


def test_a_double_click_on_a_candidate_is_one_choice(studio: Studio) -> None:
    texts, count = studio.texts(), len(studio.images())
    studio.choose(studio.paragraph(3))
    studio.tool("Insert image after")
    candidate = studio.page.locator(".candidates button:enabled").first  # others are in the article already
    expect(candidate).to_be_visible()
    candidate.dblclick()
    until(lambda: len(studio.images()) > count, "the image to be placed")
    studio.saved()
    assert studio.texts() == texts
    assert len(studio.images()) == count + 1


def test_a_double_click_where_delete_comes_under_the_pointer(studio: Studio) -> None:
    """Whatever the second click meets: it was meant for what the first one met."""
    texts = studio.texts()
    studio.choose(studio.paragraph(3))
    where = studio.page.locator(".margin").get_by_role("button", name="Delete").bounding_box()
    assert where
    studio.tool("Insert image after")
    back = studio.page.locator(".margin").get_by_role("button", name="Back")
    back.evaluate(
        "(one, at) => Object.assign(one.style, {position: 'fixed', left: `${at.x}px`, top: `${at.y}px`, zIndex: 99})",
        where,
    )
    studio.page.mouse.dblclick(where["x"] + 8, where["y"] + 8)
    expect(studio.page.locator(".margin").get_by_role("button", name="Delete")).to_be_visible()
    studio.saved()
    assert studio.texts() == texts


def test_what_was_deleted_comes_back_from_the_toast(studio: Studio) -> None:
    before = studio.up.revision(studio.job)
    doomed, image = studio.paragraph(1), studio.images()[0]
    for choose, what in ((doomed, "Paragraph deleted."), (image, "Image removed.")):
        studio.choose(choose)
        studio.page.keyboard.press("Escape") if choose is doomed else None
        studio.page.keyboard.press("ControlOrMeta+Backspace")
        toast = studio.page.locator(".toast", has_text=what)
        expect(toast).to_be_visible()
        expect(studio.block(choose)).to_have_count(0)
        toast.get_by_role("button", name="Undo").click()
        expect(studio.block(choose)).to_be_visible()
        studio.saved()
        assert studio.up.revision(studio.job)["blocks"] == before["blocks"]


def test_an_undo_that_comes_too_late_undoes_nothing_else(studio: Studio) -> None:
    doomed, other = studio.paragraph(1), studio.paragraph(0)
    studio.choose(doomed)
    studio.page.keyboard.press("Escape")
    studio.page.keyboard.press("ControlOrMeta+Backspace")
    toast = studio.page.locator(".toast", has_text="Paragraph deleted.")
    expect(toast).to_be_visible()
    typed(studio, other, "Written after that.")
    studio.saved()
    toast.get_by_role("button", name="Undo").click()
    expect(studio.page.locator(".toast")).to_contain_text("The article has changed since then")
    assert studio.paragraph(0)["text"] == "Written after that."


def test_a_proposal_closed_by_escape_is_kept_with_the_words_it_was_asked_in(studio: Studio) -> None:
    asked: list[str] = []
    page = studio.page
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/proposals") else None)
    one = studio.paragraph(1)
    studio.choose(one)
    page.locator("#said").fill("louder, please")
    studio.tool("Rewrite")
    expect(page.locator("dialog ins").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#said")).to_have_value("louder, please")
    page.locator(".toast").get_by_role("button", name="Show again").click()
    expect(page.locator("dialog ins").first).to_be_visible()
    assert len(asked) == 1  # nothing is paid for twice
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.reload()
    expect(studio.block(one)).to_be_visible()
    studio.choose(one)
    expect(page.locator("#said")).to_have_value("louder, please")


# --- the server is away, refuses, or has a fault ---------------------------------------------------------------------


def test_new_text_is_shown_and_kept_while_the_server_is_away(studio: Studio) -> None:
    """Typed on top of each other, reloaded in between, it arrives in the order it was written."""
    page, one = studio.page, studio.paragraph(1)
    page.route("**/edits", lambda route: route.abort())
    studio.choose(one)
    studio.tool("Insert text after")
    page.get_by_label("New text").fill("First, on a train.")
    page.keyboard.press("Escape")
    expect(page.locator(".sheet")).to_contain_text("First, on a train.")
    expect(page.locator(".saved")).to_have_attribute("data-state", "offline")
    page.locator(".block", has_text="First, on a train.").click()  # it can still be changed
    page.get_by_label("New text").fill("First, on a slow train.")
    page.keyboard.press("Escape")
    expect(page.locator(".sheet")).to_contain_text("First, on a slow train.")
    page.unroute("**/edits")
    page.reload()
    studio.saved()
    until(lambda: "First, on a slow train." in studio.texts(), "the new paragraph to be sent")
    texts = studio.texts()
    assert texts[texts.index(one["text"]) + 1] == "First, on a slow train."
    assert studio.up.revision(studio.job)["version"] == 2


@pytest.mark.parametrize("status", [500, 502, 429])
def test_a_fault_of_the_server_drops_no_words(studio: Studio, status: int) -> None:
    one = studio.paragraph(0)
    studio.page.route("**/edits", lambda route: route.fulfill(status=status, body="{}"), times=2)
    typed(studio, one, "Said in spite of it.")
    studio.saved()
    assert studio.paragraph(0)["text"] == "Said in spite of it."


def test_words_that_are_refused_stay_to_be_seen(studio: Studio) -> None:
    """Locked by somebody else meanwhile: what was written stands beside it, and goes through once it can."""
    page, one = studio.page, studio.paragraph(0)
    box = studio.choose(one).get_by_role("textbox")
    version = studio.up.revision(studio.job)["version"]
    lock = {"version": version, "edits": [{"do": "lock", "ids": [one["id"]]}]}
    studio.up.ask(f"/v1/jobs/{studio.job}/edits", lock)
    box.fill("Words for a locked place.")
    page.keyboard.press("Escape")
    beside = page.locator(".beside")
    expect(beside).to_contain_text("Words for a locked place.")
    expect(page.locator(".saved")).to_have_attribute("data-state", "conflict")
    page.reload()
    expect(beside).to_contain_text("Words for a locked place.")
    studio.up.ask(
        f"/v1/jobs/{studio.job}/edits", {"version": version + 1, "edits": [{**lock["edits"][0], "do": "unlock"}]}
    )
    beside.get_by_role("button", name="Try again").click()
    studio.saved()
    assert studio.paragraph(0)["text"] == "Words for a locked place."


def test_a_change_that_is_sent_twice_is_made_once(studio: Studio) -> None:
    """It came through and its answer did not: new text, which nothing else could tell from a second copy."""
    one = studio.paragraph(1)

    def swallow(route: Route) -> None:
        route.fetch()
        route.abort()

    studio.page.route("**/edits", swallow, times=1)
    studio.choose(one)
    studio.tool("Insert text after")
    studio.page.get_by_label("New text").fill("Only once.")
    studio.page.keyboard.press("Escape")
    studio.saved()
    assert studio.texts().count("Only once.") == 1
    expect(studio.page.get_by_text("Only once.")).to_have_count(1)


# --- killed tabs and servers -----------------------------------------------------------------------------------------


@pytest.fixture
def tab(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of one's own, whose tabs are killed."""
    context = browser.new_context(viewport={"width": 1400, "height": 1300}, reduced_motion="reduce", locale="en-GB")
    yield context
    context.close()


def killed(browser: Browser, page: Page) -> None:
    """As by the system where memory is short: kill -9 of what draws the page, without a word to it."""
    crashed: list[Page] = []
    page.on("crash", lambda dead: crashed.append(dead))
    session = browser.new_browser_cdp_session()

    def renderers() -> set[int]:
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return {process["id"] for process in processes if process["type"] == "renderer"}

    dead = renderers()
    for process in dead:
        os.kill(process, signal.SIGKILL)
    # Chromium keeps a renderer in reserve. A page that it gives to a dead one, before it has noticed, never opens.
    until(lambda: not dead & renderers(), "the browser to notice that its renderers are dead")
    with contextlib.suppress(Error):  # the page is gone: what is asked of it fails
        until(lambda: page.evaluate("0") or crashed, "the tab to crash")
    session.detach()
    page.close()


def test_nothing_typed_is_gone_when_the_tab_is_killed(browser: Browser, tab: BrowserContext, up: Up) -> None:
    """At random moments: while it is typed, kept, sent and answered; with the server there and away."""
    choice = random.Random(20261129)
    job = up.article()
    ids = [b["id"] for b in up.revision(job)["blocks"] if b.get("kind") == "paragraph"][:4]
    expected: dict[str, str] = {}  # what somebody typed last, by where
    for n in range(KILLS):
        page = tab.new_page()
        trouble = watched(page)
        studio = Studio(page, up, job).edit()
        away = choice.random() < 0.4
        if away:
            page.route("**/edits", lambda route: route.abort())
        where, what = type_somewhere(studio, choice, n, ids)
        expected[where] = what
        page.wait_for_timeout(choice.choice([0, 0, choice.uniform(0, 300), choice.uniform(900, 1600)]))
        killed(browser, page)
        assert trouble == []
        page = tab.new_page()
        studio = Studio(page, up, job).edit()
        studio.saved()
        everything = [*studio.texts(), *(image["caption"] for image in studio.images())]
        for where, what in expected.items():
            assert what in everything, f"kill {n + 1}, {where}, the server {'away' if away else 'there'}"
        assert len(everything) == len(set(everything)), "something is there twice"
        page.close()


def type_somewhere(studio: Studio, choice: random.Random, n: int, ids: list[str]) -> tuple[str, str]:
    """Type some words by single keys into a paragraph, after one, or into a caption: (where, all of what is typed)."""
    page = studio.page
    words = " ".join(choice.sample(["nectar", "hive", "wax", "comb", "queen", "drone", "honey"], choice.randint(1, 5)))
    text = f"Words {n}: {words}"
    kind = choice.choice(["text", "text", "new", "caption"])
    if kind == "caption":
        image = studio.images()[0]
        studio.choose(image)
        page.locator("#image-caption").fill("")
        page.locator("#image-caption").press_sequentially(text)
        return f"caption {image['id']}", text
    one = choice.choice(ids)
    studio.choose({"id": one})
    if kind == "new":
        studio.tool("Insert text after")
        page.get_by_label("New text").press_sequentially(text)
        return f"new {n}", text
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)
    return f"text {one}", text


def test_a_server_that_is_killed_and_comes_back_has_everything(
    page: Page, indexed: tuple[Path, Path], tmp_path: Path, scripted_up: Callable[..., Up]
) -> None:
    """However long it was away: nothing depends on how often was asked meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    up = scripted_up(tmp_path, port=port)
    studio = Studio(page, up, up.article()).edit()
    one = studio.paragraph(0)
    page.clock.install()
    os.killpg(up.process.pid, signal.SIGKILL)
    up.process.wait()
    typed(studio, one, "Written while nobody listened.")
    studio.choose(one)
    page.keyboard.press("Escape")
    studio.tool("Insert text after")
    page.get_by_label("New text").fill("And a paragraph more.")
    page.keyboard.press("Escape")
    expect(page.locator(".saved")).to_have_attribute("data-state", "offline")
    page.clock.run_for(3_600_000)
    expect(page.locator(".sheet")).to_contain_text("And a paragraph more.")
    again = scripted_up(tmp_path, port=port)
    studio.up = again
    page.clock.run_for(30_000)
    studio.saved()
    assert studio.paragraph(0)["id"] == one["id"]
    assert [studio.paragraph(n)["text"] for n in (0, 1)] == ["Written while nobody listened.", "And a paragraph more."]
