"""Tags of a draft's HTML end where a browser ends them, and what they open stays small."""

from __future__ import annotations

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nested import REPEATED, repeated
from test_drafts import draft

from limner.exports.balance import DEPTH, balanced
from limner.exports.safe import serialised, tree
from limner.exports.text import text_of


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<p><b>a</p><p>c</b></p>", "<p><b>a</b></p><p>c</p>"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a</dt><dd>b</dd><dt>c</dt></dl>"),
        (
            "<table><tr><td>a<td>b<tr><td>c</table>",
            "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
        ),
        ("<b>a<div>b</b>c</div>", "<b>a<div>bc</div></b>"),
        ("<div><img src=a>b<br></div></div></i>", "<div><img src=a>b<br></div>"),
        ("<p>a<div>b</div></p>", "<p>a</p><div>b</div>"),
        ("<table><tr><td>a<td>b</table><h2>c</h2>", "<table><tr><td>a</td><td>b</td></tr></table><h2>c</h2>"),
        (
            "<table><tr><td><table><tr><td>a</table>b</table>c",
            "<table><tr><td><table><tr><td>a</td></tr></table>b</td></tr></table>c",
        ),
        ("<table><tr><td>a</div>b</table>c", "<table><tr><td>ab</td></tr></table>c"),
        ('<a name="x"/><h2>a</h2>', '<a name="x"></a><h2>a</h2>'),
        ("<a name=x><b>a<a name=y>b", "<a name=x><b>a</b></a><a name=y>b</a>"),
        ("<a name=x><div>a<a href=y>b</a></div>", "<a name=x><div>a<a href=y>b</a></div></a>"),
    ],
)
def test_each_element_ends_within_the_one_around_it(source: str, html: str) -> None:
    assert balanced(source) == html


@pytest.mark.parametrize("anchor", ['<a name="s{n}"/>', '<a name="s{n}">', '<a id="s{n}"></a>'])
def test_many_anchors_take_no_link_and_no_emphasis_away(anchor: str) -> None:
    parts = "".join(f"{anchor.format(n=n)}\n\n## Part {n}\n\nWords.\n\n" for n in range(30))
    html = serialised(text_of(draft(f"{parts}See [the site](https://x.org), **bold** and `code`.\n")).root)
    assert "https://x.org" in html
    assert "<strong>bold</strong>" in html
    assert "<code>code</code>" in html


def test_what_follows_a_table_with_open_cells_is_not_in_it() -> None:
    source = "<table>\n<tr><td>a<td>b\n</table>\n\nAfter the table.\n\n## Next\n"
    root = text_of(draft(source)).root
    assert [e.tag for e in root if e.tag != "hr"] == ["table", "p", "h2"]


TAGS = [
    "<p>",
    "</p>",
    "<b>",
    "</b>",
    "<i title=1>",
    "</i>",
    "<div>",
    "</div>",
    "<ul>",
    "<li>",
    "</ul>",
    "<table>",
    "<tr>",
]
TAGS += [
    "<td>",
    "</td>",
    "</table>",
    "<a href=http://a.b>",
    "</a>",
    "<br>",
    "a",
    "<hr>",
    "<h2>",
    "</h2>",
    "<dl>",
    "<dd>",
]


@given(st.lists(st.sampled_from(TAGS), max_size=30))
def test_no_text_is_lost_and_balancing_twice_changes_nothing(pieces: list[str]) -> None:
    once = balanced("".join(pieces))
    assert once.count("a") >= pieces.count("a")
    assert balanced(once) == once
    text = "".join(tree(once, "figure-x").itertext())
    assert text.count("a") == pieces.count("a")


@pytest.mark.parametrize("name", [name for name in REPEATED if name.startswith("open")])
def test_what_is_never_closed_stays_as_long_as_it_is(name: str) -> None:
    """40 kB became 38 MB in the sanitiser: each paragraph opened every phrase again that was open before it."""
    sizes = [len(nh3.clean(balanced(repeated(name, length)))) for length in (10_000, 20_000)]
    assert sizes[1] <= 2.5 * sizes[0]
    assert sizes[1] <= 20 * 20_000


def test_what_is_never_closed_grows_without_balancing() -> None:
    source = repeated("open phrases in a line", 20_000)
    assert len(nh3.clean(source)) > 100 * len(source)


def test_text_below_the_limit_of_depth_is_kept() -> None:
    source = "<div>" * 3 * DEPTH + "deep" + "</div>" * 3 * DEPTH + "<p>after</p>"
    assert balanced(source) == "<div>" * DEPTH + "deep" + "</div>" * DEPTH + "<p>after</p>"
