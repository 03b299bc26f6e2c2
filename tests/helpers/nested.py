"""Markdown that nests or repeats one construct, to whatever length: what costs a parser most."""

from __future__ import annotations

PIECES = {
    "quotes": "> ",
    "bullets": "- ",
    "brackets": "[",
    "images": "![",
    "links": "[a](",
    "open links": "[a](b",
    "inline notes": "^[",
    "notes": "[^a]",
    "dollars": "$",
    "displayed math": "$$\n",
    "math": "$a",
    "comments": "<!--",
    "half comments": "<!-- -",
    "ticks": "`",
    "code spans": "`a``b```c",
    "fences": "```\n",
    "open shortcodes": "{{< ",
    "open liquid": "{% ",
    "braces": "{",
    "tags": "<a>",
    "open tags": "<a ",
    "less than": "<",
    "entities": "&amp;",
    "embeds": "![[a",
}


def nested(name: str, length: int) -> str:
    """So many characters of one construct."""
    piece = PIECES[name]
    return (piece * (length // len(piece) + 1))[:length]


def deeper(kind: str, length: int) -> str:
    """So many characters of lines, each deeper than the one before."""
    depth = int((2 * length) ** 0.5)
    lines = {
        "quotes": (">" * n + " a" for n in range(1, depth)),
        "ticks": ("`" * n + "a" for n in range(1, depth)),
    }[kind]
    return "\n".join(lines)[:length]
