"""A running `limner up`, and a person's hands on the studio in a real Chromium."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import running
from playwright.sync_api import Locator, Page, expect
from revising import revising_answers
from scripted import Answer
from servers import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",  # root, as in containers, has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SELECT = """async (box, [text, start]) => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    let node = walk.nextNode();
    while (node && !node.data.includes(text)) node = walk.nextNode();
    if (!node) throw new Error(`no ${text}`);
    const at = node.data.indexOf(text);
    const now = getSelection();
    for (let calm = 0; calm < 6; calm++) { // right after it has the focus, the editor sets its own once more
        if (now.anchorNode !== node || now.anchorOffset !== at) {
            now.setBaseAndExtent(node, at, node, start ? at : at + text.length);
            calm = 0;
        }
        await frame();
    }
}"""
BRIEF = {"brief": "How bees make honey", "library": ["bees"], "images": 2}


class Up(running.Up):
    """A running `limner up`, with its articles and its worker."""

    def article(self, **request: Any) -> str:
        """The job of a finished article."""
        job = self.ask("/v1/jobs", {**BRIEF, **request})["id"]
        until(lambda: self.ask(f"/v1/jobs/{job}")["state"] == "done", f"job {job} to be done; {self.said[-800:]}")
        return job

    def revision(self, job: str) -> dict[str, Any]:
        """The article as the server has it."""
        return self.ask(f"/v1/jobs/{job}/revision")

    def worker(self) -> int:
        """The process number of its worker."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        raise AssertionError("there is no worker")

    def kill_worker(self) -> None:
        """With kill -9, and its processes, which would end in order if it alone were killed."""
        worker = self.worker()
        children = [
            int(c) for t in Path(f"/proc/{worker}/task").iterdir() for c in (t / "children").read_text().split()
        ]
        for process in (worker, *children):
            os.kill(process, signal.SIGKILL)

    def close(self) -> None:
        """Stop it in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(60) == 0, self.said


class Studio:
    """What a person does in the editor of one article."""

    def __init__(self, page: Page, up: Up, job: str = "") -> None:
        self.page, self.up, self.job = page, up, job

    def open(self, *route: str) -> Studio:
        """Go to a page of the studio, the editor of the job without a route."""
        self.page.goto(f"{self.up.url}/#/{'/'.join(route or ('job', self.job))}")
        self.page.reload()  # another part after "#" alone loads nothing anew
        return self

    def listed(self, *route: str) -> Studio:
        """Go to a list of jobs or of libraries and wait for its first line."""
        self.open(*route)
        expect(self.page.locator(".job").first).to_be_visible()
        return self

    def edit(self) -> Studio:
        """Open the editor and wait for the article."""
        self.open()
        expect(self.page.locator(".editor[data-rich=true] .sheet .block").first).to_be_visible()
        return self

    def blocks(self) -> list[dict[str, Any]]:
        return self.up.revision(self.job)["blocks"]

    def texts(self) -> list[str]:
        return [b["text"] for b in self.blocks() if b["type"] == "text"]

    def images(self) -> list[dict[str, Any]]:
        return [b for b in self.blocks() if b["type"] == "image"]

    def block(self, one: dict[str, Any] | str) -> Locator:
        """The element of a block."""
        return self.page.locator(f'[data-id="{one if isinstance(one, str) else one["id"]}"]')

    def paragraph(self, n: int = 0) -> dict[str, Any]:
        return [b for b in self.blocks() if b.get("kind") == "paragraph"][n]

    def choose(self, one: dict[str, Any]) -> Locator:
        """Click a block; a text is then open for typing."""
        element = self.block(one)
        element.click(position={"x": 30, "y": 20})
        expect(element).to_have_attribute("aria-current", "true")
        return element

    def select(self, box: Locator, text: str, *, start: bool = False) -> None:
        """Select a text that stands once in what is typed, or put the caret before it."""
        box.evaluate(SELECT, [text, start])
        expect(self.page.locator(".surface [role=toolbar]")).to_have_count(0 if start else 1)

    def tool(self, name: str) -> None:
        """Press a button in the margin."""
        self.page.locator(".margin").get_by_role("button", name=name, exact=True).click()

    def command(self, name: str) -> None:
        """Run a command of the palette."""
        self.page.keyboard.press("ControlOrMeta+k")
        search = self.page.get_by_role("dialog").get_by_role("combobox")
        search.fill(name)
        search.press("Enter")
        expect(search).to_have_count(0)

    def undo(self) -> None:
        """Press the button, once it can be."""
        self.page.locator(".bar").get_by_role("button", name="Undo").click()

    def redo(self) -> None:
        self.page.locator(".bar").get_by_role("button", name="Redo").click()

    def saved(self) -> None:
        """Wait until nothing is on its way any more."""
        expect(self.page.locator(".saved")).to_have_attribute("data-state", "saved")

    def shot(self, name: str, **options: Any) -> None:
        """Keep a picture of the page among the test's output."""
        folder = Path(os.environ.get("STUDIO_SHOTS") or self.up.log.parent / "shots")
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png", **options)


class Model:
    """The scripted model, whose answers a test can change."""

    def __init__(self) -> None:
        self.usual = revising_answers()
        self.answer: Callable[[dict[str, Any]], Answer] = self.usual


def watched(page: Page) -> list[str]:
    """What goes wrong on a page from now on. Answers that a test provokes (409, no connection) are not counted."""
    trouble: list[str] = []

    def console(message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            trouble.append(message.text)

    def dialog(shown: Any) -> None:
        trouble.append(f"dialog: {shown.message}")
        shown.dismiss()

    page.on("console", console)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", dialog)
    return trouble
