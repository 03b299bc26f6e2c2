"""The interface through which a chat stores its articles, e.g. in a ledger with a history
(`jobs/history/keeping.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from limner.agents.meter import Usage
from limner.document import Article, Brief
from limner.tools.editing.commands import Edit


class Keeper(Protocol):
    """Stores articles and their versions, apart from the state of a chat. Errors are LimnerErrors."""

    def begin(
        self, owner: str, brief: Brief, article: Article, libraries: Sequence[str], spent: Mapping[str, Usage]
    ) -> str:
        """Store a new article; returns its id. spent: its tokens by role."""
        ...

    def now(self, owner: str, name: str) -> Article:
        """The current article, including changes from elsewhere."""
        ...

    def change(
        self,
        owner: str,
        name: str,
        edits: Sequence[Edit],
        image_of: Callable[[str, str], Any],
        what: str,
        by: Literal["model", "person"],
    ) -> Article:
        """Apply edits; returns the article."""
        ...

    def undo(self, owner: str, name: str) -> Article:
        """Go back one version; returns the article. Raises JobConflict at the first."""
        ...
