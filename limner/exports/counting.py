"""Reopen an export and count its parts, for the checks of all formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from limner.document import Article, Illustration
from limner.errors import ExportFailed
from limner.exports.words import line


def compare(path: Path, what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise ExportFailed unless two lists are equal; the message names the first difference."""
    wanted, found = list(wanted), list(found)
    if wanted == found:
        return
    missing = next((w for n, w in enumerate(wanted) if n >= len(found) or found[n] != w), "none")
    raise ExportFailed(
        f"{path.name} has {len(found)} {what} where the article has {len(wanted)}; "
        f"first missing: {line(missing)[:80]!r}. Nothing was kept; export again, and report this if it comes back."
    )


def counted(path: Path, what: str, wanted: int, found: int) -> None:
    """Raise ExportFailed unless two numbers are equal."""
    if wanted != found:
        raise ExportFailed(
            f"{path.name} has {found} {what} where the text has {wanted}. "
            "Nothing was kept; export again, and report this if it comes back."
        )


def figures(article: Article) -> list[Illustration]:
    """The illustrations in reading order. Raises ExportFailed for one without a place in the text."""
    placed = [b for b in article.blocks() if isinstance(b, Illustration)]
    lost = next((i for i in article.illustrations if i not in placed), None)
    if lost is not None:
        raise ExportFailed(
            f"Image {line(lost.image_id)} stands after {line(lost.after)}, which the text has not. Compose it again."
        )
    return placed
