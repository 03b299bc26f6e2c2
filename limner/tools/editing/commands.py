"""The edits that a person may make, each a typed command.

Commands are small JSON values, shared by the studio, the shell, HTTP, chatbots and models. A request to a model
(`Instruction`) first becomes such commands, so that every change to an article can be shown before it is applied, and
undone afterwards.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limner.document import Selection, Value

MAX_EDITS = 500  # commands per step
MAX_TEXT = 100_000  # characters per block
Fraction = Annotated[float, Field(ge=0, le=1)]
Id = Annotated[str, Field(max_length=80)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Line = Annotated[str, Field(max_length=2_000)]

# --- text ----------------------------------------------------------------------------------------------------------


class SetTitle(Value):
    """Call the article something else; a first heading that says the same is changed with it."""

    do: Literal["set_title"] = "set_title"
    title: Line


class SetLanguage(Value):
    """Say which language the article is in; the text stays as it is."""

    do: Literal["set_language"] = "set_language"
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35)]
    """BCP 47, e.g. "de"."""


class SetText(Value):
    """Replace a block's Markdown. Text of several blocks becomes several; the first keeps the id."""

    do: Literal["set_text"] = "set_text"
    block: Id
    text: Text


class InsertText(Value):
    """New Markdown after a block, as one or more blocks."""

    do: Literal["insert_text"] = "insert_text"
    after: Id | None
    """None: at the beginning."""
    text: Text


class DeleteBlock(Value):
    """Take a block away. Images after it move to the paragraph before (or after) it."""

    do: Literal["delete_block"] = "delete_block"
    block: Id


class MoveBlock(Value):
    """Put a block, with its images, elsewhere."""

    do: Literal["move_block"] = "move_block"
    block: Id
    after: Id | None
    """None: at the beginning."""


class MergeBlocks(Value):
    """Join a block with the one that follows it; their images stand after the joined one."""

    do: Literal["merge_blocks"] = "merge_blocks"
    block: Id


class SplitBlock(Value):
    """Cut a block in two. Its images stand after the second part."""

    do: Literal["split_block"] = "split_block"
    block: Id
    at: Annotated[int, Field(ge=1)]
    """Characters of the block's Markdown before the cut."""


# --- images --------------------------------------------------------------------------------------------------------


class PlaceImage(Value):
    """Put an image of a library after a paragraph. What is None comes from the library."""

    do: Literal["place_image"] = "place_image"
    after: Id
    image_id: Id
    library: Id
    caption: Line | None = None
    alt: Line | None = None
    chosen: Selection | None = None
    """What it was chosen from, where a selector did; kept with the article's other choices."""


class SwapImage(Value):
    """Another image at the same place. What is None comes from the library; the crop is taken away."""

    do: Literal["swap_image"] = "swap_image"
    image: Id
    """Id of the illustration."""
    image_id: Id
    library: Id
    caption: Line | None = None
    alt: Line | None = None


class MoveImage(Value):
    """The same image after another paragraph."""

    do: Literal["move_image"] = "move_image"
    image: Id
    after: Id


class RemoveImage(Value):
    """Take an image out of the article."""

    do: Literal["remove_image"] = "remove_image"
    image: Id


class DescribeImage(Value):
    """Change an image's words. None leaves a field as it is."""

    do: Literal["describe_image"] = "describe_image"
    image: Id
    caption: Line | None = None
    alt: Line | None = None
    credit: Line | None = None
    translated: bool = False
    """Whether the new words only translate the old ones, so that machine-made ones stay marked."""


class CropImage(Value):
    """Show a part of the image only. The file stays whole."""

    do: Literal["crop_image"] = "crop_image"
    image: Id
    crop: tuple[Fraction, Fraction, Fraction, Fraction] | None
    """Left, top, width and height as fractions of the image; None shows all of it."""


# --- locks ---------------------------------------------------------------------------------------------------------


class Lock(Value):
    """Keep a block or an image as it is, whatever is asked for later, until it is unlocked."""

    do: Literal["lock"] = "lock"
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=1000)]


class Unlock(Value):
    """Let it be changed again."""

    do: Literal["unlock"] = "unlock"
    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=1000)]


Edit = Annotated[
    SetTitle
    | SetLanguage
    | SetText
    | InsertText
    | DeleteBlock
    | MoveBlock
    | MergeBlocks
    | SplitBlock
    | PlaceImage
    | SwapImage
    | MoveImage
    | RemoveImage
    | DescribeImage
    | CropImage
    | Lock
    | Unlock,
    Field(discriminator="do"),
]
"""One change."""

# --- instructions: what a model is asked to turn into edits --------------------------------------------------------


class Rewrite(Value):
    """Write a paragraph, or a part of it, otherwise."""

    do: Literal["rewrite", "expand", "shorten"] = "rewrite"
    block: Id
    instruction: Line = ""
    selection: tuple[int, int] | None = None
    """Only these characters of the block's Markdown, from and to."""


class WriteParagraph(Value):
    """A new paragraph beside a block."""

    do: Literal["write"] = "write"
    block: Id
    where: Literal["before", "after"] = "after"
    instruction: Line


class Restyle(Value):
    """The whole article in another tone."""

    do: Literal["restyle"] = "restyle"
    instruction: Line


class Translate(Value):
    """The whole article, captions and alternative texts included, in another language."""

    do: Literal["translate"] = "translate"
    language: Annotated[str, Field(max_length=35)]
    """BCP 47, e.g. "de"."""


class Regenerate(Value):
    """Everything that is not locked, anew."""

    do: Literal["regenerate"] = "regenerate"
    what: Literal["text", "images", "all"] = "all"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Instruct(Value):
    """Whatever is said, e.g. "make the introduction shorter and put a picture of the hive before the honey"."""

    do: Literal["instruct"] = "instruct"
    text: Annotated[str, Field(min_length=1, max_length=10_000)]


Instruction = Annotated[
    Rewrite | WriteParagraph | Restyle | Translate | Regenerate | Instruct, Field(discriminator="do")
]
"""Something a model is asked for."""


class Proposal(Value):
    """The edits that would fulfil an instruction. Nothing has been changed yet."""

    edits: tuple[Edit, ...]
    summary: str = ""
    """What was understood and what could not be done; one or two lines."""
    spent: int = 0
    """Tokens."""
