"""Response models about revising, and how an article becomes one."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import nh3
from pydantic import ConfigDict, Field

from limner.document import Article, Illustration, markdown
from limner.jobs.history.versions import By, Head, Version
from limner.surfaces.http.views import View
from limner.tools.editing.commands import MAX_EDITS, Edit, Wish
from limner.tools.export import block_html

SHOWN, THUMBNAIL = 1024, 256  # px of the longer side

# --- the article ---------------------------------------------------------------------------------------------------


class TextBlock(View):
    """A block of text."""

    type: Literal["text"] = "text"
    id: str
    kind: Literal["heading", "paragraph", "verbatim"]
    """Images stand after paragraphs only."""
    level: int | None
    """1 to 6; null for what is no heading."""
    text: str
    """Markdown, as it stands in the article."""
    html: str
    """The same, safe to show."""
    locked: bool


class ImageBlock(View):
    """An image at its place."""

    type: Literal["image"] = "image"
    id: str
    after: str
    """Id of the paragraph that it stands after."""
    image_id: str
    library: str
    caption: str
    alt: str
    credit: str
    licence: str
    width: int
    """px, of the file."""
    height: int
    crop: tuple[float, float, float, float] | None
    """Left, top, width and height of what is shown, as fractions of the image; null shows all of it."""
    locked: bool
    src: str
    """Where the image is, at most about 1024 px wide and high; all of it, also where it is cropped."""
    thumbnail: str
    """The same at 256 px."""


Block = Annotated[TextBlock | ImageBlock, Field(discriminator="type")]


class Preview(View):
    """An article in reading order."""

    title: str
    language: str
    blocks: list[Block]


class Revision(Preview):
    """An article as it is, or was, at a version."""

    job: str
    version: int
    """The version that is shown; a change names it."""
    head: int
    """The version that the article is at."""
    can_undo: bool
    can_redo: bool
    who: str
    """Who made this version."""
    what: str
    """What was done, in one line."""
    code: str
    """The same for programs; "" where a person or a model said it."""
    params: dict[str, Any]
    """What `what` is about, by name."""
    at: float
    """When, in seconds since 1970."""


class VersionList(View):
    """The history of an article, as a tree."""

    head: int
    """The version that it is at."""
    versions: list[Version]
    """Oldest first."""


# --- what is asked for ---------------------------------------------------------------------------------------------

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
    """The version that they were made for."""
    edits: Annotated[list[Edit], Field(max_length=MAX_EDITS)]
    """Applied in order, all of them or none; none at all says that the article is good as it is."""
    merge: bool = False
    """Apply them to a newer version, if nothing that they touch was changed since."""
    what: Annotated[str | None, Field(max_length=300)] = None
    """What is done, for the history; none words it by the edits."""
    typing: bool = False
    """They save what is still being typed in one block: such saves of one person within five minutes, with nothing
    between them, are one step of the history."""
    by: By = "person"
    """model: they are the edits of a proposal, for the history."""


class At_(View):
    """The version that was seen."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 2}]})

    version: At


class GoRequest(At_):
    """Where to go."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": 3, "to": 1}]})

    to: At
    """Number of a version."""


class ProposalRequest(At_):
    """A wish."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"version": 1, "wish": {"wish": "shorten", "block": "b2", "instruction": "one sentence"}}]
        },
    )

    wish: Wish


class ProposalView(View):
    """What a model would do about a wish. Nothing is changed: POST …/edits with these edits does it."""

    version: int
    edits: list[Edit]
    says: str
    """What was understood, and what could not be done."""
    spent: int
    """Tokens."""
    preview: Preview
    """The article after the edits."""


class CandidateView(View):
    """An image that could stand at a place."""

    image_id: str
    library: str
    score: float
    """Higher fits better; comparable within this answer."""
    caption: str
    alt: str
    credit: str
    licence: str
    width: int
    height: int
    thumbnail: str
    chosen: bool
    """Whether the article has it now."""
    why: str
    """Why it was or was not taken, where that was recorded."""
    code: str
    """The same for programs; "" where nothing was recorded."""
    params: dict[str, Any]
    """What `why` is about, by name."""
    file: str
    """The name of its file."""


class CandidateList(View):
    """Images, best first."""

    candidates: list[CandidateView]


class OwnImage(View):
    """An image that was uploaded; `place_image` and `swap_image` take its ids."""

    image_id: str
    library: str
    caption: str
    alt: str
    credit: str
    licence: str
    width: int
    height: int
    thumbnail: str


class StepPlan(View):
    """What a step would take."""

    name: str
    calls: int
    """Of a model, about."""
    tokens: int
    """Prompts and completions, about."""
    seconds: float | None
    """By the mean of the jobs before; null where nothing is known."""
    line: str
    """The same as a line for people."""
    code: str
    """The name of the sentence in `line`, for programs."""
    params: dict[str, Any]
    """What `line` is about, by name."""


class Plan(View):
    """What a job would take, before it is submitted."""

    steps: list[StepPlan]
    tokens: int
    seconds: float | None
    """Null where the time of a step is not known."""
    left_today: int | None
    """Tokens that you may still spend today; null is no limit."""


# --- from an article -----------------------------------------------------------------------------------------------


def revision(job: str, head: Head, *, at: tuple[Version, Article] | None = None) -> Revision:
    """An article as it is; at: as it was at another version."""
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
        **_preview(job, article, {i.image_id for i in head.article.illustrations}),
    )


def preview(job: str, article: Article, head: Article) -> Preview:
    """An article as it would be. head: as it is."""
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
    """Where an image of a library is."""
    base = f"/v1/libraries/{quote(library, safe='')}/images/{quote(image_id, safe='')}"
    return f"{base}?{urlencode(query)}" if query else base


_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:", re.MULTILINE)
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_HEADINGS = {f"h{n}" for n in range(1, 7)}
_BLOCKS = {"blockquote", "hr", "li", "ol", "p", "pre", "table", "tbody", "td", "th", "thead", "tr", "ul"}
_INLINE = {"a", "br", "code", "del", "em", "s", "strong"}
_TAGS = {*_HEADINGS, *_BLOCKS, *_INLINE}
_CLASSES = {name: {"left", "right", "center"} for name in ("td", "th")}


def _references(source: str) -> str:
    """The link definitions of a text as JSON, "" for none; looked for only where there can be some."""
    if not _DEFINITION.search(source):
        return ""
    env: dict[str, Any] = {}
    markdown().parse(source, env)
    return json.dumps(env.get("references", {}), sort_keys=True)


@lru_cache(maxsize=8192)
def _safe(text: str, references: str) -> str:
    """A block as HTML. What renders it lets nothing through that runs; a sanitiser looks at it once more."""
    env = {"references": json.loads(references)} if references else {}
    return nh3.clean(
        block_html(text, env),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
