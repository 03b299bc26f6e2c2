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
    "spaces": " ",
}
OPENED = ("# a {", "# a {#", "# a <!--", ": a", "Table: a {", '=== "a', "[a]{.", "*a*{.", "a_{.", "| a |\n|---|\n\n: a")
"""What a long run of spaces may follow."""


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


REPEATED = {  # what comes before, and what is repeated; {n} is its number
    "definitions": ("", "Term\n: meaning\n\n"),
    "definitions apart": ("", "Term\n\n:   meaning\n\n    more\n\n"),
    "definitions of one term": ("Term\n", ": meaning\n"),
    "table rows": ("| a | b |\n|---|---|\n", "| 1 | 2 |\n"),
    "tables": ("", "| a | b |\n|---|---|\n| 1 | 2 |\n\n"),
    "rows of HTML": ("<table>\n", "<tr><td>a\n"),
    "headings": ("", "# A heading\n\n"),
    "headings with ids": ("", "# A {{#a}}\n\n"),
    "underlined headings": ("", "A\n===\n\n"),
    "items": ("", "- item\n"),
    "items apart": ("", "1. item\n\n"),
    "links to nothing": ("", "[a](b.md) "),
    "images": ("", "![a](b.png) "),
    "open phrases": ("", "<b title={n}><p>a\n\n"),
    "open phrases in a line": ("", "<b title={n}><p>a "),
    "open phrases in paragraphs": ("", "<i title={n}>a\n\n"),
    "open phrases in cells": ("<table>\n", "<td><b title={n}>a</b></td></b>\n"),
    "open lists": ("", "<ul><li>"),
    "front matter": ("---\n", "a: b\n"),
    "rules": ("", "---\na: b\n"),
}


def repeated(name: str, length: int) -> str:
    """About so many characters of one construct, over and over."""
    first, piece = REPEATED[name]
    return first + "".join(piece.format(n=n) for n in range(length // len(piece)))
