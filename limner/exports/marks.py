"""Parse marks within a line that CommonMark does not know: highlights, and letters below and above the line.

Each mark is bounded by the next one of its kind, so that reading takes linear time.
"""

from __future__ import annotations

import re

from markdown_it.rules_inline import StateInline

_MARKED = re.compile(r"(?<![=A-Za-z0-9])==(?=[^\s=])((?:[^=\n]|=(?!=))*[^\s=])==(?![=A-Za-z0-9])")


def highlight(state: StateInline, silent: bool) -> bool:
    """Parse `==highlighted==` of Obsidian, Typora and PyMdown, not the signs in `a==b and c==d`."""
    found = _MARKED.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "=" else None
    if found is None:
        return False
    if not silent:
        state.push("mark_open", "mark", 1)
        most, state.pos, state.posMax = state.posMax, found.start(1), found.end(1)
        state.md.inline.tokenize(state)
        state.posMax = most
        state.push("mark_close", "mark", -1)
    state.pos = found.end()
    return True


_SCRIPT = re.compile(
    r"(?<=[A-Za-z0-9)\]~])\^([A-Za-z0-9+\u2212-][^\s^]{0,99})\^|(?<=[A-Za-z0-9)\]])~([A-Za-z0-9+\u2212]{1,100})~(?!~)"
)


def script(state: StateInline, silent: bool) -> bool:
    """Parse `x^2^` and `H~2~O` of pandoc, directly after a letter: `^_^`, `/~ana/~bo` and `1~2日,3~4日` stay text."""
    found = _SCRIPT.match(state.src, state.pos, state.posMax) if state.src[state.pos] in "^~" else None
    if found is None:
        return False
    if not silent:
        tag = "sup" if found[1] else "sub"
        state.push(f"{tag}_open", tag, 1)
        state.push("text", "", 0).content = re.sub(r"\\(?=[^\w\s])", "", found[1] or found[2])
        state.push(f"{tag}_close", tag, -1)
    state.pos = found.end()
    return True
