"""Whatever stands in an article, a file name or a caption: it is shown as text, and nothing of it runs."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen
from xml.sax.saxutils import escape

import pytest
from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, expect
from scripted import article_answers
from servers import until
from studio import Model, Studio, Up, watched

ALONE = True  # its articles would be in the lists of others
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


def iim(words: str) -> bytes:
    """An APP13 segment with IPTC's datasets: title, headline, byline, credit, copyright, caption."""
    text = words.encode()[:1900]
    block = b"".join(struct.pack(">BBBH", 0x1C, 2, code, len(text)) + text for code in (5, 105, 80, 110, 116, 120))
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(block)) + block + b"\0" * (len(block) % 2)
    segment = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment


def xmp(words: str) -> bytes:
    """An XMP packet that says the words in every field that is read, as text and as an attribute."""
    text, quoted = escape(words), escape(words, {'"': "&quot;", "\n": " "})
    alt = f'<rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt>'
    fields = ("dc:title", "dc:description", "dc:rights", "xmpRights:UsageTerms", "Iptc4xmpCore:AltTextAccessibility")
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" photoshop:Credit="{quoted}"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
 xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">
{"".join(f"<{name}>{alt}</{name}>" for name in fields)}</rdf:Description></rdf:RDF></x:xmpmeta>""".encode()


def photograph(words: str, how: str, colour: tuple[int, int, int]) -> bytes:
    """A JPEG whose metadata says the words, as cameras and editors write it."""
    out, options = BytesIO(), {}
    if how == "xmp":
        options["xmp"] = xmp(words)
    if how == "exif":
        exif = Image.Exif()
        exif[Base.ImageDescription] = exif[Base.Artist] = exif[Base.Copyright] = words
        options["exif"] = exif
    Image.new("RGB", (320, 200), colour).save(out, "JPEG", **options)
    data = out.getvalue()
    return data[:2] + iim(words) + data[2:] if how == "iim" else data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures whose names, captions, credits and licences are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    for n, words in enumerate(CORPUS):
        for m, how in enumerate(("iim", "xmp", "exif")):
            name = f"{how} {n} {words.replace('/', '⁄')[:90]}.jpg"
            (folder / name).write_bytes(photograph(words, how, (20 * n, 80 * m, 120)))
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


def test_what_files_say_reaches_the_library_as_it_is(up: Up, hostile: str) -> None:
    """Otherwise the test below would prove nothing."""
    images = up.ask(f"/v1/libraries/{hostile}/images?limit=200")["images"]
    for how in ("iim", "xmp", "exif"):
        said = {one["caption"]: one for one in images if one["file"].startswith(f"{how} ")}
        assert len(said) == len(CORPUS), how
        for words in CORPUS:
            one = said[" ".join(words.split())]
            assert one["credit"] == one["licence"] == one["caption"]
            assert one["alt"] == (one["caption"] if how == "xmp" else "")
    assert any("<script>" in one["file"] for one in images)


def test_nothing_that_is_shown_runs(browser: Browser, up: Up, said: Model, hostile: str, tmp_path: Path) -> None:
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
        page.get_by_role("button", name="Approve and continue").click()
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
    expect(page.locator(".contact li").first).to_be_visible()
    look("library")
    for n in range(page.locator(".contact button").count()):
        page.locator(".contact button").nth(n).click()
        expect(page.locator(".panel .file")).to_be_visible()
    look("library images")
    for label in ("Caption", "Alternative text", "Credit", "Licence"):
        with page.expect_response(lambda r: r.request.method == "PATCH" and r.ok):
            page.locator(".panel").get_by_label(label, exact=True).fill(ALL[:480])
            page.locator(".panel").get_by_label(label, exact=True).blur()
    look("library, written")
    page.locator("input[type=search]").fill("bee")
    expect(page.locator(".contact li").first).to_be_visible()
    look("library, searched")
    studio.listed("")
    look("jobs")
    page.goto(f"{up.url}/v1/jobs/{job}/article?format=html")
    assert page.evaluate("window.ran") is None
    with urlopen(f"{up.url}/v1/jobs/{job}/article?format=html", timeout=30) as answer:
        (tmp_path / "article.html").write_bytes(answer.read())
    page.goto((tmp_path / "article.html").as_uri())  # as somebody opens it who was sent it: no server, no header
    expect(page.get_by_role("heading", name="Image credits")).to_be_visible()
    assert page.locator("figure img").count() >= 2
    assert page.evaluate("window.ran") is None
    handlers = (
        "[...document.querySelectorAll('*')].flatMap((e) => [...e.attributes]).filter((a) => /^on/i.test(a.name))"
    )
    assert page.evaluate(f"{handlers}.length") == 0
    context.close()
    assert [line for line in trouble if "dialog" in line] == []
    assert len(seen) == 14
