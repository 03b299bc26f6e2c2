"""Whatever stands in an article, a file name or a caption: it is shown as text, and nothing of it runs."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from conftest import Model, watched
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, expect
from scripted import article_answers
from servers import until
from studio import Studio, Up

RUN = "window.ran=1;alert(1)"
CORPUS = [
    f"<script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f'<svg onload="{RUN}"><style><img src=x onerror={RUN}></style></svg>',
    f'<svg></p><style><a id="</style><img src=1 onerror={RUN}>">',
    f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUN}&gt;">',
    f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    f"<form><math><mtext></form><form><mglyph><style></math><img src onerror={RUN}>",
    f'<a href="javascript:{RUN}">x</a> [y](javascript:{RUN}) [z](data:text/html,<script>{RUN}</script>)',
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f'<details open ontoggle="{RUN}"><summary>s</summary></details>',
    f'"><body onload={RUN}><input autofocus onfocus={RUN}>',
    f"{{{{constructor.constructor('{RUN}')()}}}} ${{{RUN}}} `${{{RUN}}}`",
]
ALL = " ".join(CORPUS)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures whose names, captions, credits and licences are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for n, words in enumerate(CORPUS):
        name = f"{n} {words.replace('/', '⁄')[:90]}.png"
        described = PngInfo()
        described.add_text("Description", words)
        Image.new("RGB", (320, 200), (20 * n, 200 - 10 * n, 90)).save(folder / name, pnginfo=described)
        if n % 2:  # the others go by their file's name
            row = {"caption": f"A bee {words}", "alt": words, "credit": words, "licence": words}
            rows.append({"file_name": name, **row})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hostile(up: Up, pictures: Path) -> str:
    """The library of them."""
    from limner.tools.encoders import default_encoders
    from limner.tools.library import index

    index(up.home, "hostile", [pictures], default_encoders())
    return "hostile"


def test_nothing_that_is_shown_runs(browser: Browser, up: Up, said: Model, hostile: str) -> None:
    body = "\n\n".join([f"# Honey {ALL}", *(f"Bees {words}\n\n{words}\n\n## {words}" for words in CORPUS)])
    said.answer = article_answers(article=body, sees=True)
    asked = {"brief": f"{CORPUS[0]} {CORPUS[1]}", "library": [hostile], "images": 4, "review": ["draft", "final"]}
    context = browser.new_context(viewport={"width": 1400, "height": 1300}, locale="en-GB")
    page = context.new_page()
    trouble = watched(page)
    job = up.ask("/v1/jobs", asked)["id"]
    studio = Studio(page, up, job)
    seen = []

    def look(name: str) -> None:
        seen.append(name)
        assert page.evaluate("window.ran") is None, name
        bad = page.evaluate(
            "[...document.querySelectorAll('#studio *')].flatMap((e) => [...e.attributes]"
            ".filter((a) => /^on/i.test(a.name) || /^\\s*(javascript|data:text)/i.test(a.value) && ['href', 'src', 'action'].includes(a.name))"  # noqa: E501
            ".map((a) => e.tagName + ' ' + a.name)).concat([...document.querySelectorAll('#studio :is(script, iframe, "
            "form[action], style, math, object, embed, base, link)')].map((e) => e.tagName))"
        )
        assert bad == [], name

    for point in ("draft", "final"):
        until(lambda: up.ask(f"/v1/jobs/{job}")["state"] == "waiting", "a question")
        studio.open("job", job)
        expect(page.locator(".answer")).to_be_visible()
        look(f"review {point}")
        page.get_by_role("button", name="Good, go on").click()
        expect(page.locator(".answer")).to_have_count(0)
    studio.edit()
    look("article")
    one = studio.paragraph()
    for n, words in enumerate(CORPUS):
        edits = [{"do": "insert_text", "after": one["id"], "text": f"Typed {words}"}]
        up.ask(f"/v1/jobs/{job}/edits", {"version": n + 1, "edits": edits})
    head = up.revision(job)["version"]
    image = studio.images()[0]
    edits = [{"do": "describe_image", "image": image["id"], "caption": ALL, "alt": ALL, "credit": ALL}]
    up.ask(f"/v1/jobs/{job}/edits", {"version": head, "edits": edits, "what": CORPUS[1]})
    studio.edit()
    look("edited")
    studio.block(image).click()
    expect(page.locator(".candidates li").first).to_be_visible()
    look("candidates")
    data = BytesIO()
    Image.new("RGB", (90, 90)).save(data, "PNG")
    own = {"name": f"{CORPUS[1].replace('/', '')}.png", "mimeType": "image/png", "buffer": data.getvalue()}
    page.locator(".upload input").set_input_files([own])
    expect(studio.block(image).locator("img")).to_have_attribute("width", "90")
    look("uploaded")
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("dialog").locator(".preview")).to_be_visible()
    look("export")
    page.get_by_role("dialog").get_by_role("button", name="Markdown").click()
    expect(page.get_by_role("dialog").locator("pre")).to_be_visible()
    look("markdown")
    studio.open("job", job, "history")
    expect(page.locator(".changes li").first).to_be_visible()
    look("history")
    studio.open("libraries", hostile)
    page.locator("input[type=search]").fill("bee")
    expect(page.locator(".contact li").first).to_be_visible()
    look("library")
    page.locator(".contact button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("library image")
    studio.open("")
    expect(page.locator(".job").first).to_be_visible()
    look("jobs")
    page.goto(f"{up.url}/v1/jobs/{job}/article?format=html")
    assert page.evaluate("window.ran") is None
    context.close()
    assert [line for line in trouble if "dialog" in line] == []
    assert len(seen) == 12
