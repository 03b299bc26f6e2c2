"""Apply edits: from an Article and commands to the changed Article, without a model or files.

Notable choices:

- Parts that an edit does not name stay byte for byte. Only new neighbours get enough blank lines between them; link
  definitions between blocks are never lost.
- New text is split like any other Markdown; its first block keeps the id of the replaced block. New ids are digests of
  their origin, so the same edits of the same article give the same article.
- A locked block keeps its id and text, a locked image all its fields; edits that would change one are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, get_args

from limner.document import Article, Illustration, Paragraph, Selection
from limner.errors import EditRefused, LimnerError
from limner.notes import note
from limner.text import one_line
from limner.tools.editing import commands as e
from limner.tools.editing.blocks import AnyBlock, changed, check_size, newline_of, replaced, with_body
from limner.tools.editing.fragment import MARK, fragment, ids_of, joined, last_paragraph, new_ids, title_heading
from limner.tools.generate import labelled
from limner.tools.images.facts import Facts, in_time, now

MIN_CROP = 0.01  # share of the width or height; a smaller crop is a slip of the mouse


OUTSIDE = "placed-outside-time"
"""Code of the note on images outside their time."""
DOUBT = "picture-contradicts"
"""Code of the note on a picture that, a model says, does not show what its place wants; `id` names the picture."""


class ImageRecord(Protocol):
    """A library's record of an image."""

    @property
    def caption(self) -> str: ...
    @property
    def alt(self) -> str: ...
    @property
    def credit(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def machine_made(self) -> Sequence[Literal["caption", "alt"]]: ...
    @property
    def facts(self) -> Facts: ...


ImageOf = Callable[[str, str], ImageRecord]
"""(library, image id) -> its record. Raises a LimnerError for an unknown image."""


def edited(article: Article, edits: Sequence[e.Edit], image_of: ImageOf) -> Article:
    """Apply edits, all or none.

    Raises EditRefused, whose one line says which edit cannot be made and why; and what `image_of` raises.
    """
    if len(edits) > e.MAX_EDITS:
        raise EditRefused(f"{len(edits)} edits are more than the {e.MAX_EDITS} of one step. Send them in several.")
    before = article
    for number, edit in enumerate(edits, 1):
        try:
            after: Article = _DO[edit.do](article, edit, image_of)
            _check_locks(article, after, edit)
            check_size(after)
        except EditRefused as error:
            if len(edits) == 1:
                raise
            raise EditRefused(note("edit-of", n=number, of=len(edits), do=edit.do, line=error.note)) from error
        article = after
    return _timed(_undoubted(before, article), edits, image_of)


def _undoubted(before: Article, after: Article) -> Article:
    """The changed article without doubts about pictures that are no longer there or were swapped."""
    now_there = {i.id: i.image_id for i in after.illustrations}
    gone = {i.id for i in before.illustrations if now_there.get(i.id) != i.image_id}
    left = tuple(one for one in after.notes if one.code != DOUBT or one.params.get("id") not in gone)
    return after if left == after.notes else after.model_copy(update={"notes": left})


def _timed(article: Article, edits: Sequence[e.Edit], image_of: ImageOf) -> Article:
    """The article with a note on its images that are before the end of their embargo or expired, where these edits
    changed its images: a person may place them all the same."""
    if not any(isinstance(one, e.PlaceImage | e.SwapImage | e.RemoveImage) for one in edits):
        return article
    n = 0 if "anytime=yes" in article.only else sum(_outside(i, image_of) for i in article.illustrations)
    left = tuple(one for one in article.notes if one.code != OUTSIDE)
    article = article if left == article.notes else article.model_copy(update={"notes": left})
    return article.noted(note(OUTSIDE, n=n)) if n else article


def _outside(image: Illustration, image_of: ImageOf) -> bool:
    try:
        return not in_time(image_of(image.library, image.image_id).facts, now())
    except LimnerError:  # of a library that is gone: nothing is known of its time
        return False


# --- text ----------------------------------------------------------------------------------------------------------


def _set_title(article: Article, edit: e.SetTitle, _: ImageOf) -> Article:
    title = one_line(edit.title)
    if not title:
        raise EditRefused(note("title-empty"))
    heading = title_heading(article)
    if heading is not None:
        _refuse_locked(article, heading.id)
        text = f"{'#' * heading.level} {MARK.sub(lambda m: chr(92) + m[0], title)}"
        renamed = heading.model_copy(update={"text": text})
        article = with_body(article, [renamed if b.id == heading.id else b for b in article.body])
    return changed(article, title=title)


def _set_language(article: Article, edit: e.SetLanguage, _: ImageOf) -> Article:
    return changed(article, language=edit.language)


def _set_text(article: Article, edit: e.SetText, _: ImageOf) -> Article:
    at, block = _block(article, edit.block)
    if edit.text == block.text:
        return article
    _refuse_locked(article, block.id)
    new = fragment(article, edit, edit.text, block)
    titled = title_heading(article)
    article = replaced(article, at, at + 1, new, {block.id: last_paragraph(new)})
    if titled is not None and titled.id == block.id and new[0].plain:
        article = changed(article, title=one_line(new[0].plain))
    return article


def _insert_text(article: Article, edit: e.InsertText, _: ImageOf) -> Article:
    at = 0 if edit.after is None else _block(article, edit.after)[0] + 1
    return replaced(article, at, at, fragment(article, edit, edit.text, None))


def _delete_block(article: Article, edit: e.DeleteBlock, _: ImageOf) -> Article:
    at, block = _block(article, edit.block)
    _refuse_locked(article, block.id)
    return replaced(article, at, at + 1, [], kept=block.gap)


def _move_block(article: Article, edit: e.MoveBlock, _: ImageOf) -> Article:
    block = _block(article, edit.block)[1]
    _refuse_locked(article, block.id)
    for image in article.illustrations:
        if image.after == block.id:
            _refuse_locked(article, image.id, "The image after it")
    if edit.after == block.id:
        raise EditRefused("A block cannot stand after itself. Name another one, or null for the beginning.")
    rest = [b for b in article.body if b.id != block.id]
    at = 0
    if edit.after is not None:
        _block(article, edit.after)
        at = 1 + next(n for n, b in enumerate(rest) if b.id == edit.after)
    return with_body(article, [*rest[:at], block, *rest[at:]])


def _merge_blocks(article: Article, edit: e.MergeBlocks, _: ImageOf) -> Article:
    at, first = _block(article, edit.block)
    if at + 1 == len(article.body):
        raise EditRefused(note("nothing-follows"))
    second = article.body[at + 1]
    _refuse_locked(article, first.id)
    _refuse_locked(article, second.id)
    new = fragment(article, edit, joined(first, second, newline_of(article)), first)
    last = last_paragraph(new)
    kept = new[-1].gap if new[-1].gap.strip() else ""
    new[-1] = new[-1].model_copy(update={"gap": kept + second.gap})
    return replaced(article, at, at + 2, new, {first.id: last, second.id: last})


def _split_block(article: Article, edit: e.SplitBlock, _: ImageOf) -> Article:
    at, block = _block(article, edit.block)
    _refuse_locked(article, block.id)
    if edit.at >= len(block.text):
        raise EditRefused(f"The block has {len(block.text)} characters; cut it before the last of them.")
    halves = block.text[: edit.at].rstrip(), block.text[edit.at :].lstrip()
    if not all(halves):
        raise EditRefused(note("part-empty"))
    new = fragment(article, edit, halves[0], block.model_copy(update={"gap": newline_of(article) * 2}))
    rest = fragment(article, edit, halves[1], block, taken=[b.id for b in new])
    (other,) = new_ids(article, edit, 1, taken=[b.id for b in (*new, *rest)])
    new += [rest[0].model_copy(update={"id": other}), *rest[1:]]
    return replaced(article, at, at + 1, new, {block.id: last_paragraph(new)})


# --- images --------------------------------------------------------------------------------------------------------


def _place_image(article: Article, edit: e.PlaceImage, image_of: ImageOf) -> Article:
    _paragraph(article, edit.after)
    _refuse_twice(article, edit.image_id)
    (new_id,) = new_ids(article, edit, 1, prefix="f-i" if edit.chosen else "i")
    image = Illustration(id=new_id, after=edit.after, **_of_library(edit, image_of))
    if edit.chosen:
        article = _recorded(article, edit.chosen, image)
    return article.illustrated([*article.illustrations, image])


def _recorded(article: Article, chosen: Selection, image: Illustration) -> Article:
    """The article with the record of a choice, under the spot of its illustration."""
    spot = chosen.spot.model_copy(update={"id": image.id.removeprefix("f-"), "after": image.after})
    record = chosen.model_copy(update={"spot": spot, "placed": image.image_id})
    return article.model_copy(update={"selections": (*article.selections, record)})


def _swap_image(article: Article, edit: e.SwapImage, image_of: ImageOf) -> Article:
    image = _image(article, edit.image)
    _refuse_locked(article, image.id)
    if edit.image_id != image.image_id:
        _refuse_twice(article, edit.image_id)
    return _with_image(article, Illustration(id=image.id, after=image.after, **_of_library(edit, image_of)))


def _move_image(article: Article, edit: e.MoveImage, _: ImageOf) -> Article:
    image = _image(article, edit.image)
    _refuse_locked(article, image.id)
    _paragraph(article, edit.after)
    others = [i for i in article.illustrations if i.id != image.id]
    return article.illustrated([*others, image.model_copy(update={"after": edit.after})])


def _remove_image(article: Article, edit: e.RemoveImage, _: ImageOf) -> Article:
    image = _image(article, edit.image)
    _refuse_locked(article, image.id)
    return article.illustrated(i for i in article.illustrations if i.id != image.id)


def _describe_image(article: Article, edit: e.DescribeImage, _: ImageOf) -> Article:
    image = _image(article, edit.image)
    _refuse_locked(article, image.id)
    given = {"caption": edit.caption, "alt": edit.alt, "credit": edit.credit}
    words = {k: one_line(v) for k, v in given.items() if v is not None}
    theirs = {k for k, v in words.items() if v != getattr(image, k) and not (edit.translated and v)}
    made = tuple(k for k in image.machine_made if k not in theirs)
    new = image.model_copy(update={**words, "machine_made": made})
    return _with_image(article, labelled(new, article.language))


def _crop_image(article: Article, edit: e.CropImage, _: ImageOf) -> Article:
    image = _image(article, edit.image)
    _refuse_locked(article, image.id)
    crop = edit.crop
    if crop is not None:
        left, top, width, height = crop
        if width < MIN_CROP or height < MIN_CROP or left + width > 1 + 1e-6 or top + height > 1 + 1e-6:
            raise EditRefused("The part does not lie in the image. Give left, top, width, height, each 0 to 1.")
        crop = None if crop == (0, 0, 1, 1) else crop
    return _with_image(article, image.model_copy(update={"crop": crop}))


# --- locks ---------------------------------------------------------------------------------------------------------


def _lock(article: Article, edit: e.Lock, _: ImageOf) -> Article:
    for one in edit.ids:
        if one not in ids_of(article):
            raise EditRefused(f"There is no block or image {one[:40]!r} to lock. Show the article again.")
    return changed(article, locked=tuple(dict.fromkeys([*article.locked, *edit.ids])))


def _unlock(article: Article, edit: e.Unlock, _: ImageOf) -> Article:
    for one in edit.ids:
        if one not in ids_of(article):
            raise EditRefused(f"There is no block or image {one[:40]!r} to unlock. Show the article again.")
    return changed(article, locked=tuple(i for i in article.locked if i not in edit.ids))


_DO: dict[str, Callable[[Article, Any, ImageOf], Article]] = {
    "set_title": _set_title,
    "set_language": _set_language,
    "set_text": _set_text,
    "insert_text": _insert_text,
    "delete_block": _delete_block,
    "move_block": _move_block,
    "merge_blocks": _merge_blocks,
    "split_block": _split_block,
    "place_image": _place_image,
    "swap_image": _swap_image,
    "move_image": _move_image,
    "remove_image": _remove_image,
    "describe_image": _describe_image,
    "crop_image": _crop_image,
    "lock": _lock,
    "unlock": _unlock,
}
COMMANDS = tuple(kind.model_fields["do"].default for kind in get_args(get_args(e.Edit)[0]))


def touched(edit: e.Edit) -> frozenset[str]:
    """Ids of the blocks and images that an edit names, which must be as its author saw them."""
    named = [getattr(edit, name, None) for name in ("block", "image", "after")]
    return frozenset(i for i in [*named, *getattr(edit, "ids", ())] if i is not None)


# --- refusals -------------------------------------------------------------------------------------------------


def _block(article: Article, block_id: str) -> tuple[int, AnyBlock]:
    for n, block in enumerate(article.body):
        if block.id == block_id:
            return n, block
    raise EditRefused(note("no-block", id=block_id[:40]))


def _paragraph(article: Article, block_id: str) -> Paragraph:
    _, block = _block(article, block_id)
    if not isinstance(block, Paragraph):
        raise EditRefused(f"Block {block_id[:40]!r} is a {block.kind}: an image stands after a paragraph. Name one.")
    return block


def _image(article: Article, image: str) -> Illustration:
    for found in article.illustrations:
        if found.id == image:
            return found
    raise EditRefused(note("no-image", id=image[:40]))


def _refuse_locked(article: Article, one: str, what: str = "") -> None:
    if one in article.locked:
        raise EditRefused(f"{what or 'The part that this would change'} is locked ({one[:40]}). Unlock it first.")


def _refuse_twice(article: Article, image_id: str) -> None:
    if any(i.image_id == image_id for i in article.illustrations):
        raise EditRefused(note("image-there"))


def _check_locks(before: Article, after: Article, edit: e.Edit) -> None:
    """Refuse edits that change something locked indirectly, e.g. the paragraph before a locked image."""
    if not before.locked or before is after:
        return
    blocks = {b.id: (b.kind, b.text) for b in after.body}
    images = {i.id: i for i in after.illustrations}
    for block in before.body:
        if block.id in before.locked and blocks.get(block.id) != (block.kind, block.text):
            raise EditRefused(note("block-locked", id=block.id[:40]))
    for image in before.illustrations:
        if image.id in before.locked and images.get(image.id) != image:
            raise EditRefused(note("image-locked", id=image.id[:40]))


# --- records of images ----------------------------------------------------------------------------------------------


def _of_library(edit: e.PlaceImage | e.SwapImage, image_of: ImageOf) -> dict[str, Any]:
    record = image_of(edit.library, edit.image_id)
    return {
        "image_id": edit.image_id,
        "library": edit.library,
        "caption": one_line(record.caption if edit.caption is None else edit.caption),
        "alt": one_line(record.alt if edit.alt is None else edit.alt),
        "credit": one_line(record.credit),
        "licence": one_line(record.licence),
        "width": record.width,
        "height": record.height,
        "machine_made": tuple(n for n in record.machine_made if getattr(edit, n) in (None, getattr(record, n))),
    }


def _with_image(article: Article, new: Illustration) -> Article:
    return article.illustrated(new if i.id == new.id else i for i in article.illustrations)
