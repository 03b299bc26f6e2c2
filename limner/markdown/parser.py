"""The CommonMark parser that splits drafts into blocks: with markdown-it's plugins, without inline parsing."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


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
