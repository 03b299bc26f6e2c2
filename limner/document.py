"""The one document that flows through limner: a Brief becomes an Article, illustrated at its Spots.

All values are frozen; an edit returns a new Article. They hold text, numbers and ids only, so every state of a
composition is small, printable and fit for a checkpoint. An image travels as its id, a hash of its bytes.

An Article is Markdown cut into blocks so that nothing is lost: `lead`, then each block's `text` and `gap`, joined,
are the source character for character. So `illustrate` can promise that a draft's text stays as it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from limner.markdown import blocks, front_matter
from limner.notes import Note

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

FORMAT = 2  # of article.json; raised when an older limner cannot read it: 2 has codes in notes, author and date


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
    library: str = ""
    """Name of the library that holds it."""


Point = Literal["outline", "draft", "spots", "images", "final"]
"""A point at which a composition may stop for a person."""
POINTS: tuple[Point, ...] = get_args(Point)


class Brief(Value):
    """The user's request."""

    text: str
    """A title, keywords, an outline or long free text."""
    images: int | Literal["auto"] = "auto"
    """How many images the article should have; "auto" takes as many as fit."""
    language: str | None = None
    """Language of the article as a BCP 47 code ("en", "zh"); None follows the brief."""
    seed: int = 0
    """Makes the order of candidates, and sampling on servers that honour a seed, repeatable."""
    sources: tuple[Source, ...] = ()
    references: tuple[Reference, ...] = ()
    review: tuple[Point, ...] = ()
    """Points at which the composition waits for a person; empty runs through."""
    generate: str = ""
    """Name of the plug-in that generates an image where nothing fits; empty (the default) generates none."""
    max_generated: int = Field(default=4, ge=0, le=100)
    """Limit of generated images."""
    check: bool | None = None
    """Whether a model that sees says of each chosen picture whether it shows what its place wants; None asks it about
    those that it chose by sight."""
    only: tuple[str, ...] = ()
    """Filters that library images must pass, in the text form of `tools.library.filters`."""


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
    """Id of the paragraph before it."""
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
    """Left, top, width and height of the shown part, as fractions of the image; None shows all of it."""
    digital_source_type: str = ""
    """IPTC's digital source type, a URI, of a generated image; empty for an image of a library."""
    machine_made: tuple[Literal["caption", "alt"], ...] = ()
    """Which of its words a model wrote for the library, where no person had; a person's change takes the mark away."""
    file: str = ""
    """Its file in the export, relative to article.json; empty until exported."""


class Spot(Value):
    """A place for an image, and a description of the image."""

    id: str
    after: str
    """Id of the paragraph before the image."""
    caption: str
    """Caption in the article's language."""
    search: str
    """Caption in English, for the encoders."""
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
    fits: dict[str, float] = {}
    """Per encoder of `scores` how far its score lies above chance, in standard deviations of what pairs of the library
    have that do not belong together; comparable over encoders, libraries and articles."""
    caption: str
    alt: str = ""
    credit: str = ""
    licence: str = ""
    described: bool = True
    """False if the caption is only the file's name made readable."""
    machine_made: tuple[Literal["caption", "alt"], ...] = ()
    """Which of its words a model wrote, because the library had none."""
    width: int
    height: int
    copies: tuple[str, ...] = ()
    """Ids of the library's near-copies of it, best first, at most 50: scaled or saved anew, they count as one image."""

    @property
    def ids(self) -> frozenset[str]:
        """Its id and those of its copies."""
        return frozenset((self.image_id, *self.copies))

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
    """Image ids in the order shown to the model, for each question."""
    answers: tuple[str, ...] = ()
    """The model's verbatim answer to each question."""
    choice: str | None = None
    """Image id that the selector prefers, None if nothing fits."""
    by: Literal["pixels", "captions", "similarity", "person", "generator"]
    """The basis of the choice: a model that saw the images, one that read their captions, retrieval alone, a person; or
    a generated image, because nothing fitted."""
    confidence: float = Field(default=0.5, ge=0, le=1)
    """1 if two answers in different orders agreed, lower if they did not."""
    placed: str | None = None
    """Image id that `arrange` kept at this spot, None if it kept none."""
    instead_of: str | None = None
    """If a person chose (`by`): the image id that limner would have placed, or None."""
    why: Note = Note("")
    """Why the choice was or was not placed; one line."""
    fallback: Note = Note("")
    """The fallback and its reason, one line; empty without one."""


class Article(Value):
    """Text and images interleaved.

    `lead + "".join(block.text + block.gap)` is the text's Markdown, exactly.
    """

    title: str
    language: str = "en"
    author: str = ""
    """The author from the front matter; several are joined by ", "."""
    date: str = ""
    """The date from the front matter; ISO 8601 if it can be read."""
    shows: tuple[str, ...] = ()
    """Ids of the images that a draft's own text shows, whole or their first eight characters, and their looks
    ("look:" and 16 x 16 fields in base64); neither they nor their copies are placed."""
    lead: str = ""
    """The source before the first block: front matter, link definitions, blank lines."""
    body: tuple[Block, ...] = ()
    illustrations: tuple[Illustration, ...] = ()
    selections: tuple[Selection, ...] = ()
    locked: tuple[str, ...] = ()
    """Ids of blocks and illustrations that nothing may change."""
    notes: tuple[Note, ...] = ()
    """Notes for the reader: every fallback, one line each."""
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

    @property
    def before_figures(self) -> frozenset[str]:
        """Ids of the paragraphs that an image of the draft's own follows: there is no room for another."""
        pairs = pairwise(self.body)
        return frozenset(a.id for a, b in pairs if isinstance(b, Verbatim) and blocks.is_figure(b.text))

    @property
    def only(self) -> tuple[str, ...]:
        """The filters that its images were chosen by, as its record has them."""
        known = self.made_with.get("only")
        return tuple(map(str, known)) if isinstance(known, list | tuple) else ()

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
        """Text and images in the reading order that selector, exporters and pages share."""
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
        new = tuple(Note.read(n) for n in dict.fromkeys(notes) if n and n not in self.notes)
        return self.model_copy(update={"notes": self.notes + new})


# --- Markdown to blocks and back -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def markdown() -> MarkdownIt:
    """The CommonMark parser (with tables) that cuts articles into blocks and renders them.

    Its output cannot run: raw HTML is escaped, an image in the text becomes its alternative text (only limner adds
    images), and the parser refuses javascript: and data: targets.
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


def read_markdown(source: str, *, title: str = "", language: str = "") -> Article:
    """Cut Markdown of any dialect into an Article whose `source` is exactly what came in.

    Parts that a dialect keeps together form one block (see limner.markdown). Title and language come from the
    arguments, else from the front matter; then the title is the first heading of level 1, else the first heading, else
    the first words, and the language is English.
    """
    front = front_matter.read(source)
    cuts = blocks.cut(source, front.end)
    ends = [*(cut.start for cut in cuts[1:]), len(source)][: len(cuts)]
    body: list[Heading | Paragraph | Verbatim] = []
    for n, (cut, after) in enumerate(zip(cuts, ends, strict=True), 1):
        block_id, text, gap = f"b{n}", source[cut.start : cut.end], source[cut.end : after]
        if cut.kind == "heading":
            body.append(Heading(id=block_id, text=text, gap=gap, level=cut.level))
        else:
            kind = Paragraph if cut.kind == "paragraph" else Verbatim
            body.append(kind(id=block_id, text=text, gap=gap))
    return Article(
        title=title or front.title or _title(body),
        language=language or front.language or "en",
        author=front.author,
        date=front.date,
        lead=source[: cuts[0].start] if cuts else source,
        body=tuple(body),
    )


def _title(body: Sequence[Heading | Paragraph | Verbatim]) -> str:
    headings = sorted((b for b in body if isinstance(b, Heading)), key=lambda h: h.level != 1)
    title = next((h.plain for h in headings if h.plain), "")
    return title or next((" ".join(b.plain.split()[:8]) for b in body if b.plain), "")


@lru_cache(maxsize=4096)
def plain_text(text: str) -> str:
    """Markdown without its marks: words, links' labels and code spans.

    Images, HTML tags, footnotes and a dialect's marks of a block (`:::`, shortcodes) are left out.
    """
    words: list[str] = []
    for token in markdown().parse(blocks.running_text(text), {}):
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
    """Id of the illustration at a spot (see tools/illustrate.py)."""
    return f"f-{spot_id}"
