"""Tags of a draft's HTML end where a browser ends them, and what they open stays small."""

from __future__ import annotations

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nested import REPEATED, repeated

from limner.tools.export.balance import DEPTH, balanced
from limner.tools.export.safe import tree


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
    ],
)
def test_each_element_ends_within_the_one_around_it(source: str, html: str) -> None:
    assert balanced(source) == html


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
