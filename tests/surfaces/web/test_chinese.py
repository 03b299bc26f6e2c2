"""The studio in Chinese, from the brief to the export: no English sentence but what people and models wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page, expect
from scripted import Status
from servers import until
from studio import Model, Studio, Up, watched

CONTENT = (
    ".sheet, figure, .caption, .credit, .title, h1, .difference, .own, textarea, input, code, kbd, pre, bdi, .brand, "
    "#language, .chips, blockquote, legend, .preview, .conflict-who, dialog strong"
)
"""Where words of people and models stand; attributes of these are not looked at either."""
ENGLISH = """(content) => {
  const english = /[A-Za-z]{2,}(?:[ ,.'’:]+[A-Za-z]{2,}){2,}/;
  const found = [];
  const own = (text) => text.replace(/“[^”]*”/g, "“”");  // what stands in quotes is people's, as a heading's words
  const note = (text, where) => english.test(own(text)) && found.push(`${where}: ${text.trim().slice(0, 120)}`);
  const walker = document.createTreeWalker(document.getElementById("studio"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.closest(content)) note(walker.currentNode.data, parent.className || parent.tagName);
  }
  for (const element of document.querySelectorAll("#studio *")) {
    if (element.closest(content)) continue;
    if (element.matches(".frame, .grip, .candidates button, .job button, .tick *")) continue;
    for (const name of ["aria-label", "title", "placeholder"]) {
      if (element.hasAttribute(name)) note(element.getAttribute(name), `${element.className} ${name}`);
    }
  }
  return found;
}"""


def looker(page: Page, found: list[str]) -> Callable[[str], None]:
    def look(where: str) -> None:
        found.extend(f"{where}: {line}" for line in page.evaluate(ENGLISH, CONTENT))

    return look


def asks_of_images(job: dict[str, Any]) -> bool:
    """The steps before are over too soon to be seen."""
    return job["state"] == "waiting" and job["step"] != "review_outline"


def test_the_whole_story_in_chinese(browser: Browser, up: Up, said: Model) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 1300}, locale="zh-CN", reduced_motion="reduce")
    page = context.new_page()
    trouble, english = watched(page), list[str]()
    look = looker(page, english)
    studio = Studio(page, up).open("new")
    page.locator("#text").fill("How bees make honey")
    page.get_by_label("bees").check()
    page.locator("#images").select_option("2")
    for point in ("提纲", "图片"):
        page.locator("fieldset", has_text="请在这些地方").or_(page.locator("fieldset").last).get_by_label(
            point
        ).first.check()
    look("new")
    page.locator("form .primary").click()
    expect(page.locator("dl.plan")).to_be_visible()
    look("plan")
    page.get_by_role("dialog").locator(".primary").click()
    expect(page.locator(".answer")).to_be_visible(timeout=60_000)
    look("outline")
    studio.job = page.url.rpartition("/")[2]
    page.locator(".answer .primary").click()
    until(lambda: asks_of_images(up.ask(f"/v1/jobs/{studio.job}")), "the images")
    expect(page.locator(".choice").first).to_be_visible(timeout=60_000)
    look("images")
    page.locator(".answer .primary").click()
    expect(page.locator(".editor .block").first).to_be_visible(timeout=60_000)
    look("article")
    studio.choose(studio.paragraph())
    look("paragraph")
    page.locator(".typing").fill("Bees fly.")
    page.keyboard.press("Escape")
    studio.saved()
    studio.choose(studio.images()[0])
    expect(page.locator(".candidates li").first).to_be_visible()
    look("image")
    page.locator(".candidates button:enabled[aria-pressed=false]").first.click()
    studio.saved()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("ControlOrMeta+z")
    studio.saved()
    look("moved and undone")
    mine = studio.paragraph(1)
    head = up.revision(studio.job)["version"]
    up.ask(
        f"/v1/jobs/{studio.job}/edits",
        {"version": head, "edits": [{"do": "set_text", "block": mine["id"], "text": "Theirs."}]},
    )
    studio.choose(mine)
    page.locator(".typing").fill("Mine.")
    page.keyboard.press("Escape")
    expect(page.locator(".beside")).to_be_visible()
    look("two versions")
    page.locator(".beside").get_by_role("button", name="用我的").click()
    studio.saved()
    said.answer = lambda body: Status(500, "{}")
    page.keyboard.press("/")
    page.locator("#instruct").fill("Shorter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").locator(".problem, .says").first).to_be_visible(timeout=60_000)
    said.answer = said.usual
    page.keyboard.press("Escape")
    studio.command("导出")
    expect(page.get_by_role("dialog").locator(".preview")).to_be_visible()
    look("export")
    studio.open("job", studio.job, "history")
    expect(page.locator(".changes li").first).to_be_visible()
    look("history")
    expect(page.locator(".versions .what").filter(has_text="撤销：")).to_have_count(0)  # undo makes no version
    expect(page.locator(".versions .what").filter(has_text="改第").first).to_be_visible()
    studio.open("libraries", "bees")
    page.locator(".contact button").first.click()
    expect(page.locator(".panel")).to_be_visible()
    look("library")
    box = page.locator("#words-caption")
    box.fill("x" * 2100)
    box.blur()
    expect(page.locator(".panel .problem")).to_be_visible()
    box.fill(" ")
    box.blur()
    expect(page.locator(".panel .problem")).to_contain_text("图注是空的")
    look("library, refused")
    box.fill("Bees on a frame")  # what is refused would ask before the page is left
    box.blur()
    expect(page.locator(".panel .saved")).to_have_text("已保存")
    page.keyboard.press("Escape")
    page.keyboard.press("ControlOrMeta+a")
    page.locator(".selection .primary").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("many images")
    page.keyboard.press("Escape")
    studio.open("libraries", "bees", "captions")
    page.locator(".captioning select").select_option("")
    expect(page.locator(".easel")).to_be_visible()
    look("captioning")
    studio.listed("libraries")
    look("libraries")
    studio.listed("")
    look("jobs")
    page.keyboard.press("?")
    look("keys")
    context.close()
    assert english == []
    assert [line for line in trouble if "dialog" in line] == []
