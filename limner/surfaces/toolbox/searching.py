"""The tool that searches images, by words and by example."""

from __future__ import annotations

from collections.abc import Sequence

from limner.surfaces.toolbox.texts import ToolResult, notes_of
from limner.surfaces.toolbox.tools import Tools
from limner.tools.look import Look
from limner.workflows.listing import QUOTED, found


def search(
    tools: Tools,
    query: str = "",
    count: int = 6,
    only: Sequence[str] = (),
    like: Sequence[str] = (),
    unlike: Sequence[str] = (),
    diverse: bool = False,
) -> ToolResult:
    """Search images by a description, like some images and unlike others, by their ids. only: filters that they must
    pass. diverse: whether look-alikes give way."""
    wanted = Look(words=query, like=tuple(like), unlike=tuple(unlike), diverse=diverse)
    got, notes = tools.scope.look(wanted, count, only)
    notes = [*notes, *tools.scope.remarks(only)]
    return ToolResult("\n".join([f"{len(got)} images, best first:", *found(got), *notes_of(notes), QUOTED]), got)
