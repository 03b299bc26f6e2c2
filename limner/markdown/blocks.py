"""Split a draft into blocks, so that a unit of any dialect of Markdown is one block.

There are three steps: CommonMark's own top-level blocks; the pairs of `dialects`, which join the blocks they span; and
blocks that belong to the block before them. Every character of the draft is in exactly one block or between two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from limner.markdown import dialects as d
from limner.markdown.parser import block_parser
from limner.markdown.regions import BLANK, Lines, Region, regions

# CommonMark ends lines only at \n, \r\n and \r; str.splitlines would also split at form feeds and the like.
_NOT_BREAK = re.compile(r"[^\r\n]")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_LIST = {"bullet_list_open", "ordered_list_open"}
_UNSEEN = {"footnote_reference_open"}
_DEFINED = "dl_open"
_OPEN = "open"  # instead of the token's type: a fence, a comment or an element that never ends
_RUNNING = {"paragraph_open", "blockquote_open", _DEFINED, *_LIST}

Kind = Literal["heading", "paragraph", "verbatim"]


class Cut(NamedTuple):
    """A block: its kind and its span in characters."""

    kind: Kind
    start: int
    end: int
    """Position after its last character that is not white space."""
    level: int = 0
    """Level of a heading, 1 to 6."""


class _Part(NamedTuple):
    """Lines that form one block so far, counted from 0."""

    first: int
    last: int
    """The line after the last one that is not blank."""
    opens: str
    """Type of its first token, "" if it is no CommonMark block."""
    closes: str
    """Type of the first token of its last block."""
    level: int = 0


def cut(source: str, start: int = 0) -> list[Cut]:
    """Split a draft into blocks, from character `start` on, in order."""
    return list(_cut(source, start))


def running_text(source: str) -> str:
    """The readable lines of one or more blocks, without a dialect's marks."""
    if not d.MARKED.search(source):
        return source
    if d.ADMONITION.match(source):
        source = re.sub(r"^(?: {4}|\t)", "", source, flags=re.MULTILINE)
    lines = Lines(_LINE.findall(source))
    parts, prose = _read(lines)
    for part in parts:
        if part.level:
            prose[part.first : part.last] = [True] * (part.last - part.first)
    shown = (line if prose[n] else _NOT_BREAK.sub("", line) for n, line in enumerate(lines.lines))
    return "".join(d.ASIDE.sub("", line.removeprefix(_mark(line))) for line in shown)


def is_figure(text: str) -> bool:
    """Whether a block is an image, with or without a caption, and nothing else."""
    return _is_figure(_LINE.findall(text) or [""])


def _mark(line: str) -> str:
    found = d.DEFINITION.match(line)
    return found[0] if found else ""


def _cut(source: str, start: int) -> Iterator[Cut]:
    lines = Lines(_LINE.findall(source, start))
    parts, prose = _read(lines)
    counted = list(accumulate(prose, initial=0))
    for part in parts:
        begin, end = start + lines.starts[part.first], start + lines.starts[part.last]
        end = begin + len(source[begin:end].rstrip())
        kind: Kind = "verbatim"
        if part.level:
            kind = "heading"
        elif counted[part.last] > counted[part.first] and part.closes != _OPEN:
            kind = "paragraph"
        yield Cut(kind, begin, end, part.level)


def _read(lines: Lines) -> tuple[list[_Part], list[bool]]:
    """The blocks, and whether each line is running text."""
    parts, prose, fenced = _commonmark(lines)
    found = list(regions(lines, fenced))
    for region in found:
        if not region.prose:
            prose[region.first : region.last] = [False] * (region.last - region.first)
    _no_text(lines, parts, prose)
    parts = _defining(lines, _joined(lines, parts, found), prose)
    counted = list(accumulate(prose, initial=0))
    return _belonging(lines, parts, [counted[p.last] > counted[p.first] and not p.level for p in parts]), prose


# --- CommonMark ------------------------------------------------------------------------------------------------------


def _commonmark(lines: Lines) -> tuple[list[_Part], list[bool], list[bool]]:
    """Top-level blocks; and whether each line is running text, and in a fenced code block."""
    count = len(lines.lines)
    prose, fenced = [False] * count, [False] * count
    parts, start = [], 0
    # Lines stay aligned: the parser folds \r\n to \n and replaces NUL, neither of which moves a line.
    tokens = block_parser().parse("".join(lines.lines), {})
    for n, token in enumerate(tokens):
        if token.type == "fence" and token.map:
            fenced[token.map[0] : token.map[1]] = [True] * (token.map[1] - token.map[0])
        if token.level or token.nesting > 0:
            continue
        opening, start = tokens[start], n + 1  # this tag closes, or is alone
        if opening.map:
            first, last = opening.map[0], min(opening.map[1], count)
            while last > first and lines.blank[last - 1]:
                last -= 1
            if last == first:
                continue
            level = int(opening.tag[1]) if opening.type == "heading_open" else 0
            parts.append(_Part(first, last, opening.type, opening.type, level))
            if level or opening.type in _RUNNING:
                prose[first:last] = [not level] * (last - first)
    if parts and parts[-1].opens in ("fence", "html_block") and _never_ends(lines, parts[-1]):
        parts[-1] = parts[-1]._replace(opens=_OPEN, closes=_OPEN)
    return parts, prose, fenced


def _never_ends(lines: Lines, part: _Part) -> bool:
    """Whether text after a block would become part of it."""
    text = "".join(lines.lines[part.first : part.last])
    return block_parser().parse(f"{text}\n\nlimner", {})[-1].type != "paragraph_close"


def _no_text(lines: Lines, parts: Sequence[_Part], prose: list[bool]) -> None:
    """Reclassify lines that only CommonMark reads as text."""
    for part in parts:
        own = lines.lines[part.first : part.last]
        if part.opens == "paragraph_open":
            own = [line.strip(BLANK) for line in own]
            if _is_figure(own) or d.ESM.match("\n".join(own)):
                prose[part.first : part.last] = [False] * len(own)
        for n, line in enumerate(own, part.first):
            if prose[n] and line[:1] in _ODD and d.NO_TEXT.fullmatch(line.rstrip(BLANK)):
                prose[n] = False


_ODD = frozenset("{:/!?=([%+$*^-<|~\\")


def _is_figure(own: Sequence[str]) -> bool:
    """Whether lines are only images, the last perhaps a caption."""
    bare = [line.rstrip("\r\n") for line in own]
    if not d.FIGURE.fullmatch(bare[0]):
        return False
    rest = bare[1:]
    if rest and d.CAPTION.fullmatch(rest[-1]):
        rest.pop()
    return all(d.FIGURE.fullmatch(line) for line in rest)


# --- what belongs together -------------------------------------------------------------------------------------------


def _joined(lines: Lines, parts: Sequence[_Part], found: Sequence[Region]) -> list[_Part]:
    """The blocks, with those that a region spans joined."""
    wanted = [*parts, *(_Part(r.first, r.last, "", "") for r in found)]
    wanted.sort(key=lambda p: (p.first, -p.last))
    joined: list[_Part] = []
    for part in wanted:
        if not joined or part.first >= joined[-1].last:
            joined.append(part)
            continue
        before = joined[-1]
        whole = before.last >= part.last and before.first <= part.first
        if whole and not part.opens:  # a region within a block
            continue
        if part.first == before.first and part.last == before.last:
            joined[-1] = part if part.opens else before
            continue
        # A list from which a pair extends may continue after it.
        closes = part.closes if part.last >= before.last and part.opens and before.opens not in _LIST else before.closes
        joined[-1] = _Part(before.first, max(before.last, part.last), before.opens, closes)
    return [_trimmed(lines, part) for part in joined]


def _trimmed(lines: Lines, part: _Part) -> _Part:
    last = part.last
    while last > part.first + 1 and lines.blank[last - 1]:
        last -= 1
    return part._replace(last=last)


def _defining(lines: Lines, parts: Sequence[_Part], prose: list[bool]) -> list[_Part]:
    """The blocks, with definitions joined to their terms, and the text of footnotes and admonitions to their labels."""
    out: list[_Part] = []
    for part in parts:
        head = lines.lines[part.first]
        if out and d.INDENTED.match(head) and d.ADMONITION.match(lines.lines[out[-1].first]):
            out[-1] = out[-1]._replace(last=part.last)
            prose[part.first : part.last] = [True] * (part.last - part.first)
            continue
        if out and out[-1].opens in _UNSEEN and not part.level and not lines.blank[part.first - 1]:
            out[-1] = out[-1]._replace(last=part.last)
        elif out and not out[-1].level and not part.level and d.DEFINITION.match(head):
            out[-1] = _Part(out[-1].first, part.last, _DEFINED, _DEFINED)
        elif part.opens in _RUNNING and any(map(d.DEFINITION.match, lines.lines[part.first + 1 : part.last])):
            out.append(part._replace(opens=_DEFINED, closes=_DEFINED) if part.opens == "paragraph_open" else part)
        else:
            out.append(part)
    return out


def _belonging(lines: Lines, parts: Sequence[_Part], place: Sequence[bool]) -> list[_Part]:
    """The blocks, joined to the ones they belong to if an image could come between them."""
    out: list[_Part] = []
    seen = -1  # the last block that is visible at its place
    family, open_to_images = "", False
    for part, here in zip(parts, place, strict=True):
        unseen = part.opens in _UNSEEN or bool(d.UNSEEN.match(lines.lines[part.first]))
        opens, closes = _family(lines, part, part.opens), _family(lines, part, part.closes)
        if open_to_images and not (unseen and lines.blank[part.first - 1]):
            direct = seen == len(out) - 1
            if (direct and _one(lines, out[seen], family, part)) or (family and family == opens):
                out[seen:] = [_Part(out[seen].first, part.last, out[seen].opens, part.closes)]
                family = closes or family
                continue
        out.append(part)
        if not unseen:
            seen, family, open_to_images = len(out) - 1, closes, here
    return out


def _family(lines: Lines, part: _Part, token: str) -> str:
    """The family of a block that some dialect joins across a blank line, else ""."""
    if family := {"blockquote_open": "quote", _DEFINED: "definition", **dict.fromkeys(_LIST, "list")}.get(token):
        return family
    head = lines.lines[part.first]
    return next((name for name, rule in d.FAMILIES.items() if rule.match(head)), "")


def _one(lines: Lines, before: _Part, family: str, part: _Part) -> bool:
    """Whether a block belongs to the one before it."""
    head = lines.lines[part.first]
    if family in ("list", "fancy list", "definition") and head[0] in " \t":
        return True
    if part.level or part.opens == _OPEN:
        return False
    if not lines.blank[part.first - 1]:
        return True
    if part.opens == "table_open" and d.TABLE_CAPTION.match(lines.lines[before.first]):
        return True
    return any(rule.match(head) for rule in d.BELONGS.values())
