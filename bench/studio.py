"""From a click to the change shown: how long the studio takes, as a ratio to an empty round trip to the same server.

    uv run python bench/studio.py

A real `limner up`, Chromium without a window, an article of 60 blocks and 20 images. Shown is when the article on the
page has changed; the server's answer comes after. Saved is when that has come as well.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "surfaces" / "web")]

from PIL import Image  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402
from scripted import ScriptedServer, article_answers  # noqa: E402  # pyright: ignore[reportMissingImports]

tests: Any = import_module("studio")  # the tests', which goes by this file's name, too

TIMES = 15
CLICKED = """([button, watched, before]) => new Promise((resolve) => {
  const start = performance.now();
  const saved = document.querySelector(".saved");
  let shown = 0;
  const look = () => {
    const now = document.querySelector(watched)?.outerHTML ?? "";
    if (!shown && now !== before) shown = performance.now() - start;
    if (shown && saved.dataset.state === "saved") { eyes.disconnect(); resolve([shown, performance.now() - start]); }
  };
  const eyes = new MutationObserver(look);
  eyes.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  document.querySelector(button).click();
})"""
TRIP = """async () => { const t = performance.now();
  await (await fetch("/static/icon.svg", {cache: "no-store"})).text();
  return performance.now() - t; }"""


def clicked(page: Page, button: str, watched: str) -> tuple[float, float]:
    """(ms until shown, ms until saved) of a click."""
    before = page.evaluate("(watched) => document.querySelector(watched)?.outerHTML ?? ''", watched)
    shown, saved = page.evaluate(CLICKED, [button, watched, before])
    return shown, saved


def main() -> None:
    """Measure and print a table."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    text = "# Honey\n\n" + "\n\n".join(f"Day {n}. The bees fly out and come home, {n} of them." for n in range(59))
    with tempfile.TemporaryDirectory(prefix="limner-bench-") as folder:
        home, photos = Path(folder) / "home", Path(folder) / "photos"
        photos.mkdir()
        for n in range(60):
            Image.new("RGB", (640, 400), (4 * n, 250 - 4 * n, 90)).save(photos / f"bee {n}.png")
        index(home, "bees", [photos], default_encoders())
        answers = article_answers(article=text, sees=True)
        with ScriptedServer(answers) as server, sync_playwright() as playwright:
            up = tests.Up(home, server, Path(folder) / "log")
            page = playwright.chromium.launch(executable_path=tests.CHROMIUM, args=tests.ARGUMENTS).new_page()
            studio = tests.Studio(page, up, up.article(images=20)).edit()
            print(f"{len(studio.blocks())} blocks, {len(studio.images())} of them images")
            trips = [page.evaluate(TRIP) for _ in range(TIMES)]
            rows: dict[str, list[tuple[float, float]]] = {"swap an image": [], "delete a block": []}
            for _ in range(TIMES):
                image = studio.images()[0]
                studio.choose(image)
                other = ".candidates button:enabled[aria-pressed=false]"
                page.locator(".margin input[type=search]").fill("bee")  # beyond those the article has already
                with page.expect_response(lambda answer: "caption=bee" in answer.url):
                    page.keyboard.press("Enter")
                page.wait_for_selector(other)
                rows["swap an image"].append(clicked(page, other, f'[data-id="{image["id"]}"] figcaption'))
                one = studio.paragraph(-1)
                studio.choose(one)
                page.keyboard.press("Escape")
                rows["delete a block"].append(clicked(page, ".margin .danger", f'[data-id="{one["id"]}"]'))
            trip = statistics.median(trips)
            print(f"| what | median ms | ratio |\n|---|---|---|\n| an empty round trip | {trip:.1f} | 1 |")
            for name, found in rows.items():
                for n, when in enumerate(("shown", "saved")):
                    ms = statistics.median(pair[n] for pair in found)
                    print(f"| {name}, {when} | {ms:.1f} | {ms / trip:.1f} |")
            up.close()


if __name__ == "__main__":
    main()
