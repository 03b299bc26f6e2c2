"""Response models of revising, and functions that make them from articles."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import nh3
from pydantic import ConfigDict, Field

from limner.document import Article, Illustration, markdown
from limner.exports import block_html
from limner.jobs.history.versions import By, Head, Version
from limner.notes import Note
from limner.surfaces.http.views import ImageView, View
from limner.tools.editing.commands import MAX_EDITS, Edit, Instruction
from limner.tools.library import Record

SHOWN, THUMBNAIL = 1024, 256  # px of the longer side

# --- the article ---------------------------------------------------------------------------------------------------


class TextBlock(View):
    """A block of text."""

    type: Literal["text"] = "text"
    id: str
    kind: Literal["heading", "paragraph", "verbatim"]
    """Images stand after paragraphs only."""
    level: int | None
    """1 to 6; null unless a heading."""
    text: str
    """Markdown, as in the article."""
    html: str
    """The same as sanitised HTML."""
    locked: bool


class ImageBlock(ImageView):
    """An image at its place."""

    type: Literal["image"] = "image"
    id: str
    after: str
    """Id of the paragraph before it."""
    crop: tuple[float, float, float, float] | None
    """Left, top, width and height of the shown part, as fractions of the image; null shows all of it."""
    locked: bool
    src: str
    """Address of the whole image, uncropped, at most about 1024 px wide and high."""


Block = Annotated[TextBlock | ImageBlock, Field(discriminator="type")]


class Preview(View):
    """An article in reading order."""

    title: str
    language: str
    blocks: list[Block]


class Revision(Preview):
    """An article at a version."""

    job: str
    version: int
    """The shown version; a change names it."""
    head: int
    """The article's current version."""
    can_undo: bool
    can_redo: bool
    who: str
    """Who made this version."""
    what: str
    """The change, in one line."""
    code: str
    """Code of `what`, for programs; "" if a person or a model worded it."""
    params: dict[str, Any]
    """Parameters of `what`, by name."""
    at: float
    """When, in seconds since 1970."""
    notes: list[Note]
    """Notes on the article, such as on images before the end of their embargo."""


class VersionList(View):
    """The history of an article, as a tree."""

    head: int
    """The current version."""
    versions: list[Version]
    """Oldest first."""


# --- requests ---------------------------------------------------------------------------------------------

At = Annotated[int, Field(ge=1, le=2**31 - 1)]


class EditsRequest(View):
    """Changes to an article."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"version": 1, "edits": [{"do": "set_text", "block": "b2", "text": "Bees gather nectar."}]},
                {"version": 2, "edits": [{"do": "lock", "ids": ["b2"]}, {"do": "remove_image", "image": "f-s1"}]},
            ]
        },
    )

    version: At
    """The version that the edits were made for."""
    edits: Annotated[list[Edit], Field(max_length=MAX_EDITS)]
    """Applied in order, all or none; an empty list accepts the article as it is."""
    merge: bool = False
    """Apply them to a newer version if nothing that they touch has changed since."""
    what: Annotated[str | None, Field(max_length=300)] = None
    """Description for the history; null derives it from the edits."""
    typing: bool = False
    """Somebody is still typing in one block. Such saves by one person within five minutes, with nothing between them,
    are one step of the history."""
    by: By = "person"
    """"model" marks the edits of a proposal in the history."""


class At_(View):
    """The version that the caller saw."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 2}]})

    version: At


class GoRequest(At_):
    """Where to go."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 3, "to": 1}]})

    to: At
    """Number of a version."""


class ProposalRequest(At_):
    """An instruction."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"version": 1, "instruction": {"do": "shorten", "block": "b2", "instruction": "one sentence"}}]
        },
    )

    instruction: Instruction


class ProposalView(View):
    """A model's proposal for an instruction. It changes nothing; send its edits to POST …/edits."""

    version: int
    edits: list[Edit]
    summary: str
    """What the model understood, and what it could not do."""
    spent: int
    """Tokens."""
    preview: Preview
    """The article after the edits."""


class CandidateView(ImageView):
    """A candidate for a place."""

    score: float
    """Higher is better; comparable within this answer."""
    copies: list[str]
    """Ids of the library's near-copies of it, best first; they count as one image with it."""
    chosen: bool
    """Whether the article shows it now, or a near-copy of it."""
    why: str
    """Why it was or was not chosen, if recorded."""
    code: str
    """Code of `why`, for programs; "" if nothing was recorded."""
    params: dict[str, Any]
    """Parameters of `why`, by name."""
    file: str
    """The name of its file."""


class CandidateList(View):
    """Candidates, best first."""

    candidates: list[CandidateView]


class OwnImage(ImageView):
    """An uploaded image; `place_image` and `swap_image` take its ids."""


class StepPlan(View):
    """The estimate of one step."""

    name: str
    calls: int
    """Model calls, estimated."""
    tokens: int
    """Tokens of prompts and completions, estimated."""
    cost: float | None
    """US dollars, estimated as if no cache helped; null if the price is unknown."""
    seconds: float | None
    """Mean of earlier jobs; null without data."""
    line: str
    """The same as a line for people."""
    code: str
    """Code of `line`, for programs."""
    params: dict[str, Any]
    """Parameters of `line`, by name."""


class Plan(View):
    """The estimate of a job before it is submitted."""

    steps: list[StepPlan]
    tokens: int
    cost: float | None
    """US dollars, estimated; null if the price of a step is unknown."""
    seconds: float | None
    """Null if the time of a step is unknown."""
    left_today: int | None
    """Tokens that you may still spend today; null means no limit."""
    dollars_left_today: float | None
    """The same in US dollars."""


# --- from an article -----------------------------------------------------------------------------------------------


def revision(job: str, head: Head, *, at: tuple[Version, Article] | None = None) -> Revision:
    """The response for an article; at: another version than the current one."""
    version, article = at or (head.version, head.article)
    return Revision(
        job=job,
        version=version.number,
        head=head.version.number,
        can_undo=head.version.parent is not None,
        can_redo=head.redo is not None,
        who=version.who,
        what=version.what,
        code=version.code,
        params=version.params,
        at=version.at,
        notes=list(article.notes),
        **_preview(job, article, {i.image_id for i in head.article.illustrations}),
    )


def preview(job: str, article: Article, head: Article) -> Preview:
    """The response for an article after proposed edits. head: the current article."""
    return Preview(**_preview(job, article, {i.image_id for i in head.illustrations}))


def _preview(job: str, article: Article, there: set[str]) -> dict[str, Any]:
    references = _references(article.source)
    blocks: list[TextBlock | ImageBlock] = []
    for block in article.blocks():
        locked = block.id in article.locked
        if isinstance(block, Illustration):
            blocks.append(_image(job, block, locked, block.image_id in there))
        else:
            safe, level = _safe(block.text, references), getattr(block, "level", None)
            text = block.text.encode("utf-8", "replace").decode()
            shown = TextBlock(id=block.id, kind=block.kind, level=level, text=text, html=safe, locked=locked)
            blocks.append(shown)
    return {"title": article.title, "language": article.language, "blocks": blocks}


def _image(job: str, i: Illustration, locked: bool, in_head: bool) -> ImageBlock:
    if in_head or not i.library:
        base = f"/v1/jobs/{quote(job, safe='')}/images/{quote(i.image_id, safe='')}"
    else:
        base = in_library(i.library, i.image_id)
    fields = i.model_dump(exclude={"file"})
    return ImageBlock(**fields, locked=locked, src=f"{base}?side={SHOWN}", thumbnail=f"{base}?side={THUMBNAIL}")


def in_library(library: str, image_id: str, **query: int) -> str:
    """Address of a library's image."""
    base = f"/v1/libraries/{quote(library, safe='')}/images/{quote(image_id, safe='')}"
    return f"{base}?{urlencode(query)}" if query else base


def recorded(library: str, record: Record) -> dict[str, Any]:
    """The fields of `ImageView` for a library's record of an image."""
    names = ("caption", "alt", "credit", "licence", "width", "height", "machine_made")
    words = {name: getattr(record, name) for name in names}
    return {
        "image_id": record.id,
        "library": library,
        **words,
        "thumbnail": in_library(library, record.id, side=THUMBNAIL),
    }


_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:", re.MULTILINE)
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_HEADINGS = {f"h{n}" for n in range(1, 7)}
_BLOCKS = {"blockquote", "hr", "li", "ol", "p", "pre", "table", "tbody", "td", "th", "thead", "tr", "ul"}
_INLINE = {"a", "br", "code", "del", "em", "s", "strong"}
_TAGS = {*_HEADINGS, *_BLOCKS, *_INLINE}
_CLASSES = {name: {"left", "right", "center"} for name in ("td", "th")}


def _references(source: str) -> str:
    """The link definitions of a text as JSON, "" for none; parses only texts that may have some."""
    if not _DEFINITION.search(source):
        return ""
    env: dict[str, Any] = {}
    markdown().parse(source, env)
    return json.dumps(env.get("references", {}), sort_keys=True)


@lru_cache(maxsize=8192)
def _safe(text: str, references: str) -> str:
    """A block as HTML. The renderer passes no active content, and a sanitiser checks the result again."""
    env = {"references": json.loads(references)} if references else {}
    return nh3.clean(
        block_html(text, env),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
