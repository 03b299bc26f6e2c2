"""Compare two versions of an article: blocks, words, images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Literal

from pydantic import BaseModel, ConfigDict

from limner.document import Article, Heading, Illustration, Paragraph, Verbatim

Change = Literal["same", "changed", "added", "removed", "moved"]
MAX_WORDS = 4_000  # words per block; a longer block counts as replaced, because comparing is quadratic


class WordChange(BaseModel):
    """Words that stayed, were added or were removed."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    op: Literal["same", "added", "removed"]
    text: str


class BlockChange(BaseModel):
    """The change of a block of text."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: str
    kind: str
    """heading, paragraph, verbatim."""
    change: Change
    """moved: the same text elsewhere; a moved block with another text is "changed"."""
    before: str | None = None
    """Markdown in the first version."""
    after: str | None = None
    words: list[WordChange] = []
    """If it changed: the words in order."""


class ImageChange(BaseModel):
    """The change of an image."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: str
    change: Change
    """moved: after another paragraph, otherwise the same."""
    before: Illustration | None = None
    after: Illustration | None = None


class Comparison(BaseModel):
    """The differences of two versions."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    title: list[WordChange]
    blocks: list[BlockChange]
    """In the order of the second version; removed ones at their old place."""
    images: list[ImageChange]

    @property
    def different(self) -> dict[str, str]:
        """Kinds of all changed parts, by id: heading, paragraph, verbatim, image; title for "title"."""
        found = {b.id: b.kind for b in self.blocks if b.change != "same"}
        found |= {i.id: "image" for i in self.images if i.change != "same"}
        return found | ({"title": "title"} if any(w.op != "same" for w in self.title) else {})


def compare(before: Article, after: Article) -> Comparison:
    """Compare two articles."""
    return Comparison(
        title=words(before.title, after.title), blocks=_blocks(before, after), images=_images(before, after)
    )


def words(before: str, after: str) -> list[WordChange]:
    """The words of two texts, with shared words once."""
    one, other = _tokens(before), _tokens(after)
    if max(len(one), len(other)) > MAX_WORDS:
        return [WordChange(op="removed", text=before), WordChange(op="added", text=after)]
    found = []
    for op, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if op == "equal":
            found.append(WordChange(op="same", text="".join(one[a:b])))
            continue
        if a < b:
            found.append(WordChange(op="removed", text="".join(one[a:b])))
        if c < d:
            found.append(WordChange(op="added", text="".join(other[c:d])))
    return found


# A word, a space, a mark; scripts without spaces a character at a time.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|\s+|[^\w\s]"
)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _blocks(before: Article, after: Article) -> list[BlockChange]:
    old, new = {b.id: b for b in before.body}, {b.id: b for b in after.body}
    stayed = _in_order([b.id for b in before.body if b.id in new], [b.id for b in after.body if b.id in old])
    found: list[BlockChange] = []
    gone = _gone_after(before, new)
    found += gone.get("", [])
    for block in after.body:
        found.append(_block(old.get(block.id), block, block.id in stayed))
        found += gone.get(block.id, [])
    return found


def _block(
    old: Heading | Paragraph | Verbatim | None, new: Heading | Paragraph | Verbatim, stayed: bool
) -> BlockChange:
    if old is None:
        return BlockChange(id=new.id, kind=new.kind, change="added", after=new.text)
    if old.text != new.text:
        change = words(old.text, new.text)
        return BlockChange(id=new.id, kind=new.kind, change="changed", before=old.text, after=new.text, words=change)
    return BlockChange(id=new.id, kind=new.kind, change="same" if stayed else "moved", before=old.text, after=new.text)


def _in_order(one: Sequence[str], other: Sequence[str]) -> set[str]:
    """Ids that can stay when one order is turned into the other."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return {i for start, _, size in matcher.get_matching_blocks() for i in one[start : start + size]}


def _gone_after(before: Article, new: Mapping[str, object]) -> dict[str, list[BlockChange]]:
    """Removed blocks, by the id of the remaining block before them, "" for none."""
    found: dict[str, list[BlockChange]] = {}
    last = ""
    for block in before.body:
        if block.id in new:
            last = block.id
        else:
            gone = BlockChange(id=block.id, kind=block.kind, change="removed", before=block.text)
            found.setdefault(last, []).append(gone)
    return found


def _images(before: Article, after: Article) -> list[ImageChange]:
    old, new = {i.id: i for i in before.illustrations}, {i.id: i for i in after.illustrations}
    found = [_image(old.get(i.id), i) for i in after.illustrations]
    return found + [ImageChange(id=i.id, change="removed", before=i) for i in before.illustrations if i.id not in new]


def _image(old: Illustration | None, new: Illustration) -> ImageChange:
    if old is None:
        return ImageChange(id=new.id, change="added", after=new)
    if old == new:
        return ImageChange(id=new.id, change="same", before=old, after=new)
    moved = old.model_copy(update={"after": new.after}) == new
    return ImageChange(id=new.id, change="moved" if moved else "changed", before=old, after=new)
