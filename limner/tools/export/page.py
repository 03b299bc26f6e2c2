"""Article -> one self-contained page; search hits -> a contact sheet.

The page asks the network for nothing and runs nothing; its Content-Security-Policy names the one style by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.document import Article, Candidate, Heading, Illustration, markdown
from limner.tools.export.counting import compare, figures
from limner.tools.export.pictures import Embedded, Images, Pictures, embedded, name_of, opened
from limner.tools.export.words import SURROGATE, alt_of, attribution, credited, credits_title, direction, line

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("limner.tools"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style(name: str) -> tuple[str, str]:
    """A style sheet, and its hash as a Content-Security-Policy wants it."""
    css = (Path(__file__).parents[1] / "templates" / name).read_text(encoding="utf-8")
    css = re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)).strip()
    return css, f"'sha256-{base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()}'"


def _page(template: str, **values: Any) -> str:
    from markupsafe import Markup

    css, digest = _style(template.replace(".html", ".css"))
    return render(template, style=Markup(css), style_hash=Markup(digest), **values)


def render(template: str, **values: Any) -> str:
    """A template with values, each escaped unless it is Markup."""
    text = _templates().get_template(template).render(**values)
    return SURROGATE.sub("\ufffd", text)  # a page is UTF-8; a draft need not be


def to_html(article: Article, images: Images) -> str:
    """One page that holds everything it shows: no script, no request, dark where the reader's system is dark.

    images: as they are to be shown; `shown_parts` crops them.
    Raises ImageUnreadable for bytes that are not an image which browsers show.
    """
    pictures = images if isinstance(images, Pictures) else Pictures(article, images)
    return _page(
        "article.html",
        parts=list(parts(article, pictures)),
        notes=[line(note) for note in article.notes],
        verb="Illustrated" if article.made_with.get("draft") else "Made",
        **frame(article),
    )


def frame(article: Article) -> dict[str, Any]:
    """What stands around the text of a page or a document: its title, its language, its credits."""
    return {
        "title": line(article.title) or "Untitled",
        "headline": line(article.title) if wants_headline(article) else "",
        "language": line(article.language) or "und",
        "direction": direction(article.language),
        "credits_title": credits_title(article.language),
        "credits": [
            {"what": line(i.caption) or alt_of(i), "credit": attribution(i), "number": _number(article, i)}
            for i in credited(article)
        ],
    }


def wants_headline(article: Article) -> bool:
    """Whether the page must show the title itself, because the text does not begin with it."""
    headings = [b for b in article.body if isinstance(b, Heading)]
    if not article.title.strip() or any(h.level == 1 for h in headings):
        return False
    first = next((b.plain for b in article.body if b.plain), "")
    return " ".join(first.split())[: len(article.title)] != article.title


def _number(article: Article, illustration: Illustration) -> int:
    return list(article.illustrations).index(illustration) + 1


def parts(
    article: Article,
    pictures: Pictures,
    *,
    portable: bool = False,
    place: Callable[[Embedded], Embedded] = lambda image: image,
) -> Iterator[dict[str, Any]]:
    """The page's parts in reading order: {"html": safe text} or {"figure": Illustration and what is shown of it}.

    portable: images that every program shows. place: puts an image where the page finds it, if not into the page.
    """
    from markupsafe import Markup

    def own(name: str) -> Embedded | None:
        image = pictures.own_embedded(name, portable=portable)
        return place(image) if image else None

    env: dict[str, Any] = {}
    markdown().parse(article.source, env)  # link definitions may stand anywhere
    for block in article.blocks():
        if isinstance(block, Illustration):
            image = place(pictures.embedded(block.image_id, portable=portable))
            yield {"figure": _shown(block, image, _number(article, block))}
        else:
            yield {"html": Markup(block_html(block.text, env, own))}


def _shown(i: Illustration, image: Embedded, number: int) -> dict[str, Any]:
    ratio = image.width / image.height
    kinds = [
        "wide"
        if image.width >= 1000 and ratio >= 1.3
        else "column"
        if image.width >= 480 and ratio >= 1.1
        else "small",
        *(["clear"] if image.clear else []),
    ]
    return {
        "number": number,
        "image": image,
        "kinds": " ".join(kinds),
        "alt": alt_of(i),
        "caption": line(i.caption),
        "credit": attribution(i),
    }


def block_html(text: str, env: dict[str, Any], own: Callable[[str], Embedded | None] = lambda _: None) -> str:
    """One block of Markdown as HTML that cannot run, load or style anything.

    env: what the parser found in the whole text, whose link definitions are the block's as well.
    own: what is shown for an image in the text, by its name there; for None its alternative text stands in its place.
    """
    parser = _parser()
    tokens = parser.parse(text, {"references": env.get("references", {})})
    for token in tokens:
        if align := token.attrGet("style"):  # table cells; the page's policy allows no style in an attribute
            token.attrs.pop("style")
            token.attrSet("class", str(align).removeprefix("text-align:"))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer nofollow")
            if child.type == "image" and (image := own(name_of(child))):
                alt = "".join(word.content or " " for word in child.children or ())
                child.type, child.children, child.content = "own_image", None, ""
                child.attrs = {"class": "own", "src": image.src, "alt": line(alt)}
                child.attrs |= {"width": image.width, "height": image.height}
    return parser.renderer.render(tokens, parser.options, env)


@cache
def _parser() -> MarkdownIt:
    parser = markdown()
    parser.add_render_rule("own_image", _own_image)  # a kind of token that no text has: it is made above
    return parser


def _own_image(renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return f"<img{renderer.renderAttrs(tokens[index])}>"


def contact_sheet(title: str, rows: Sequence[tuple[Candidate, bytes]]) -> str:
    """A page of search hits, best first: thumbnail, score, caption, credit.

    rows: each hit with the bytes of a small image. Raises ImageUnreadable for bytes that are none.
    """
    hits = [
        {
            "image": embedded(thumbnail, c.image_id),
            "alt": line(c.alt) or line(c.caption),
            "score": f"{c.score:.3f}",
            "scores": ", ".join(f"{line(name)} {score:.3f}" for name, score in c.scores.items()),
            "caption": line(c.caption),
            "credit": attribution(c),
            "image_id": line(c.image_id),
        }
        for c, thumbnail in rows
    ]
    return _page("contact_sheet.html", title=line(title), hits=hits)


def check_html(article: Article, path: Path) -> None:
    """Reads the page again: images, alternative texts and credits in the article's order."""
    page = _FigureReader()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    wanted = figures(article)
    compare(path, "images", [alt_of(i) for i in wanted], [figure["alt"] for figure in page.figures])
    compare(path, "credits", [attribution(i) for i in wanted], [figure["credit"] for figure in page.figures])
    for figure, i in zip(page.figures, wanted, strict=True):
        _, _, encoded = figure["src"].partition(";base64,")
        with opened(base64.b64decode(encoded), i.image_id) as image:
            image.load()


def own_in_html(path: Path) -> int:
    """How many of a draft's own images a page holds, each decoded to its last row."""
    page = _FigureReader()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    for src in page.own:
        with opened(base64.b64decode(src.partition(";base64,")[2]), "in the text") as image:
            image.load()
    return len(page.own)


class _FigureReader(HTMLParser):
    """Collects src, alt and credit of each <figure>, and src of a draft's own images."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[dict[str, str]] = []
        self.own: list[str] = []
        self._in_credit = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "img" and values.get("class") == "own":
            self.own.append(values["src"])
        elif tag == "img":
            self.figures.append({"src": values["src"], "alt": values["alt"], "credit": ""})
        elif tag == "span":
            self._in_credit = values.get("class") == "credit"

    def handle_endtag(self, tag: str) -> None:
        self._in_credit = self._in_credit and tag != "span"

    def handle_data(self, data: str) -> None:
        if self._in_credit:
            self.figures[-1]["credit"] += data
