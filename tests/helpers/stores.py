"""What is put into stores of vectors."""

from __future__ import annotations

from limner.tools.bm25 import Words

SIZES = {"caption": 8, "clip": 6}
WORDS = Words()


def identity(n: int) -> str:
    """The id of an image."""
    return f"{n + 1:032x}"
