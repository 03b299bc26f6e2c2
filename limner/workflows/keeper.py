"""What a chat needs of whoever keeps its articles: a ledger with a history (`jobs/history/keeping.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from limner.agents.meter import Usage
from limner.document import Article, Brief
from limner.tools.editing.commands import Edit


class Keeper(Protocol):
    """Keeps articles and their versions, apart from the state of a chat. Errors are LimnerErrors."""

    def begin(
        self, owner: str, brief: Brief, article: Article, libraries: Sequence[str], spent: Mapping[str, Usage]
    ) -> str:
        """Keep a new article; its id. spent: tokens that it cost, by role."""
        ...

    def now(self, owner: str, name: str) -> Article:
        """The article as it is now, changes from elsewhere included."""
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
        """The article after edits."""
        ...

    def undo(self, owner: str, name: str) -> Article:
        """The article one version before. Raises JobConflict at the first."""
        ...
