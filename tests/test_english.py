"""Constructions that read like a translation do not come back into docstrings, comments and docs.

The list is short on purpose: each pattern is rare in good technical English, so a hit is worth a rewrite. A text
without a hit may still be bad English; that is for a reviewer to see.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import limner

ROOT = Path(limner.__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "limner/model_server/README.md")
START = r"(?:\A|(?<=[.!?] ))"  # of a sentence; texts are joined to one line
FORBIDDEN = {
    "shall": r"\bshall\b",
    "is told": r"\b(?:is|are|was|were) told\b(?! apart)",
    "those there are": r"\b(?:those|what|as many as|that) there (?:is|are)\b(?! (?:a|an|any|no|nothing)\b)",
    "a sentence that begins with a relative 'What'": START + r"What (?:(?!(?:is|are|was|were|do|does|did)\b)[^.?!])*\.",
    "a sentence that begins with 'Of'": START + r"Of (?!course\b)[a-z]",
    "where there is none": r"\bwhere there (?:is|are) (?:none|no)\b",
    "that is none": r"\b(?:that|which|what) (?:is|are) none\b",
    "for want of": r"\bfor want of\b",
    "of its own doing": r"\bof (?:its|their|our) own doing\b",
    "nobody can tell which": r"\bnobody can tell which\b",
    "ring the bell": r"\b(?:ring|rings|rang|rung) (?:the|a) bell\b|\bthe bell\b",
    "working papers": r"\bworking papers\b",
}
REWRITE = "Write subject, verb, object"


def texts(source: str) -> Iterator[tuple[int, str]]:
    """(line, text on one line) of every docstring, attribute docstring and run of comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(text := node.value.value, str)
        ):
            yield node.lineno, _joined(text)
    run: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and run:
                yield first, _joined(" ".join(run))
                run = []
            first = token.start[0] if not run else first
            last = token.start[0]
            run.append(token.string.lstrip("#! "))
    if run:
        yield first, _joined(" ".join(run))


def prose(page: str) -> Iterator[tuple[int, str]]:
    """(line, paragraph on one line) of a page of Markdown, without code."""
    page = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), page, flags=re.DOTALL)
    line = 1
    for paragraph in re.split(r"(\n{2,})", page):
        if not paragraph.startswith(("    ", "\n")):
            yield line, _joined(re.sub(r"`[^`\n]*`", "X", paragraph))
        line += paragraph.count("\n")


def _joined(text: str) -> str:
    return " ".join(text.split())


def found(where: Path, pieces: Iterator[tuple[int, str]]) -> list[str]:
    """A line for each forbidden construction."""
    return [
        f"{where.relative_to(ROOT)}:{line}: {name}: {text[max(0, hit.start() - 30) : hit.end() + 40]!r}. {REWRITE}."
        for line, text in pieces
        for name, pattern in FORBIDDEN.items()
        if (hit := re.search(pattern, text))
    ]


def test_no_docstring_or_comment_reads_like_a_translation() -> None:
    files = [f for f in sorted((ROOT / "limner").rglob("*.py")) if "dialects" not in f.parts]
    assert [hit for f in files for hit in found(f, texts(f.read_text(encoding="utf-8")))] == []


def test_no_page_reads_like_a_translation() -> None:
    pages = [*(ROOT / name for name in PAGES), *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name != "log.md")]
    assert [hit for p in pages for hit in found(p, prose(p.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    [
        "A list of what it shall cover.",
        "The owner is told once.",
        "Lists those there are.",
        "Of two that ask, one gets it.",
        "None where there is none.",
        "Celery rings the bell.",
        "Two files. What a person wrote comes first.",
    ],
)
def test_the_patterns_find_what_they_are_for(text: str) -> None:
    module = f'"""{text}"""\n\nx = 1\n# {text}\n'
    hits = found(ROOT / "x.py", texts(module))
    assert len(hits) == 2, "once in the docstring, once in the comment"


@pytest.mark.parametrize(
    "text",
    [
        "What is a lease? A right to write.",
        "Of course it ends.",
        "Tell two images apart; they are told apart.",
        "A shallow copy.",
    ],
)
def test_the_patterns_leave_good_sentences_alone(text: str) -> None:
    assert found(ROOT / "x.md", prose(text)) == []
