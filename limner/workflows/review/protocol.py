"""The questions and answers of review points: one schema for HTTP, MCP, the shell, the studio and Python.

`point` identifies a question, `type` an answer. A serialised question has the shape that agent-inbox renders, plus the
point, the version of the shown content, and the code of its description.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from limner.text import printable
from limner.tools.editing.commands import MAX_EDITS, MAX_TEXT, Edit
from limner.workflows.inputs import MAX_IMAGES
from limner.workflows.review.unchecked import Unchecked

MAX_SAID = 10_000  # characters of a free instruction
MAX_OUTLINE = 20_000  # characters
MAX_WHOLE = 800_000  # characters of a retyped article, as many as a draft may have
ROWS = 2 * MAX_IMAGES  # spots, and choices of images
VERSION = "3f0c2a9d5b7e1146"  # of the examples
EDIT_KINDS: tuple[str, ...] = tuple(kind.model_fields["do"].default for kind in get_args(get_args(Edit)[0]))


class Part(BaseModel):
    """A part of a question or an answer. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Given(Part):
    """A part of an answer. The error for an unknown field lists the known ones."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, given: Any) -> Any:
        names = given if isinstance(given, Mapping) else ()
        if unknown := sorted(str(name) for name in names if name not in cls.model_fields):
            raise ValueError(f"unknown field {unknown[0][:40]!r}. It may have: {', '.join(cls.model_fields)}")
        return given


# --- the shown content
# -------------------------------------------------------------------------------------------------


class ShownBlock(Part):
    """A block of the text."""

    id: str
    kind: Literal["heading", "paragraph", "verbatim"]
    text: str
    """Markdown."""


class ShownParagraph(Part):
    """A paragraph that an image can follow."""

    id: str
    text: str
    """Its beginning, without Markdown."""


class ShownSpot(Part):
    """A place for an image."""

    id: str
    after: str
    """Id of the paragraph before the image."""
    caption: str
    search: str
    """The query for the library, in English."""


class ShownCandidate(Part):
    """A candidate for a place."""

    image_id: str
    library: str
    caption: str
    credit: str
    licence: str
    width: int
    """px."""
    height: int


class ShownChoice(Part):
    """The image at a place, and its candidates."""

    spot: str
    after: str
    caption: str
    chosen: str | None
    """Id of the image for this place; null for none."""
    generated: str | None = None
    """The same id if a plug-in generated the image; else missing."""
    why: str
    code: str
    """Code of `why`."""
    params: dict[str, Any]
    candidates: list[ShownCandidate]


class ShownFigure(Part):
    """An image in the article."""

    id: str
    after: str
    image_id: str
    library: str
    caption: str
    alt: str
    credit: str
    licence: str


class ShownOutline(Part):
    """At `outline`."""

    outline: str
    """Markdown headings and lists."""


class ShownDraft(Part):
    """At `draft`."""

    title: str
    language: str
    text: str
    """The whole text as Markdown."""
    blocks: list[ShownBlock]


class ShownSpots(Part):
    """At `spots`."""

    spots: list[ShownSpot]
    paragraphs: list[ShownParagraph]


class ShownImages(Part):
    """At `images`."""

    images: list[ShownChoice]


class ShownFinal(ShownDraft):
    """At `final`."""

    images: list[ShownFigure]


class ShownEdits(Part):
    """The proposal of a revision."""

    edits: list[Edit]
    summary: str
    """The model's remarks, and notes on changes that could not be made."""


# --- questions -----------------------------------------------------------------------------------------------------

Shown = TypeVar("Shown", bound=Part)


class Action(Part, Generic[Shown]):
    """The action and its content, in the form that agent-inbox renders."""

    action: str
    args: Shown


class Allowed(Part):
    """The allowed types of answers."""

    allow_accept: bool
    allow_edit: bool
    allow_respond: bool
    """Whether a model can follow an instruction here."""
    allow_ignore: bool


class _Question(Part):
    model_config = ConfigDict(extra="allow")  # a LangGraph server adds action_requests and review_configs

    config: Allowed
    description: str
    """The question in words, after the result of the last answer."""
    code: str
    """Code of `description`."""
    params: dict[str, Any]
    version: str
    """The answer repeats it; it changes with the content."""


class OutlineQuestion(_Question):
    """The outline of the article before it is written."""

    point: Literal["outline"]
    action_request: Action[ShownOutline]


class DraftQuestion(_Question):
    """The text."""

    point: Literal["draft"]
    action_request: Action[ShownDraft]


class SpotsQuestion(_Question):
    """The places and captions of images."""

    point: Literal["spots"]
    action_request: Action[ShownSpots]


class ImagesQuestion(_Question):
    """The image at each place."""

    point: Literal["images"]
    action_request: Action[ShownImages]


class FinalQuestion(_Question):
    """Text and images together."""

    point: Literal["final"]
    action_request: Action[ShownFinal]


class EditsQuestion(_Question):
    """The changes of a proposed revision."""

    point: Literal["edits"]
    action_request: Action[ShownEdits]


Question = Annotated[
    OutlineQuestion | DraftQuestion | SpotsQuestion | ImagesQuestion | FinalQuestion | EditsQuestion,
    Field(discriminator="point"),
]
QUESTION: TypeAdapter[Any] = TypeAdapter(Question)

# --- edits ------------------------------------------------------------------------------------------


def _unfolded(value: Any) -> Any:
    """Read lists and objects that an inbox edited as JSON text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as e:
        raise ValueError(f"it is not JSON ({e}). Change what was shown, and keep its form") from e


def _printable(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _written(value: Any) -> Any:
    if isinstance(value, str) and not printable(value).strip():
        raise ValueError("it is empty. Write something, or accept what was shown")
    return _printable(value)


def _instruction(value: Any) -> Any:
    if not isinstance(value, str) or not printable(value).strip():
        raise ValueError(NEEDS["response"])
    return printable(value).strip()


Folded = BeforeValidator(_unfolded)
Written = BeforeValidator(_written)  # text that must not be empty
Words = Annotated[str, BeforeValidator(_printable), Field(max_length=2000)]
Edits = Annotated[list[Edit], Field(max_length=MAX_EDITS), Folded]


class NewBlock(Given):
    """A block of the new text; one without an id is new."""

    id: str | None = None
    kind: Any = None
    """Ignored: it follows from the text."""
    text: Annotated[str, BeforeValidator(_printable), Field(max_length=MAX_TEXT)]


class NewFigure(Given):
    """An image at its place; omitted fields stay."""

    id: str
    after: Annotated[str, Field(max_length=80)] | None = None
    image_id: Any = None
    library: Any = None
    licence: Any = None
    caption: Words | None = None
    alt: Words | None = None
    credit: Words | None = None


class NewSpot(Given):
    """A place for an image; one without an id is new."""

    id: str | None = None
    after: Annotated[str, Field(max_length=80)] | None = None
    caption: Annotated[str, Written, Field(max_length=500)] | None = None
    search: Annotated[str, BeforeValidator(_printable), Field(max_length=500)] | None = None


class NewChoice(Given):
    """The image for a place."""

    spot: str
    chosen: str | None = None
    """Id of a candidate; null for no image. If omitted, the place stays as it is."""
    after: Any = None
    caption: Any = None
    generated: Any = None
    why: Any = None
    code: Any = None
    params: Any = None
    candidates: Any = None


class OutlineChange(Given):
    """A changed outline."""

    outline: Annotated[str, Written, Field(max_length=MAX_OUTLINE)]


class DraftChange(Given):
    """Changed text: whole, by blocks, or by edits. Omitted fields stay."""

    edits: Edits | None = None
    title: Annotated[str, Written, Field(max_length=2000)] | None = None
    language: str | None = None
    text: Annotated[str, Written, Field(max_length=MAX_WHOLE)] | None = None
    blocks: Annotated[list[NewBlock], Field(max_length=5000), Folded] | None = None


class SpotsChange(Given):
    """Changed places. Omitted ones are removed."""

    spots: Annotated[list[NewSpot], Field(max_length=ROWS), Folded]
    paragraphs: Any = None


class ImagesChange(Given):
    """Changed images, by choices or by edits."""

    edits: Edits | None = None
    images: Annotated[list[NewChoice], Field(max_length=ROWS), Folded] | None = None


class FinalChange(DraftChange):
    """Changed text, captions and places of images. Omitted images are removed."""

    images: Annotated[list[NewFigure], Field(max_length=MAX_IMAGES), Folded] | None = None


class EditsChange(Given):
    """Changed edits instead of the proposed ones."""

    edits: Edits
    summary: Any = None


CHANGES: dict[str, type[Given]] = {
    "outline": OutlineChange,
    "draft": DraftChange,
    "spots": SpotsChange,
    "images": ImagesChange,
    "final": FinalChange,
    "edits": EditsChange,
}

Change = OutlineChange | DraftChange | SpotsChange | ImagesChange | FinalChange | EditsChange

# --- answers -------------------------------------------------------------------------------------------------------


AnswerType = Literal["accept", "edit", "response", "ignore"]
ANSWER_TYPES: tuple[AnswerType, ...] = get_args(AnswerType)
NEEDS = {
    "response": 'a "response" needs the change you want, as text in args',
    "edit": 'an "edit" needs {"action": "…", "args": …} in args: what was shown, changed',
}
"""The content of `args` for each type of answer."""


class Changed(Given):
    """The shown content, changed."""

    action: str | None = None
    """As in the question; optional."""
    args: Annotated[Change, Unchecked()]
    """As in the question, with changes; omitted fields stay. The question's point determines the type."""


class _Answer(Given):
    version: str | None = None
    """The question's version. A program that holds the question may omit it."""


def _examples(*rows: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [{**row, "version": VERSION} for row in rows]})


class AcceptAnswer(_Answer):
    """Go on with it."""

    model_config = _examples({"type": "accept"})

    type: Literal["accept"]
    args: Any = None
    """Not read."""


class IgnoreAnswer(_Answer):
    """Continue unchanged; a revision leaves the article as it was."""

    model_config = _examples({"type": "ignore"})

    type: Literal["ignore"]
    args: Any = None
    """Not read."""


class ResponseAnswer(_Answer):
    """The change in words: a model makes it, and you are asked again."""

    model_config = _examples({"type": "response", "args": "Say more about winter."})

    type: Literal["response"]
    args: Annotated[str, BeforeValidator(_instruction), Field(max_length=MAX_SAID)]


class EditAnswer(_Answer):
    """Continue with these changes."""

    model_config = _examples({"type": "edit", "args": {"action": "review_outline", "args": {"outline": "# Honey"}}})

    type: Literal["edit"]
    args: Changed


Answer = Annotated[AcceptAnswer | EditAnswer | ResponseAnswer | IgnoreAnswer, Field(discriminator="type")]
ANSWER: TypeAdapter[AcceptAnswer | EditAnswer | ResponseAnswer | IgnoreAnswer] = TypeAdapter(Answer)
