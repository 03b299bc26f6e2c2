"""Find the pairs of `dialects`: runs of lines that form one block. It takes linear time, because it reads every mark
once."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from limner.markdown import dialects as d

BLANK = " \t\r\n"  # CommonMark's white space; str.strip would remove more
_TICKS = re.compile(r"`+")
_NOT_BREAK = re.compile(r"[^\r\n]")


class Region(NamedTuple):
    """Lines that belong together, counted from 0."""

    first: int
    last: int
    """The line after the last one."""
    prose: bool
    """Whether the text in it is running text."""


class Lines:
    """A draft's lines and their offsets in its text."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))

    @cached_property
    def text(self) -> str:
        """The joined lines, each with \\n as its end; offsets stay."""
        return "".join(line[:-2] + " \n" if line.endswith("\r\n") else line.replace("\r", "\n") for line in self.lines)

    @cached_property
    def blank(self) -> list[bool]:
        return [not line.strip(BLANK) for line in self.lines]

    def at(self, offset: int) -> int:
        """The line of a character."""
        return max(0, bisect_right(self.starts, offset) - 1)

    def chunk_end(self, line: int) -> int:
        """The next blank line, or the end."""
        while line < len(self.lines) and not self.blank[line]:
            line += 1
        return line


def regions(lines: Lines, fenced: Sequence[bool]) -> Iterator[Region]:
    """Find all pairs. fenced: for each line whether it is in a fenced code block."""
    masked = _masked(lines, fenced)
    yield from _code(lines)
    yield from _paired(lines, _marks(lines.text, [p for p in d.PAIRS if p.name in d.TEMPLATES]))
    yield from _paired(lines, _marks(masked, [p for p in d.PAIRS if p.name not in d.TEMPLATES]))
    yield from _fences(lines, fenced)
    yield from _scripts(lines, masked, fenced)
    yield from _tables(lines, fenced)
    yield from _metadata(lines, fenced)


# --- marks -----------------------------------------------------------------------------------------------------------


class _Mark(NamedTuple):
    pair: d.Pair
    name: str
    """The name that both marks of a pair share, "" if the kind has no names."""
    closes: bool
    start: int
    end: int


def _marks(text: str, pairs: Iterable[d.Pair]) -> Iterator[_Mark]:
    """Every mark in reading order, except those within a tag."""
    known = {pair.name: pair for pair in pairs}
    expression = re.compile("|".join(f"(?P<{pair.name}>{pair.mark})" for pair in known.values()), re.MULTILINE)
    tags, skip = _Tags(text), 0
    for match in expression.finditer(text):
        if match.start() < skip:
            continue
        found = match.groupdict()
        pair = next(pair for name, pair in known.items() if found[name] is not None)
        name = (found.get(f"name_{pair.name}") or "").lower()
        mark = _Mark(pair, name, found.get(f"end_{pair.name}") is not None, match.start(), match.end())
        if pair.name == "tag" and not mark.closes:
            end, alone = tags.end(mark.end)
            skip = end
            if alone or name in d.VOID_NAMES:
                continue
        yield mark if pair.name != "extension" else mark._replace(name="")


def _paired(lines: Lines, marks: Iterable[_Mark]) -> Iterator[Region]:
    """Match each closing mark with the last open mark of its name."""
    marks = list(marks)
    closing: dict[tuple[str, str], list[int]] = {}
    for mark in marks:
        if mark.closes or mark.pair.toggles:
            closing.setdefault((mark.pair.name, mark.name), []).append(mark.start)
    opened: dict[tuple[str, str], list[_Mark]] = {}
    skip = 0
    for mark in marks:
        if mark.start < skip:
            continue
        key = mark.pair.name, mark.name
        if opened.get(key) and (mark.closes or mark.pair.toggles):
            begun = opened[key].pop()
            prose = mark.pair.prose and begun.name not in d.CODE_NAMES
            yield Region(lines.at(begun.start), lines.at(mark.end - 1) + 1, prose)
        elif not mark.closes:
            ends = closing.get(key, ())
            after = bisect_left(ends, mark.end)
            if after == len(ends):
                continue  # never closed: no pair
            opened.setdefault(key, []).append(mark)
            if mark.pair.opaque or mark.name in d.LITERAL_NAMES:
                skip = ends[after]


class _Tags:
    """Find the ends of tags. JSX allows blank lines and `>` in braces, HTML allows `>` in quotes."""

    _special = re.compile(r"[<>{]|=[ \t]*[\"']|\n[ \t]*\n")

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def braces(self) -> dict[int, int]:
        return matching(self.text, "{", "}")

    def end(self, at: int) -> tuple[int, bool]:
        """The end of the tag whose name ends at `at`, and whether it is self-closing."""
        text = self.text
        while special := self._special.search(text, at):
            char = special[0]
            if char == ">":
                return special.end(), text[special.start() - 1] == "/"
            if char == "<" or char[0] == "\n":
                break
            if char == "{":
                at = self.braces.get(special.start(), special.end() - 1) + 1
            else:
                closing = text.find(char[-1], special.end(), special.end() + 2_000)
                at = closing + 1 if closing >= 0 else special.end()
        return at, False


def matching(text: str, opening: str, closing: str) -> dict[int, int]:
    """The position of the closing bracket by that of the opening one, for matched brackets."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for match in re.finditer(f"[{re.escape(opening + closing)}]", text):
        if match[0] == opening:
            stack.append(match.start())
        elif stack:
            pairs[stack.pop()] = match.start()
    return pairs


def _masked(lines: Lines, fenced: Sequence[bool]) -> str:
    """The text with fenced code and code spans blanked out; offsets stay."""
    parts = [lines.text[a:b] for a, b in pairwise(lines.starts)]
    parts = [_NOT_BREAK.sub(" ", part) if code else part for part, code in zip(parts, fenced, strict=True)]
    text = "".join(parts)
    if "`" not in text:
        return text
    out, at, first = [], 0, 0
    while first < len(parts):
        if lines.blank[first] or fenced[first]:
            first += 1
            continue
        last = first
        while last < len(parts) and not lines.blank[last] and not fenced[last]:
            last += 1
        for start, end in code_spans(text, lines.starts[first], lines.starts[last]):
            out += [text[at:start], _NOT_BREAK.sub(" ", text[start:end])]
            at = end
        first = last
    return "".join([*out, text[at:]])


def code_spans(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of the code spans in a run of non-blank lines."""
    runs = [(m.start(), m.end()) for m in _TICKS.finditer(text, begin, end)]
    of_length: dict[int, list[int]] = {}
    for start, stop in runs:
        of_length.setdefault(stop - start, []).append(start)
    free = begin
    for start, stop in runs:
        same = of_length[stop - start]
        if start < free:
            continue
        following = bisect_right(same, start)
        if following < len(same):
            free = same[following] + stop - start
            yield start, free


def _code(lines: Lines) -> Iterator[Region]:
    """Fenced code that CommonMark does not see, e.g. right after an HTML tag; a fence that never ends does not
    count."""
    fence, opened = "", 0
    closing: dict[str, list[int]] = {"`": [0] * (len(lines.lines) + 1), "~": [0] * (len(lines.lines) + 1)}
    bare = [line.strip() for line in lines.lines]
    for mark, longest in closing.items():  # the longest closing fence from each line on
        for n in range(len(bare) - 1, -1, -1):
            is_fence = bare[n].startswith(mark * 3) and not bare[n].strip(mark)
            longest[n] = max(longest[n + 1], len(bare[n]) if is_fence else 0)
    for n, line in enumerate(bare):
        mark = line[:1]
        if fence:
            if mark == fence[0] and line.startswith(fence) and not line.strip(mark):
                yield Region(opened, n + 1, prose=False)
                fence = ""
        elif mark in closing and line.startswith(mark * 3):
            length = len(line) - len(line.lstrip(mark))
            if mark not in line[length:] and closing[mark][n + 1] >= length:
                fence, opened = mark * length, n


# --- fences, scripts, tables, metadata -------------------------------------------------------------------------------


def _fences(lines: Lines, fenced: Sequence[bool]) -> Iterator[Region]:
    """Match `:::` and `///`: a fence with text after it opens, one without closes the last open one."""
    opened: dict[str, list[int]] = {":": [], "/": []}
    for n, line in enumerate(lines.lines):
        found = None if fenced[n] else d.FENCE.match(line.rstrip("\r\n"))
        if found is None:
            continue
        stack = opened[found["mark"][0]]
        if found["rest"].strip(": \t"):
            stack.append(n)
        elif stack:
            yield Region(stack.pop(), n + 1, prose=True)
        elif found["mark"][0] == ":" and not found["rest"].strip():
            stack.append(n)  # an anonymous one


def _scripts(lines: Lines, masked: str, fenced: Sequence[bool]) -> Iterator[Region]:
    """Find MDX's imports, exports and expressions, whose brackets may span blank lines."""
    starts = [
        n
        for n, line in enumerate(lines.lines)
        if not fenced[n] and not lines.blank[n] and (n == 0 or lines.blank[n - 1])
        if d.ESM.match(line) or (line[0] == "{" and line[1:2] not in tuple("%{:#.+-=>~"))
    ]
    if not starts:
        return
    ends: dict[int, int] = {}
    for pair in ("{}", "[]", "()"):
        ends |= matching(masked, *pair)
    free = 0
    for n in starts:
        if n < free:
            continue
        stop, at = lines.chunk_end(n), lines.starts[n]
        end = lines.starts[stop]
        for bracket in re.compile(r"[{\[(]").finditer(masked, at, end):
            end = max(end, ends.get(bracket.start(), 0) + 1)
        free = lines.chunk_end(lines.at(end - 1))
        if lines.lines[n][0] != "{" or lines.at(end - 1) >= stop or lines.lines[stop - 1].rstrip().endswith("}"):
            yield Region(n, free, prose=False)


def _tables(lines: Lines, fenced: Sequence[bool]) -> Iterator[Region]:
    """Find pandoc's simple and multiline tables; the latter have blank lines between rows."""
    bare = [line.rstrip("\r\n") for line in lines.lines]
    dashed = (d.COLUMNS.fullmatch, d.RULE.fullmatch)
    dashes = [n for n, line in enumerate(bare) if not fenced[n] and any(match(line) for match in dashed)]
    ending = [n for n in dashes if n + 1 >= len(bare) or lines.blank[n + 1]]
    free = 0
    for n in dashes:
        if n < free or not d.COLUMNS.fullmatch(bare[n]) or n + 1 >= len(bare) or lines.blank[n + 1]:
            continue
        top = n
        while top > free and not lines.blank[top - 1]:
            top -= 1
        stop = lines.chunk_end(n)
        if top == n or d.RULE.fullmatch(bare[top]):
            after = bisect_left(ending, stop)
            inside = ending and any(n < e < stop for e in ending[max(0, after - 1) : after])
            stop = stop if inside or after == len(ending) else ending[after] + 1
        yield Region(top, stop, prose=False)
        free = stop


def _metadata(lines: Lines, fenced: Sequence[bool]) -> Iterator[Region]:
    """Find pandoc's YAML blocks between `---` and `---` or `...` further down in a document."""
    n, count = 0, len(lines.lines)
    while n < count:
        opens = not fenced[n] and lines.lines[n].rstrip() == "---" and (n == 0 or lines.blank[n - 1])
        last = n + 1
        if opens and last < count and not lines.blank[last]:
            while last < count and lines.lines[last].rstrip() not in ("---", "..."):
                if not d.METADATA.fullmatch(lines.lines[last].rstrip()):
                    break
                last += 1
            if last < count and lines.lines[last].rstrip() in ("---", "..."):
                yield Region(n, last + 1, prose=False)
        n = max(last, n + 1)
