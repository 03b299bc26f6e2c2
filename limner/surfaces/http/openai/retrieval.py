"""Find the material that clients put into a conversation from files and searches, apart from the user's words.

It knows the retrieval templates of Open WebUI and LibreChat (`<context>`), and the files that LibreChat and LobeChat
write into the text. Each has its own pair of marks, found in linear time.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

from limner.document import Source
from limner.text import one_line, shorten

_LOBE = ("<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->", "<!-- END SYSTEM CONTEXT -->")
_LIBRE = ("Attached document(s):\n```md", "\n```")
_SOURCE = re.compile(r"<(source|file|document)\b([^<>]{0,2000})>")
_NAMED = re.compile(r"""\b(?:name|filename|title)\s*=\s*["']([^"'<>]{1,300})["']""")
_FILENAME = re.compile(r"<filename>([^<>]{1,300})</filename>")
_LIBRE_FILE = re.compile(r'(?:\A|\n---\n\n?)# "([^"\n]{1,300})"\n')
_QUERIES = ("user_query", "query", "question")
_HEAD = re.compile(r"\A(?:#{1,4}\s*)?(?:user\s+)?(?:query|question|request)\s*:\s*", re.IGNORECASE)
_ABOUT_CONTEXT = re.compile(r"(?i)context|kontext|contexte|contexto|contesto|контекст|上下文|文脈|문맥|###")


class Parted(NamedTuple):
    """A message without its client's additions."""

    text: str
    """The user's words."""
    material: tuple[Source, ...]
    unread: tuple[str, ...] = ()
    """Names of files without content."""


def parted(text: str) -> Parted:
    """Split a user's message into words and material."""
    material: list[Source] = []
    unread: list[str] = []
    for cut in (_lobe, _libre, _context):
        text, found, missing = cut(text)
        material += found
        unread += missing
    return Parted(text.strip(), _merged(material), tuple(dict.fromkeys(unread)))


def in_system(text: str) -> tuple[Source, ...]:
    """The material of a system message, without its instructions."""
    _, files, _ = _libre(text)
    _, found, _ = _context(text)
    return _merged([*files, *found])


_Cut = tuple[str, list[Source], list[str]]


def _context(text: str) -> _Cut:
    """`<context>` … `</context>`; the last end counts, because the material may contain such marks."""
    start, end = text.find("<context>"), text.rfind("</context>")
    if start < 0 or end < start:
        return text, [], []
    inside = text[start + len("<context>") : end]
    before, after = text[:start].strip(), text[end + len("</context>") :].strip()
    query = _unwrapped(after) or _unwrapped_only(before)
    if not query and not _ABOUT_CONTEXT.search(before):
        query = before
    elif after and not _ABOUT_CONTEXT.search(before):
        query = f"{before}\n\n{query}".strip()
    found, missing = _sources(inside)
    return query, found, missing


def _unwrapped(text: str) -> str:
    """A query without its template's tag or heading."""
    return _unwrapped_only(text) or _HEAD.sub("", text, count=1).strip()


def _unwrapped_only(text: str) -> str:
    for name in _QUERIES:
        start, end = text.find(f"<{name}>"), text.rfind(f"</{name}>")
        if 0 <= start < end:
            return text[start + len(name) + 2 : end].strip()
    return ""


def _lobe(text: str) -> _Cut:
    """LobeChat's block at the end of a message: the files' text if present, else their names."""
    start, end = text.find(_LOBE[0]), text.rfind(_LOBE[1])
    if start < 0 or end < start:
        return text, [], []
    inside = text[start + len(_LOBE[0]) : end]
    _, _, inside = inside.rpartition("</context.instruction>")
    found, missing = _sources(inside, whole=False)
    page = _between(inside, "<markdown", "</markdown>")
    if page:
        found.append(Source(name="page", text=page.partition(">")[2].strip()))
    return text[:start] + text[end + len(_LOBE[1]) :], [s for s in found if s.text], missing


def _libre(text: str) -> _Cut:
    """LibreChat's fence of attached files."""
    start = text.find(_LIBRE[0])
    end = text.rfind(_LIBRE[1])
    if start < 0 or end < start + len(_LIBRE[0]):
        return text, [], []
    inside = text[start + len(_LIBRE[0]) : end]
    marks = list(_LIBRE_FILE.finditer(inside))
    ends = [*(m.start() for m in marks[1:]), len(inside)]
    found = [Source(name=_name(m[1]), text=inside[m.end() : e].strip()) for m, e in zip(marks, ends, strict=True)]
    return text[:start] + text[end + len(_LIBRE[1]) :], [s for s in found if s.text], []


def _sources(inside: str, *, whole: bool = True) -> tuple[list[Source], list[str]]:
    """The sources within a context, and the names of empty ones. whole: without any, the context is one source."""
    found: list[Source] = []
    missing: list[str] = []
    at = 0
    while (mark := _SOURCE.search(inside, at)) is not None:
        close = inside.find(f"</{mark[1]}>", mark.end())
        at = len(inside) if close < 0 else close
        body = inside[mark.end() : at]
        named = _NAMED.search(mark[2]) or _FILENAME.search(body[:1000])
        name = _name(html.unescape(named[1])) if named else f"source {len(found) + 1}"
        words = _FILENAME.sub("", body, count=1).strip()
        if words:
            found.append(Source(name=name, text=words))
        else:
            missing.append(name)
    if not found and not missing and whole and inside.strip():
        found.append(Source(name="context", text=inside.strip()))
    return found, missing


def _between(text: str, start: str, end: str) -> str:
    at = text.find(start)
    to = text.rfind(end)
    return text[at + len(start) : to] if 0 <= at < to else ""


def _name(name: str) -> str:
    return shorten(one_line(name), 200) or "source"


def _merged(found: list[Source]) -> tuple[Source, ...]:
    """Join the pieces of one file, of which a search returns several."""
    by_name: dict[str, list[str]] = {}
    for source in found:
        by_name.setdefault(source.name, []).append(source.text)
    return tuple(Source(name=name, text="\n\n".join(dict.fromkeys(texts))) for name, texts in by_name.items())
