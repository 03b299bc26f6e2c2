"""A new user's first article, from the brief to the export, in a browser."""

from __future__ import annotations

import json
import re
import threading
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect
from revising import command, revising_answers
from scripted import Answer, Delayed, asking
from servers import until
from studio import Model, Studio, Up


def held_in_the_middle(said: Model) -> threading.Event:
    """Let the writer stop half-way, until this event is set."""
    seen = threading.Event()

    def answer(body: dict[str, Any]) -> Answer:
        usual = said.usual(body)
        return Delayed(str(usual), 0.5, until=seen) if asking(body) == "writer" else usual

    said.answer = answer
    return seen


def test_from_a_brief_to_an_export(page: Page, up: Up, said: Model, tmp_path: Path) -> None:
    seen_in_part = held_in_the_middle(said)
    studio = Studio(page, up).open()
    page.goto(up.url)
    expect(page.get_by_role("heading", name="Articles")).to_be_visible()
    studio.shot("01-empty")
    page.get_by_role("link", name="New article").first.click()
    page.get_by_label("What’s the article about?").fill("How bees make honey")
    page.get_by_label("bees").check()
    page.get_by_label("Number of images", exact=True).select_option("2")
    page.get_by_label("Outline", exact=True).check()
    page.get_by_label("Images", exact=True).check()
    page.get_by_label("Source material").set_input_files(
        [{"name": "notes.md", "mimeType": "text/markdown", "buffer": b"Nectar is mostly water."}]
    )
    studio.shot("02-brief")
    page.get_by_role("button", name="Estimate").click()
    expect(page.get_by_role("dialog")).to_contain_text("Tokens (about)")
    studio.shot("03-estimate")
    page.get_by_role("button", name="Start").click()

    expect(page.get_by_text("Review the outline")).to_be_visible(timeout=60_000)
    studio.shot("04-outline")
    page.get_by_label("Outline", exact=True).fill(
        "# How Bees Make Honey\n\n## In the field\n- nectar\n\n## In winter\n- stores"
    )
    page.get_by_role("button", name="Continue with my changes").click()

    expect(page.locator(".live .sheet h1")).to_have_text("How Bees Make Honey", timeout=30_000)
    seen = page.locator(".live .sheet").inner_text()
    studio.shot("05-live")
    seen_in_part.set()
    expect(page.locator(".live .sheet")).not_to_have_text(seen)
    expect(page.get_by_text("Review the images")).to_be_visible(timeout=60_000)
    studio.shot("06-images", full_page=True)
    first = page.locator("fieldset.choice").filter(has=page.locator("label.chosen .caption")).first
    taken = first.locator("label.chosen .caption").inner_text()
    first.locator("label:not(.chosen)", has=page.locator(".caption")).first.click()
    expect(first.locator("label.chosen .caption")).not_to_have_text(taken)
    wanted = first.locator("label.chosen .caption").inner_text()
    page.get_by_role("button", name="Continue with my changes").click()

    expect(page.locator(".editor .block").first).to_be_visible(timeout=60_000)
    job = page.url.rpartition("/")[2]
    studio.job = job
    assert wanted in [image["caption"] for image in studio.images()]
    studio.shot("07-article")

    said.answer = revising_answers([command("delete", block=2), command("set_title", text="Honey")])
    page.get_by_label("Ask for a change").fill("Drop the opening, call it Honey")
    page.get_by_role("button", name="Preview").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Removed")
    studio.shot("08-proposal")
    assert up.revision(job)["version"] == 1  # nothing has changed yet
    with page.expect_response(lambda answer: answer.url.endswith("/edits")):
        dialog.get_by_role("button", name="Apply").click()
    studio.saved()
    assert up.revision(job)["title"] == "Honey"

    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("dialog").locator(".preview")).to_contain_text("In the field")
    studio.shot("09-export")
    for tab, name in (
        ("PDF", ".pdf"),
        ("Markdown", ".md"),
        ("ZIP", ".zip"),
        ("JSON", ".json"),
        ("Web page", ".html"),
    ):
        page.get_by_role("dialog").get_by_role("button", name=tab, exact=True).click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Save {tab}").click()
        assert waiting.value.suggested_filename.endswith(name)
        waiting.value.save_as(tmp_path / f"article{name}")
    assert "bees" in (tmp_path / "article.md").read_text()
    assert json.loads((tmp_path / "article.json").read_text())["article"]["title"] == "Honey"
    assert any(entry.endswith("article.html") for entry in zipfile.ZipFile(tmp_path / "article.zip").namelist())


def test_a_draft_is_illustrated_and_left_as_it_is(page: Page, up: Up) -> None:
    draft = "# Honey\n\nBees *gather* nectar.\n\nIt dries to honey in the comb.\n"
    studio = Studio(page, up).open("new")
    page.get_by_role("button", name="A draft").click()
    page.get_by_label("Your text").fill(draft)
    page.get_by_label("bees").check()
    page.get_by_role("button", name="Estimate").click()
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".editor .block").first).to_be_visible(timeout=60_000)
    studio.job = page.url.rpartition("/")[2]
    assert studio.texts() == ["# Honey", "Bees *gather* nectar.", "It dries to honey in the comb."]
    assert studio.images()


def test_the_list_of_jobs(page: Page, up: Up, said: Model) -> None:
    kept = up.article()
    said.answer = lambda body: Delayed(str(said.usual(body)), 60)
    job = up.ask("/v1/jobs", {"brief": "Meadows", "library": ["bees"]})["id"]
    Studio(page, up).open("")
    row = page.locator(".job", has_text="Meadows")
    row.get_by_role("button", name=re.compile("Stop")).click()
    expect(row.locator(".state")).to_have_text("Stopped")
    page.get_by_role("button", name="Done", exact=True).click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Search by title").fill("meadows")
    expect(page.locator(".job")).to_have_count(1)
    said.answer = said.usual
    row.get_by_role("button", name=re.compile("Resume")).click()
    expect(row.locator(".state")).to_have_text("Done", timeout=60_000)
    row.get_by_role("button", name=re.compile("Delete")).click()
    page.get_by_role("button", name="Delete permanently").click()
    expect(page.get_by_text("No articles match.")).to_be_visible()
    assert [j["id"] for j in up.ask("/v1/jobs")["jobs"] if j["id"] in (kept, job)] == [kept]


def test_the_worker_is_killed_in_the_middle(page: Page, up: Up, said: Model) -> None:
    """The page goes on by itself, with nothing missing and nothing twice."""

    seen_in_part = held_in_the_middle(said)
    job = up.ask("/v1/jobs", {"brief": "How bees make honey", "library": ["bees"], "images": 2})["id"]
    studio = Studio(page, up, job).open()
    expect(page.locator(".live .sheet h1")).to_be_visible(timeout=30_000)
    up.kill_worker()
    expect(page.locator(".live .notes")).to_contain_text("worker", timeout=60_000)
    seen_in_part.set()
    studio.shot("10-worker-lost")
    expect(page.locator(".editor .block").first).to_be_visible(timeout=90_000)
    assert studio.texts().count("## In the field") == 1


def test_a_lost_connection_while_it_is_written(page: Page, up: Up, said: Model) -> None:
    seen_in_part = held_in_the_middle(said)
    job = up.ask("/v1/jobs", {"brief": "How bees make honey", "library": ["bees"], "images": 2, "review": ["draft"]})[
        "id"
    ]
    studio = Studio(page, up, job).open()
    expect(page.locator(".live .sheet h1")).to_be_visible(timeout=30_000)
    page.context.set_offline(True)
    expect(page.get_by_text("No connection.")).to_be_visible()
    studio.shot("11-offline")
    seen_in_part.set()
    until(lambda: up.ask(f"/v1/jobs/{job}")["state"] == "waiting", "the text to be written")
    page.context.set_offline(False)
    expect(page.get_by_text("Review the text")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("No connection.")).to_be_hidden()


def test_a_question_that_came_while_the_job_could_not_be_read(page: Page, up: Up) -> None:
    job = up.ask("/v1/jobs", {"brief": "Bees", "library": ["bees"], "images": 2, "review": ["draft"]})["id"]
    answered: list[str] = []

    def late(route: Route) -> None:
        now = up.ask(f"/v1/jobs/{job}")
        answered.append(now["state"])
        route.fulfill(json={**now, "state": "running", "step": "review_draft"})

    page.route(re.compile(rf"/v1/jobs/{job}$"), late)
    Studio(page, up, job).open()
    expect(page.locator(".progress")).to_contain_text("Preparing your review")
    while answered.count("waiting") < 2:  # by the second look, the event has come
        page.wait_for_timeout(100)
    page.unroute_all()
    expect(page.get_by_text("Review the text")).to_be_visible()
