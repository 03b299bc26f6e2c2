"""Turn a retyped article into edits: ids, images and locks stay where the text does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from limner.document import Article, read_markdown
from limner.errors import BadInput
from limner.tools.editing.commands import DeleteBlock, Edit, InsertText, MoveBlock, SetText


def edits_for_text(article: Article, text: str) -> list[Edit]:
    """Edits from the whole article's retyped Markdown. Identical blocks keep their ids.

    Raises BadInput for a text without a paragraph.
    """
    new = read_markdown(text).body
    if not read_markdown(text).paragraphs:
        raise BadInput("The text has no paragraph. Give the whole article, in Markdown.")
    old = article.body
    edits: list[Edit] = []
    gone: list[Edit] = []
    anchor: str | None = None
    matcher = SequenceMatcher(None, [b.text for b in old], [b.text for b in new], autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            anchor = old[b - 1].id
            continue
        for before, after in zip(old[a:b], new[c:d], strict=False):
            edits.append(SetText(block=before.id, text=after.text))
            anchor = before.id
        if rest := new[c + (b - a) : d]:
            edits.append(InsertText(after=anchor, text="\n\n".join(block.text for block in rest)))
        gone += [DeleteBlock(block=block.id) for block in old[a + (d - c) : b]]
    return edits + gone


def edits_for_blocks(article: Article, blocks: Sequence[Mapping[str, Any]]) -> list[Edit]:
    """Edits from a list of blocks, {"id", "text"} each: changed, left out, reordered, or new (without an id).

    Raises BadInput for an unknown or duplicated id.
    """
    known = {b.id: b for b in article.body}
    ids: list[str] = [block["id"] for block in blocks if block.get("id")]
    unknown = [i for i in ids if i not in known]
    if unknown or len(set(ids)) != len(ids):
        which = repr(str((unknown or ids)[0])[:40])
        raise BadInput(f"blocks: the id {which} is unknown or duplicated. Leave the id out of a new block.")
    if not any(str(block.get("text", "")).strip() for block in blocks):
        raise BadInput("blocks: there is no text left. Leave at least one paragraph.")
    edits: list[Edit] = []
    kept = set(ids)
    edits += [DeleteBlock(block=b.id) for b in article.body if b.id not in kept]
    order = [b.id for b in article.body if b.id in kept]
    anchor: str | None = None
    for block_id in ids:  # order is now the result of the edits so far
        at = order.index(anchor) + 1 if anchor else 0
        if order[at] != block_id:
            edits.append(MoveBlock(block=block_id, after=anchor))
            order.remove(block_id)
            order.insert(order.index(anchor) + 1 if anchor else 0, block_id)
        anchor = block_id
    anchor = None
    waiting: list[str] = []
    inserted: list[Edit] = []
    for block in [*blocks, None]:
        block_id = block.get("id") if block is not None else None
        if block is not None and not block_id:
            waiting.append(str(block.get("text", "")))
            continue
        if text := "\n\n".join(t for t in waiting if t.strip()):
            inserted.append(InsertText(after=anchor, text=text))
        waiting = []
        if block is not None and block_id:
            text = str(block.get("text", known[block_id].text))
            if not text.strip():
                edits.append(DeleteBlock(block=block_id))
                continue
            anchor = block_id
            if text != known[block_id].text:
                edits.append(SetText(block=block_id, text=text))
    return edits + inserted
