"""The one document that flows through limner: a Brief becomes an Article, illustrated at some of its Spots.

All values are frozen; an edit returns a new Article. They hold text, numbers and ids only, so every state of a
composition is small, printable and fit for a checkpoint. An image travels as its id, a hash of its bytes.

An Article is Markdown cut into blocks so that nothing is lost: `lead`, then each block's `text` and `gap`, joined,
are the source character for character. That is what lets `illustrate` promise that a draft's text stays as it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

FORMAT = 1  # of article.json; raised when an older limner could not read it


class Value(BaseModel):
    """A frozen value. Unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- the brief ---------------------------------------------------------------------------------------------------


class Source(Value):
    """Material the writer may use: a name to call it by, and its text."""

    name: str
    text: str


class Reference(Value):
    """An image the user handed in with the brief: shown to a writer that sees, and a candidate at every spot."""

    image_id: str
    caption: str


Point = Literal["outline", "draft", "spots", "images", "final"]
"""A place where a composition may stop for a person."""
POINTS: tuple[Point, ...] = get_args(Point)


class Brief(Value):
    """What the user asks for."""

    text: str
    """A title, keywords, an outline or long free text."""
    images: int | Literal["auto"] = "auto"
    """How many images the article shall have; "auto" takes as many as fit."""
    language: str | None = None
    """Language of the article as a BCP 47 code ("en", "zh"); None follows the brief."""
    seed: int = 0
    """Makes the order of candidates, and sampling on servers that honour a seed, repeatable."""
    sources: tuple[Source, ...] = ()
    references: tuple[Reference, ...] = ()
    review: tuple[Point, ...] = ()
    """Where the composition waits for a person; none runs through."""
    generate: str = ""
    """Name of the plug-in that makes an image where nothing fits; empty, and by default, none is made."""
    max_generated: int = Field(default=4, ge=0, le=100)
    """How many images may be made."""


# --- the article -------------------------------------------------------------------------------------------------


class Heading(Value):
    """A heading, as it stands in the source."""

    kind: Literal["heading"] = "heading"
    id: str
    text: str
    gap: str = "\n\n"
    level: int = 2
    """1 to 6."""

    @property
    def plain(self) -> str:
        """The text without Markdown."""
        return plain_text(self.text)


class Paragraph(Value):
    """Running text: a paragraph, a list or a quotation. An image may stand after it."""

    kind: Literal["paragraph"] = "paragraph"
    id: str
    text: str
    gap: str = "\n\n"

    @property
    def plain(self) -> str:
        """The text without Markdown."""
        return plain_text(self.text)


class Verbatim(Value):
    """Code, a table, HTML, a rule: carried along, never illustrated, never shown to a model as running text."""

    kind: Literal["verbatim"] = "verbatim"
    id: str
    text: str
    gap: str = "\n\n"

    @property
    def plain(self) -> str:
        """Nothing: it is not running text."""
        return ""


Block = Annotated[Heading | Paragraph | Verbatim, Field(discriminator="kind")]


class Illustration(Value):
    """An image at its place."""

    id: str
    after: str
    """Id of the paragraph that it stands after."""
    image_id: str
    library: str = ""
    """Name of the library that holds it."""
    caption: str
    """Shown under the image."""
    alt: str
    """Read out instead of the image; says what it shows, not what it means."""
    credit: str = ""
    licence: str = ""
    width: int
    """px, of the file."""
    height: int
    """px, of the file."""
    crop: tuple[float, float, float, float] | None = None
    """Left, top, width and height of the part that is shown, as fractions of the image; None shows all of it."""
    digital_source_type: str = ""
    """IPTC's term for how it was made, a URI, if it was generated; empty for an image of a library."""
    file: str = ""
    """Where the export put it, relative to article.json; empty until exported."""


class Spot(Value):
    """A place that may want an image, and what the image should show."""

    id: str
    after: str
    """Id of the paragraph that the image would stand after."""
    caption: str
    """In the article's language."""
    search: str
    """In English, for the encoders."""
    strength: float = Field(default=0.5, ge=0, le=1)
    """How much the spotter wants an image here, 0 to 1."""


class Candidate(Value):
    """A library image found for a spot."""

    image_id: str
    library: str
    score: float
    """Fused relevance; comparable within one article, higher is better."""
    scores: dict[str, float] = {}
    """Raw score per encoder: cosine for `caption` and `clip`, BM25 for `words`."""
    caption: str
    alt: str = ""
    credit: str = ""
    licence: str = ""
    described: bool = True
    """False when the caption is only the file's name made readable."""
    width: int
    height: int

    @property
    def description(self) -> str:
        """Caption and alternative text as one line."""
        return self.caption if not self.alt or self.alt == self.caption else f"{self.caption} ({self.alt})"


class Selection(Value):
    """The record of one choice: nothing in it is reconstructed afterwards."""

    spot: Spot
    candidates: tuple[Candidate, ...]
    """Best first, as retrieved."""
    shown: tuple[tuple[str, ...], ...] = ()
    """Image ids in the order shown to the model, once per time it was asked."""
    answers: tuple[str, ...] = ()
    """What the model answered, verbatim, once per time it was asked."""
    choice: str | None = None
    """Image id that the selector prefers, None where nothing fits."""
    by: Literal["pixels", "captions", "similarity", "person", "generator"]
    """What the choice was made by: a model that saw the images, one that read their captions, retrieval alone, a
    person; or that nothing fitted, and an image was generated."""
    confidence: float = Field(default=0.5, ge=0, le=1)
    """1 when two looks in different orders agreed, lower when they did not."""
    placed: str | None = None
    """Image id that arrange kept at this spot, None where it kept none."""
    instead_of: str | None = None
    """Where a person chose (`by`): the image id that would have been placed, None where there was none."""
    why: str = ""
    """Why the choice was or was not placed; one line."""
    fallback: str = ""
    """What was done instead of what should have been, and why; one line, empty where nothing was."""


class Article(Value):
    """Text and images interleaved.

    `lead + "".join(block.text + block.gap)` is the text's Markdown, exactly.
    """

    title: str
    language: str = "en"
    lead: str = ""
    """What stands before the first block: front matter, link definitions, blank lines."""
    body: tuple[Block, ...] = ()
    illustrations: tuple[Illustration, ...] = ()
    selections: tuple[Selection, ...] = ()
    locked: tuple[str, ...] = ()
    """Ids of blocks and illustrations that nothing may change."""
    notes: tuple[str, ...] = ()
    """What a reader of the result should know: every fallback, one line each."""
    made_with: dict[str, Any] = {}
    """Models per role, tokens per role, seed, library, version."""

    # -- reading

    @property
    def source(self) -> str:
        """The text's Markdown without images, character for character."""
        return self.lead + "".join(b.text + b.gap for b in self.body)

    @property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """The blocks that an image may stand after, in reading order."""
        return tuple(b for b in self.body if isinstance(b, Paragraph))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {p.id: n for n, p in enumerate(self.paragraphs)}

    def number(self, paragraph_id: str) -> int:
        """Position of a paragraph among the paragraphs, from 0. Raises KeyError for an id that is not one."""
        return self._numbers[paragraph_id]

    def heading_of(self, paragraph_id: str) -> str:
        """Plain text of the heading that the paragraph stands under, "" if none."""
        heading = ""
        for block in self.body:
            if isinstance(block, Heading):
                heading = block.plain
            if block.id == paragraph_id:
                return heading
        raise KeyError(paragraph_id)

    def blocks(self) -> Iterator[Heading | Paragraph | Verbatim | Illustration]:
        """Text and images in the one reading order that selector, exporters and page all use."""
        after: dict[str, list[Illustration]] = {}
        for illustration in self.illustrations:
            after.setdefault(illustration.after, []).append(illustration)
        for block in self.body:
            yield block
            yield from after.get(block.id, ())

    # -- changing

    def illustrated(self, new: Iterable[Illustration]) -> Article:
        """A new Article with these illustrations, sorted into reading order. The old one is still true."""
        return self.model_copy(update={"illustrations": tuple(sorted(new, key=lambda i: self.number(i.after)))})

    def noted(self, *notes: str) -> Article:
        """A new Article with these notes added, each once."""
        new = tuple(n for n in dict.fromkeys(notes) if n and n not in self.notes)
        return self.model_copy(update={"notes": self.notes + new})


# --- Markdown to blocks and back -----------------------------------------------------------------------------------

_RUNNING = {"paragraph_open", "bullet_list_open", "ordered_list_open", "blockquote_open"}
_FRONT_MATTER = re.compile(r"\A\ufeff?(?:---[ \t]*\r?\n.*?\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z))", re.DOTALL)


@lru_cache(maxsize=1)
def markdown() -> MarkdownIt:
    """The CommonMark parser (with tables) that cuts articles into blocks and renders them.

    What it renders cannot run: raw HTML comes out escaped, an image in the text as its alternative text (limner alone
    adds images), and the parser itself refuses javascript: and data: targets.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("html_block", _escaped)
    parser.add_render_rule("html_inline", _escaped)
    parser.add_render_rule("image", _escaped)
    return parser


def _escaped(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    if token.content.lstrip().startswith("<!--"):
        return ""
    text = html.escape(token.content.strip())
    return f"<p>{text}</p>\n" if token.type == "html_block" else text


def top_level(source: str) -> list[tuple[Sequence[Token], int, int]]:
    """The top-level blocks of Markdown: their tokens, first line and line after the last, lines counted from 0."""
    tokens, blocks, start = markdown().parse(source, {}), [], 0
    for n, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:  # a closing token, or one that stands alone
            opening = tokens[start]
            if opening.map:
                blocks.append((tokens[start : n + 1], opening.map[0], opening.map[1]))
            start = n + 1
    return blocks


def read_markdown(source: str, *, title: str = "", language: str = "en") -> Article:
    """Cut Markdown into an Article whose `source` is exactly what came in.

    The title is `title` if given, else the first heading of level 1, else the first heading, else the first words.
    """
    front = _FRONT_MATTER.match(source)
    skip = front.end() if front else 0
    # CommonMark ends lines at \n, \r\n and \r only; str.splitlines would also cut at form feeds and the like.
    lines = re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", source[skip:])
    starts = [skip]
    for line in lines:
        starts.append(starts[-1] + len(line))
    # One line in, one line out: the parser folds \r\n to \n and replaces NUL, neither of which moves a line.
    body: list[Heading | Paragraph | Verbatim] = []
    spans: list[tuple[int, int]] = []
    for tokens, first, last in top_level(source[skip:]):
        begin, end = starts[first], starts[min(last, len(lines))]
        text = source[begin:end]
        stripped = text.rstrip()
        if not stripped:
            continue
        spans.append((begin, begin + len(stripped)))
        kind, block_id = tokens[0].type, f"b{len(spans)}"
        if kind == "heading_open":
            body.append(Heading(id=block_id, text=stripped, level=int(tokens[0].tag[1])))
        elif kind in _RUNNING:
            body.append(Paragraph(id=block_id, text=stripped))
        else:
            body.append(Verbatim(id=block_id, text=stripped))
    ends = [*(begin for begin, _ in spans[1:]), len(source)][: len(spans)]
    body = [
        b.model_copy(update={"gap": source[end:after]}) for b, (_, end), after in zip(body, spans, ends, strict=True)
    ]
    headings = sorted((b for b in body if isinstance(b, Heading)), key=lambda h: h.level != 1)
    title = title or next((h.plain for h in headings if h.plain), "")
    title = title or next((" ".join(b.plain.split()[:8]) for b in body if b.plain), "")
    lead = source[: spans[0][0]] if spans else source
    return Article(title=title, language=language, lead=lead, body=tuple(body))


@lru_cache(maxsize=4096)
def plain_text(text: str) -> str:
    """Markdown without its marks: words, links' labels and code spans; images and HTML tags are left out."""
    words: list[str] = []
    for token in markdown().parse(text, {}):
        if token.type == "inline":
            words += [_inline_text(token.children or []), "\n"]
    return "".join(words).strip()


def _inline_text(tokens: Iterable[Token]) -> str:
    out = []
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special"):
            out.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            out.append(" ")
    return "".join(out)


def figure_id(spot_id: str) -> str:
    """Id of the illustration that stands at a spot (see tools/illustrate.py)."""
    return f"f-{spot_id}"
