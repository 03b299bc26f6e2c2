"""Article -> one self-contained page; search hits -> a contact sheet.

The page makes no request and runs no script; its Content-Security-Policy names the one style by its hash.
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
from xml.etree.ElementTree import Element

from limner.document import Article, Candidate, Heading, Illustration
from limner.exports.bidi import direction
from limner.exports.counting import compare, figures
from limner.exports.formulas import mathml
from limner.exports.pictures import Embedded, Images, Pictures, decoded, embedded
from limner.exports.safe import Replacement, serialised, substitute
from limner.exports.text import Text, replace_images, text_of
from limner.exports.words import SURROGATE, alt_of, attribution, credited, credits_title, line
from limner.lazy import lazy

if TYPE_CHECKING:
    import markupsafe
    from jinja2 import Environment
else:  # Markdown and JSON are written without it
    markupsafe = lazy("markupsafe")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("limner.exports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style(name: str) -> tuple[str, str]:
    """A style sheet, and its hash for a Content-Security-Policy."""
    css = (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
    css = re.sub(r"\s*\n\s*", "\n", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)).strip()
    return css, f"'sha256-{base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()}'"


def styled(template: str, **values: Any) -> str:
    """A template with its own style sheet, see `render`; the page's policy names the style by its hash."""
    css, digest = _style(template.replace(".html", ".css"))
    return render(template, style=markupsafe.Markup(css), style_hash=markupsafe.Markup(digest), **values)


def render(template: str, **values: Any) -> str:
    """A template with values, each escaped unless it is Markup."""
    text = _templates().get_template(template).render(**values)
    return SURROGATE.sub("\ufffd", text)  # pages are UTF-8; drafts need not be


def to_html(article: Article, images: Images) -> str:
    """One self-contained page: no script, no request, light or dark like the reader's system.

    images: the parts to show, see `shown_parts`. Raises ImageUnreadable for bytes that browsers cannot show as an
    image.
    """
    pictures = images if isinstance(images, Pictures) else Pictures(article, images)
    text = text_of(article)

    def own(names: list[str], alt: str) -> Element | None:
        image = pictures.own_embedded(names)
        return own_image(image, alt) if image else None

    replace_images(text.root, own)
    shown = parts(text, lambda i: pictures.embedded(i.image_id), article, page=_with_formulas(text))
    return styled(
        "article.html",
        parts=list(shown),
        notes=[line(note) for note in article.notes],
        verb="Illustrated" if article.made_with.get("draft") else "Made",
        **frame(article),
    )


def frame(article: Article) -> dict[str, Any]:
    """The frame of a page or document: title, author, date, language, credits."""
    return {
        "author": line(article.author),
        "date": line(article.date),
        "title": line(article.title) or "Untitled",
        "headline": line(article.title) if wants_headline(article) else "",
        "language": line(article.language) or "und",
        "direction": direction(article),
        "credits_title": credits_title(article.language),
        "credits": [
            {
                "what": line(i.caption) or alt_of(i),
                "credit": attribution(i, article.language),
                "number": _number(article, i),
            }
            for i in credited(article)
        ],
    }


def wants_headline(article: Article) -> bool:
    """Whether the page must add the title, because the text does not begin with it."""
    headings = [b for b in article.body if isinstance(b, Heading)]
    if not article.title.strip() or any(h.level == 1 for h in headings):
        return False
    first = next((b.plain for b in article.body if b.plain), "")
    return " ".join(first.split())[: len(article.title)] != article.title


def _number(article: Article, illustration: Illustration) -> int:
    return list(article.illustrations).index(illustration) + 1


def parts(
    text: Text, pictures: Callable[[Illustration], Embedded], article: Article, *, page: str | None = None
) -> Iterator[dict[str, Any]]:
    """The page's parts in reading order: {"html": safe text} or {"figure": an illustration and its image}.

    page: the result of `serialised`, if it was changed since.
    """
    pieces = re.split(f'<hr class="{text.marks}" id="{text.marks}-([0-9]+)" ?/?>', page or serialised(text.root))
    for n, piece in enumerate(pieces):
        if n % 2:
            block = text.figures[int(piece)]
            yield {"figure": shown_figure(block, pictures(block), _number(article, block), article.language)}
        elif piece.strip():
            yield {"html": markupsafe.Markup(piece)}


def shown_figure(i: Illustration, image: Embedded, number: int, language: str) -> dict[str, Any]:
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
        "credit": attribution(i, language),
    }


def own_image(image: Embedded, alt: str) -> Element:
    """The element of a draft's own image in the text."""
    size = {"width": str(image.width), "height": str(image.height)}
    return Element("img", {"class": "own", "src": image.src, "alt": alt, **size})


def _with_formulas(text: Text) -> str:
    """The text as HTML, with formulas as MathML, or as their source if they cannot be converted."""
    made: dict[str, str] = {}

    def named(code: Element) -> Replacement | None:
        if code.tag != "code" or not code.get("class", "").startswith("math-"):
            return None
        if formula := mathml("".join(code.itertext()), code.get("class") == "math-block"):
            name = f"{text.marks}-formula-{len(made)}-"
            made[name] = formula
            return [], name
        return None

    for parent in list(text.root.iter()):
        substitute(parent, named)
    page = serialised(text.root)
    return re.sub(f"{text.marks}-formula-\\d+-", lambda m: made[m[0]], page)


def contact_sheet(title: str, rows: Sequence[tuple[Candidate, bytes]]) -> str:
    """A page of search hits, best first: thumbnail, score, caption, credit.

    rows: each hit with the bytes of a small image. Raises ImageUnreadable for other bytes.
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
    return styled("contact_sheet.html", title=line(title), hits=hits)


def check_html(article: Article, path: Path) -> None:
    """Read the page again and check images, alternative texts and credits in the article's order."""
    page = _FigureReader()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    wanted = figures(article)
    compare(path, "images", [alt_of(i) for i in wanted], [figure["alt"] for figure in page.figures])
    compare(
        path,
        "credits",
        [attribution(i, article.language) for i in wanted],
        [figure["credit"] for figure in page.figures],
    )
    for figure, i in zip(page.figures, wanted, strict=True):
        _, _, encoded = figure["src"].partition(";base64,")
        decoded(base64.b64decode(encoded), i.image_id)


def own_in_html(path: Path) -> int:
    """Number of a draft's own images in a page, each decoded to its last row."""
    page = _FigureReader()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    for src in page.own:
        decoded(base64.b64decode(src.partition(";base64,")[2]), "in the text")
    return len(page.own)


def shown_in_html(path: Path) -> list[bytes]:
    """The files of the figures in a page, in order."""
    page = _FigureReader()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return [base64.b64decode(figure["src"].partition(";base64,")[2]) for figure in page.figures]


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
