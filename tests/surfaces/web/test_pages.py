"""Each page, light and dark, wide and narrow: axe finds nothing serious, nothing is wider than the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from servers import free_port
from studio import Studio, Up

ALONE = True  # lists are looked at as they are without articles of other tests
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")


def found(page: Page) -> list[str]:
    """Serious findings of axe, as lines."""
    page.evaluate(AXE)  # not a script of the page: the policy would refuse it
    result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['target']} {node['html'][:120]} {node['any'][0]['message'] if node['any'] else ''}"
        for one in result["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def job(up: Up) -> str:
    """An article with a few versions."""
    made = up.article(brief="How bees make honey and why it keeps")
    block = next(b for b in up.revision(made)["blocks"] if b.get("kind") == "paragraph")
    up.ask(f"/v1/jobs/{made}/edits", {"version": 1, "edits": [{"do": "lock", "ids": [block["id"]]}]})
    text = next(b for b in up.revision(made)["blocks"] if b.get("kind") == "paragraph" and not b["locked"])
    edits = [{"do": "set_text", "block": text["id"], "text": "Other words."}]
    up.ask(f"/v1/jobs/{made}/edits", {"version": 2, "edits": edits})
    return made


@pytest.fixture(scope="module")
def waiting(up: Up) -> dict[str, str]:
    """Jobs that wait, by the point they wait at."""
    from servers import until

    jobs = {}
    for point in ("outline", "draft", "spots", "images", "final"):
        asked = {"brief": f"Honey, {point}", "library": ["bees"], "images": 2, "review": [point]}
        jobs[point] = up.ask("/v1/jobs", asked)["id"]
    for made in jobs.values():
        until(lambda made=made: up.ask(f"/v1/jobs/{made}")["state"] == "waiting", "a question")
    return jobs


@pytest.mark.parametrize(
    ("locale", "width", "scheme"),
    [("en-GB", 1400, "light"), ("en-GB", 390, "dark"), ("zh-CN", 390, "light"), ("zh-CN", 1400, "dark")],
    ids=lambda value: str(value),
)
def test_every_page_is_for_everybody(
    browser: Browser, up: Up, job: str, waiting: dict[str, str], scheme: Any, width: int, locale: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale, reduced_motion="reduce"
    )
    page = context.new_page()
    studio = Studio(page, up, job)
    problems: list[str] = []

    def look(name: str) -> None:
        studio.shot(f"page-{name}-{scheme}-{width}-{locale[:2]}")
        problems.extend(f"{name}: {line}" for line in found(page))
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide = "[...document.querySelectorAll('body *')]"
            wide += ".filter((e) => e.getBoundingClientRect().right > innerWidth + 1).slice(-3).map((e) => e.tagName + '.' + e.className).join(' ')"  # noqa: E501
            problems.append(f"{name}: wider than the window: {page.evaluate(wide)}")

    studio.listed("")
    look("jobs")
    studio.open("new")
    expect(page.locator(".choices input").first).to_be_visible()
    look("new")
    page.locator("#text").fill("Honey")
    page.locator("form .primary").click()
    expect(page.locator("dl.plan")).to_be_visible()
    look("plan")
    studio.listed("libraries")
    look("libraries")
    studio.open("libraries", "bees")
    page.locator("input[type=search]").fill("honey")
    expect(page.locator(".contact li").first).to_be_visible()
    look("library")
    page.locator(".tick input").first.click()
    expect(page.locator(".selection")).to_be_visible()
    look("library-selected")
    page.locator(".selection .primary").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("library-many")
    studio.open("libraries", "bees", "captions")
    page.locator(".captioning select").select_option("")
    expect(page.locator(".easel")).to_be_visible()
    look("captioning")
    for point, made in waiting.items():
        studio.open("job", made)
        expect(page.locator(".answer")).to_be_visible()
        look(f"review-{point}")
    studio.edit()
    look("article")
    studio.block(studio.paragraph(1)).click(position={"x": 20, "y": 12})
    expect(page.locator(".typing")).to_be_visible()
    look("typing")
    page.keyboard.press("ControlOrMeta+a")
    expect(page.locator(".bubble")).to_be_visible()
    look("bubble")
    page.keyboard.press("Escape")
    studio.block(studio.images()[0]).click()
    expect(page.locator(".candidates li").first).to_be_visible()
    look("image")
    studio.command({"en": "Crop", "zh": "裁剪"}[locale[:2]])
    expect(page.locator(".cropping")).to_be_visible()
    look("crop")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    look("keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("ControlOrMeta+k")
    expect(page.locator(".palette li").first).to_be_visible()
    look("palette")
    page.keyboard.press("Escape")
    two_versions(studio)
    look("two-versions")
    studio.command({"en": "Export", "zh": "导出"}[locale[:2]])
    expect(page.get_by_role("dialog").locator(".preview")).to_be_visible()
    look("export")
    studio.open("job", job, "history")
    expect(page.locator(".changes li").first).to_be_visible()
    look("history")
    context.close()
    assert not problems, "\n".join(problems)


def two_versions(studio: Studio) -> None:
    """Type over a paragraph that somebody else types over as well; nothing of it is decided."""
    one = studio.paragraph(2)
    studio.page.route("**/edits", lambda route: route.abort())
    studio.block(one).click(position={"x": 20, "y": 12})
    studio.page.locator(".typing").fill(f"Mine, not theirs. {one['text']}")
    version = studio.up.revision(studio.job)["version"]
    theirs = {"do": "set_text", "block": one["id"], "text": f"Theirs at version {version}. {one['text']}"}
    studio.up.ask(f"/v1/jobs/{studio.job}/edits", {"version": version, "edits": [theirs]})
    studio.page.unroute("**/edits")
    studio.page.keyboard.press("Escape")
    expect(studio.page.locator(".beside")).to_be_visible()


def test_a_token_is_asked_for_and_images_come_with_it(
    browser: Browser, indexed: tuple[Path, Path], tmp_path: Path, said: Any
) -> None:
    """Plain <img> sends no token: the studio fetches what it shows."""
    import shutil

    from scripted import ScriptedServer

    shutil.copytree(indexed[0], tmp_path / "home")
    with ScriptedServer(lambda body: said.answer(body)) as server:
        up = Up(tmp_path / "home", server, tmp_path / "log", TOKEN="a-long-enough-secret-token")
        try:
            context = browser.new_context(viewport={"width": 1400, "height": 1300}, locale="en-GB")
            page = context.new_page()
            page.goto(up.url)
            page.get_by_label("Token").fill("wrong")
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_label("Token")).to_be_visible()
            assert found(page) == []
            page.get_by_label("Token").fill("a-long-enough-secret-token")
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_role("link", name="Paste a draft")).to_be_visible()
            page.get_by_role("link", name="New article").first.click()
            page.get_by_label("What’s the article about?").fill("Honey")
            page.get_by_label("bees").check()
            page.get_by_role("button", name="Estimate").click()
            page.get_by_role("button", name="Start").click()
            image = page.locator(".editor figure img").first
            expect(image).to_be_visible(timeout=90_000)
            image.scroll_into_view_if_needed()
            expect(image).to_have_attribute("src", __import__("re").compile("^blob:"))
            expect(image).to_have_js_property("complete", True)
            assert image.evaluate("(img) => img.naturalWidth") > 0
            page.get_by_role("button", name="Export").click()
            with page.expect_download() as waiting:
                page.get_by_role("button", name="Save Web page").click()
            assert waiting.value.suggested_filename.endswith(".html")
            context.close()
        finally:
            up.close()


def test_a_first_visit_offers_the_sample(page: Page, scripted_up: Callable[..., Up], tmp_path: Path) -> None:
    up = scripted_up(tmp_path, free_port())
    page.goto(up.url)
    for door, field in (("Paste a draft", "Your text"), ("Write from a brief", "What’s the article about?")):
        page.get_by_role("link", name=door).click()
        expect(page.get_by_label(field)).to_be_visible()
        page.go_back()
    expect(page.get_by_text("limner writes articles from a brief")).to_be_visible()
    Studio(page, up).shot("first-visit")
    assert found(page) == []
    page.get_by_role("button", name="Try the sample").click()
    expect(page.locator(".editor figure img").first).to_be_visible(timeout=120_000)
    expect(page.locator(".sheet")).to_contain_text("Postcards from nearby worlds")
    [job] = httpx.get(f"{up.url}/v1/jobs").json()["jobs"]
    images = [b for b in up.revision(job["id"])["blocks"] if b["type"] == "image"]
    assert len(images) >= 3, "as many as the scripted model names places for"
    assert {image["library"] for image in images} == {"limner-sample"}
