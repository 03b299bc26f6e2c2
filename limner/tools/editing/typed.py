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
    kept = set(ids)
    deleted = [DeleteBlock(block=i) for i in known if i not in kept]
    moved = _moves([i for i in known if i in kept], ids)
    changed, inserted = _changes_and_inserts(blocks, {i: b.text for i, b in known.items()})
    return [*deleted, *moved, *changed, *inserted]


def _moves(order: list[str], wanted: Sequence[str]) -> list[Edit]:
    """Moves that bring blocks from one order into another, from the first block on."""
    edits: list[Edit] = []
    anchor: str | None = None
    for place, block_id in enumerate(wanted):
        if order[place] != block_id:
            edits.append(MoveBlock(block=block_id, after=anchor))
            order.remove(block_id)
            order.insert(place, block_id)
        anchor = block_id
    return edits


def _changes_and_inserts(
    blocks: Sequence[Mapping[str, Any]], texts: Mapping[str, str]
) -> tuple[list[Edit], list[Edit]]:
    """Edits of blocks that have an id, by their texts so far; and the new ones, joined where they are neighbours."""
    changed: list[Edit] = []
    inserted: list[Edit] = []
    anchor: str | None = None
    waiting: list[str] = []

    def insert() -> None:
        if text := "\n\n".join(t for t in waiting if t.strip()):
            inserted.append(InsertText(after=anchor, text=text))
        waiting.clear()

    for block in blocks:
        block_id = block.get("id")
        if not block_id:
            waiting.append(str(block.get("text", "")))
            continue
        insert()
        text = str(block.get("text", texts[block_id]))
        if not text.strip():
            changed.append(DeleteBlock(block=block_id))
            continue
        anchor = block_id
        if text != texts[block_id]:
            changed.append(SetText(block=block_id, text=text))
    insert()
    return changed, inserted
