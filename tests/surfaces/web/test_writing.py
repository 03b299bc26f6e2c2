"""Rich text in a real browser: what is typed, cut, joined, pasted and composed, and what Markdown that leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect
from studio import Studio

from limner.document import read_markdown

ROOT = Path(__file__).parents[3]
WORD = """<html><head><style>p { color: red }</style></head><body><!--StartFragment-->
<h2 style='mso-outline-level: 2'>Pasted</h2>
<p class=MsoNormal style="margin:0cm"><b>Bold</b> and <span style="font-style: italic">slanted</span>
<a href="javascript:alert(1)">bad</a> <a href="https://x.org/">good</a><o:p></o:p></p>
<p class=MsoListParagraphCxSpFirst style='mso-list:l0 level1'><span style='mso-list:Ignore'>· </span>One</p>
<p class=MsoListParagraphCxSpLast style='mso-list:l0 level1'><span style='mso-list:Ignore'>·</span>Two</p>
<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"><!--EndFragment--></body></html>"""
DOCS = '<b style="font-weight:normal"><p><span style="font-weight:700">Heavy</span> <span>light</span></p></b>'
PASTE = """(box, html) => {
    const data = new DataTransfer();
    data.setData('text/html', html);
    box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
}"""
DIALECTS = [
    "A note[^1], a formula $x_1 * y_2$ and [[a page|so]] {{< tip >}} with H<sub>2</sub>O ![i](j.png).",
    "**b _c_ d** ~~e~~ [l](<http://x y> 't') <http://a.b> `` a`b `` \\* 5 * 3 &nbsp;&copy; snake_case",
    "***both** one* and *a *b* c* and **_x_**, [ref][a], [@knuth84, p. 3], {ref}`there`{.mark}",
    "中文**粗体**，还有*斜体*和`代码`。",
    "- a\n  - b\n    1. c\n- d", "1) a\n\n   b\n\n2) c", "-   wide\n-   signs", "* * *", "> q\n> w\n>\n> e",
    "one\\\ntwo  \nthree\nfour", "Setext\n======", "## Closed ##", "# A # b {#id}", "| a | b |\n|---|---|\n| 1 | 2 |",
    "[^1]: The note.\n    Its second line.", "$$\nx^2\n$$", "<details>\n<b>x</b>\n</details>",
    ":::{note}\nInside.\n:::",
    "[a]: http://x.org", "    code", "```py\nx = 1\n```", "- [ ] do\n- [x] done", "a  \n", "\ta", "* a\n+ b",
]  # fmt: skip


def shown(studio: Studio) -> Locator:
    """What is being typed in, once it has the focus."""
    box = studio.page.locator(".sheet .rich")
    expect(box).to_be_focused()
    return box


def begin(studio: Studio, one: dict[str, Any]) -> Locator:
    studio.choose(one)
    return shown(studio)


def test_what_is_typed_is_what_is_published(studio: Studio) -> None:
    page, one, rest = studio.page, studio.paragraph(1), studio.texts()
    box = begin(studio, one)
    first, last = one["text"].split()[0], one["text"].split()[-1]
    studio.select(box, first, start=True)
    page.keyboard.type("**Bees** *fly* 5 * 3 [^1] ~~never~~ `home` [on](https://x.org) ")
    marked = [box.locator(tag).inner_text() for tag in ("strong", "em", "s", "code", "a")]
    assert marked == ["Bees", "fly", "never", "home", "on"]
    typed = "**Bees** *fly* 5 * 3 [^1] ~~never~~ `home` [on](https://x.org) "
    studio.select(box, last)
    page.keyboard.press("ControlOrMeta+b")
    page.keyboard.press("ControlOrMeta+k")
    page.get_by_label("Address of the link").fill("example.org/a b")
    page.keyboard.press("Enter")
    expect(box.locator("strong a, a strong")).to_have_text(last)
    page.keyboard.press("Escape")
    studio.saved()
    whole = one["text"][: -len(last)]
    assert studio.paragraph(1)["text"] == f"{typed}{whole}[**{last}**](https://example.org/a%20b)"
    assert [text for text in studio.texts() if text in rest] == [text for text in rest if text != one["text"]]
    box = begin(studio, studio.paragraph(1))
    page.keyboard.type("x")
    page.keyboard.press("ControlOrMeta+z")
    page.keyboard.press("Escape")
    studio.saved()
    assert studio.paragraph(1)["text"].startswith(typed)


def test_enter_cuts_backspace_joins_and_arrows_lead_on(studio: Studio) -> None:
    page, before = studio.page, studio.texts()
    one = studio.paragraph()
    box = begin(studio, one)
    box.fill("First part. Second part.")
    studio.select(box, "Second part.", start=True)
    page.keyboard.press("Enter")
    expect(page.get_by_label("New text")).to_be_focused()
    page.keyboard.type("New. ")
    page.keyboard.press("Enter")
    page.keyboard.type("## Middle: ")
    page.keyboard.press("Escape")
    studio.saved()
    at = before.index(one["text"])
    assert studio.texts() == [*before[:at], "First part.", "New.", "## Middle: Second part.", *before[at + 1 :]]
    heading = next(b for b in studio.blocks() if b.get("text", "").startswith("## Middle"))
    box = begin(studio, heading)
    studio.select(box, "Middle", start=True)
    page.keyboard.press("Backspace")  # a paragraph again, and then one with the text before it
    page.keyboard.press("Backspace")
    expect(shown(studio)).to_have_text("New.Middle: Second part.")
    page.keyboard.type(" ")
    page.keyboard.press("ArrowUp")
    expect(shown(studio)).to_have_text("First part.")
    page.keyboard.press("ArrowDown")
    expect(shown(studio)).to_have_text("New. Middle: Second part.")
    page.keyboard.press("Escape")
    studio.saved()
    assert studio.texts() == [*before[:at], "First part.", "New. Middle: Second part.", *before[at + 1 :]]
    while studio.up.revision(studio.job)["can_undo"]:
        studio.undo()
        studio.saved()
    assert studio.texts() == before


def test_cuts_without_a_network_outlive_a_reload(studio: Studio) -> None:
    """New text after new text that the server has no name for yet, taken up again, and a cut that was made last."""
    page, before, one = studio.page, studio.texts(), studio.paragraph()
    page.route("**/edits", lambda route: route.abort())
    box = begin(studio, one)
    box.fill("One.")
    for text in ("Two.", "Three.", "Four, part. Four, rest."):
        page.keyboard.press("Enter")
        expect(shown(studio)).to_have_text("")
        page.keyboard.type(text)
    page.keyboard.press("ArrowUp")
    expect(shown(studio)).to_have_text("Three.")
    page.keyboard.type("More. ")
    page.keyboard.press("ArrowDown")
    box = shown(studio)
    expect(box).to_have_text("Four, part. Four, rest.")
    studio.select(box, "Four, rest.", start=True)
    page.keyboard.press("Enter")
    expect(shown(studio)).to_have_text("Four, rest.")
    page.unroute("**/edits")
    studio.edit()
    studio.saved()
    at = before.index(one["text"])
    assert studio.texts() == [
        *before[:at],
        "One.",
        "Two.",
        "Three.More.",
        "Four, part.",
        "Four, rest.",
        *before[at + 1 :],
    ]


def test_a_list_and_what_is_pasted(studio: Studio) -> None:
    page, before = studio.page, studio.texts()
    one, two = studio.paragraph(), studio.paragraph(1)
    box = begin(studio, one)
    box.fill("")
    page.keyboard.type("- a")
    page.keyboard.press("Enter")
    page.keyboard.type("b")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.keyboard.type("After.")
    page.keyboard.press("Escape")
    studio.saved()
    at = before.index(one["text"])
    assert studio.texts() == [*before[:at], "- a\n- b", "After.", *before[at + 1 :]]
    box = begin(studio, two)
    box.fill("Before: ")
    box.evaluate(PASTE, DOCS)
    page.keyboard.press("Escape")
    studio.saved()
    assert "Before: **Heavy** light" in studio.texts()
    box = begin(studio, next(b for b in studio.blocks() if b.get("text") == "After."))
    box.fill("")
    box.evaluate(PASTE, WORD)
    page.keyboard.press("Escape")
    studio.saved()
    at = studio.texts().index("## Pasted")
    assert studio.texts()[at + 1 : at + 3] == ["**Bold** and *slanted* bad [good](https://x.org/)", "- One\n- Two"]
    assert page.evaluate("window.hacked") is None


def test_an_input_method_is_left_alone(studio: Studio) -> None:
    """Nothing is drawn anew under it, though it is saved meanwhile."""
    page, one = studio.page, studio.paragraph()
    box = begin(studio, one)
    box.fill("蜜蜂")
    client = page.context.new_cdp_session(page)
    with page.expect_response(lambda answer: answer.url.endswith("/edits")):
        for letters in ("n", "ni", "nih", "nihao"):
            end = {"selectionStart": len(letters), "selectionEnd": len(letters)}
            client.send("Input.imeSetComposition", {"text": letters, **end})
    box.evaluate("box => { box.firstChild.kept = true; }")
    studio.saved()
    for letters in ("nihaoma", "nihaom"):
        end = {"selectionStart": len(letters), "selectionEnd": len(letters)}
        client.send("Input.imeSetComposition", {"text": letters, **end})
    assert box.evaluate("box => box.firstChild.kept")
    client.send("Input.insertText", {"text": "你好"})
    page.keyboard.type("!")
    page.keyboard.press("Escape")
    studio.saved()
    assert studio.paragraph()["text"] == "蜜蜂你好!"


CHECK = """async (texts) => {
    const [{ read, rich }, { textOf, written }, { schema }] = await Promise.all(
        ["read", "write", "schema"].map((name) => import(`/static/editor/rich/${name}.js`)));
    const bad = [];
    let richly = 0;
    for (const text of texts) {
        const doc = rich(text);
        if (!doc) continue;
        richly++;
        if (textOf(doc) !== text) bad.push(["bytes", text]);
        // a word more at either end, and what was there is still written as it was, or says the same
        const first = doc.firstChild;
        if (!first.isTextblock || doc.childCount > 1) continue;
        for (const word of ["Word ", "a*b_c `d <e> [f] ", "1. ", "# "]) {
            const more = first.copy(first.content.addToStart(schema.text(word)));
            const out = written(more);
            const again = read(out).textContent;
            if (again !== more.textContent.trimEnd()) bad.push([word, text, out, again]);
            if (word === "Word " && /^\\p{L}/u.test(text) && out !== word + text) bad.push(["rest", text, out]);
        }
    }
    return [richly, bad];
}"""


def test_markdown_comes_back_to_the_byte(studio: Studio) -> None:
    """Every block of the documentation and of the dialects; STUDIO_BOOKS names a JSON list of more."""
    files = [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    texts = [b.text for file in files for b in read_markdown(file.read_text(encoding="utf-8")).body]
    if books := os.environ.get("STUDIO_BOOKS"):
        texts += json.loads(Path(books).read_text(encoding="utf-8"))
    richly, bad = studio.page.evaluate(CHECK, [*DIALECTS, *dict.fromkeys(text.replace("\r\n", "\n") for text in texts)])
    assert bad == []
    assert richly > len(files) * 10
