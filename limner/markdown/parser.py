"""The CommonMark parser that splits drafts into blocks: with markdown-it's plugins, without inline parsing."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline


@lru_cache(maxsize=1)
def block_parser() -> MarkdownIt:
    """A parser for blocks only, without inline parsing."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.deflist import deflist_plugin
    from mdit_py_plugins.footnote import footnote_plugin

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.use(footnote_plugin, inline=False, move_to_end=False).use(deflist_plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def with_linear_labels(parser: MarkdownIt) -> MarkdownIt:
    """The parser with a search for the end of `[labels]` that reads no bracket twice.

    markdown-it-py 4.3 scans to the end of the paragraph from each `[` that nothing closes: 80 kB of `![` took 25 s.
    """
    from markdown_it import helpers

    own: Any = SimpleNamespace(
        parseLinkLabel=_label_end,
        parseLinkDestination=helpers.parseLinkDestination,
        parseLinkTitle=helpers.parseLinkTitle,
    )
    parser.helpers = own  # markdown-it looks its helpers up in this module by name
    return parser


def _label_end(state: StateInline, start: int, disableNested: bool = False) -> int:
    """The position that closes the bracket at `start`; -1 if none does, or if a link is inside and disableNested is
    set.

    Replaces markdown_it.helpers.parseLinkLabel. An inner bracket of plain text was searched before: its end is stored
    with the state, and the search continues after it.
    """
    known: dict[tuple[int, int], tuple[int, bool]] = state.__dict__.setdefault("limner_labels", {})
    key = start, state.posMax
    if key not in known:
        before = state.pos
        known[key] = _search(state, start, known)
        state.pos = before
    end, nested = known[key]
    return -1 if disableNested and nested else end


def _search(state: StateInline, start: int, known: dict[tuple[int, int], tuple[int, bool]]) -> tuple[int, bool]:
    state.pos, nested, level = start + 1, False, 1
    while state.pos < state.posMax:
        at = state.pos
        marker = state.src[at]
        if marker == "]":
            level -= 1
            if level == 0:
                return at, nested
        state.md.inline.skipToken(state)
        if marker != "[":
            continue
        if state.pos != at + 1:
            nested = True
        elif (at, state.posMax) not in known:
            level += 1
        else:
            end, inner = known[at, state.posMax]
            if end < 0:
                return -1, nested or inner
            state.pos, nested = end + 1, nested or inner
    return -1, nested
