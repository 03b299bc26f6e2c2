"""Export with real files, real images and the real parser; the strings are the nastiest we could think of."""

import base64
import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import unicodedata
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pypdf import PdfReader

from limner import exports
from limner.document import FORMAT, Article, Candidate, Illustration, Selection, Spot, markdown, read_markdown
from limner.errors import BadInput, ExportFailed, ImageUnreadable
from limner.exports import (
    contact_sheet,
    fresh_folder,
    images_beside,
    own_images,
    read_json,
    slug,
    to_html,
    to_json,
    to_markdown,
    without_figures,
    write_article,
)
from limner.exports.markdown import has_raw, markdown_figures
from limner.exports.pictures import EMBED_BYTES, cropped
from limner.exports.words import as_bytes, caption_text, line
from limner.tools.images.images import metadata

EVIL = [
    "](javascript:x) ![](http://evil.example/x.png)",
    "<script>alert(1)</script><img src=http://evil.example/y.png>",
    '" onerror="alert(1)" x="',
    "`code` *stars* _lines_ ~~gone~~ [a][b] $x^2$ &amp; | table |",
    "\\](http://evil.example) \\",
    "two\n\n# lines\r\nand\u2028more",
    "*",
    "**bold**",
    "www.evil.example http://evil.example a@evil.example",
    "\u202egnp.exe \x00\x1b[31m",
    "caf\udce9",
    "「蜜蜂」。",
    "1. not a list",
    "- nor this",
    "```",
]


def picture(kind="PNG", size=(60, 40), colour=(200, 120, 40), **options) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, kind, **options)
    return out.getvalue()


def noise(kind, size, **options) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3)).save(out, kind, **options)
    return out.getvalue()


def illustration(n: int, after: str, **changes) -> Illustration:
    values = {
        "id": f"i{n}",
        "after": after,
        "image_id": f"{n:064x}",
        "caption": f"A bee, number {n}.",
        "alt": f"Bee {n} on a flower",
        "credit": "Ada Field",
        "licence": "CC BY 4.0",
        "width": 60,
        "height": 40,
    }
    return Illustration(**{**values, **changes})


def illustrated(source: str, *, draft=False, which=lambda n: True, **changes) -> Article:
    article = read_markdown(source).model_copy(update={"made_with": {"draft": draft}})
    after = [p.id for n, p in enumerate(article.paragraphs) if which(n)]
    return article.illustrated(illustration(n, paragraph, **changes) for n, paragraph in enumerate(after))


def files(article: Article) -> dict[str, str]:
    return {i.image_id: f"images/bee-{int(i.image_id, 16)}.png" for i in article.illustrations}


def one_picture(_image_id: str) -> tuple[bytes, str]:
    return picture(), ".png"


TEXT = "# Bees\n\nThey fly.\n\n- nectar\n- pollen\n\nThey *rest*.\n"


# --- names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("How Bees Make Honey", "how-bees-make-honey"),
        ("The bee's knees", "the-bees-knees"),
        ("../../etc/passwd", "etc-passwd"),
        ("蜜蜂如何酿蜜", "蜜蜂如何酿蜜"),
        ("हिन्दी में", "हिन्दी-में"),
        ("Cafe\u0301", "café"),
        ("🐝🍯❤️", "article"),
        ("", "article"),
        (".hidden", "hidden"),
        ("CON", "con-article"),
        ("lpt1", "lpt1-article"),
        ("caf\udce9", "caf"),
        ("C:\\Windows\x00", "c-windows"),
    ],
)
def test_slug(title, name):
    assert slug(title) == name


def test_a_title_of_300_characters_is_cut_at_a_word():
    name = slug("../" + "🐝 how bees make honey in summer " * 10)
    assert name == "how-bees-make-honey-in-summer-how-bees-make-honey-in-summer"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=300))
@example("İ" * 100)
@example("ệ" * 100)
@example("a" + "\u0301" * 200)
def test_slug_is_always_a_safe_name(title):
    name = slug(title)
    assert 0 < len(name) <= 60 + len("-article")
    assert len(name.encode()) <= 120 + len("-article")
    assert not re.search(r"[\s/\\:.\x00-\x1f]", name)
    assert name[0] != "-"
    assert name[-1] != "-"
    assert unicodedata.is_normalized("NFC", name)
    assert slug(name) == name


def test_fresh_folder_never_names_what_exists(tmp_path):
    for expected in ("bees", "bees-2", "bees-3"):
        folder = fresh_folder(tmp_path, "Bees")
        assert folder == tmp_path / expected
        folder.mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert fresh_folder(tmp_path, "dangling") == tmp_path / "dangling-2"


# --- Markdown: the draft's text stays as it is


def blocks_of(source: str) -> list[tuple[str, str]]:
    """(kind, what it renders to) of each block; the definitions of links are shared, as in one document."""
    article, env = read_markdown(source), {}
    markdown().parse(source, env)
    return [(b.kind, markdown().render(b.text, {"references": env.get("references", {})})) for b in article.body]


PIECES = [
    "para",
    "two\nlines",
    "para  ",
    "para\\",
    "para\u00a0",
    "# ATX",
    "setext\n---",
    "---",
    "***",
    "- item",
    "* other\n  more",
    "- ",
    "1. one\n2. two",
    "2) two",
    "- ```\n  open",
    "> quote",
    "> quote\nlazy",
    ">",
    "```\ncode\n```",
    "```\nopen",
    "    indented",
    " one space",
    "| a |\n|---|\n| b |",
    "<div>\nhtml\n</div>",
    "<!-- comment",
    "[ref]: /url 'title'",
    "[ref]",
    "![own](pic.png)",
    "[images/bee-0.png]: /u",
    "caf\udce9 \udcff",
    "\u2028",
    "\x0c",
    "\u00a0",
    "+ plus\n\n  second paragraph",
    "=",
    "===",
    "\ufeffbom",
    "![Bee 0 on a flower](images/bee-0.png)\\\n*A bee, number 0.* (Ada Field, CC BY 4.0)",
]
documents = st.builds(
    lambda front, parts, newline, end: (front + "".join(parts) + end).replace("\n", newline),
    st.sampled_from(["", "---\ntitle: x\n---\n", "\n\n", "[ref]: /url\n", "  "]),
    st.lists(
        st.builds(lambda a, b: a + b, st.sampled_from(PIECES), st.sampled_from(["\n", "\n\n", "\n \t\n", "\n\n\n"]))
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "last", "last ", "- last", "\n", "   "]),
)


@settings(deadline=None)
@given(documents, st.integers(0, 7))
@example("- item\n---\n", 0)
@example("- item\n***\n", 0)
@example("para\n# H", 0)
@example("para\n```\ncode", 0)
@example("para", 0)
@example("para   ", 0)
@example("para\n[ref]: /u\n\n[ref]: /u\n", 0)
def test_figures_go_in_and_out_without_a_trace(source, mask):
    article = illustrated(source, draft=True, which=lambda n: not (mask >> (n % 3)) & 1)
    text = to_markdown(article, files(article))
    assert without_figures(text, article, files(article)) == source
    wanted = []
    for block in article.blocks():
        if isinstance(block, Illustration):
            wanted.append(("figure", files(article)[block.image_id]))
        else:
            wanted.append(("text", block.kind))
    after = read_markdown(text).body
    assert len(after) == len(wanted)
    theirs = []
    for block, (what, expected) in zip(after, wanted, strict=True):
        if what == "figure":
            assert block.kind != "heading"
            assert markdown().parse(block.text)[1].children[0].attrGet("src") == expected
        else:
            assert block.kind == expected
            theirs.append(block)
    env: dict = {}
    markdown().parse(text, env)
    rendered = [(b.kind, markdown().render(b.text, {"references": env.get("references", {})})) for b in theirs]
    assert rendered == blocks_of(source)


FIGURE = "![Bee 0 on a flower](images/bee-0.png)\\\n*A bee, number 0.* (Ada Field, CC BY 4.0)"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("para\n\n# H\n", f"para\n\n{FIGURE}\n\n# H\n"),
        ("para\n# H\n", f"para\n\n{FIGURE}\n\n# H\n"),
        ("para\n\n\n\n# H\n", f"para\n\n\n\n{FIGURE}\n\n# H\n"),
        ("para", f"para\n\n{FIGURE}"),
        ("para\n", f"para\n\n{FIGURE}\n"),
        ("para \n\n", f"para \n\n{FIGURE}\n"),
        ("- item\n# H\n", f"- item\n\n{FIGURE}\n\n# H\n"),
        ("para\n\n[r]: /u\n", f"para\n\n{FIGURE}\n\n[r]: /u\n"),
        ("para\r\n\r\n# H", f"para\n\n{FIGURE}\n\n# H".replace("\n", "\r\n")),
    ],
)
def test_a_figure_brings_no_more_blank_lines_than_it_needs(source, expected):
    article = illustrated(source, draft=True)
    assert to_markdown(article, files(article)) == expected


@settings(deadline=None)
@given(documents)
def test_a_draft_survives_the_disk_byte_for_byte(source):
    article = illustrated(source, draft=True)
    raw = as_bytes(to_markdown(article, files(article)))
    again = raw.decode("utf-8", errors="surrogateescape")
    assert without_figures(again, article, files(article)) == source


@settings(deadline=None)
@given(
    st.one_of(st.sampled_from(EVIL), st.text(st.characters(), max_size=40)),
    st.one_of(st.sampled_from(EVIL), st.text(st.characters(), max_size=40)),
    st.one_of(st.sampled_from(EVIL), st.text(st.characters(), max_size=40)),
)
def test_words_from_outside_stay_words_in_markdown(caption, alt, credit):
    article = illustrated("para\n", caption=caption, alt=alt, credit=credit, licence="", draft=True)
    text = to_markdown(article, files(article))
    _, figure = read_markdown(text).body
    image, *rest = markdown().parse(figure.text)[1].children
    assert image.type == "image"
    assert "".join(t.content for t in image.children or ()) == (line(alt) or line(caption))
    allowed = {"text", "text_special", "hardbreak", "em_open", "em_close"}
    assert {t.type for t in rest} <= allowed
    assert "".join(t.content for t in rest) == caption_text(article.illustrations[0])


@pytest.mark.parametrize("words", EVIL)
def test_github_makes_no_link_of_a_caption(words):
    article = illustrated("para\n", caption=words, credit=words)
    assert not re.search(r"(?<!\\)(://|(?<=[^\\])www\.|(?<!\\)@)", to_markdown(article, files(article)))


@pytest.mark.parametrize(
    "name", ["../up.png", "/etc/passwd", "http://evil.example/x", "a\\b.png", "C:x.png", "", "a\0"]
)
def test_a_file_name_that_leads_out_is_refused(name):
    article = illustrated("para\n")
    with pytest.raises(BadInput, match="leads out of its folder"):
        to_markdown(article, dict.fromkeys(files(article), name))


def test_an_odd_file_name_still_points_at_its_file():
    article = illustrated("para\n")
    name = "images/蜜蜂 (1) <b>*?#%.png"
    text = to_markdown(article, dict.fromkeys(files(article), name))
    assert [file for file, _, _ in markdown_figures(text)] == [name]


def test_without_figures_refuses_another_text():
    article = illustrated(TEXT)
    text = to_markdown(article, files(article))
    with pytest.raises(BadInput, match="character"):
        without_figures(text.replace("A bee, number 1", "A wasp"), article, files(article))
    with pytest.raises(BadInput, match="continues after"):
        without_figures(text + "more", article, files(article))


# --- Markdown: a text that a model wrote

COMPOSED = [
    "Text <img src=http://evil.example/a.png> here.",
    "Text ![x](http://evil.example/b.png) here.",
    "<script>alert(1)</script>",
    "<!-- a\n\ncomment -->\n\nText.",
    "![a][b]\n\n[b]: http://evil.example/c.png",
    "\\\\<b>x</b> \\<i>y</i>",
    "`a <b> c` and <b>d</b> and `` ` <i> ``",
    "`open <b>x</b>",
    "\\`a <b>x</b> ` ![y](z) `",
    "[![a](b.png)](c)",
    "- item <u>x</u>\n\n  ```\n  <kept>\n  ```",
    "> <div>\n> x",
    "a | b\n--|--\n<i>x</i> | ![y](z)",
    "![a\n\n<b",
    "# <b>Title</b>",
]


@pytest.mark.parametrize("source", COMPOSED)
def test_a_composed_text_holds_no_html_and_no_image(source):
    article = illustrated(source)
    text = to_markdown(article, files(article))
    assert not has_raw(without_figures(text, article, files(article)), {})
    assert [file for file, _, _ in markdown_figures(text)] == list(files(article).values())


@settings(deadline=None)
@given(st.lists(st.sampled_from([*COMPOSED, *PIECES, "`", "``", "<", "<a", ">", "![", "](x)", "\\"]), max_size=8))
def test_no_mixture_brings_html_back(parts):
    for joint in ("", "\n", "\n\n"):
        article = illustrated(joint.join(parts))
        text = to_markdown(article, files(article))
        assert not has_raw(without_figures(text, article, files(article)), {})


def test_code_keeps_its_angle_brackets():
    source = "Use `<b>` or <b>this</b>.\n\n```html\n<b>\n```\n"
    text = to_markdown(read_markdown(source), {})
    assert text == "Use `<b>` or &lt;b>this&lt;/b>.\n\n```html\n<b>\n```\n"


def test_credits_end_a_composed_article_and_leave_a_draft_alone():
    composed = illustrated(TEXT)
    text = to_markdown(composed, files(composed))
    assert text.endswith("3. A bee, number 2. — Ada Field, CC BY 4.0\n")
    assert "## Image credits\n\n1. A bee, number 0. — Ada Field, CC BY 4.0\n" in text
    chinese = composed.model_copy(update={"language": "zh-Hans"})
    assert "## 图片来源\n" in to_markdown(chinese, files(chinese))
    draft = illustrated(TEXT, draft=True)
    assert "credits" not in to_markdown(draft, files(draft))


@pytest.mark.parametrize("tail", ["", "\n", "\n\n", "\r\n"])
@pytest.mark.parametrize("end", ["```\nopen", "~~~~\nopen\n```", "```\nclosed\n```", "para", "- item", "    code"])
def test_credits_stand_on_their_own_after_any_end(end, tail):
    article = illustrated("First.\n\n" + end + tail)
    last = read_markdown(to_markdown(article, files(article))).body[-2:]
    assert [b.kind for b in last] == ["heading", "paragraph"]
    assert last[0].plain == "Image credits"


# --- HTML


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the words between them."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


ACTIVE = {"script", "iframe", "object", "embed", "form", "input", "link", "base", "video", "audio", "svg"}


def harmless(text: str) -> Page:
    page = Page(text)
    assert not ACTIVE & {name for name, _ in page.tags}
    for name, attrs in page.tags:
        assert not [a for a in attrs if a.startswith("on") or a in ("style", "srcset", "background")], (name, attrs)
        assert attrs.get("src", "data:").startswith("data:")
        assert not re.match(r"\s*(javascript|data|vbscript):", attrs.get("href") or "", re.IGNORECASE)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "url(" not in style
    assert "@import" not in style
    return page


@pytest.mark.parametrize("words", EVIL)
def test_words_from_outside_stay_words_in_html(words):
    article = illustrated(f"# {words}\n\n{words}\n", caption=words, alt=words, credit=words, licence=words)
    article = article.model_copy(update={"title": words, "language": words}).noted(words)
    page = harmless(to_html(article, one_picture))
    assert len(page.all("img")) == len(article.illustrations)
    assert {i["alt"] for i in page.all("img")} <= {line(words)}
    assert page.words.count(line(words)) >= len(article.illustrations)


def test_the_page_shows_caption_credit_and_an_alt_of_its_own():
    article = illustrated(TEXT).noted("Judged by captions.")
    page = harmless(to_html(article, one_picture))
    assert [i["alt"] for i in page.all("img")] == ["Bee 0 on a flower", "Bee 1 on a flower", "Bee 2 on a flower"]
    assert {(i["width"], i["height"], i["loading"]) for i in page.all("img")} == {("60", "40", "lazy")}
    assert page.words.count("A bee, number 1.") == 2  # under the image, and among the credits
    assert page.words.count("Ada Field, CC BY 4.0") == 6
    assert "Judged by captions." in page.words
    assert [h["href"] for h in page.all("a")] == ["#figure-1", "#figure-2", "#figure-3"]
    assert page.all("html") == [{"lang": "en", "dir": "ltr"}]
    assert len(page.all("h1")) == 1


@pytest.mark.parametrize(
    ("language", "direction"), [("en", "ltr"), ("ar", "rtl"), ("fa-IR", "rtl"), ("pa-Arab", "rtl"), ("az-Latn", "ltr")]
)
def test_direction_follows_the_language(language, direction):
    page = Page(to_html(illustrated(TEXT).model_copy(update={"language": language}), one_picture))
    assert page.all("html") == [{"lang": language, "dir": direction}]


@pytest.mark.parametrize(
    ("source", "title", "headlines"),
    [
        ("# A\n\nb", "", 1),
        ("## A\n\nb", "A", 0),
        ("## A\n\nb", "Other", 1),
        ("Just some words here.", "", 0),
        ("b", "", 0),
    ],
)
def test_the_title_is_shown_once(source, title, headlines):
    page = Page(to_html(read_markdown(source, title=title), one_picture))
    assert len(page.all("h1")) == headlines


def test_links_work_tables_align_and_definitions_are_found_anywhere():
    source = "See [it][r].\n\n| a | b |\n|--:|:-:|\n| 1 | 2 |\n\n[r]: https://example.org/\n"
    text = to_html(read_markdown(source), one_picture)
    page = harmless(text)
    assert page.all("a") == [{"href": "https://example.org/", "rel": "noopener noreferrer nofollow"}]
    assert [t.get("class") for t in page.all("td")] == ["right", "center"]


def test_a_large_photograph_is_scaled_down_and_turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    big = noise("JPEG", (2400, 1200), quality=95, exif=exif)
    assert len(big) > EMBED_BYTES
    text = to_html(illustrated("para\n"), lambda _: (big, ".jpg"))
    shown = Page(text).all("img")[0]
    assert (shown["width"], shown["height"]) == ("800", "1600")
    with Image.open(io.BytesIO(base64.b64decode(shown["src"].partition(",")[2]))) as image:
        assert image.size == (800, 1600)
    assert len(text) < len(big)


def test_small_images_go_in_as_they_are_whatever_their_name_says():
    data = picture("WEBP")
    shown = Page(to_html(illustrated("para\n"), lambda _: (data, ".exe"))).all("img")[0]
    media, _, encoded = shown["src"].partition(";base64,")
    assert media == "data:image/webp"
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(base64.b64decode(encoded))) as after:
        assert after.tobytes() == before.tobytes()


def test_drawings_that_let_the_page_through_are_marked():
    clear = to_html(illustrated("para\n"), lambda _: (picture(colour=(0, 0, 0, 0)), ".png"))
    solid = to_html(illustrated("para\n"), lambda _: (picture(colour=(0, 0, 0, 255)), ".png"))
    assert Page(clear).all("figure")[0]["class"] == "small clear"
    assert Page(solid).all("figure")[0]["class"] == "small"


@pytest.mark.parametrize("data", [b"", b"text", b"<svg/>", picture("TIFF"), picture("PNG")[:40]])
def test_what_browsers_do_not_show_is_refused(data):
    with pytest.raises(ImageUnreadable, match=r"Save it as|sound copy") as caught:
        to_html(illustrated("para\n"), lambda _: (data, ".jpg"))
    assert "\n" not in str(caught.value)


def test_an_image_bomb_is_refused():
    """A header that promises 900 million pixels; nothing is decoded to find out."""
    data = bytearray(picture())
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(ImageUnreadable, match="more than 89,478,485 pixels"):
        to_html(illustrated("para\n"), lambda _: (bytes(data), ".png"))


def test_contact_sheet():
    hit = Candidate(image_id="<b>", library="x", score=0.5, scores={"clip": 0.25}, caption=EVIL[1], width=1, height=1)
    page = harmless(contact_sheet(EVIL[0], [(hit, picture()), (hit, picture())]))
    assert len(page.all("img")) == 2
    assert page.words.count(EVIL[1]) == 2
    assert "0.500" in page.words
    assert EVIL[0] in page.words
    assert not Page(contact_sheet("none", [])).all("img")


# --- JSON


def test_json_round_trip_keeps_everything(tmp_path):
    spot = Spot(id="s", after="b2", caption="c", search="c")
    article = illustrated("caf\udce9 \ud800\n", draft=True).model_copy(
        update={"selections": (Selection(spot=spot, candidates=(), by="captions"),), "notes": ("n",)}
    )
    path = tmp_path / "article.json"
    path.write_text(to_json(article), encoding="utf-8")
    assert read_json(path) == article
    assert json.loads(path.read_text())["format"] == FORMAT


def changed(**changes) -> str:
    value = json.loads(to_json(illustrated(TEXT)))
    value["article"].update(changes)
    return json.dumps(value)


def figure(**changes) -> dict:
    return illustration(0, "b2").model_dump() | changes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "not an article"),
        ('{"format": true, "article": {}}', "not an article"),
        ('{"format": 3, "article": {}}', "Update limner"),
        ('{"format": 1, "article": {}}', "title: Field required"),
        ('{"format": 1, "article": []}', "not a whole article"),
        (changed(extra=1), "not a whole article"),
        (changed(illustrations=[figure(after="b1")]), "no paragraph"),
        (changed(illustrations=[figure(), figure()]), "two blocks"),
        (changed(illustrations=[figure(file="../../secret.png")]), "leads out of its folder"),
        (changed(illustrations=[figure(file="/etc/passwd")]), "leads out of its folder"),
        (changed(illustrations=[figure(file="C:\\x.png")]), "leads out of its folder"),
    ],
)
def test_json_that_is_no_article_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "article.json"
    path.write_bytes(text.encode("latin-1", errors="replace"))
    with pytest.raises(BadInput, match=message) as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_json_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="Cannot read"):
        read_json(tmp_path / "article.json")


# --- the folder


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_write_article_and_export_it_again_from_its_folder(tmp_path):
    article = illustrated(TEXT)
    pictures = {i.image_id: picture(colour=(n, 0, 0)) for n, i in enumerate(article.illustrations)}
    written = write_article(article, tmp_path / "new" / "bees", lambda i: (pictures[i], "png"))
    assert names(written.folder) == [
        "article.html",
        "article.json",
        "article.md",
        "images/a-bee-number-0-00000000.png",
        "images/a-bee-number-1-00000000.png",
        "images/a-bee-number-2-00000000.png",
    ]
    assert os.listdir(tmp_path / "new") == ["bees"]
    assert written.images == 3
    again = read_json(written.files["json"])
    assert again == written.article
    copy = write_article(again, tmp_path / "copy", images_beside(again, written.folder))
    for name in names(written.folder):
        assert (copy.folder / name).read_bytes() == (written.folder / name).read_bytes()


def test_the_record_has_the_hash_of_every_other_file(tmp_path):
    written = write_article(illustrated(TEXT), tmp_path / "a", one_picture)
    found = read_json(written.files["json"]).made_with["files"]
    assert sorted(found) == [name for name in names(written.folder) if name != "article.json"]
    for name, digest in found.items():
        assert hashlib.sha256((written.folder / name).read_bytes()).hexdigest() == digest


def test_a_draft_on_disk_gives_its_bytes_back(tmp_path):
    raw = b"\xef\xbb\xbf---\r\na: b\r\n---\r\n# T\r\n\r\ncaf\xe9\r\n- a\r\n***\r\nend"
    article = illustrated(raw.decode("utf-8", "surrogateescape"), draft=True)
    written = write_article(article, tmp_path / "d", one_picture)
    text = written.files["md"].read_bytes().decode("utf-8", "surrogateescape")
    again = read_json(written.files["json"])
    kept = without_figures(text, again, {i.image_id: i.file for i in again.illustrations})
    assert kept.encode("utf-8", "surrogateescape") == raw
    assert "caf\ufffd" in written.files["html"].read_text(encoding="utf-8")


def test_images_alike_in_caption_and_id_get_files_of_their_own(tmp_path):
    article = illustrated(TEXT, caption="Bee")
    pictures = {i.image_id: picture(colour=(n * 9, 0, 0)) for n, i in enumerate(article.illustrations)}
    written = write_article(article, tmp_path / "a", lambda i: (pictures[i], ".png"))
    assert len({i.file for i in written.article.illustrations}) == 3
    for i in written.article.illustrations:
        with Image.open(written.folder / i.file) as image, Image.open(io.BytesIO(pictures[i.image_id])) as given:
            assert image.getpixel((0, 0)) == given.getpixel((0, 0))


@pytest.mark.parametrize("words", EVIL)
def test_any_words_can_be_written(tmp_path, words):
    article = illustrated(f"para\n\n{words}\n", caption=words, alt=words, credit=words, image_id="../" + words)
    article = article.model_copy(update={"illustrations": article.illustrations[:1]})
    written = write_article(article, fresh_folder(tmp_path, words), one_picture)
    assert written.images == 1
    assert all(p.is_relative_to(tmp_path) for p in tmp_path.rglob("*"))


def test_only_the_formats_asked_for(tmp_path):
    written = write_article(illustrated(TEXT), tmp_path / "a", one_picture, ("html",))
    assert names(written.folder) == ["article.html"]
    with pytest.raises(BadInput, match="Use some of: md, html, json, docx, epub, pdf"):
        write_article(illustrated(TEXT), tmp_path / "b", one_picture, ("odt",))


def test_a_new_format_is_one_entry(tmp_path, monkeypatch):
    def check(article: Article, path: Path) -> None:
        assert path.read_text(encoding="utf-8") == article.title

    monkeypatch.setitem(exports.FORMATS, "txt", exports.Format("article.txt", False, lambda a, _: a.title, check))
    written = write_article(illustrated(TEXT), tmp_path / "a", one_picture, ("txt",))
    assert written.files["txt"].read_text(encoding="utf-8") == "Bees"


def test_into_a_folder_that_exists_only_its_own_files_are_replaced(tmp_path):
    write_article(illustrated("old\n"), tmp_path / "a", one_picture)
    (tmp_path / "a" / "notes.txt").write_text("mine")
    written = write_article(illustrated(TEXT), tmp_path / "a", one_picture, ("html", "json"))
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "a" / "article.md").read_text().startswith("old")
    assert "They fly." in written.files["html"].read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["a"]


def test_a_written_page_that_lost_something_is_not_published(tmp_path, monkeypatch):
    def careless(article: Article, images) -> str:
        return re.sub("<figure.*?</figure>", "", to_html(article, images), count=1, flags=re.DOTALL)

    whole = exports.FORMATS["html"]
    monkeypatch.setitem(exports.FORMATS, "html", whole._replace(write=careless))
    with pytest.raises(ExportFailed, match=r"article.html has 2 images where the article has 3; first missing: 'Bee 0"):
        write_article(illustrated(TEXT), tmp_path / "a", one_picture)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.replace("![Bee 1", "[Bee 1"), "2 images where the article has 3"),
        (lambda s: s.replace("![Bee 1", "![Wasp 1"), "alternative texts"),
        (lambda s: s.replace("(Ada Field", "(Someone", 1), "captions"),
    ],
)
def test_markdown_that_lost_something_is_not_published(tmp_path, monkeypatch, spoil, message):
    whole = exports.FORMATS["md"]
    monkeypatch.setitem(exports.FORMATS, "md", whole._replace(write=lambda a, i: spoil(whole.write(a, i))))
    with pytest.raises(ExportFailed, match=message):
        write_article(illustrated(TEXT), tmp_path / "a", one_picture)
    assert os.listdir(tmp_path) == []


def test_a_truncated_image_is_not_published(tmp_path):
    data = noise("JPEG", (300, 300))[:-9000]
    with pytest.raises(ImageUnreadable, match="sound copy"):
        write_article(illustrated(TEXT), tmp_path / "a", lambda _: (data, ".jpg"), ("md", "json"))
    assert os.listdir(tmp_path) == []


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    written = write_article(illustrated("para\n"), tmp_path / "a", one_picture)
    path = written.folder / written.article.illustrations[0].file
    path.unlink()
    with pytest.raises(BadInput, match="Keep article"):
        images_beside(written.article, written.folder)(written.article.illustrations[0].image_id)
    path.symlink_to(secret)
    with pytest.raises(BadInput, match="link out of"):
        images_beside(written.article, written.folder)(written.article.illustrations[0].image_id)


FULL = """
import resource, sys
from pathlib import Path
from limner.errors import ExportFailed
from limner.exports import images_beside, read_json, write_article
article = read_json(Path(sys.argv[1]) / "article.json")
images = images_beside(article, Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    write_article(article, Path(sys.argv[2]), images)
except ExportFailed as e:
    print(e)
"""


@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path, limit):
    """The kernel refuses to let a file grow: at once, within the texts, and within the images.

    -B, or Python would leave compiled modules cut off at the limit for all who come after.
    """
    data = noise("PNG", (300, 300))
    write_article(illustrated(TEXT), tmp_path / "a", lambda _: (data, ".png"))
    result = subprocess.run(
        [sys.executable, "-B", "-c", FULL, tmp_path / "a", tmp_path / "deep" / "er" / "b", str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.count("\n") == 1
    assert "File too large" in result.stdout
    assert "free some space" in result.stdout
    assert os.listdir(tmp_path) == ["a"]


def test_names_too_long_and_places_that_are_files(tmp_path):
    for folder in (tmp_path / ("x" * 300), tmp_path / "new" / ("x" * 300) / "a"):
        with pytest.raises(ExportFailed, match="shorter name"):
            write_article(illustrated(TEXT), folder, one_picture)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailed, match="--out"):
        write_article(illustrated(TEXT), tmp_path / "file" / "a", one_picture)
    assert os.listdir(tmp_path) == ["file"]


def test_an_image_without_a_place_is_not_lost_in_silence(tmp_path):
    article = illustrated(TEXT)
    stray = article.model_copy(update={"illustrations": (*article.illustrations, illustration(9, "b99"))})
    with pytest.raises(ExportFailed, match="stands after b99"):
        write_article(stray, tmp_path / "a", one_picture)
    assert os.listdir(tmp_path) == []


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(exports.FORMATS, "json", exports.FORMATS["json"]._replace(check=interrupted))
    with pytest.raises(KeyboardInterrupt):
        write_article(illustrated(TEXT), tmp_path / "deep" / "a", one_picture)
    assert os.listdir(tmp_path) == []


def test_importing_export_loads_neither_pillow_nor_jinja():
    code = "import sys, limner.exports; print([m for m in ('PIL', 'jinja2') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


# --- crops -----------------------------------------------------------------------------------------------------------


def halves(kind: str, **options) -> bytes:
    """60 x 40 px, red on the left and blue on the right."""
    image = Image.new("RGB", (60, 40), "red")
    image.paste("blue", (30, 0, 60, 40))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".png")])
def test_an_export_shows_the_part_that_is_chosen_and_the_file_stays_whole(tmp_path, kind, suffix):
    article = illustrated("One.\n\nTwo.\n")
    first = article.illustrations[0].model_copy(update={"crop": (0.5, 0.25, 0.5, 0.5), "width": 60, "height": 40})
    article = article.model_copy(update={"illustrations": (first, *article.illustrations[1:])})
    whole = halves(kind)
    written = write_article(article, tmp_path / "a", lambda _: (whole, suffix))
    shown, other = written.article.illustrations
    assert (shown.width, shown.height, shown.crop) == (30, 20, None)
    assert shown.file.endswith(suffix)
    with Image.open(tmp_path / "a" / shown.file) as image:
        assert image.size == (30, 20)
        red, _, blue = image.convert("RGB").getpixel((15, 10))
        assert (red < 40, blue > 200) == (True, True)
    with Image.open(tmp_path / "a" / other.file) as image, Image.open(io.BytesIO(whole)) as given:
        assert image.tobytes() == given.tobytes()
    page = (tmp_path / "a" / "article.html").read_text("utf-8")
    sources = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)
    assert [Image.open(io.BytesIO(base64.b64decode(s))).size for s in sources] == [(30, 20), (60, 40)]
    # What was exported is exported again as it is: the part is not cut a second time.
    again = read_json(tmp_path / "a" / "article.json")
    twice = write_article(again, tmp_path / "b", images_beside(again, tmp_path / "a"))
    assert (tmp_path / "b" / twice.article.illustrations[0].file).read_bytes() == (
        tmp_path / "a" / shown.file
    ).read_bytes()


@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_any_part_is_at_least_a_pixel(crop):
    data, _ = cropped(halves("PNG"), "x", crop)
    with Image.open(io.BytesIO(data)) as image:
        assert 1 <= image.width <= 60
        assert 1 <= image.height <= 40


def test_a_part_is_of_the_upright_image():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    data, _ = cropped(halves("JPEG", exif=exif), "x", (0, 0, 1, 0.5))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (40, 30)
        assert 0x0112 not in image.getexif()


# --- an export that is killed ----------------------------------------------------------------------------------------

STOPPING = """
import os, sys, time
from pathlib import Path
from limner import exports
from limner.exports import images_beside, read_json, write_article

def stop(article, path):
    print("written", flush=True)
    sys.stdin.readline()  # until it is killed, or told to go on

exports.FORMATS["json"] = exports.FORMATS["json"]._replace(check=stop)
article = read_json(Path(sys.argv[1]) / "article.json")
write_article(article, Path(sys.argv[2]), images_beside(article, Path(sys.argv[1])))
"""


def stopped_export(source: Path, target: Path) -> subprocess.Popen:
    """An export in a process of its own that has written everything and not yet given it its name."""
    command = [sys.executable, "-c", STOPPING, str(source), str(target)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


@pytest.mark.real
def test_what_a_killed_export_left_is_taken_away_and_a_running_one_is_left_alone(tmp_path):
    write_article(illustrated(TEXT), tmp_path / "source", one_picture)
    place = tmp_path / "place"
    with (
        stopped_export(tmp_path / "source", place / "killed") as killed,
        stopped_export(tmp_path / "source", place / "running") as running,
    ):
        killed.kill()
        killed.wait()
        parts = [p for p in place.iterdir() if p.suffix == ".part"]
        assert len(parts) == 2
        write_article(illustrated(TEXT), place / "killed", one_picture)
        assert len([p for p in place.iterdir() if p.suffix == ".part"]) == 1  # the running one's
        running.communicate("go on\n", timeout=60)
        assert running.returncode == 0
    assert sorted(os.listdir(place)) == ["killed", "running"]
    assert names(place / "running") == names(place / "killed")


def test_only_what_is_an_exports_own_is_taken_away(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").write_text("mine")
    place = tmp_path / "place"
    place.mkdir()
    (place / ".limner-0badc0de.lock").write_text("")
    (place / ".limner-0badc0de.part").symlink_to(other)
    (place / ".limner-deadbeef.lock").symlink_to(other / "mine")
    (place / ".limner-deadbeef.part").mkdir()
    (place / ".limner-notes.lock").write_text("")
    (place / ".limner-00000000.part").mkdir()  # without a lock: nobody knows whose it is
    write_article(illustrated(TEXT), place / "a", one_picture)
    assert (other / "mine").read_text() == "mine"
    assert sorted(p.name for p in place.iterdir()) == [
        ".limner-00000000.part",
        ".limner-0badc0de.part",
        ".limner-deadbeef.lock",
        ".limner-deadbeef.part",
        ".limner-notes.lock",
        "a",
    ]


# --- what is published -----------------------------------------------------------------------------------------------


def with_gps(kind: str = "JPEG", size=(60, 40)) -> bytes:
    """A photograph that says where it was taken, by which camera, and that Jane is on it; credited to nobody."""
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 54.0)}
    exif[0x8769] = {0xA431: "SERIAL-4711"}
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="47,22.9N">'
        b"<p>Jane-4711</p></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    out, options = io.BytesIO(), {"exif": exif}
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options["pnginfo"] = info
    else:
        options["xmp"] = xmp
    Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3)).save(out, kind, **options)
    return out.getvalue()


SECRETS = (b"SERIAL-4711", b"47,22.9N", b"Jane-4711")


def everything(folder: Path) -> bytes:
    """All that an export's files say, images within a page and files within documents unpacked."""
    found = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        found.append(data)
        found += [base64.b64decode(e) for e in re.findall(rb";base64,([A-Za-z0-9+/=]+)", data)]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as book:
                found += [book.read(n) for n in book.namelist()]
        if path.suffix == ".pdf":
            found += [i.data for page in PdfReader(path).pages for i in page.images]
    return b"\n".join(found)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("size", [(60, 40), (700, 500)])
def test_no_format_tells_where_a_photograph_was_taken(tmp_path, kind, size):
    data = with_gps(kind, size)
    assert all(secret in data for secret in SECRETS)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get_ifd(0x8825)
    written = write_article(
        illustrated("One.\n"), tmp_path / "a", lambda _: (data, ".x"), tuple(exports.FORMATS), side=500
    )
    assert [secret for secret in SECRETS if secret in everything(written.folder)] == []
    with Image.open(written.folder / written.article.illustrations[0].file) as image:
        assert not image.getexif().get_ifd(0x8825)
        assert image.size == size  # files in images/ stay as large as they are
    if kind != "AVIF":
        found = metadata((written.folder / written.article.illustrations[0].file).read_bytes())
        assert (found.credit, found.licence, found.alt) == ("Ada Field", "CC BY 4.0", "Bee 0 on a flower")
        page = written.files["html"].read_text("utf-8")
        (shown,) = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)
        assert metadata(base64.b64decode(shown)).credit == "Ada Field"


def test_metadata_is_kept_where_that_is_asked_for(tmp_path):
    data = with_gps()
    written = write_article(illustrated("One.\n"), tmp_path / "a", lambda _: (data, ".jpg"), keep_metadata=True)
    assert (written.folder / written.article.illustrations[0].file).read_bytes() == data


@pytest.mark.parametrize("kind", ["html", "docx", "epub", "pdf"])
def test_photographs_of_a_camera_make_a_page_of_a_reasonable_size(tmp_path, kind):
    big = photograph_of(4000, 3000)
    source = "\n\n".join(f"Paragraph {n}." for n in range(4))
    written = write_article(illustrated(source), tmp_path / "a", lambda _: (big, ".jpg"), (kind,))
    size = written.files[kind].stat().st_size
    assert len(big) > 2_000_000
    assert 4 * 50_000 < size < 4 * 500_000
    small = write_article(illustrated(source), tmp_path / "b", lambda _: (big, ".jpg"), (kind,), side=400)
    assert small.files[kind].stat().st_size < size / 4 or kind != "html"


def photograph_of(width: int, height: int) -> bytes:
    """Light, shade and grain, which compress as a photograph does and not as noise."""
    grain = Image.effect_noise((width // 2, height // 2), 12).resize((width, height))
    light = Image.radial_gradient("L").resize((width, height))
    out = io.BytesIO()
    Image.merge("RGB", (Image.blend(light, grain, 0.4), light, grain)).save(out, "JPEG", quality=95)
    return out.getvalue()


# --- a draft's own images --------------------------------------------------------------------------------------------


def draft_in(folder: Path, source: str) -> Article:
    (folder / "draft.md").write_text(source)
    return illustrated(source, draft=True, which=lambda n: n == 0)


OWN = 'One ![my *map*](pics/my%20map.png "t") here.\n\n[![b](bee.svg)](https://example.org)\n\n![gone](gone.png)\n'


def own_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "drafts"
    (folder / "pics").mkdir(parents=True)
    (folder / "pics" / "my map.png").write_bytes(with_gps("PNG"))
    (folder / "bee.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><script>alert(1)</script>'
        '<image href="../secret.png" width="9" height="9"/><rect width="40" height="20" fill="red"/></svg>'
    )
    (tmp_path / "secret.png").write_bytes(picture())
    return folder


@pytest.mark.parametrize("kind", ["html", "docx", "epub", "pdf"])
def test_a_drafts_own_images_are_shown(tmp_path, kind):
    folder = own_folder(tmp_path)
    article = draft_in(folder, OWN)
    beside = own_images(article, folder)
    assert set(beside) == {"pics/my map.png", "bee.svg"}
    written = write_article(article, tmp_path / "a", one_picture, (kind,), beside=beside)
    assert exports.FORMATS[kind].own(written.files[kind]) == 2
    assert [secret for secret in SECRETS if secret in everything(written.folder)] == []
    assert [n for n in written.article.notes if "gone.png" in n]
    if kind == "html":
        own = [i for i in harmless(written.files["html"].read_text("utf-8")).all("img") if i.get("class") == "own"]
        assert [i["alt"] for i in own] == ["my map", "b"]
        assert [i["src"].partition(";")[0] for i in own] == ["data:image/png", "data:image/png"]
        assert [(i["width"], i["height"]) for i in own] == [("60", "40"), ("512", "256")]


def test_a_drafts_own_images_go_along_with_the_markdown_without_their_secrets(tmp_path):
    folder = own_folder(tmp_path)
    article = draft_in(folder, OWN + "\n![t](scan.tif)\n")
    Image.new("RGB", (20, 10), "green").save(folder / "scan.tif", tiffinfo={700: b"47,22.9N SERIAL-4711"})
    assert b"SERIAL-4711" in (folder / "scan.tif").read_bytes()
    written = write_article(article, tmp_path / "a", one_picture, beside=own_images(article, folder))
    assert [secret for secret in SECRETS if secret in everything(written.folder)] == []
    assert (written.folder / "pics" / "my map.png").is_file()
    with Image.open(written.folder / "scan.tif") as image:
        assert image.getpixel((0, 0)) == (0, 128, 0)
    again = read_json(written.files["json"])
    copy = write_article(
        again, tmp_path / "b", images_beside(again, written.folder), beside=own_images(again, written.folder)
    )
    assert names(copy.folder) == names(written.folder)


def test_only_images_within_the_drafts_folder_are_shown(tmp_path):
    folder = own_folder(tmp_path)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "within.png").symlink_to(folder / "pics" / "my map.png")
    (folder / "dir.png").mkdir()
    (folder / "text.png").write_text("no image")
    (folder / "bomb.png").write_bytes(bomb())
    out = ["link.png", "../secret.png", "/etc/passwd", "http://127.0.0.1:9/x.png", "dir.png"]
    bad = ["text.png", "bomb.png"]
    article = draft_in(folder, "\n\n".join(f"![{n}](<{n}>)" for n in (*out, *bad, "within.png")))
    written = write_article(article, tmp_path / "a", one_picture, beside=own_images(article, folder))
    own = [i["alt"] for i in Page(written.files["html"].read_text("utf-8")).all("img") if i.get("class") == "own"]
    assert own == ["within.png"]
    assert len(written.article.notes) == len(out) + len(bad)
    assert "more than" in next(n for n in written.article.notes if "bomb.png" in n)
    assert not (written.folder / "link.png").exists()


def bomb() -> bytes:
    """A header that promises 900 million pixels."""
    data = bytearray(picture())
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_a_page_that_lost_a_drafts_image_is_not_published(tmp_path, monkeypatch):
    folder = own_folder(tmp_path)
    article = draft_in(folder, OWN)
    whole = exports.FORMATS["html"]
    spoilt = whole._replace(write=lambda a, p: re.sub('<img class="own"[^>]*>', "", whole.write(a, p), count=1))
    monkeypatch.setitem(exports.FORMATS, "html", spoilt)
    with pytest.raises(ExportFailed, match="1 images of the draft's own where the text has 2"):
        write_article(article, tmp_path / "a", one_picture, beside=own_images(article, folder))
    assert not (tmp_path / "a").exists()
